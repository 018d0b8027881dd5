import json
import pickle

import numpy as np
import pytest
import torch
from loopback import COMMIT, REPO
from refusals import refusal
from safetensors.torch import load_file, save_file

from genosiege import files
from genosiege.data import download

MODEL_PATH = f"/{REPO}/resolve/{COMMIT}"


def tied_weights():
    shared = torch.arange(12.0).reshape(3, 4)
    return {"a.weight": shared, "b.weight": shared, "c.weight": torch.ones(2, 3).T}


@pytest.fixture
def model(tmp_path):
    """A local encoder with weights in `pytorch_model.bin`."""
    folder = tmp_path / "model"
    folder.mkdir()
    torch.save(tied_weights(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps({"hidden_size": 4}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "optimizer.pt").write_text("not for us")
    return folder


def assert_encoder(folder):
    assert {path.name for path in folder.iterdir()} == {
        "model.safetensors", "config.json", "tokenizer.json"
    }  # fmt: skip
    tensors = load_file(folder / "model.safetensors")
    assert tensors.keys() == tied_weights().keys()
    for name, tensor in tied_weights().items():
        assert torch.equal(tensors[name], tensor)


def test_a_pickled_encoder_becomes_safetensors_with_its_tied_weights(model, tmp_path):
    folder = tmp_path / "encoders" / "mine"

    download.fetch_encoder({"kind": "path", "path": str(model)}, folder)

    assert_encoder(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_safetensors_are_kept_byte_for_byte_and_preferred(model, tmp_path):
    save_file({"x": torch.zeros(5)}, model / "model.safetensors")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "old.txt").write_text("of an earlier fetch")

    download.fetch_encoder({"kind": "path", "path": str(model)}, folder)

    fetched = folder / "model.safetensors"
    assert fetched.read_bytes() == (model / "model.safetensors").read_bytes()
    assert not (folder / "old.txt").exists()


@pytest.mark.parametrize("subfolder", ["", "checkpoints/best"])
def test_an_encoder_comes_from_the_hub(server, model, tmp_path, subfolder):
    digest = files.sha256(model / "pytorch_model.bin")
    for name in ("pytorch_model.bin", "config.json", "tokenizer.json"):
        path = f"{MODEL_PATH}/{subfolder}/{name}" if subfolder else f"{MODEL_PATH}/{name}"
        server.files[path] = (model / name).read_bytes()
    source = {"kind": "huggingface", "repo": REPO, "revision": COMMIT, "path": subfolder}

    download.fetch_encoder({**source, "sha256": {"pytorch_model.bin": digest}}, tmp_path / "mine")

    assert_encoder(tmp_path / "mine")
    message = refusal(
        download.fetch_encoder,
        {**source, "sha256": {"pytorch_model.bin": "0" * 64}},
        tmp_path / "other",
    )
    assert "pytorch_model.bin" in message
    assert digest in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "model"]


def test_a_pinned_weights_file_is_taken_before_one_without_a_digest(model, tmp_path):
    save_file({"x": torch.zeros(5)}, model / "model.safetensors")
    pinned = {"pytorch_model.bin": files.sha256(model / "pytorch_model.bin")}
    source = {"kind": "path", "path": str(model), "sha256": pinned}

    download.fetch_encoder(source, tmp_path / "mine")

    assert_encoder(tmp_path / "mine")
    (model / "pytorch_model.bin").unlink()
    message = refusal(download.fetch_encoder, source, tmp_path / "other")
    assert message.startswith(f"{model}: there is no pytorch_model.bin")
    assert not (tmp_path / "other").exists()


def test_a_digest_of_a_file_that_is_not_fetched_is_refused(model, tmp_path):
    source = {"kind": "path", "path": str(model), "sha256": {"pytorch_model.pt": "0" * 64}}

    message = refusal(download.fetch_encoder, source, tmp_path / "mine")

    assert message.startswith(f"{model}, sha256/pytorch_model.pt: ")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


class Exploit:
    """What a hostile checkpoint holds: a call that unpickling makes."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the checkpoint ran its own code')",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_and_hostile_weights_are_refused_and_nothing_is_left(model, tmp_path):
    source = {"kind": "path", "path": str(model)}
    weights = model / "pytorch_model.bin"
    whole = weights.read_bytes()
    damaged = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"<html>rate limited</html>",
        "hostile": pickle.dumps({"a": Exploit()}),
        "not tensors": pickle.dumps({"a": 1}, protocol=2),
    }
    for content in damaged.values():
        weights.write_bytes(content)

        message = refusal(download.fetch_encoder, source, tmp_path / "mine")

        assert message.startswith(f"{model}, pytorch_model.bin: ")
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_damaged_safetensors_file_is_refused(model, tmp_path):
    save_file({"x": torch.from_numpy(np.arange(50.0))}, model / "model.safetensors")
    whole = (model / "model.safetensors").read_bytes()
    for content in (whole[:-9], whole[:20], b"", whole + b"more"):
        (model / "model.safetensors").write_bytes(content)

        message = refusal(
            download.fetch_encoder, {"kind": "path", "path": str(model)}, tmp_path / "mine"
        )

        assert message.startswith(f"{model}, model.safetensors: ")
        assert not (tmp_path / "mine").exists()


def test_an_encoder_without_weights_or_configuration_is_refused(model, tmp_path):
    source = {"kind": "path", "path": str(model)}
    (model / "config.json").unlink()
    assert f"{model}/config.json" in refusal(download.fetch_encoder, source, tmp_path / "mine")
    (model / "pytorch_model.bin").unlink()
    message = refusal(download.fetch_encoder, source, tmp_path / "mine")
    assert "neither model.safetensors nor pytorch_model.bin" in message
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.real
def test_a_real_checkpoint_is_fetched_unchanged(shared, tmp_path):
    original = shared / "models" / "mistral_dna_tf0"

    download.fetch_encoder({"kind": "path", "path": str(original)}, tmp_path / "mistral")

    for path in (tmp_path / "mistral").iterdir():
        assert path.read_bytes() == (original / path.name).read_bytes()
    assert sum(t.numel() for t in load_file(tmp_path / "mistral/model.safetensors").values()) > 7e5
