"""Rounds of hardening in a small real run: what they leave, what reruns, where they stop."""

import copy
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from calling import REPOSITORY, run_workflow, snakemake
from safetensors.numpy import load_file

from genosiege import files
from genosiege.data import simulate
from genosiege.sequence.verdict_rule import VERDICTS

NAME = "hardened"
ROUNDS = 3
ADVERSARIAL, CONTROL = "adversarial_only", "random_mutants"
DEFENCES = (ADVERSARIAL, CONTROL)
RATE = 0.02

CONFIG: dict[str, Any] = copy.deepcopy(tiny.CONFIG)
CONFIG["run"] |= {"name": NAME, "seeds": [0], "attacks": ["genetic"], "defences": list(DEFENCES)}
CONFIG["run"]["encoders"] = [tiny.CNN]
CONFIG["certify"] = {"max_edits": 0}
TASK = "with_relatives"
CONFIG["run"]["tasks"] = [TASK]
CONFIG["tasks"] = {
    TASK: {
        "source": {"kind": "path", "path": "relatives/{split}.csv"},
        "tss_index": 59,
        "split": "grouped",
    }
}
CONFIG["hardening"] = {
    "rounds": ROUNDS,
    "suite": ["genetic", "transfer"],
    "train_attack_samples": 16,
    "examples_per_round": 8,
    "epochs": 8,
    "batch_size": 4,
    "learning_rate": RATE,
}
TRAIN_SHARDS, TEST_SHARDS = 2, tiny.SHARDS

# A frozen encoder, whose head alone is hardened; the same data, in results of its own.
FROZEN: dict[str, Any] = copy.deepcopy(CONFIG)
FROZEN["run"] |= {"name": "frozen", "encoders": [tiny.DNABERT2], "defences": [CONTROL]}
FROZEN["hardening"]["rounds"] = 2
REPORT = dict.fromkeys(("make_hardening_tables", "draw_hardening", *tiny.FRONT_PAGE), 1)

Plan = Callable[..., dict[str, int]]


def write_relatives(folder: Path) -> None:
    """Write a task whose splits share shifted copies of each other's sequences."""
    rng = np.random.default_rng(5)
    settings = simulate.Parameters(length=82, tss_index=60)
    rows = simulate.simulate(settings, 150, rng)
    # Three windows of one promoter are relatives: any two share 78 letters.
    copied = rows.sample(25, random_state=1)
    parts = [rows.assign(sequence=rows["sequence"].str[1:-1])]
    parts += [copied.assign(sequence=copied["sequence"].str[i : i + 80]) for i in (0, 2)]
    table = pd.concat(parts).sample(frac=1, random_state=2)
    folder.mkdir()
    for split, part in (("train", table[:120]), ("dev", table[120:160]), ("test", table[160:])):
        part[["sequence", "label"]].to_csv(folder / f"{split}.csv", index=False)


def results(folder: Path) -> Path:
    return folder / f"results/{NAME}"


def model(folder: Path) -> Path:
    return results(folder) / f"sequence/{TASK}/{tiny.CNN}/seed0"


def tables(folder: Path) -> dict[str, bytes]:
    """Read all tables of the report, which hold no time and no date."""
    return {path.name: path.read_bytes() for path in (results(folder) / "tables").glob("*.csv")}


