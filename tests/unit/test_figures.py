"""Figures and the sortable page: they are made, say what they show, and never vary."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from genosiege import figures, sortable_table
from genosiege.sequence import summaries


def attack_result(attack: str, encoder: str = "cnn", seed: int = 0) -> summaries.AttackResult:
    """Make a plausible attack table: 40 sequences, every fifth misclassified."""
    generator = np.random.default_rng([seed, len(attack), len(encoder)])
    n = 40
    correct = np.arange(n) % 5 != 0
    flipped = correct & (generator.random(n) < 0.7)
    n_edits = np.where(flipped, generator.integers(1, 6, size=n), 0)
    before = np.where(correct, generator.uniform(0.6, 1, n), 0.3)
    after = np.where(flipped, 0.4, before)
    rows = pd.DataFrame(
        {
            "attack_seed": 0,
            "id": [f"test:{number}" for number in range(n)],
            "original": "A" * 100,
            "edits": [
                ";".join(f"{place}:A>C" for place in generator.choice(100, k, replace=False))
                for k in n_edits
            ],
            "n_edits": n_edits,
            "p_true_before": before,
            "p_true_after": after,
            "confidence_drop": before - after,
            "correct_before": correct,
            "success_flip": flipped,
        }
    )
    return summaries.AttackResult("promoters", encoder, seed, "baseline", attack, "test", rows, 0)


@pytest.fixture
def results() -> list[summaries.AttackResult]:
    return [
        attack_result(attack, encoder) for encoder in ("cnn", "hf") for attack in ("a", "genetic")
    ]


DRAWN: dict[str, Callable[[list[summaries.AttackResult]], Figure]] = {
    "edits": figures.edits_per_success,
    "confidence": figures.confidence,
    "positions": lambda results: figures.edit_positions(results, {"promoters": 80}),
    "curve": lambda results: figures.robust_accuracy(summaries.robust_accuracy_table(results)),
}


def text_of(figure: Figure, path: Path) -> str:
    figures.save(figure, path)
    svg = path.read_text()
    assert "<text" in svg, "letters must stay text, not outlines"
    return " | ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("edits", ["edits per success (n = {won} successes)", "share of successes", "median"]),
        ("confidence", ["probability of the true class (n = 32 runs)", "before: mean", "after"]),
        ("positions", ["position relative to the TSS (bp)", "(n = {won} successes, ", "TSS"]),
        ("curve", ["edit budget", "(n = 40 test sequences)", "robust accuracy", "genetic"]),
    ],
)
def test_figures_say_what_they_show_and_of_how_many(
    name: str, expected: list[str], results: list[summaries.AttackResult], tmp_path: Path
) -> None:
    text = text_of(DRAWN[name](results), tmp_path / "figure.svg")

    won = int(results[0].rows["success_flip"].sum())
    for words in [*expected, "promoters · cnn", "promoters · hf"]:
        assert words.format(won=won) in text


@pytest.mark.parametrize("name", DRAWN)
def test_equal_input_gives_equal_bytes(
    name: str, results: list[summaries.AttackResult], tmp_path: Path
) -> None:
    for file in ("one.svg", "two.svg"):
        figures.save(DRAWN[name](results), tmp_path / file)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("name", DRAWN)
def test_figures_bear_an_attack_that_never_succeeds(name: str, tmp_path: Path) -> None:
    result = attack_result("genetic")
    rows = result.rows.assign(success_flip=False, n_edits=0, edits="", correct_before=False)

    text = text_of(DRAWN[name]([result._replace(rows=rows)]), tmp_path / "figure.svg")

    assert "n = " in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DRAWN)
def test_figures_bear_runs_of_a_single_sequence(name: str, tmp_path: Path) -> None:
    result = attack_result("genetic")
    rows = result.rows.assign(id="test:0")

    text = text_of(DRAWN[name]([result._replace(rows=rows)]), tmp_path / "figure.svg")

    for words in {"confidence": ["before: mean", "after: mean"]}.get(name, ["n = "]):
        assert words in text


@pytest.mark.parametrize("name", DRAWN)
def test_figures_bear_a_run_without_attacks(name: str, tmp_path: Path) -> None:
    assert "no attack was run" in text_of(DRAWN[name]([]), tmp_path / "figure.svg")


def test_position_axis_without_tss_counts_from_the_first_letter(
    results: list[summaries.AttackResult], tmp_path: Path
) -> None:
    text = text_of(figures.edit_positions(results, {"promoters": None}), tmp_path / "f.svg")

    assert "position in the sequence (bp)" in text
    assert "TSS" not in text


def test_curve_of_several_seeds_draws_their_mean(tmp_path: Path) -> None:
    curve = summaries.robust_accuracy_table([attack_result("genetic", seed=s) for s in (0, 1)])

    line = figures.robust_accuracy(curve).axes[0].lines[0]

    mean = curve[curve["seed"] == "all"]["robust_accuracy"]
    assert np.asarray(line.get_ydata()).tolist() == mean.tolist()


def test_each_label_stands_at_the_end_of_its_own_curve() -> None:
    most = {"a": 10, "genetic": 4, "published": 7}
    results = [attack_result(name)._replace(max_edits=edits) for name, edits in most.items()]

    axes = figures.robust_accuracy(summaries.robust_accuracy_table(results)).axes[0]

    labels = {text.get_text(): text.xy for text in axes.texts if isinstance(text, Annotation)}
    ends = {name: line.get_xydata()[-1] for name, line in zip(most, axes.lines, strict=True)}
    assert {name: place[0] for name, place in labels.items()} == most
    for name, (_, height) in ends.items():
        assert labels[name][1] == pytest.approx(height, abs=0.15)


def test_median_of_edits_is_marked_where_it_lies(results: list[summaries.AttackResult]) -> None:
    axes = figures.edits_per_success(results[:1]).axes[0]

    rows = results[0].rows
    median = rows.loc[rows["success_flip"], "n_edits"].median()
    assert median in [x for line in axes.lines for x in np.asarray(line.get_xdata()).tolist()]


def test_labels_move_apart_and_keep_their_order() -> None:
    assert figures.spread([0.5, 0.52, 0.9, 0.48], gap=0.1) == pytest.approx([0.5, 0.6, 0.9, 0.4])


@pytest.mark.parametrize("colour", figures.COLOURS)
def test_text_colours_stand_out_from_white(colour: str) -> None:
    rgb = np.array([int(figures._ink(colour)[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    assert 1.05 / (figures._luminance(rgb) + 0.05) >= 4.45


class Cells(HTMLParser):
    """Collects the cells' sort keys, and every reference to another file."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str | None] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found: dict[str, Any] = dict(attrs)
        if tag == "td":
            self.keys.append(found["data-value"])
        self.references += [found[name] for name in ("src", "href") if name in found]


