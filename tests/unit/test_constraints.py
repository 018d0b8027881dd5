"""The biological rules: scores by hand, stop codons by translation."""

import numpy as np
import pytest
import yaml
from Bio.Seq import translate
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_models import random_sequence

from genosiege.errors import InputError
from genosiege.sequence.constraints import Constraints, is_transition
from genosiege.sequence.draws import Draws
from genosiege.sequence.motifs import known_motifs

DEFAULTS = """
gc_shift: {mode: hard, limit: 0.05}
motifs: {mode: soft, known: [tata_box, gc_box], jaspar: [], threshold: 0.85}
transitions: {mode: soft, weight: 0.7}
stop_codons: {mode: off, frames: [], table: 1}
edit_mask: {mode: hard, editable: null}
"""


def config(text=DEFAULTS, **changes):
    section = yaml.safe_load(text)
    return {rule: {**options, **changes.get(rule, {})} for rule, options in section.items()}


def bind(sequence, **rules):
    return Constraints(**rules).bind(sequence)


# Plausibility by hand -----------------------------------------------------------------


def test_transitions_stay_among_purines_or_pyrimidines():
    pairs = {a + b for a in "ACGT" for b in "ACGT" if is_transition(a, b)}
    assert pairs == {"AG", "GA", "CT", "TC"}


@pytest.mark.parametrize(
    ("edits", "score"),
    [
        ({}, 1.0),
        ({0: "G"}, 1.0),  # one of 20: 5 points
        ({0: "T", 1: "T"}, 1.0),
        ({0: "G", 10: "A"}, 1.0),  # one up, one down
        ({0: "G", 1: "C", 2: "G"}, 0.0),  # 15 points
        ({0: "G", 1: "C"}, 0.0),  # 10 points: twice the limit
    ],
)
def test_gc_score_falls_from_the_limit_to_twice_the_limit(edits, score):
    rules = bind("A" * 10 + "C" * 10, gc_shift="soft")
    assert rules.plausibility(edits) == pytest.approx(score)


def test_gc_score_between_the_limits():
    rules = bind("A" * 40 + "C" * 60, gc_shift="soft", gc_limit=0.04)
    edits = dict.fromkeys(range(5), "G")
    assert rules.plausibility(edits) == pytest.approx(0.75)
    assert rules.describe(edits).gc_shift == pytest.approx(0.05)
    assert rules.describe({60: "A"}).gc_shift == pytest.approx(-0.01)


def test_a_gc_limit_of_zero_keeps_the_count():
    rules = bind("ACGT" * 5, gc_shift="hard", gc_limit=0.0)
    assert rules.allows({0: "T"})
    assert rules.allows({0: "G", 1: "A"})
    assert not rules.allows({0: "G"})


@pytest.mark.parametrize(("n_edits", "allowed"), [(5, True), (6, False)])
def test_the_gc_limit_itself_is_allowed(n_edits, allowed):
    for length in (100, 300):
        rules = bind("A" * length, gc_shift="hard", gc_limit=0.05)
        scale = length // 100
        edits = dict.fromkeys(range(n_edits * scale), "G")
        assert rules.allows(edits) == allowed


def test_transition_score_is_the_mean_over_edits():
    rules = bind("AAAA", transitions="soft")
    assert rules.plausibility({0: "G"}) == 1
    assert rules.plausibility({0: "C"}) == pytest.approx(0.3)
    assert rules.plausibility({0: "G", 1: "C"}) == pytest.approx(0.65)
    assert rules.plausibility({0: "G", 1: "C", 2: "T"}) == pytest.approx(1.6 / 3)


def test_motif_score_is_the_share_of_sites_kept():
    sequence = "CC" + "TATAAAAG" + "CC" + "GGGCGG" + "CC" + "CCGCCC" + "TT"
    names = ["tata_box", "gc_box"]
    rules = bind(sequence, motifs="soft", motif_list=tuple(known_motifs(names)))
    assert [site.start for site in rules.sites] == [2, 12, 20]
    assert rules.plausibility({2: "C"}) == pytest.approx(2 / 3)
    assert rules.plausibility({2: "C", 3: "C", 20: "T"}) == pytest.approx(1 / 3)
    assert rules.describe({2: "C", 3: "C", 20: "T"}).motifs_lost == 2
    hard = bind(sequence, motifs="hard", motif_list=tuple(known_motifs(names)))
    assert not hard.allows({20: "T"})
    assert hard.allows({27: "A"})


