import gzip
import json

import numpy as np
import pandas as pd
import pytest
from refusals import refusal

from genosiege import files
from genosiege.data import simulate_expression
from genosiege.data.simulate_bulk import Bulk
from genosiege.data.simulate_cells import Cells
from genosiege.expression import datasets, samples
from genosiege.expression.datasets import Preparation

BULK = {
    "format": "csv",
    "id": "id",
    "donor": "donor",
    "site": "site",
    "study": "study",
    "values": "log",
    "log": {"base": 2, "pseudocount": 0.001},
}
CELLS = BULK | {"values": "counts", "split": "donor"}
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def bulk(tmp_path_factory):
    path = tmp_path_factory.mktemp("bulk") / "bulk.csv.gz"
    simulate_expression.write(Bulk(samples=120, genes=30), path)
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.csv.gz"
    simulate_expression.write(Cells(cells=150, genes=30), path)
    return path


def rewritten(path, target, change):
    """Write a table anew after `change` of it; returns the new path."""
    table = pd.read_csv(path, dtype={"id": str})
    change(table).to_csv(target, index=False)
    return target


def written(prepared, folder):
    paths = {name: folder / f"{name}.parquet" for name in (*SPLITS, "genes")}
    datasets.write(prepared, paths | {"card": folder / "card.json"})
    return paths


def every_id(prepared):
    return sorted(id for split in SPLITS for id in getattr(prepared, split).ids)


@pytest.mark.parametrize("split", ["random", "donor", "site", "folds"])
def test_the_splits_are_everything_once(bulk, split):
    prepared = datasets.prepare(BULK | {"split": split}, bulk, None, 0)

    assert every_id(prepared) == [f"S{i:04d}" for i in range(1, 121)]
    table = pd.read_csv(bulk, index_col="id")
    for name in SPLITS:
        part = getattr(prepared, name)
        assert part.ids.tolist() == sorted(part.ids)
        assert np.array_equal(part.labels, table.loc[part.ids, "label"])
        kept_apart = "site" if split == "site" else "donor"
        assert np.array_equal(prepared.groups[name], table.loc[part.ids, kept_apart])
    if split in ("donor", "site"):
        apart = [set(prepared.groups[name]) for name in SPLITS]
        assert len(set.union(*apart)) == sum(map(len, apart))
        assert prepared.card["groups"][split]["crossing"] == 0


def test_values_are_scaled_by_the_training_split(bulk):
    prepared = datasets.prepare(BULK, bulk, None, 0)

    table = pd.read_csv(bulk, index_col="id")[list(prepared.train.genes)]
    train = table.loc[prepared.train.ids].to_numpy(np.float32)
    low, high = train.min(axis=0), train.max(axis=0)
    for name in SPLITS:
        part = getattr(prepared, name)
        raw = table.loc[part.ids].to_numpy(np.float64)
        expected = np.clip((raw - low) / (high - low) * 2 - 1, -1.5, 1.5)
        assert np.allclose(part.values, expected, atol=1e-5)
    assert np.all(prepared.train.values.min(axis=0) == -1)
    assert np.all(prepared.train.values.max(axis=0) == 1)
    assert prepared.genes["gene"].tolist() == list(prepared.train.genes)
    assert np.array_equal(prepared.genes["low"], low)
    assert np.array_equal(prepared.genes["high"], high)


def test_counts_become_logarithms_of_a_common_sum(cells):
    entry = CELLS | {"target_sum": 1e6, "split": "random"}

    prepared = datasets.prepare(entry, cells, None, 0)

    table = pd.read_csv(cells, index_col="id").drop(columns=["label", "donor", "site", "study"])
    normalised = np.log1p(table.div(table.sum(axis=1), axis=0) * 1e6).loc[prepared.train.ids]
    assert np.allclose(prepared.genes["high"], normalised[list(prepared.train.genes)].max())
    assert prepared.card["values"]["share_of_zeros"] == pytest.approx(np.mean(table == 0))


