"""The findings of two runs, computed again from the rows of their tables by other code.

`docs/results/{run}/findings.csv` is what `tell_findings` makes of the tables beside it. Nothing of
the library chooses a row here, and what can be counted in another table is taken from there.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from genosiege.report import about_data, findings, front_page

RESULTS = Path(__file__).resolve().parents[2] / "docs/results"
SEQUENCES = (
    "worst_case", "certify", "baseline", "by_class", "data", "warnings", "known_truth", "verdict",
)  # fmt: skip
GENES = ("smallest_k", "best_detector", "adaptive")
TABLES = {"demo": (*SEQUENCES, *GENES), "expression_bulk": GENES}
RUNS = ["demo", "expression_bulk"]

NOTHING = (math.nan, math.nan, math.nan)
Row = dict[str, str]


def read(run: str, table: str) -> list[Row]:
    with (RESULTS / run / f"{table}.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def number(cell: str) -> float:
    return float(cell) if cell else math.nan


def three(row: Row, name: str) -> tuple[float, ...]:
    return tuple(number(row[name + end]) for end in ("", "_low", "_high"))


def where(rows: Iterable[Row], **cells: str) -> list[Row]:
    return [row for row in rows if all(row[name] == cell for name, cell in cells.items())]


def models(rows: Iterable[Row], *names: str) -> list[tuple[tuple[str, ...], list[Row]]]:
    """Give each model's rows: those over all seeds, or of the first."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    taken = []
    for model, own in sorted(found.items()):
        seeds = {row["seed"] for row in own}
        seed = "all" if "all" in seeds else min(seeds, key=int)
        taken.append((model, where(own, seed=seed)))
    return taken


def against(run: str, own: Row) -> tuple[list[str], list[str]]:
    """Say what must, and what must not, stand in the remark of a model of DNA."""
    place = {"task": own["task"], "encoder": own["encoder"], "seed": own["seed"]}
    (check,) = where(read(run, "baseline"), **place)
    if check["input_check"] == "passed":
        return [], []
    if int(check["n_predicted_classes"]) == 1:
        return ["one answer"], ["exact"]
    return ["swapped" if float(check["mcc_high"]) < 0 else "no better than chance"], ["exact"]


def limits(run: str, own: Row, among: Iterable[str] | None = None) -> list[str]:
    """List what must be told of searches at their limit."""
    signs = where(
        read(run, "warnings"), task=own["task"], encoder=own["encoder"], seed=own["seed"],
        stage="baseline", warning="budget_exhausted",
    )  # fmt: skip
    signs = [sign for sign in signs if among is None or sign["attack"] in among]
    return [f"{sign['attack']} in {sign['n']} of {sign['of']}" for sign in signs]


def worst_case(run: str, finding: str) -> Iterator[dict[str, Any]]:
    rows = where(read(run, "worst_case"), attack="worst_case", stage="baseline")
    for (task, encoder), own in models(rows, "task", "encoder"):
        by_budget = {int(row["edit_budget"]): row for row in own}
        truths = where(read(run, "known_truth"), is_truth="True", task=task, encoder=encoder)
        row = by_budget[max(by_budget) if finding == "robustness" else 1]
        said, unsaid = against(run, row)
        place = {"task": task, "encoder": encoder, "seed": row["seed"], "stage": "baseline"}
        if finding == "one_edit":
            proof = where(read(run, "certify"), **place, k="1")
            proven = bool(proof) and proof[0]["n_unknown"] == "0"
            if proven and not said:
                said = ["exact"]
                share = int(proof[0]["n_robust"]) / int(proof[0]["n_sequences"])
                assert share == pytest.approx(number(row["robust_accuracy"]))
            elif not proven:
                said, unsaid = [*said, "upper bound"], ["exact"]
        else:
            classes = where(read(run, "by_class"), **place)
            weaker = [c["label"] for c in classes
                      if number(c["robust_accuracy_minus_rest_high"]) < 0]  # fmt: skip
            said += [f"class {label} is weaker" for label in weaker] + limits(run, row)
            unsaid += [f"class {c['label']} is" for c in classes if c["label"] not in weaker]
        (said if truths else unsaid).append("no model, but the truth itself")
        yield {
            "subject": f"{task} · {encoder}",
            "value": three(row, "robust_accuracy"),
            "reference": three(by_budget[0], "robust_accuracy"),
            "n": int(row["n_sequences"]),
            "said": said,
            "unsaid": unsaid,
        }


