"""The scripts that gather a defence and make its tables, run as Snakemake runs them."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from as_snakemake import run_script
from toy_rounds import PLACE, TERMS, random_defence

from genosiege import files

REPOSITORY = Path(__file__).parents[2]

TABLES = ("hardening", "hardening_seeds", "verdict", "defence_attacks", "published_claim", "times")


def make_tables(folder: Path, defences: list[str], made: Path) -> dict[str, pd.DataFrame]:
    places = {name: str(folder / f"{name}.csv") for name in TABLES}
    places |= {f"{name}_page": str(folder / f"{name}.html") for name in TABLES}
    done = run_script(
        "make_hardening_tables", folder, output=places,
        input={name: [str(made / defence / f"{name}.parquet") for defence in defences]
               for name in ("rounds", "outcomes")},
        params={
            "benchmarks": str(folder / "benchmarks"), "names": defences, "verdict": TERMS._asdict(),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all("<table>" in (folder / f"{name}.html").read_text() for name in TABLES)
    return {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES}


def written(model: Path, rng: np.random.Generator, n_rounds: int) -> dict[str, Any]:
    """Write a random defence where the workflow has it; give the inputs of its gather job."""
    options, measured, compared = random_defence(rng, n_rounds, 10)
    given: dict[str, list[str]] = {}

    def write(name: str, stage: str, path: str, content: Any, **noted: str) -> None:
        target = model / stage / path
        if isinstance(content, pd.DataFrame):
            files.write_parquet(content, target, noted)
        else:
            files.write_json(content, target)
        given.setdefault(name, []).append(str(target))

    for name, tables in (
        ("attacks", measured.attacks), ("training_attacks", measured.training_attacks),
        ("suite_before", compared.suite_before), ("suite_after", compared.suite_after),
    ):  # fmt: skip
        for table in tables:
            path = f"attacks/{table.attack}/{table.split}.parquet"
            rows = table.rows if "plausibility" in table.rows else table.rows.assign(plausibility=1)
            write(name, table.stage, path, rows, max_edits="10")
    for name, path, tables in (
        ("replays", "replay/genetic.parquet", measured.replays),
        (
            "reverse_replays",
            "reverse_replay/genetic.parquet",
            [compared.reverse] if n_rounds else [],
        ),
        ("certificates", "certify.parquet", compared.certificates),
        ("predictions", "predictions.parquet", compared.predictions),
    ):
        for table in tables:
            rows = table.rows.assign(margin_before=1.0, margin_after=0.5)
            write(name, table.stage, path, rows)
    both = [compared.transfers[0].rows, compared.transfers[1].rows]
    for stage in ("baseline", PLACE.stage(n_rounds)):
        rows = pd.concat(both).assign(margin_before=1.0, margin_after=0.5)
        write("transfers", stage, "transfer/genetic_transfer.parquet", rows)
    for number, content in enumerate(measured.metrics):
        write("metrics", PLACE.stage(number), "metrics.json", content)
    for number, content in enumerate(measured.descriptions, start=1):
        write("descriptions", PLACE.stage(number), "model.json", content)
    for name in ("replays", "reverse_replays", "descriptions", "training_attacks", "decision"):
        given.setdefault(name, [])
    return {"options": options, "input": given}


def gather(model: Path, folder: Path, made: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return run_script(
        "gather_rounds", folder, input=made["input"],
        params={"defence": made["options"], "transfers_count": True},
        output={name: str(model / f"mixed/{name}.parquet") for name in ("rounds", "outcomes")},
        wildcards={"task": "promoters", "encoder": "cnn", "seed": "0", "defence": "mixed"},
    )  # fmt: skip


@pytest.mark.parametrize("n_rounds", [0, 2])
def test_the_scripts_make_all_tables_of_a_run(n_rounds: int, tmp_path: Path) -> None:
    model = tmp_path / "sequence/promoters/cnn/seed0"
    made = written(model, np.random.default_rng(n_rounds), n_rounds)
    if not n_rounds:
        made["options"]["rounds"] = 5
        decision = tmp_path / "decision.json"
        files.write_json({"go": False, "reason": "flip rate 0.000 is at or below 0.1"}, decision)
        made["input"]["decision"] = [str(decision)]

    done = gather(model, tmp_path, made)
    assert done.returncode == 0, done.stderr
    tables = make_tables(tmp_path, ["mixed"], model)

    assert {name: len(table) for name, table in tables.items()} == {
        "hardening": n_rounds + 1, "verdict": 1, "defence_attacks": 8 + (n_rounds > 0),
        "published_claim": 2, "times": n_rounds + 1, "hardening_seeds": 10 * (n_rounds + 1),
    }  # fmt: skip
    (row,) = tables["verdict"].to_dict("records")
    if n_rounds:
        assert row["stop_reason"] == "all 2 rounds were run"
    else:
        assert row["stop_reason"] == "flip rate 0.000 is at or below 0.1"
        assert row["note"].endswith("points; no round was run")
        deltas = [name for name in row if name.startswith("delta_") and name.endswith("rate")]
        assert [row[name] for name in deltas] == [0, 0, 0]


def test_a_file_of_another_round_ends_in_one_line(tmp_path: Path) -> None:
    model = tmp_path / "sequence/promoters/cnn/seed0"
    made = written(model, np.random.default_rng(1), 2)
    made["input"]["metrics"].reverse()

    done = gather(model, tmp_path, made)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: promoters, cnn, seed 0, mixed: its metrics are of")
    assert len(done.stderr.splitlines()) == 1


def test_a_run_without_defences_has_headers_only(tmp_path: Path) -> None:
    tables = make_tables(tmp_path, [], tmp_path)

    assert all(table.empty and "defence" in table for table in tables.values())