@pytest.mark.parametrize(
    ("flavor", "entry"),
    [
        ("variance", BULK),
        ("seurat", BULK),
        ("variance", CELLS),
        ("variance", BULK | {"split": "site"}),
    ],
)
def test_what_is_held_out_decides_nothing(bulk, cells, tmp_path, flavor, entry):
    data = cells if entry["values"] == "counts" else bulk
    entry = entry | {"genes": {"n_top": 10, "flavor": flavor, "min_samples": 40, "min_value": 1}}
    sound = datasets.prepare(entry, data, None, 0)

    def held_out_changed(table):
        genes = [column for column in table if column.startswith("GENE")]
        rows = ~table["id"].isin(sound.train.ids)
        table.loc[rows, genes] = np.abs(table.loc[rows, genes[::-1]].to_numpy()) * 2 + 1
        return table

    changed = rewritten(data, tmp_path / "changed.csv", held_out_changed)
    again = datasets.prepare(entry, changed, None, 0)
    leaky, leaky_again = (
        datasets.prepare(entry | {"leaky_preprocessing": True}, path, None, 0)
        for path in (data, changed)
    )

    before, after = written(sound, tmp_path / "a"), written(again, tmp_path / "b")
    for name in ("train", "genes"):
        assert before[name].read_bytes() == after[name].read_bytes()
    assert not np.array_equal(sound.test.values, again.test.values)
    # The same change shows in the published order, so the test would see an influence.
    assert leaky.train.genes != leaky_again.train.genes


def test_the_published_order_scales_each_split_on_itself(bulk):
    leaky = datasets.prepare(BULK | {"leaky_preprocessing": True}, bulk, None, 0)
    sound = datasets.prepare(BULK, bulk, None, 0)

    for name in SPLITS:
        assert np.all(getattr(leaky, name).values.min(axis=0) == -1)
        assert np.all(getattr(leaky, name).values.max(axis=0) == 1)
    assert not np.all(sound.test.values.max(axis=0) == 1)
    assert leaky.card["leaky_preprocessing"] and not sound.card["leaky_preprocessing"]
    assert np.array_equal(leaky.train.values, sound.train.values)


def test_resampling_copies_cells_into_several_splits(cells):
    entry = CELLS | {"leaky_preprocessing": True, "resample": 100, "split": "random"}

    prepared = datasets.prepare(entry, cells, None, 0)

    ids = every_id(prepared)
    assert len(set(ids)) == len(ids) == 200
    everyone = np.concatenate([getattr(prepared, name).labels for name in SPLITS])
    assert np.bincount(everyone).tolist() == [100, 100]
    source = {name: {id.split("#")[0] for id in getattr(prepared, name).ids} for name in SPLITS}
    crossing = [id for id in prepared.test.ids if id.split("#")[0] in source["train"]]
    assert crossing
    sharing = prepared.card["duplicates"]["exact"]["sharing"]["test"]
    assert sharing["train"] == len(crossing)
    copies = [id for id in ids if not id.endswith("#0")]
    assert prepared.card["duplicates"]["exact"]["rows"] == len(copies)


def test_a_cap_keeps_some_of_each_class_and_folds_share_it(cells):
    entry = CELLS | {"max_per_class": 20, "split": "folds", "folds": 4}

    first, second = (datasets.prepare(entry, cells, None, seed) for seed in (0, 1))

    assert every_id(first) == every_id(second)
    counts = first.card["samples"]
    assert counts["splits"]["all"] == {"n": 40, "per_class": {"0": 20, "1": 20}}
    assert counts["described"] == 150 and counts["not_drawn"] == 110
    other = datasets.prepare(entry | {"split_seed": 1}, cells, None, 0)
    assert every_id(other) != every_id(first)


def test_constant_genes_of_the_training_split_are_dropped_and_counted(bulk, tmp_path):
    train = datasets.prepare(BULK, bulk, None, 0).train.ids

    def flattened(table):
        table["GENE0003"] = 5.0
        table.loc[table["id"].isin(train), "GENE0007"] = 1.5
        return table

    path = rewritten(bulk, tmp_path / "flat.csv", flattened)
    for leaky in (False, True):
        prepared = datasets.prepare(BULK | {"leaky_preprocessing": leaky}, path, None, 0)
        assert {"GENE0003", "GENE0007"}.isdisjoint(prepared.train.genes)
        counts = prepared.card["genes"]
        assert (counts["chosen"], counts["constant_in_train"], counts["kept"]) == (30, 2, 28)


