"""The genetic attack of someone who knows the detector, where the best trade-off is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from searching import edit_sets, flat
from test_hard_rules import check_hard_rules, rich_sequence, sections
from toy_models import (
    KilledError,
    Linear,
    Spy,
    apply,
    attack,
    drive,
    linear_score,
    linear_weights,
    random_sequence,
    substitutions,
    target,
    wrap,
)

from genosiege.detection import adaptive_genetic, sequence_evasion
from genosiege.detection.adaptive_genetic import objectives
from genosiege.detection.operating_points import Suspicion
from genosiege.detection.options import Adaptive, Detection
from genosiege.detection.sequence_detectors import Reader, SequenceDetectors
from genosiege.detection.sequence_evasion import Journals, Victim, choose, evade
from genosiege.sequence.answers import margins
from genosiege.sequence.attacks.genetic import Options
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Options(population=20, generations=15, patience=15, max_edits=4, query_budget=400)


def calm(sequences):
    return np.zeros(len(sequences))


def evading(
    sequence, score, suspicion, penalty, options=SMALL, seed=0, rules=None, asked=None, budget=None
):
    steps = adaptive_genetic.search(
        target(sequence, score, rules), options, np.random.default_rng(seed), suspicion, penalty
    )
    # The oracle has charged the original before the search begins.
    return drive(steps, score, (budget or options.query_budget) - 1, asked)


def objective(strings, score, suspicion, penalty):
    """The contract's, by its words."""
    return [
        float(margin >= 0) + penalty * max(s, 0.0)
        for margin, s in zip(score(strings), suspicion(strings), strict=True)
    ]


def problem(seed, length=12, start=1.5):
    """A linear model, and a detector that is another linear model."""
    rng = np.random.default_rng(seed)
    sequence = random_sequence(rng, length)
    weights, watched = rng.normal(size=(2, length, 4))
    score = linear_score(weights, start - linear_score(weights)([sequence])[0])
    suspicion = linear_score(watched, 0.2 - linear_score(watched)([sequence])[0])
    return sequence, score, suspicion


# The search ---------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.3, 1.0, 3.0])
def test_the_best_trade_off_is_found_in_95_of_100_runs(penalty):
    options = Options(max_edits=3, query_budget=3000, generations=400, patience=60)
    hits = []
    for seed in range(20):
        sequence, score, suspicion = problem(seed, length=8)
        every = [sequence] + [
            apply(sequence, edits) for n in (1, 2, 3) for edits in edit_sets(sequence, n)
        ]
        best = min(objective(every, score, suspicion, penalty))
        found = evading(sequence, score, suspicion, penalty, options, seed)
        (mine,) = objective([apply(sequence, found.edits)], score, suspicion, penalty)
        assert mine >= best - 1e-9
        hits.append(mine <= best + 1e-9)
    assert np.mean(hits) >= 0.95


def test_one_trade_off_by_hand():
    # A C at 0 flips and is seen; the same margin is gone with Ts at 1 and 2, which nobody sees.
    weights = np.zeros((6, 4))
    weights[0, 1], weights[1, 3], weights[2, 3] = -1.0, -0.6, -0.6
    score = linear_score(weights, 0.9)

    def seen(sequences):
        return np.array([2.0 * (s[0] == "C") for s in sequences])

    found = evading("AAAAAA", score, seen, 0.1)
    assert found.edits == {1: "T", 2: "T"}
    assert (found.stop_reason, found.succeeded) == ("success", True)


@pytest.mark.parametrize(("penalty", "flips"), [(0.4, True), (0.6, False)])
def test_a_flip_is_kept_only_where_its_suspicion_is_worth_it(penalty, flips):
    def seen(sequences):
        return np.array([2.0 * ("C" in s) for s in sequences])

    # Only a C flips, and any C costs 2 λ.
    score = lambda sequences: np.array([0.5 - ("C" in s) for s in sequences])  # noqa: E731
    found = evading("A" * 10, score, seen, penalty)
    assert found.succeeded == flips
    assert ("C" in found.edits.values()) == flips


