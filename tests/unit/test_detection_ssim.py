"""Similarities of spectra and their nulls, against brute force and on data without a difference."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from scipy.stats import kstest
from toy_expression_models import Logistic, drawn, options, out_of_fold, samples

from genosiege.detection import spectral, ssim, ssim_experiment
from genosiege.detection.options import Ssim
from genosiege.detection.ssim import Pools
from genosiege.expression import fimba, targets
from genosiege.expression.samples import Samples

SIGNAL, IMAGE = ("signal", "log_power"), ("image", "log_power")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def pools(
    correct: tuple[int, int], errors: tuple[int, int], flipped: tuple[int, int], seed: int = 0
) -> Pools:
    """Pools of so many samples of class 0 and 1; a value tells the row, flipped ones are moved."""
    labels = np.repeat([0, 1, 0, 1], [*correct, *errors])
    right = np.repeat([True, False], [sum(correct), sum(errors)])
    origin = np.concatenate([np.arange(correct[0]), correct[0] + np.arange(correct[1])])
    hit = np.concatenate([np.arange(n) < m for n, m in zip(correct, flipped, strict=True)])
    values = noise(len(labels), 8, seed=seed)
    moved = noise(len(origin), 8, seed=seed + 1)
    values[:, 0], moved[:, 0] = np.arange(len(labels)), 1000 + origin
    return Pools(values, labels, right, moved, origin, hit, np.arange(len(origin)))


def test_a_group_has_one_flip_of_each_target() -> None:
    own = replace(pools((30, 30), (6, 6), (12, 12)), targets=np.arange(60) % 4)

    sizes = own.sizes(50)
    assert sizes is not None and sizes.counts == (4, 4)
    for seed in range(20):
        flips = own.draw(sizes, np.random.default_rng(seed))["attacked"]
        for label in (0, 1):
            of_class = flips[own.labels[own.origin[flips]] == label]
            assert sorted(own.targets[of_class]) == [0, 1, 2, 3]


def test_flips_of_one_target_are_too_few() -> None:
    own = replace(pools((30, 30), (6, 6), (12, 0)), targets=np.zeros(60, dtype=int))

    sizes = own.sizes(50)

    assert sizes is not None and not sizes.attacked


# Comparisons ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "p", "expected"),
    [(10, 40, 4), (3, 6, 4), (2, 40, 2), (3, 5, 2), (2, 2, 0), (1, 5, 0), (1, 6, 2)],
)
def test_a_view_needs_room_for_the_window(n: int, p: int, expected: int) -> None:
    found = ssim.views(n, p)

    assert len(found) == expected
    assert set(ssim.published(noise(n, p), noise(n, p, seed=1))) == set(found)


def test_a_group_is_shown_as_one_joined_signal_and_as_an_image_of_its_rows() -> None:
    values = noise(5, 12)

    shown = ssim.pictures(values)

    joined = spectral.power_spectrum(np.concatenate(list(values))).power
    np.testing.assert_allclose(shown["signal", "power"], joined, rtol=1e-12)
    for row, power in zip(values, shown["image", "power"], strict=True):
        np.testing.assert_allclose(spectral.power_spectrum(row).power, power, rtol=1e-12)
    for view in ("signal", "image"):
        np.testing.assert_array_equal(
            shown[view, "log_power"], np.log10(shown[view, "power"] + 1e-12)
        )


def test_comparisons_are_those_of_scikit_image_with_the_first_group_as_natural() -> None:
    from skimage.metrics import structural_similarity

    groups = {name: noise(9, 20, seed=place) * (1 + place) for place, name in
              enumerate(("reference", "natural", "natural_error", "attacked"))}  # fmt: skip

    found = ssim.compared(groups)

    pairs = {
        "natural": ("reference", "natural"), "natural_error": ("reference", "natural_error"),
        "attacked": ("reference", "attacked"), "attacked_error": ("natural_error", "attacked"),
    }  # fmt: skip
    assert {name for _, name in found} == set(pairs) and len(found) == 16
    for (view, name), value in found.items():
        one, other = (ssim.pictures(groups[group])[view] for group in pairs[name])
        assert value == pytest.approx(
            structural_similarity(one, other, win_size=7, data_range=one.max() - one.min()),
            rel=1e-9,
        )


def test_without_errors_only_the_others_are_compared() -> None:
    groups = {name: noise(9, 20, seed=len(name)) for name in ("reference", "natural", "attacked")}

    assert {name for _, name in ssim.compared(groups)} == {"natural", "attacked"}


def test_the_published_form_compares_each_sample_with_itself() -> None:
    natural = noise(20, 30)

    same = ssim.published(natural, natural.copy())
    little = ssim.published(natural, natural + 0.03 * noise(20, 30, seed=1))
    paired = ssim.published(natural, natural[::-1].copy())

    for view in ssim.views(20, 30):
        assert same[view] == pytest.approx(1.0, abs=1e-9)
        assert little[view] > 0.9
        assert abs(paired[view]) < 0.2


# Draws ------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    correct=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    errors=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    flipped=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    most=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_groups_are_disjoint_of_equal_size_and_class_by_class(
    correct: tuple[int, int],
    errors: tuple[int, int],
    flipped: tuple[int, int],
    most: int,
    seed: int,
) -> None:
    own = pools(correct, errors, flipped)
    sizes = own.sizes(most)
    if sizes is None:
        # Then not even two natural groups of two samples can be drawn.
        assert correct[0] // 2 + correct[1] // 2 < 2 or most < 2
        return
    assert 2 <= sizes.total <= most
    draw = own.draw(sizes, np.random.default_rng(seed))
    groups = own.groups(draw)

    expected = {"reference", "natural"}
    expected |= {"natural_error"} if sizes.errors else set()
    expected |= {"attacked"} if sizes.attacked else set()
    assert set(groups) == expected
    taken: list[int] = []
    for name, rows in draw.items():
        origin = own.origin[rows] if name == "attacked" else rows
        assert own.labels[origin].tolist() == sizes.labels.tolist()
        assert own.correct[origin].all() == (name != "natural_error")
        assert name != "attacked" or own.flipped[rows].all()
        assert (groups[name][:, 0] == origin + (1000 if name == "attacked" else 0)).all()
        taken += origin.tolist()
    assert len(set(taken)) == len(taken)
    for rows in own.references(sizes, draw, 3, np.random.default_rng(seed)):
        assert own.labels[rows].tolist() == sizes.labels.tolist() and own.correct[rows].all()
        assert len(set(rows.tolist())) == len(rows)
        if sizes.attacked:
            assert not set(rows.tolist()) & set(own.origin[draw["attacked"]].tolist())


@pytest.mark.parametrize(
    ("correct", "errors", "flipped", "most", "expected"),
    [
        ((90, 90), (4, 6), (30, 30), 50, (4, 6, True, True)),
        ((90, 90), (40, 60), (30, 10), 50, (30, 10, True, True)),
        ((90, 90), (40, 60), (30, 30), 50, (25, 25, True, True)),
        ((9, 90), (40, 60), (9, 10), 50, (3, 10, True, True)),
        # One error is too few, and the attack is compared without them.
        ((90, 90), (1, 0), (10, 20), 15, (5, 10, False, True)),
        # Errors of one class, flips of the other.
        ((90, 90), (5, 0), (0, 20), 50, (0, 20, False, True)),
        ((90, 90), (5, 3), (0, 1), 50, (5, 3, True, False)),
        ((9, 9), (0, 0), (0, 0), 50, (4, 4, False, False)),
        ((90, 1), (60, 1), (60, 1), 10, (10, 0, True, True)),
        ((3000, 6), (60, 2), (900, 2), 10, (9, 1, True, True)),
    ],
)
def test_sizes_follow_the_scarcest_samples_of_each_class(
    correct: tuple[int, int],
    errors: tuple[int, int],
    flipped: tuple[int, int],
    most: int,
    expected: tuple[int, int, bool, bool],
) -> None:
    sizes = pools(correct, errors, flipped).sizes(most)

    assert sizes is not None
    assert (*sizes.counts, sizes.errors, sizes.attacked) == expected


def test_draws_vary_and_genes_are_reordered_in_all_groups_alike() -> None:
    own = pools((30, 30), (5, 5), (20, 20))
    sizes = own.sizes(50)
    assert sizes is not None
    first, second = (own.draw(sizes, np.random.default_rng(seed)) for seed in (0, 1))
    order = np.random.default_rng(2).permutation(8)

    assert all(set(first[name]) != set(second[name]) for name in ("reference", "attacked"))
    for name, values in own.groups(first, order).items():
        np.testing.assert_array_equal(values, own.groups(first)[name][:, order])


# Nulls ------------------------------------------------------------------------------


def test_the_p_value_is_that_of_plain_loops() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    references = [noise(5, 20, seed=seed) for seed in (0, 1)]
    attacked, errors = 1.2 * noise(5, 20, seed=2), noise(5, 20, seed=3)

    found = ssim.exchangeability(references, attacked, errors, labels, 99, np.random.default_rng(5))

    pool, classes = np.concatenate([attacked, errors]), np.tile(labels, 2)
    places = ssim._permuted(classes, 99, np.random.default_rng(5))
    assert (np.sort(places, axis=1) == np.arange(10)).all()
    assert (classes[places] == classes).all()
    assert len({tuple(row) for row in places}) > 90

    def statistic(rows: np.ndarray, view: ssim.View) -> float:
        one, other = (ssim.pictures(pool[part])[view] for part in (rows[:5], rows[5:]))
        natural = [ssim.pictures(reference)[view] for reference in references]
        differences = [
            spectral.similarity(known, one) - spectral.similarity(known, other) for known in natural
        ]
        return sum(differences) / len(differences)

    for view in ssim.views(5, 20):
        permuted = [abs(statistic(rows, view)) for rows in places]
        larger = sum(value >= permuted[0] - 1e-9 for value in permuted[1:])
        assert found[view] == pytest.approx((1 + larger) / 100)
    assert len(set(found.values())) > 1


@pytest.mark.parametrize("counts", [(20, 30), (24, 26), (50, 0)])
def test_large_groups_have_a_p_value(counts: tuple[int, int]) -> None:
    """The ways to divide them are more than a machine's whole numbers hold."""
    labels = np.repeat([0, 1], counts)
    data = noise(3, len(labels), 12)

    found = ssim.exchangeability(data[:1], data[1], data[2], labels, 19, np.random.default_rng(0))

    assert not np.isnan(list(found.values())).any()


