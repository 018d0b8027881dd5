"""Which adversaries are drawn, what single edits do to their originals, and the picture."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from figure_text import text_of

from genosiege.errors import InputError
from genosiege.figures import adversaries
from genosiege.sequence import motifs, mutagenesis, showcase
from genosiege.sequence.results import AttackResult

ORIGINAL = "ACGTTATAAAAGCA" * 10


def run(identity: str, n_edits: int, margin: float, **changes: object) -> dict[str, object]:
    """Make a row of an attack table whose edits put a letter other than the original's."""
    edits = ";".join(
        f"{place}:{ORIGINAL[place]}>{'C' if ORIGINAL[place] != 'C' else 'G'}"
        for place in range(10, 10 + n_edits)
    )
    return {
        "attack_seed": 0, "id": identity, "label": 1, "original": ORIGINAL,
        "adversarial": ORIGINAL, "edits": edits, "n_edits": n_edits, "p_true_before": 0.9,
        "p_true_after": 0.3, "margin_after": margin, "correct_before": True,
        "success_flip": margin < 0, "confidence_drop": 0.6,
    } | changes  # fmt: skip


def attack(*rows: dict[str, object], name: str = "genetic") -> AttackResult:
    return AttackResult("task", "cnn", 0, "baseline", name, "test", pd.DataFrame(rows), 0)


def chosen(*rows: dict[str, object]) -> list[tuple[str, str]]:
    found = showcase.choose([attack(*rows)])
    return list(zip(found["choice"], found["id"], strict=True))


def test_the_flip_with_fewest_edits_and_a_typical_one_are_chosen():
    runs = [run("a", 1, -0.1), run("b", 3, -0.5), run("c", 4, -0.2), run("d", 9, -3)]

    assert chosen(*runs)[0] == (showcase.FEWEST, "a")
    # The median is 3.5: of 3 and 4, the one with the lower margin left.
    assert chosen(*runs)[1] == (showcase.TYPICAL, "b")


def test_of_equally_few_edits_the_lower_margin_is_chosen():
    assert chosen(run("a", 1, -0.1), run("b", 1, -0.9))[0] == (showcase.FEWEST, "b")


def test_one_flip_is_not_drawn_twice():
    assert chosen(run("a", 2, -1)) == [(showcase.FEWEST, "a")]


def test_without_a_flip_the_largest_drop_is_chosen():
    runs = [run("a", 2, 0.5), run("b", 2, 0.7, confidence_drop=0.61)]

    assert chosen(*runs) == [(showcase.NEAREST, "b")]


def test_of_misclassified_sequences_nothing_is_chosen():
    found = showcase.choose([attack(run("a", 0, -1, correct_before=False))])

    assert found.empty
    assert [*found.columns] == [*showcase.COLUMNS]


class LinearOracle:
    """Asks a model whose logit of class 1 is the sum of a weight for each A."""

    n_classes = 2

    def __init__(self, weights: list[float]) -> None:
        self.weights = np.array(weights)

    def logits(self, sequences: list[str], ids: list[str]) -> np.ndarray:
        found = [np.array([base == "A" for base in s]) @ self.weights for s in sequences]
        return np.column_stack([np.zeros(len(found)), found])


def test_the_scan_gives_what_each_substitution_leaves():
    oracle = LinearOracle([1.0, 2.0, 0.0])

    found = mutagenesis.scan(oracle, {"s": ("AAN", 1)})

    p = {(row.position, row.base): row.p_true for row in found.itertuples()}
    # Three for each letter, none for N.
    assert len(p) == 6
    assert p[0, "C"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert p[1, "T"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_the_track_is_the_lowest_at_each_position():
    found = mutagenesis.scan(LinearOracle([1.0, 2.0]), {"s": ("AC", 1)})

    track = mutagenesis.track(found, 2)

    # An A at the second place would help, so that its lowest is the unchanged sequence's.
    assert track == pytest.approx([0.5, 1 / (1 + np.exp(-1))])


def test_a_label_that_the_model_has_not_is_refused():
    with pytest.raises(InputError, match="s, label 2: the model has 2 classes"):
        mutagenesis.scan(LinearOracle([1.0]), {"s": ("A", 2)})


def test_no_sequence_gives_an_empty_scan():
    assert [*mutagenesis.scan(LinearOracle([]), {}).columns] == [*mutagenesis.COLUMNS]


def drawn(tss_index: int | None = 60) -> SimpleNamespace:
    examples = showcase.choose([attack(run("test:7", 2, -1), run("test:8", 5, -1))])
    scan = mutagenesis.scan(
        LinearOracle([0.1] * len(ORIGINAL)),
        dict.fromkeys(examples["id"], (ORIGINAL, 1)),
    )
    known = motifs.known_motifs(("tata_box", "initiator"))
    return SimpleNamespace(
        examples=examples, figure=adversaries.viewer(examples, scan, known, tss_index)
    )


def test_the_viewer_shows_letters_edits_motifs_and_start_site(tmp_path):
    text = text_of(drawn().figure, tmp_path / "figure.svg")

    assert "genetic · fewest edits · test:7, class 1 · P(true class) 0.900 → 0.300, 2 edits" in text
    assert "tata box" in text
    assert "TSS" in text
    assert text.count(" | T") > ORIGINAL.count("T")


def test_without_a_start_site_positions_count_from_the_first_letter(tmp_path):
    text = text_of(drawn(None).figure, tmp_path / "figure.svg")

    assert "TSS" not in text
    assert "position (0-based)" in text


def test_of_a_long_sequence_the_most_edited_lines_are_drawn():
    example = run("long", 2, -1, original=ORIGINAL * 20, attack="genetic", choice="x")

    lines = adversaries._lines(example)

    assert len(lines) == adversaries.MOST_LINES
    assert lines[0].start == 0
    assert [line.first for line in lines] == [True] + [False] * (adversaries.MOST_LINES - 1)


def test_equal_tables_give_equal_pictures(tmp_path):
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    text_of(drawn().figure, one)
    text_of(drawn().figure, other)

    assert one.read_bytes() == other.read_bytes()


def test_without_an_adversary_the_viewer_says_so(tmp_path):
    empty = showcase.choose([])

    figure = adversaries.viewer(empty, mutagenesis.scan(LinearOracle([]), {}), [], None)

    assert "no sequence was attacked" in text_of(figure, tmp_path / "figure.svg")
