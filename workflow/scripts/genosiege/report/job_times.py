"""What the jobs of a run took, from Snakemake's benchmarks."""

from pathlib import Path

import pandas as pd

from genosiege.errors import InputError

COLUMNS = ["jobs_of", "n_jobs", "wall_s", "longest_s", "cpu_s", "memory_mb"]


def job_times_table(folder: str) -> pd.DataFrame:
    """Sum up the benchmarks of a run, one row per kind of job.

    Parameters
    ----------
    folder : str
        Where they lie: `{kind}/{job}.tsv`. A kind without a readable time has no row.

    Returns
    -------
    pandas.DataFrame
        `jobs_of` (kind), `n_jobs`, `wall_s` and `cpu_s` (sums, seconds), `longest_s`,
        `memory_mb` (largest resident set, MB); the kind with most CPU time first.

    Raises
    ------
    InputError
        If a file is no benchmark.
    """
    rows = [_of_kind(kind) for kind in sorted(Path(folder).glob("*/"))]
    table = pd.DataFrame([row for row in rows if row["n_jobs"]], columns=COLUMNS)
    return table.sort_values(["cpu_s", "jobs_of"], ascending=[False, True], ignore_index=True)


def _of_kind(folder: Path) -> dict[str, object]:
    jobs = [_read(path) for path in sorted(folder.glob("**/*.tsv"))]
    times = pd.DataFrame(jobs, columns=["s", "cpu_time", "max_rss"], dtype=float)
    return {
        "jobs_of": folder.name,
        "n_jobs": len(times),
        "wall_s": round(times["s"].sum(), 1),
        "longest_s": round(times["s"].max(), 1) if len(times) else 0,
        "cpu_s": round(times["cpu_time"].sum(), 1),
        "memory_mb": round(times["max_rss"].max(), 0),
    }


def _read(path: Path) -> dict[str, float]:
    try:
        # A job that ends at once has "-" where nothing was sampled.
        found = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[-1]
        return {name: float(found[name]) for name in ("s", "cpu_time", "max_rss")}
    except (KeyError, IndexError, ValueError, pd.errors.ParserError) as error:
        raise InputError(
            f"{path}: this is no benchmark of Snakemake; delete the file, its job's time is "
            "left out then."
        ) from error
