"""An attacker who knows the detector: whose adversaries are kept, and what rows say of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_models import (
    KilledError,
    Linear,
    Spy,
    linear_weights,
    random_sequence,
    substitutions,
    wrap,
)

from genosiege.detection import sequence_evasion
from genosiege.detection.operating_points import Suspicion, cost
from genosiege.detection.options import Adaptive, Detection
from genosiege.detection.sequence_detectors import Reader, SequenceDetectors
from genosiege.detection.sequence_evasion import Journals, Victim, choose, evade
from genosiege.sequence.answers import margins
from genosiege.sequence.attacks.genetic import Options
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH, N = 24, 14
PENALTIES = (0.0, 0.25, 1.0, 4.0)
OPTIONS = Detection(
    sequence=("kmer", "period3"),
    mutants=2,
    adaptive=Adaptive(samples=5, penalties=PENALTIES, query_budget=110),
)
RULES = Constraints(transitions="soft")
SEED = 3


class Share:
    """A detector by hand: 10 times the share of a base, unlike any k-mer model."""

    def __init__(self, base):
        self.base = base

    def fit(self, sequences, labels):
        return self

    def score(self, sequences):
        return np.array([10 * s.count(self.base) / len(s) for s in sequences])


def encoder(dies_after=None):
    return Spy(Linear(linear_weights(1, LENGTH)), dies_after)


def table(n, seed, name):
    rng = np.random.default_rng(seed)
    sequences = [random_sequence(rng, LENGTH) for _ in range(n)]
    labels = Oracle(wrap(encoder())).logits(sequences).argmax(axis=1).astype(np.int64)
    labels[::5] = 1 - labels[::5]
    names = [f"{name}:{i}" for i in range(n)]
    return pd.DataFrame({"id": names, "sequence": sequences, "label": labels})


SAMPLE, VALIDATION = table(N, 0, "test"), table(40, 1, "dev")


def run(spy=None, journals=None, options=OPTIONS, sample=SAMPLE, validation=VALIDATION):
    model = wrap(spy or encoder())
    detectors = SequenceDetectors(
        {"kmer": Share("C"), "period3": Share("G")}, Reader(wrap(encoder()), 64)
    )
    victim = Victim(model, RULES, Oracle(model, batch_size=64), 64, SEED)
    return evade(victim, detectors, sample, validation, options, journals)


@pytest.fixture(scope="module")
def undisturbed():
    return encoder()


@pytest.fixture(scope="module")
def result(undisturbed):
    torch.set_num_threads(1)
    return run(undisturbed)


def part(result, name):
    return result[result["part"] == name]


def test_columns_and_parts_are_those_of_the_contract(result):
    expected = [*sequence_evasion.COLUMNS, "score_kmer", "score_period3"]
    assert list(result.columns) == expected
    assert set(result["part"]) == {"validation", "natural", "mutant", "attacked"}
    assert part(result, "validation")["id"].tolist() == VALIDATION["id"].tolist()
    assert part(result, "natural")["id"].tolist() == SAMPLE["id"].tolist()
    others = result[result["part"] != "attacked"]
    assert (others["detector"] == "").all()
    assert others[["penalty", "suspicion"]].isna().all(axis=None)
    scores = [name for name in expected if name.startswith("score_")]
    assert np.isfinite(result[scores]).all(axis=None)


def test_every_row_is_what_its_string_says(result):
    oracle = Oracle(wrap(encoder()))
    labels = result["label"].to_numpy()
    for when, column in (("before", "original"), ("after", "adversarial")):
        found = margins(oracle.logits(result[column].tolist()), labels)
        p_true = 1 / (1 + np.exp(-found))  # two classes
        np.testing.assert_allclose(result[f"p_true_{when}"], p_true, atol=1e-6)
        if when == "before":
            assert (result["correct_before"] == (found >= 0)).all()
        else:
            flips = result["part"].isin(["attacked", "mutant"]) & result["correct_before"]
            assert (result["flipped"] == (flips & (found < 0))).all()
    for name, base in (("kmer", "C"), ("period3", "G")):
        expected = [10 * s.count(base) / LENGTH for s in result["adversarial"]]
        np.testing.assert_allclose(result[f"score_{name}"], expected)
    edits = [
        len(substitutions(a, b))
        for a, b in zip(result["original"], result["adversarial"], strict=True)
    ]
    assert result["n_edits"].tolist() == edits
    assert max(edits) <= Options.max_edits


def test_suspicion_is_that_of_the_evaded_detector_on_the_scale_of_validation_data(result):
    attacked = part(result, "attacked")
    assert set(attacked["detector"]) == {"kmer", "period3"}
    for name, rows in attacked.groupby("detector"):
        natural = part(result, "validation")[f"score_{name}"]
        expected = Suspicion.from_validation(natural).of(rows[f"score_{name}"])
        np.testing.assert_allclose(rows["suspicion"], expected)


def test_each_detector_and_penalty_has_the_same_correct_sequences(result):
    attacked = part(result, "attacked")
    assert attacked["correct_before"].all()
    groups = [rows["id"].tolist() for _, rows in attacked.groupby(["detector", "penalty"])]
    assert len(groups) == 2 * len(PENALTIES)
    assert all(group == groups[0] for group in groups)
    assert len(groups[0]) == OPTIONS.adaptive.samples
    assert (attacked["n_queries_unique"] <= OPTIONS.adaptive.query_budget).all()
    assert (attacked["n_queries_unique"] > 1).all()


def test_the_plain_attack_is_the_same_for_each_detector(result):
    plain = part(result, "attacked").query("penalty == 0")
    one, other = (
        rows.drop(columns=["detector", "suspicion"]).reset_index(drop=True)
        for _, rows in plain.groupby("detector")
    )
    pd.testing.assert_frame_equal(one, other)
    assert one["flipped"].mean() > 0.5


def test_a_penalty_keeps_the_better_of_adversary_and_unchanged_sequence(result):
    attacked = part(result, "attacked")
    natural = part(result, "natural").set_index("id")
    for (name, penalty), rows in attacked.groupby(["detector", "penalty"]):
        scale = Suspicion.from_validation(part(result, "validation")[f"score_{name}"])
        before = np.maximum(scale.of(natural.loc[rows["id"], f"score_{name}"]), 0)
        kept = cost(rows["flipped"].to_numpy(), rows["suspicion"].to_numpy(), penalty)
        assert (kept <= 1 + penalty * before + 1e-12).all()
        if penalty:
            flips = rows["flipped"].to_numpy()
            assert (rows["suspicion"][flips] <= 1 / penalty + before[flips] + 1e-9).all()
    success = attacked.groupby(["detector", "penalty"])["flipped"].sum().unstack()
    positive = success[[p for p in PENALTIES if p]]
    assert (positive.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)


def test_a_larger_penalty_takes_back_what_is_too_suspicious():
    """Only a G flips this model, and the detector counts them."""
    weights = np.zeros((LENGTH, 5, 2))
    weights[:, 2, 1] = 1.0
    weights[0, :4, 0] = 0.5
    sequences = ["A" * LENGTH, "AC" * (LENGTH // 2)]
    sample = pd.DataFrame({"id": ["a", "b"], "sequence": sequences, "label": [0, 0]})
    # A median of 0; 4 of 40 with one G: its suspicion is 1.
    natural = ["G" + "A" * (LENGTH - 1)] * 4 + ["A" * LENGTH] * 36
    validation = pd.DataFrame({"id": map(str, range(40)), "sequence": natural, "label": 0})
    options = replace(OPTIONS, adaptive=Adaptive(penalties=(0.5, 2.0), query_budget=200))

    found = run(Spy(Linear(weights)), options=options, sample=sample, validation=validation)

    rows = part(found, "attacked").query("detector == 'period3'")
    assert part(found, "mutant").empty  # no plain attack
    assert rows["penalty"].tolist() == [0.5, 0.5, 2.0, 2.0]
    assert rows["flipped"].tolist() == [True, True, False, False]
    np.testing.assert_allclose(rows["suspicion"], [1, 1, 0, 0])
    assert rows["adversarial"].tolist()[2:] == sequences
    assert rows["n_edits"].tolist() == [1, 1, 0, 0]
    assert (rows["p_true_after"] == rows["p_true_before"]).tolist() == [False, False, True, True]


def test_mutants_have_as_many_edits_as_the_plain_flips(result):
    plain = part(result, "attacked").query("penalty == 0 and detector == 'kmer' and flipped")
    found = part(result, "mutant").groupby("id")["n_edits"].apply(list).to_dict()
    assert found == {row.id: [row.n_edits] * OPTIONS.mutants for row in plain.itertuples()}


def test_only_the_detectors_asked_for_are_evaded_and_all_score(result):
    options = replace(
        OPTIONS, adaptive=replace(OPTIONS.adaptive, detectors=("kmer",), penalties=(0.0, 1.0))
    )
    rows = part(run(options=options), "attacked")
    expected = part(result, "attacked").query("detector == 'kmer' and penalty == [0, 1]")
    # The smallest penalty is another one, but guides no search.
    pd.testing.assert_frame_equal(rows.reset_index(drop=True), expected.reset_index(drop=True))


def test_the_same_seed_gives_the_same_table(result):
    pd.testing.assert_frame_equal(run(), result)


@pytest.mark.parametrize("dies_after", [20, 60])
def test_a_resumed_job_ends_with_the_same_table(tmp_path, result, undisturbed, dies_after):
    folder = tmp_path / "adaptive.state"
    first, second = encoder(dies_after), encoder()
    with pytest.raises(KilledError):
        run(first, Journals(folder, "digest"))

    journals = Journals(folder, "digest")
    pd.testing.assert_frame_equal(run(second, journals), result)

    assert len(second.rows) < len(undisturbed.rows)
    journals.close()
    assert not folder.exists()


def test_a_journal_is_of_one_campaign_of_one_job(tmp_path):
    journal = Journals(tmp_path, "one").of("plain")
    journal.finish("3/test:0", {"edits": []})
    journal.save()
    assert not Journals(tmp_path, "one").of("kmer").rows
    assert Journals(tmp_path, "one").of("plain").rows
    assert not Journals(tmp_path, "other").of("plain").rows


def test_a_sample_without_a_right_sequence_is_no_error():
    wrong = SAMPLE.assign(label=1 - SAMPLE["label"])
    kept = wrong[~part(run(sample=wrong), "natural")["correct_before"].to_numpy()]
    found = run(sample=kept)
    assert set(found["part"]) == {"validation", "natural"}


# Who is attacked ----------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 30), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_sequences_chosen_are_right_and_share_the_classes(seed, size, n, n_classes):
    rng = np.random.default_rng(seed)
    sample = pd.DataFrame({"id": range(size), "label": rng.integers(n_classes, size=size)})
    correct = pd.Series(rng.random(size) < 0.7)

    found = choose(sample, correct, n, seed)

    assert correct[found["id"]].all()
    assert len(found) == min(n, correct.sum())
    assert found["id"].is_monotonic_increasing
    everyone = choose(sample, pd.Series(np.ones(size, bool)), n, seed)
    shares = sample["label"].value_counts() / size * min(n, size)
    counts = everyone["label"].value_counts().reindex(shares.index, fill_value=0)
    assert (abs(counts - shares) < n_classes).all()
    # Only who is wrong gives way.
    assert set(everyone["id"][correct[everyone["id"]].to_numpy()]) <= set(found["id"])


def test_none_chooses_all_that_are_right():
    sample = pd.DataFrame({"id": range(9), "label": [0, 1, 2] * 3})
    correct = pd.Series([True, False, True] * 3)
    assert choose(sample, correct, None, 0)["id"].tolist() == [0, 2, 3, 5, 6, 8]
