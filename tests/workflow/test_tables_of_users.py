"""Tables as users bring them, through a real snakemake: read, or refused in one line each."""

import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from calling import run_workflow
from test_bad_input import SMALL_CNN

from genosiege import files

UNTIL = ("--until", "prepare_task", "prepare_expression")
ROWS = [("ACGTTGCAACGT", 0), ("TTTTGGGGCCAA", 1), ("ACGATGCAACGT", 0), ("TTTAGGGGCCAA", 1)]
GOOD = "sequence,label\n" + "".join(f"{row},{label}\n" for row, label in ROWS)


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("test.csv", GOOD)
    return made.getvalue()


# The content of test.csv, its place in the line, and what is said of it.
TASKS: dict[str, tuple[bytes, str, str]] = {
    "zipped": (zipped(), "", "this is a zip archive; unpack it"),
    "twice": (b"sequence,label,label\nACGT,0,1\n", "line 1, columns 2 and 3", "stands twice"),
    "missing": (b"sequence,label\nACGT,0\nnan,1\n", "line 3, sequence 'nan'", "there is no value"),
    "words": (b"sequence,label\nACGT,x\nACGA,y\n", "line 2, label 'x'", "labels: {'x': 0, 'y': 1}"),
    "from_one": (b"sequence,label\nACGT,1\nACGA,2\n", "line 3, label '2'", "{'1': 0, '2': 1}"),
    "rna": (b"sequence,label\nACGU,1\n", "line 2, character", "set rna: to_dna"),
    "latin": ("sequence,label,x\nACGT,1,é\n".encode("latin-1"), "line 2", "latin-1"),
    "two_marks": (b"x;sequence;y,sequence,z;label;w,label,v\n", "line 1", "set `separator`"),
}
HEADER = "name,label,A,B\n"
DATASETS: dict[str, tuple[str, str, str]] = {
    "index": (",name,label,A\n0,s,0,1\n", "line 1, column 1", 'drop: ["Unnamed: 0"]'),
    "labelled": (f"{HEADER}s,0,1,2\nt,1,1,x\n".replace("B", "class"), "line 1, column 4", "drop"),
    "empty_cell": (
        HEADER + "".join(f"s{n},{n % 2},{n if n != 1 else ''},2\n" for n in range(20)),
        "line 3, gene 'A'",
        "there is no value",
    ),
    "words": (f"{HEADER}s,well,1,2\nt,ill,2,3\n", "line 2", "label: {negative: ['ill'], positive"),
}


def overlay(tasks: dict[str, Any], datasets: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": {
            "tasks": list(tasks),
            "encoders": ["small"],
            "datasets": list(datasets),
            "models": ["random_forest"],
            "seeds": [0],
            "defences": [],
        },
        "tasks": tasks,
        "encoders": {"small": SMALL_CNN},
        "datasets": datasets,
        "detection": {"models": [], "sequence": []},
    }


def dataset(path: str, **more: Any) -> dict[str, Any]:
    source = {"kind": "path", "path": path}
    return {"format": "csv", "matrix": source, "id": "name", **more}


def test_each_kind_of_table_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    for name, (content, *_) in TASKS.items():
        (tmp_path / name).mkdir()
        for split in ("train", "dev"):
            (tmp_path / name / f"{split}.csv").write_text(GOOD)
        (tmp_path / name / "test.csv").write_bytes(content)
    for name, (table, *_) in DATASETS.items():
        (tmp_path / f"{name}.csv").write_text(table)
    tasks = {name: {"source": {"kind": "path", "path": f"{name}/{{split}}.csv"}} for name in TASKS}

    config = overlay(tasks, {f"{name}_d": dataset(f"{name}.csv") for name in DATASETS})
    run = run_workflow(tmp_path, config, "--keep-going", *UNTIL)

    output = run.stdout + run.stderr
    told = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in output
    assert run.returncode != 0
    assert len(told) == len(TASKS) + len(DATASETS), output
    expected = {f"{name}/test.csv": parts for name, (_, *parts) in TASKS.items()}
    expected |= {f"{name}.csv": parts for name, (_, *parts) in DATASETS.items()}
    for file, (place, what) in expected.items():
        start = f"Error: {file}, {place}" if place else f"Error: {file}: "
        assert [line for line in told if line.startswith(start) and what in line], (start, told)


def test_odd_forms_in_odd_paths_give_the_plain_tables_and_are_read_again(tmp_path: Path) -> None:
    odd = tmp_path / "my {data} <set>"
    odd.mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.csv").write_text(GOOD)
        records = "".join(f">a|b|{'no' if y else 'yes'}\n{row.lower()}\n" for row, y in ROWS)
        (odd / f"{split}.fa.gz").write_bytes(gzip.compress(records.replace("t", "u").encode()))
    source = {"kind": "path", "path": f"{odd.name}/{{split}}.fa.gz", "layout": "fasta"}
    tasks = {
        "plain": {"source": {"kind": "path", "path": "{split}.csv"}},
        "odd": {"source": source, "labels": {"yes": 0, "no": 1}, "rna": "to_dna"},
    }
    frame = pd.DataFrame(np.random.default_rng(0).integers(0, 99, (20, 4)), columns=[*"ABCD"])
    frame = frame.assign(name=[f"s{n}" for n in range(20)], label=[0, 1] * 10, D=[7, 8] * 10)
    frame.to_csv(odd / "{table}.txt", sep=";", index=False, encoding="utf-16")
    config = overlay(tasks, {"mine": dataset(f"{odd.name}/{{table}}.txt")})

    run = run_workflow(tmp_path, config, *UNTIL, check=True)

    data = tmp_path / "results/main/data"
    for split in ("train", "dev", "test"):
        plain, other = (pd.read_parquet(data / task / f"{split}.parquet") for task in tasks)
        pd.testing.assert_frame_equal(plain, other)
    card = files.read_json(data / "mine/seed0/card.json")
    assert ["set values: counts" in line for line in card["warnings"]] == [True, False]
    assert "1 of 4 genes have one value in each class ('D')" in card["warnings"][1]
    assert all(f"Warning: {odd.name}/{{table}}.txt: {w}" in run.stderr for w in card["warnings"])
    os.utime(odd / "{table}.txt")
    planned = run_workflow(tmp_path, config, "--dry-run", *UNTIL, check=True)
    assert "prepare_expression" in planned.stdout + planned.stderr
