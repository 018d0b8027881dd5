"""Measure a model on the clean test split."""

from dataclasses import asdict

from genosiege import files, runtime
from genosiege.sequence import encoders, metrics, prediction, splits
from genosiege.sequence.oracle import Oracle
from genosiege.statistics import wilson_interval

with runtime.script(snakemake):
    runtime.use(threads=snakemake.threads)
    given, names = snakemake.input, snakemake.wildcards
    model = encoders.load(given.model, snakemake.params.encoder, given.encoder)
    test = splits.read_split(given.test, given.get("test_features"))
    if test.features is not None:
        logits = prediction.head_logits(model, test.features, test.ids)
    else:
        oracle = Oracle(
            model, precision="fp32", batching="lockstep", batch_size=snakemake.params.batch_size
        )
        logits = oracle.logits(test.sequences, test.ids)
    result = metrics.classification_metrics(logits, test.labels)
    predictions = metrics.predictions(test.ids, logits, test.labels)
    files.write_parquet(predictions, snakemake.output.predictions)
    correct = sum(row[i] for i, row in enumerate(result.confusion_matrix))
    content = {
        "task": names.task,
        "encoder": names.encoder,
        "seed": int(names.seed),
        "stage": names.stage,
        **asdict(result),
        "parameters": encoders.count_parameters(model),
        "made_with": runtime.made_with(),
        "accuracy_interval": wilson_interval(correct, result.n)._asdict(),
    }
    files.write_json(content, snakemake.output.metrics)