def test_blocks_of_permutations_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [noise(5, 20, seed=seed) for seed in range(3)]

    def p_values() -> dict[ssim.View, float]:
        rng = np.random.default_rng(1)
        return ssim.exchangeability(data[:1], *data[1:], np.array([0, 0, 0, 1, 1]), 30, rng)

    whole = p_values()
    monkeypatch.setattr(ssim, "_CELLS", 1)
    assert p_values() == whole


@pytest.mark.parametrize("view", [SIGNAL, IMAGE])
def test_p_values_are_uniform_where_attacked_samples_are_natural_ones(view: ssim.View) -> None:
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, 60)
        values = rng.normal(0, 0.3 + 0.3 * labels[:, None], (60, 16)).astype(np.float32)
        correct = np.arange(60) < 48
        # The "attacked" are natural samples too, of the classes of those they stand for.
        moved = rng.normal(0, 0.3 + 0.3 * labels[:48, None], (48, 16)).astype(np.float32)
        every = np.arange(48)
        own = Pools(values, labels, correct, moved, every, np.ones(48, dtype=bool), every)
        sizes = own.sizes(12)
        assert sizes is not None and sizes.errors and sizes.attacked
        draw = own.draw(sizes, rng)
        groups = own.groups(draw)
        others = [own.values[rows] for rows in own.references(sizes, draw, 2, rng)]
        found = ssim.exchangeability(
            others, groups["attacked"], groups["natural_error"], sizes.labels, 199, rng, [view]
        )
        p_values.append(found[view])

    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) < 0.1
    assert len(set(p_values)) > 100


