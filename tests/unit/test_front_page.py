"""The front page tells what the run's tables say, and nothing else."""

import html
import re
from pathlib import Path
from types import SimpleNamespace

import jinja2
import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts

from genosiege.errors import InputError
from genosiege.report import described, findings, front_page, job_times

FOLDER = "results/main"


def rated(**values: tuple[float, float, float]) -> dict[str, float]:
    return {
        f"{name}{end}": value
        for name, three in values.items()
        for end, value in zip(("", "_low", "_high"), three, strict=True)
    }


def worst_case(encoder: str = "cnn", seed: object = 0, robust: float = 0.123) -> pd.DataFrame:
    place = {"task": "prom", "encoder": encoder, "seed": seed, "stage": "baseline"}
    rows = [
        place | {"attack": attack, "edit_budget": budget, "n_sequences": 500}
        | rated(robust_accuracy=(value, value - 0.02, value + 0.03))
        for attack, of_none in (("worst_case", robust), ("genetic", 0.777))
        for budget, value in ((0, 0.9), (1, 0.71), (10, of_none))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def certify(exact: bool = True) -> pd.DataFrame:
    return pd.DataFrame(
        [{"task": "prom", "encoder": "cnn", "seed": 0, "stage": "baseline", "k": 1, "exact": exact}]
    )


def verdict() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"task": "prom", "encoder": "cnn", "seed": 0, "defence": "mixed", "kind": "mixed",
             "n_sequences": 500, "verdict": "robust gain", "note": np.nan}
            | rated(delta_robust_accuracy=(0.041, 0.012, 0.07),
                    delta_clean_accuracy=(-0.0004, -0.003, 0.002))
        ]
    )  # fmt: skip


def fimba_row(k: int | str, attacked: float, **changes: object) -> dict[str, object]:
    return {
        "dataset": "tcga", "model": "xgboost", "seed": 0, "targets": "opposite",
        "importance": "global", "features": "shap", "values": "interpolated", "k": str(k),
        "t": 8 / 9, "n_genes": 260, "n": 178,
        **rated(attacked_accuracy=(attacked, attacked - 0.05, attacked + 0.05),
                clean_accuracy=(0.98, 0.95, 0.99),
                accuracy_minus_random=(-0.4, -0.5, -0.3)),
    } | changes  # fmt: skip


def best_detector(**changes: object) -> pd.DataFrame:
    row = {
        "data": "tcga", "model": "xgboost", "seed": 0, "attack": "fimba", "null": "clean",
        "adversaries": "successful", "detector": "mahalanobis", "n_adversaries": 90,
        "adaptive_n": 100,
        **rated(undetected_success=(0.91, 0.85, 0.96), tpr_at_5=(0.48, 0.41, 0.55)),
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def every_table() -> dict[str, pd.DataFrame]:
    return {
        "worst_case": worst_case(),
        "certify": certify(),
        "verdict": verdict(),
        "fimba": pd.DataFrame([fimba_row(50, 0.42), fimba_row("all", 0.4), fimba_row(260, 0.3)]),
        "best_detector": best_detector(),
    }


def only(found: pd.DataFrame, name: str) -> pd.Series:
    rows = found[found["finding"] == name]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_five_findings_are_the_tables_values():
    found = findings.findings_table(every_table())

    robust = only(found, "robustness")
    assert (robust["value"], robust["reference"], robust["n"]) == (0.123, 0.9, 500)
    assert only(found, "one_edit")["value"] == 0.71
    assert only(found, "hardening")["value_low"] == 0.012
    # All 260 genes are no choice of genes: the most that are one.
    assert only(found, "expression")["value"] == 0.42
    assert (
        only(found, "expression")["measure"] == "accuracy, 50 genes moved towards the other class"
    )
    assert only(found, "detection")["reference_high"] == 0.55


def test_one_edit_is_exact_only_where_every_edit_was_tried():
    without = findings.findings_table({"worst_case": worst_case()})
    bounded = findings.findings_table({"worst_case": worst_case(), "certify": certify(False)})
    exact = findings.findings_table({"worst_case": worst_case(), "certify": certify()})

    remarks = [only(found, "one_edit")["remark"] for found in (without, bounded, exact)]
    assert [remark.split(":")[0] for remark in remarks] == [
        "an upper bound", "an upper bound", "exact",
    ]  # fmt: skip


def test_means_over_seeds_are_told_where_there_are_any():
    table = pd.concat([worst_case(seed="0"), worst_case(seed="all", robust=0.3)])

    robust = only(findings.findings_table({"worst_case": table}), "robustness")

    assert robust["value"] == 0.3
    assert robust["subject"] == "prom · cnn, all seeds"


def test_of_seeds_without_a_mean_the_first_is_told_and_named():
    table = pd.concat([worst_case(seed="10", robust=0.3), worst_case(seed="2")])

    robust = only(findings.findings_table({"worst_case": table}), "robustness")

    assert (robust["value"], robust["subject"]) == (0.123, "prom · cnn, seed 2")


def test_an_attacker_who_knows_the_detector_is_missed_aloud():
    table = best_detector(undetected_success=np.nan, undetected_success_low=np.nan,
                          undetected_success_high=np.nan, adaptive_n=np.nan)  # fmt: skip

    found = findings.findings_table({"best_detector": table})

    assert only(found, "detection")["remark"].startswith("no attacker who knows")
    assert "–" in front_page.render(found, {}, FOLDER)


def test_what_was_not_run_is_said():
    page = front_page.render(findings.findings_table({}), {}, FOLDER)

    assert page.count("Not asked in this run.") == len(findings.FINDINGS)


def test_every_number_of_the_page_comes_from_a_table():
    tables = every_table()
    page = front_page.render(findings.findings_table(tables), {}, FOLDER)

    cells = re.findall(r"<td class=number>([^<]*)</td>", page)
    told = {
        abs(float(number))
        for cell in cells
        for number in re.findall(r"\d+(?:\.\d+)?", cell.replace(",", ""))
    }
    known = {
        round(abs(factor * value), 1)
        for table in tables.values()
        for value in table.select_dtypes("number").to_numpy().ravel()
        if np.isfinite(value)
        for factor in (1, 100)
    }
    assert len(told) > 15
    assert told <= known


def test_changes_are_in_points_with_their_sign_and_nothing_has_none():
    page = front_page.render(findings.findings_table({"verdict": verdict()}), {}, FOLDER)

    assert "+4.1 [+1.2, +7.0]" in page
    assert "0.0 [−0.3, +0.2]" in page


def test_each_finding_links_its_figure_and_its_table():
    page = html.unescape(front_page.render(findings.findings_table(every_table()), {}, FOLDER))

    for finding in findings.FINDINGS.values():
        assert f"results['{FOLDER}/figures/{finding.figure}.svg'].data_uri" in page
        assert f"results['{FOLDER}/tables/{finding.tables[0]}.html'].data_uri" in page


def test_of_many_models_a_few_are_told_and_the_rest_counted():
    table = pd.concat([worst_case(f"cnn{number}") for number in range(9)])

    page = front_page.render(findings.findings_table({"worst_case": table}), {}, FOLDER)

    assert page.count("<td>prom · cnn") == 2 * front_page.MOST_ROWS
    assert "3 more in the table." in page


def test_names_cannot_become_markup():
    table = worst_case("<b>")

    assert "<b>" not in front_page.render(
        findings.findings_table({"worst_case": table}), {}, FOLDER
    )


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
