"""Train the baseline: a head on cached features, or everything end to end."""

from dataclasses import asdict

from genosiege import runtime
from genosiege.sequence import classifier, encoders, splits

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    rng = runtime.stream(names.seed, names.task, names.encoder, "fine_tune")
    model = encoders.build(params.encoder, given.encoder, params.n_classes, rng)
    training, history = None, []
    if not encoders.keeps_own_head(params.encoder):
        train = splits.read_split(given.train, given.get("train_features"))
        dev = splits.read_split(given.dev, given.get("dev_features"))
        training = classifier.Training.from_config(params.training)
        history = classifier.fit(model, train, dev, training, rng, runtime.device())
    encoders.save(
        model,
        snakemake.output.model,
        {
            "task": names.task,
            "seed": int(names.seed),
            "training": training and asdict(training),
            "history": [epoch._asdict() for epoch in history],
        },
    )
