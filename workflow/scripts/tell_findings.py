"""Collect the run's findings, and write the part of the report's front page that tells them."""

from pathlib import Path

import pandas as pd

from genosiege import files, runtime
from genosiege.report import about_data, described, findings, front_page
from genosiege.sequence import results

with runtime.script(snakemake):
    given, made, params = snakemake.input, snakemake.output, snakemake.params
    tables = {
        Path(path).stem: pd.read_csv(path, dtype={"seed": str}, float_precision="round_trip")
        for path in given.tables
    }
    found = findings.findings_table(tables, params.kinds)
    what = described.describe(
        tables,
        [files.read_json(path) for path in given.metrics],
        [files.parquet_metadata(path, results.SEARCHED) for path in given.attacks],
        params.seeds,
    )
    with files.whole(made.findings) as temporary:
        found.to_csv(temporary, index=False, lineterminator="\n")
    page = front_page.render(
        found, what, params.folder, tables.get("warnings"), about_data.about_data(tables)
    )
    with files.whole(made.front_page) as temporary:
        temporary.write_text(page, "utf-8")
