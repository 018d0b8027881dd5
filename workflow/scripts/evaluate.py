"""Measure a baseline on the clean test split."""

from genosiege import runtime
from genosiege.sequence import evaluation

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    names = snakemake.wildcards
    of = {"task": names.task, "encoder": names.encoder, "seed": int(names.seed)}
    evaluation.measure(snakemake, snakemake.input.model, of | {"stage": "baseline"})
