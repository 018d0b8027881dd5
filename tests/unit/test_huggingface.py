import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from checkpoints import write_bert
from safetensors.torch import load_file, save_file

from genosiege import optimisation
from genosiege.errors import InputError
from genosiege.sequence import encoders, metrics, prediction
from genosiege.sequence.tokenizer import BpeTokenizer


def random_sequences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), size)) for size in rng.integers(20, 90, n)]


SEQUENCES = random_sequences(12)


def logits(model, sequences=SEQUENCES):
    return prediction.predict(model, model.tokenizer.encode(sequences), batch_size=5)


@pytest.fixture(scope="module", params=["bert", "mixtral"])
def hub_folder(request, tmp_path_factory):
    """A sequence classifier of transformers: an encoder, and a decoder, read at its end."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = BpeTokenizer.train(random_sequences(50, seed=1), 40)
    tokenizer.save(folder / "tokenizer.json")
    common = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    common |= {"intermediate_size": 16, "num_labels": 3}
    if request.param == "bert":
        config = transformers.BertConfig(**common)
    else:
        config = transformers.MixtralConfig(
            **common, num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=1
        )
    with optimisation.seeded(np.random.default_rng(0)):
        network = transformers.AutoModelForSequenceClassification.from_config(config)
    for parameter in network.parameters():
        # Larger weights than usual, so that sequences differ by more than rounding.
        parameter.data *= 5
    network.save_pretrained(folder)
    return folder


def own_head(folder, n_classes=3):
    return encoders.build({"kind": "hf", "train": "none"}, [str(folder)], n_classes)


def test_an_own_head_answers_as_transformers_does(hub_folder):
    model = own_head(hub_folder)
    reference = transformers.AutoModelForSequenceClassification.from_pretrained(hub_folder).eval()
    tokens = model.tokenizer.encode(SEQUENCES)
    alone = []
    with torch.inference_mode():
        for row in range(len(SEQUENCES)):
            ids = torch.from_numpy(tokens.padded(np.array([row]), 3)[0])
            reference.config.pad_token_id = 3
            alone.append(reference(input_ids=ids).logits[0].numpy())

    assert np.ptp(alone) > 1e-3
    np.testing.assert_allclose(logits(model), alone, atol=1e-5)


def test_an_own_head_comes_back(hub_folder, tmp_path):
    model, path = own_head(hub_folder), str(tmp_path / "model.safetensors")
    encoders.save(model, path, {})

    again = encoders.load(path, model.spec, [str(hub_folder)])

    np.testing.assert_array_equal(logits(again), logits(model))
    counts = encoders.count_parameters(model)
    assert counts["frozen"] > counts["trainable"] > 0


def test_an_own_head_of_other_classes_is_refused(hub_folder):
    with pytest.raises(InputError, match="3 classes"):
        own_head(hub_folder, n_classes=2)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_a_head_of_ours_on_an_encoder_of_transformers(hub_folder, pooling, tmp_path):
    spec = {"kind": "hf", "frozen": True, "pooling": pooling}
    model = encoders.build(spec, [str(hub_folder)], 2)
    path = str(tmp_path / "model.safetensors")
    encoders.save(model, path, {})

    alone = np.concatenate([logits(model, [sequence]) for sequence in SEQUENCES])

    np.testing.assert_allclose(alone, logits(model), atol=1e-5)
    again = encoders.load(path, spec, [str(hub_folder)])
    np.testing.assert_array_equal(logits(again), logits(model))


@pytest.fixture
def copied(hub_folder, tmp_path):
    return shutil.copytree(hub_folder, tmp_path / "copy")


def test_a_checkpoint_without_its_head_is_refused_by_name(copied):
    tensors = load_file(copied / "model.safetensors")
    lost = next(name for name in tensors if name in ("score.weight", "classifier.weight"))
    del tensors[lost]
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(InputError, match=lost):
        own_head(copied)


def with_tensors(folder, **tensors):
    """Put further tensors into a checkpoint's weights."""
    whole = load_file(folder / "model.safetensors") | tensors
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_tensor_that_an_own_head_has_no_place_for_is_refused_by_name(copied):
    with_tensors(copied, **{"lm_head.weight": torch.ones(3, 3)})

    with pytest.raises(InputError, match=r"lm_head\.weight has no place"):
        own_head(copied)


def test_a_deeper_checkpoint_than_its_configuration_says_is_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))

    with pytest.raises(InputError, match=r"layers?\.1\..* has no place"):
        own_head(copied)


@pytest.mark.parametrize(
    "name", ["bert.embeddings.position_ids", "model.layers.0.self_attn.rotary_emb.inv_freq"]
)
def test_constants_that_were_once_kept_among_the_weights_are_no_surprise(copied, name):
    with_tensors(copied, **{name: torch.arange(8)[None]})

    own_head(copied)


def test_below_a_head_of_ours_the_own_one_is_no_surprise(copied):
    with_tensors(copied, **{"lm_head.weight": torch.ones(3, 3)})

    encoders.build({"kind": "hf", "frozen": True}, [str(copied)], 2)


def test_an_own_head_needs_its_pooler(tmp_path):
    folder = write_bert(tmp_path, None)
    BpeTokenizer.train([], 9).save(folder / "tokenizer.json")
    tensors = load_file(folder / "model.safetensors")
    del tensors["bert.pooler.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(InputError, match="pooler"):
        own_head(folder, 2)
    encoders.build({"kind": "hf", "frozen": True}, [str(folder)], 2)


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_checkpoint_is_refused_by_file(copied, part):
    (copied / part).write_bytes((copied / part).read_bytes()[:100])

    with pytest.raises(InputError, match=part):
        own_head(copied)


@pytest.mark.parametrize("part", ["model.safetensors", "config.json"])
def test_an_incomplete_checkpoint_is_refused_by_file(copied, part):
    (copied / part).unlink()

    with pytest.raises(InputError, match=part):
        own_head(copied)


def test_code_from_a_hub_is_never_run(copied):
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "homemade", "auto_map": {"AutoConfig": "code.Homemade"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "code.py").write_text("raise SystemExit('this code ran')")

    with pytest.raises(InputError, match="code from a hub"):
        own_head(copied)


def test_a_tokenizer_of_another_model_is_refused(copied):
    BpeTokenizer.train(random_sequences(200, seed=2), 60).save(copied / "tokenizer.json")

    with pytest.raises(InputError, match="tokenizer"):
        own_head(copied)


@pytest.mark.real
def test_a_published_model_reaches_its_published_accuracy(shared):
    model = own_head(shared / "models/mistral_dna_tf0", n_classes=2)
    test = pd.read_csv(shared / "data/gue/tf_0/test.csv")

    found = metrics.classification_metrics(
        logits(model, test["sequence"].tolist()), test["label"].to_numpy()
    )

    assert found.accuracy == pytest.approx(0.749)
    assert found.mcc == pytest.approx(0.5068, abs=1e-4)
    assert encoders.count_parameters(model)["total"] == 723_648
