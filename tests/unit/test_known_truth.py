"""The truth as a model, and what is said of adversaries where it is known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from genosiege import configuration
from genosiege.data import planted
from genosiege.data.planted_posterior import Posterior
from genosiege.errors import InputError
from genosiege.sequence import encoders, known_truth, tables
from genosiege.sequence.gradients import Slope
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.results import AttackResult

SOURCE = {"kind": "simulate", "generator": "planted", "length": 120, "tss_index": 80}
SPEC = {"kind": "planted", "train": "none", "truth": SOURCE}
SETTINGS = planted.parameters(SOURCE)


@pytest.fixture(scope="module")
def model() -> encoders.SequenceModel:
    return encoders.build(SPEC, [], 2)


@pytest.fixture(scope="module")
def sequences() -> list[str]:
    return planted.draw(SETTINGS, np.array([0, 1] * 6), np.random.default_rng(0))


def test_its_logits_are_the_posterior_also_with_n_and_beside_other_lengths(model, sequences):
    some = [*sequences, sequences[0][:50] + "NN" + sequences[0][52:], sequences[1][:70], "ACGT"]

    for batching in ("per_sequence", "lockstep"):
        oracle = Oracle(model, precision="fp32", batching=batching, batch_size=4)
        logits = oracle.logits(some, [str(row) for row in range(len(some))])

        odds = Posterior(SETTINGS).log_odds(some)
        assert logits[:, 1] - logits[:, 0] == pytest.approx(odds, abs=1e-5)


def test_it_is_kept_and_read_without_weights(model, sequences, tmp_path):
    encoders.save(model, str(tmp_path / "model.safetensors"), {})

    again = encoders.load(str(tmp_path / "model.safetensors"), SPEC, [])

    ids = [str(row) for row in range(len(sequences))]
    oracles = [
        Oracle(m, precision="fp32", batching="lockstep", batch_size=8) for m in (model, again)
    ]
    first, second = (oracle.logits(sequences, ids) for oracle in oracles)
    assert (first == second).all()
    other = SPEC | {"truth": SOURCE | {"tss_index": 81}}
    with pytest.raises(InputError):
        encoders.load(str(tmp_path / "model.safetensors"), other, [])


def test_its_slopes_are_the_derivative_of_the_margin(model, sequences):
    slope = Slope(model.classifier, model.tokenizer, torch.device("cpu"))
    sequence = sequences[1]

    (found,) = slope([sequence], [1], lambda lengths: iter([np.arange(len(lengths))]))

    # Along the straight way from a base to another, in small steps.
    posterior, step = Posterior(SETTINGS), 1e-5
    evidence = np.eye(4)[["ACGT".index(base) for base in sequence]]
    for position, base in ((49, 0), (80, 1), (52, 2), (10, 3), (119, 0)):
        moved = evidence.copy()
        moved[position] += step * (np.eye(4)[base] - evidence[position])
        both = posterior.of_evidence(np.stack([evidence, moved]))
        margin = both[:, 1] - both[:, 0]
        assert found[position, base] == pytest.approx((margin[1] - margin[0]) / step, abs=2e-3)
    assert np.abs(found).max() > 1


ROWS = pd.DataFrame(
    {
        # What the truth says before and after, the drawn label, whether the model flipped.
        "id": list("abcdefg"),
        "before": [0, 0, 1, 0, 1, 0, 1],
        "after": [0, 1, 1, 1, 0, 0, 1],
        "label": [0, 0, 0, 0, 0, 0, 1],
        "flipped": [True, True, True, False, True, False, True],
    }
)
"""An error of the model, a true change, neither, an invariance error, the truth that was another
and came to the label, nothing, an error."""
IS = ["model_error", "true_change", "neither", "", "true_change", "", "model_error"]


@pytest.fixture
def attack(monkeypatch) -> AttackResult:
    """Attack rows whose strings are names of Bayes labels."""
    strings = ROWS.assign(
        original="before" + ROWS["id"],
        adversarial="after" + ROWS["id"],
        success_flip=ROWS["flipped"],
        correct_before=True,
        n_edits=3,
    )

    def bayes(self: Posterior, sequences: list[str]) -> np.ndarray:
        when = [sequence[:-1] for sequence in sequences]
        places = [ROWS.index[ROWS["id"] == sequence[-1]][0] for sequence in sequences]
        return np.array([ROWS.loc[i, w] for i, w in zip(places, when, strict=True)])

    monkeypatch.setattr(Posterior, "bayes_labels", bayes)
    rows = known_truth.with_truth(strings, SOURCE)
    return AttackResult("t", "e", 0, "baseline", "genetic", "test", rows, 0, 10)


def test_each_flip_is_an_error_of_the_model_or_a_true_change_or_neither(attack):
    assert attack.rows["flip_is"].tolist() == IS
    assert attack.rows["bayes_label_before"].tolist() == ROWS["before"].tolist()
    assert attack.rows["bayes_label_after"].tolist() == ROWS["after"].tolist()


def test_the_table_counts_originals_of_another_bayes_label_apart(attack):
    truth = attack._replace(encoder="truth")
    table = known_truth.known_truth_table([truth, attack], ["truth"])
    row, _ = table.to_dict("records")

    assert table[["encoder", "is_truth"]].to_numpy().tolist() == [["e", False], ["truth", True]]

    assert row["n_runs"] == 7
    assert row["n_bayes_differs"] == 2  # c and e
    assert (row["n_known"], row["n_flips"]) == (5, 3)  # a, b, d, f, g; a, b and g flip
    assert (row["n_model_errors"], row["n_true_changes"]) == (2, 1)
    assert row["n_invariance_errors"] == 1  # d
    assert row["model_error_share"] == pytest.approx(2 / 3)
    assert row["truth_changed"] == pytest.approx(2 / 5)  # b and d
    assert row["model_error_share_low"] < 2 / 3 < row["model_error_share_high"]


def test_where_the_truth_is_unknown_nothing_is_said(attack):
    rows = attack.rows.drop(columns=[*known_truth.ROWS])

    unknown = known_truth.with_truth(rows, None)

    assert unknown["bayes_label_before"].isna().all()
    assert set(unknown["flip_is"]) == {""}
    assert dict(unknown.dtypes.astype(str))["bayes_label_after"] == "Int64"
    found = known_truth.known_truth_table([attack._replace(rows=unknown)])
    assert (len(found), list(found)) == (0, known_truth.COLUMNS)
    assert not set(known_truth.ROWS) & set(tables.ATTACK_COLUMNS)


def configured(**changes: object) -> dict[str, Any]:
    return {
        "run": {"tasks": ["t"], "encoders": ["cnn", "truth"]},
        "encoders": {"cnn": {"kind": "cnn"}, "truth": {"kind": "planted", "train": "none"}},
        "tasks": {"t": {"source": SOURCE, "n_classes": 2} | changes},
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"source": {"kind": "simulate", "generator": "promoters"}},
            "config, run/encoders: the truth of the task t is not known; add an encoder that is ",
        ),
        ({"n_classes": 3}, "config, tasks/t/n_classes, 3: a planted task has two classes;"),
    ],
)
def test_the_truth_of_other_tasks_is_refused(changes, said):
    alone = configured(**changes) | {"run": {"tasks": ["t"], "encoders": ["truth"]}}

    configuration._check_known_truth(configured())
    with pytest.raises(InputError, match=said):
        configuration._check_known_truth(alone)


def test_the_truth_is_a_model_of_the_tasks_whose_truth_is_known():
    config = configured()
    config["tasks"]["real"] = {"source": {"kind": "path"}, "n_classes": 3}
    config["run"]["tasks"] += ["real"]

    configuration._check_known_truth(config)

    assert configuration.models(config) == [("t", "cnn"), ("t", "truth"), ("real", "cnn")]
    assert configuration.trained_encoders(config) == ["cnn"]