def test_the_card_counts_samples_groups_and_donors_that_cross(bulk):
    prepared = datasets.prepare(BULK | {"upstream_leak": True}, bulk, None, 1, "mine")

    card = json.loads(json.dumps(prepared.card))
    assert card["dataset"] == "mine" and card["upstream_leak"] is True
    table = pd.read_csv(bulk, index_col="id")
    for name in SPLITS:
        part = getattr(prepared, name)
        counts = card["samples"]["splits"][name]
        assert counts["n"] == len(part)
        assert counts["per_class"] == {str(c): int((part.labels == c).sum()) for c in (0, 1)}
    donors = {name: table.loc[getattr(prepared, name).ids, "donor"] for name in SPLITS}
    described = card["groups"]["donor"]
    in_train = donors["test"].isin(donors["train"])
    assert described["sharing"]["test"]["train"] == in_train.sum() > 0
    elsewhere = in_train | donors["test"].isin(donors["dev"])
    assert described["sharing"]["test"]["others"] == elsewhere.sum()
    assert described["number"] == table["donor"].nunique()
    everywhere = pd.concat([donors[name].drop_duplicates() for name in SPLITS])
    assert described["crossing"] == everywhere[everywhere.duplicated()].nunique()
    sites = card["groups"]["site"]["per_group"]
    found = sum(n for site in sites.values() for split in site.values() for n in split.values())
    assert found == 120
    study = table.loc[prepared.test.ids].query("label == 0 and study == 'study2'")
    assert card["groups"]["study"]["per_group"]["study2"]["test"] == {"0": len(study)}


def test_the_card_counts_rows_that_are_the_same(bulk, tmp_path):
    ids = {name: getattr(datasets.prepare(BULK, bulk, None, 0), name).ids for name in SPLITS}

    def copied(table):
        genes = [column for column in table if column.startswith("GENE")]
        values = table[genes].to_numpy()
        row = {id: at for at, id in enumerate(table["id"])}
        train, dev, test = ([row[id] for id in ids[name][:2]] for name in SPLITS)
        values[test[0]] = values[train[0]]
        values[dev[0]] = values[dev[1]]
        values[train[1]] = values[train[1]].round(2) + 0.001
        values[test[1]] = values[train[1]] + 0.001
        table[genes] = values
        return table

    path = rewritten(bulk, tmp_path / "copied.csv", copied)
    found = datasets.prepare(BULK, path, None, 0).card["duplicates"]

    for kind, crossing in (("exact", 1), ("rounded", 2)):
        counts = found[kind]
        assert (counts["rows"], counts["sets"]) == (crossing + 1, crossing + 1)
        assert counts["crossing"] == crossing
        assert counts["sharing"]["test"] == {"train": crossing, "others": crossing}
        assert counts["sharing"]["dev"] == {"train": 0, "others": 0}
        assert counts["sharing"]["train"] == {"others": crossing}
    assert 0 <= found["exact"]["conflicting_labels"] <= 2


def test_files_hold_what_was_prepared_and_are_the_same_again(bulk, tmp_path):
    first, second = (datasets.prepare(CELLS | BULK, bulk, None, 2) for _ in range(2))
    paths, again = written(first, tmp_path / "a"), written(second, tmp_path / "b")

    for name in SPLITS:
        read = samples.read(paths[name])
        assert np.array_equal(read.values, getattr(first, name).values)
        assert read.ids.tolist() == getattr(first, name).ids.tolist()
        assert paths[name].read_bytes() == again[name].read_bytes()
    groups = pd.read_parquet(paths["test"], columns=["group"])["group"]
    assert groups.tolist() == first.groups["test"].tolist()
    assert list(files.read_parquet(paths["genes"])) == ["gene", "low", "high"]
    assert files.read_json(tmp_path / "a" / "card.json") == first.card


def test_a_dense_and_a_sparse_h5ad_give_the_same(cells, tmp_path):
    import anndata
    import scipy.sparse

    table = pd.read_csv(cells, index_col="id")
    obs = table[["label", "donor"]].astype(str)
    counts = table.filter(like="GENE")
    entry = {
        "format": "h5ad",
        "values": "counts",
        "label": {"column": "label", "negative": ["0"], "positive": ["1"]},
        "donor": "donor",
        "split": "donor",
        "genes": {"n_top": 8, "flavor": "variance", "min_samples": 3},
    }
    prepared = []
    for name, make in (("dense", np.asarray), ("sparse", scipy.sparse.csr_matrix)):
        matrix = make(counts.to_numpy(np.float32))
        path = tmp_path / f"{name}.h5ad"
        var = pd.DataFrame(index=counts.columns)
        anndata.AnnData(matrix, obs=obs, var=var).write_h5ad(path)
        prepared.append(datasets.prepare(entry, path, None, 0))

    dense, sparse = prepared
    for name in SPLITS:
        assert np.array_equal(getattr(dense, name).values, getattr(sparse, name).values)
    assert dense.train.genes == sparse.train.genes
    assert dense.card["duplicates"] == sparse.card["duplicates"]
    assert dense.card["values"]["share_of_zeros"] == sparse.card["values"]["share_of_zeros"]


