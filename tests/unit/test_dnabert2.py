import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from genosiege.errors import InputError
from genosiege.sequence import dnabert2
from genosiege.sequence.dnabert2 import Architecture, DnaBert2, alibi_slopes
from genosiege.sequence.tokenizer import BpeTokenizer

TINY = Architecture(
    vocab_size=40,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=6,
    intermediate_size=20,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_tiny() -> DnaBert2:
    model = DnaBert2.fresh(TINY, generator()).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # large and nowhere 0, so that each one matters
            parameter.copy_(torch.empty_like(parameter).normal_(0.1, 0.4, generator=generator(1)))
    return model


@pytest.fixture
def tiny() -> DnaBert2:
    return make_tiny()


def some_ids(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, TINY.vocab_size, shape, generator=generator(seed))


def hidden_state_by_hand(model: DnaBert2, ids: list[int]) -> np.ndarray:
    """DNABERT-2 in float64 from its definition: one token, one head, one number at a time."""
    a = model.architecture
    w = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    size = a.hidden_size // a.num_attention_heads

    def norm(x, name):
        x = (x - x.mean()) / math.sqrt(((x - x.mean()) ** 2).mean() + a.layer_norm_eps)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x):
        return np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])

    def attend(queries, keys, values, i, head):
        part = slice(head * size, (head + 1) * size)
        slope = alibi_slopes(a.num_attention_heads)[head]
        scores = [
            queries[i][part] @ key[part] / math.sqrt(size) - slope * abs(i - j)
            for j, key in enumerate(keys)
        ]
        shares = np.exp(scores) / np.exp(scores).sum()
        return sum(share * value[part] for share, value in zip(shares, values, strict=True))

    types = w["embeddings.token_type_embeddings.weight"][0]
    hidden = [
        norm(w["embeddings.word_embeddings.weight"][i] + types, "embeddings.LayerNorm") for i in ids
    ]
    for layer in (f"encoder.layer.{n}" for n in range(a.num_hidden_layers)):
        qkv, out = f"{layer}.attention.self.Wqkv", f"{layer}.attention.output"
        heads = [np.split(w[f"{qkv}.weight"] @ x + w[f"{qkv}.bias"], 3) for x in hidden]
        q, k, v = zip(*heads, strict=True)
        mixed = [
            np.concatenate([attend(q, k, v, i, head) for head in range(a.num_attention_heads)])
            for i in range(len(ids))
        ]
        hidden = [
            norm(w[f"{out}.dense.weight"] @ m + w[f"{out}.dense.bias"] + x, f"{out}.LayerNorm")
            for m, x in zip(mixed, hidden, strict=True)
        ]
        for i, x in enumerate(hidden):
            gate, linear = np.split(w[f"{layer}.mlp.gated_layers.weight"] @ x, 2)
            inner = w[f"{layer}.mlp.wo.weight"] @ (gelu(gate) * linear)
            hidden[i] = norm(inner + w[f"{layer}.mlp.wo.bias"] + x, f"{layer}.mlp.layernorm")
    return np.stack(hidden)


def test_slopes_follow_the_rule_for_any_number_of_heads():
    eight = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]

    assert alibi_slopes(8) == eight
    assert alibi_slopes(12) == pytest.approx([*eight, 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5])
    assert alibi_slopes(1) == [2**-8]


@pytest.mark.parametrize("n_heads", [4, 6])
def test_hidden_states_are_those_of_the_definition(n_heads):
    model = make_tiny()
    if n_heads != TINY.num_attention_heads:
        other = DnaBert2(replace(TINY, num_attention_heads=n_heads)).eval()
        other.load_state_dict(model.state_dict())
        model = other
    ids = some_ids(1, 11)

    hidden = model(ids)

    expected = hidden_state_by_hand(model, ids[0].tolist())
    assert np.abs(hidden[0].detach().numpy() - expected).max() < 1e-5
    with torch.inference_mode():  # another path through the MLP
        assert np.abs(model(ids)[0].numpy() - expected).max() < 1e-5


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    extra=st.integers(0, 3),
    left=st.booleans(),
    filler=st.integers(0, TINY.vocab_size - 1),
)
def test_padding_changes_nothing(lengths, extra, left, filler):
    model = make_tiny()
    width = max(1, *lengths) + extra
    ids = torch.full((len(lengths), width), filler)
    mask = torch.zeros(len(lengths), width, dtype=torch.bool)
    rows = [some_ids(1, length, seed=i) for i, length in enumerate(lengths)]
    for i, row in enumerate(rows):
        place = slice(width - row.shape[1], width) if left else slice(0, row.shape[1])
        ids[i, place], mask[i, place] = row[0], True

    with torch.inference_mode():
        hidden = model(ids, mask)
        alone = torch.cat([model(row)[0] for row in rows])

    assert torch.isfinite(hidden).all()
    assert (hidden[~mask] == 0).all()
    assert torch.allclose(hidden[mask], alone, atol=1e-5)


def test_embeddings_as_input_give_the_same_and_carry_gradients(tiny):
    ids, mask = some_ids(2, 7), torch.ones(2, 7, dtype=torch.int64)
    embeds = tiny.embeddings.word_embeddings(ids).detach().requires_grad_()

    hidden = tiny(attention_mask=mask, inputs_embeds=embeds)
    hidden[:, 0].sum().backward()

    assert torch.equal(hidden, tiny(ids, mask))
    assert embeds.grad is not None
    assert (embeds.grad.abs().sum(-1) > 0).all()


