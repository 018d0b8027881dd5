"""Adversaries of one model on another, from strings alone; a model on its own gets its attack."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_models import Linear, linear_weights, random_sequence, wrap

from genosiege import files
from genosiege.sequence import attacks, audit, campaign, rescoring, results, summaries, transfer
from genosiege.sequence.answers import margins
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.results import AttackResult, ModelResult

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH, N = 24, 30
SEARCH = {"kind": "genetic", "population": 8, "generations": 4, "max_edits": 4}


def model(seed: int, length: int = LENGTH) -> SequenceModel:
    return wrap(Linear(linear_weights(seed, length)))


def sample(length: int = LENGTH, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"test:{number}" for number in range(N)],
            "sequence": [random_sequence(rng, length) for _ in range(N)],
            "label": rng.integers(0, 2, N),
        }
    )


def attacked(
    source: SequenceModel,
    rows: pd.DataFrame,
    task: str = "promoters",
    encoder: str = "cnn",
    max_edits: int = 4,
    attack_seeds: Sequence[int] = (0, 1),
) -> AttackResult:
    """Attack a model for good: search, rescore, name."""
    oracle = Oracle(source, batch_size=16)
    attack = attacks.load(SEARCH)
    shards = campaign.attack_sample(source, rows, attack, Constraints(), attack_seeds, oracle)
    made = rescoring.rescore(source, shards, Constraints(), max_edits, batch_size=16)
    place = (task, encoder, 0, "baseline", "genetic", "test")
    return AttackResult(*place, made.rows, made.search_flips_lost, max_edits)


def table(rows: pd.DataFrame, task: str = "promoters", encoder: str = "cnn") -> pd.DataFrame:
    target = ModelResult(task, encoder, 0, "baseline", "transfer", rows)
    return audit.transfer_table([target]).set_index(["source_task", "source_encoder"])


@pytest.fixture(scope="module")
def sources() -> list[AttackResult]:
    return [attacked(model(1), sample()), attacked(model(2), sample(), encoder="hf")]


@pytest.mark.parametrize("max_edits", [1, 4])
def test_a_model_on_itself_gets_the_attack_itself(max_edits: int) -> None:
    own = attacked(model(1), sample(), max_edits=max_edits)

    found = transfer.transferred(model(1), "promoters", [own], batch_size=16)

    assert (found["flipped"] == own.rows["success_flip"]).all()
    assert (found["correct_before"] == own.rows["correct_before"]).all()
    assert found["margin_after"].to_numpy() == pytest.approx(own.rows["margin_after"].to_numpy())
    (diagonal,) = table(found).to_dict("records")
    (summary,) = summaries.attacks_table([own]).to_dict("records")
    assert 0 < diagonal["n_flipped"] < diagonal["n"]
    for transferred, attack in (("n", "n_runs"), ("n_flipped", "n_flips")):
        assert diagonal[transferred] == summary[attack]
    for end in ("", "_low", "_high"):
        assert diagonal[f"flip_rate{end}"] == pytest.approx(summary[f"flip_rate{end}"])


def test_the_target_is_asked_about_the_strings_of_the_source(sources: list[AttackResult]) -> None:
    weights = linear_weights(1, LENGTH)

    found = transfer.transferred(model(1), "promoters", sources, batch_size=16)

    other = found[found["source_encoder"] == "hf"].reset_index()
    assert len(found) == 2 * len(other) == 4 * N
    for column, of in (("original", "margin_before"), ("adversarial", "margin_after")):
        strings = sources[1].rows[column]
        codes = np.array([["ACGTN".index(base) for base in string] for string in strings])
        logits = weights[np.arange(LENGTH), codes].sum(axis=1)
        by_hand = margins(logits, other["label"].to_numpy())
        assert other[of].to_numpy() == pytest.approx(by_hand, abs=1e-4)
    assert (other["source_flipped"] == sources[1].rows["success_flip"]).all()
    assert (other["source_correct"] == sources[1].rows["correct_before"]).all()
    assert (other["n_edits"] == sources[1].rows["n_edits"]).all()
    expected = (other["margin_before"] >= 0) & (other["margin_after"] < 0)
    assert (other["flipped"] == expected).all()
    # Unrelated models: what fools one seldom fools the other, but sometimes it does.
    assert 0 < table(found).loc[("promoters", "hf"), "transfer_rate"] < 0.9


def test_sources_of_another_length_are_left_out_and_the_log_says_so(
    sources: list[AttackResult], caplog: pytest.LogCaptureFixture
) -> None:
    short = attacked(model(3, 10), sample(10), task="splice", encoder="cnn")
    equal = attacked(model(4), sample(seed=1), task="enhancers", encoder="cnn")

    with caplog.at_level("INFO"):
        found = transfer.transferred(model(1), "promoters", [*sources, short, equal], 16)

    assert set(found["source_task"]) == {"promoters", "enhancers"}
    assert "cnn of splice is left out" in caplog.text


def test_a_target_without_an_attack_on_its_own_task_is_refused(sources: list[AttackResult]) -> None:
    message = refusal(transfer.transferred, model(1), "splice", sources, 16)

    assert "none of the attacks is on this task" in message


def test_the_table_can_be_read_again(sources: list[AttackResult], tmp_path: Path) -> None:
    found = transfer.transferred(model(1), "promoters", sources, batch_size=16)
    path = tmp_path / "promoters/cnn/seed0/baseline/transfer/transfer.parquet"
    files.write_parquet(found, path)

    again = results.read_transfer(str(path))

    assert list(again.rows) == list(results.TRANSFER_ROWS)
    pd.testing.assert_frame_equal(again.rows, found, check_dtype=False)
