"""Attack tables do not depend on how a sample is cut, and follow their seeds."""

import numpy as np
import pandas as pd
import pytest
import torch
from toy_models import Linear, Spy, linear_weights, random_sequence, wrap

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence import attacks, campaign, encoders, rescoring, tables
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.oracle import Oracle

pytestmark = pytest.mark.usefixtures("one_thread")

N, LENGTH = 50, 60
GENETIC = {"kind": "genetic", "population": 16, "generations": 6, "patience": 3, "max_edits": 3}
PUBLISHED = {"kind": "published", "variant": "code", "population": 12, "generations": 4}
COMPUTE = {"precision": "fp32", "batching": "per_sequence", "batch_size": 16}
RULES = Constraints(gc_shift="hard", transitions="soft")
SEEDS = [0, 7]


@pytest.fixture(scope="module")
def model():
    """An untrained CNN: its sums round as those of real models do."""
    spec = {"kind": "cnn", "architecture": {"channels": 8, "blocks": 1, "kernel_size": 3}}
    made = encoders.build(spec, [], 2, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    level = Oracle(made).logits([random_sequence(rng, LENGTH) for _ in range(200)]).mean(axis=0)
    with torch.no_grad():  # both classes occur
        made.classifier.head[-1].bias -= torch.from_numpy(level)
    return made


@pytest.fixture(scope="module")
def sample(model):
    rng = np.random.default_rng(2)
    sequences = [random_sequence(rng, LENGTH, 0.01) for _ in range(N)]
    labels = Oracle(model).logits(sequences).argmax(axis=1).astype(np.int64)
    assert 5 < labels.sum() < N - 5
    labels[::9] = 1 - labels[::9]
    names = [f"test:{i}" for i in rng.permutation(N)]
    return pd.DataFrame({"id": names, "sequence": sequences, "label": labels})


def attacked(model, sample, entry=GENETIC, seeds=SEEDS, **compute):
    return campaign.attack_sample(
        model, sample, attacks.load(entry), RULES, seeds, Oracle(model, **COMPUTE | compute)
    )


@pytest.fixture(scope="module")
def whole(model, sample):
    return attacked(model, sample)


def in_shards(model, sample, size, folder, entry=GENETIC):
    """The table of a sample cut into shards, gathered as its scoring does."""
    paths, n_shards = [], -(-len(sample) // size)
    for shard in range(n_shards):
        paths.append(str(folder / f"shard{shard}.parquet"))
        part = tables.shard_of(sample, shard, n_shards)
        files.write_parquet(attacked(model, part, entry), paths[-1])
    return tables.gather_shards(paths, sample, SEEDS)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_the_table_does_not_depend_on_the_size_of_shards(model, sample, whole, size, tmp_path):
    gathered = in_shards(model, sample, size, tmp_path)

    pd.testing.assert_frame_equal(gathered, whole)
    one, other = (rescoring.rescore(model, t, RULES, 3, 16).rows for t in (gathered, whole))
    pd.testing.assert_frame_equal(one, other)
    assert set(whole["stop_reason"]) >= {"", "success"}


def test_the_published_search_does_not_depend_on_shards_either(model, sample, tmp_path):
    few = sample.iloc[:12]
    pd.testing.assert_frame_equal(
        in_shards(model, few, 5, tmp_path, PUBLISHED), attacked(model, few, PUBLISHED)
    )


def test_rows_come_by_attack_seed_then_as_in_the_sample(sample, whole):
    assert whole["attack_seed"].tolist() == [0] * N + [7] * N
    assert whole["id"].tolist() == [*sample["id"]] * 2
    assert whole["original"].tolist() == [*sample["sequence"]] * 2
    assert list(whole.dtypes) == list(tables.typed([], tables.SHARD_COLUMNS).dtypes)


def test_the_same_seed_gives_the_same_table_and_another_does_not(model, sample, whole):
    pd.testing.assert_frame_equal(attacked(model, sample), whole)
    seven = whole[whole["attack_seed"] == 7].reset_index(drop=True)
    pd.testing.assert_frame_equal(attacked(model, sample, seeds=[7]), seven)
    zero = whole[whole["attack_seed"] == 0].reset_index(drop=True)
    changed = zero["adversarial"] != seven["adversarial"]
    assert changed[~zero["skipped"]].mean() > 0.5


def test_each_sequence_has_a_stream_of_its_own(model, sample, whole):
    first = whole[~whole["skipped"]].iloc[0]
    twice = pd.DataFrame([first, first])[["id", "original", "label"]]
    twice = twice.set_axis(["id", "sequence", "label"], axis=1).assign(id=["test:a", "test:b"])
    table = attacked(model, twice, GENETIC | {"query_budget": 10}, seeds=[0])
    assert table["adversarial"].nunique() == 2


def test_a_sequence_is_attacked_alike_wherever_it_stands(model, sample, whole):
    turned = attacked(model, sample.iloc[::-1], seeds=[0]).iloc[::-1].reset_index(drop=True)
    pd.testing.assert_frame_equal(turned, whole[whole["attack_seed"] == 0])


def test_lockstep_agrees_in_99_of_100_rows(model, sample, whole):
    other = attacked(model, sample, batching="lockstep")
    assert (other == whole).all(axis=1).mean() >= 0.99


def test_misclassified_sequences_are_skipped_not_attacked(model, sample, whole):
    wrong = Oracle(model).logits([*sample["sequence"]]).argmax(axis=1) != sample["label"]
    assert wrong.sum() == 6
    assert whole["skipped"].tolist() == [*wrong] * 2
    skipped = whole[whole["skipped"]]
    assert (skipped["adversarial"] == skipped["original"]).all()
    assert (skipped["stop_reason"] == "").all()
    assert not skipped["flipped_in_search"].any()
    assert (skipped[["n_queries", "n_queries_unique"]] == 1).all(axis=None)


def test_the_books_of_a_row_are_what_the_model_was_asked():
    spy = Spy(Linear(linear_weights(0, LENGTH)))
    rng = np.random.default_rng(3)
    sequence = random_sequence(rng, LENGTH)
    label = int(Oracle(wrap(spy.encoder)).logits([sequence]).argmax())
    sample = pd.DataFrame({"id": ["test:0"], "sequence": [sequence], "label": [label]})

    (row,) = attacked(wrap(spy), sample, seeds=[0]).to_dict("records")

    asked = spy.rows[1:]  # the first question decides whether it is attacked
    assert asked[0] == sequence
    assert row["n_queries_unique"] == len(asked) == len(set(asked))
    assert row["n_queries"] >= row["n_queries_unique"]
    assert row["adversarial"] in asked


def test_the_query_budget_counts_the_original(model, sample):
    table = attacked(model, sample, GENETIC | {"query_budget": 5}, seeds=[0])
    searched = table[~table["skipped"]]
    assert searched["n_queries_unique"].max() == 5
    assert set(searched["stop_reason"]) <= {"query_budget", "success"}


def test_a_sample_of_none_gives_an_empty_table(model, sample):
    empty = attacked(model, sample.iloc[:0])
    assert empty.shape == (0, len(tables.SHARD_COLUMNS))
    assert rescoring.rescore(model, empty, RULES, 3, 16).rows.empty


def test_a_close_call_is_judged_alike_in_every_shard():
    """A model whose rounding tells how many rows shared the forward."""

    class Rounding(Linear):
        def forward(self, input_ids, attention_mask):
            logits = super().forward(input_ids, attention_mask)
            logits[:, 0] += -1e-6 if len(input_ids) > 1 else 1e-6
            return logits

    made = wrap(Rounding(np.zeros((LENGTH, 5, 2))))
    rng = np.random.default_rng(4)
    sequences = [random_sequence(rng, LENGTH) for _ in range(3)]
    sample = pd.DataFrame({"id": ["a", "b", "c"], "sequence": sequences, "label": [0, 0, 0]})

    together = attacked(made, sample, seeds=[0])

    assert not together["skipped"].any()
    alone = pd.concat([attacked(made, sample.iloc[[i]], seeds=[0]) for i in range(3)])
    assert alone["skipped"].tolist() == together["skipped"].tolist()


# Tables -------------------------------------------------------------------------------


def test_a_table_without_a_column_is_refused_by_both_names(whole, sample, tmp_path):
    path = tmp_path / "shard0.parquet"
    files.write_parquet(whole.drop(columns="skipped"), path)
    with pytest.raises(Exception, match=r"shard0\.parquet.*skipped"):
        tables.gather_shards([str(path)], sample, SEEDS)


@pytest.mark.parametrize("n_shards", [1, 3, 4, 100])
def test_every_sequence_is_in_one_shard_however_large_the_sample(sample, n_shards):
    parts = [tables.shard_of(sample, shard, n_shards) for shard in range(n_shards)]
    assert sorted(pd.concat(parts)["id"]) == sorted(sample["id"])
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_that_lack_a_sequence_are_refused(whole, sample, tmp_path):
    path = tmp_path / "shard0.parquet"
    files.write_parquet(whole[whole["id"] != sample["id"].iloc[3]], path)
    with pytest.raises(InputError, match="not the"):
        tables.gather_shards([str(path)], sample, SEEDS)