def truth(run: str) -> Iterator[dict[str, Any]]:
    rows = where(read(run, "known_truth"), attack="genetic", stage="baseline")
    (itself,) = where(rows, is_truth="True")
    for (task, encoder), (row,) in models(where(rows, is_truth="False"), "task", "encoder"):
        # Whatever is known of a run is in one of these.
        kinds = int(row["n_model_errors"]) + int(row["n_true_changes"])
        assert kinds == int(row["n_flips"]) <= int(row["n_known"])
        assert int(row["n_known"]) + int(row["n_bayes_differs"]) == int(row["n_runs"])
        share = int(row["n_model_errors"]) / int(row["n_flips"])
        assert number(row["model_error_share"]) == pytest.approx(share)
        yield {
            "subject": f"{task} · {encoder}",
            "measure": "flips by genetic that are errors of the model",
            "value": three(row, "model_error_share"),
            "reference": three(itself, "truth_changed"),
            "n": int(row["n_flips"]),
            "said": [
                f"at most {row['max_edits']} edits: {row['n_flips']};",
                f"errors of the model: {row['n_model_errors']};",
                f"true changes of the label: {row['n_true_changes']};",
                f"did not follow: {row['n_invariance_errors']};",
                f"not the likelier one: {row['n_bayes_differs']}",
            ],
            "unsaid": [],
        }


def hardening(run: str) -> Iterator[dict[str, Any]]:
    for (task, encoder), own in models(read(run, "verdict"), "task", "encoder"):
        for row in own:
            last, before = (number(row[f"robust_accuracy_{w}"]) for w in ("last", "baseline"))
            assert number(row["delta_robust_accuracy"]) == pytest.approx(last - before)
            said, unsaid = against(run, row)
            suite = row["suite"].split(";")
            yield {
                "subject": f"{task} · {encoder}, {row['defence']}",
                "measure": f"worst case of {', '.join(suite)}, at most {row['edits']} edits",
                "value": three(row, "delta_robust_accuracy"),
                "reference": three(row, "delta_clean_accuracy"),
                "n": int(row["n_sequences"]),
                "said": [*said, row["verdict"], row["note"], *limits(run, row, suite)],
                "unsaid": unsaid,
            }


def expression(run: str) -> Iterator[dict[str, Any]]:
    rows = where(read(run, "smallest_k"), targets="opposite")
    for (dataset, model), own in models(rows, "dataset", "model"):
        (row,) = where(own, features="shap", importance="global")
        (control,) = where(own, features="random")
        seeds = where(rows, dataset=dataset, model=model, features="shap", importance="global")
        n, n_flipped = int(row["n_attacked"]), int(row["n_flipped"])
        yield {
            "subject": f"{dataset} · {model}",
            "measure": f"at most {row['tried_to']} tried",
            "value": three(row, "median_k"),
            "reference": three(control, "median_k"),
            "n": n,
            "said": [f"flip {100 * n_flipped / n:.1f} %"]
            + ([f"medians of {len(seeds)} seeds"] if len(seeds) > 1 else []),
            "unsaid": [],
        }


