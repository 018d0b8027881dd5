"""Tokenizers that read a sequence as words: overlapping k-mers, or one k-mer after another.

The vocabulary of DNABERT has the words of `ATCGGA TCGGAC …`, others know lower case only. Both
are put in front of the checkpoint's own tokenizer, whose ids stay what they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege.data.tables import shown
from genosiege.errors import InputError
from genosiege.sequence.tokenizer import BASES, Spans, Tokenizer, Tokens

LETTERS = BASES + "N"

_NO_TOKEN = -1
_CODE_OF_BYTE = np.full(256, _NO_TOKEN, dtype=np.int64)
_CODE_OF_BYTE[np.frombuffer(LETTERS.encode(), dtype=np.uint8)] = np.arange(len(LETTERS))


@dataclass(frozen=True)
class TokenOptions:
    """How a sequence is written for the checkpoint's tokenizer.

    Attributes
    ----------
    kmer : int or None
        Bases in a word; None for the sequence as it is.
    stride : int
        Bases from the start of a word to that of the next: 1, or `kmer`.
    separator : str
        What stands between words.
    case : str
        `upper` or `lower`.

    Raises
    ------
    InputError
        If the stride is neither.
    """

    kmer: int | None = None
    stride: int = 1
    separator: str = " "
    case: str = "upper"

    def __post_init__(self) -> None:
        if self.stride not in (1, self.kmer):
            raise InputError(
                f"tokens, stride {self.stride}: k-mers overlap (1) or stand one after another "
                f"({self.kmer or 'give kmer, too'})."
            )

    def around(self, tokenizer: Tokenizer) -> Tokenizer:
        """Give a tokenizer of sequences that are written so."""
        if self.case == "lower":
            tokenizer = LowerCaseTokenizer(tokenizer)
        if self.kmer is not None:
            tokenizer = KmerTokenizer(tokenizer, self.kmer, self.stride, self.separator)
        return tokenizer

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "TokenOptions":
        """Read an encoder's entry in the catalogue."""
        return cls(**(spec.get("tokens") or {}))


class LowerCaseTokenizer:
    """Writes sequences in lower case for another tokenizer.

    Parameters
    ----------
    inner : Tokenizer
        The checkpoint's own.
    """

    def __init__(self, inner: Tokenizer) -> None:
        self._inner = inner
        self.pad_id = inner.pad_id
        self.vocab_size = inner.vocab_size
        self.unknown_id = inner.unknown_id
        self.vocabulary = inner.vocabulary
        self.words = inner.words

    def encode(self, sequences: Sequence[str]) -> Tokens:
        """Give the token ids of each sequence."""
        return self._inner.encode([sequence.lower() for sequence in sequences])

    def encode_spans(self, sequences: Sequence[str]) -> tuple[Tokens, Spans]:
        """Give the token ids, and which bases each token stands for."""
        return self._inner.encode_spans([sequence.lower() for sequence in sequences])

    def save(self, path: str | PathLike[str]) -> None:
        """Write the checkpoint's own tokenizer."""
        self._inner.save(path)


