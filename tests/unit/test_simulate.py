import time

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from genosiege import runtime
from genosiege.data import gue, simulate
from genosiege.errors import InputError

LENGTH, TSS = 300, 249


def draw(n=4000, seed=0, **settings):
    return simulate.simulate(
        simulate.Parameters(seed=seed, **settings), n, runtime.stream(seed, "test")
    )


@pytest.fixture(scope="module")
def table():
    return draw()


@pytest.fixture(scope="module")
def promoters(table):
    return table.loc[table["label"] == 1, "sequence"]


@pytest.fixture(scope="module")
def background(table):
    return table.loc[table["label"] == 0, "sequence"]


def gc(sequences):
    text = "".join(sequences)
    return (text.count("G") + text.count("C")) / len(text)


def cpg_ratio(sequences):
    """Observed over expected CpG, as Gardiner-Garden & Frommer count it."""
    text = "|".join(sequences)
    n = len(text) - text.count("|")
    return text.count("CG") * n / (text.count("C") * text.count("G"))


def accuracy(strength, seed=0):
    train = draw(2000, seed, strength=strength)
    test = draw(2000, seed + 100, strength=strength)
    model = make_pipeline(
        CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False),
        FunctionTransformer(lambda counts: np.log1p(counts.toarray()), accept_sparse=True),
        StandardScaler(),
        LogisticRegression(C=1e-3, max_iter=300),
    )
    model.fit(train["sequence"], train["label"])
    return model.score(test["sequence"], test["label"])


def test_the_chain_has_the_human_genomes_dinucleotides():
    (matrix,) = simulate.transition_matrices(np.array([0.0]))
    stationary = np.linalg.matrix_power(matrix, 200)[0]
    joint = stationary[:, None] * matrix

    assert np.allclose(matrix.sum(axis=1), 1)
    assert stationary[1] + stationary[2] == pytest.approx(0.35, abs=1e-6)
    # Both strands alike.
    assert np.allclose(joint, joint[::-1, ::-1].T, atol=1e-9)
    ratio = joint / np.outer(stationary, stationary)
    assert ratio[1, 2] == pytest.approx(0.24, abs=0.03)  # CpG
    assert ratio[3, 0] < 0.8 < 1.1 < ratio[1, 0]  # TpA is rare, CpA is frequent


def test_cpg_depletion_ends_in_an_island():
    grid = simulate.transition_matrices(np.linspace(0, 1, 5))
    ratios = []
    for matrix in grid:
        stationary = np.linalg.matrix_power(matrix, 200)[0]
        ratios.append(matrix[1, 2] / stationary[2])

    assert (np.diff(ratios) > 0).all()
    assert ratios[-1] > 0.75


def test_background_is_depleted_of_cpg_and_promoters_are_richer(promoters, background):
    assert 0.35 < gc(background) < 0.45
    assert cpg_ratio(background) < 0.4
    assert gc(promoters) > gc(background) + 0.1
    assert cpg_ratio(promoters) > cpg_ratio(background) + 0.2


def test_promoters_are_richest_around_the_start_site(promoters, background):
    windows = [gc(promoters.str[start : start + 50]) for start in range(0, LENGTH, 50)]
    flat = [gc(background.str[start : start + 50]) for start in range(0, LENGTH, 50)]

    assert windows == sorted(windows[:4]) + windows[4:]
    assert windows[3] > windows[0] + 0.05
    assert max(flat) - min(flat) < 0.02


def test_elements_stand_where_they_belong(promoters, background):
    def share(sequences, pattern, first, last):
        width = pattern.count("[") or len(pattern)
        return sequences.str[TSS + first : TSS + last + width].str.contains(pattern).mean()

    tata = "[T][A][T][A][AT][A][AT]"
    assert share(promoters, tata, -33, -28) > 0.06
    assert share(promoters, tata, -33, -28) > 4 * share(promoters, tata, -133, -128)
    initiator = "[CT][CT][A][ACGT][AT][CT][CT]"
    assert share(promoters, initiator, -2, -2) > 0.2
    assert share(background, initiator, -2, -2) < 0.05
    dpe = "[AG][G][AT][CT][ACG]"
    assert share(promoters, dpe, 27, 27) > 2 * share(background, dpe, 27, 27)


def test_gc_and_ccaat_boxes_stand_on_both_strands(promoters):
    upstream = promoters.str[TSS - 110 : TSS - 40]
    elsewhere = promoters.str[:70]

    for box in ("CCAAT", "ATTGG"):
        assert upstream.str.contains(box).mean() > elsewhere.str.contains(box).mean() + 0.08
    for box in ("GGGCGG", "CCGCCC"):
        assert upstream.str.contains(box).mean() > elsewhere.str.contains(box).mean() + 0.15


@pytest.mark.parametrize("seed", [0, 1])
def test_a_good_classifier_is_right_in_nine_of_ten_cases_and_not_always(seed):
    assert 0.87 < accuracy(1.0, seed) < 0.95


def test_strength_sets_the_difficulty():
    assert 0.45 < accuracy(0.0) < 0.55
    assert accuracy(0.4) < accuracy(1.0)


def test_equal_seeds_give_equal_sequences_and_others_differ():
    first = draw(50, seed=3)

    assert first.equals(draw(50, seed=3))
    assert not set(first["sequence"]) & set(draw(50, seed=4)["sequence"])


def test_splits_of_one_seed_share_no_sequence_and_read_as_a_task(tmp_path):
    settings = simulate.Parameters(n_train=201, n_dev=40, n_test=40)
    paths = {split: str(tmp_path / f"{split}.csv") for split in gue.SPLITS}
    for split, path in paths.items():
        simulate.write(settings, split, path)

    card = gue.prepare(paths).card

    assert [card["splits"][split]["rows"]["official"] for split in gue.SPLITS] == [201, 40, 40]
    assert card["splits"]["train"]["class_balance"]["official"] == {"0": 101, "1": 100}
    assert all(overlap["sequences"] == 0 for overlap in card["overlaps"])
    again = tmp_path / "again.csv"
    simulate.write(settings, "train", again)
    assert again.read_bytes() == (tmp_path / "train.csv").read_bytes()


@pytest.mark.parametrize(("length", "tss_index"), [(300, 249), (70, 35), (20, 0), (1, 0)])
def test_any_length_and_start_site_work(length, tss_index):
    table = draw(60, length=length, tss_index=tss_index)

    assert (table["sequence"].str.len() == length).all()
    assert table["sequence"].str.fullmatch("[ACGT]+").all()


@pytest.mark.parametrize(
    "wrong",
    [{"n_dev": 1}, {"length": 0}, {"tss_index": 300}, {"strength": -0.1}, {"strenght": 1}],
)
def test_impossible_parameters_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        simulate.parameters({"kind": "simulate", **wrong})


def test_a_consensus_holds_as_often_as_it_says():
    matrix = simulate.consensus("ARN", fidelity=0.9)

    assert np.allclose(matrix.sum(axis=1), 1)
    assert np.allclose(matrix[0], [0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3])
    assert np.allclose(matrix[1], [0.45, 0.05, 0.45, 0.05])
    assert np.allclose(matrix[2], 0.25)


def test_ten_thousand_sequences_take_seconds():
    started = time.perf_counter()
    table = draw(10_000)

    assert time.perf_counter() - started < 5
    assert isinstance(table, pd.DataFrame)
    assert len(table) == 10_000
