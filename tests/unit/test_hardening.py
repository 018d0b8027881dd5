"""One round of training: as many steps for every defence, on the right rows, and nothing else."""

import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from refusals import refusal
from torch import nn
from toy_models import random_sequence

from genosiege import files, optimisation
from genosiege.sequence import classifier, encoders, hardening, prediction
from genosiege.sequence.answers import margins
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.examples import CONTROLS, Example, Pool
from genosiege.sequence.hardening import Hardening
from genosiege.sequence.networks import Classifier, Encoder, Pooled, make_head
from genosiege.sequence.tokenizer import CharacterTokenizer
from genosiege.sequence.training_rows import ATTACKING

KINDS = (*ATTACKING, *CONTROLS)
CNN = {"kind": "cnn", "frozen": False, "architecture": {"channels": 8, "blocks": 2}}


class Shares(Encoder):
    """Shares of the four bases and of the four in the first half, through a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 16
        self.linear = nn.Linear(8, 16)
        self.n_rows = 0

    def forward(self, input_ids, attention_mask):
        self.n_rows += len(input_ids)
        one_hot = nn.functional.one_hot(input_ids, 5)[..., :4].float()
        halves = [one_hot.mean(dim=1), one_hot[:, : input_ids.shape[1] // 2].mean(dim=1)]
        return self.linear(torch.cat(halves, dim=1))


def toy(frozen: bool = True, seed: int = 0) -> encoders.SequenceModel:
    with optimisation.seeded(np.random.default_rng(seed)):
        network = Classifier(Shares(), make_head(16, 2), frozen)
    spec = {"kind": "cnn", "frozen": frozen}
    return encoders.SequenceModel(CharacterTokenizer(), network.eval(), 2, spec, None)


def make_examples(n: int, kind: str, seed: int = 0, length: int = 60) -> list[Example]:
    rng = np.random.default_rng([seed, *kind.encode()])
    return [
        Example(f"train:{i}", random_sequence(rng, length), i % 2, kind, 1, int(kind != "clean"))
        for i in range(n)
    ]


def pool_of(kind: str, n: int = 5) -> tuple[list[Example], list[Example]]:
    sort = {"clean_only": "clean", "random_mutants": "random_mutant"}.get(kind, "adversary")
    return make_examples(n, sort), make_examples(n, "clean", 1) if kind == "mixed" else []


def harden(model, examples, replay, options, seed=0, **more):
    return hardening.harden(model, examples, replay, options, np.random.default_rng(seed), **more)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def digest(module: nn.Module) -> str:
    total = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        total.update(name.encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()


# Steps and rows -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_round", "batch_size", "epochs", "steps", "width"),
    [(5, 16, 1, 1, 5), (2, 16, 3, 3, 2), (200, 16, 1, 13, 16), (32, 16, 2, 4, 16), (3, 2, 1, 2, 2)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_takes_the_same_steps_whatever_was_found(
    kind, per_round, batch_size, epochs, steps, width
):
    options = Hardening(
        kind, examples_per_round=per_round, batch_size=batch_size, epochs=epochs, max_edits=3
    )
    for n in (1, 3, per_round, 5 * per_round):
        rows = hardening.batches(n, per_round, options, np.random.default_rng(0))
        assert rows.shape == (steps, width)
        assert options.steps == steps

    assert harden(toy(), *pool_of(kind), options).n_steps == steps


@pytest.mark.parametrize("width", [2, 5, 16])
def test_mixed_batches_are_half_adversaries_half_replay(width):
    options = Hardening("mixed", examples_per_round=64, batch_size=width)

    rows = hardening.batches(10, 30, options, np.random.default_rng(0))

    assert (rows < 10).sum(axis=1).tolist() == [math.ceil(width / 2)] * options.steps
    assert (rows >= 10).sum(axis=1).tolist() == [width // 2] * options.steps
    assert rows.max() < 40


def test_mixed_with_single_rows_is_refused():
    # Half of one row would be no replay at all.
    assert "mixed" in refusal(Hardening, "mixed", examples_per_round=64, batch_size=1)
    assert Hardening("clean_only", examples_per_round=64, batch_size=1).steps == 64


@pytest.mark.parametrize("n", [1, 3, 7, 64, 200])
def test_batches_cycle_through_the_examples_in_ever_new_orders(n):
    options = Hardening("clean_only", examples_per_round=64, batch_size=16, epochs=7)

    rows = hardening.batches(n, 0, options, np.random.default_rng(0)).ravel()

    cycles = [rows[i : i + n] for i in range(0, len(rows), n)]
    assert all(len(set(cycle)) == len(cycle) for cycle in cycles)
    assert set(np.concatenate(cycles)) <= set(range(n))
    whole = [tuple(cycle) for cycle in cycles if len(cycle) == n]
    assert n < 7 or len(set(whole)) == len(whole)
    counts = np.bincount(rows, minlength=n)
    assert counts.max() - counts.min() <= 1


def test_what_was_trained_on_is_what_the_steps_read():
    # One step of five rows: three of the adversaries, two of the replay.
    model, options = toy(), Hardening("mixed", learning_rate=0.01)
    adversaries, replay = pool_of("mixed")

    hardened = harden(model, adversaries, replay, options)

    assert len(hardened.examples) == 3
    assert len(hardened.replay) == 2
    assert set(hardened.examples) < set(adversaries)
    assert set(hardened.replay) < set(replay)
    # The rows that were not read have no influence.
    blank = [
        one if one in (*hardened.examples, *hardened.replay) else one._replace(sequence="A" * 60)
        for one in (*adversaries, *replay)
    ]
    again = toy()
    harden(again, blank[:5], blank[5:], options)
    assert equal(state(model.classifier), state(again.classifier))


# What training does -------------------------------------------------------------------


def margin(model, examples):
    tokens = model.tokenizer.encode([one.sequence for one in examples])
    labels = np.array([one.label for one in examples])
    return margins(prediction.predict(model, tokens), labels)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("kind", ATTACKING)
def test_training_raises_the_margin_of_the_adversaries(kind, frozen):
    model = toy(frozen)
    candidates = make_examples(8, "adversary")
    # Labelled so that the model is wrong about each of them.
    wrong = margin(model, candidates) < 0
    adversaries = [
        one._replace(label=one.label if is_wrong else 1 - one.label)
        for one, is_wrong in zip(candidates, wrong, strict=True)
    ]
    before = margin(model, adversaries)
    assert (before < 0).all()
    options = Hardening(kind, examples_per_round=8, batch_size=8, epochs=60, learning_rate=0.01)

    hardened = harden(model, adversaries, make_examples(8, "clean", 1), options)

    after = margin(model, adversaries)
    assert (after > before).all()
    assert (after > 0).mean() > 0.8
    assert hardened.losses[-1] < hardened.losses[0]


@pytest.mark.parametrize(("slope", "moved"), [(30.0, 1.0), (0.25, 0.25)])
def test_a_gradient_of_norm_above_one_is_clipped(slope, moved):
    layer = nn.Linear(4, 1, bias=False)
    before = layer.weight.detach().clone()
    # Every weight has the gradient slope / 2, so that its norm is the slope.
    loss = slope / 2 * layer.weight.sum()

    classifier.step(loss, layer, torch.optim.SGD(layer.parameters(), lr=1.0))

    torch.testing.assert_close(before - layer.weight, torch.full((1, 4), moved / 2))


def test_one_step_is_adamw_on_the_mean_loss():
    """The step by hand: Adam's first is the learning rate times the gradient's sign, nearly."""
    model, rate = toy(), 0.003
    head = model.classifier.head
    for part in head:
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    adversaries = make_examples(4, "adversary")
    features = prediction.encode(
        model, model.tokenizer.encode([one.sequence for one in adversaries])
    )
    before = state(head)
    loss = nn.functional.cross_entropy(head(torch.from_numpy(features)), torch.tensor([0, 1] * 2))
    gradients = dict(zip(before, torch.autograd.grad(loss, list(head.parameters())), strict=True))
    norm = torch.sqrt(sum((g**2).sum() for g in gradients.values()))
    options = Hardening(
        "adversarial_only", examples_per_round=4, learning_rate=rate, weight_decay=0.1
    )

    hardened = harden(model, adversaries, [], options)

    assert hardened.losses == pytest.approx([loss.item()], rel=1e-5)
    for name, after in state(head).items():
        slope = gradients[name] * min(1.0, 1.0 / (norm.item() + 1e-6))
        decay = 0.1 if after.ndim > 1 else 0.0
        expected = before[name] * (1 - rate * decay) - rate * slope / (slope.abs() + 1e-8)
        torch.testing.assert_close(after, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_generator_decides_everything_and_torchs_state_stays(frozen):
    options = Hardening("mixed", examples_per_round=5, epochs=4, learning_rate=0.01)
    before = torch.random.get_rng_state()

    def trained(seed):
        model = toy(frozen)
        hardened = harden(model, *pool_of("mixed"), options, seed)
        return hardened, state(model.classifier)

    first, again, other = trained(1), trained(1), trained(2)

    assert torch.equal(before, torch.random.get_rng_state())
    assert first[0] == again[0]
    assert equal(first[1], again[1])
    assert not equal(first[1], other[1])


def test_dropout_is_on_and_modes_are_given_back():
    model = toy()
    options = Hardening("clean_only", examples_per_round=4, epochs=2, learning_rate=1e-12)

    losses = harden(model, make_examples(4, "clean"), [], options).losses

    # All four rows in each step, and next to no learning: only dropout differs.
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
    assert not any(part.training for part in model.classifier.modules())


# What stays ---------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("kind", ATTACKING)
def test_without_adversaries_the_model_is_kept(kind, frozen):
    model = toy(frozen)
    before = digest(model.classifier)
    options = Hardening(kind, learning_rate=0.1)

    hardened = harden(model, [], make_examples(5, "clean"), options)

    assert digest(model.classifier) == before
    assert hardened == hardening.Hardened((), True, (), ())
    assert hardened.n_steps == 0


def test_cached_features_stand_for_clean_rows_only():
    adversaries, replay = pool_of("mixed")
    options = Hardening("mixed", learning_rate=0.01, epochs=4)
    plain, quick, misled = toy(), toy(), toy()
    encoded = prediction.encode(plain, plain.tokenizer.encode([one.sequence for one in replay]))
    # The adversaries bear the ids of clean rows.
    cached = dict(zip([one.id for one in replay], encoded, strict=True))
    quick.classifier.encoder.n_rows = 0

    expected = harden(plain, adversaries, replay, options)
    hardened = harden(quick, adversaries, replay, options, cached=cached)
    harden(misled, adversaries, replay, options, cached={n: 0 * row for n, row in cached.items()})

    assert quick.classifier.encoder.n_rows == len(hardened.examples) == 5
    assert hardened == expected
    assert equal(state(plain.classifier), state(quick.classifier))
    assert not equal(state(plain.classifier), state(misled.classifier))


def test_features_are_read_by_id(tmp_path):
    table = pd.DataFrame(
        {"id": ["dev:4", "train:1"], "sequence": ["ACGT", "AAAA"], "label": [0, 1]}
    )
    files.write_parquet(table, tmp_path / "train.parquet")
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    files.write_tensors({"features": features}, tmp_path / "train.safetensors")

    cached = hardening.cached_features(tmp_path / "train.parquet", tmp_path / "train.safetensors")

    assert {name: row.tolist() for name, row in cached.items()} == {
        "dev:4": [0, 1, 2],
        "train:1": [3, 4, 5],
    }
    assert hardening.cached_features(None, None) == {}


@pytest.fixture
def cnn() -> encoders.SequenceModel:
    """A cnn whose running statistics are those of some sequences."""
    model = encoders.build(CNN, [], 2, np.random.default_rng(0))
    texts = [one.sequence for one in make_examples(32, "clean", 9)]
    model.classifier.train()
    inputs = prediction.batch(model.tokenizer.encode(texts), np.arange(32), 4, torch.device("cpu"))
    model.classifier(*inputs)
    model.classifier.eval()
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_cnn_is_hardened_end_to_end_but_its_running_statistics_stay(kind, cnn):
    before = state(cnn.classifier)
    options = Hardening(kind, examples_per_round=6, epochs=3, learning_rate=0.005)
    examples, replay = pool_of(kind, 6)
    # Of different lengths, so that there is padding.
    examples[0] = examples[0]._replace(sequence=examples[0].sequence[:31])

    hardened = harden(cnn, examples, replay, options)

    changed = {n for n, t in state(cnn.classifier).items() if not torch.equal(before[n], t)}
    statistics = {n for n in before if "running" in n or "num_batches" in n}
    assert len(statistics) == 3 * 5
    assert changed == set(before) - statistics
    assert hardened.n_steps == 3


def test_a_hardened_cnn_comes_back_from_its_file(cnn, tmp_path):
    options = Hardening("clean_only", learning_rate=0.005)
    hardened = harden(cnn, *pool_of("clean_only"), options)
    path = str(tmp_path / "model.safetensors")
    tokens = cnn.tokenizer.encode([one.sequence for one in make_examples(9, "clean", 2)])

    encoders.save(cnn, path, hardening.describe(options, Pool([], [], None, None), hardened))

    again = encoders.load(path, CNN, [])
    np.testing.assert_array_equal(
        prediction.predict(again, tokens), prediction.predict(cnn, tokens)
    )


def test_full_size_dnabert2_trains_the_published_count_and_no_weight_of_the_encoder(one_thread):
    sizes = {"vocab_size": 4096, "hidden_size": 768, "num_hidden_layers": 12}
    architecture = Architecture(**sizes, num_attention_heads=12, intermediate_size=3072)
    network = DnaBert2.fresh(architecture, torch.Generator().manual_seed(0))
    with optimisation.seeded(np.random.default_rng(0)):
        whole = Classifier(Pooled(network, 768, "cls"), make_head(768, 2), frozen=True)
    spec = {"kind": "dnabert2", "frozen": True}
    model = encoders.SequenceModel(CharacterTokenizer(), whole.eval(), 2, spec, None)
    encoder, head = digest(whole.encoder), state(whole.head)

    options = Hardening("mixed", learning_rate=0.001)
    harden(model, *pool_of("mixed"), options)

    assert encoders.count_parameters(model)["trainable"] == 296_066
    assert digest(whole.encoder) == encoder
    changed = [name for name, t in state(whole.head).items() if not torch.equal(head[name], t)]
    assert changed == list(head)
    assert sum(head[name].numel() for name in changed) == 296_066


# What is said and refused -------------------------------------------------------------


def test_model_json_says_what_the_round_did():
    options = Hardening("mixed", learning_rate=0.01, adversary_source="test", epochs=2)
    adversaries, replay = pool_of("mixed")
    hardened = harden(toy(), adversaries, replay, options)

    said = hardening.describe(options, Pool(adversaries, replay, 160, 9), hardened)

    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["hardening"]["learning_rate"] == 0.01
    assert said["adversary_source"] == "test"
    assert (said["n_attacked"], said["n_adversaries"], said["kept"]) == (160, 9, False)
    assert (said["n_examples"], said["n_replay"], said["n_steps"]) == (5, 4, 2)
    assert said["history"]["losses"] == list(hardened.losses)
    assert [entry["kind"] for entry in said["trained_on"]] == ["adversary"] * 5 + ["clean"] * 4
    assert said["trained_on"][0] == {"id": "train:0", "kind": "adversary", "round": 1, "n_edits": 1}


def test_controls_train_on_the_train_split_whatever_the_source():
    options = Hardening("clean_only", adversary_source="test")
    hardened = harden(toy(), *pool_of("clean_only"), options)
    said = hardening.describe(options, Pool([], [], None, None), hardened)
    assert (said["adversary_source"], said["n_attacked"]) == ("train", None)


def test_a_diverging_round_says_so():
    options = Hardening("clean_only", epochs=5, learning_rate=1e30)
    message = refusal(harden, toy(False), *pool_of("clean_only"), options)
    assert "hardening: learning_rate" in message


def test_a_control_needs_examples_and_mixed_needs_replay():
    assert "nothing to train on" in refusal(harden, toy(), [], [], Hardening("clean_only"))
    adversaries = make_examples(5, "adversary")
    assert "nothing to train on" in refusal(harden, toy(), adversaries, [], Hardening("mixed"))


def test_a_model_with_nothing_to_train_is_refused():
    model = toy()
    model.classifier.head.requires_grad_(False)
    message = refusal(harden, model, *pool_of("clean_only"), Hardening("clean_only"))
    assert "head it was published with" in message


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"batch_size": True},
        {"learning_rate": 0},
        {"weight_decay": -1},
        {"examples_per_round": 0},
        {"rounds": 5},
    ],
)
def test_impossible_options_are_refused_by_name(options):
    message = refusal(Hardening.from_config, {"kind": "mixed", **options})
    assert next(iter(options)) in message


def test_the_defaults_are_the_published_ones():
    options = Hardening.from_config({"kind": "adversarial_only"})
    assert (options.epochs, options.learning_rate, options.examples_per_round) == (1, 5e-6, 5)
    assert options.attacking
    assert not Hardening("random_mutants").attacking