class KmerTokenizer:
    """Gives the ids that another tokenizer gives for words of k bases with a separator between.

    All words are looked up once, so that a sequence needs no more than a table.

    Parameters
    ----------
    inner : Tokenizer
        The checkpoint's own.
    kmer : int
        Bases in a word.
    stride : int
        1: words overlap, one begins at each base. `kmer`: one follows the other; bases that are
        left at the end become a shorter word.
    separator : str
        What stands between words.

    Attributes
    ----------
    words : sequence of str
        The k-mers of A, C, G, T that have one token each, the unknown one included.

    Raises
    ------
    InputError
        If the ids of words hang on those beside them.
    """

    def __init__(self, inner: Tokenizer, kmer: int, stride: int = 1, separator: str = " ") -> None:
        self._inner = inner
        self._kmer = kmer
        self._stride = stride
        self.pad_id = inner.pad_id
        self.vocab_size = inner.vocab_size
        self.unknown_id = inner.unknown_id
        self.vocabulary = inner.vocabulary
        lengths = [kmer] if stride == 1 else range(1, kmer + 1)
        words = ["".join(letters) for n in lengths for letters in product(LETTERS, repeat=n)]
        # Where the words of each length begin.
        ends = np.cumsum([len(LETTERS) ** n for n in lengths]).tolist()
        self._first = dict(zip(lengths, [0, *ends[:-1]], strict=True))
        self._look_up(words)
        whole = [
            (word, identity)
            for word, identity in zip(words, self._id_of_word.tolist(), strict=True)
            if len(word) == kmer and "N" not in word and identity != _NO_TOKEN
        ]
        self.words = [word for word, _ in whole]
        self._check_separator(separator, [one for one in whole if one[1] != self.unknown_id])

    def _look_up(self, words: Sequence[str]) -> None:
        """Find the id of each word, and the special tokens before and after."""
        special = self._inner.encode([""]).ids
        tokens = self._inner.encode(words)
        single = np.flatnonzero(tokens.lengths == len(special) + 1)
        ids = tokens.ids[tokens.offsets[single][:, None] + np.arange(len(special) + 1)]
        same = (ids[:, :-1] == special).all(axis=0)
        n_before = len(special) if same.all() else int(np.argmin(same))
        self._before, self._after = special[:n_before], special[n_before:]
        enclosed = (ids[:, n_before + 1 :] == self._after).all(axis=1)
        self._id_of_word = np.full(len(words), _NO_TOKEN, dtype=np.int32)
        self._id_of_word[single[enclosed]] = ids[enclosed, n_before]

    def _check_separator(self, separator: str, known: Sequence[tuple[str, int]]) -> None:
        together = self._inner.encode([separator.join(word for word, _ in known)]).ids
        apart = [*self._before.tolist(), *(one for _, one in known), *self._after.tolist()]
        if together.tolist() != apart:
            raise InputError(
                f"tokens, separator {shown(separator)}: the tokenizer reads k-mers otherwise where "
                "they stand together; give the separator that the model was trained with."
            )

    def encode(self, sequences: Sequence[str]) -> Tokens:
        """Give the token ids of each sequence, with the special tokens around it.

        Raises
        ------
        InputError
            If a sequence is too short, or has a word that is not one token.
        """
        return self.encode_spans(sequences)[0]

    def encode_spans(self, sequences: Sequence[str]) -> tuple[Tokens, Spans]:
        """Give the token ids, and which bases each stands for; with a stride of 1 they overlap."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        n_words, left = self._n_words(lengths)
        n_before, n_special = len(self._before), len(self._before) + len(self._after)
        per_row = np.where(lengths > 0, n_words + (left > 0), 0)
        offsets = np.append(0, np.cumsum(per_row + n_special))
        row = np.repeat(np.arange(len(sequences)), per_row)
        number = np.arange(len(row)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
        starts = number * self._stride
        size = np.where(number < n_words[row], self._kmer, left[row])
        ids = np.empty(offsets[-1], dtype=np.int32)
        spans = np.zeros((len(ids), 2), dtype=np.int64)
        inside = offsets[row] + n_before + number
        text = "".join(sequences)
        origins = (np.cumsum(lengths) - lengths)[row]
        ids[inside] = self._ids_at(text, origins + starts, size)
        spans[inside] = np.stack([starts, starts + size], axis=1)
        for place, identity in enumerate(self._before):
            ids[offsets[:-1] + place] = identity
        for place, identity in enumerate(self._after[::-1]):
            ids[offsets[1:] - 1 - place] = identity
        return Tokens(ids, offsets), spans

    def _n_words(self, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Count the whole words of sequences, and the bases that are left behind them."""
        if self._stride == 1:
            short = (lengths > 0) & (lengths < self._kmer)
            if short.any():
                raise InputError(
                    f"a sequence of {lengths[short][0]} bases has no {self._kmer}-mer; "
                    "take it out of the task."
                )
            return np.maximum(lengths - self._kmer + 1, 0), np.zeros_like(lengths)
        return lengths // self._kmer, lengths % self._kmer

    def _ids_at(
        self, text: str, starts: NDArray[np.int64], size: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Look up the words of these sizes that begin at these places of a text."""
        letters = np.frombuffer(text.encode("latin-1", "replace"), dtype=np.uint8)
        codes = _CODE_OF_BYTE[letters]
        if (codes < 0).any():
            character = text[int(np.argmax(codes < 0))]
            raise InputError(
                f"character {shown(character)} in a sequence: only {LETTERS} can be encoded; "
                "prepare the task again."
            )
        ids = np.empty(len(starts), dtype=np.int32)
        for n, first in self._first.items():
            which = np.flatnonzero(size == n)
            word = np.zeros(len(which), dtype=np.int64)
            for step in range(n):
                word = word * len(LETTERS) + codes[starts[which] + step]
            ids[which] = self._id_of_word[first + word]
        if (ids == _NO_TOKEN).any():
            at = int(np.argmax(ids == _NO_TOKEN))
            raise InputError(
                f"{shown(text[starts[at] : starts[at] + size[at]])} is not one token of the "
                "vocabulary; use a model of such k-mers, or other tokens."
            )
        return ids

    def unknown_end(self, sequence: str) -> str:
        """Give the bases at the end that are left over and no token of the vocabulary, or ""."""
        left = len(sequence) % self._stride
        end = sequence[len(sequence) - left :]
        if not end or "N" in end:
            return ""
        known = self._ids_at(end, np.zeros(1, dtype=np.int64), np.array([left])) != self.unknown_id
        return "" if known[0] else end

    def save(self, path: str | PathLike[str]) -> None:
        """Write the checkpoint's own tokenizer."""
        self._inner.save(path)