def test_sortable_page_keeps_all_digits_and_asks_for_no_other_file() -> None:
    table = pd.DataFrame({"name <b>": ['x"y', "z"], "rate": [1 / 3, np.nan], "n": [10, 2]})

    page = sortable_table.render(table, "A & B")

    cells = Cells()
    cells.feed(page)
    assert cells.keys == ['x"y', repr(1 / 3), "10", "z", "", "2"]
    assert cells.references == [] and "http" not in page
    assert "name &lt;b&gt;" in page and "A &amp; B" in page
    assert ">0.3333<" in page


def test_sortable_page_writes_large_numbers_out() -> None:
    page = sortable_table.render(pd.DataFrame({"median_queries": [12345.5]}), "Queries")

    assert ">12345.5<" in page


def test_sortable_page_puts_an_interval_beside_its_rate() -> None:
    table = pd.DataFrame({"rate": [0.5], "n": [8], "rate_low": [0.2], "rate_high": [0.8]})

    page = sortable_table.render(table, "Rates")

    assert "0.5 [0.2, 0.8]" in page
    assert "rate_low" not in page


def test_tables_and_figures_are_made_without_a_deep_learning_library() -> None:
    program = (
        "import sys; from genosiege import figures, sortable_table;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "set()", done.stdout + done.stderr
