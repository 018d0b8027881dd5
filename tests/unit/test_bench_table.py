import importlib
import random
import sys
import time
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from toy_models import Linear, linear_score, linear_weights, random_sequence, wrap

from genosiege.errors import InputError
from genosiege.sequence.oracle import Oracle

MODULES = ("table", "published_search", "demo_times", "forwards")


@pytest.fixture(scope="module")
def bench(repository) -> Iterator[dict[str, ModuleType]]:
    """The benchmarks' modules, which are scripts of a folder of their own."""
    folder = str(repository / "tests" / "bench")
    sys.path.insert(0, folder)
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path.remove(folder)
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def table(bench) -> ModuleType:
    return bench["table"]


# Rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "bounds", "target", "met"),
    [
        (150, {"least": 150}, "≥ 150×", True),
        (149.9, {"least": 150}, "≥ 150×", False),
        (0.02, {"most": 0.02, "percent": True}, "≤ 2%", True),
        (0.021, {"most": 0.02, "percent": True}, "≤ 2%", False),
        (None, {"least": 3}, "≥ 3×", None),
        (5.0, {}, "", None),
    ],
)
def test_a_ratio_is_held_against_its_target(table, ratio, bounds, target, met):
    row = table.compared("01 x", 1.0, "s", "rival: 2 s", ratio, **bounds)

    assert (row.target, row.met, row.ratio) == (target, met, ratio)


@pytest.mark.parametrize(
    ("figure", "ratio", "met"), [(5.0, 1.0, True), (5.1, 1.02, False), (None, None, None)]
)
def test_a_figure_is_held_against_its_limit(table, figure, ratio, met):
    row = table.limited("01 x", figure, "s", 5)

    assert (row.target, row.against, row.ratio, row.met) == ("≤ 5 s", "limit 5 s", ratio, met)


def test_a_measure_is_rounded_and_a_count_is_not(table):
    assert table.limited("01 x", 13118, "jobs", 20_000).figure == 13118
    assert table.limited("01 x", 13118.0, "s", 20_000).figure == 13120


def test_what_cannot_be_measured_says_why(table):
    row = table.missing("11 demo", "min", "≤ 10 min", "make demo")

    assert (row.figure, row.ratio, row.met, row.remark) == (None, None, None, "make demo")


# The file -----------------------------------------------------------------------------


def names(table: ModuleType, path) -> list[str]:
    return [row["name"] for row in table.read(path)]


def test_a_script_replaces_its_own_rows_only(table, tmp_path):
    path = tmp_path / "made" / "bench.json"
    table.merge("a/second.py", [table.limited("02 b", 1, "s", 2)], path)
    table.merge("a/first.py", [table.limited(name, 1, "s", 2) for name in ("03 c", "01 a")], path)
    assert names(table, path) == ["01 a", "02 b", "03 c"]

    table.merge("elsewhere/first.py", [table.limited("04 d", 3, "s", 2)], path)

    assert names(table, path) == ["02 b", "04 d"]
    row = table.read(path)[1]
    assert (row["script"], row["met"], row["figure"], row["ratio"]) == ("first", False, 3, 1.5)
    assert row["cores"] >= 1
    assert row["load"] >= 0


def test_a_missing_table_is_empty_and_a_wrong_one_is_refused(table, tmp_path):
    assert table.read(tmp_path / "bench.json") == []
    for content in ("[]", '{"rows": [{"name": "01"}]}'):
        (tmp_path / "bench.json").write_text(content)

        with pytest.raises(InputError, match="no table of benchmarks"):
            table.read(tmp_path / "bench.json")


def test_the_table_is_aligned_and_complete(table, tmp_path, capsys):
    rows = [
        table.compared("01 a", 170.0, "GFLOP/s", "matrices", 0.85, least=0.7, percent=True),
        table.limited("02 long name", 0.25, "s", 0.2, remark="busy"),
        table.missing("03 c", "s", "≤ 5 s", "not made"),
    ]

    table.merge("a.py", rows, tmp_path / "bench.json")

    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert [line.split()[0] for line in printed[1:]] == ["01", "02", "03"]
    assert (
        len({line.index(found) for line, found in zip(printed, ("met", "yes", "NO"), strict=False)})
        == 1
    )
    assert "85.0%" in printed[1]
    assert printed[2].endswith("busy")
    assert "–" in printed[3]


# Where the time goes -------------------------------------------------------------------


def test_a_profile_names_functions_and_no_folder_of_the_machine(table, tmp_path, repository):
    table.profile(lambda: table.read(tmp_path / "none.json"), str(tmp_path / "profile.txt"))

    text = (tmp_path / "profile.txt").read_text()
    assert "tests/bench/table.py" in text
    assert "Ordered by: internal time" in text and "Ordered by: cumulative time" in text
    assert str(repository) not in text and sys.prefix not in text


