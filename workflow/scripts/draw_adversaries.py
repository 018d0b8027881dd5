"""Draw the chosen adversaries of each model over the mutagenesis of their originals."""

from genosiege import files, runtime
from genosiege.figures import adversaries, style
from genosiege.sequence import motifs, showcase

with runtime.script(snakemake):
    given, params = snakemake.input, snakemake.params
    known = motifs.of_configuration(params.constraints)
    models = zip(given.examples, given.scans, snakemake.output.figures, strict=True)
    for (examples, scan, place), task in zip(models, params.tasks, strict=True):
        figure = adversaries.viewer(
            showcase.read(examples),
            files.read_parquet(scan),
            known,
            params.tss_index[task],
            params.attacks,
        )
        style.save(figure, place)