def detection(run: str) -> Iterator[dict[str, Any]]:
    rows = where(read(run, "best_detector"), null="clean", adversaries="successful")
    attacks = [row for row in rows if row["attack"] in ("genetic", "fimba")
               and row["features"] in ("shap", "") and row["values"] in ("interpolated", "")
               and row["targets"] in ("opposite", "")]  # fmt: skip
    everyone = read(run, "adaptive")
    for (arm, data, model), own in models(attacks, "arm", "data", "model"):
        (row,) = own
        place = {"arm": arm, "data": data, "model": model, "seed": row["seed"]}
        tried = where(everyone, **place, detector=row["detector"])
        measured = [a for a in tried if a["undetected_success"]]
        best = max(measured, key=lambda a: number(a["undetected_success"]), default=None)
        plain = next((a for a in measured if float(a["penalty"]) == 0), None)
        said, unsaid = [f"{int(row['n_adversaries']):,} flips"], ["no attacker"] if tried else []
        if row["tpr_at_5"]:
            said.append(f"finds, at 5 % false alarms, {100 * float(row['tpr_at_5']):.1f} %")
        else:
            said.append("too few natural validation samples")
        if not tried:
            evaded = {a["detector"] for a in where(everyone, **place)}
            said += evaded or {"no attacker who knows the detector"}
        if arm == "sequence":
            dna = {"task": data, "encoder": model, "seed": row["seed"]}
            for told, more in zip((said, unsaid), against(run, dna), strict=True):
                told += more
            said += limits(run, dna, [row["attack"]])
        yield {
            "subject": f"{data} · {model}",
            "attack": row["attack"],
            "value": three(best, "undetected_success") if best else NOTHING,
            "reference": three(plain, "undetected_success") if plain else NOTHING,
            "n": int(best["n"]) if best else None,
            "said": said,
            "unsaid": unsaid,
        }


def expected(run: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "verdict" in TABLES[run]:
        for finding in ("robustness", "one_edit"):
            yield from ((finding, row) for row in worst_case(run, finding))
        yield from (("truth", row) for row in truth(run))
        yield from (("hardening", row) for row in hardening(run))
    yield from (("expression", row) for row in expression(run))
    yield from (("detection", row) for row in detection(run))


@pytest.mark.parametrize("run", RUNS)
def test_each_finding_is_what_the_rows_say(run):
    told, computed = read(run, "findings"), list(expected(run))

    assert Counter(row["finding"] for row in told) == Counter(name for name, _ in computed)
    for row, (finding, again) in zip(told, computed, strict=True):
        assert row["finding"] == finding
        assert row["subject"].startswith(again["subject"])
        assert "random" not in row["subject"].replace("random_forest", "")
        assert "uniform" not in row["subject"]
        assert again.get("measure", "") in row["measure"]
        assert again.get("attack", "") in row["subject"]
        for name in ("value", "reference"):
            assert three(row, name) == pytest.approx(again[name], nan_ok=True), row
        assert row["n"] == ("" if again["n"] is None else str(again["n"]))
        assert [words for words in again["said"] if words not in row["remark"]] == []
        assert [words for words in again["unsaid"] if words in row["remark"]] == []


def tables_of(run: str) -> dict[str, pd.DataFrame]:
    return {
        name: pd.read_csv(
            RESULTS / run / f"{name}.csv", dtype={"seed": str}, float_precision="round_trip"
        )
        for name in TABLES[run]
    }


@pytest.mark.parametrize("run", RUNS)
def test_the_kept_findings_are_those_of_the_kept_tables(run):
    made = findings.findings_table(tables_of(run)).to_csv(index=False, lineterminator="\n")

    assert made == (RESULTS / run / "findings.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("run", RUNS)
def test_the_front_page_shows_what_the_rows_say(run):
    tables = tables_of(run)
    page = front_page.render(
        findings.findings_table(tables), {}, f"results/{run}", tables.get("warnings"),
        about_data.about_data(tables),
    )  # fmt: skip

    shown: Counter[str] = Counter()
    for finding, again in expected(run):
        shown[finding] += 1
        if shown[finding] > front_page.MOST_ROWS:
            continue
        for value in (again["value"][0], again["reference"][0]):
            assert f">{cell(finding, value)}" in page
    if "warnings" in tables:
        n = len(read(run, "warnings"))
        assert (f">{n} warning sign" if n else ">No warning sign<") in page
    assert f"{shown['expression'] - front_page.MOST_ROWS} more in the table." in page


def cell(finding: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    if finding == "expression":
        return "more than tried" if math.isinf(value) else f"{value:g}"
    if finding == "hardening":
        return f"{100 * value:+.1f}".replace("-", "−") if round(100 * value, 1) else "0.0"
    return f"{100 * value:.1f} %"
