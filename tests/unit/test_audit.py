"""Tables of certificates, transfer and latent attacks against small ones computed by hand."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from as_snakemake import run_script
from toy_tables import PLACE, attack, attack_row, certified, flip, metrics

from genosiege import files
from genosiege.report import table_files
from genosiege.sequence import audit
from genosiege.sequence.results import ModelResult
from genosiege.statistics import clustered_wilson_interval, wilson_interval

REPOSITORY = Path(__file__).parents[2]
CAPTIONS = REPOSITORY / "workflow" / "report"
AUDITS = ("worst_case", "warnings", "vulnerable", "certify", "transfer", "latent", "by_class",
          "known_truth")  # fmt: skip


def bounds(row: dict[str, Any], name: str) -> tuple[float, float]:
    return row[f"{name}_low"], row[f"{name}_high"]


# Certificates -------------------------------------------------------------------------


def certificate() -> ModelResult:
    return certified(
        {
            "a": ["flipped", "flipped"],
            "b": ["robust", "flipped"],
            "c": ["robust", "unknown"],
            "d": ["robust", "robust"],
            "e": ["skipped_misclassified"] * 2,
        }
    )


def test_certificate_is_counted_at_each_number_of_edits() -> None:
    one, two = audit.certify_table([certificate()]).to_dict("records")

    counts = ["k", "n_sequences", "n_correct", "n_robust", "n_flipped", "n_unknown", "exact"]
    assert [one[name] for name in counts] == [1, 5, 4, 3, 1, 0, True]
    assert [two[name] for name in counts] == [2, 5, 4, 1, 2, 1, False]
    assert (one["robust_share_low_bound"], one["robust_share_high_bound"]) == (0.6, 0.6)
    assert (two["robust_share_low_bound"], two["robust_share_high_bound"]) == (0.2, 0.4)
    assert bounds(two, "robust_share_low_bound") == wilson_interval(1, 5)
    assert bounds(two, "robust_share_high_bound") == wilson_interval(2, 5)
    assert two["flipped_share"] == 0.5
    assert bounds(two, "flipped_share") == wilson_interval(2, 4)


def test_a_model_that_is_never_right_has_no_flipped_share() -> None:
    (row,) = audit.certify_table([certified({"a": ["skipped_misclassified"]})]).to_dict("records")

    assert row["robust_share_high_bound"] == 0
    assert np.isnan(row["flipped_share"])
    assert bounds(row, "flipped_share") == (0, 1)


# Latent attacks -----------------------------------------------------------------------


def latent() -> ModelResult:
    rows = pd.DataFrame(
        {
            "id": list("abc") * 2,
            "norm": "l2",
            "epsilon": [0.3] * 3 + [0.1] * 3,
            "correct_before": [True, True, False] * 2,
            "flipped": [True, True, False, True, False, False],
            "l2": [0.3, 0.2, 0.0, 0.1, 0.1, 0.0],
            "linf": [0.03, 0.01, 0.0, 0.02, 0.02, 0.0],
            "n_gradients": [20, 10, 0, 20, 20, 0],
        }
    )
    return ModelResult(*PLACE, "pgd", rows)


def test_latent_attacks_are_summarised_by_size() -> None:
    small, large = audit.latent_table([latent()]).to_dict("records")

    assert (small["epsilon"], large["epsilon"]) == (0.1, 0.3)
    assert (large["n_sequences"], large["n_correct"]) == (3, 2)
    assert (small["robust_accuracy"], large["robust_accuracy"]) == (1 / 3, 0)
    assert (small["flip_rate"], large["flip_rate"]) == (0.5, 1)
    assert bounds(small, "robust_accuracy") == wilson_interval(1, 3)
    assert bounds(small, "flip_rate") == wilson_interval(1, 2)
    means = [large[name] for name in ("mean_l2", "mean_linf", "mean_gradients")]
    assert means == pytest.approx([0.25, 0.02, 15])
    assert small["realisable"] is False


# Transfer -----------------------------------------------------------------------------


def transferred(task: str, encoder: str, rows: list[tuple[str, int, bool, bool, bool, bool]]):
    names = ["id", "attack_seed", "source_correct", "source_flipped", "correct_before", "flipped"]
    found = pd.DataFrame(rows, columns=names)
    return found.assign(source_task=task, source_encoder=encoder, n_edits=2)


def transfer() -> ModelResult:
    own = transferred(
        "promoters", "cnn",
        [("a", 0, True, True, True, True), ("b", 0, False, False, False, False)],
    )  # fmt: skip
    other = transferred(
        "promoters", "hf",
        [
            ("a", 0, True, True, True, True),
            ("a", 1, True, True, True, False),
            ("b", 0, True, True, False, False),
            ("c", 0, True, False, True, True),
            ("d", 0, False, False, True, False),
            ("e", 0, True, True, True, False),
        ],
    )  # fmt: skip
    return ModelResult(*PLACE, "genetic_transfer", pd.concat([other, own], ignore_index=True))


def test_transfer_counts_what_both_models_are_right_about() -> None:
    own, other = audit.transfer_table([transfer()]).to_dict("records")

    pair = ["attack", "seed", "stage", "source_task", "source_encoder", "target_encoder"]
    assert [other[name] for name in pair] == [
        "genetic_transfer", 0, "baseline", "promoters", "hf", "cnn",
    ]  # fmt: skip
    assert (own["n"], own["n_flipped"], own["flip_rate"]) == (1, 1, 1)
    # Right about a (twice), c and e; a's first and c's adversaries fool the target.
    assert (other["n"], other["n_flipped"], other["flip_rate"]) == (4, 2, 0.5)
    expected = clustered_wilson_interval([True, False, True, False], list("aace"))
    assert bounds(other, "flip_rate") == tuple(expected)
    # The source was fooled by both of a and by e's, of which one transfers.
    assert (other["n_source_flips"], other["n_transferred"]) == (3, 1)
    assert other["transfer_rate"] == pytest.approx(1 / 3)


# All tables ---------------------------------------------------------------------------


def test_captions_define_every_column_and_empty_tables_have_them() -> None:
    pairs = {
        "certify": (audit.certify_table([certificate()]), audit.certify_table([])),
        "latent": (audit.latent_table([latent()]), audit.latent_table([])),
        "transfer": (audit.transfer_table([transfer()]), audit.transfer_table([])),
    }
    for name, (full, empty) in pairs.items():
        caption = (CAPTIONS / f"{name}.rst").read_text()
        assert not [column for column in full if f"``{column}``" not in caption]
        assert list(empty) == list(full)
        assert empty.empty and not full.empty


def test_a_table_is_written_as_csv_and_as_page(tmp_path: Path) -> None:
    table = pd.DataFrame({"rate": [0.25], "rate_low": [0.1], "rate_high": [0.4]})
    places = {"worst_case": f"{tmp_path}/a.csv", "worst_case_page": f"{tmp_path}/a.html"}

    table_files.write({"worst_case": table}, places)

    assert (tmp_path / "a.csv").read_text() == "rate,rate_low,rate_high\n0.25,0.1,0.4\n"
    page = (tmp_path / "a.html").read_text()
    assert "<title>Worst case</title>" in page and "0.25 [0.1, 0.4]" in page


def make_tables(folder: Path, inputs: dict[str, list[str]], kinds: dict[str, str]) -> None:
    outputs = {name: str(folder / f"{name}.csv") for name in AUDITS}
    outputs |= {f"{name}_page": str(folder / f"{name}.html") for name in AUDITS}
    params = {"kinds": kinds, "truths": []}
    done = run_script("make_audit_tables", folder, input=inputs, output=outputs, params=params)
    assert done.returncode == 0, done.stderr


def test_the_script_makes_all_tables_of_a_run(tmp_path: Path) -> None:
    model = tmp_path / "sequence/promoters/cnn/seed0/baseline"
    made = attack("genetic", [flip("a", 2), attack_row("b")])
    rows = made.rows.assign(bayes_label_before=1, bayes_label_after=1, flip_is="model_error")
    files.write_parquet(rows, model / "attacks/genetic/test.parquet", {"max_edits": "5"})
    exact = certified({"a": ["robust"], "b": ["flipped"]})
    files.write_parquet(exact.rows, model / "certify.parquet")
    files.write_parquet(latent().rows.assign(attack="pgd"), model / "latent.parquet")
    scored = transfer().rows.assign(label=1, margin_before=1.0, margin_after=0.5, n_edits=1)
    files.write_parquet(scored, model / "transfer/genetic_transfer.parquet")
    predicted = pd.DataFrame({"id": ["a", "b"], "label": [1, 1], "correct": [True, True]})
    files.write_parquet(predicted, model / "predictions.parquet")
    prepared = pd.DataFrame({"id": ["a", "b"], "relative_labels": ["", "other"]})
    files.write_parquet(prepared, tmp_path / "data/promoters/test.parquet")
    inputs = {
        "predictions": [str(model / "predictions.parquet")],
        "tests": [str(tmp_path / "data/promoters/test.parquet")],
        "attacks": [str(model / "attacks/genetic/test.parquet")],
        "certificates": [str(model / "certify.parquet")],
        "latent": [str(model / "latent.parquet")],
        "transfer": [str(model / "transfer/genetic_transfer.parquet")],
        "metrics": [str(model / "metrics.json")],
    }
    swapped = {"accuracy": 0.2, "mcc": -0.6, "mcc_interval": {"low": -0.7, "high": -0.4}}
    files.write_json(metrics(**swapped, input_check="labels_swapped"), model / "metrics.json")

    make_tables(tmp_path, inputs, {"genetic": "genetic"})

    tables = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in AUDITS}
    assert {name: len(table) for name, table in tables.items()} == {
        "worst_case": 6 + 2 + 6, "warnings": 1, "vulnerable": 2, "certify": 1, "transfer": 2,
        "latent": 2, "by_class": 1, "known_truth": 1,
    }  # fmt: skip
    (warned,) = tables["warnings"].to_dict("records")
    assert (warned["warning"], warned["n"], warned["of"]) == ("labels_swapped", 20, 100)
    worst = tables["worst_case"].query("attack == 'worst_case'")
    assert worst["robust_accuracy"].tolist() == [1.0, 0.5, 0, 0, 0, 0]
    for name in AUDITS:
        assert "<table>" in (tmp_path / f"{name}.html").read_text()


def test_the_script_makes_headers_where_a_run_asks_for_nothing(tmp_path: Path) -> None:
    kinds = ("attacks", "certificates", "latent", "transfer", "metrics", "predictions", "tests")
    make_tables(tmp_path, {kind: [] for kind in kinds}, {})

    for name in AUDITS:
        (header,) = (tmp_path / f"{name}.csv").read_text().splitlines()
        caption = (CAPTIONS / f"{name}.rst").read_text()
        assert all(f"``{column}``" in caption for column in header.split(","))


def test_making_tables_needs_no_torch() -> None:
    modules = "audit, by_class, known_truth, results, suite, vulnerable, warning_signs, worst_case"
    code = f"import sys; from genosiege.sequence import {modules}; sys.exit('torch' in sys.modules)"
    scripts = REPOSITORY / "workflow" / "scripts"

    assert subprocess.run([sys.executable, "-c", code], cwd=scripts).returncode == 0
