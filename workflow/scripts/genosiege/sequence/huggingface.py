"""Encoders from transformers: native classes and local files only, no code from a hub."""

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import nn

from genosiege.errors import InputError
from genosiege.sequence.encoders import Location, keeps_own_head
from genosiege.sequence.kmer_tokenizer import TokenOptions
from genosiege.sequence.networks import Classifier, Encoder, Pooled
from genosiege.sequence.position_limits import (
    PositionLimit,
    counts_behind_padding,
    of_configuration,
    of_tables,
)
from genosiege.sequence.tokenizer import (
    BASES,
    BpeTokenizer,
    Spans,
    Tokenizer,
    Tokens,
    joined_spans,
    laid_end_to_end,
)

log = logging.getLogger(__name__)

# Constants that earlier versions of transformers kept among the weights.
_BUFFERS = (
    ".position_ids",
    ".token_type_ids",
    ".inv_freq",
    ".masked_bias",
    ".attn.bias",
    ".attention.bias",
)

_SAVE_IT = (
    "save the tokenizer that the model was trained with beside its weights (tokenizer.json, "
    "or vocab.txt)"
)


class HubTokenizer:
    """Any tokenizer of transformers, for checkpoints without a `tokenizer.json`.

    Parameters
    ----------
    folder : Path
        The checkpoint's folder.

    Raises
    ------
    InputError
        If there is none, or none with a token for padding.
    """

    words = BASES

    def __init__(self, folder: Path) -> None:
        try:
            self._backend = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        # A vocabulary that is not there, or damaged, raises errors of many types.
        except Exception as error:
            raise InputError(
                f"{folder}: no tokenizer can be read ({_first_line(error)}); {_SAVE_IT}."
            ) from error
        self.vocabulary = self._backend.get_vocab()
        ordinary = set(self.vocabulary) - set(self._backend.all_special_tokens)
        # transformers makes one up of special tokens alone where none was saved.
        if not any(set(BASES) & set(token.upper()) for token in ordinary):
            raise InputError(
                f"{folder}: its tokenizer has special tokens alone, none was saved; {_SAVE_IT}."
            )
        if self._backend.pad_token_id is None:
            raise InputError(f"{folder}: the tokenizer has no padding token; use another model.")
        self.pad_id = int(self._backend.pad_token_id)
        self.vocab_size = len(self._backend)
        unknown = self._backend.unk_token_id
        self.unknown_id = None if unknown is None else int(unknown)

    def encode(self, sequences: Sequence[str]) -> Tokens:
        """Give the token ids of each sequence, with the special tokens around it."""
        encoded = self._backend(
            list(sequences), return_attention_mask=False, return_token_type_ids=False
        )
        return Tokens.from_lists(encoded["input_ids"])

    def encode_spans(self, sequences: Sequence[str]) -> tuple[Tokens, Spans]:
        """Give the token ids, and which bases each stands for.

        Raises
        ------
        InputError
            If the tokenizer cannot tell.
        """
        if self._backend.is_fast:
            encoded = self._backend(
                list(sequences), return_attention_mask=False, return_offsets_mapping=True
            )
            return Tokens.from_lists(encoded["input_ids"]), joined_spans(encoded["offset_mapping"])
        tokens = self.encode(sequences)
        spans = laid_end_to_end(tokens, self._n_bases(), sequences)
        if spans is None:
            raise InputError(
                "this encoder's tokenizer does not tell which bases a token stands for; "
                "attack it without gradients."
            )
        return tokens, spans

    def _n_bases(self) -> NDArray[np.int64]:
        names = self._backend.convert_ids_to_tokens(list(range(self.vocab_size)))
        special = set(self._backend.all_special_tokens) - {self._backend.unk_token}
        lengths = {self._backend.unk_token: 1} | dict.fromkeys(special, 0)
        return np.array([lengths.get(name, len(name)) for name in names], dtype=np.int64)

    def save(self, path: str | PathLike[str]) -> None:
        """Write `tokenizer.json`, where this tokenizer has that form."""
        if not self._backend.is_fast:
            raise InputError(f"{path}: this tokenizer cannot be kept in one file.")
        self._backend.backend_tokenizer.save(str(path))


class _Hidden(nn.Module):
    """A network of transformers, called as ours are and giving its last hidden state."""

    def __init__(self, network: nn.Module, longest: int | None) -> None:
        super().__init__()
        self.network = network
        self._longest = longest

    @property
    def embedding(self) -> nn.Module:
        return cast(nn.Module, cast(Any, self.network).get_input_embeddings())

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        _check_length(input_ids, self._longest)
        output = self.network(input_ids=input_ids, attention_mask=attention_mask.long())
        return cast(torch.Tensor, output.last_hidden_state)


class OwnHead(Classifier):
    """A sequence classifier of transformers with the head it was published with.

    The parts stand as `encoder` and `head`, as in every classifier; the forward pass is
    the published one, as only that knows how the two are joined.

    Parameters
    ----------
    network : PreTrainedModel
        A `…ForSequenceClassification`.
    longest : int or None
        Most tokens it takes.
    """

    def __init__(self, network: transformers.PreTrainedModel, longest: int | None) -> None:
        base = network.base_model
        head = {name: child for name, child in network.named_children() if child is not base}
        super().__init__(base, nn.ModuleDict(head), frozen=True)
        self.n_classes = len(network.config.id2label or ())
        # In a tuple, lest its weights be registered a second time.
        self._whole = (network,)
        self._longest = longest

    @property
    def embedding(self) -> nn.Module:
        """The checkpoint's input embeddings."""
        return cast(nn.Module, cast(Any, self._whole[0]).get_input_embeddings())

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give logits of shape (B, C), always float32."""
        _check_length(input_ids, self._longest)
        output = self._whole[0](input_ids=input_ids, attention_mask=attention_mask.long())
        return cast(torch.Tensor, output.logits).float()

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Cast all weights: the published forward pass joins encoder and head itself."""
        self.to(dtype)


