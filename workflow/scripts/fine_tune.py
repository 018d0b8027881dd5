"""Train the baseline: a head on cached features, or everything end to end."""

from genosiege import runtime
from genosiege.sequence import classifier, encoders, splits

with runtime.script(snakemake.log[0]):
    runtime.use(threads=snakemake.threads)
    given, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    rng = runtime.stream(names.seed, names.task, names.encoder, "fine_tune")
    model = encoders.build(params.encoder, given.encoder, params.n_classes, rng)
    history = []
    if not encoders.keeps_own_head(params.encoder):
        train = splits.read_split(given.train, given.get("train_features"))
        dev = splits.read_split(given.dev, given.get("dev_features"))
        options = classifier.Training.from_config(params.training)
        history = classifier.fit(model, train, dev, options, rng, runtime.device())
    encoders.save(
        model,
        snakemake.output.model,
        {
            "task": names.task,
            "seed": int(names.seed),
            "training": dict(params.training or {}),
            "history": [epoch._asdict() for epoch in history],
        },
    )