@pytest.mark.usefixtures("one_thread")
def test_the_time_in_forwards_grows_with_them_alone(bench):
    class Slow(Linear):
        def forward(self, *inputs):
            while time.process_time() < self.until:
                pass
            return super().forward(*inputs)

    model = wrap(Slow(linear_weights(0, 30)))
    oracle = Oracle(model, device=torch.device("cpu"))
    seconds = bench["forwards"].clock(oracle)
    assert seconds() == 0

    oracle._exact.encoder.until = time.process_time() + 0.2
    oracle.logits([random_sequence(np.random.default_rng(0), 30)])
    spent = seconds()
    while time.process_time() < oracle._exact.encoder.until + 0.2:
        pass

    assert spent > 0.1
    assert seconds() == spent


# The rival ----------------------------------------------------------------------------


@pytest.fixture
def problem() -> tuple[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return random_sequence(rng, 60), rng.normal(size=(60, 4))


def score_of(weights: np.ndarray, asked: list[str]):
    """Probabilities of two classes by a logistic model; `asked` takes the questions."""
    margin = linear_score(weights)

    def score(sequence: str) -> np.ndarray:
        asked.append(sequence)
        p = 1 / (1 + np.exp(-margin([sequence])[0]))
        return np.array([p, 1 - p])

    return score


def test_the_rival_asks_one_sequence_at_a_time_and_lowers_the_confidence(bench, problem):
    sequence, weights = problem
    asked: list[str] = []
    score = score_of(weights, asked)
    label = int(score(sequence).argmax())
    before = float(score(sequence).max())
    asked.clear()
    random.seed(0)

    options = bench["published_search"].Options(population=20, generations=15)
    found = bench["published_search"].PublishedSearch(score, options).attack(sequence, label)

    assert found.n_forwards == len(asked)
    assert asked[0] == sequence
    assert {len(text) for text in asked} == {60}
    assert set("".join(asked)) <= set("ACGT")
    assert float(score(found.sequence).max()) < before
    assert found.flips == (int(score(found.sequence).argmax()) != label)


def test_the_rival_ends_after_its_patience(bench, problem):
    sequence, _ = problem
    asked: list[str] = []

    def constant(text: str) -> np.ndarray:
        asked.append(text)
        return np.array([0.6, 0.4])

    random.seed(0)
    options = bench["published_search"].Options(population=10, generations=200, patience=3)
    found = bench["published_search"].PublishedSearch(constant, options).attack(sequence, 0)

    assert not found.flips
    assert len(asked) < 10 * 40


def test_the_rival_never_edits_n_and_is_repeatable(bench, problem):
    sequence, weights = problem
    sequence = sequence[:20] + "N" * 10 + sequence[30:]
    found = []
    for _ in range(2):
        asked: list[str] = []
        random.seed(3)
        options = bench["published_search"].Options(population=10, generations=5)
        search = bench["published_search"].PublishedSearch(score_of(weights, asked), options)
        found.append(search.attack(sequence, 0))
        assert {text[20:30] for text in asked} == {"N" * 10}

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("original", "mutant", "expected"),
    [
        ("ACGTACGTACGTACGTACGTACGT", "ACGTACGTACGTACGTACGTACGT", 1.0),
        # GC kept at 50 ± 5 %, no counted motif lost, a transition.
        ("ACACACACACACACACACACACAC", "GCACACACACACACACACACACAC", 1.0),
        ("ACACACACACACACACACACACAC", "TCACACACACACACACACACACAC", (1 + 1 + 0.3) / 3),
        # Both counts of GC lost, GC content far off.
        ("AGCAAAGCAA", "AATAAAATAA", (0 + 0 + 1) / 3),
    ],
)
def test_the_rivals_plausibility_is_the_published_one(bench, original, mutant, expected):
    assert bench["published_search"].plausibility(original, mutant) == pytest.approx(expected)


# The demo -----------------------------------------------------------------------------


def test_an_incomplete_demo_is_not_judged(bench):
    rows = bench["demo_times"].rows_of(None, False)

    assert len(rows) == 3
    assert {row.met for row in rows} == {None}


def test_benchmarks_are_added_up(bench, tmp_path):
    for name, seconds in (("a", 30), ("b", 90)):
        folder = tmp_path / name
        folder.mkdir()
        lines = ("s\tmax_rss\tcpu_time", f"{seconds}\t{seconds * 10}\t{seconds / 2}\n")
        (folder / "x.tsv").write_text("\n".join(lines))

    times = bench["demo_times"].read(tmp_path)

    assert times.n_jobs == 2
    assert times.jobs == pytest.approx(2)
    assert times.cpu == pytest.approx(1)
    assert times.gib == pytest.approx(900 / 1024)
    assert times.wall == pytest.approx(1.5, abs=0.05)
