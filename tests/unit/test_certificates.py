"""Certificates say what brute force says, in bounded memory, and survive being killed."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import torch
from toy_models import KilledError, Linear, Spy, apply, linear_weights, random_sequence, wrap

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence import certificates, encoders, enumeration
from genosiege.sequence.constraints import Constraints
from genosiege.sequence.journal import Journal, fingerprint
from genosiege.sequence.networks import Encoder
from genosiege.sequence.oracle import Oracle, Search

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 12
DIGEST = fingerprint("a job")
LETTERS = "ACGTN"


class Tangled(Encoder):
    """Two logits in which every position's base matters to what every other one does."""

    def __init__(self, seed: int, length: int = LENGTH) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.width = 2
        self.first = rng.normal(size=(length, 5, 6)) / np.sqrt(length)
        self.last = rng.normal(size=(6, 2))
        # A place for what an oracle moves to its device.
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(input_ids.shape[1])
        hidden = torch.from_numpy(self.first)[places, input_ids].sum(dim=1)
        return (torch.tanh(2 * hidden) @ torch.from_numpy(self.last)).float()

    def margin(self, sequence: str, label: int) -> float:
        """What it says of one sequence, by numpy."""
        hidden = sum(self.first[i, LETTERS.index(base)] for i, base in enumerate(sequence))
        logits = np.tanh(2 * hidden) @ self.last
        return float(logits[label] - logits[1 - label])


class Additive(Linear):
    """A linear model that brute force can ask too."""

    def __init__(self, seed: int, length: int = LENGTH) -> None:
        super().__init__(linear_weights(seed, length))
        self.table = linear_weights(seed, length)

    def margin(self, sequence: str, label: int) -> float:
        logits = sum(self.table[i, LETTERS.index(base)] for i, base in enumerate(sequence))
        return float(logits[label] - logits[1 - label])


def make_sample(encoder, n=8, length=LENGTH, n_share=0.0, wrong=(3,), margin=None):
    """Sequences with the labels a model gives them, but for some that it is wrong about."""
    rng = np.random.default_rng(5)
    sequences = []
    while len(sequences) < n:
        sequence = random_sequence(rng, length, n_share)
        if margin is None or abs(encoder.margin(sequence, 0)) > margin:
            sequences.append(sequence)
    labels = [int(encoder.margin(sequence, 0) < 0) for sequence in sequences]
    labels = [1 - label if i in wrong else label for i, label in enumerate(labels)]
    names = [f"test:{i}" for i in range(n)]
    return pd.DataFrame({"id": names, "sequence": sequences, "label": labels})


def certified(encoder, sample, rules=None, journal=None, compute=None, **options):
    settings = {"batching": "per_sequence", "batch_size": 64} | (compute or {})
    oracle = Oracle(wrap(encoder), **settings)
    return certificates.certify(sample, rules or Constraints(), oracle, journal=journal, **options)


def edit_sets(sequence, size, allowed):
    """All allowed sets of exactly `size` edits, by trying everything."""
    for places in combinations(range(len(sequence)), size):
        for bases in product("ACGT", repeat=size):
            edits = dict(zip(places, bases, strict=True))
            changes = all(sequence[p] not in ("N", base) for p, base in edits.items())
            if changes and allowed(sequence, edits):
                yield edits


def brute_force(encoder, sequence, label, k, allowed):
    """Rows of one sequence for 1 to k edits, all sets scored; for k = 2 after no flip only."""
    before = encoder.margin(sequence, label)
    worst, edits_of_worst, n_queries, flipped = before, {}, 1, False
    for size in range(1, k + 1):
        found = []
        if not flipped:
            sets = list(edit_sets(sequence, size, allowed))
            found = [encoder.margin(apply(sequence, edits), label) for edits in sets]
            # The certificate may differ by rounding; what it decides must not.
            assert all(abs(margin) > 1e-4 for margin in found)
            if found and min(found) < worst:
                worst, edits_of_worst = min(found), sets[int(np.argmin(found))]
        n_queries += len(found)
        flipped |= any(margin < 0 for margin in found)
        yield {
            "status": "flipped" if flipped else "robust",
            "worst_margin": worst,
            "edits": ";".join(f"{p}:{sequence[p]}>{b}" for p, b in edits_of_worst.items()),
            "n_edits": len(edits_of_worst),
            "n_flipping": sum(margin < 0 for margin in found),
            "n_tried": len(found),
            "n_queries": n_queries,
        }