@pytest.mark.parametrize("view", [SIGNAL, ("image", "power"), IMAGE])
def test_a_real_difference_is_found(view: ssim.View) -> None:
    # Genes have means of their own in natural samples, and none in those attacked.
    means = np.random.default_rng(3).normal(0, 0.6, 32).astype(np.float32)
    natural = [noise(20, 32, seed=seed) + means for seed in range(4)]
    labels = np.repeat([0, 1], 10)

    found = ssim.exchangeability(
        natural[:3], noise(20, 32, seed=9), natural[3], labels, 199, np.random.default_rng(0),
        [view],
    )  # fmt: skip

    assert found[view] == 1 / 200


@pytest.mark.parametrize(("counts", "known"), [((1, 1), False), ((0, 3), False), ((2, 2), False),
                                               ((0, 4), True), ((2, 3), True)])  # fmt: skip
def test_too_few_samples_have_no_p_value(counts: tuple[int, int], known: bool) -> None:
    # Ways to choose a group: 2·2, 20, 6·6, 70, 6·20; below 40 no p-value reaches 0.05.
    n = sum(counts)
    groups = [noise(n, 30, seed=seed) for seed in range(3)]

    found = ssim.exchangeability(
        groups[:1], *groups[1:], np.repeat([0, 1], counts), 50, np.random.default_rng(0)
    )

    assert len(found) == (4 if n > 2 else 2)
    assert [np.isfinite(p) for p in found.values()] == [known] * len(found)


