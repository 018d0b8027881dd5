import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from genosiege import runtime, workflow_code
from genosiege.errors import InputError
from genosiege.sequence import classifier, dnabert2_encoder, encoders, prediction, pretraining
from genosiege.sequence.dnabert2 import Architecture, DnaBert2
from genosiege.sequence.networks import Classifier, Pooled, make_head
from genosiege.sequence.splits import Split
from genosiege.sequence.tokenizer import BpeTokenizer, CharacterTokenizer

SMALL = {
    "vocab_size": 40,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 12,
    "intermediate_size": 32,
}
DNABERT2 = {"kind": "dnabert2", "frozen": True}
CNN = {"kind": "cnn", "frozen": False, "architecture": {"channels": 8, "blocks": 2}}


def random_sequences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGTN"), size, p=[0.24] * 4 + [0.04])) for size in
            rng.integers(20, 90, n)]  # fmt: skip


SEQUENCES = random_sequences(12)


def logits(model, sequences=SEQUENCES):
    return prediction.predict(model, model.tokenizer.encode(sequences), batch_size=5)


@pytest.fixture
def scratch(tmp_path):
    """The files of a small DNABERT-2 that was made here."""
    location = encoders.Location(
        tmp_path / "encoder.safetensors", tmp_path / "encoder.json", tmp_path / "tokenizer.json"
    )
    tokenizer = BpeTokenizer.train(random_sequences(50, seed=1), SMALL["vocab_size"])
    architecture = Architecture(**SMALL)
    network = DnaBert2.fresh(architecture, torch.Generator().manual_seed(0))
    dnabert2_encoder.save(network, tokenizer, location)
    return [str(path) for path in location]


@pytest.fixture
def stored(scratch, tmp_path):
    """A model on that encoder, and where it is kept."""
    model = encoders.build(DNABERT2, scratch, 3, np.random.default_rng(0))
    path = str(tmp_path / "model" / "model.safetensors")
    encoders.save(model, path, {"seed": 0})
    return model, path


# Keeping and reading ------------------------------------------------------------------


def test_a_model_on_a_frozen_encoder_comes_back_from_its_head_alone(scratch, stored):
    model, path = stored

    assert all(name.startswith("head.") for name in load_file(path))
    np.testing.assert_array_equal(logits(encoders.load(path, DNABERT2, scratch)), logits(model))


def test_a_model_trained_end_to_end_comes_back_from_its_file(scratch, tmp_path):
    spec = {**DNABERT2, "frozen": False}
    model = encoders.build(spec, scratch, 2, np.random.default_rng(0))
    data = Split(SEQUENCES, np.arange(12) % 2)
    options = classifier.Training(epochs=1, batch_size=4)
    classifier.fit(model, data, data, options, np.random.default_rng(0))
    path = str(tmp_path / "model" / "model.safetensors")

    encoders.save(model, path, {})

    assert set(load_file(path)) == set(model.classifier.state_dict())
    np.testing.assert_array_equal(logits(encoders.load(path, spec, scratch)), logits(model))
    assert not np.array_equal(logits(encoders.build(spec, scratch, 2)), logits(model))


def test_a_cnn_comes_back_with_its_running_statistics(tmp_path):
    model = encoders.build(CNN, [], 3, np.random.default_rng(0))
    data = Split(SEQUENCES, np.arange(12) % 3)
    options = classifier.Training(epochs=2, batch_size=4)
    classifier.fit(model, data, data, options, np.random.default_rng(0))
    path = str(tmp_path / "model.safetensors")

    encoders.save(model, path, {})

    np.testing.assert_array_equal(logits(encoders.load(path, CNN, [])), logits(model))


def test_model_json_says_what_the_model_is(stored):
    model, path = stored
    description = json.loads(encoders._description(path).read_text())

    assert description["n_classes"] == 3
    assert description["seed"] == 0
    assert description["parameters"] == encoders.count_parameters(model)


def refusal(path, spec, paths):
    with pytest.raises(InputError) as caught:
        encoders.load(path, spec, paths)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_model_is_refused(scratch, tmp_path):
    path = str(tmp_path / "nowhere.safetensors")
    assert path in refusal(path, DNABERT2, scratch)