def anything(sequence, edits):
    return True


def mild(sequence, edits):
    """The rules of `MILD`, said otherwise."""
    gained = sum(base in "GC" for base in edits.values())
    lost = sum(sequence[p] in "GC" for p in edits)
    return abs(gained - lost) <= 1 and all(2 <= p < 10 for p in edits)


def balanced(sequence, edits):
    """The rules of `BALANCED`, said otherwise: G and C stay as many."""
    after = apply(sequence, edits)
    return sum(map(after.count, "GC")) == sum(map(sequence.count, "GC"))


MILD = Constraints(
    gc_shift="hard", gc_limit=1 / LENGTH, edit_mask="hard", editable=((2, 10),), motifs="soft"
)
BALANCED = Constraints(gc_shift="hard", gc_limit=0.0)


@pytest.mark.parametrize("make", [Additive, Tangled])
@pytest.mark.parametrize(
    ("rules", "allowed"), [(Constraints(), anything), (MILD, mild), (BALANCED, balanced)]
)
@pytest.mark.parametrize("n_share", [0.0, 0.2])
def test_a_certificate_is_what_brute_force_finds(make, rules, allowed, n_share):
    encoder = make(2)
    sample = make_sample(encoder, n_share=n_share, margin=0.3)

    table = certified(encoder, sample, rules, max_edits=2)

    assert list(table.columns) == list(certificates.COLUMNS)
    assert table["k"].tolist() == [1, 2] * len(sample)
    assert table["id"].tolist() == [name for name in sample["id"] for _ in (1, 2)]
    checked = table[table["id"] != "test:3"]
    truth = pd.DataFrame(
        row
        for entry in sample[sample["id"] != "test:3"].itertuples()
        for row in brute_force(encoder, entry.sequence, entry.label, 2, allowed)
    )
    for column in truth.columns.drop("worst_margin"):
        assert checked[column].tolist() == truth[column].tolist(), column
    np.testing.assert_allclose(checked["worst_margin"], truth["worst_margin"], atol=1e-5)
    before = [encoder.margin(e.sequence, e.label) for e in sample.itertuples()]
    np.testing.assert_allclose(table["margin_before"], np.repeat(before, 2), atol=1e-5)
    expected = 1 / (1 + np.exp(-table["margin_before"]))
    np.testing.assert_allclose(table["p_true_before"], expected, atol=1e-6)


def test_brute_force_above_meets_every_case():
    """Both answers, at either number of edits, so that agreement says something."""
    statuses = set()
    for make in (Additive, Tangled):
        encoder = make(2)
        table = certified(encoder, make_sample(encoder, margin=0.3), MILD, max_edits=2)
        statuses |= {*table.groupby("id")["status"].agg(tuple)}
    assert statuses == {
        ("flipped", "flipped"),
        ("robust", "flipped"),
        ("robust", "robust"),
        ("skipped_misclassified",) * 2,
    }


def test_one_edit_only_where_one_is_asked_for():
    encoder = Tangled(1)
    sample = make_sample(encoder)
    one, two = (certified(encoder, sample, max_edits=k) for k in (1, 2))
    pd.testing.assert_frame_equal(one, two[two["k"] == 1].reset_index(drop=True))


def test_importance_is_the_largest_fall_at_each_position():
    encoder = Tangled(1)
    sample = make_sample(encoder, n=4, n_share=0.2)
    table = certified(encoder, sample, MILD, max_edits=2)
    assert any("N" in sequence[2:10] for sequence in sample["sequence"])
    assert [len(values) for values in table["importance"]] == [LENGTH, 0] * 3 + [0, 0]
    for entry, values in zip(sample.iloc[:3].itertuples(), table["importance"][::2], strict=False):
        before = encoder.margin(entry.sequence, entry.label)
        falls = {}
        for edits in edit_sets(entry.sequence, 1, mild):
            fall = before - encoder.margin(apply(entry.sequence, edits), entry.label)
            (position,) = edits
            falls[position] = max(falls.get(position, -np.inf), fall)
        np.testing.assert_allclose(values, [falls.get(i, 0.0) for i in range(LENGTH)], atol=1e-5)
        assert values.dtype == np.float32


