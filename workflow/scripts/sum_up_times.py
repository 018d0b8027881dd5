"""Sum up what the run's jobs took, as table, page and figure."""

from genosiege import runtime
from genosiege.figures import job_times as picture
from genosiege.figures import style
from genosiege.report import job_times, table_files

with runtime.script(snakemake):
    table = job_times.job_times_table(snakemake.params.benchmarks)
    table_files.write({"jobs": table}, snakemake.output)
    style.save(picture.bars(table), snakemake.output.figure)