def log_spectrum(values: np.ndarray) -> np.ndarray:
    return spectral.log_power(spectral.power_spectrum(values.ravel()).power)


def of_own_order(first: np.ndarray, second: np.ndarray, n: int, seed: int) -> float:
    rng = np.random.default_rng([seed, 1])
    genes = np.arange(first.shape[1])
    orders = [genes, *(rng.permutation(genes) for _ in range(n))]
    return ssim.own_order(
        np.array(
            [
                spectral.similarity(log_spectrum(first[:, order]), log_spectrum(second[:, order]))
                for order in orders
            ]
        )
    )


def test_p_values_of_the_gene_order_are_uniform_where_genes_are_alike() -> None:
    p_values = [
        of_own_order(noise(4, 20, seed=seed), noise(4, 20, seed=1000 + seed), 39, seed)
        for seed in range(200)
    ]

    assert kstest(p_values, "uniform").pvalue > 0.01
    assert len(set(p_values)) > 30


def test_an_order_that_matters_is_found() -> None:
    # Means along one wave make a single peak, in another order one at each harmonic.
    wave = np.cos(2 * np.pi * np.arange(40) / 8)
    first, second = (noise(8, 40, seed=seed) + wave for seed in (0, 1))

    assert of_own_order(first, second, 99, 0) <= 0.02
    assert ssim.own_order(np.array([5.0, 1.0, 2.0, 3.0])) == 1 / 4
    assert ssim.own_order(np.array([2.0, 1.0, 2.5, 4.0])) == 3 / 4
    assert ssim.own_order(np.array([1.0, 1.0, 1.0])) == 1.0


# The experiment ---------------------------------------------------------------------

SMALL = Ssim(draws=4, gene_orders=3, permutations=19, max_samples=10)
P = 12


def splits(noisy: float = 1.6) -> tuple[Samples, Samples, Samples]:
    return (
        drawn(0, 60, P, "train", noisy),
        drawn(1, 60, P, "dev", noisy),
        drawn(2, 80, P, "test", noisy),
    )


