"""No candidate of any attack breaks a hard rule, by a check of the test's own."""

import numpy as np
import pytest
from Bio.Seq import reverse_complement, translate
from Bio.SeqUtils import nt_search
from hypothesis import given, settings
from hypothesis import strategies as st
from searching import run
from toy_models import apply, linear_score, random_sequence, substitutions

from genosiege.sequence.constraints import Constraints

# As in the constraints' documentation; here as search strings with their strands.
BOTH_STRANDS = {"gc_box": "GGGCGG", "ccaat_box": "CCAAT"}
ONE_STRAND = {"tata_box": "TATAWAWR", "bre": "SSRCGCC"}
AT_THE_START = {"initiator": ("YYANWYY", -2), "dpe": ("RGWYV", 27)}


def motif_places(sequence, tss_index):
    """Places of all known motifs, by Biopython's search."""
    places = set()
    patterns = [*ONE_STRAND.values(), *BOTH_STRANDS.values()]
    patterns += [reverse_complement(pattern) for pattern in BOTH_STRANDS.values()]
    for pattern in patterns:
        places |= {(pattern, start) for start in nt_search(sequence, pattern)[1:]}
    for pattern, distance in AT_THE_START.values():
        start = tss_index + distance
        if start >= 0 and start in nt_search(sequence, pattern)[1:]:
            places.add((pattern, start))
    return places


def stop_places(sequence, frame):
    codons = [sequence[i : i + 3] for i in range(frame, len(sequence) - 2, 3)]
    return {i for i, codon in enumerate(codons) if translate(codon) == "*"}


def check_hard_rules(original, candidate, section, tss_index, max_edits):
    edits = substitutions(original, candidate)
    assert 1 <= len(edits) <= max_edits
    assert all(original[p] != "N" and base in "ACGT" for p, base in edits.items())
    shift = sum(map(candidate.count, "GC")) - sum(map(original.count, "GC"))
    assert abs(shift) <= section["gc_shift"]["limit"] * len(original) + 1e-9
    if section["motifs"]["mode"] == "hard":
        assert motif_places(original, tss_index) <= motif_places(candidate, tss_index)
    if section["transitions"]["mode"] == "hard":
        pairs = {frozenset(original[p] + base) for p, base in edits.items()}
        assert pairs <= {frozenset("AG"), frozenset("CT")}
    for frame in section["stop_codons"]["frames"]:
        assert stop_places(candidate, frame) <= stop_places(original, frame)
    intervals = section["edit_mask"]["editable"]
    if intervals is not None:
        assert all(any(a <= p < b for a, b in intervals) for p in edits)


def rich_sequence(rng, length, tss_index):
    """A random sequence with motifs and N strewn in, so that the rules bind."""
    sequence = random_sequence(rng, length, 0.03)
    places = [(tss_index - 2, "CTAGTCC"), (tss_index + 27, "AGACG")]
    for piece in rng.choice(["TATAAAAG", "GGGCGG", "CCGCCC", "ATTGG", "GGACGCC", "TACTAG"], 3):
        places.append((int(rng.integers(max(1, length - len(piece)))), str(piece)))
    for start, piece in places:
        if start < 0:
            continue
        sequence = (sequence[:start] + piece + sequence[start + len(piece) :])[:length]
    return sequence


sections = st.fixed_dictionaries(
    {
        "gc_shift": st.fixed_dictionaries(
            {"mode": st.just("hard"), "limit": st.sampled_from([0, 0.01, 0.02, 0.05, 0.2])}
        ),
        "motifs": st.fixed_dictionaries(
            {
                "mode": st.sampled_from(["hard", "hard", "soft"]),
                "known": st.just([*ONE_STRAND, *BOTH_STRANDS, *AT_THE_START]),
            }
        ),
        "transitions": st.fixed_dictionaries({"mode": st.sampled_from(["hard", "soft", "off"])}),
        "stop_codons": st.fixed_dictionaries(
            {"mode": st.just("hard"), "frames": st.lists(st.integers(0, 2), unique=True)}
        ),
        "edit_mask": st.fixed_dictionaries(
            {
                "mode": st.just("hard"),
                "editable": st.sampled_from([None, [[0, 30]], [[3, 9], [20, 200]], [[5, 6]]]),
            }
        ),
    }
)


# Those that start without a model of their own; what else there is has a test beside it.
ENTRIES = [
    {"kind": "genetic", "population": 10, "generations": 6},
    {"kind": "greedy", "query_budget": 1_500},
    {"kind": "greedy", "beam": 3, "query_budget": 1_500},
    {"kind": "random", "query_budget": 120},
    {"kind": "natural", "rate": 0.05, "draws": 80},
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: "_".join(map(str, entry.values())))
@given(
    section=sections,
    seed=st.integers(0, 2**32),
    length=st.integers(8, 90),
    max_edits=st.integers(1, 12),
    flips=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_no_candidate_ever_breaks_a_hard_rule(entry, section, seed, length, max_edits, flips):
    rng = np.random.default_rng(seed)
    tss_index = int(rng.integers(length))
    sequence = rich_sequence(rng, length, tss_index)
    weights = rng.normal(size=(length, 4))
    start = linear_score(weights)([sequence])[0]
    score = linear_score(weights, (2.0 if flips else 100.0) - start)
    asked = []

    rules = Constraints.from_config(section, tss_index)
    found = run(entry | {"max_edits": max_edits}, sequence, score, rules, seed, asked)

    proposed = [candidate for proposal in asked for candidate in proposal]
    for candidate in set(proposed):
        check_hard_rules(sequence, candidate, section, tss_index, max_edits)
    if found.edits:
        adversary = apply(sequence, found.edits)
        check_hard_rules(sequence, adversary, section, tss_index, max_edits)
        assert adversary in proposed
    assert found.succeeded == bool(found.edits and score([apply(sequence, found.edits)])[0] < 0)
    # Pruning may ask again what the search had asked, and nature repeats itself.
    if not found.succeeded and entry["kind"] != "natural":
        assert len(set(proposed)) == len(proposed)