def test_a_missing_description_is_refused(scratch, stored):
    encoders._description(stored[1]).unlink()
    assert "model.json" in refusal(stored[1], DNABERT2, scratch)


def test_a_missing_encoder_is_refused(scratch, stored):
    message = refusal(stored[1], DNABERT2, [scratch[0] + ".gone", *scratch[1:]])
    assert "encoder.safetensors.gone" in message


@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_a_damaged_model_is_refused(scratch, stored, damage, tmp_path):
    path = tmp_path / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-10]
    elif damage == "flip":
        content[-3] ^= 1  # one bit of one weight: still a valid file
    else:
        content = bytearray(b"<html>not found</html>")
    path.write_bytes(content)

    assert str(path) in refusal(str(path), DNABERT2, scratch)


def test_a_head_on_another_encoder_is_refused(scratch, stored):
    tensors = load_file(scratch[0])
    tensors["embeddings.word_embeddings.weight"][0, 0] += 1
    save_file(tensors, scratch[0])

    assert "another encoder" in refusal(stored[1], DNABERT2, scratch)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("part", [1, 2])
def test_a_model_with_another_architecture_or_tokenizer_is_refused(scratch, tmp_path, part, frozen):
    spec = {**DNABERT2, "frozen": frozen}
    path = str(tmp_path / "model" / "model.safetensors")
    encoders.save(encoders.build(spec, scratch, 2), path, {})
    content = json.loads(Path(scratch[part]).read_text())
    if part == 1:
        content["layer_norm_eps"] = 0.1  # no tensor has another shape
    else:
        pieces = content["model"]["vocab"]
        first, second = list(pieces)[-2:]
        pieces[first], pieces[second] = pieces[second], pieces[first]
    Path(scratch[part]).write_text(json.dumps(content))

    message = refusal(path, spec, scratch)

    assert "another encoder" in message
    assert Path(scratch[part]).name in message


def test_every_file_of_a_fetched_folder_counts_but_hidden_ones(scratch, tmp_path):
    folder = tmp_path / "fetched"
    folder.mkdir()
    for name, path in zip(["model.safetensors", "config.json", "tokenizer.json"], scratch,
                          strict=True):  # fmt: skip
        (folder / name).write_bytes(Path(path).read_bytes())
    (folder / "tokenizer_config.json").write_text("{}")
    path = str(tmp_path / "model" / "model.safetensors")
    encoders.save(encoders.build(DNABERT2, [str(folder)], 2), path, {})
    (folder / ".snakemake_timestamp").touch()

    encoders.load(path, DNABERT2, [str(folder)])

    (folder / "tokenizer_config.json").write_text('{"model_max_length": 5}')
    assert "tokenizer_config.json" in refusal(path, DNABERT2, [str(folder)])


def test_a_model_of_another_configuration_is_refused(tmp_path):
    path = str(tmp_path / "model.safetensors")
    encoders.save(encoders.build(CNN, [], 2), path, {})
    other = {**CNN, "architecture": {"channels": 9, "blocks": 2}}

    assert "configuration" in refusal(path, other, [])


def test_a_description_without_what_is_needed_is_refused(stored, scratch):
    encoders._description(stored[1]).write_text("[]")
    assert "model.json" in refusal(stored[1], DNABERT2, scratch)


# Making -------------------------------------------------------------------------------


