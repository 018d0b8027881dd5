"""Where a run's time went."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from genosiege.figures.style import COLOURS, GREY, panels, styled


@styled
def bars(table: pd.DataFrame) -> Figure:
    """Draw CPU and wall time by kind of job.

    Parameters
    ----------
    table : pandas.DataFrame
        From `job_times.job_times_table`.
    """
    if table.empty:
        return panels(0, 0, 0, empty="no job was measured")[0]
    figure = Figure(figsize=(7.5, 0.9 + 0.3 * len(table)))
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    unit, seconds = ("minutes", 60) if table["wall_s"].max() > 120 else ("seconds", 1)
    if table["wall_s"].max() > 7200:
        unit, seconds = "hours", 3600
    y = np.arange(len(table))
    cpu, wall = table["cpu_s"] / seconds, table["wall_s"] / seconds
    ax.barh(y, cpu, height=0.6, color=COLOURS[0])
    ax.plot(wall, y, "|", color=GREY, ms=11, mew=2)
    end = np.maximum(cpu, wall)
    for place, (value, row) in enumerate(zip(end, table.itertuples(), strict=True)):
        plural = "" if row.n_jobs == 1 else "s"
        ax.annotate(
            f"{row.n_jobs} job{plural}, {row.memory_mb:,.0f} MB", (value, place), (6, 0),
            textcoords="offset points", va="center", color=GREY, fontsize=8,
        )  # fmt: skip
    ax.set_yticks(y, [name.replace("_", " ") for name in table["jobs_of"]])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, float(end.max()) * 1.3)
    ax.set_xlabel(f"{unit} of all jobs (bar: CPU time, mark: wall time)")
    return figure
