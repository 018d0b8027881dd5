"""What the demo has trained, beside the truth of its task: on fresh sequences none knows better."""

import numpy as np
import pytest
from opened import ROOT

from genosiege import files
from genosiege.data import planted, simulate
from genosiege.data.planted_posterior import Posterior
from genosiege.sequence import encoders
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.browser

RUN = ROOT / "results/demo"
N = 20_000


def log_loss(log_odds: np.ndarray, labels: np.ndarray) -> float:
    return float(np.logaddexp(0, np.where(labels == 1, -log_odds, log_odds)).mean())


def test_no_model_of_the_demo_has_a_lower_log_loss_than_the_truth():
    config = files.read_json(RUN / "config.json")
    (task,) = config["run"]["tasks"]
    parameters = simulate.parameters(config["tasks"][task]["source"])
    rng = np.random.default_rng(20)
    labels = rng.integers(2, size=N)
    sequences = planted.draw(parameters, labels, rng)
    truth = log_loss(Posterior(parameters).log_odds(sequences), labels)

    names = [name for name, entry in config["encoders"].items() if name in config["run"]["encoders"]
             and entry["kind"] != "planted"]  # fmt: skip
    assert len(names) == 2
    for name in names:
        place = RUN / "sequence" / task / name
        known = [place / file for file in ("encoder.safetensors", "encoder.json", "tokenizer.json")]
        entry = config["encoders"][name]
        entry = {k: v for k, v in entry.items() if k not in ("source", "training", "pretraining")}
        model = encoders.load(
            str(place / "seed0/baseline/model.safetensors"),
            entry,
            [str(path) for path in known if path.is_file()],
        )
        oracle = Oracle(model, precision="fp32", batching="lockstep", batch_size=256)
        logits = oracle.logits(sequences, [str(at) for at in range(N)])
        assert log_loss(logits[:, 1] - logits[:, 0], labels) > truth + 0.02, name
    assert truth < 0.2
