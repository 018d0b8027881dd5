"""From strings to token ids: byte-pair encoding as DNABERT-2 uses it, and single characters.

The ids of many sequences stay in one flat array (`Tokens`) until a batch needs a rectangle:
a search scores thousands of mutants, and most of the cost would be building lists.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray

from genosiege import files
from genosiege.data.tables import shown
from genosiege.errors import InputError

SPECIAL_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
BASES = "ACGT"
# How tokenizers of genomic models name their padding token, and the one for what they do not know.
_PADDING_NAMES = ("[PAD]", "<pad>")
_UNKNOWN_NAMES = ("[UNK]", "<unk>")


@dataclass(frozen=True)
class Tokens:
    """Token ids of several sequences, end to end.

    Attributes
    ----------
    ids : ndarray of int32, shape (total,)
        The ids of all sequences, one after the other.
    offsets : ndarray of int64, shape (n + 1,)
        Sequence i holds `ids[offsets[i]:offsets[i + 1]]`.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def from_lists(cls, sequences: Sequence[Sequence[int]]) -> "Tokens":
        """Join one list of ids per sequence."""
        offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids in sequences], out=offsets[1:])
        ids = np.fromiter(chain.from_iterable(sequences), dtype=np.int32, count=int(offsets[-1]))
        return cls(ids, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each sequence, shape (n,)."""
        return np.diff(self.offsets)

    def padded(
        self, rows: NDArray[np.int64] | None, pad_id: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Lay sequences side by side, padded on the right to the longest of them.

        Parameters
        ----------
        rows : ndarray of int64, or None
            Which sequences, in which order; None for all.
        pad_id : int
            The id that fills the rest of each row.

        Returns
        -------
        input_ids : ndarray of int64, shape (n, T)
        attention_mask : ndarray of bool, shape (n, T)
            True at real tokens.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        starts, lengths = self.offsets[:-1][rows], self.lengths[rows]
        columns = np.arange(lengths.max(initial=0))
        attention_mask = columns < lengths[:, None]
        input_ids = np.full(attention_mask.shape, pad_id, dtype=np.int64)
        input_ids[attention_mask] = self.ids[(starts[:, None] + columns)[attention_mask]]
        return input_ids, attention_mask


Spans = NDArray[np.int64]
"""Half-open intervals of bases, shape (total, 2), one per token; empty for special tokens."""


def joined_spans(parts: Iterable[Sequence[tuple[int, int]]]) -> Spans:
    """Join the intervals of several sequences end to end, as `Tokens` joins their ids."""
    return np.array(list(chain.from_iterable(parts)), dtype=np.int64).reshape(-1, 2)


def laid_end_to_end(
    tokens: Tokens, n_bases: NDArray[np.int64], sequences: Sequence[str]
) -> Spans | None:
    """Find the intervals from the lengths of the tokens alone.

    Parameters
    ----------
    tokens : Tokens
        Of `sequences`.
    n_bases : ndarray of int64, shape (vocabulary,)
        How many bases each id stands for; 0 for special tokens.
    sequences : sequence of str
        What the tokens have to cover.

    Returns
    -------
    Spans or None
        None where the lengths do not add up to those of the sequences.
    """
    ends = np.cumsum(n_bases[tokens.ids], dtype=np.int64)
    starts = ends - n_bases[tokens.ids]
    borders = np.concatenate([[0], ends])[tokens.offsets]
    if np.diff(borders).tolist() != [len(sequence) for sequence in sequences]:
        return None
    origins = np.repeat(borders[:-1], tokens.lengths)
    return np.asarray(np.stack([starts - origins, ends - origins], axis=1))


class Tokenizer(Protocol):
    """What an encoder needs of a tokenizer, and what tells whether it reads DNA."""

    @property
    def pad_id(self) -> int:
        """The id that fills short rows."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens counted."""

    @property
    def unknown_id(self) -> int | None:
        """The id of what the vocabulary has not; None where there is none."""

    @property
    def words(self) -> Sequence[str]:
        """The shortest strings that have a token each: bases, or all k-mers."""

    @property
    def vocabulary(self) -> Collection[str]:
        """All tokens, special ones included, as they are written."""

    def encode(self, sequences: Sequence[str]) -> Tokens:
        """Give the token ids of each sequence."""

    def encode_spans(self, sequences: Sequence[str]) -> tuple[Tokens, Spans]:
        """Give the token ids, and which bases of its sequence each token stands for."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the tokenizer to one file."""


class BpeTokenizer:
    """Byte-pair encoding on the `tokenizers` library; never truncates, never pads.

    Whether a call uses several threads is decided by TOKENIZERS_PARALLELISM, which
    `runtime.use` sets to false: the jobs of a workflow share the cores already.

    Parameters
    ----------
    backend : tokenizers.Tokenizer
        The library's tokenizer; its truncation and padding are switched off.
    pad_id : int
        The id that fills short rows.

    Attributes
    ----------
    n_bases : ndarray of int64, shape (vocabulary,)
        How many bases each id stands for; 0 for special tokens.
    """

    words = BASES

    def __init__(self, backend: tokenizers.Tokenizer, pad_id: int) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.pad_id = pad_id
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        self.unknown_id = _unknown_id(backend)
        self.n_bases = _bases_of_tokens(backend)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "BpeTokenizer":
        """Read a `tokenizer.json`.

        Raises
        ------
        InputError
            If the file is missing, is no tokenizer, or has no padding token.
        """
        content = _read_text(path)
        try:
            backend = tokenizers.Tokenizer.from_str(content)
        # The library raises bare exceptions for whatever it cannot read.
        except Exception as error:
            raise InputError(
                f"{path}: this is no tokenizer ({error}); remove it and fetch or train it again."
            ) from error
        return cls(backend, _padding_id(backend, path))

    @classmethod
    def train(cls, sequences: Iterable[str], vocab_size: int) -> "BpeTokenizer":
        """Learn merges in DNABERT-2's conventions.

        Ids 0 to 4 are [UNK], [CLS], [SEP], [PAD], [MASK], then the four bases, then merges
        in the order learned; [CLS] and [SEP] enclose each sequence. The result depends only
        on the sequences, so equal input gives equal files.

        Parameters
        ----------
        sequences : iterable of str
            What to learn from. Merges never cross a character other than A, C, G, T.
        vocab_size : int
            Size of the vocabulary, at least 9; it stays smaller where no pair of tokens
            occurs twice any more.

        Raises
        ------
        InputError
            If `vocab_size` leaves no room for special tokens and bases.
        """
        smallest = len(SPECIAL_TOKENS) + len(BASES)
        if vocab_size < smallest:
            raise InputError(f"vocab_size {vocab_size}: choose at least {smallest}.")
        backend = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
        # As in DNABERT-2's own file, though DNA holds no white space.
        backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=list(BASES),
            show_progress=False,
        )
        pieces = (piece for sequence in sequences for piece in re.findall(f"[{BASES}]+", sequence))
        backend.train_from_iterator(pieces, trainer)
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(name, SPECIAL_TOKENS.index(name)) for name in ("[CLS]", "[SEP]")],
        )
        return cls(backend, SPECIAL_TOKENS.index("[PAD]"))

    @property
    def vocabulary(self) -> Collection[str]:
        """All tokens, special ones included, as they are written."""
        return list(self.backend.get_vocab(with_added_tokens=True))

    def encode(self, sequences: Sequence[str]) -> Tokens:
        """Give the token ids of each sequence, with the special tokens around it."""
        encodings = self.backend.encode_batch_fast(list(sequences))
        return Tokens.from_lists([encoding.ids for encoding in encodings])

    def encode_spans(self, sequences: Sequence[str]) -> tuple[Tokens, Spans]:
        """Give the token ids, and which bases of its sequence each token stands for."""
        tokens = self.encode(sequences)
        spans = laid_end_to_end(tokens, self.n_bases, sequences)
        if spans is not None:
            return tokens, spans
        # The library knows better (unknown characters taken together), but is three times slower.
        encodings = self.backend.encode_batch(list(sequences))
        return tokens, joined_spans([encoding.offsets for encoding in encodings])

    def save(self, path: str | PathLike[str]) -> None:
        """Write a `tokenizer.json` that `load` and transformers read."""
        with files.whole(path) as temporary:
            temporary.write_text(self.backend.to_str(pretty=True), encoding="utf-8")


