"""Join a model's attacks outside DNA space in one table."""

import pandas as pd

from genosiege import files, runtime
from genosiege.sequence import results

with runtime.script(snakemake):
    read = [found for path in snakemake.input.tables for found in results.read_latent(path)]
    joined = pd.concat([found.rows.assign(attack=found.attack) for found in read])
    files.write_parquet(joined, snakemake.output.table)