def test_a_file_in_which_nothing_varies_is_refused(tmp_path):
    rows = [f"s{i},{i % 2},1,2" for i in range(40)]
    path = tmp_path / "flat.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["id,label,A,B", *rows]).encode()))
    entry = {"format": "csv", "id": "id", "values": "log"}
    message = refusal(datasets.prepare, entry, path, None, 0, "mine")
    assert message.startswith("datasets/mine: of 2 genes none varies in the training split;")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"values": "tpm"}, "datasets/mine, values 'tpm'"),
        ({"split": "by hand"}, "datasets/mine, split 'by hand'"),
        ({"genes": {"n_top": -1}}, "datasets/mine, genes, n_top -1"),
        ({"max_per_class": 0}, "datasets/mine, max_per_class 0"),
        ({"leaky_preprocessing": "yes"}, "datasets/mine, leaky_preprocessing 'yes'"),
        ({"resample": 50}, "datasets/mine, resample 50: copies of a sample"),
        (
            {"resample": 50, "max_per_class": 9, "leaky_preprocessing": True},
            "datasets/mine, resample and max_per_class",
        ),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(options, named):
    message = refusal(datasets.prepare, BULK | options, "no file", None, 0, "mine")
    assert message.startswith(named)


def test_the_choice_of_genes_names_the_dataset(bulk):
    entry = BULK | {"log": {}, "genes": {"n_top": 5}}
    message = refusal(datasets.prepare, entry, bulk, None, 0, "mine")
    assert message.startswith("datasets/mine, genes, flavor seurat: a value is -")


@pytest.mark.parametrize(("what", "wrong"), [("genes", 1000), ("samples", 3)])
def test_a_file_that_is_not_the_expected_one_is_refused(bulk, what, wrong):
    prepared = datasets.prepare(BULK, bulk, None, 0)
    right = {
        "genes": prepared.card["genes"]["genes_in_file"],
        "samples": prepared.card["samples"]["described"],
    }

    datasets.prepare(BULK | {"expected": right}, bulk, None, 0)
    message = refusal(datasets.prepare, BULK | {"expected": {what: wrong}}, bulk, None, 0)

    assert f"{right[what]} {what} where {wrong} are expected" in message


def test_an_entry_may_say_more():
    assert Preparation.from_mapping(BULK | {"upstream_leak": True}).upstream_leak
    assert Preparation.from_mapping({}) == Preparation()


def test_real_tumours_of_the_breast(shared):
    path = shared / "data" / "expression" / "tcga_breast.csv.gz"
    entry = {"format": "csv", "id": "sample", "values": "log", "fractions": [0.64, 0.03, 0.33]}

    prepared = datasets.prepare(entry, path, None, 0, "tcga_breast")

    counts = prepared.card["samples"]["splits"]
    assert counts["all"] == {"n": 887, "per_class": {"0": 111, "1": 776}}
    assert counts["test"] == {"n": 293, "per_class": {"0": 37, "1": 256}}
    assert prepared.train.values.shape[1] == prepared.card["genes"]["kept"] == 260


def test_real_counts_of_blood(shared):
    path = shared / "data" / "expression" / "covid_blood_gse152641_counts.csv.gz"
    entry = {"format": "csv", "id": "sample", "values": "counts", "target_sum": 1e6}
    entry["genes"] = {"n_top": 1000, "min_samples": 5}

    prepared = datasets.prepare(entry, path, None, 0, "blood")

    assert prepared.card["samples"]["splits"]["all"]["per_class"] == {"0": 24, "1": 62}
    genes = prepared.card["genes"]
    assert genes["genes_in_file"] == 20_460
    assert genes["genes_in_file"] > genes["expressed"] > genes["chosen"] == 1000
    assert prepared.card["values"]["raw"]["max"] > 1e6
    # log-CPM: no gene has a million of a million.
    assert prepared.genes["high"].max() < np.log(1e6)


def test_real_cells_split_by_donor(shared):
    path = shared / "data" / "expression" / "covid_pbmc_stephenson_50pcs.csv.gz"
    entry = {"format": "csv", "values": "log", "split": "donor", "donor": "sample_id"}
    entry["label"] = {"column": "phenotype", "negative": ["Healthy"], "positive": ["Covid"]}
    entry["drop"] = ["cluster_id"]

    prepared = datasets.prepare(entry, path, None, 0, "pbmc")

    donors = prepared.card["groups"]["donor"]
    assert donors["number"] == 20 and donors["crossing"] == 0
    assert donors["per_split"] == {"train": 12, "dev": 4, "test": 4}
    assert sum(len(getattr(prepared, name)) for name in SPLITS) == 10_000
    assert prepared.train.values.shape[1] == 50