def test_a_misclassified_sequence_is_skipped_and_asked_about_once():
    spy = Spy(Additive(2))
    sample = make_sample(spy.encoder)
    table = certified(spy, sample, max_edits=2)
    (row, _) = table[table["id"] == "test:3"].to_dict("records")
    assert row["status"] == "skipped_misclassified"
    assert row["margin_before"] < 0
    assert row["worst_margin"] == row["margin_before"]
    assert (row["edits"], row["n_edits"], row["n_tried"], row["n_queries"]) == ("", 0, 0, 1)
    wrong = sample["sequence"][3]
    asked = [s for s in spy.rows if sum(a != b for a, b in zip(s, wrong, strict=True)) <= 2]
    assert asked == [wrong]


def test_where_nothing_may_be_edited_a_sequence_is_robust():
    encoder = Additive(0)
    masked = Constraints(edit_mask="hard", editable=((0, 0),))
    table = certified(encoder, make_sample(encoder, wrong=()), masked, max_edits=2)
    assert set(table["status"]) == {"robust"}
    assert (table["n_tried"] == 0).all()
    assert (table["worst_margin"] == table["margin_before"]).all()


def test_a_sample_of_none_gives_an_empty_table():
    encoder = Additive(0)
    empty = certified(encoder, make_sample(encoder).iloc[:0], max_edits=2)
    assert empty.shape == (0, len(certificates.COLUMNS))


def test_a_margin_of_zero_is_no_flip():
    weights = np.zeros((LENGTH, 5, 2))
    weights[0, :, 0] = [1.0, 0.0, 0.5, 0.5, 0.0]
    sample = pd.DataFrame({"id": ["a"], "sequence": ["A" * LENGTH], "label": [0]})
    (row,) = certified(Linear(weights), sample).to_dict("records")
    assert (row["status"], row["n_flipping"], row["worst_margin"]) == ("robust", 0, 0.0)


@pytest.mark.parametrize("max_edits", [0, 3])
def test_other_numbers_of_edits_are_refused(max_edits):
    encoder = Additive(0)
    with pytest.raises(InputError, match=f"max_edits {max_edits}"):
        certified(encoder, make_sample(encoder), max_edits=max_edits)


def test_rounded_precision_is_refused():
    encoder = Additive(0)
    spec = {"kind": "cnn", "architecture": {"channels": 4, "blocks": 1, "kernel_size": 3}}
    model = encoders.build(spec, [], 2, np.random.default_rng(0))
    oracle = Oracle(model, precision="bf16")
    with pytest.raises(ValueError, match="bf16"):
        certificates.certify(make_sample(encoder), Constraints(), oracle)


# What is affordable -------------------------------------------------------------------

LONG = 20
N_LEADING = 12


@pytest.fixture
def long_ones(monkeypatch):
    """Sequences with more positions than leading edits, though short, so that this is fast."""
    assert enumeration.LEADING == 40
    monkeypatch.setattr(enumeration, "LEADING", N_LEADING)
    encoder = Tangled(8, LONG)
    sample = make_sample(encoder, n=12, length=LONG, wrong=(0,), margin=0.8)
    return encoder, sample


def test_elsewhere_the_pairs_of_the_best_single_edits_are_tried(long_ones):
    encoder, sample = long_ones
    exact = certified(encoder, sample, max_edits=2)
    bounded = certified(encoder, sample, max_edits=2, pairs_length=LONG - 1)

    pd.testing.assert_frame_equal(exact[exact["k"] == 1], bounded[bounded["k"] == 1])
    both = exact[exact["k"] == 2].merge(bounded[bounded["k"] == 2], on="id")
    met = set(zip(both["status_x"], both["status_y"], strict=True))
    assert met <= {
        ("skipped_misclassified",) * 2,
        ("robust", "unknown"),
        ("flipped", "unknown"),
        ("flipped", "flipped"),
    }
    assert {("robust", "unknown"), ("flipped", "flipped")} <= met
    tried = both[both["n_tried_x"] > 0]
    assert (tried["n_tried_y"] == N_LEADING * (N_LEADING - 1) / 2).all()
    assert (tried["n_tried_x"] == 9 * LONG * (LONG - 1) / 2).all()
    assert (tried["worst_margin_y"] >= tried["worst_margin_x"]).all()


