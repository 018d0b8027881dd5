import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refusal
from toy_expression_classes import two_classes

from genosiege.expression import models

SCRIPTS = Path(models.__file__).parents[2]

TRAINING = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3, "patience": 8}
ENTRIES = {
    "random_forest": {"kind": "random_forest", "trees": 15, "min_samples_leaf": 1},
    "xgboost": {"kind": "xgboost", "trees": 15, "max_depth": 2, "learning_rate": 0.3},
    "cnn": {"kind": "cnn", "channels": [4, 8], "hidden": 8, "training": TRAINING},
    "resnet": {"kind": "resnet", "widths": [4, 8], "blocks": [1, 1], "training": TRAINING},
    "vit": {
        "kind": "vit",
        "patch": 2,
        "hidden": 8,
        "layers": 2,
        "heads": 2,
        "training": TRAINING,
    },
}
KINDS = sorted(ENTRIES)
N_GENES = 12


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all():
    """The models that all tests share are trained with as many threads as those of one test."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(kind: str, seed: int = 0, **options):
    model = models.create({**ENTRIES[kind], **options}, N_GENES, seed)
    model.fit(two_classes(120, seed=1), two_classes(40, seed=2))
    return model


@pytest.fixture(scope="module")
def fitted():
    return {kind: trained(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def test():
    return two_classes(80, seed=3)


def paths(folder: Path) -> tuple[Path, Path]:
    return folder / "model.bin", folder / "model.json"


def change(path: Path, **fields) -> None:
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, **fields}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_what_can_be_learnt(kind, fitted, test):
    correct = fitted[kind].decide(test.values) == test.labels

    assert correct.mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_rows_of_float64_that_sum_to_one(kind, fitted, test):
    p = fitted[kind].predict_proba(test.values)

    assert p.dtype == np.float64
    assert p.shape == (80, 2)
    assert (p.sum(axis=1) == 1).all()
    assert ((p >= 0) & (p <= 1)).all()
    assert fitted[kind].decide(test.values).tolist() == p.argmax(axis=1).tolist()
    assert fitted[kind].predict_proba(test.values[:0]).shape == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_answered_alike_alone_and_among_others_in_any_layout(kind, fitted, test):
    p = fitted[kind].predict_proba(test.values)

    alone = [fitted[kind].predict_proba(row[None])[0] for row in test.values[:5]]
    columns_first = fitted[kind].predict_proba(np.asfortranarray(test.values))

    assert np.allclose(alone, p[:5], atol=1e-6)
    assert np.array_equal(columns_first, p)


@pytest.mark.parametrize("kind", KINDS)
def test_refits_with_a_seed_are_equal_to_the_last_byte(kind, fitted):
    again = models.fresh(fitted[kind])
    torch.manual_seed(5)  # global states play no part

    again.fit(two_classes(120, seed=1), two_classes(40, seed=2))

    assert again.to_bytes() == fitted[kind].to_bytes()
    again.fit(two_classes(120, seed=1), two_classes(40, seed=2))
    assert again.to_bytes() == fitted[kind].to_bytes()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"xgboost"}))
def test_another_seed_gives_another_model(kind, fitted):
    assert trained(kind, seed=1).to_bytes() != fitted[kind].to_bytes()


def test_another_seed_draws_other_samples_for_boosted_trees():
    first, second = (trained("xgboost", seed=seed, subsample=0.5) for seed in (0, 1))

    assert first.to_bytes() != second.to_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_model_answers_bit_by_bit_as_before(kind, fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted[kind], weights, description, test.genes)

    loaded = models.load(weights, description, test.genes)

    expected = fitted[kind].predict_proba(test.values)
    assert np.array_equal(loaded.predict_proba(test.values), expected)
    assert loaded.entry() == fitted[kind].entry()
    assert loaded.facts() == fitted[kind].facts()
    assert loaded.to_bytes() == weights.read_bytes()
    assert b"pickle" not in weights.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_description_says_what_a_reader_needs(kind, fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted[kind], weights, description, test.genes)

    told = json.loads(description.read_text())

    assert told["kind"] == kind
    assert told["n_features"] == N_GENES
    assert told["genes_sha256"] == models.genes_digest(test.genes)
    given = {name: value for name, value in ENTRIES[kind].items() if name != "kind"}
    assert told["options"].items() >= given.items() or kind in ("cnn", "resnet", "vit")
    assert told["packages"]
    size = "n_nodes" if kind in ("random_forest", "xgboost") else "n_parameters"
    assert told[size] > 0
    # What `create` is given may be lists or, from another model, tuples.
    again = models.create({**told["options"], "kind": kind}, N_GENES, told["seed"])
    assert again.entry() == fitted[kind].entry()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_model_is_untrained_and_has_the_same_options_and_seed(kind, fitted, test):
    model = models.fresh(fitted[kind])

    assert model.entry() == fitted[kind].entry()
    assert (model.seed, model.n_features) == (0, N_GENES)
    assert "not trained yet" in refusal(model.predict_proba, test.values)
    assert "not trained yet" in refusal(model.to_bytes)


@pytest.mark.parametrize("kind", KINDS)
def test_class_weights_lift_the_rare_class(kind):
    # The classes overlap so much that, of an even sample, a classifier which takes the rarity
    # of positives for granted calls at most 16 % positive (d' = 1.66), and a fair one 50 %.
    train, dev = (two_classes(n, n, positives=0.1, shift=0.12) for n in (600, 200))
    even = two_classes(400, seed=5, shift=0.12)
    options = {"min_samples_leaf": 40} if kind == "random_forest" else {}
    model = models.create({**ENTRIES[kind], **options}, N_GENES, seed=0)

    model.fit(train, dev)

    assert 0.25 < model.decide(even.values).mean() < 0.75


def test_a_forest_answers_as_scikit_learn_does(fitted, test):
    forest = fitted["random_forest"]

    expected = forest.estimator.predict_proba(test.values)

    assert np.allclose(forest.predict_proba(test.values), expected, atol=1e-12)


def test_threads_change_nothing_of_a_forest(fitted, monkeypatch):
    from genosiege.expression import forest

    monkeypatch.setattr(forest, "_ROWS", 7)
    model = models.create(ENTRIES["random_forest"], N_GENES, 0, threads=2)
    model.fit(two_classes(120, seed=1), two_classes(40, seed=2))
    values = two_classes(80, seed=3).values

    assert model.to_bytes() == fitted["random_forest"].to_bytes()
    expected = fitted["random_forest"].predict_proba(values)
    assert np.array_equal(model.predict_proba(values), expected)


def test_boosting_keeps_the_trees_up_to_the_best_round_on_dev():
    import xgboost

    train, dev = two_classes(80, seed=1, shift=0.2), two_classes(60, seed=2, shift=0.2)
    model = models.create(
        {"kind": "xgboost", "trees": 60, "learning_rate": 0.5, "patience": 3}, N_GENES, 0
    )
    model.fit(train, dev)

    weight = (train.labels == 0).sum() / (train.labels == 1).sum()
    matrix = xgboost.DMatrix(dev.values)
    everything = models.create(
        {"kind": "xgboost", "trees": 60, "learning_rate": 0.5, "patience": None}, N_GENES, 0
    )
    everything.fit(train, dev)
    losses = []
    for rounds in range(1, 61):
        p = everything.booster.predict(matrix, iteration_range=(0, rounds))
        true = np.where(dev.labels == 1, p, 1 - p)
        losses.append(np.average(-np.log(true), weights=np.where(dev.labels == 1, weight, 1)))
    best = next(
        i for i in range(60) if min(losses[i + 1 : i + 4], default=9) > min(losses[: i + 1])
    )
    best = int(np.argmin(losses[: best + 1]))
    assert model.facts()["best_iteration"] == best
    assert model.booster.num_boosted_rounds() == model.facts()["n_trees"] == best + 1 < 60
    assert everything.facts()["n_trees"] == 60
    expected = everything.booster.predict(
        xgboost.DMatrix(dev.values), iteration_range=(0, best + 1)
    )
    assert np.array_equal(model.predict_proba(dev.values)[:, 1], expected.astype(float))


def loading(folder: Path, genes=None) -> str:
    return refusal(models.load, *paths(folder), genes)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_were_changed_are_refused(kind, fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted[kind], weights, description, test.genes)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)

    assert "not those that" in loading(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_with_a_fitting_digest_is_refused(kind, fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted[kind], weights, description, test.genes)
    weights.write_bytes(weights.read_bytes()[:-40])
    change(description, weights_sha256=digest(weights))

    assert "train" in loading(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_other_genes_is_refused(kind, fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted[kind], weights, description, test.genes)

    assert "other genes or another order" in loading(tmp_path, test.genes[::-1])
    change(description, n_features=30)
    assert "train it again" in loading(tmp_path)
    rows = np.zeros((2, N_GENES + 1), dtype=np.float32)
    assert "rows of 12 genes" in refusal(fitted[kind].predict_proba, rows)
    rows = np.full((2, N_GENES), np.nan, dtype=np.float32)
    assert "missing or infinite" in refusal(fitted[kind].predict_proba, rows)


def test_files_that_do_not_belong_together_are_refused(fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    assert "no such file" in loading(tmp_path)
    models.save(fitted["cnn"], weights, description, test.genes)
    change(description, format="ubj")
    assert 'format "ubj"' in loading(tmp_path)
    change(description, format="safetensors", kind="resnet", options={})
    assert "not those of this resnet" in loading(tmp_path)
    change(description, kind="oracle")
    assert 'kind "oracle"' in loading(tmp_path)
    description.write_text('{"kind": "cnn"}')
    assert "does not describe a model" in loading(tmp_path)
    models.save(fitted["cnn"], weights, description, test.genes)
    weights.unlink()
    assert "no such model" in loading(tmp_path)


def digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def rewrite(weights: Path, description: Path, changed) -> None:
    """Let `changed` alter the archive's schema, and make the digest fit."""
    old = zipfile.ZipFile(io.BytesIO(weights.read_bytes()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, changed(content) if name == "schema.json" else content)
    weights.write_bytes(out.getvalue())
    change(description, weights_sha256=digest(weights))


def test_a_forest_that_would_run_code_is_refused_before_it_does(fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted["random_forest"], weights, description, test.genes)
    marker = tmp_path / "ran"

    def hostile(schema: bytes) -> bytes:
        told = json.loads(schema)
        told["content"]["content"]["verbose"] = {
            "__class__": "system",
            "__module__": "os",
            "__loader__": "FunctionNode",
            "content": f"touch {marker}",
        }
        return json.dumps(told).encode()

    rewrite(weights, description, hostile)

    assert "no forest as skops keeps it" in loading(tmp_path)
    assert not marker.exists()


def test_an_estimator_that_is_no_forest_is_refused(fitted, test, tmp_path):
    import skops.io
    from sklearn.dummy import DummyClassifier

    weights, description = paths(tmp_path)
    models.save(fitted["random_forest"], weights, description, test.genes)
    other = DummyClassifier().fit(test.values, test.labels)
    weights.write_bytes(skops.io.dumps(other))
    change(description, weights_sha256=digest(weights))

    assert "no forest of two classes" in loading(tmp_path)


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature"])
def test_a_tree_that_leads_outside_itself_or_nowhere_is_refused(field, fitted, test, tmp_path):
    weights, description = paths(tmp_path)
    models.save(fitted["random_forest"], weights, description, test.genes)
    for wrong in (-7, 0, 10_000) if field != "feature" else (-7, 12):
        model = models.load(weights, description)
        tree = model.estimator.estimators_[3].tree_
        state = tree.__getstate__()
        state["nodes"] = state["nodes"].copy()
        state["nodes"][field][0] = wrong
        tree.__setstate__(state)
        damaged = tmp_path / str(wrong)
        models.save(model, *paths(damaged), test.genes)

        assert "no forest of two classes on these genes" in loading(damaged)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, 'kind "None"'),
        ({"kind": "svm"}, "choose one of random_forest, xgboost, cnn, resnet, vit"),
        ({"kind": "random_forest", "trees": 0}, "random_forest, trees 0"),
        ({"kind": "random_forest", "trees": True}, "random_forest, trees True"),
        ({"kind": "random_forest", "depth": 3}, "random_forest, depth: there is no such option"),
        ({"kind": "random_forest", "max_depth": 0}, "max_depth 0"),
        ({"kind": "random_forest", "max_features": "all"}, "choose sqrt or log2"),
        ({"kind": "random_forest", "max_features": 1.5}, "max_features 1.5"),
        ({"kind": "random_forest", "max_features": 0}, "max_features 0"),
        ({"kind": "random_forest", "max_features": 13}, "the data have 12 genes"),
        ({"kind": "random_forest", "min_samples_leaf": 0.5}, "min_samples_leaf 0.5"),
        ({"kind": "xgboost", "learning_rate": 0}, "xgboost, learning_rate 0"),
        ({"kind": "xgboost", "subsample": 1.1}, "subsample 1.1"),
        ({"kind": "xgboost", "colsample": "all"}, "colsample 'all'"),
        ({"kind": "xgboost", "patience": 0}, "patience 0"),
        ({"kind": "xgboost", "max_depth": None}, "max_depth None"),
        ({"kind": "cnn", "channels": []}, "cnn, channels"),
        ({"kind": "cnn", "channels": 16}, "channels 16"),
        ({"kind": "cnn", "channels": [16, 0]}, "channels [16, 0]"),
        ({"kind": "cnn", "dropout": 1}, "dropout 1"),
        ({"kind": "cnn", "training": {"batch_size": 1}}, "batch_size 1"),
        ({"kind": "cnn", "training": {"epochs": 0}}, "epochs 0"),
        ({"kind": "cnn", "training": {"learning_rate": float("nan")}}, "learning_rate nan"),
        ({"kind": "cnn", "training": {"weight_decay": -1}}, "weight_decay -1"),
        ({"kind": "cnn", "training": {"warmup": 1}}, "cnn, training, warmup"),
        ({"kind": "resnet", "blocks": [1, 1]}, "list of 4 positive"),
        ({"kind": "vit", "hidden": 10, "heads": 4}, "give a multiple of heads, 4"),
        ({"kind": "vit", "patch": 0}, "vit, patch 0"),
        ({"kind": "vit", "channels": [3]}, "vit, channels: there is no such option"),
    ],
)
def test_options_that_make_no_model_are_refused(entry, told):
    assert told in refusal(models.create, entry, N_GENES, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_cannot_be_learnt_are_refused(kind):
    model = models.create(ENTRIES[kind], N_GENES, 0)
    train, dev = two_classes(20, seed=1), two_classes(10, seed=2)

    one_class = train.take(train.labels == 1)
    assert "10 samples of one class only" in refusal(model.fit, one_class, dev)
    assert "train has 13 genes, the model 12" in refusal(model.fit, two_classes(9, 1, p=13), dev)
    assert "dev has 13 genes" in refusal(model.fit, train, two_classes(9, 1, p=13))
    if model.needs_dev:
        assert "dev split is empty" in refusal(model.fit, train, dev.take(np.arange(0)))
    assert "have no gene" in refusal(models.create, ENTRIES[kind], 0, 0)


_LOADED = """
import sys
import numpy as np
from toy_expression_classes import two_classes
from genosiege.expression import folds, metrics, models
entry = {entry!r}
train = two_classes(30, seed=1)
model = models.create(entry, 12, 0)
model.fit(train, train)
model.predict_proba(train.values)
models.save(model, "model.bin", "model.json", train.genes)
models.load("model.bin", "model.json", train.genes)
if entry["kind"] in ("random_forest", "xgboost"):
    folds.out_of_fold(entry, train, 2, 0)
print(*(name for name in sys.modules if "." not in name))
"""


def loaded_by(kind: str, folder: Path, hash_seed: str) -> str:
    """Train, predict, keep and read a model in a process of its own; tell what was imported."""
    folder.mkdir()
    importable = f"{SCRIPTS}{os.pathsep}{Path(__file__).parent}"
    return subprocess.run(
        [sys.executable, "-c", _LOADED.format(entry=ENTRIES[kind])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": importable, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("kind", "unneeded"),
    [("random_forest", {"torch", "xgboost"}), ("xgboost", {"torch"}), ("cnn", {"xgboost"})],
)
def test_a_kind_loads_no_library_of_another(kind, unneeded, tmp_path):
    loaded = set(loaded_by(kind, tmp_path / "run", "1").split())

    assert "numpy" in loaded
    assert not loaded & {*unneeded, "shap", "scanpy"}


def test_equal_forests_are_equal_files_in_any_process(tmp_path):
    # Addresses, times and left-over memory differ between processes.
    first, second = (tmp_path / name for name in ("first", "second"))
    loaded_by("random_forest", first, "1")
    loaded_by("random_forest", second, "2")

    assert [p.read_bytes() for p in paths(first)] == [p.read_bytes() for p in paths(second)]