def experiment(
    weights: Any = None, noisy: float = 1.6, size: Ssim = SMALL, **changes: Any
) -> tuple[ssim_experiment.Compared, Logistic, fimba.Fimba]:
    train, dev, test = splits(noisy)
    model = Logistic(np.ones(P) if weights is None else weights)
    chosen = options(**{"k": [2, 10, "all"], "test_samples": 70} | changes)
    known = targets.make(chosen.targets, train, out_of_fold(train, np.arange(20)))
    ranking = {("shap", "global"): np.arange(P)}
    found = ssim_experiment.compare(model, dev, test, known, ranking, chosen, size, 7)
    return found, model, chosen


def rows_of(found: ssim_experiment.Compared, **where: Any) -> pd.DataFrame:
    table = found.ssim
    for name, value in where.items():
        table = table[table[name] == value]
    return table


def test_all_rows_are_there_and_only_they() -> None:
    found, *_ = experiment()

    table = found.ssim
    assert list(table) == [*ssim_experiment.SSIM_COLUMNS]
    assert not table.duplicated([*ssim_experiment.SSIM_COLUMNS][:-1]).any()
    assert np.isfinite(table.loc[table["comparison"] != "exchangeable", "ssim"]).all()
    tested = rows_of(found, comparison="exchangeable", targets="opposite")["ssim"]
    assert tested.between(0, 1).all()
    cells = table[["targets", "features", "k"]].drop_duplicates().to_records(index=False)
    assert [tuple(row) for row in cells] == [
        (kind, features, k) for kind in ("error", "opposite")
        for features, k in (("shap", P), ("random", 10))
    ]  # fmt: skip
    # The targets of some flips are too few for groups that fill an image.
    for _, own in table[table["view"] == "signal"].groupby(["targets", "features", "scale"]):
        counts = own.groupby("kind").size().to_dict()
        # Four comparisons and the published one; the own order and three others.
        assert counts == {"draw": 4 * 4, "gene_order": 5 * 4, "published": 1, "p_value": 5 + 1}
        assert set(own.loc[own["kind"] == "p_value", "comparison"]) == {
            *ssim.COMPARISONS, "published", "exchangeable"
        }  # fmt: skip


def test_the_published_row_is_all_attacked_samples_against_themselves() -> None:
    found, _, chosen = experiment()
    train, _, test = splits()
    before = fimba.attacked(test, chosen, 7)

    aim = targets.assign(targets.opposite_targets(train), before).values
    after = before.values + 8 / 9 * (aim - before.values)

    assert len(before) == 70
    own = rows_of(found, targets="opposite", features="shap", kind="published")
    for _, row in own.iterrows():
        pair = [ssim.pictures(values)[row["view"], row["scale"]]
                for values in (before.values, after.astype(np.float32))]  # fmt: skip
        assert row["ssim"] == pytest.approx(spectral.similarity(*pair), abs=1e-4)
        assert row["n"] == 70


def test_the_own_order_is_number_0_and_equals_the_first_draw() -> None:
    found, *_ = experiment()
    keys = ["targets", "features", "view", "scale", "comparison"]

    own = rows_of(found, kind="gene_order", number=0).set_index(keys)["ssim"]
    first = pd.concat([rows_of(found, kind=kind, number=0) for kind in ("draw", "published")])
    pd.testing.assert_series_equal(
        own.sort_index(), first.set_index(keys)["ssim"].sort_index(), check_exact=True
    )
    other = rows_of(found, kind="gene_order", number=1).set_index(keys)["ssim"]
    assert (own.sort_index() != other.sort_index()).all()
    orders = rows_of(found, kind="gene_order", targets="error", features="shap",
                     comparison="attacked", view="signal", scale="power")  # fmt: skip
    p = rows_of(found, kind="p_value", targets="error", features="shap", comparison="attacked",
                view="signal", scale="power")["ssim"].item()  # fmt: skip
    assert p == ssim.own_order(orders["ssim"].to_numpy())


def test_large_data_are_cut_for_the_gene_orders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssim_experiment, "CELLS", 20 * P + 5)
    found, *_ = experiment()

    own = rows_of(found, comparison="published")
    assert set(own.loc[own["kind"] == "gene_order", "n"]) == {20}
    assert set(own.loc[own["kind"] == "published", "n"]) == {70}