def alike(sequence, edits):
    """At most one G or C more or less."""
    after = apply(sequence, edits)
    return abs(sum(map(after.count, "GC")) - sum(map(sequence.count, "GC"))) <= 1


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [(Constraints(), anything), (Constraints(gc_shift="hard", gc_limit=1 / LONG), alike)],
)
def test_the_leading_pairs_are_of_the_lowest_margins_at_distinct_positions(
    long_ones, rules, allowed
):
    encoder, sample = long_ones
    bounded = certified(encoder, sample, rules, max_edits=2, pairs_length=LONG - 1)
    open_ones = bounded[(bounded["k"] == 2) & (bounded["n_tried"] > 0)]
    assert len(open_ones) >= 2
    for row in open_ones.itertuples():
        best = {}
        for edits in edit_sets(row.original, 1, allowed):
            ((position, base),) = edits.items()
            margin = encoder.margin(apply(row.original, edits), row.label)
            best[position] = min(best.get(position, (np.inf, "")), (margin, base))
        leading = sorted((margin, p, base) for p, (margin, base) in best.items())[:N_LEADING]
        pairs = [{p: a, q: b} for (_, p, a), (_, q, b) in combinations(leading, 2)]
        pairs = [pair for pair in pairs if allowed(row.original, pair)]
        margins = [encoder.margin(apply(row.original, pair), row.label) for pair in pairs]
        assert row.n_tried == len(pairs)
        assert row.n_flipping == sum(margin < 0 for margin in margins)
        single = leading[0][0]
        assert row.worst_margin == pytest.approx(min(*margins, single, row.margin_before), abs=1e-5)


def test_the_first_longer_sequences_can_be_decided_all_the_same(long_ones):
    encoder, sample = long_ones
    exact = certified(encoder, sample, max_edits=2).set_index("id")
    some = certified(encoder, sample, max_edits=2, pairs_length=LONG - 1, pairs_samples=4)
    some = some.set_index("id")
    # The first sequence is misclassified: it is not one of the four.
    pd.testing.assert_frame_equal(some.loc["test:1":"test:4"], exact.loc["test:1":"test:4"])
    later = some.loc["test:5":]
    assert "robust" not in set(later.loc[later["k"] == 2, "status"])


def test_a_long_sequence_of_which_little_may_be_edited_is_decided(long_ones):
    encoder, sample = long_ones
    rules = Constraints(edit_mask="hard", editable=((3, 9),))
    table = certified(encoder, sample, rules, max_edits=2, pairs_length=6)
    assert "unknown" not in set(table["status"])
    assert set(table.loc[table["k"] == 2, "n_tried"]) <= {0, 9 * 6 * 5 / 2}
    narrower = certified(encoder, sample, rules, max_edits=2, pairs_length=5)
    assert "unknown" in set(narrower["status"])


# Rounding -----------------------------------------------------------------------------


class Rounding(Linear):
    """A model whose rounding tells how many sequences shared the forward."""

    def forward(self, input_ids, attention_mask):
        logits = super().forward(input_ids, attention_mask)
        logits[:, 0] += -1e-6 if len(input_ids) > 1 else 1e-6
        return logits


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_a_close_call_is_asked_about_alone(batching):
    """All margins are +1e-6 alone, -1e-6 in company."""
    encoder = Rounding(np.zeros((LENGTH, 5, 2)))
    names, sequences = ["a", "b"], ["A" * LENGTH, "C" * LENGTH]
    sample = pd.DataFrame({"id": names, "sequence": sequences, "label": [0, 0]})
    masked = Constraints(edit_mask="hard", editable=((0, 3),))

    table = certified(encoder, sample, masked, max_edits=2, compute={"batching": batching})

    assert set(table["status"]) == {"robust"}
    assert (table["worst_margin"] > 0).all()
    assert (table["n_flipping"] == 0).all()
    assert table["n_queries"].tolist() == [10, 10 + 27] * 2


