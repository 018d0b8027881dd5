"""How a model does on the clean test split."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import pandas as pd

from genosiege import files, runtime
from genosiege.sequence import encoders, metrics, prediction, splits
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.splits import Split
from genosiege.statistics import wilson_interval


class Evaluation(NamedTuple):
    """What is written of it: `metrics.json`, and the predictions one by one."""

    metrics: dict[str, Any]
    predictions: pd.DataFrame


def evaluate(
    model: SequenceModel, test: Split, which: Mapping[str, Any], batch_size: int
) -> Evaluation:
    """Measure a model, in fp32.

    Parameters
    ----------
    model : SequenceModel
        The model.
    test : Split
        Sequences and labels, with cached features where the encoder is frozen.
    which : mapping
        `task`, `encoder`, `seed` and `stage` of the model.
    batch_size : int
        Sequences per forward.
    """
    if test.features is not None:
        logits = prediction.head_logits(model, test.features, test.ids)
    else:
        oracle = Oracle(model, precision="fp32", batching="lockstep", batch_size=batch_size)
        logits = oracle.logits(test.sequences, test.ids)
    result = metrics.classification_metrics(logits, test.labels)
    correct = sum(row[i] for i, row in enumerate(result.confusion_matrix))
    content = {
        **which,
        **asdict(result),
        "parameters": encoders.count_parameters(model),
        "made_with": runtime.made_with(),
        "accuracy_interval": wilson_interval(correct, result.n)._asdict(),
    }
    return Evaluation(content, metrics.predictions(test.ids or [], logits, test.labels))


def measure(job: Any, model: str, which: Mapping[str, Any]) -> None:
    """Measure the model in a file, for a job whose outputs are `metrics` and `predictions`."""
    given, params = job.input, job.params
    measured = evaluate(
        encoders.load(model, params.encoder, given.encoder),
        splits.read_split(given.test, given.get("test_features")),
        which,
        params.batch_size,
    )
    files.write_parquet(measured.predictions, job.output.predictions)
    files.write_json(measured.metrics, job.output.metrics)