def test_the_unchanged_sequence_is_kept_where_everything_else_is_suspicious():
    def seen(sequences):
        return np.array([float(s != "A" * 10) for s in sequences])

    found = evading("A" * 10, lambda s: np.ones(len(s)), seen, 1.0)
    assert (found.edits, found.n_edits_before_pruning, found.succeeded) == ({}, 0, False)


@pytest.mark.parametrize("start", [1.5, 100.0])
def test_without_penalty_it_proposes_what_the_genetic_attack_proposes(start):
    def never(sequences):
        raise AssertionError("the plain attack knows no detector")

    for seed in range(4):
        sequence, score, _ = problem(seed, 30, start)
        plain, mine = [], []
        first = attack(sequence, score, SMALL, seed, asked=plain)
        found = evading(sequence, score, never, 0.0, seed=seed, asked=mine, budget=10**6)
        assert found.succeeded == first.succeeded
        assert found.stop_reason == first.stop_reason
        # Pruning may start from another flip of the same generation.
        n_generations = sum(len(generation) == SMALL.population for generation in plain)
        assert mine[:n_generations] == plain[:n_generations]


@pytest.mark.parametrize("level", [-1.0, 0.0])
def test_a_blind_detector_changes_nothing(level):
    for seed in range(10):
        sequence, score, _ = problem(seed, 30)
        blind = evading(sequence, score, lambda s: np.full(len(s), level), 1.0, seed=seed)
        assert blind == evading(sequence, score, calm, 0.0, seed=seed)


def test_a_detector_that_suspects_all_alike_costs_no_success():
    for seed in range(10):
        sequence, score, _ = problem(seed, 30)
        blind = evading(sequence, score, lambda s: np.full(len(s), 3.0), 2.0, seed=seed)
        assert blind.succeeded == evading(sequence, score, calm, 0.0, seed=seed).succeeded


def test_a_larger_penalty_asks_the_same_and_keeps_what_is_less_suspicious():
    for seed in range(5):
        sequence, score, suspicion = problem(seed, 30)
        generations, kept = [], []
        for penalty in (0.1, 1.0, 10.0):
            asked = []
            found = evading(sequence, score, suspicion, penalty, seed=seed, asked=asked)
            generations.append(asked[0])
            kept.append(max(0.0, suspicion([apply(sequence, found.edits)])[0]))
        assert generations[0] == generations[1] == generations[2]
        assert kept == sorted(kept, reverse=True)


def test_the_search_is_led_to_what_is_not_suspicious():
    weights = np.zeros((60, 4))
    weights[:, 1], weights[:, 3] = -1.0, -0.9  # a C does more than a T, but is seen
    score = linear_score(weights, 6.5)

    def seen(sequences):
        return np.array([0.5 + 0.5 * s.count("C") for s in sequences])

    for seed in range(5):
        found = evading("A" * 60, score, seen, 0.1, Options(query_budget=1000), seed)
        assert found.succeeded
        assert list(found.edits.values()) == ["T"] * 8


def test_a_suspicion_that_peaks_at_the_border_does_not_keep_the_search_before_it():
    """As that of a detector of small margins does, at any penalty."""
    flips = 0
    for seed in range(10):
        sequence, score, _ = problem(seed, 40, start=3.0)

        def suspicion(sequences, score=score):
            return 1.2 - 0.4 * np.abs(score(sequences))

        found = evading(sequence, score, suspicion, 2.0, seed=seed)
        flips += found.succeeded
    assert flips >= 9


