"""DNABERT-2's encoder in plain PyTorch: BERT with ALiBi, fused projections and a gated MLP.

The published code needs `trust_remote_code`, an old triton, and takes no embeddings as input.
This one computes the same function and names its parameters as the published checkpoint does,
so that the published weights load by name.

References
----------
Zhou et al. (2024), DNABERT-2, ICLR. Press et al. (2022), Train short, test long (ALiBi), ICLR.
Shazeer (2020), GLU variants improve transformer, arXiv 2002.05202.
"""

import math
from dataclasses import asdict, dataclass, fields
from os import PathLike

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genosiege import files
from genosiege.errors import InputError
from genosiege.sequence import checkpoints

_INITIAL_DEVIATION = 0.02
# Tokens worked off at once on a CPU. With more, the intermediate results outgrow the cache and
# come from fresh pages of memory each time: the widest product then runs at half its speed.
_CPU_TOKENS = 1024


@dataclass(frozen=True)
class Architecture:
    """Sizes of an encoder, named as in a hub `config.json`.

    Raises
    ------
    InputError
        If a size is no positive integer, or the heads do not divide the hidden size.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float = 1e-12
    type_vocab_size: int = 2
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or value < 1):
                raise InputError(f"architecture, {field.name} {value!r}: give a positive integer.")
            if field.type is float and not (type(value) in (int, float) and 0 <= value < 1):
                raise InputError(f"architecture, {field.name} {value!r}: give a number in [0, 1).")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"architecture, hidden_size {self.hidden_size}: it is not divisible by "
                f"num_attention_heads {self.num_attention_heads}; change one of them."
            )

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> "Architecture":
        """Read the sizes from a `config.json`; its other entries are ignored.

        Raises
        ------
        InputError
            If the file is missing or damaged, or lacks a size.
        """
        content = files.read_json(path)
        if not isinstance(content, dict):
            raise InputError(f"{path}: this is no model configuration; replace the file.")
        known = {field.name: content[field.name] for field in fields(cls) if field.name in content}
        try:
            return cls(**known)
        except TypeError as error:
            raise InputError(
                f"{path}: this is no DNABERT-2 configuration ({error}); replace the file."
            ) from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the sizes so that `from_json` reads them."""
        files.write_json(asdict(self), path)


def alibi_slopes(n_heads: int) -> list[float]:
    """Give each head's slope of the linear attention bias.

    Parameters
    ----------
    n_heads : int
        Number of attention heads.

    Returns
    -------
    list of float
        For n a power of two, 2^(-8 i / n), i = 1..n. Otherwise the slopes of the next smaller
        power of two, then every second one (first, third, …) of the next larger.

    Notes
    -----
    Press et al. (2022), section 3, and the rule for other head counts in their code.
    """
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * i / power) for i in range(1, power + 1)]
    between = [2 ** (-4 * i / power) for i in range(1, 2 * power + 1, 2)]
    return slopes + between[: n_heads - power]


