"""Train one round of a defence: the model before it, on what the defence takes. Measure it."""

from genosiege import runtime
from genosiege.sequence import encoders, evaluation, examples, hardening, results, tables
from genosiege.sequence.constraints import Constraints

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    options = hardening.Hardening.from_config(params.hardening)
    which = examples.Round(names.task, names.encoder, int(names.seed), int(names.round))
    stage = f"{names.defence}/round{which.number}"
    pool = examples.of_round(
        options,
        which,
        tables.read(given.sample, tables.SAMPLE_COLUMNS) if given.sample else None,
        [results.read_attack(path) for path in given.attacks],
        Constraints.from_config(params.constraints, params.tss_index),
    )
    model = encoders.load(given.model, params.encoder, given.encoder)
    hardened = hardening.harden(
        model,
        pool.examples,
        pool.replay,
        options,
        which.stream("training"),
        runtime.device(),
        hardening.cached_features(given.get("train"), given.get("train_features")),
    )
    encoders.save(
        model,
        snakemake.output.model,
        {
            "task": which.task,
            "seed": which.seed,
            "stage": stage,
            "defence": names.defence,
            "round": which.number,
            **hardening.describe(options, pool, hardened),
        },
    )
    of = {"task": which.task, "encoder": which.encoder, "seed": which.seed, "stage": stage}
    evaluation.measure(snakemake, snakemake.output.model, of)
