"""The front page tells what the run's tables say, and nothing else."""

import html
import re
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import jinja2
import numpy as np
import pandas as pd
import pytest
import toy_findings as toy
from docutils.core import publish_parts

from genosiege.errors import InputError
from genosiege.report import about_data, described, findings, front_page, job_times

FOLDER = "results/main"


def test_what_was_not_run_is_said():
    page = front_page.render(findings.findings_table({}), {}, FOLDER)

    assert page.count("Not asked in this run.") == len(findings.FINDINGS)


def page_of(**tables: pd.DataFrame) -> str:
    return front_page.render(
        findings.findings_table(tables), {}, FOLDER, tables.get("warnings"),
        about_data.about_data(tables),
    )  # fmt: skip


def numbers(texts: Iterable[str]) -> set[float]:
    return {
        abs(float(number))
        for text in texts
        for number in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))
    }


def test_every_number_of_the_page_comes_from_a_table():
    tables = toy.every_table()
    page = page_of(**tables)

    told = numbers(re.findall(r"<td class=\"number\"[^>]*>([^<]*)</td>", page))
    known = {
        round(abs(factor * value), 1)
        for table in tables.values()
        for value in table.select_dtypes("number").to_numpy().ravel()
        if np.isfinite(value)
        for factor in (1, 100)
    }
    assert len(told) > 20
    assert told <= known


def test_changes_are_in_points_with_their_sign_and_nothing_has_none():
    page = page_of(verdict=toy.verdict())

    assert "+4.1 [+1.2, +7.0]" in page
    assert "0.0 [−0.3, +0.2]" in page


def test_genes_are_counted_and_more_than_was_tried_has_words():
    rows = [toy.searched("shap", 1200.5), toy.searched("random", np.inf)]

    page = page_of(smallest_k=pd.DataFrame(rows))

    assert ">1,200.5 [1,199.5, more than tried]<" in page
    assert ">more than tried<" in page


def test_what_is_not_known_is_a_dash_and_an_unknown_n_nothing():
    gone = dict.fromkeys(["undetected_success", "adaptive_n"], np.nan)

    page = page_of(**toy.best_detector(toy.detected(**gone)))

    assert ">–<" in page
    assert 'data-label="n"></td>' in page


def test_each_finding_links_its_figure_and_its_table():
    page = html.unescape(page_of(**toy.every_table()))

    for finding in findings.FINDINGS.values():
        if finding.figure:
            assert f"results['{FOLDER}/figures/{finding.figure}.svg'].data_uri" in page
        assert f"results['{FOLDER}/tables/{finding.table}.html'].data_uri" in page


def test_a_remark_has_the_width_of_the_page():
    page = page_of(verdict=toy.verdict())

    assert page.count('<tr class="remark"><td colspan="4">robust gain; one of 2') == 1


def test_of_many_models_a_few_are_told_and_the_rest_counted():
    table = pd.concat([toy.worst_case(f"cnn{number}") for number in range(9)])

    page = page_of(worst_case=table)

    assert page.count("<td>prom · cnn") == 2 * front_page.MOST_ROWS
    assert "3 more in the table." in page


# Warning signs


def test_warning_signs_are_counted_by_kind_with_a_link():
    page = html.unescape(
        page_of(
            warnings=toy.warnings(
                ("budget_exhausted", "genetic"), ("budget_exhausted", "greedy"),
                ("constant_model", ""),
            )
        )
    )  # fmt: skip

    assert f"results['{FOLDER}/tables/warnings.html'].data_uri" in page
    assert (
        ">3 warning signs</a>: runs ended at their limit (2); "
        "the model gives one answer to everything (1).</p>" in page
    )


def test_one_and_no_warning_sign_are_said():
    assert ">1 warning sign</a>: " in page_of(warnings=toy.warnings(("flips_lost", "genetic")))
    assert ">No warning sign</a>.</p>" in page_of(warnings=toy.warnings())
    # Where none was looked for, none is said to be missing.
    assert "warning sign" not in page_of(smallest_k=toy.smallest_k())


def test_every_sign_of_the_caption_has_words(repository):
    caption = (repository / "workflow/report/warnings.rst").read_text()
    signs = re.findall(r"^``(\w+)``", caption[caption.index("warning  ") :], re.MULTILINE)

    assert len(signs) >= 7
    assert set(signs) <= set(front_page.SIGNS)


