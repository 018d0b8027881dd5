"""Figures over all attacks and over all jobs say what they show, and never vary."""

import re

import pandas as pd
import pytest
from figure_text import text_of
from test_figures import attack_result

from genosiege.figures import job_times as job_times_figure
from genosiege.figures import overview
from genosiege.report import job_times
from genosiege.sequence import audit, summaries, worst_case
from genosiege.sequence.results import AttackResult


@pytest.fixture
def results() -> list[AttackResult]:
    return [
        attack_result(attack, encoder) for encoder in ("cnn", "hf") for attack in ("a", "genetic")
    ]


def drawn(results: list[AttackResult]):
    return overview.robust_accuracy(
        summaries.robust_accuracy_table(results), worst_case.worst_case_table(results)
    )


def test_the_overview_has_every_model_attack_and_the_worst_case(results, tmp_path):
    text = text_of(drawn(results), tmp_path / "figure.svg")

    for name in ("promoters · cnn", "promoters · hf", "no attack", "genetic", "worst case"):
        assert name in text
    table = summaries.robust_accuracy_table(results)
    last = table[table["edit_budget"] == table["edit_budget"].max()]["robust_accuracy"]
    assert {f"{100 * value:.1f}" for value in last} <= set(text.split(" | "))


def test_the_overview_does_not_vary(results, tmp_path):
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    text_of(drawn(results), one)
    text_of(drawn(results[::-1]), other)

    assert one.read_bytes() == other.read_bytes()


def test_without_an_attack_the_overview_says_so(tmp_path):
    assert "no attack was run" in text_of(drawn([]), tmp_path / "figure.svg")


def test_without_a_certificate_the_worst_case_is_that_of_the_attacks(results):
    assert audit.certify_table([]).empty
    shown = overview._at_most_edits(
        summaries.robust_accuracy_table(results), worst_case.worst_case_table(results)
    )
    assert (shown["worst case"] <= shown[["a", "genetic"]].min(axis=1)).all()


def test_job_times_name_kinds_jobs_and_memory(tmp_path):
    table = pd.DataFrame(
        [["attack", 12, 400.0, 60.0, 380.0, 1234.0], ["embed", 1, 90.0, 90.0, 170.0, 700.0]],
        columns=job_times.COLUMNS,
    )

    text = text_of(job_times_figure.bars(table), tmp_path / "figure.svg")

    assert "12 jobs, 1,234 MB" in text
    assert "1 job, 700 MB" in text
    assert "minutes of all jobs" in text


def test_without_a_time_the_figure_says_so(tmp_path):
    empty = pd.DataFrame(columns=job_times.COLUMNS)

    assert "no job was measured" in text_of(job_times_figure.bars(empty), tmp_path / "figure.svg")


def test_the_caption_defines_every_column_of_the_times(repository):
    caption = (repository / "workflow/report/jobs.rst").read_text()

    assert set(re.findall(r"^``(\w+)``", caption, flags=re.MULTILINE)) == set(job_times.COLUMNS)
