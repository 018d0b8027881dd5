"""Motifs in hand-made sequences, and matrices against brute force."""

import itertools

import numpy as np
import pytest
from Bio import motifs as bio_motifs
from Bio.Seq import reverse_complement
from toy_models import random_sequence

from genosiege.errors import InputError
from genosiege.sequence.motifs import KNOWN, find_sites, jaspar_motifs, known_motifs

TSS = 40


def sequence_with(*pieces, length=90, filler="A"):
    """A sequence of one base with pieces at given places."""
    characters = [filler] * length
    for start, piece in pieces:
        characters[start : start + len(piece)] = piece
    return "".join(characters)


def found(sequence, name, tss_index=TSS):
    return [site.start for site in find_sites(sequence, known_motifs([name]), tss_index)]


# Known motifs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "piece", "spoiled"),
    [
        ("tata_box", "TATAAAAG", "TATAAAAC"),
        ("tata_box", "TATATATA", "TATATACA"),
        ("bre", "GGACGCC", "GGTCGCC"),
        ("bre", "CCGCGCC", "ACGCGCC"),
        ("gc_box", "GGGCGG", "GGGCGA"),
        ("gc_box", "CCGCCC", "CCGCAC"),
        ("ccaat_box", "CCAAT", "CCAGT"),
        ("ccaat_box", "ATTGG", "ATTGC"),
    ],
)
def test_a_motif_is_found_wherever_it_stands(name, piece, spoiled):
    filler = "C" if name == "tata_box" else "A"
    for start in (0, 33, 90 - len(piece)):
        assert found(sequence_with((start, piece), filler=filler), name) == [start]
        assert found(sequence_with((start, piece), filler=filler), name, None) == [start]
        assert found(sequence_with((start, spoiled), filler=filler), name) == []


@pytest.mark.parametrize(("name", "piece"), [("tata_box", "TATAAAAG"), ("bre", "GGACGCC")])
def test_a_motif_of_one_strand_does_not_count_on_the_other(name, piece):
    assert found(sequence_with((30, reverse_complement(piece)), filler="C"), name) == []


def test_the_initiator_has_its_a_on_the_transcription_start():
    # YYANWYY with the A at +1, which is index TSS.
    assert found(sequence_with((TSS - 2, "CTAGTCC"), filler="G"), "initiator") == [TSS - 2]
    for shift in (-1, 1):
        piece = (TSS - 2 + shift, "CTAGTCC")
        assert found(sequence_with(piece, filler="G"), "initiator") == []


def test_the_dpe_stands_from_28_to_32_after_the_start():
    # +1 is index TSS, so +28 is index TSS + 27.
    assert found(sequence_with((TSS + 27, "AGACG"), filler="T"), "dpe") == [TSS + 27]
    for shift in (-1, 1):
        assert found(sequence_with((TSS + 27 + shift, "AGACG"), filler="T"), "dpe") == []


@pytest.mark.parametrize("name", ["initiator", "dpe"])
def test_spaced_motifs_need_a_start_site_inside_the_sequence(name):
    everywhere = "CTAGTCCAGACG" * 10
    assert found(everywhere, name, None) == []
    for tss_index in (0, 1, 119, 5000):
        for start in found(everywhere, name, tss_index):
            assert 0 <= start <= 120 - len(KNOWN[name].pattern)
    assert found("ACG", name, 1) == []


@pytest.mark.parametrize("name", list(KNOWN))
def test_n_is_part_of_no_motif(name):
    motif = KNOWN[name]
    start = 30 if motif.start_from_tss is None else TSS + motif.start_from_tss
    concrete = {"Y": "C", "N": "C", "W": "A", "S": "G", "R": "A", "V": "C"}
    piece = "".join(concrete.get(code, code) for code in motif.pattern)
    assert start in found(sequence_with((start, piece)), name)
    for i in range(len(piece)):
        spoiled = f"{piece[:i]}N{piece[i + 1 :]}"
        assert start not in found(sequence_with((start, spoiled)), name)


def test_sites_may_overlap():
    assert found(sequence_with((10, "TATATATATA"), filler="C"), "tata_box") == [10, 12]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"caat.*tata_box.*dpe"):
        known_motifs(["caat"])


def lost(sites, original, edits):
    return sum(not site.kept(original, edits) for site in sites)


