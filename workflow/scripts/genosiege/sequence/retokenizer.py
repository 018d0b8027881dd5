"""Token ids of mutants from those of their originals: only what is near an edit is read.

Byte-pair encoding merges the pair of lowest rank first, of equal ones the leftmost. So a row of
tokens is the encoding of its string if and only if each two neighbours are the encoding of
theirs: take the first merge across a border of the row; until then both sides went on as if
alone, so the two neighbours alone would have made it too. Hence the tokens around an edit are
made anew from a few bases, and the rest is kept, where the new ones get on with their
neighbours; where not, more is read. The ids are exactly those of the whole string.

Pieces are remembered: an attack asks about the same edits again and again.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.sequence.tokenizer import BpeTokenizer, Tokenizer, Tokens

LETTERS = "ACGTN"

# Fewer strings than this are encoded whole: the bookkeeping would cost more.
_FEWEST = 6
# A string with more edits than one in so many bases is encoded whole.
_BASES_PER_EDIT = 16
# How often more tokens around an edit are read before the whole string is.
_ATTEMPTS = 6
# Ids, and pairs of neighbours, that are remembered before all are forgotten: some 100 MB.
_MOST_REMEMBERED = 1_000_000

# What else a tokenizer may do; then ids may hang on more than two neighbours.
_EXTRAS = (
    "dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
    "ignore_merges",
)  # fmt: skip

_IS_LETTER = np.zeros(256, dtype=np.bool_)
_IS_LETTER[np.frombuffer(LETTERS.encode(), dtype=np.uint8)] = True

Numbers = NDArray[np.int64]
Letters = NDArray[np.uint8]
Encode = Callable[[Sequence[str], Sequence[str | None]], Tokens]


class _Pool:
    """Rows of ids, end to end, numbered as they were added."""

    def __init__(self) -> None:
        self.ids = np.empty(1024, dtype=np.int32)
        self.starts = np.empty(256, dtype=np.int64)
        self.lengths = np.empty(256, dtype=np.int64)
        self.n_ids = self.n_rows = 0

    def add(self, new: Tokens) -> range:
        """Add rows; give their numbers."""
        first, self.n_rows = self.n_rows, self.n_rows + len(new)
        place, self.n_ids = self.n_ids, self.n_ids + len(new.ids)
        if self.n_ids > len(self.ids):
            self.ids = np.resize(self.ids, 2 * self.n_ids)
        if self.n_rows > len(self.starts):
            self.starts, self.lengths = (
                np.resize(a, 2 * self.n_rows) for a in (self.starts, self.lengths)
            )
        self.ids[place : self.n_ids] = new.ids
        self.starts[first : self.n_rows] = place + new.offsets[:-1]
        self.lengths[first : self.n_rows] = new.lengths
        return range(first, self.n_rows)


class _Original(NamedTuple):
    """An original whose tokens are known.

    Attributes
    ----------
    letters : ndarray of uint8, shape (L,)
    ids : ndarray, shape (T,)
    bases : ndarray, shape (T,)
        How many bases each token is of; 0 for special ones.
    row : int
        Number of its ids in the pool.
    margins : ndarray, shape (L,)
        How many tokens on both sides of an edit had to be read so far.
    """

    letters: Letters
    ids: NDArray[np.int32]
    bases: Numbers
    row: int
    margins: Numbers


class _Family:
    """Originals of one length, F of them, their tokens end to end.

    Attributes
    ----------
    rows : ndarray, shape (F,)
        Their numbers in the pool.
    before, first, last : ndarray, shape (F,)
        How many tokens stand before an original's; its first and last that are not special.
    token_of : ndarray, shape (F, L)
        Which token each base is in.
    ids, starts, ends : ndarray, shape (all tokens,)
        Each token, and its bases.
    """

    def __init__(self, originals: Sequence[_Original], opening: int, closing: int) -> None:
        self.originals = originals
        self.letters = np.stack([one.letters for one in originals])
        self.margins = np.stack([one.margins for one in originals])
        self.rows = np.array([one.row for one in originals])
        n_tokens = np.array([len(one.ids) for one in originals])
        bases = np.concatenate([one.bases for one in originals])
        self.before = np.cumsum(n_tokens) - n_tokens
        self.first = self.before + opening
        self.last = self.before + n_tokens - 1 - closing
        self.ids = np.concatenate([one.ids for one in originals])
        self.token_of = np.repeat(np.arange(len(bases)), bases).reshape(self.letters.shape)
        length = self.letters.shape[1]
        self.ends = np.cumsum(bases) - length * np.repeat(np.arange(len(originals)), n_tokens)
        self.starts = self.ends - bases

    def widen(self, which: Numbers, places: Numbers, margins: Numbers) -> None:
        """Note that so many tokens around these bases have to be read."""
        self.margins[which, places] = margins
        for one, noted in zip(self.originals, self.margins, strict=True):
            one.margins[:] = noted


class _Edits(NamedTuple):
    """Edits by string and place: string, its original, place, tokens to be read around."""

    rows: Numbers
    of: Numbers
    places: Numbers
    margins: Numbers


class _Windows(NamedTuple):
    """Tokens `low` to `high`, counted in the family, for which a string has a row of the pool."""

    rows: Numbers
    of: Numbers
    low: Numbers
    high: Numbers
    pieces: Numbers


def supported(tokenizer: BpeTokenizer) -> bool:
    """Whether what stands above holds for a tokenizer: bare byte-pair encoding of words."""
    written = json.loads(tokenizer.backend.to_str())
    model = written["model"]
    if model.get("type") != "BPE" or any(model.get(extra) for extra in _EXTRAS):
        return False
    merged = ["".join(m) if isinstance(m, list) else m.replace(" ", "") for m in model["merges"]]
    vocabulary = model["vocab"]
    words = (written["pre_tokenizer"] or {}).get("type") == "Whitespace"
    letters = all(base in vocabulary or model["unk_token"] in vocabulary for base in LETTERS)
    added = [set(one["content"]) <= set(LETTERS) for one in written["added_tokens"]]
    enclosed = tokenizer.encode(["", "A"])
    nothing, one = np.split(enclosed.ids, enclosed.offsets[1:-1])
    inside = np.flatnonzero(one == vocabulary.get("A", -1))
    return (
        words
        and letters
        and written["normalizer"] is None
        and not any(added)
        # Else two pairs make the same token, and the library confuses their ranks.
        and len(set(merged)) == len(merged)
        and len(inside) == 1
        and np.delete(one, inside).tolist() == nothing.tolist()
    )


def encoder_of_mutants(tokenizer: Tokenizer) -> Encode:
    """Give what encodes sequences, which may be given with their originals, soonest."""
    if isinstance(tokenizer, BpeTokenizer) and supported(tokenizer):
        return Retokenizer(tokenizer).encode
    return lambda sequences, _: tokenizer.encode(sequences)


class Retokenizer:
    """Encodes mutants as a tokenizer does, sooner.

    Parameters
    ----------
    tokenizer : BpeTokenizer
        One that is `supported`.
    """

    def __init__(self, tokenizer: BpeTokenizer) -> None:
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend
        base = tokenizer.encode(["A"]).ids.tolist()
        self._opening = base.index(self._backend.token_to_id("A"))
        self._closing = len(base) - 1 - self._opening
        vocabulary = self._backend.get_vocab(with_added_tokens=True)
        self._text = {identity: text for text, identity in vocabulary.items()}
        if "N" not in vocabulary:
            self._text[vocabulary[self._backend.model.unk_token]] = "N"
        self._forget()

    def _forget(self) -> None:
        self._pool = _Pool()
        self._pieces: dict[str, int] = {}
        self._originals: dict[str, _Original] = {}
        self._fits: dict[int, bool] = {}

    def encode(
        self, sequences: Sequence[str], originals: Sequence[str | None] | None = None
    ) -> Tokens:
        """Give the token ids of each sequence, with the special tokens around it.

        Parameters
        ----------
        sequences : sequence of str
            What to encode.
        originals : sequence of str or None, optional
            For each sequence one that it is a mutant of by substitutions. Where one is not
            known, what most sequences have in each place is taken for the original of all.

        Returns
        -------
        Tokens
            Whatever the originals are, what the tokenizer gives.
        """
        length = len(sequences[0]) if sequences else 0
        if len(sequences) < _FEWEST or not length or set(map(len, sequences)) != {length}:
            return self._tokenizer.encode(sequences)
        text = "".join(sequences)
        if not text.isascii():
            return self._tokenizer.encode(sequences)
        if max(self._pool.n_ids, len(self._fits)) > _MOST_REMEMBERED:
            self._forget()
        letters = np.frombuffer(text.encode(), dtype=np.uint8).reshape(-1, length)
        named = [] if originals is None else [name for name in originals if name is not None]
        if len(named) < len(sequences):
            # Both have at most so many edits where they are mutants of one.
            if (letters[0] != letters[-1]).sum() > 2 * length // _BASES_PER_EDIT:
                return self._tokenizer.encode(sequences)
            names, of = [_consensus(letters)], np.zeros(len(sequences), dtype=np.int64)
        else:
            names = list(dict.fromkeys(named))
            numbers = {name: number for number, name in enumerate(names)}
            of = np.fromiter(map(numbers.__getitem__, named), np.int64, len(sequences))
        known = [self._original(name, length) for name in names]
        family = [one for one in known if one is not None]
        if len(family) < len(names):
            return self._tokenizer.encode(sequences)
        return self._encode(sequences, letters, _Family(family, self._opening, self._closing), of)

    def _original(self, sequence: str, length: int) -> _Original | None:
        """Encode an original, once; None where it is not of this length and these letters."""
        if len(sequence) != length or set(sequence) - set(LETTERS):
            return None
        if sequence not in self._originals:
            ids = self._tokenizer.encode([sequence]).ids
            self._originals[sequence] = _Original(
                np.frombuffer(sequence.encode(), dtype=np.uint8),
                ids,
                self._tokenizer.n_bases[ids],
                self._pool.add(Tokens(ids, np.array([0, len(ids)])))[0],
                np.ones(length, dtype=np.int64),
            )
        return self._originals[sequence]

    def _encode(
        self, sequences: Sequence[str], letters: Letters, family: _Family, of: Numbers
    ) -> Tokens:
        n, length = letters.shape
        basis = family.letters if len(family.rows) == 1 else family.letters[of]
        rows, places = np.divmod(np.flatnonzero(letters != basis), length)
        whole = np.bincount(rows, minlength=n) > max(1, length // _BASES_PER_EDIT)
        whole[rows[~_IS_LETTER[letters[rows, places]]]] = True
        edits = _Edits(rows, of[rows], places, family.margins[of[rows], places])
        edits = _Edits(*_take(edits, ~whole[rows]))
        settled = []
        for _ in range(_ATTEMPTS):
            windows, number = self._windows(edits, sequences, family)
            unfit = ~self._fitting(windows, family)
            again = np.zeros(n, dtype=np.bool_)
            again[windows.rows[unfit]] = True
            settled.append(_Windows(*_take(windows, ~again[windows.rows])))
            wider = unfit[number]
            edits.margins[wider] += 1
            if not wider.any():
                break
            family.widen(edits.of[wider], edits.places[wider], edits.margins[wider])
            edits = _Edits(*_take(edits, again[edits.rows]))
        else:
            whole[edits.rows] = True
        originals = family.rows[of]
        rest = [text for text, alone in zip(sequences, whole.tolist(), strict=True) if alone]
        originals[whole] = self._pool.add(self._tokenizer.encode(rest))
        return self._assembled(originals, family, settled)

    def _windows(
        self, edits: _Edits, sequences: Sequence[str], family: _Family
    ) -> tuple[_Windows, Numbers]:
        """Join edits whose tokens to be read touch; give also the window of each edit."""
        token = family.token_of[edits.of, edits.places]
        low = np.maximum(token - edits.margins, family.first[edits.of])
        high = np.minimum(token + edits.margins, family.last[edits.of])
        # Strings are held apart by more than a family has tokens.
        apart = edits.rows * (len(family.ids) + 2)
        low = np.minimum.accumulate((low + apart)[::-1])[::-1]
        high = np.maximum.accumulate(high + apart)
        begins = np.ones(len(low), dtype=np.bool_)
        begins[1:] = low[1:] > high[:-1] + 1
        starts = np.flatnonzero(begins)
        ends = np.append(starts[1:], len(low))[: len(starts)] - 1
        rows, of = edits.rows[starts], edits.of[starts]
        low, high = low[starts] - apart[starts], high[ends] - apart[ends]
        cuts = zip(
            rows.tolist(), family.starts[low].tolist(), family.ends[high].tolist(), strict=True
        )
        pieces = self._rows_of([sequences[row][start:end] for row, start, end in cuts])
        return _Windows(rows, of, low, high, pieces), np.cumsum(begins) - 1

    def _rows_of(self, strings: Sequence[str]) -> Numbers:
        """Give for each string the row of the pool with its ids, without special tokens."""
        numbers = list(map(self._pieces.get, strings))
        if None in numbers:
            missing = [s for s in dict.fromkeys(strings) if s not in self._pieces]
            self._pieces.update(zip(missing, self._pool.add(self._apart(missing)), strict=True))
            numbers = list(map(self._pieces.get, strings))
        return np.array(numbers, dtype=np.int64)

    def _apart(self, strings: Sequence[str]) -> Tokens:
        """Encode strings without special tokens, in one call: as the words of a text."""
        joined = self._backend.encode_batch_fast([" ".join(strings)], add_special_tokens=False)
        ids = np.array(joined[0].ids, dtype=np.int32)
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        ends = np.cumsum(self._tokenizer.n_bases[ids])
        return Tokens(ids, np.append(0, np.searchsorted(ends, np.cumsum(lengths)) + 1))

    def _fitting(self, windows: _Windows, family: _Family) -> NDArray[np.bool_]:
        """Tell which windows' new tokens stay what they are beside their neighbours."""
        pool, fitting = self._pool, np.ones(len(windows.rows), dtype=np.bool_)
        starts = pool.starts[windows.pieces]
        first, last = pool.ids[starts], pool.ids[starts + pool.lengths[windows.pieces] - 1]
        # Where the outermost token is as before, so is the pair.
        left = (windows.low > family.first[windows.of]) & (first != family.ids[windows.low])
        right = (windows.high < family.last[windows.of]) & (last != family.ids[windows.high])
        fitting[left] &= self._fit(family.ids[windows.low[left] - 1], first[left])
        fitting[right] &= self._fit(last[right], family.ids[windows.high[right] + 1])
        return fitting

    def _fit(self, left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell which pairs of tokens are the encoding of their strings."""
        # One number for each pair: thousands of tuples would set off the garbage collector.
        pairs = ((left.astype(np.int64) << 32) + right).tolist()
        missing = [pair for pair in dict.fromkeys(pairs) if pair not in self._fits]
        if missing:
            firsts, seconds = np.divmod(np.array(missing), 1 << 32)
            named = [[self._text[one] for one in ones.tolist()] for ones in (firsts, seconds)]
            encoded = self._apart(list(map(add, *named)))
            alone = (encoded.lengths == 2) & (encoded.ids[encoded.offsets[:-1]] == firsts)
            self._fits.update(zip(missing, alone.tolist(), strict=True))
        return np.fromiter(map(self._fits.__getitem__, pairs), np.bool_, len(pairs))

    def _assembled(
        self, originals: Numbers, family: _Family, settled: Sequence[_Windows]
    ) -> Tokens:
        """Put pieces into the places of windows; `originals` are rows of the pool, (n,)."""
        windows = _Windows(*(np.concatenate(parts) for parts in zip(*settled, strict=True)))
        windows = _Windows(*_take(windows, np.argsort(windows.rows, kind="stable")))
        n, pool, rows = len(originals), self._pool, windows.rows
        n_windows = np.bincount(rows, minlength=n)
        # Of each string: kept, piece, kept, piece, …, kept.
        firsts = np.concatenate([[0], np.cumsum(2 * n_windows + 1)])
        rank = np.arange(len(rows)) - (np.cumsum(n_windows) - n_windows)[rows]
        at = firsts[rows] + 2 * rank + 1
        begins, inside = (
            pool.starts[originals],
            pool.starts[originals][rows] - family.before[windows.of],
        )
        starts, ends = np.empty((2, firsts[-1]), dtype=np.int64)
        starts[firsts[:-1]] = begins
        ends[firsts[1:] - 1] = begins + pool.lengths[originals]
        ends[at - 1], starts[at + 1] = inside + windows.low, inside + windows.high + 1
        starts[at] = pool.starts[windows.pieces]
        ends[at] = starts[at] + pool.lengths[windows.pieces]
        lengths = ends - starts
        filled = np.cumsum(lengths)
        index = np.repeat(starts - (filled - lengths), lengths) + np.arange(filled[-1])
        return Tokens(pool.ids[index], np.concatenate([[0], filled])[firsts])


def _take(parts: Iterable[Numbers], which: NDArray[Any]) -> Iterator[Numbers]:
    return (part[which] for part in parts)


def _consensus(letters: Letters) -> str:
    """Give what most strings have in each place."""
    counts = np.stack([(letters == code).sum(axis=0) for code in LETTERS.encode()])
    return "".join(LETTERS[code] for code in counts.argmax(axis=0))