def changed(**sections: dict[str, Any]) -> dict[str, Any]:
    """Give the configuration with other options."""
    config: dict[str, Any] = copy.deepcopy(CONFIG)
    for section, change in sections.items():
        config.setdefault(section, {}).update(change)
    return config


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workflow in which all rounds are done; its own working directory."""
    folder = tmp_path_factory.mktemp("hardened") / "all_rounds"
    for part in ("workflow", "config", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
    write_relatives(folder / "relatives")
    run_workflow(folder, CONFIG, root=folder, check=True)
    return folder


@pytest.fixture
def plan(checkout: Path) -> Plan:
    """What a dry run would do, with some options changed or a file forced."""

    def dry_run(*arguments: str, **sections: dict[str, Any]) -> dict[str, int]:
        config = changed(**sections)
        run = run_workflow(checkout, config, "--dry-run", *arguments, root=checkout, check=True)
        return tiny.planned(run.stdout + run.stderr)

    return dry_run


def later_rounds(
    n_defences: int, n_adversarial: int, first: int, last: int = ROUNDS
) -> dict[str, int]:
    """Count the jobs of some rounds of some defences, and of what reads them.

    `n_adversarial` of them train on adversaries: their next round attacks the train sample.
    """
    n = n_defences * (last - first + 1)
    n_attacks = n_adversarial * (last - first)
    jobs = {"harden": n, "attack_round": n, "attack_shard": n * TEST_SHARDS}
    if n_attacks:
        jobs["attack"] = n_attacks
        jobs["attack_shard"] += n_attacks * TRAIN_SHARDS
    # Of the last rounds alone.
    jobs |= {"transfer": n_defences, "reverse_replay": n_defences}
    return jobs | {"gather_rounds": n_defences, **REPORT}


def trained_on(folder: Path, defence: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(1, ROUNDS + 1):
        path = model(folder) / f"{defence}/round{number}/model.json"
        found += files.read_json(path)["trained_on"]
    return found


@pytest.mark.parametrize("defence", DEFENCES)
def test_no_sequence_attacked_for_evaluation_nor_its_group_was_trained_on(checkout, defence):
    data = results(checkout) / "data" / TASK
    splits = {
        split: pd.read_parquet(data / f"{split}.parquet") for split in ("train", "dev", "test")
    }
    groups = pd.concat(splits.values()).set_index("id")["group"]
    sample = model(checkout).parent / "samples/test.parquet"
    attacked = set(pd.read_parquet(sample)["id"])
    for number in range(ROUNDS + 1):
        stage = f"{defence}/round{number}" if number else "baseline"
        table = model(checkout) / stage / "attacks/genetic/test.parquet"
        assert set(pd.read_parquet(table)["id"]) == attacked

    trained = {row["id"] for row in trained_on(checkout, defence)}
    trained |= set(splits["train"]["id"]) | set(splits["dev"]["id"])

    assert len(attacked) == tiny.ATTACKED
    assert not attacked & trained
    assert not set(groups[list(attacked)]) & set(groups[list(trained)])
    # The groups say something: an attacked sequence has relatives, and they were not trained on.
    relatives = groups[groups.duplicated(keep=False)]
    assert set(relatives.index) & attacked
    assert set(relatives.index) & trained


def test_adversaries_are_what_the_attack_on_the_model_before_found(checkout):
    for number in range(1, ROUNDS + 1):
        stage = f"{ADVERSARIAL}/round{number - 1}" if number > 1 else "baseline"
        rows = pd.read_parquet(model(checkout) / stage / "attacks/genetic/train.parquet")
        written = files.read_json(model(checkout) / f"{ADVERSARIAL}/round{number}/model.json")
        flips = rows[rows["success_flip"]].set_index("id")["n_edits"]

        assert list(rows["attack_seed"].unique()) == [tiny.ATTACK_SEEDS[0]]
        assert written["n_adversaries"] == len(flips)
        assert len(written["trained_on"]) == min(8, len(flips)) > 0
        for row in written["trained_on"]:
            assert (row["kind"], row["round"]) == ("adversary", number)
            assert row["n_edits"] == flips[row["id"]]


@pytest.mark.slow
def test_a_frozen_encoder_is_the_same_in_every_round(checkout):
    run_workflow(checkout, FROZEN, root=checkout, check=True)
    folder = checkout / f"results/frozen/sequence/{TASK}/{tiny.DNABERT2}/seed0"
    digest = files.sha256(folder.parent / "encoder.safetensors")
    heads = []
    for stage in ["baseline", *(f"{CONTROL}/round{number}" for number in (1, 2))]:
        weights = load_file(folder / stage / "model.safetensors")
        assert files.read_json(folder / stage / "model.json")["encoder_sha256"] == digest
        assert all(name.startswith("head.") for name in weights)
        heads.append(weights["head.1.weight"])
    for before, after in itertools.pairwise(heads):
        assert (before != after).any()


def test_tables_and_figures_show_every_round(checkout):
    folder = results(checkout)
    hardening = pd.read_csv(folder / "tables/hardening.csv")
    verdict = pd.read_csv(folder / "tables/verdict.csv")

    rounds = hardening.groupby("defence")["round"].apply(list)
    assert set(rounds.index) == set(DEFENCES)
    assert all(found == list(range(ROUNDS + 1)) for found in rounds)
    assert set(verdict["last_round"]) == {ROUNDS}
    assert set(verdict["verdict"]) <= set(VERDICTS)
    assert set(verdict["suite"]) == {"genetic;transfer"}
    assert (set(verdict["edits"]), set(verdict["family_size"])) == ({5}, {len(DEFENCES)})
    assert (hardening["adversary_source"] == "train").all()
    steps = hardening[hardening["round"] > 0]["n_steps"]
    assert set(steps) == {8 * 2}
    for row in hardening.itertuples():
        stage = f"{row.defence}/round{row.round}" if row.round else "baseline"
        metrics = files.read_json(model(checkout) / stage / "metrics.json")
        rows = pd.read_parquet(model(checkout) / stage / "attacks/genetic/test.parquet")
        right = rows[rows["correct_before"]]
        assert row.accuracy == pytest.approx(metrics["accuracy"])
        assert row.flip_rate == pytest.approx(right["success_flip"].mean())
        robust = (rows["correct_before"] & ~rows["success_flip"]).mean()
        assert row.robust_accuracy == pytest.approx(robust)
    times = pd.read_csv(folder / "benchmarks/rounds.csv")
    assert (times.loc[times["round"] > 0, "harden_s"] > 0).all()
    for name in ("hardening_summary", "model_robustness", "training_progress"):
        assert (folder / f"figures/{name}.svg").is_file()


def test_the_worst_case_of_a_verdict_is_all_that_was_tried_within_its_budget(checkout):
    verdict = pd.read_csv(results(checkout) / "tables/verdict.csv").set_index("defence")
    for defence in DEFENCES:
        last = model(checkout) / f"{defence}/round{ROUNDS}"
        stages = {"baseline": model(checkout) / "baseline", "last": last}
        own = {end: pd.read_parquet(stage / "attacks/genetic/test.parquet")
               for end, stage in stages.items()}  # fmt: skip
        asked = {
            "baseline": pd.read_parquet(last / "reverse_replay/genetic.parquet"),
            "last": pd.read_parquet(last / "replay/genetic.parquet"),
        }
        for end, rows in own.items():
            right = set(rows.loc[rows["correct_before"], "id"])
            lost = set(rows.loc[rows["success_flip"] & (rows["n_edits"] <= 5), "id"])
            again = asked[end]
            lost |= set(again.loc[again["flipped"] & (again["n_edits"] <= 5), "id"])
            robust = len(right - lost) / tiny.ATTACKED
            assert verdict.loc[defence, f"robust_accuracy_{end}"] == pytest.approx(robust)


def test_another_budget_makes_the_tables_again_and_no_attack(plan):
    expected = dict.fromkeys(("make_hardening_tables", "draw_hardening", *tiny.FRONT_PAGE), 1)
    assert plan(verdict={"edits": 4}) == expected


def test_a_second_call_finds_nothing_to_do(plan):
    assert plan() == {}


def test_a_forced_round_reruns_itself_and_later_ones_only(plan):
    path = f"results/{NAME}/sequence/{TASK}/{tiny.CNN}/seed0/{ADVERSARIAL}/round2"

    assert plan("--forcerun", f"{path}/model.safetensors") == later_rounds(1, 1, 2)


def test_other_options_of_a_round_rerun_it_and_later_ones_only(plan):
    assert plan(hardening={"learning_rate": [RATE, 0.03, RATE]}) == later_rounds(2, 1, 2)


def test_a_further_defence_runs_alone(plan):
    # The baseline has been attacked for training already.
    assert plan(run={"defences": [*DEFENCES, "mixed"]}) == later_rounds(1, 1, 1)


@pytest.mark.slow
def test_deleted_models_are_made_again_as_they_were(checkout):
    paths = [
        model(checkout) / f"{ADVERSARIAL}/round2/model.safetensors",
        model(checkout) / f"{ADVERSARIAL}/round3/model.json",
    ]
    before, digests = tables(checkout), [files.sha256(path) for path in paths]
    for path in paths:
        path.unlink()

    run = run_workflow(checkout, CONFIG, root=checkout, check=True)

    planned = tiny.planned(run.stdout + run.stderr)
    assert planned["harden"] == 2
    assert "fine_tune" not in planned
    assert [files.sha256(path) for path in paths] == digests
    assert tables(checkout) == before


def beginning(checkout: Path, name: str) -> Path:
    """Copy a finished run, and take all rounds out of it: what is left is the baseline."""
    folder = checkout.with_name(name)
    shutil.copytree(checkout, folder)
    for defence in DEFENCES:
        shutil.rmtree(model(folder) / defence)
    shutil.rmtree(model(folder) / "baseline/attacks/genetic/train")
    (model(folder) / "baseline/attacks/genetic/train.parquet").unlink()
    for part in ("tables", "figures", "benchmarks"):
        shutil.rmtree(results(folder) / part)
    return folder


def expected_stop(checkout: Path) -> tuple[float, int]:
    """Find a threshold at which the rounds stop after some round, and that round."""
    table = pd.read_csv(results(checkout) / "tables/hardening.csv")
    rows = table[table["defence"] == ADVERSARIAL]
    rates = rows.set_index("round")["source_flip_rate"].dropna()
    lowest = int(rates.idxmin())
    assert lowest > 1, f"no later round is harder to attack: {rates.to_dict()}"
    # The attack before round r decides whether round r is run. A table's last digit may differ.
    return float(rates[lowest]) + 1e-9, lowest - 1


@pytest.mark.slow
def test_rounds_stop_at_the_threshold_and_a_second_call_finds_nothing_to_do(checkout):
    threshold, last = expected_stop(checkout)
    config = changed(hardening={"convergence_threshold": threshold})
    folder = beginning(checkout, "stopped_early")

    run_workflow(folder, config, root=folder, check=True)

    stages = {path.parent.name for path in (model(folder) / ADVERSARIAL).glob("round*/model.json")}
    assert stages == {f"round{number}" for number in range(1, last + 1)}
    # A control runs all its rounds.
    assert len(list((model(folder) / CONTROL).glob("round*/model.json"))) == ROUNDS
    table = pd.read_csv(results(folder) / "tables/hardening.csv")
    shown = table[(table["defence"] == ADVERSARIAL) & table["is_last"]]
    assert list(shown["round"]) == [last]
    assert "at or below" in shown["stop_reason"].item()
    before = pd.read_csv(results(checkout) / "tables/hardening.csv")
    same = before[before["defence"] == ADVERSARIAL]
    kept = ["accuracy", "robust_accuracy", "flip_rate", "source_flip_rate"]
    pd.testing.assert_frame_equal(
        table[table["defence"] == ADVERSARIAL][kept].reset_index(drop=True),
        same[same["round"] <= last][kept].reset_index(drop=True),
    )

    again = run_workflow(folder, config, root=folder, check=True)
    assert "Nothing to be done" in again.stdout + again.stderr
    page = results(folder) / "report.html"
    run_workflow(folder, config, "--report", page, root=folder, check=True)
    assert "verdict.csv" in page.read_text()

    # Another threshold goes on from there, and trains nothing again.
    more = run_workflow(
        folder, {**config, "hardening": CONFIG["hardening"]}, root=folder, check=True
    )
    assert tiny.planned(more.stdout + more.stderr)["harden"] == ROUNDS - last


@pytest.mark.parametrize(
    ("options", "last"),
    [
        # No gain of accuracy is as large as this.
        ({"convergence": "accuracy", "convergence_threshold": 1.0}, 1),
        # No flip rate is above this: the baseline is not hardened at all.
        ({"convergence": "flip_rate", "convergence_threshold": 1.0}, 0),
    ],
)
def test_either_rule_may_stop_at_once(checkout, options, last):
    config = changed(hardening=options)
    config["run"]["defences"] = [ADVERSARIAL]
    folder = beginning(checkout, f"stopped_at_{last}")

    run_workflow(folder, config, root=folder, check=True)

    verdict = pd.read_csv(results(folder) / "tables/verdict.csv")
    assert list(verdict["last_round"]) == [last]
    if not last:
        # That of a model which is no better than chance is another.
        assert set(verdict["verdict"]) <= {"collapsed", "no difference shown"}
        assert list(verdict["delta_robust_accuracy"]) == [0.0]
    again = run_workflow(folder, config, root=folder, check=True)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_published_leak_is_marked_in_every_table(checkout):
    config = changed(hardening={"adversary_source": "test", "train_attack_samples": 8, "rounds": 1})
    config["run"]["defences"] = [ADVERSARIAL]
    folder = beginning(checkout, "leak")

    run_workflow(folder, config, root=folder, check=True)

    sample = set(pd.read_parquet(model(folder).parent / "samples/test.parquet")["id"])
    written = files.read_json(model(folder) / f"{ADVERSARIAL}/round1/model.json")
    trained = {row["id"] for row in written["trained_on"]}
    assert trained
    assert trained < sample
    for name in ("hardening", "verdict", "defence_attacks"):
        table = pd.read_csv(results(folder) / f"tables/{name}.csv")
        assert set(table["adversary_source"]) == {"test"}, name
    claim = pd.read_csv(results(folder) / "tables/published_claim.csv")
    ours = claim[claim["defence"] == ADVERSARIAL]
    assert set(ours["sequences"]) == {"all", "trained on", "never trained on"}
    assert set(ours["adversary_source"]) == {"test"}


@pytest.mark.slow
def test_a_killed_round_goes_on_without_repeating_finished_shards(checkout):
    folder = beginning(checkout, "killed")
    # The attack for the first round's training: with one core, harden itself would take one thread
    # and round otherwise.
    shards = model(folder) / "baseline/attacks/genetic/train"
    logs = list((results(folder) / "logs/attack").glob("*baseline.genetic.train.shard*.log"))
    assert len(logs) == TRAIN_SHARDS
    for log in logs:
        log.unlink()

    # Nothing but this chain, so that it is the shards of an attack for training that are disturbed.
    target = model(folder).relative_to(folder) / f"{ADVERSARIAL}/round1/model.safetensors"
    process = subprocess.Popen(
        snakemake(folder, CONFIG, target, root=folder, cores=1),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "workflow/scripts")},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 600
    # Once both have begun, one after the other, the first is known to be finished.
    while not all(log.exists() for log in logs):
        assert process.poll() is None, "the call ended before it could be disturbed"
        assert time.monotonic() < end, "waited for ten minutes"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    finished = {path: path.stat().st_mtime_ns for path in shards.glob("shard*.parquet")}
    assert len(finished) == 1

    run_workflow(folder, CONFIG, "--unlock", root=folder, check=True)
    run_workflow(folder, CONFIG, root=folder, check=True)

    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert tables(folder) == tables(checkout)
