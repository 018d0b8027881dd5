"""Fetch an encoder's weights, configuration and tokenizer."""

from genosiege import runtime
from genosiege.data import download

with runtime.script(snakemake):
    download.fetch_encoder(snakemake.params.source, snakemake.output.folder)