def test_flipped_samples_are_those_of_the_attack_and_spectra_are_theirs() -> None:
    found, model, chosen = experiment()
    train, dev, test = splits()
    known = targets.make(chosen.targets, train, out_of_fold(train, np.arange(20)))
    rows = fimba.attack(model, test, train, known, {("shap", "global"): np.arange(P)}, chosen, 7)
    rows = rows[
        (rows["k"] == P) & (rows["features"] == "shap") & (rows["values"] == "interpolated")
    ]
    flips = rows[rows["correct_before"] & ~rows["correct_after"]].groupby("targets").size()
    assert 0 < flips["error"] < flips["opposite"]

    bands = found.spectra
    n = bands.drop_duplicates(["group", "targets"]).set_index(["group", "targets"])["n"]
    assert n["attacked"].to_dict() == flips.to_dict()
    natural = np.concatenate([dev.values, test.values])
    labels = np.concatenate([dev.labels, test.labels])
    right = (model.predict_proba(natural)[:, 1] > 0.5) == (labels == 1)
    assert n["natural", ""] == right.sum() and n["natural_error", ""] == (~right).sum()
    for group, mask in (("natural", right), ("natural_error", ~right)):
        own = bands[bands["group"] == group]
        powers = np.log10(spectral.row_spectra(natural[mask]) + 1e-12)
        np.testing.assert_allclose(own["mean"], powers.mean(axis=0))
        np.testing.assert_allclose(own["low"], np.quantile(powers, 0.05, axis=0))
        np.testing.assert_allclose(own["high"], np.quantile(powers, 0.95, axis=0))
        np.testing.assert_allclose(own["frequency"], np.arange(1, 7) / 12)


def test_a_model_without_errors_has_no_natural_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found, *_ = experiment(weights=np.linspace(1, 0, P), noisy=0.05)

    assert set(rows_of(found, kind="draw")["comparison"]) == {"natural", "attacked"}
    assert "exchangeable" not in set(found.ssim["comparison"])
    assert set(found.spectra["group"]) == {"natural", "attacked"}
    assert "too few natural errors" in caplog.text


def test_a_model_that_is_always_wrong_is_compared_as_published_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        found, *_ = experiment(weights=-np.linspace(1, 0, P), noisy=0.05)

    assert set(found.ssim["comparison"]) == {"published"}
    assert set(found.spectra["group"]) == {"natural_error"}
    assert "too few samples that the model gets right" in caplog.text


def test_random_features_alone_and_no_k_below_all() -> None:
    alone, *_ = experiment(features=["random"], targets=["opposite"])
    everything, *_ = experiment(k=["all", 500], targets=["opposite"])

    assert alone.ssim[["features", "k"]].drop_duplicates().to_numpy().tolist() == [["random", P]]
    assert set(everything.ssim["k"]) == {P}
    assert set(everything.ssim["features"]) == {"shap", "random"}


def test_without_interpolated_values_there_are_only_natural_spectra() -> None:
    found, *_ = experiment(values=["uniform"])

    assert found.ssim.empty and list(found.ssim) == [*ssim_experiment.SSIM_COLUMNS]
    assert set(found.spectra["group"]) == {"natural", "natural_error"}


def test_the_same_inputs_give_the_same_numbers() -> None:
    first, second = experiment()[0], experiment()[0]

    pd.testing.assert_frame_equal(first.ssim, second.ssim, check_exact=True)
    pd.testing.assert_frame_equal(first.spectra, second.spectra, check_exact=True)


def test_other_genes_are_refused() -> None:
    train, dev, test = splits()
    other = samples(dev.values, dev.labels, genes=tuple(f"h{place}" for place in range(P)))
    known = targets.make(["opposite"], train, out_of_fold(train, []))

    message = refusal(
        ssim_experiment.compare, Logistic(np.ones(P)), other, test, known, {},
        options(targets=["opposite"]), SMALL, 0,
    )  # fmt: skip
    assert "different genes" in message
