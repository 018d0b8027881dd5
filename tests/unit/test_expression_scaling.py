import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import refusal
from sklearn.preprocessing import MinMaxScaler

from genosiege.expression import scaling
from genosiege.expression.scaling import Values

FLOATS = st.floats(-1e6, 1e6, width=32)
TABLES = hnp.arrays(np.float32, st.tuples(st.integers(2, 12), st.integers(1, 6)), elements=FLOATS)


def counts(seed=0, shape=(300, 40)):
    drawn = np.random.default_rng(seed).negative_binomial(1, 0.1, size=shape)
    drawn[5] = 0
    return drawn.astype(np.float32)


@pytest.mark.parametrize("target_sum", [1e4, 1e6])
@pytest.mark.parametrize("sparse", [False, True])
def test_counts_are_normalised_as_scanpy_does(target_sum, sparse):
    import anndata
    import scanpy

    given_counts = counts()
    matrix = scipy.sparse.csr_matrix(given_counts) if sparse else given_counts
    theirs = anndata.AnnData(given_counts.copy())
    scanpy.pp.normalize_total(theirs, target_sum=target_sum)
    scanpy.pp.log1p(theirs)

    ours = scaling.normalise(matrix, Values("counts", target_sum=target_sum))

    assert scipy.sparse.issparse(ours) == sparse
    assert ours.dtype == np.float32
    assert np.allclose(scaling.dense(ours), theirs.X, rtol=1e-5, atol=1e-6)
    # What was read stays as it was: the card describes it.
    assert np.array_equal(scaling.dense(matrix), given_counts)


def test_a_sample_without_counts_stays_at_zero():
    assert not scaling.normalise(counts(), Values("counts"))[5].any()


def test_normalising_counts_imports_no_scanpy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scanpy", None)
    scaling.normalise(counts(), Values("counts"))


def test_logarithms_are_taken_as_they_are():
    values = np.array([[-3.5, 2]], dtype=np.float32)
    assert scaling.normalise(values, Values("log", base=2)) is values


@given(values=TABLES)
@settings(max_examples=50, deadline=None)
def test_the_samples_fitted_on_span_the_whole_range(values):
    scaled = scaling.fit(values).transform(values)

    varying = values.max(axis=0) > values.min(axis=0)
    assert np.array_equal(scaled[:, varying].min(axis=0), np.full(varying.sum(), -1))
    assert np.array_equal(scaled[:, varying].max(axis=0), np.full(varying.sum(), 1))
    assert np.all(scaled[:, ~varying] == -1)
    assert scaled.dtype == np.float32


@given(values=TABLES, others=TABLES)
@settings(max_examples=50, deadline=None)
def test_scaling_is_scikit_learns_within_the_limit(values, others):
    others = np.resize(others, (len(others), values.shape[1]))
    reference = MinMaxScaler((-1, 1)).fit(values.astype(np.float64))
    # Like ours, exact where a range is as good as none.
    ranged = np.ptp(values.astype(np.float64), axis=0) > 1e-3

    scaled = scaling.fit(values).transform(others)

    expected = np.clip(reference.transform(others.astype(np.float64)), -1.5, 1.5)
    assert np.allclose(scaled[:, ranged], expected[:, ranged], atol=1e-4)
    assert np.abs(scaled).max() <= 1.5


def test_values_outside_are_clipped():
    fitted = scaling.fit(np.array([[0], [10]], dtype=np.float32))
    outside = np.array([[-100], [-2], [5], [12], [100]], dtype=np.float32)
    assert fitted.transform(outside)[:, 0] == pytest.approx([-1.5, -1.4, 0, 1.4, 1.5])


def test_blocks_of_rows_make_no_difference():
    values = np.random.default_rng(0).normal(size=(700, 3)).astype(np.float32)
    fitted = scaling.fit(values)
    rows = np.concatenate([fitted.transform(values[i : i + 1]) for i in range(700)])
    assert np.array_equal(fitted.transform(values), rows)


@pytest.mark.parametrize(
    "options", [Values("log", base=2, pseudocount=0.001), Values("log", base=10)]
)
def test_any_logarithm_becomes_that_of_one_plus_x(options):
    expression = np.random.default_rng(0).gamma(0.5, 50, size=(300, 5))
    expression[0] = 0
    logarithm = np.log(expression + options.pseudocount) / np.log(options.log_base)

    converted = scaling.as_log1p(logarithm.astype(np.float32), options)

    assert np.allclose(converted, np.log1p(expression), rtol=1e-3, atol=1e-4)
    assert 0 <= converted.min() < 1e-8


def test_logarithms_of_one_plus_x_need_no_conversion():
    values = np.ones((2, 2), dtype=np.float32)
    assert scaling.as_log1p(values, Values("log")) is values
    assert scaling.as_log1p(values, Values("counts")) is values


def test_counts_called_logarithms_are_refused():
    values = np.array([[5000.0]], dtype=np.float32)
    message = refusal(scaling.as_log1p, values, Values("log", base=2))
    assert message.startswith("values log: 5000 is no logarithm of base 2;")


def test_no_expression_has_its_value():
    assert Values("counts", pseudocount=5).zero == 0
    assert Values("log").zero == 0
    assert Values("log", base=2, pseudocount=0.001).zero == pytest.approx(-9.9658, abs=1e-4)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"values": "tpm"}, "values 'tpm'"),
        ({"values": "counts", "target_sum": 0}, "target_sum 0"),
        ({"values": "counts", "target_sum": True}, "target_sum True"),
        ({"values": "log", "log": {"base": 1}}, "log, base 1"),
        ({"values": "log", "log": {"base": "e"}}, "log, base 'e'"),
        ({"values": "log", "log": {"pseudocount": 0}}, "log, pseudocount 0"),
        ({"values": "log", "log": {"offset": 1}}, "log, offset"),
    ],
)
def test_impossible_options_are_refused(entry, named):
    assert refusal(Values.from_mapping, entry).startswith(named)


def test_an_entry_may_say_more():
    entry = {"values": "log", "log": {"base": 2, "pseudocount": 0.5}, "split": "random"}
    assert Values.from_mapping(entry) == Values("log", base=2, pseudocount=0.5)
    assert Values.from_mapping({}) == Values()
