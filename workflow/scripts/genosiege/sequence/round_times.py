"""How long the rounds of each defence took, from Snakemake's benchmarks."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from genosiege.errors import InputError
from genosiege.sequence.rounds import in_order
from genosiege.sequence.training_rows import ATTACKING

PARTS = ["attack_train_s", "harden_s", "evaluate_s", "attack_test_s"]
PLACE = ["task", "encoder", "seed", "defence", "adversary_source", "round"]
COLUMNS = [*PLACE, *PARTS, "total_s"]


def round_times_table(
    rounds: pd.DataFrame, folder: str, defences: Sequence[str] = ()
) -> pd.DataFrame:
    """Tabulate wall times, one row per round.

    Parameters
    ----------
    rounds : pandas.DataFrame
        From `rounds.rounds_table`, of any number of defences.
    folder : str
        Where the benchmarks lie; what is missing there leaves its cell and the total empty.
    defences : sequence of str
        In which order they stand in the table; by default by name.

    Returns
    -------
    pandas.DataFrame
        Columns as in the caption `workflow/report/round_times.rst`, in seconds. A part that a
        round does not have takes 0: an attack for training where it is a control, or where the
        attack on the test sample of the round before is used for it. A round is measured in the
        job that trains it.

    Raises
    ------
    InputError
        If a file is no benchmark.
    """
    rows = []
    for record in rounds.to_dict("records"):
        row = {name: record[name] for name in PLACE}
        row |= _parts({str(name): value for name, value in record.items()}, Path(folder))
        row["total_s"] = sum(row[part] for part in PARTS)
        rows.append(row)
    return in_order(pd.DataFrame(rows, columns=COLUMNS), defences, "round")


def _parts(record: Mapping[str, Any], folder: Path) -> dict[str, float]:
    model = f"{record['task']}.{record['encoder']}.seed{record['seed']}"
    number, stage, attack = record["round"], record["stage"], record["attack"]
    parts = {
        "attack_train_s": 0.0,
        "harden_s": 0.0,
        "evaluate_s": 0.0 if number else _seconds(folder / "evaluate" / f"{model}.tsv"),
        "attack_test_s": _attack(folder / "attack" / f"{model}.{stage}.{attack}.test"),
    }
    if number:
        made = f"{model}.{record['defence']}.round{number}.tsv"
        parts["harden_s"] = _seconds(folder / "harden" / made)
        if record["kind"] in ATTACKING and record["adversary_source"] == "train":
            previous = f"{record['defence']}/round{number - 1}" if number > 1 else "baseline"
            attacked = folder / "attack" / f"{model}.{previous}.{attack}.train"
            parts["attack_train_s"] = _attack(attacked)
    return parts


def _attack(stem: Path) -> float:
    """Sum up an attack and its shards, if any; nan where one is missing, by their numbers."""
    times: dict[int, float] = {}
    # A stage has a slash in it: the files of a round lie in a folder of their own.
    for path in stem.parent.glob("*.tsv"):
        number = re.fullmatch(rf"{re.escape(stem.name)}\.shard(\d+)\.tsv", path.name)
        if number:
            times[int(number[1])] = _seconds(path)
    if set(times) != set(range(len(times))):
        return math.nan
    whole = _seconds(stem.with_name(f"{stem.name}.tsv"))
    return whole + sum(times[number] for number in sorted(times))


def _seconds(path: Path) -> float:
    """Read the wall time of a job, the mean where it was timed repeatedly; nan without a file."""
    if not path.is_file():
        return math.nan
    try:
        return float(pd.read_csv(path, sep="\t")["s"].mean())
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: this is no benchmark of Snakemake; remove the file.") from error
