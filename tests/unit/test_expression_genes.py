import sys

import numpy as np
import pytest
import scipy.sparse
from refusals import refusal

from genosiege.expression import genes
from genosiege.expression.genes import Choice
from genosiege.expression.scaling import Values

EVERYONE = np.ones(200, dtype=bool)


@pytest.fixture(scope="module")
def log_values():
    """ln(1 + x) of 200 samples and 60 genes, two of which say nothing."""
    rng = np.random.default_rng(0)
    means, spread = rng.gamma(1, 20, size=60), rng.uniform(0.1, 1.5, size=60)
    expression = means * rng.lognormal(0, spread, size=(200, 60))
    expression[:, 7] = 3
    expression[:, 9] = 0
    return np.log1p(expression).astype(np.float32)


def scanpys_choice(values, n_top):
    import anndata
    import scanpy

    table = scanpy.pp.highly_variable_genes(
        anndata.AnnData(values), n_top_genes=n_top, flavor="seurat", inplace=False
    )
    return np.flatnonzero(table["highly_variable"])


@pytest.mark.parametrize("n_top", [1, 10, 40])
def test_the_choice_is_scanpys(log_values, n_top):
    chosen = genes.highly_variable(log_values, Choice(n_top=n_top), Values("log"), EVERYONE)
    assert np.array_equal(chosen, scanpys_choice(log_values, n_top))
    assert len(chosen) == n_top


def test_the_choice_is_the_same_for_any_logarithm(log_values):
    plain = genes.highly_variable(log_values, Choice(n_top=12), Values("log"), EVERYONE)
    log2 = np.log2(np.expm1(log_values.astype(np.float64)) + 0.001).astype(np.float32)
    options = Values("log", base=2, pseudocount=0.001)
    assert np.array_equal(genes.highly_variable(log2, Choice(n_top=12), options, EVERYONE), plain)


@pytest.mark.parametrize("flavor", genes.FLAVORS)
def test_the_choice_is_the_same_for_a_sparse_matrix(log_values, flavor):
    options = Choice(n_top=12, flavor=flavor)
    sparse = scipy.sparse.csr_matrix(log_values)
    assert np.array_equal(
        genes.highly_variable(sparse, options, Values("counts"), EVERYONE),
        genes.highly_variable(log_values, options, Values("counts"), EVERYONE),
    )


@pytest.mark.parametrize("flavor", genes.FLAVORS)
def test_only_the_samples_fitted_on_decide(log_values, flavor):
    fitted_on = np.arange(200) < 120
    options = Choice(n_top=12, flavor=flavor)
    others_changed = log_values.copy()
    others_changed[~fitted_on, 40:] *= 7

    chosen = genes.highly_variable(log_values, options, Values("log"), fitted_on)

    assert np.array_equal(
        genes.highly_variable(others_changed, options, Values("log"), fitted_on), chosen
    )
    everyones = genes.highly_variable(others_changed, options, Values("log"), EVERYONE)
    assert not np.array_equal(everyones, chosen)


def test_plain_variance_takes_the_genes_that_vary_most(log_values):
    shifted = log_values - 5  # no logarithms of expression
    chosen = genes.highly_variable(shifted, Choice(5, "variance"), Values("log"), EVERYONE)
    assert set(chosen) == set(np.argsort(-log_values.var(axis=0))[:5])


@pytest.mark.parametrize("flavor", genes.FLAVORS)
def test_constant_genes_are_never_chosen(log_values, flavor):
    chosen = genes.highly_variable(log_values, Choice(59, flavor), Values("log"), EVERYONE)
    assert np.array_equal(chosen, np.setdiff1d(np.arange(60), [7, 9]))


def test_ties_go_to_the_first_gene():
    values = np.tile(np.array([[0.0], [1.0]], dtype=np.float32), (1, 4))
    chosen = genes.highly_variable(values, Choice(2, "variance"), Values("log"), np.ones(2, bool))
    assert chosen.tolist() == [0, 1]


@pytest.mark.parametrize("n_top", [None, 60, 1000])
def test_nothing_is_chosen_and_imported_where_all_genes_stay(monkeypatch, log_values, n_top):
    monkeypatch.setitem(sys.modules, "scanpy", None)
    chosen = genes.highly_variable(log_values, Choice(n_top=n_top), Values("log"), EVERYONE)
    assert np.array_equal(chosen, np.arange(60))


def test_values_that_are_no_logarithms_are_refused(log_values):
    message = refusal(
        genes.highly_variable, log_values - 1, Choice(n_top=5), Values("log"), EVERYONE
    )
    assert message.startswith("genes, flavor seurat: a value is -1, but ")


def test_varying_genes_are_told(log_values):
    assert np.flatnonzero(~genes.varying(log_values)).tolist() == [7, 9]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_top": 0}, "genes, n_top 0"),
        ({"n_top": 2.5}, "genes, n_top 2.5"),
        ({"n_top": True}, "genes, n_top True"),
        ({"flavor": "cell_ranger"}, "genes, flavor 'cell_ranger'"),
        ({"top": 5}, "genes, top: there is no such option"),
    ],
)
def test_impossible_options_are_refused(options, named):
    assert refusal(Choice.from_mapping, options).startswith(named)


def test_the_readers_options_are_left_to_them():
    options = {"n_top": 5, "min_samples": 20, "min_value": 0, "duplicates": "mean"}
    assert Choice.from_mapping(options) == Choice(n_top=5)
    assert Choice.from_mapping(None) == Choice()