# The data


def test_constructed_negatives_are_explained_with_accuracy_by_class():
    page = page_of(**toy.every_table())

    assert (
        "prom: this task&#x27;s negatives look constructed from its positives. Of 3,245 pairs of "
        "related rows 3,196 have opposite labels. Robust accuracy partly measures how well "
        "replaced blocks are noticed" in page
    )
    row = page[page.index("<td>prom · cnn</td><td>0</td>") :].split("</tr>")[0]
    cells = re.findall(r">([^<]*)</td>", row)
    assert cells == ["prom · cnn", "0", "80.0 % [70.0 %, 90.0 %]", "1,200",
                     "85.0 % [60.0 %, 95.0 %]", "30"]  # fmt: skip


def test_without_pairs_the_test_rows_are_counted():
    (sentence,) = about_data.about_data({"data": toy.data(pairs=np.nan)}).sentences

    assert "771 have relatives of another label alone, 4 of either." in sentence


def test_natural_negatives_and_no_relatives_are_no_matter():
    tables = {"data": toy.data(False), "by_class": toy.by_class((0, -1, 1), n_with_relative=0)}

    assert about_data.about_data(tables) == ([], [])
    assert "About the data" not in page_of(**tables)


def test_names_cannot_become_markup():
    assert "<b>" not in page_of(worst_case=toy.worst_case("<b>"))


def test_the_run_is_described_with_versions_and_machines():
    made = {"versions": {"Python": "3.11.7", "torch": "2.13.0"}, "machine": "a CPU"}
    searched = {"machine": "a GPU", "precision": "bf16", "batching": "lockstep"}

    rows = described.describe({}, [{"made_with": made}] * 2, [searched] * 3, {"training": [0, 1]})

    told = dict(tuple(row) for row in rows["Seeds, versions, machines"][1:])
    assert told["seeds of training"] == "0, 1"
    assert told["torch"] == "2.13.0"
    assert told["models were measured on"] == "a CPU"
    assert told["attacks searched on"] == "a GPU · bf16 · lockstep"
    # Without a table there is nothing to say of data and models.
    assert [*rows] == ["Seeds, versions, machines"]


@pytest.mark.parametrize(("tasks", "datasets"), [(["a"], ["b"]), ([], ["b"]), (["a"], [])])
def test_the_page_around_it_is_sound_whichever_arm_was_run(
    tasks, datasets, repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("results/main").mkdir(parents=True)
    Path("results/main/front_page.html").write_text("<p>the findings</p>")
    run = {"name": "main", "tasks": tasks, "datasets": datasets, "attacks": [], "defences": ["d"]}
    asked = {"attack_samples": None}
    config = {"run": run, "sampling": asked, "certify": {"max_edits": 1},
              "detection": {"sequence": [], "models": datasets}}  # fmt: skip
    text = (repository / "workflow/report/workflow.rst").read_text()

    # As Snakemake does it.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    rst = environment.from_string(text).render(snakemake=SimpleNamespace(config=config))
    page = publish_parts(rst, writer_name="html", settings_overrides={"report_level": 2})

    assert "<p>the findings</p>" in page["html_body"]
    assert "system-message" not in page["html_body"]


def test_times_are_summed_up_by_kind_of_job(tmp_path):
    for name, line in {
        "attack/a.tsv": "10.5\t0:00:10\t100\t20.0",
        "attack/deep/b.tsv": "4.5\t0:00:04\t300\t5.0",
        "embed/a.tsv": "1.0\t0:00:01\t-\t-",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{line}\n")
    (tmp_path / "rounds.csv").write_text("no benchmark\n")

    table = job_times.job_times_table(str(tmp_path)).set_index("jobs_of")

    assert [*table.loc["attack"]] == [2, 15.0, 10.5, 25.0, 300.0]
    assert table.loc["embed", "n_jobs"] == 1
    assert [*table.index] == ["attack", "embed"]


def test_what_is_no_benchmark_is_named(tmp_path):
    (tmp_path / "attack").mkdir()
    (tmp_path / "attack/a.tsv").write_text("nothing\n")

    with pytest.raises(InputError, match=r"a\.tsv: this is no benchmark"):
        job_times.job_times_table(str(tmp_path))
