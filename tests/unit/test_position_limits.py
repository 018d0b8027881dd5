"""The most tokens a network takes: one row at the limit, one token beyond."""

import pytest
import torch
import transformers

from genosiege.errors import InputError
from genosiege.sequence import encoders
from genosiege.sequence.position_limits import of_configuration, of_tables
from genosiege.sequence.tokenizer import BpeTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {
    "vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 40,
}  # fmt: skip
DECODER = {**SIZES, "num_key_value_heads": 2, "pad_token_id": 3, "bos_token_id": 1}
# As RoBERTa has it, which is not our tokenizers' id.
BEHIND = {**SIZES, "pad_token_id": 1}

# By name: model type, options, most tokens.
KNOWN = {
    "bert": ("bert", {**SIZES, "pad_token_id": 3}, 40),
    "roberta": ("roberta", BEHIND, 38),
    "esm": ("esm", {**BEHIND, "position_embedding_type": "absolute"}, 38),
    "esm with rotations": ("esm", {**BEHIND, "position_embedding_type": "rotary"}, 40),
    "roformer": ("roformer", {**SIZES, "embedding_size": 16}, 40),
    "modernbert": (
        "modernbert",
        {**SIZES, "num_hidden_layers": 4, "pad_token_id": 3, "bos_token_id": 1, "eos_token_id": 2,
         "cls_token_id": 1, "sep_token_id": 2},
        40,
    ),
    "mistral": ("mistral", DECODER, 40),
    "mixtral": ("mixtral", {**DECODER, "num_local_experts": 2, "num_experts_per_tok": 1}, 40),
    "llama": ("llama", DECODER, 40),
    "gpt2": (
        "gpt2", {"vocab_size": 9, "n_positions": 40, "n_embd": 16, "n_layer": 1, "n_head": 2}, 40,
    ),
    "gpt_neox": ("gpt_neox", SIZES, 40),
    "big_bird": ("big_bird", SIZES, 40),
    "longformer": ("longformer", {**BEHIND, "attention_window": 8}, 38),
    "bart": (
        "bart",
        {"vocab_size": 9, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
         "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16,
         "decoder_ffn_dim": 16, "max_position_embeddings": 40, "pad_token_id": 3,
         "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2},
        40,
    ),
    "t5": (
        "t5",
        {"vocab_size": 9, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
        None,
    ),
}  # fmt: skip


def checkpoint(folder, model_type, options):
    config = transformers.AutoConfig.for_model(model_type, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    BpeTokenizer.train([], 9).save(folder / "tokenizer.json")
    return [str(folder)]


def features(model, n_tokens):
    """Ask about a sequence that becomes so many tokens, alone and beside a shorter one."""
    tokens = model.tokenizer.encode(["A" * (n_tokens - 2), "CG"])
    ids, mask = tokens.padded(None, model.tokenizer.pad_id)
    with torch.inference_mode():
        return model.classifier(torch.from_numpy(ids), torch.from_numpy(mask))


@pytest.mark.parametrize("name", KNOWN)
def test_the_last_row_within_the_limit_is_answered_and_the_next_refused(name, tmp_path):
    model_type, options, most = KNOWN[name]
    paths = checkpoint(tmp_path, model_type, options)
    spec = {"kind": "hf", "frozen": True, "pooling": "mean"}
    model = encoders.build(spec, paths, 2)

    assert encoders.position_limit(spec, paths) == (most, True)
    assert torch.isfinite(features(model, most or 300)).all()
    if most is not None:
        with pytest.raises(InputError, match=f"{most + 1} tokens: this encoder takes at most"):
            features(model, most + 1)


@pytest.mark.parametrize("name", KNOWN)
def test_a_table_of_positions_has_as_many_rows_as_the_configuration_says(name):
    model_type, options, most = KNOWN[name]
    network = transformers.AutoModel.from_config(
        transformers.AutoConfig.for_model(model_type, **options)
    )

    assert of_tables(network) in (most, None)
    assert of_configuration(network.config).most == most


def test_an_architecture_that_is_not_known_has_the_limit_of_its_table(tmp_path):
    options = {**SIZES, "embedding_size": 16, "pad_token_id": 3}
    paths = checkpoint(tmp_path, "electra", options)
    spec = {"kind": "hf", "frozen": True}

    assert encoders.position_limit(spec, paths) == (None, False)
    model = encoders.build(spec, paths, 2)
    features(model, 40)
    with pytest.raises(InputError, match="at most 40"):
        features(model, 41)


@pytest.mark.parametrize("model_type", ["bart", "t5"])
def test_a_head_of_ours_reads_the_encoder_of_two(model_type, tmp_path):
    paths = checkpoint(tmp_path, model_type, KNOWN[model_type][1])
    model = encoders.build({"kind": "hf", "frozen": True, "pooling": "mean"}, paths, 2)
    whole = transformers.AutoModel.from_pretrained(tmp_path).eval()
    tokens = model.tokenizer.encode(["ACGTACGT"])
    ids, mask = (torch.from_numpy(part) for part in tokens.padded(None, 3))

    with torch.inference_mode():
        expected = whole.get_encoder()(input_ids=ids, attention_mask=mask.long())
        found = model.classifier.encoder(ids, mask)

    torch.testing.assert_close(found, expected.last_hidden_state.mean(dim=1))
    assert not any("decoder" in name for name in model.classifier.state_dict())
    assert model.classifier.embedding.weight.shape == (9, 16)


def test_the_own_head_of_an_encoder_and_decoder_is_tried_out(tmp_path):
    paths = checkpoint(tmp_path, *KNOWN["bart"][:2])

    assert encoders.position_limit({"kind": "hf", "train": "none"}, paths) == (40, False)