def test_the_generator_decides_fresh_weights_and_torchs_state_stays():
    before = torch.random.get_rng_state()
    first, again, other = (
        encoders.build(CNN, [], 2, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(logits(first), logits(again))
    assert not np.array_equal(logits(first), logits(other))


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="lstm"):
        encoders.build({"kind": "lstm"}, [], 2)


def test_the_rules_code_inputs_name_the_modules_that_the_registry_imports():
    named = {kind: f"genosiege.sequence.{name}" for kind, name in encoders.MODULES.items()}
    assert named == workflow_code.ENCODER_MODULES


def test_a_frozen_encoder_needs_a_checkpoint():
    with pytest.raises(InputError, match="pretrained"):
        encoders.build({**CNN, "frozen": True}, [], 2)


@pytest.mark.parametrize("kind", ["dnabert2", "cnn"])
def test_padding_has_no_influence(kind, scratch):
    model = (
        encoders.build(DNABERT2, scratch, 2) if kind == "dnabert2" else encoders.build(CNN, [], 2)
    )

    alone = np.concatenate([logits(model, [sequence]) for sequence in SEQUENCES])

    np.testing.assert_allclose(alone, logits(model), atol=1e-5)


def test_the_poolings_of_hidden_states():
    hidden = torch.arange(12.0).view(2, 3, 2)
    mask = torch.tensor([[True, True, True], [True, True, False]])

    def pooled(pooling):
        pool = Pooled(torch.nn.Module(), 2, pooling)
        pool.network.forward = lambda input_ids, attention_mask: hidden
        return pool(mask, mask).tolist()

    assert pooled("cls") == [[0, 1], [6, 7]]
    assert pooled("last") == [[4, 5], [8, 9]]
    assert pooled("mean") == [[2, 3], [7, 8]]
    with pytest.raises(InputError, match="median"):
        Pooled(torch.nn.Module(), 2, "median")


def test_dnabert2_with_two_classes_has_the_published_counts():
    sizes = {"vocab_size": 4096, "hidden_size": 768, "num_hidden_layers": 12}
    with torch.device("meta"):
        network = DnaBert2(Architecture(**sizes, num_attention_heads=12, intermediate_size=3072))
        whole = Classifier(Pooled(network, 768, "cls"), make_head(768, 2), frozen=True)
    model = encoders.SequenceModel(CharacterTokenizer(), whole, 2, DNABERT2, None)

    expected = {"trainable": 296_066, "frozen": 117_068_544, "total": 117_364_610}
    assert encoders.count_parameters(model) == expected


def test_an_encoder_from_scratch_learns_and_is_the_same_each_time():
    spec = {
        "architecture": SMALL,
        "pretraining": {"seed": 0, "epochs": 6, "batch_size": 8, "learning_rate": 0.003},
    }
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 2
    chances = [[0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]]
    sequences = ["".join(rng.choice(list("ACGT"), 60, p=chances[label])) for label in labels]
    train, dev = Split(sequences[:64], labels[:64]), Split(sequences[64:], labels[64:])

    (network, tokenizer), (again, _) = (
        pretraining.pretrain(spec, 2, train, dev, runtime.stream(0)) for _ in range(2)
    )

    first, second = network.state_dict(), again.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    input_ids, mask = tokenizer.encode(dev.sequences).padded(None, tokenizer.pad_id)
    with torch.inference_mode():
        features = network(torch.from_numpy(input_ids), torch.from_numpy(mask))[:, 0].numpy()
    centres = [features[dev.labels == label].mean(axis=0) for label in (0, 1)]
    nearest = np.argmin([np.linalg.norm(features - c, axis=1) for c in centres], axis=0)
    assert (nearest == dev.labels).mean() > 0.9


def read_csv(path):
    import pandas as pd

    table = pd.read_csv(path)
    return Split(table["sequence"].tolist(), table["label"].to_numpy())


@pytest.mark.real
def test_the_cnn_learns_real_promoters(shared):
    """A third of the rows and of the training; the whole is a run of the workflow."""
    folder = shared / "data/gue/prom_300_all"
    train, dev = (read_csv(folder / f"{split}.csv") for split in ("train", "dev"))
    spec = {"kind": "cnn", "frozen": False}
    model = encoders.build(spec, [], 2, np.random.default_rng(0))
    train = first_rows(train, 4000)
    options = classifier.Training(epochs=3, batch_size=64, learning_rate=0.002)

    history = classifier.fit(model, train, first_rows(dev, 1000), options, np.random.default_rng(0))

    assert classifier.best_epoch(history).dev_mcc > 0.6


def first_rows(split, n):
    return Split(split.sequences[:n], split.labels[:n])
