"""The README's worked examples, followed to the letter, and one small run that uses all five."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from calling import REPOSITORY
from endings import half_written
from scipy.special import expit

from genosiege.data import simulate
from genosiege.expression import samples
from genosiege.sequence import encoders

SECTION = "## Add your own"
LIBRARY = "workflow/scripts/genosiege"
MODULES = {
    f"{LIBRARY}/sequence/kmers.py",
    f"{LIBRARY}/sequence/attacks/transition_walk.py",
    f"{LIBRARY}/expression/logistic.py",
    f"{LIBRARY}/detection/gc_content.py",
}
ROWS = {"train": 600, "dev": 100, "test": 100}
ATTACKED, QUERIES, GENES = 20, 300, 30
R = "results/examples"

# The demo with the examples is 130 jobs; these do all that the examples need.
SMALL: dict[str, Any] = {
    "run": {
        "name": "examples",
        "encoders": ["kmers"],
        "attacks": ["transition_walk"],
        "defences": [],
        "datasets": ["simulated_tcga"],
        "models": ["logistic"],
    },
    "sampling": {"attack_samples": ATTACKED},
    "compute": {"precision": "fp32", "batching": "per_sequence"},
    "certify": {"max_edits": 0},
    "encoders": {"kmers": {"training": {"learning_rate": 0.003}}},
    "hardening": {"suite": ["transition_walk"]},
    "datasets": {
        "simulated_tcga": {"matrix": {"samples": 120, "genes": GENES, "strength": 0.6}},
    },
    "fimba": {"k": [5, "all"], "random_sets": 1, "folds": 2, "explain_samples": 20,
              "smallest_k": None},
    "vae": {"fractions": []},
    "poisoning": {"models": None, "rates": []},
    "expression_hardening": {"models": []},
    "comparison": {"models": []},
    "detection": {
        "models": None,
        "expression": ["mahalanobis"],
        "mutants": 1,
        "ssim": {"draws": 4, "permutations": 9, "max_samples": 4},
        "adaptive": {"penalties": [], "detectors": None},
    },
}  # fmt: skip


class Block(NamedTuple):
    """A fenced block: its language, and what is in it."""

    language: str
    text: str

    @property
    def path(self) -> str:
        """The file that the first line names."""
        return self.text.splitlines()[0].removeprefix("# ")


def blocks(*languages: str) -> list[Block]:
    """Read the section's blocks in these languages, in order; "" is a command."""
    section = (REPOSITORY / "README.md").read_text().split(f"{SECTION}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```(\w*)\n(.*?)^```$", section, flags=re.M | re.S)
    return [Block(*one) for one in found if one[0] in languages]