def make_tokenizer(spec: Mapping[str, Any], location: Location | None) -> Tokenizer:
    """Read the checkpoint's tokenizer, from `tokenizer.json` where there is one.

    `tokens` of the catalogue entry says how a sequence is written for it.
    """
    location = _required(location)
    tokenizer: Tokenizer
    if location.tokenizer.is_file():
        tokenizer = BpeTokenizer.load(location.tokenizer)
    else:
        tokenizer = HubTokenizer(location.weights.parent)
    return TokenOptions.of(spec).around(tokenizer)


def position_limit(spec: Mapping[str, Any], location: Location | None) -> PositionLimit:
    """Tell from the checkpoint's configuration how many tokens it takes."""
    config = _config(_required(location).weights.parent)
    limit = of_configuration(config)
    # The published heads of these look for tokens that not every tokenizer gives.
    return limit._replace(known=limit.known and not (_joins_two(config) and keeps_own_head(spec)))


def make(spec: Mapping[str, Any], location: Location | None, weights: bool) -> Encoder | Classifier:
    """Make an encoder out of a fetched checkpoint.

    Parameters
    ----------
    spec : mapping
        The catalogue entry. `train: none` keeps the checkpoint's own head; otherwise
        `pooling` (`cls`, `mean` or `last`) says how features are made for a head of ours.
    location : Location or None
        The checkpoint's files, in one folder.
    weights : bool
        Whether to read the weights; without them the values may be anything.

    Returns
    -------
    Encoder or Classifier
        A `Classifier` where the own head is kept.

    Raises
    ------
    InputError
        If the checkpoint is missing, damaged, needs code from a hub, or lacks a tensor.
    """
    folder = _required(location).weights.parent
    own_head, config = keeps_own_head(spec), _config(folder)
    automatic = _class_of(config, own_head)
    network = _read(folder, automatic, own_head) if weights else _blank(folder, automatic)
    tokenizer = make_tokenizer(spec, location)
    _check_vocabulary(tokenizer, network, folder)
    limit = of_configuration(config)
    longest = limit.most if limit.known else of_tables(network)
    if not counts_behind_padding(config):
        # A decoder's head looks for the last token that is not padding.
        network.config.pad_token_id = tokenizer.pad_id
    network.config.use_cache = False
    if own_head:
        return OwnHead(network, longest)
    width = int(network.config.hidden_size)
    encoder = network.get_encoder() if _joins_two(config) else network
    return Pooled(_Hidden(encoder, longest), width, str(spec.get("pooling", "cls")))


def _joins_two(config: transformers.PretrainedConfig) -> bool:
    return bool(config.is_encoder_decoder)


def _class_of(config: transformers.PretrainedConfig, own_head: bool) -> Any:
    if own_head:
        return transformers.AutoModelForSequenceClassification
    # Without the decoder, where transformers has that: some are published without.
    if _joins_two(config) and type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        return transformers.AutoModelForTextEncoding
    return transformers.AutoModel


def _config(folder: Path) -> transformers.PretrainedConfig:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder / 'config.json'}: there is no such file; fetch it again.")
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder / 'config.json'}: transformers has no such model ({_first_line(error)}); "
            "models that need code from a hub are not supported."
        ) from error
    return cast(transformers.PretrainedConfig, config)


def _blank(folder: Path, automatic: Any) -> transformers.PreTrainedModel:
    return cast(transformers.PreTrainedModel, automatic.from_config(_config(folder)))


def _read(folder: Path, automatic: Any, own_head: bool) -> transformers.PreTrainedModel:
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        network, report = automatic.from_pretrained(
            folder,
            config=_config(folder),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except InputError:
        raise
    # Damaged files, other shapes and unknown classes raise errors of many types.
    except Exception as error:
        raise InputError(
            f"{folder / 'model.safetensors'}: this checkpoint cannot be read "
            f"({_first_line(error)}); remove it and fetch it again."
        ) from error
    # transformers fills what is missing with random values, and only warns.
    missing = sorted(key for key in report["missing_keys"] if own_head or "pooler" not in key)
    if missing:
        raise InputError(
            f"{folder / 'model.safetensors'}: tensor {missing[0]} is missing; "
            "use a checkpoint of this very model."
        )
    # Below a head of ours, the checkpoint's own one is in nobody's way.
    unexpected = sorted(key for key in report["unexpected_keys"] if not key.endswith(_BUFFERS))
    if own_head and unexpected:
        raise InputError(
            f"{folder / 'model.safetensors'}: tensor {unexpected[0]} has no place in "
            f"{type(network).__name__}; use a checkpoint of this very model, or a head of ours."
        )
    return cast(transformers.PreTrainedModel, network)


def _required(location: Location | None) -> Location:
    if location is None:
        raise InputError("an encoder of kind hf needs a source: name one in the catalogue.")
    return location


def _check_vocabulary(
    tokenizer: Tokenizer, network: transformers.PreTrainedModel, folder: Path
) -> None:
    known = int(network.config.vocab_size)
    if tokenizer.vocab_size > known:
        raise InputError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model knows "
            f"{known}; use the tokenizer of this model."
        )


def _check_length(input_ids: torch.Tensor, longest: int | None) -> None:
    if longest is not None and input_ids.shape[1] > longest:
        raise InputError(
            f"a sequence of {input_ids.shape[1]} tokens: this encoder takes at most {longest}; "
            "use another one or a task with shorter sequences."
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