class _Embeddings(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(a.vocab_size, a.hidden_size)
        self.token_type_embeddings = nn.Embedding(a.type_vocab_size, a.hidden_size)
        self.LayerNorm = nn.LayerNorm(a.hidden_size, eps=a.layer_norm_eps)
        self.dropout = nn.Dropout(a.hidden_dropout_prob)

    def forward(self, words: Tensor) -> Tensor:
        # One segment only: the type is 0 everywhere.
        embedded = self.LayerNorm(words + self.token_type_embeddings.weight[0])
        return self.dropout(embedded)  # type: ignore[no-any-return]


class _SelfAttention(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(a.hidden_size, 3 * a.hidden_size)
        self.n_heads = a.num_attention_heads
        self.dropout = a.attention_probs_dropout_prob

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        n, length, width = hidden.shape
        heads = self.Wqkv(hidden).view(n, length, 3, self.n_heads, width // self.n_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            query, key, value, bias, dropout_p=self.dropout if self.training else 0.0
        )
        return mixed.transpose(1, 2).reshape(n, length, width)


class _AttentionOutput(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.dense = nn.Linear(a.hidden_size, a.hidden_size)
        self.LayerNorm = nn.LayerNorm(a.hidden_size, eps=a.layer_norm_eps)
        self.dropout = nn.Dropout(a.hidden_dropout_prob)

    def forward(self, mixed: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(mixed)) + residual)  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.self = _SelfAttention(a)
        self.output = _AttentionOutput(a)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        return self.output(self.self(hidden, bias), hidden)  # type: ignore[no-any-return]


class _GatedMlp(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.gated_layers = nn.Linear(a.hidden_size, 2 * a.intermediate_size, bias=False)
        self.wo = nn.Linear(a.intermediate_size, a.hidden_size)
        self.layernorm = nn.LayerNorm(a.hidden_size, eps=a.layer_norm_eps)
        self.dropout = nn.Dropout(a.hidden_dropout_prob)

    def forward(self, hidden: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            gate, linear = self.gated_layers(hidden).chunk(2, dim=-1)
            inner = F.gelu(gate) * linear
        else:
            # Two products give whole tensors, on which GELU is faster than on halves of rows.
            gate, linear = self.gated_layers.weight.chunk(2)
            inner = F.gelu(F.linear(hidden, gate)).mul_(F.linear(hidden, linear))
        return self.layernorm(self.wo(self.dropout(inner)) + hidden)  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.attention = _Attention(a)
        self.mlp = _GatedMlp(a)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        return self.mlp(self.attention(hidden, bias))  # type: ignore[no-any-return]


class _Layers(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(a) for _ in range(a.num_hidden_layers))

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        for layer in self.layer:
            hidden = layer(hidden, bias)
        return hidden


class _Pooler(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.dense = nn.Linear(a.hidden_size, a.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        return torch.tanh(self.dense(hidden[:, 0]))


class DnaBert2(nn.Module):
    """The encoder: token ids or embeddings to hidden states.

    Parameters
    ----------
    architecture : Architecture
        Its sizes. Parameters are left as PyTorch makes them: use `fresh` or
        `from_checkpoint` for a model to work with.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embeddings = _Embeddings(architecture)
        self.encoder = _Layers(architecture)
        self.pooler = _Pooler(architecture)
        self._alibi: Tensor | None = None

    @classmethod
    def fresh(cls, architecture: Architecture, generator: torch.Generator) -> "DnaBert2":
        """Make an untrained encoder whose weights come from `generator` alone."""
        model = cls._empty(architecture).to_empty(device="cpu")
        model.initialise(generator)
        return model

    @classmethod
    def from_checkpoint(
        cls,
        architecture: Architecture,
        path: str | PathLike[str],
        generator: torch.Generator | None = None,
    ) -> "DnaBert2":
        """Make an encoder with a checkpoint's weights; see `load_checkpoint`."""
        model = cls._empty(architecture)
        load_checkpoint(model, path, generator)
        return model

    @classmethod
    def _empty(cls, architecture: Architecture) -> "DnaBert2":
        # On the meta device, so that no number is drawn that is overwritten next.
        with torch.device("meta"):
            return cls(architecture)

    @property
    def embedding(self) -> nn.Module:
        """The table of word embeddings, which precedes everything else."""
        return self.embeddings.word_embeddings

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights as BERT does: N(0, 0.02²), biases 0, norms 1."""
        for module in self.modules():
            _initialise(module, generator)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Encode a batch.

        Parameters
        ----------
        input_ids : Tensor of int, shape (B, T), optional
            Token ids, padded on either side.
        attention_mask : Tensor of bool or int, shape (B, T), optional
            True or 1 at real tokens; None when there is no padding.
        inputs_embeds : Tensor, shape (B, T, h), optional
            Word embeddings in place of `input_ids`, as gradients need them.

        Returns
        -------
        Tensor, shape (B, T, h)
            The last hidden state, 0 at padding. It does not depend on the padding.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        words = inputs_embeds if input_ids is None else self.embeddings.word_embeddings(input_ids)
        assert words is not None
        mask = None if attention_mask is None else attention_mask.bool()
        n_pieces = self._n_pieces(words)
        if n_pieces == 1:
            return self._encode(words, mask)
        masks = [None] * n_pieces if mask is None else mask.tensor_split(n_pieces)
        pieces = zip(words.tensor_split(n_pieces), masks, strict=True)
        return torch.cat([self._encode(*piece) for piece in pieces])

    @staticmethod
    def _n_pieces(words: Tensor) -> int:
        """In how many parts a batch is worked off: one, except for inference on a CPU."""
        n, length = words.shape[:2]
        if torch.is_grad_enabled() or words.device.type != "cpu" or n == 0:
            return 1
        return math.ceil(n / max(1, _CPU_TOKENS // max(1, length)))

    def _encode(self, words: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.embeddings(words)
        hidden = self.encoder(hidden, self._bias(words.shape[1], mask, hidden))
        if mask is not None:
            hidden = hidden.masked_fill(~mask[..., None], 0.0)
        return hidden  # type: ignore[no-any-return]

    def pool(self, hidden: Tensor) -> Tensor:
        """Give BERT's pooled output, tanh of a linear map of the first position: (B, h)."""
        return self.pooler(hidden)  # type: ignore[no-any-return]

    def _bias(self, length: int, mask: Tensor | None, like: Tensor) -> Tensor:
        """Additive attention bias in the type of `like`: (B or 1, heads, T, T)."""
        bias = self._alibi_bias(length, like.device).to(like.dtype)
        if mask is None:
            return bias
        # A finite number, so that a row of nothing but padding stays a number as well.
        return torch.where(mask[:, None, None, :], bias, torch.finfo(like.dtype).min)

    def _alibi_bias(self, length: int, device: torch.device) -> Tensor:
        """-slope · |i - j| for the longest input so far, cut to `length`: (1, heads, T, T)."""
        cached = self._alibi
        if cached is None or cached.shape[-1] < length or cached.device != device:
            # Training may follow scoring, and autograd takes no tensor made under inference mode.
            with torch.inference_mode(False):
                slopes = torch.tensor(
                    alibi_slopes(self.architecture.num_attention_heads), device=device
                )
                position = torch.arange(length, device=device)
                distance = (position[:, None] - position[None, :]).abs()
                cached = -slopes[None, :, None, None] * distance
            self._alibi = cached
        return cached[..., :length, :length]


def load_checkpoint(
    model: DnaBert2,
    path: str | PathLike[str],
    generator: torch.Generator | None = None,
) -> None:
    """Put a checkpoint's weights into a model, by name.

    A leading `bert.` is dropped from the names, and the heads of the masked language model
    (`cls.*`) are left out. The published checkpoint has no pooler: its weights are then
    drawn from `generator`.

    Parameters
    ----------
    model : DnaBert2
        The model; it may be on the meta device.
    path : path-like
        A `.safetensors` file, or a PyTorch `.bin` that holds tensors only.
    generator : torch.Generator, optional
        For a pooler that the checkpoint lacks; without one the pooler is seeded with 0, as
        nothing here but `pool` reads it.

    Raises
    ------
    InputError
        If the file is missing or damaged, or a tensor is missing, unexpected or of
        another shape; it is named.
    """
    given = {
        name.removeprefix("bert."): tensor
        for name, tensor in checkpoints.read(path).items()
        if not name.startswith("cls.")
    }
    wanted = model.state_dict()
    if not any(name.startswith("pooler.") for name in given):
        given |= _fresh_pooler(model.architecture, generator)
    checkpoints.check(given, wanted, path)
    # Assigned, so that a model on the meta device costs no second copy.
    model.load_state_dict({name: given[name].float() for name in wanted}, assign=True)


def _fresh_pooler(
    architecture: Architecture, generator: torch.Generator | None
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with torch.device("meta"):
        pooler = _Pooler(architecture)
    pooler = pooler.to_empty(device="cpu")
    _initialise(pooler.dense, generator)
    return {f"pooler.{name}": tensor for name, tensor in pooler.state_dict().items()}


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_INITIAL_DEVIATION, generator=generator)
    if isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
    if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
        nn.init.zeros_(module.bias)
