"""Choose adversaries to look at, and score every single substitution of their originals."""

from genosiege import files, runtime
from genosiege.sequence import encoders, mutagenesis, results, showcase
from genosiege.sequence.oracle import Oracle

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params = snakemake.input, snakemake.params
    chosen = showcase.choose(results.read_attack(path) for path in given.attacks)
    oracle = Oracle(
        encoders.load(given.model, params.encoder, given.encoder),
        precision="fp32",
        batching=params.compute["batching"],
        batch_size=params.compute["batch_size"],
    )
    originals = {row.id: (row.original, row.label) for row in chosen.itertuples()}
    files.write_parquet(mutagenesis.scan(oracle, originals), snakemake.output.scan)
    files.write_parquet(chosen, snakemake.output.examples)