@given(
    seed=st.integers(0, 10**6),
    penalty=st.sampled_from([0.1, 0.5, 1.0, 4.0]),
    budget=st.integers(2, 300),
    length=st.integers(4, 40),
)
@settings(max_examples=40, deadline=None)
def test_the_best_candidate_answered_is_kept_and_pruned(seed, penalty, budget, length):
    sequence, score, suspicion = problem(seed, length)
    asked = []
    options = replace(SMALL, query_budget=budget)

    found = evading(sequence, score, suspicion, penalty, options, seed, asked=asked)

    adversary = apply(sequence, found.edits)
    unique = list(dict.fromkeys([sequence, *flat(asked)]))
    answered = unique[:budget]
    assert adversary in answered
    (kept,) = objective([adversary], score, suspicion, penalty)
    assert kept <= min(objective(answered, score, suspicion, penalty)) + 1e-12
    assert found.succeeded == (score([adversary])[0] < 0)
    assert found.n_edits_before_pruning >= len(found.edits)
    if found.succeeded:
        original = max(0.0, suspicion([sequence])[0])
        assert max(0.0, suspicion([adversary])[0]) <= 1 / penalty + original + 1e-9
        # Room for the pruning was kept back, but for a flip at the end of the budget.
        if len(unique) < budget:
            fewer = [
                apply(sequence, {p: b for p, b in found.edits.items() if p != gone})
                for gone in found.edits
            ]
            assert len(fewer) == 1 or min(objective(fewer, score, suspicion, penalty)) > kept


def test_edits_that_neither_flip_nor_hide_are_pruned():
    weights = np.zeros((30, 4))
    weights[3, 1] = -2.0
    score = linear_score(weights, 1.0)

    def seen(sequences):  # never at peace: the search goes on to the end
        return np.array([0.5 + 0.1 * s.count("G") for s in sequences])

    found = evading("A" * 30, score, seen, 1.0)
    assert found.edits == {3: "C"}
    assert found.n_edits_before_pruning >= 1
    assert found.stop_reason != "success"


def test_queries_are_kept_back_for_pruning():
    sequence, score, _ = problem(3, 30, start=0.1)
    asked = []
    options = replace(SMALL, generations=10_000, patience=10_000)
    found = evading(sequence, score, lambda s: 0.5 + 0 * score(s), 1.0, options, 0, asked=asked)
    assert found.stop_reason == "query_budget"
    searched = [one for one in asked if len(one) > SMALL.max_edits]
    most = SMALL.max_edits * (SMALL.max_edits + 1) // 2 - 1
    assert sum(map(len, searched)) == SMALL.query_budget - 1 - most


@pytest.mark.parametrize("rules", [Constraints(edit_mask="hard", editable=((0, 0),))])
def test_where_nothing_may_be_edited_nothing_is_asked(rules):
    asked = []
    sequence, score, suspicion = problem(0)
    found = evading(sequence, score, suspicion, 1.0, rules=rules, asked=asked)
    assert found == ({}, 0, "exhausted", False)
    assert asked == []


def test_without_one_answer_the_unchanged_sequence_is_kept():
    sequence, score, suspicion = problem(0)
    found = evading(sequence, score, suspicion, 1.0, replace(SMALL, query_budget=1))
    assert found == ({}, 0, "query_budget", False)


@given(
    section=sections,
    seed=st.integers(0, 2**32),
    length=st.integers(8, 90),
    max_edits=st.integers(1, 12),
    penalty=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=25, deadline=None)
def test_no_candidate_breaks_a_hard_rule(section, seed, length, max_edits, penalty):
    rng = np.random.default_rng(seed)
    tss_index = int(rng.integers(length))
    sequence = rich_sequence(rng, length, tss_index)
    weights = rng.normal(size=(length, 4))
    score = linear_score(weights, 2.0 - linear_score(weights)([sequence])[0])
    suspicion = linear_score(rng.normal(size=(length, 4)))
    options = Options(population=10, generations=6, max_edits=max_edits)
    asked = []

    rules = Constraints.from_config(section, tss_index)
    found = evading(sequence, score, suspicion, penalty, options, seed, rules, asked)

    for candidate in set(flat(asked)):
        check_hard_rules(sequence, candidate, section, tss_index, max_edits)
    assert not found.edits or apply(sequence, found.edits) in flat(asked)


def test_objectives_by_hand():
    found = objectives(np.array([True, True, False, False]), np.array([-1.0, 0.5, -1.0, 0.5]), 2.0)
    np.testing.assert_allclose(found, [0.0, 1.0, 1.0, 2.0])


# The experiment -----------------------------------------------------------------------

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
        kept = objectives(rows["flipped"].to_numpy(), rows["suspicion"].to_numpy(), penalty)
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