class CharacterTokenizer:
    """One id per nucleotide: A 0, C 1, G 2, T 3, N 4; padding reads as N."""

    pad_id = 4
    vocab_size = 5
    unknown_id = None
    words = BASES
    _alphabet = vocabulary = "ACGTN"

    def __init__(self) -> None:
        self._id_of_byte = np.full(256, -1, dtype=np.int32)
        self._id_of_byte[np.frombuffer(self._alphabet.encode(), dtype=np.uint8)] = np.arange(5)

    def encode(self, sequences: Sequence[str]) -> Tokens:
        """Give one id per character.

        Raises
        ------
        InputError
            If a sequence holds a character other than A, C, G, T, N.
        """
        text = "".join(sequences)
        ids = self._id_of_byte[np.frombuffer(text.encode("latin-1", "replace"), dtype=np.uint8)]
        if (ids < 0).any():
            character = text[int(np.argmax(ids < 0))]
            raise InputError(
                f"character {shown(character)} in a sequence: only {self._alphabet} can be "
                "encoded; prepare the task again."
            )
        offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
        np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
        return Tokens(ids, offsets)

    def encode_spans(self, sequences: Sequence[str]) -> tuple[Tokens, Spans]:
        """Give one id per character, each for a base of its own."""
        tokens = self.encode(sequences)
        starts = np.arange(len(tokens.ids)) - np.repeat(tokens.offsets[:-1], tokens.lengths)
        return tokens, np.stack([starts, starts + 1], axis=1)

    def save(self, path: str | PathLike[str]) -> None:
        """Record the alphabet; there is nothing learned to keep."""
        files.write_json({"type": "character", "alphabet": self._alphabet}, path)


def _read_text(path: str | PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(
            f"{path}: there is no such tokenizer; make it or correct the path."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is no text; fetch the tokenizer again.") from error


def _bases_of_tokens(backend: tokenizers.Tokenizer) -> NDArray[np.int64]:
    """Give the length of each token: 0 for special ones, 1 for the unknown character."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    special = {added.content for added in backend.get_added_tokens_decoder().values()}
    unknown = getattr(backend.model, "unk_token", None)
    n_bases = np.zeros(max(vocabulary.values(), default=-1) + 1, dtype=np.int64)
    for token, identity in vocabulary.items():
        n_bases[identity] = 1 if token == unknown else 0 if token in special else len(token)
    return n_bases


def _unknown_id(backend: tokenizers.Tokenizer) -> int | None:
    # Unigram models do not tell their own.
    names = [getattr(backend.model, "unk_token", None), *_UNKNOWN_NAMES]
    found = (backend.token_to_id(name) for name in names if name is not None)
    return next((int(identity) for identity in found if identity is not None), None)


def _padding_id(backend: tokenizers.Tokenizer, path: str | PathLike[str]) -> int:
    for name in _PADDING_NAMES:
        identity = backend.token_to_id(name)
        if identity is not None:
            return int(identity)
    raise InputError(
        f"{path}: the tokenizer has no padding token ({' or '.join(_PADDING_NAMES)}); "
        "use a model with one."
    )