def test_lockstep_decides_alike(long_ones):
    encoder, sample = long_ones
    options = {"max_edits": 2, "pairs_length": LONG - 1, "pairs_samples": 2}
    one = certified(encoder, sample, **options)
    other = certified(encoder, sample, compute={"batching": "lockstep"}, **options)
    pd.testing.assert_frame_equal(one, other, atol=1e-4)
    exact = ["status", "edits", "n_flipping", "n_tried", "n_queries"]
    pd.testing.assert_frame_equal(one[exact], other[exact])


# Bounded memory, and being killed -----------------------------------------------------


def test_every_set_is_asked_about_once():
    spy = Spy(Tangled(3))
    sample = make_sample(spy.encoder, n=1, wrong=())
    sample["label"] = (
        1 - sample["label"] if spy.encoder.margin(*sample.iloc[0, 1:]) < 0 else sample["label"]
    )
    (_, row) = certified(spy, sample, max_edits=2).to_dict("records")
    assert len(spy.rows) == len(set(spy.rows)) == row["n_queries"]


@pytest.mark.parametrize("batching", ["per_sequence", "lockstep"])
def test_the_answers_about_pairs_are_forgotten(monkeypatch, long_ones, batching):
    """At no time are more answers held than one round of searches brings."""
    encoder, sample = long_ones
    held, made = [], []
    plain = Search.charge

    def charge(search, *arguments):
        if search not in made:
            made.append(search)
        held.append(sum(len(other.known) for other in made))
        return plain(search, *arguments)

    monkeypatch.setattr(Search, "charge", charge)
    monkeypatch.setattr(Search, "__eq__", object.__eq__)
    monkeypatch.setattr(enumeration, "_CHUNK", 100)
    monkeypatch.setattr(enumeration, "_TOGETHER", 3)
    table = certified(encoder, sample, max_edits=2, compute={"batching": batching})
    assert table["n_tried"].max() == 9 * LONG * (LONG - 1) / 2 > 1600
    assert max(held) <= (100 if batching == "per_sequence" else 3 * 100)


def killed_sample():
    encoder = Tangled(8, LONG)
    return make_sample(encoder, n=7, length=LONG, wrong=(0,), margin=0.8)


def spy_on(dies_after=None):
    return Spy(Tangled(8, LONG), dies_after)


OPTIONS = {"max_edits": 2, "pairs_length": LONG - 1, "pairs_samples": 3}


@pytest.mark.parametrize("dies_after", [2, 5, 9, 30, 60])
def test_a_resumed_job_ends_with_the_same_table(tmp_path, monkeypatch, dies_after):
    monkeypatch.setattr(enumeration, "_CHUNK", 256)
    sample, undisturbed = killed_sample(), spy_on()
    table = certified(undisturbed, sample, **OPTIONS)
    n_originals = 1  # forwards that ask about the originals, anew in each attempt
    assert len(undisturbed.forwards) > 60
    first, second = spy_on(dies_after), spy_on()
    with pytest.raises(KilledError):
        certified(first, sample, journal=Journal(tmp_path / "state", DIGEST), **OPTIONS)

    resumed = certified(second, sample, journal=Journal(tmp_path / "state", DIGEST), **OPTIONS)

    pd.testing.assert_frame_equal(resumed, table)
    n_repeated = len(first.forwards) + len(second.forwards) - len(undisturbed.forwards)
    # A chunk that was under way is asked about again, and nothing else.
    assert n_repeated - n_originals <= 256 // 64
    assert len(second.forwards) < len(undisturbed.forwards)


def test_the_journal_holds_no_answer_about_pairs(tmp_path):
    journal = Journal(tmp_path / "state", DIGEST, every=0.0)
    table = certified(spy_on(), killed_sample(), journal=journal, **OPTIONS)
    n_singles = table.loc[table["k"] == 1, "n_tried"].sum()
    assert table["n_tried"].sum() > 3 * n_singles
    kept = [files.read_tensors(path)["keys"] for path in tmp_path.rglob("*.safetensors")]
    assert sum(len(keys) for keys in kept) == n_singles


def test_a_table_survives_being_written(tmp_path):
    encoder = Tangled(1)
    table = certified(encoder, make_sample(encoder), max_edits=2)
    files.write_parquet(table, tmp_path / "certify.parquet", {"max_edits": "2"})
    read = files.read_parquet(tmp_path / "certify.parquet")
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert {values.dtype for values in read["importance"]} == {np.dtype(np.float32)}
