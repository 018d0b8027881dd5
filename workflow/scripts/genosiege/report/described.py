"""What was run: data, models, seeds, versions and machines, for the front page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

import genosiege

Rows = list[list[str]]


def describe(
    tables: Mapping[str, pd.DataFrame],
    metrics: Iterable[Mapping[str, Any]],
    searched: Iterable[Mapping[str, str]],
    seeds: Mapping[str, Sequence[int]],
) -> dict[str, Rows]:
    """Describe a run.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        The run's tables by name, as far as there are.
    metrics : iterable of mappings
        Content of the models' `metrics.json`, whose `made_with` holds versions and the machine.
    searched : iterable of mappings
        What attack tables note of the search that made them.
    seeds : mapping of str to sequence of int
        Seeds by what they are for.

    Returns
    -------
    dict of str to rows of strings
        By heading; the first row of each table is its header.
    """
    made = [found["made_with"] for found in metrics]
    described = {
        "Data": _data(tables),
        "Models": _models(tables),
        "Seeds, versions, machines": _made(made, list(searched), seeds),
    }
    return {heading: rows for heading, rows in described.items() if len(rows) > 1}


def _data(tables: Mapping[str, pd.DataFrame]) -> Rows:
    rows = [["data", "train", "dev", "test", ""]]
    if "data" in tables:
        for task, card in tables["data"].groupby("task", sort=False):
            n = dict(zip(card["split"], card["n_used"], strict=True))
            lengths = f"{card['length_min'].min()} to {card['length_max'].max()} bp"
            rows.append([str(task), *_splits(n), lengths.replace(".0", "")])
    if "expression_data" in tables:
        found = tables["expression_data"]
        for (dataset, _), card in found[found["seed"] == found["seed"].min()].groupby(
            ["dataset", "seed"], sort=False
        ):
            n = dict(zip(card["split"], card["n"], strict=True))
            rows.append([str(dataset), *_splits(n), f"{card['genes'].iloc[0]:,} genes"])
    return rows


def _splits(n: Mapping[str, int]) -> list[str]:
    return [f"{int(n[split]):,}" if split in n else "" for split in ("train", "dev", "test")]


def _models(tables: Mapping[str, pd.DataFrame]) -> Rows:
    rows = [["model", "of", "weights", "trained"]]
    if "baseline" in tables:
        for _, row in tables["baseline"].drop_duplicates(["task", "encoder"]).iterrows():
            counts = [f"{int(row[f'parameters_{kind}']):,}" for kind in ("total", "trainable")]
            rows.append([str(row["encoder"]), str(row["task"]), *counts])
    if "expression_models" in tables:
        for _, row in tables["expression_models"].drop_duplicates(["dataset", "model"]).iterrows():
            rows.append([str(row["model"]), str(row["dataset"]), _size(row), "all"])
    return rows


def _size(row: "pd.Series[Any]") -> str:
    """Count what a model of expression is made of, as far as its kind says."""
    for name, unit in (("n_parameters", ""), ("n_nodes", " nodes")):
        if pd.notna(row[name]):
            return f"{int(row[name]):,}{unit}"
    return ""


def _made(
    made: Sequence[Mapping[str, Any]],
    searched: Sequence[Mapping[str, str]],
    seeds: Mapping[str, Sequence[int]],
) -> Rows:
    rows = [["", ""]]
    rows += [[f"seeds of {what}", ", ".join(map(str, values))] for what, values in seeds.items()]
    rows.append(["GenoSiege", genosiege.__version__])
    for package in dict.fromkeys(name for found in made for name in found["versions"]):
        numbers = {found["versions"][package] for found in made if package in found["versions"]}
        rows.append([package, ", ".join(sorted(numbers))])
    machines = {found["machine"] for found in made}
    rows.append(["models were measured on", ", ".join(sorted(machines))])
    ways = {
        " · ".join(found[name] for name in ("machine", "precision", "batching") if name in found)
        for found in searched
    }
    if ways:
        rows.append(["attacks searched on", ", ".join(sorted(ways))])
    return rows