def test_exactly_one_kind_of_input_is_taken(tiny):
    with pytest.raises(ValueError, match="either"):
        tiny()
    with pytest.raises(ValueError, match="either"):
        tiny(some_ids(1, 3), inputs_embeds=torch.zeros(1, 3, 24))


def test_large_batches_worked_off_in_pieces_give_the_same(tiny, monkeypatch):
    ids = some_ids(7, 6)
    mask = torch.arange(6) < torch.tensor([6, 1, 5, 2, 4, 3, 6])[:, None]
    whole = tiny(ids, mask).detach()
    monkeypatch.setattr(dnabert2, "_CPU_TOKENS", 13)

    with torch.inference_mode():
        assert tiny._n_pieces(ids) == 4
        assert torch.allclose(tiny(ids, mask), whole, atol=1e-6)
        assert torch.allclose(tiny(ids)[mask.all(1)], whole[mask.all(1)], atol=1e-6)
        assert tiny(ids[:0], mask[:0]).shape == (0, 6, 24)


def test_the_cached_bias_serves_any_order_of_lengths_and_training_after_scoring(tiny):
    expected = {n: make_tiny()(some_ids(1, n)).detach() for n in (4, 9, 6)}

    with torch.inference_mode():
        for n, hidden in expected.items():
            assert torch.allclose(tiny(some_ids(1, n)), hidden, atol=1e-6)
    tiny(some_ids(1, 6)).sum().backward()

    assert tiny.embeddings.word_embeddings.weight.grad is not None
    assert set(tiny.state_dict()) == set(make_tiny().state_dict())


def test_bf16_stays_near_fp32():
    model = DnaBert2.fresh(TINY, generator()).eval()
    ids, mask = some_ids(3, 12), torch.arange(12) < torch.tensor([12, 5, 9])[:, None]

    with torch.inference_mode():
        expected = model(ids, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            autocast = model(ids, mask)
        cast = model.to(torch.bfloat16)(ids, mask)

    assert cast.dtype == torch.bfloat16
    assert (cast.float() - expected).abs().max() < 0.1
    assert (autocast.float() - expected).abs().max() < 0.1


def test_dropout_acts_in_training_only():
    model = DnaBert2.fresh(replace(TINY, hidden_dropout_prob=0.3), generator())
    ids = some_ids(1, 8)

    assert not torch.equal(model.train()(ids), model(ids))
    assert torch.equal(model.eval()(ids), model(ids))


def test_fresh_weights_come_from_the_generator_alone():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()

    models = [DnaBert2.fresh(TINY, generator(seed)).state_dict() for seed in (1, 1, 2)]

    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    drawn = torch.cat([t.flatten() for n, t in models[0].items() if t.dim() == 2])
    assert 0.019 < drawn.std() < 0.021
    assert not torch.equal(models[0]["pooler.dense.weight"], models[2]["pooler.dense.weight"])
    assert (models[0]["pooler.dense.bias"] == 0).all()
    assert (models[0]["encoder.layer.1.mlp.layernorm.weight"] == 1).all()


def test_an_architecture_is_read_and_checked(tmp_path):
    path = tmp_path / "config.json"
    TINY.to_json(path)
    assert Architecture.from_json(path) == TINY

    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "bert"}))
    assert Architecture.from_json(path) == TINY

    for content, named in [
        ('{"vocab_size": 40}', "hidden_size"),
        ("[]", "no model configuration"),
        (json.dumps({**TINY.__dict__, "num_attention_heads": 5}), "num_attention_heads 5"),
        (json.dumps({**TINY.__dict__, "hidden_size": "24"}), "hidden_size '24'"),
        (json.dumps({**TINY.__dict__, "num_hidden_layers": 0}), "num_hidden_layers 0"),
        (json.dumps({**TINY.__dict__, "hidden_dropout_prob": 1.5}), "hidden_dropout_prob 1.5"),
    ]:
        path.write_text(content)
        with pytest.raises(InputError, match=rf"config\.json: .*{named}"):
            Architecture.from_json(path)


@pytest.mark.real
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("embeds", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_the_reference_outputs_are_met(shared, batched, embeds, gradients):
    golden = shared / "golden" / "dnabert2_tiny"
    expected = load_file(golden / "expected.safetensors")
    published = BpeTokenizer.load(shared / "models" / "dnabert2_tokenizer" / "tokenizer.json")
    architecture = Architecture.from_json(golden / "config.json")
    model = DnaBert2.from_checkpoint(architecture, golden / "model.safetensors").eval()
    tokens = published.encode(json.loads((golden / "sequences.json").read_text()))
    n = len(tokens)

    for rows in [np.arange(n)] if batched else np.arange(n)[:, None]:
        ids, mask = (torch.from_numpy(part) for part in tokens.padded(rows, published.pad_id))
        words = model.embeddings.word_embeddings(ids)
        with torch.set_grad_enabled(gradients):
            hidden = model(attention_mask=mask, inputs_embeds=words) if embeds else model(ids, mask)

        wanted = expected["last_hidden_state"][torch.from_numpy(rows), : ids.shape[1]]
        pooled = expected["pooled_output"][torch.from_numpy(rows)]
        assert (hidden - wanted).abs().max() < 1e-5
        assert (model.pool(hidden) - pooled).abs().max() < 1e-5
