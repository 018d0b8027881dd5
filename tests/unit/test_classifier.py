import math

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef
from torch import nn

from genosiege import optimisation
from genosiege.errors import InputError
from genosiege.sequence import classifier, encoders, prediction, splits
from genosiege.sequence.classifier import Training
from genosiege.sequence.networks import Classifier, Encoder, make_head
from genosiege.sequence.splits import Split
from genosiege.sequence.tokenizer import CharacterTokenizer

QUICK = Training(epochs=4, batch_size=8, learning_rate=0.01)


class Composition(Encoder):
    """Shares of the four bases, through a linear map: what a pretrained encoder may be."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 8
        self.linear = nn.Linear(4, 8)
        self.dropout = nn.Dropout(0.5)

    def forward(self, input_ids, attention_mask):
        one_hot = nn.functional.one_hot(input_ids, 5)[..., :4].float()
        shares = one_hot.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
        return self.dropout(self.linear(shares))


def model_of(frozen: bool, seed: int = 0) -> encoders.SequenceModel:
    with optimisation.seeded(np.random.default_rng(seed)):
        network = Classifier(Composition(), make_head(8, 2), frozen)
    spec = {"kind": "cnn", "frozen": frozen}
    return encoders.SequenceModel(CharacterTokenizer(), network.eval(), 2, spec, None)


def gc_rich_against_poor(n: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    shares = np.where(labels[:, None] == 1, [[0.2, 0.3, 0.3, 0.2]], [[0.3, 0.2, 0.2, 0.3]])
    lengths = rng.integers(40, 120, n)
    sequences = [
        "".join(rng.choice(list("ACGT"), length, p=share))
        for length, share in zip(lengths, shares, strict=True)
    ]
    return Split(sequences, labels)


def with_features(model, split):
    features = prediction.encode(model, model.tokenizer.encode(split.sequences))
    return split._replace(features=features)


@pytest.fixture(scope="module")
def train():
    return gc_rich_against_poor(120, seed=1)


@pytest.fixture(scope="module")
def dev():
    return gc_rich_against_poor(60, seed=2)


@pytest.mark.parametrize("frozen", [True, False])
def test_training_learns_what_can_be_learned(frozen, train, dev):
    model = model_of(frozen)
    options = Training(epochs=15, batch_size=8, learning_rate=0.02, patience=15)
    if frozen:
        train, dev = with_features(model, train), with_features(model, dev)

    history = classifier.fit(model, train, dev, options, np.random.default_rng(0))

    assert classifier.best_epoch(history).dev_mcc > 0.6
    assert history[-1].loss < history[0].loss


@pytest.mark.parametrize("frozen", [True, False])
def test_the_seed_decides_everything(frozen, train, dev):
    def trained(seed):
        model = model_of(frozen)
        parts = [with_features(model, part) if frozen else part for part in (train, dev)]
        torch.rand(seed)  # the global state is not to matter
        history = classifier.fit(model, *parts, QUICK, np.random.default_rng(seed))
        return history, model.classifier.state_dict()

    first, again, other = trained(3), trained(3), trained(4)

    assert first[0] == again[0]
    assert all(torch.equal(first[1][name], again[1][name]) for name in first[1])
    assert first[0] != other[0]


def test_training_leaves_torchs_global_state_as_it_was(train, dev):
    before = torch.random.get_rng_state()

    classifier.fit(model_of(frozen=False), train, dev, QUICK, np.random.default_rng(0))

    assert torch.equal(before, torch.random.get_rng_state())


def test_a_frozen_encoder_does_not_change_and_its_dropout_stays_off(train, dev):
    model = model_of(frozen=True)
    before = {name: t.clone() for name, t in model.classifier.encoder.state_dict().items()}
    head = {name: t.clone() for name, t in model.classifier.head.state_dict().items()}

    parts = [with_features(model, part) for part in (train, dev)]
    classifier.fit(model, *parts, QUICK, np.random.default_rng(0))

    after = model.classifier.encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(head[n], t) for n, t in model.classifier.head.state_dict().items())
    assert not model.classifier.train().encoder.dropout.training


def test_end_to_end_training_changes_the_encoder(train, dev):
    model = model_of(frozen=False)
    before = model.classifier.encoder.linear.weight.clone()

    classifier.fit(model, train, dev, QUICK, np.random.default_rng(0))

    assert not torch.equal(before, model.classifier.encoder.linear.weight)


def test_the_best_state_on_dev_is_kept(train, dev):
    model = model_of(frozen=False)
    options = Training(epochs=10, batch_size=8, learning_rate=0.02, patience=10)
    # Labels turned round: the better the training, the worse on dev.
    dev = dev._replace(labels=1 - dev.labels)

    history = classifier.fit(model, train, dev, options, np.random.default_rng(5))

    kept = prediction.predict(model, model.tokenizer.encode(dev.sequences)).argmax(axis=1)
    best = classifier.best_epoch(history)
    assert best.dev_mcc > history[-1].dev_mcc + 0.2
    assert matthews_corrcoef(dev.labels, kept) == pytest.approx(best.dev_mcc)


def test_training_stops_after_patience_epochs_without_gain(train, dev):
    options = Training(epochs=50, batch_size=8, learning_rate=1e-9, patience=3)

    history = classifier.fit(model_of(False), train, dev, options, np.random.default_rng(0))

    # Nothing is learned at this rate, so the first epoch stays the best.
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]


def test_the_rate_rises_then_falls_to_zero():
    optimiser, schedule = classifier._optimiser(
        nn.Linear(2, 2), Training(learning_rate=1.0, warmup=0.2), steps=10
    )
    rates = []
    for _ in range(11):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()

    assert rates == pytest.approx(
        [1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]
    )


def test_only_matrices_are_decayed():
    optimiser, _ = classifier._optimiser(nn.Linear(3, 2), Training(weight_decay=0.3), steps=1)

    decay = {
        p.ndim: group["weight_decay"] for group in optimiser.param_groups for p in group["params"]
    }
    assert decay == {2: 0.3, 1: 0.0}


@pytest.mark.parametrize("n", [1, 7, 64, 1000])
def test_batches_hold_each_row_once(n):
    lengths = np.random.default_rng(0).integers(5, 80, n)

    batches = classifier.bucketed(lengths, 8, np.random.default_rng(1))

    assert len(batches) == math.ceil(n / 8)
    assert sorted(np.concatenate(batches)) == list(range(n))


def test_batches_hold_rows_of_similar_length():
    lengths = np.random.default_rng(0).integers(5, 80, 400)

    batches = classifier.bucketed(lengths, 8, np.random.default_rng(1))

    assert max(np.ptp(lengths[rows]) for rows in batches) < 10


def test_predictions_keep_the_order_and_equal_head_on_features(dev):
    model = model_of(frozen=True)
    tokens = model.tokenizer.encode(dev.sequences)

    small, large = prediction.predict(model, tokens, 3), prediction.predict(model, tokens, 100)
    cached = prediction.head_logits(model, prediction.encode(model, tokens, 7))

    np.testing.assert_allclose(small, large, atol=1e-6)
    np.testing.assert_allclose(cached, large, atol=1e-6)


def test_modes_are_given_back(dev):
    model = model_of(frozen=False)
    model.classifier.train()
    model.classifier.head.eval()

    prediction.predict(model, model.tokenizer.encode(dev.sequences))

    assert model.classifier.training
    assert model.classifier.encoder.training
    assert not model.classifier.head.training


def test_a_frozen_encoder_without_features_is_refused(train, dev):
    with pytest.raises(InputError, match="cached features"):
        classifier.fit(model_of(frozen=True), train, dev, QUICK, np.random.default_rng(0))


def test_a_diverging_training_says_so(train, dev):
    options = Training(epochs=3, batch_size=8, learning_rate=1e30, warmup=0.0)
    with pytest.raises(InputError, match="learning_rate"):
        classifier.fit(model_of(frozen=False), train, dev, options, np.random.default_rng(0))


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"batch_size": 1.5}, {"learning_rate": 0}, {"warmup": 1}, {"patience": -1}],
)
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Training.from_config(options)


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(InputError, match="epoch:"):
        Training.from_config({"epoch": 3})


def test_tokens_survive_the_file(tmp_path, dev):
    tokens = CharacterTokenizer().encode(dev.sequences)

    splits.write_tokens(tokens, 4, tmp_path / "dev.safetensors")
    again = splits.read_tokens(tmp_path / "dev.safetensors")

    assert again.ids.dtype == np.int32
    np.testing.assert_array_equal(again.ids, tokens.ids)
    np.testing.assert_array_equal(again.offsets, tokens.offsets)