def test_a_site_is_lost_by_an_edit_that_leaves_the_pattern_only():
    sequence = sequence_with((10, "TATAAAAG"), (30, "GGGCGG"), filler="C")
    sites = find_sites(sequence, known_motifs(["tata_box", "gc_box"]), None)
    assert [(site.name, site.start) for site in sites] == [("tata_box", 10), ("gc_box", 30)]

    assert lost(sites, sequence, {}) == 0
    assert lost(sites, sequence, {9: "G", 18: "G", 60: "A"}) == 0
    assert lost(sites, sequence, {17: "A"}) == 0  # the last base of TATAWAWR may be A or G
    assert lost(sites, sequence, {17: "T"}) == 1
    assert lost(sites, sequence, {17: "N"}) == 1
    assert lost(sites, sequence, {10: "C", 11: "C", 33: "T"}) == 2


# Matrices -----------------------------------------------------------------------------

MATRICES = """>MA0001.1 LOPSIDED
A [12  0  3  1 ]
C [ 0 10  3  9 ]
G [ 1  1  4  2 ]
T [ 0  2  3  1 ]
>MA0002.1 PALINDROME
A [10  0  0  0 ]
C [ 0  9  1  0 ]
G [ 0  1  9  0 ]
T [ 0  0  0 10 ]
"""

LOPSIDED = [[12, 0, 3, 1], [0, 10, 3, 9], [1, 1, 4, 2], [0, 2, 3, 1]]


@pytest.fixture
def jaspar(tmp_path):
    path = tmp_path / "matrices.jaspar"
    path.write_text(MATRICES)
    return str(path)


def hits(counts, threshold):
    """All words that reach the share of the range, by counting alone."""
    columns = np.array([counts[base] for base in "ACGT"], float).T + 0.25
    scores = np.log2(columns / columns.sum(axis=1, keepdims=True) / 0.25)
    low, high = scores.min(axis=1).sum(), scores.max(axis=1).sum()
    return {
        "".join("ACGT"[i] for i in word)
        for word in itertools.product(range(4), repeat=len(scores))
        if sum(scores[p, b] for p, b in enumerate(word)) >= low + threshold * (high - low) - 1e-9
    }


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.85, 1.0])
def test_a_matrix_finds_the_words_above_its_threshold_on_both_strands(jaspar, threshold):
    with open(jaspar) as handle:
        records = list(bio_motifs.parse(handle, "jaspar"))
    sequence = random_sequence(np.random.default_rng(0), 3000, 0.02)
    sites = find_sites(sequence, jaspar_motifs(jaspar, threshold), None)

    for record in records:
        words = hits(record.counts, threshold)
        both = words | {reverse_complement(word) for word in words}
        expected = {i for i in range(2997) if sequence[i : i + 4] in both}
        assert {site.start for site in sites if site.name == record.name} == expected
        assert expected


def test_a_palindromic_matrix_gives_one_site_not_two(jaspar):
    (site,) = find_sites("TTTACGTTTT", jaspar_motifs(jaspar, 0.95), None)
    assert (site.name, site.start) == ("PALINDROME", 3)


def test_a_matrix_site_is_kept_while_it_stays_above_the_threshold(jaspar):
    words = hits(dict(zip("ACGT", LOPSIDED, strict=True)), 0.7)
    sites = [s for s in find_sites("GGACACGG", jaspar_motifs(jaspar, 0.7), None) if s.start == 2]
    forward = [s for s in sites if s.name == "LOPSIDED"][:1]
    assert "ACAC" in words
    for position, base in itertools.product(range(4), "ACGT"):
        word = "ACAC"[:position] + base + "ACAC"[position + 1 :]
        assert lost(forward, "GGACACGG", {2 + position: base}) == (word not in words)


@pytest.mark.parametrize("content", ["", "no matrix here\n", ">MA1 X\nA [ 1 2\nC [1 x ]\n"])
def test_a_file_without_matrices_is_refused_by_its_path(tmp_path, content):
    path = tmp_path / "bad.jaspar"
    path.write_text(content)
    with pytest.raises(InputError, match=r"bad\.jaspar") as caught:
        jaspar_motifs(str(path), 0.85)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_motif_file_is_refused_by_its_path(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jaspar"):
        jaspar_motifs(str(tmp_path / "gone.jaspar"), 0.85)
    (tmp_path / "binary.jaspar").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.jaspar"):
        jaspar_motifs(str(tmp_path / "binary.jaspar"), 0.85)


def test_known_motifs_are_the_consensus_of_the_literature():
    assert {name: motif.pattern for name, motif in KNOWN.items()} == {
        "tata_box": "TATAWAWR",
        "initiator": "YYANWYY",
        "gc_box": "GGGCGG",
        "ccaat_box": "CCAAT",
        "bre": "SSRCGCC",
        "dpe": "RGWYV",
    }
