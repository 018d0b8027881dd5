import json
import os

import pytest
import torch
from safetensors.torch import save_file

from genosiege.errors import InputError
from genosiege.sequence.dnabert2 import Architecture, DnaBert2, load_checkpoint
from genosiege.sequence.networks import make_head

TINY = Architecture(
    vocab_size=40,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=6,
    intermediate_size=20,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, TINY.vocab_size, shape, generator=generator(3))


@pytest.fixture
def tiny() -> DnaBert2:
    return DnaBert2.fresh(TINY, generator()).eval()


def masked_lm(model: DnaBert2) -> dict[str, torch.Tensor]:
    """What the published checkpoint holds: the encoder under `bert.`, no pooler, a head."""
    tensors = {f"bert.{n}": t.clone() for n, t in model.state_dict().items() if "pooler" not in n}
    return tensors | {"cls.predictions.decoder.bias": torch.zeros(TINY.vocab_size)}


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("prefix", [True, False])
def test_a_masked_lm_checkpoint_loads_by_name(tiny, tmp_path, name, prefix):
    tensors = {n if prefix else n.removeprefix("bert."): t for n, t in masked_lm(tiny).items()}
    (save_file if name.endswith("safetensors") else torch.save)(tensors, tmp_path / name)

    loaded = DnaBert2.from_checkpoint(TINY, tmp_path / name, generator(7)).eval()
    again = DnaBert2.from_checkpoint(TINY, tmp_path / name, generator(7))
    other = DnaBert2.from_checkpoint(TINY, tmp_path / name, generator(8))

    ids = some_ids(2, 5)
    assert torch.equal(loaded(ids), tiny(ids))
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(loaded.pooler.dense.weight, again.pooler.dense.weight)
    assert not torch.equal(loaded.pooler.dense.weight, other.pooler.dense.weight)


def test_a_checkpoint_with_a_pooler_brings_it(tiny, tmp_path):
    save_file(tiny.state_dict(), tmp_path / "model.safetensors")
    target = DnaBert2.fresh(TINY, generator(9)).eval()

    load_checkpoint(target, tmp_path / "model.safetensors")

    hidden = target(some_ids(2, 5))
    assert torch.equal(target.pool(hidden), torch.tanh(tiny.pooler.dense(hidden[:, 0])))


KEY = "encoder.layer.1.mlp.wo.weight"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop(f"bert.{KEY}"), KEY),
        (lambda t: t.update({"bert.encoder.layer.1.mlp.w0.weight": t.pop(f"bert.{KEY}")}), KEY),
        (lambda t: t.update({f"bert.{KEY}": t[f"bert.{KEY}"].T.contiguous()}), KEY),
        (lambda t: t.update({"bert.encoder.layer.2.mlp.wo.bias": torch.zeros(24)}), "layer.2"),
        (lambda t: t.update({"classifier.weight": torch.zeros(2, 24)}), "classifier.weight"),
        (lambda t: t.update({"bert.pooler.dense.bias": torch.zeros(24)}), "pooler.dense.weight"),
    ],
    ids=["missing", "renamed", "mis-shaped", "unexpected", "other head", "half a pooler"],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tiny, tmp_path, change, named):
    tensors = masked_lm(tiny)
    change(tensors)
    path = tmp_path / "model.safetensors"
    save_file(tensors, path)
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}

    with pytest.raises(InputError, match=rf"model\.safetensors, .*{named}") as refusal:
        load_checkpoint(tiny, path)

    assert "\n" not in str(refusal.value)
    assert all(torch.equal(before[name], t) for name, t in tiny.state_dict().items())


class _Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    "content",
    [b"", b"no tensors", b"\x80\x02.", b"\x80\x02J", {"a": 1}, [1], {"weight": _Harmful()}],
    ids=["empty", "text", "pickled nothing", "cut pickle", "number", "list", "harmful"],
)
def test_a_bin_that_holds_no_tensors_is_refused_and_runs_nothing(
    tiny, tmp_path, monkeypatch, content
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pytorch_model.bin"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)

    with pytest.raises(InputError, match=r"pytorch_model\.bin: this is no") as refusal:
        load_checkpoint(tiny, path)

    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_missing_checkpoint_is_refused(tiny, tmp_path, name):
    with pytest.raises(InputError, match="there is no such checkpoint"):
        load_checkpoint(tiny, tmp_path / name)


@pytest.fixture(scope="module")
def published(shared):
    """Architecture, and names and shapes of the published masked-LM."""
    keys = json.loads((shared / "golden" / "dnabert2_117m_masked_lm_keys.json").read_text())
    return Architecture.from_json(shared / "models" / "dnabert2_tokenizer" / "config.json"), keys


def write_published(keys, path):
    # One stored number per tensor, stretched to its shape, so that the file stays small.
    torch.save(
        {
            name: torch.randn(1, generator=generator(i)).expand(shape)
            for i, (name, shape) in enumerate(keys.items())
        },
        path,
    )


@pytest.mark.real
def test_the_published_checkpoint_fits_and_counts(published, tmp_path):
    architecture, keys = published
    path = tmp_path / "pytorch_model.bin"
    write_published(keys, path)

    model = DnaBert2.from_checkpoint(architecture, path, generator())

    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    head = make_head(architecture.hidden_size, 2)
    assert (count(model), count(head)) == (117_068_544, 296_066)
    assert count(model) + count(head) == 117_364_610
    given = torch.load(path, weights_only=True)
    assert all(torch.equal(t, given[f"bert.{n}"]) for n, t in model.state_dict().items()
               if "pooler" not in n)  # fmt: skip


@pytest.mark.real
@pytest.mark.parametrize("change", ["missing", "renamed", "mis-shaped"])
def test_a_published_checkpoint_with_one_wrong_key_is_refused(published, tmp_path, change):
    architecture, keys = published
    name = "bert.encoder.layer.7.mlp.gated_layers.weight"
    shape = keys.pop(name)
    try:
        changed = {
            "missing": keys,
            "renamed": keys | {"bert.encoder.layer.7.mlp.gated.weight": shape},
            "mis-shaped": keys | {name: shape[::-1]},
        }[change]
        write_published(changed, tmp_path / "pytorch_model.bin")
    finally:
        keys[name] = shape

    with pytest.raises(InputError, match=r"encoder\.layer\.7\.mlp\.gated_layers\.weight"):
        DnaBert2.from_checkpoint(architecture, tmp_path / "pytorch_model.bin", generator())
