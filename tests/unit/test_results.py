"""Results are read with what their place says, and refused where they are not what they claim."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import refusal
from toy_tables import certified, flip

from genosiege import files
from genosiege.sequence import results

MODEL = "sequence/promoters/cnn/seed2/mixed/round3"
LATENT = pd.DataFrame(
    {
        "id": ["a", "a", "a"],
        "attack": ["pgd", "fgsm", "pgd"],
        "norm": "l2",
        "epsilon": [0.1, 0.1, 0.3],
        "correct_before": True,
        "flipped": [False, True, True],
        "l2": 0.1,
        "linf": 0.01,
        "n_gradients": 20,
    }
)


def test_attacks_take_names_from_the_path_and_losses_from_the_schema(tmp_path: Path) -> None:
    path = tmp_path / MODEL / "attacks/genetic/test.parquet"
    noted = {"search_flips_lost": "7", "max_edits": "4"}
    files.write_parquet(pd.DataFrame([flip("a", 1)]), path, noted)

    found = results.read_attack(str(path))

    assert found[:6] == ("promoters", "cnn", 2, "mixed/round3", "genetic", "test")
    assert (found.search_flips_lost, found.max_edits) == (7, 4)


def test_certificates_and_transfers_take_names_from_the_path(tmp_path: Path) -> None:
    certificate = tmp_path / MODEL / "certify.parquet"
    files.write_parquet(certified({"a": ["robust"]}).rows, certificate)
    transfer = tmp_path / MODEL / "transfer/genetic_transfer.parquet"
    empty = {"int64": 0, "float64": 0.5, "bool": True, "object": "a"}
    row = {name: empty[kind] for name, kind in results.TRANSFER_ROWS.items()}
    files.write_parquet(pd.DataFrame([row]), transfer)

    of_certificate = results.read_certificate(str(certificate))
    of_transfer = results.read_transfer(str(transfer))

    assert of_certificate[:5] == ("promoters", "cnn", 2, "mixed/round3", "")
    assert of_transfer[:5] == ("promoters", "cnn", 2, "mixed/round3", "genetic_transfer")
    assert len(of_transfer.rows) == 1


def test_replays_and_predictions_take_names_from_the_path(tmp_path: Path) -> None:
    empty = {"int64": 0, "float64": 0.5, "bool": True, "object": "a"}
    replay, predictions = tmp_path / MODEL / "replay/genetic.parquet", tmp_path / MODEL
    row = {name: empty[kind] for name, kind in results.TRANSFER_ROWS.items()}
    files.write_parquet(pd.DataFrame([row]), replay)
    answer = pd.DataFrame([{"id": "a", "label": 1, "predicted": 0, "correct": False}])
    files.write_parquet(answer, predictions / "predictions.parquet")

    of_replay = results.read_replay(str(replay))
    of_predictions = results.read_predictions(str(predictions / "predictions.parquet"))

    assert of_replay[:5] == ("promoters", "cnn", 2, "mixed/round3", "genetic")
    assert of_predictions[:5] == ("promoters", "cnn", 2, "mixed/round3", "")
    assert of_predictions.rows["correct"].tolist() == [False]


def test_further_columns_of_an_attack_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / MODEL / "attacks/genetic/test.parquet"
    files.write_parquet(pd.DataFrame([flip("a", 1, plausibility=1)]), path)

    found = results.read_attack(str(path), {"plausibility": "float64"})

    assert found.rows["plausibility"].dtype == float
    missing = refusal(results.read_attack, str(path), {"gc_shift": "float64"})
    assert "column gc_shift is missing" in missing


def test_latent_attacks_come_one_by_one_or_gathered(tmp_path: Path) -> None:
    alone, gathered = tmp_path / MODEL / "latent/pgd.parquet", tmp_path / MODEL / "latent.parquet"
    files.write_parquet(LATENT.drop(columns="attack"), alone)
    files.write_parquet(LATENT, gathered)

    assert [found.attack for found in results.read_latent(str(alone))] == ["pgd"]
    both = results.read_latent(str(gathered))
    assert [(found.attack, len(found.rows)) for found in both] == [("fgsm", 1), ("pgd", 2)]
    assert {found[:4] for found in both} == {("promoters", "cnn", 2, "mixed/round3")}


def test_a_gathered_table_that_names_no_attack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / MODEL / "latent.parquet"
    files.write_parquet(LATENT.drop(columns="attack"), path)

    assert "column attack is missing" in refusal(results.read_latent, str(path))


@pytest.mark.parametrize(
    "read",
    [
        results.read_attack,
        results.read_certificate,
        results.read_transfer,
        results.read_replay,
        results.read_latent,
        results.read_predictions,
    ],
)
def test_a_table_elsewhere_is_refused(read, tmp_path: Path) -> None:
    assert "move the file there" in refusal(read, str(tmp_path / "genetic.parquet"))


def test_missing_columns_and_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t/e/seed0/baseline/attacks/genetic/test.parquet"
    row = pd.DataFrame([flip("a", 1)])
    files.write_parquet(row.drop(columns="n_edits"), path)
    assert "test.parquet: column n_edits is missing" in refusal(results.read_attack, str(path))

    files.write_parquet(row[np.zeros(1, dtype=bool)], path)
    assert "the table has no row" in refusal(results.read_attack, str(path))