COMMANDS = [block.text.strip() for block in blocks("")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the five additions made as the README says."""
    folder = tmp_path_factory.mktemp("examples")
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    # Of its own, as a clone is: inside another repository, `git apply` would look there.
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for block in blocks("python", "yaml"):
        file = folder / block.path
        assert not file.exists(), block.path
        file.write_text(block.text)
    for block in blocks("diff"):
        subprocess.run(["git", "apply"], cwd=folder, input=block.text, text=True, check=True)
    settings = simulate.Parameters(
        n_train=ROWS["train"], n_dev=ROWS["dev"], n_test=ROWS["test"],
        length=100, tss_index=59, strength=1.5,
    )  # fmt: skip
    (folder / "data/my_enhancers").mkdir(parents=True)
    for split in ROWS:
        simulate.write(settings, split, folder / f"data/my_enhancers/{split}.csv")
    return folder


def call(folder: Path, line: str, *more: str) -> str:
    """Run a command of the README, with further words at its end."""
    finished = subprocess.run(
        [sys.executable, "-m", *shlex.split(line), *more],
        cwd=folder, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    if finished.returncode != 0:
        pytest.fail(f"{line}\n{finished.stdout[-4000:]}\n{finished.stderr[-8000:]}")
    return finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def run(checkout: Path) -> Path:
    """The folder in which the last command was run, with a file that makes it small."""
    (checkout / "config/small.yaml").write_text(yaml.safe_dump(SMALL))
    quick = ("--max-jobs-per-timespan", "1000/2s", "--quiet", "rules")
    call(checkout, COMMANDS[-1], "config/small.yaml", *quick)
    return checkout


def of_encoder(run: Path, file: str) -> Path:
    return run / R / "sequence/my_enhancers/kmers/seed0/baseline" / file


def of_model(run: Path, file: str) -> Path:
    return run / R / "expression/simulated_tcga/logistic/seed0" / file


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(run / R / f"tables/{name}.csv")


# The text -----------------------------------------------------------------------------


def test_each_example_is_a_file_its_edits_and_a_command(checkout):
    files = [block.path for block in blocks("python", "yaml")]
    overlays = [file for file in files if file.startswith("config/")]

    assert {file for file in files if file not in overlays} == MODULES
    assert [line.split()[-1] for line in COMMANDS[:-1]] == overlays
    assert COMMANDS[-1].split()[-5:] == overlays
    assert len(blocks("diff")) == len(MODULES)
    for block in blocks("diff"):
        edited = re.findall(r"^\+\+\+ b/(\S+)", block.text, flags=re.M)
        registry, schema = edited
        assert registry.startswith(f"{LIBRARY}/kinds/") and schema.endswith(".schema.yaml")
        # One line in the table of kinds.
        assert block.text.split("--- a/")[1].count("\n+ ") == 1


def test_the_examples_are_in_house_style(checkout):
    edited = [str(path.relative_to(checkout)) for path in checkout.glob(f"{LIBRARY}/kinds/*.py")]
    for words in (["check"], ["format", "--check", "--diff"]):
        finished = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", *sorted(MODULES), *edited],
            cwd=checkout, capture_output=True, text=True,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("line", COMMANDS[:-1], ids=lambda line: Path(line).stem)
def test_each_command_by_itself_plans_its_example(checkout, line):
    overlay = yaml.safe_load((checkout / line.split()[-1]).read_text())
    new = {
        "my_task": "data/my_enhancers", "my_encoder": "kmers", "my_attack": "transition_walk",
        "my_model": "logistic", "my_detector": "gc_content",
    }[Path(line).stem]  # fmt: skip
    assert new in str(overlay)

    output = call(checkout, line, "--dry-run", "--forceall")

    # Which detectors a job has is a parameter, which Snakemake does not show.
    assert ("rule detect_sequence" if new == "gc_content" else new) in output


def test_the_catalogues_network_is_narrower_than_the_default(checkout):
    entries = yaml.safe_load((checkout / "config/my_encoder.yaml").read_text())["encoders"]
    own, default = (
        encoders.build(spec, [], 2) for spec in (entries["narrow_cnn"], {"kind": "cnn"})
    )

    assert own.width == 2 * 16 < default.width


# The run ------------------------------------------------------------------------------


def test_the_task_is_the_users_own_files(run):
    assert half_written(run) == []
    for split, n in ROWS.items():
        given = pd.read_csv(run / f"data/my_enhancers/{split}.csv")
        made = pd.read_parquet(run / R / f"data/my_enhancers/{split}.parquet")
        assert made["sequence"].tolist() == given["sequence"].tolist() and len(made) == n
        assert made["label"].tolist() == given["label"].tolist()
    assert set(table(run, "baseline")["task"]) == {"my_enhancers"}


def test_the_encoder_counts_and_its_accuracy_is_above_chance(run):
    description = json.loads(of_encoder(run, "model.json").read_text())
    metrics = json.loads(of_encoder(run, "metrics.json").read_text())

    assert description["encoder"] == {"kind": "kmers", "architecture": {"k": 4}}
    assert description["width"] == 4**4
    # No weights but the head's: 256 to 128, 128 to 2.
    assert metrics["parameters"]["total"] == 256 * 128 + 128 + 128 * 2 + 2
    assert metrics["n"] == ROWS["test"] and metrics["accuracy_interval"]["low"] > 0.6


def test_the_attack_makes_transitions_alone_that_lower_the_margin(run):
    rows = pd.read_parquet(of_encoder(run, "attacks/transition_walk/test.parquet"))
    edits = [edit for text in rows["edits"] if text for edit in text.split(";")]

    assert len(rows) == ATTACKED
    assert {edit.split(":")[1] for edit in edits} == {"A>G", "G>A", "C>T", "T>C"}
    assert (rows["n_transitions"] == rows["n_edits"]).all() and not rows["n_transversions"].any()
    attacked = rows[rows["correct_before"]]
    assert (attacked["margin_after"] < attacked["margin_before"]).all()
    assert attacked["flipped"].any() and attacked["flipped"].equals(attacked["margin_after"] < 0)
    assert attacked["n_edits"].max() <= 10 and attacked["n_queries_unique"].max() <= QUERIES
    assert set(table(run, "attacks")["attack"]) == {"transition_walk"}


def test_the_model_is_kept_as_an_array_and_attacked_along_its_weights(run):
    weights = np.load(of_model(run, "model.bin"), allow_pickle=False)
    test = pd.read_parquet(run / R / "data/simulated_tcga/seed0/test.parquet")
    predicted = pd.read_parquet(of_model(run, "predictions.parquet"))
    metrics = json.loads(of_model(run, "metrics.json").read_text())
    genes = [column for column in test if column not in samples.COLUMNS]
    values = test[genes].to_numpy(np.float32)

    assert weights.shape == (GENES + 1,)
    np.testing.assert_allclose(
        predicted["p_positive"], expit(values @ weights[:-1] + weights[-1]), atol=1e-6
    )
    assert metrics["n"] == len(test) and metrics["auroc"] > 0.7
    assert set(table(run, "expression_models")["model"]) == {"logistic"}
    ranked = pd.read_parquet(of_model(run, "importance.parquet")).set_index("gene")["importance"]
    steep = pd.Series(np.abs(weights[:-1]), genes)
    assert ranked.corr(steep[ranked.index], method="spearman") > 0.8
    attacked = table(run, "fimba")
    assert {"shap", "random"} <= set(attacked["features"])
    assert (attacked["attacked_accuracy"] < attacked["clean_accuracy"]).any()


def test_a_further_line_in_a_table_of_kinds_runs_nothing_again(run):
    for file in run.glob(f"{LIBRARY}/kinds/*.py"):
        file.write_text(file.read_text() + "# Another kind.\n")

    assert "Nothing to be done" in call(run, COMMANDS[-1], "config/small.yaml", "--dry-run")


def test_the_detector_scores_by_the_distance_of_the_gc_content(run):
    def shares(sequences: pd.Series) -> pd.Series:
        return sequences.str.count("[GC]") / sequences.str.len()

    data = run / R / "data/my_enhancers"
    train, dev = (pd.read_parquet(data / f"{split}.parquet") for split in ("train", "dev"))
    natural = shares(train["sequence"])
    rows = pd.read_parquet(of_encoder(run, "detection.parquet"))
    validation = rows[rows["part"] == "validation"].set_index("id")["score_gc_content"]
    expected = (shares(dev.set_index("id")["sequence"]) - natural.mean()).abs()

    assert np.isfinite(rows["score_gc_content"]).all()
    assert set(rows["part"]) == {"validation", "natural", "adversary", "mutant"}
    np.testing.assert_allclose(
        validation, expected[validation.index] / natural.std(ddof=0), atol=1e-9
    )
    assert set(table(run, "detection").query("arm == 'sequence'")["detector"]) == {
        "kmer", "gc_content",
    }  # fmt: skip