def test_plausibility_is_the_mean_of_the_rules_that_are_on():
    sequence = "TATAAAAG" + "C" * 12
    rules = bind(
        sequence,
        gc_shift="soft",
        motifs="soft",
        transitions="soft",
        stop_codons="soft",
        edit_mask="soft",
        motif_list=tuple(known_motifs(["tata_box"])),
        frames=(0,),
        editable=((0, 8),),
    )
    # GC: two of 20 gained, 0. TATA lost: 0. Transversion and transition: .65. No stop: 1.
    # Both inside the mask: 1.
    assert rules.plausibility({0: "G", 1: "G"}) == pytest.approx((0 + 0 + 0.65 + 1 + 1) / 5)
    # C to T at 9 and 10: GC 10 points down, 0; TATA kept; transitions; outside the mask: 0.
    assert rules.plausibility({9: "T", 10: "T"}) == pytest.approx((0 + 1 + 1 + 1 + 0) / 5)


def test_no_rule_means_full_plausibility_and_no_limit():
    rules = bind("ACGT" * 3)
    assert rules.plausibility({0: "C", 1: "G", 2: "C"}) == 1
    assert rules.allows({0: "C", 1: "G", 2: "C"})


def test_a_mask_that_is_not_given_does_not_lift_the_mean():
    rules = bind("AAAA", transitions="soft", edit_mask="hard")
    assert rules.plausibility({0: "C"}) == pytest.approx(0.3)


def test_a_description_counts_whatever_rules_are_on():
    sequence = "TATAAAAG" + "TAC" + "C" * 9
    rules = bind(sequence, motif_list=tuple(known_motifs(["tata_box"])), frames=(2,))
    found = rules.describe({0: "C", 10: "G", 12: "A"})
    assert found.gc_shift == pytest.approx((1 + 0 - 1) / 20)
    assert (found.n_transitions, found.n_transversions) == (1, 2)
    assert found.motifs_lost == 1
    assert found.stop_codons_created == 1
    assert found.plausibility == 1


# Stop codons --------------------------------------------------------------------------


def stops(sequence, frame, table):
    """Places of in-frame stop codons, by translation."""
    usable = sequence[frame : len(sequence) - (len(sequence) - frame) % 3]
    protein = translate(usable, table=table)
    return {frame + 3 * i for i, acid in enumerate(protein) if acid == "*"}


@given(
    st.integers(0, 2**32),
    st.integers(3, 40),
    st.sets(st.integers(0, 2), min_size=1),
    st.sampled_from([1, 2, 6, 11]),
)
@settings(max_examples=300, deadline=None)
def test_stop_codons_are_those_a_translation_gains(seed, length, frames, table):
    rng = np.random.default_rng(seed)
    sequence = random_sequence(rng, length, 0.05)
    stop_codons = {"mode": "hard", "frames": sorted(frames), "table": table}
    rules = Constraints.from_config({"stop_codons": stop_codons}).bind(sequence)
    positions = rng.choice(rules.positions, min(len(rules.positions), 5), replace=False)
    edits = {int(p): "ACGT".replace(sequence[p], "")[rng.integers(3)] for p in positions}
    mutant = "".join(edits.get(i, base) for i, base in enumerate(sequence))

    gained = sum(len(stops(mutant, f, table) - stops(sequence, f, table)) for f in frames)

    assert rules.describe(edits).stop_codons_created == gained
    assert rules.allows(edits) == (gained == 0)
    assert rules.plausibility(edits) == (0 if gained else 1)


# What may be edited -------------------------------------------------------------------


def test_n_is_never_edited_whatever_the_mask():
    for rules in ({}, {"edit_mask": "hard"}, {"edit_mask": "hard", "editable": ((0, 9),)}):
        bound = bind("ANGNT", **rules)
        assert bound.positions.tolist() == [0, 2, 4]
        assert not bound.allows({1: "A"})
        assert not bound.allows({0: "G", 3: "C"})


