"""How many tokens a network of transformers takes."""

from typing import Any, NamedTuple

from torch import nn

# A table with a row for each position.
_IN_A_TABLE = ("bert", "big_bird", "roformer", "gpt2", "bart")
# The same, but positions are counted from behind the padding's.
_BEHIND_PADDING = ("roberta", "esm", "longformer")
# Positions are turned into angles: any number can be computed, few were trained.
_AS_TRAINED = ("modernbert", "mistral", "mixtral", "llama", "gpt_neox")
# What counts is the distance of two tokens, far ones alike.
_BY_DISTANCE = ("t5",)

_TABLES = ("position_embeddings", "embed_positions", "wpe")


class PositionLimit(NamedTuple):
    """Most tokens of a sequence, None without a limit; and whether that is certain."""

    most: int | None
    known: bool = True


def of_configuration(config: Any) -> PositionLimit:
    """Tell what a configuration says.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        As the checkpoint has it.
    """
    kind = config.model_type
    if kind in _BY_DISTANCE:
        return PositionLimit(None)
    if counts_behind_padding(config):
        behind = 0 if config.pad_token_id is None else config.pad_token_id + 1
        return PositionLimit(config.max_position_embeddings - behind)
    if kind in (*_IN_A_TABLE, *_BEHIND_PADDING, *_AS_TRAINED):
        return PositionLimit(config.max_position_embeddings)
    return PositionLimit(None, known=False)


def counts_behind_padding(config: Any) -> bool:
    """Whether the first position has the number behind that of the padding token."""
    rotary = getattr(config, "position_embedding_type", None) == "rotary"
    return config.model_type in _BEHIND_PADDING and not rotary


def of_tables(network: nn.Module) -> int | None:
    """Give the most tokens that a network's table of positions has rows for; None without one."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith(_TABLES):
            behind = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - int(getattr(module, "offset", behind))
    return None