def test_an_edit_changes_a_base_into_another():
    assert not bind("ACGT").allows({0: "A"})
    assert not bind("ACGT").allows({0: "N"})
    assert bind("ACGT").allows({0: "C"})


def test_a_hard_mask_keeps_edits_inside_its_half_open_intervals():
    rules = bind("A" * 10, edit_mask="hard", editable=((1, 3), (8, 30)))
    assert rules.positions.tolist() == [1, 2, 8, 9]
    assert rules.allows({2: "C", 8: "G"})
    assert not rules.allows({2: "C", 3: "G"})


def test_a_soft_mask_scores_the_share_inside():
    rules = bind("A" * 10, edit_mask="soft", editable=((0, 2),))
    assert len(rules.positions) == 10
    assert rules.plausibility({0: "C", 1: "C", 2: "C", 9: "C"}) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("mode", "weight", "share"), [("off", 0.9, 1 / 3), ("soft", 0.7, 0.7), ("hard", 0.2, 1.0)]
)
def test_proposals_are_transitions_with_the_configured_probability(mode, weight, share):
    rules = bind("ACGT", transitions=mode, transition_weight=weight)
    draws = Draws(np.random.default_rng(0))
    for position, old in enumerate("ACGT"):
        drawn = [rules.propose_base(position, draws) for _ in range(3000)]
        counts = {base: drawn.count(base) / 3000 for base in "ACGT"}
        assert counts[old] == 0
        for base in "ACGT".replace(old, ""):
            expected = share if is_transition(old, base) else (1 - share) / 2
            assert counts[base] == pytest.approx(expected, abs=0.035)


@pytest.mark.parametrize("most_remembered", [1, 7, 5_000])
def test_what_is_remembered_of_edits_changes_no_answer(monkeypatch, most_remembered):
    monkeypatch.setattr("genosiege.sequence.constraints._MOST_REMEMBERED", most_remembered)
    rng = np.random.default_rng(4)
    motifs = tuple(known_motifs(["tata_box", "gc_box", "ccaat_box", "bre"]))
    sequence = "TATAAAAGGGGGCGGCCAATGGGGCGCC" + random_sequence(rng, 12)
    rules = bind(sequence, motifs="soft", motif_list=motifs)
    assert len(rules.sites) >= 4
    lost = []
    for _ in range(400):
        places = rng.choice(len(sequence), rng.integers(1, 5), replace=False)
        edits = {int(p): "ACGT"[rng.integers(4)] for p in places}
        lost.append(sum(not site.kept(sequence, edits) for site in rules.sites))
        assert rules.describe(edits).motifs_lost == lost[-1]
    assert set(lost) >= {0, 1, 2, 3}


# Configuration ------------------------------------------------------------------------


def test_the_default_section_is_read():
    rules = Constraints.from_config(config(), tss_index=250)
    assert (rules.gc_shift, rules.motifs, rules.transitions) == ("hard", "soft", "soft")
    assert (rules.stop_codons, rules.edit_mask) == ("off", "hard")
    assert rules.stop_codon_set == {"TAA", "TAG", "TGA"}
    # The GC box is looked for on both strands.
    assert [motif.name for motif in rules.motif_list] == ["tata_box", "gc_box", "gc_box"]
    assert rules.tss_index == 250


@pytest.mark.parametrize("off", ["off", '"off"', "false"])
def test_a_bare_off_is_off(off):
    text = "\n".join(f"{rule}: {{mode: {off}}}" for rule in config())
    rules = Constraints.from_config(yaml.safe_load(text))
    assert rules.bind("A" * 20).plausibility(dict.fromkeys(range(20), "C")) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"gc_shift": {"mode": "firm"}}, "gc_shift/mode"),
        ({"motifs": {"known": ["tata"]}}, "tata"),
        ({"motifs": {"jaspar": ["/nowhere/x.jaspar"]}}, "x.jaspar"),
        ({"stop_codons": {"table": 7}}, "7"),
        ({"edit_mask": {"editable": [[5, 5]]}}, "edit_mask"),
        ({"edit_mask": {"editable": [[-3, 5]]}}, "edit_mask"),
    ],
)
def test_a_mistake_is_refused_by_its_place(changes, named):
    with pytest.raises(InputError, match=named) as caught:
        Constraints.from_config(config(**changes))
    assert "\n" not in str(caught.value)
