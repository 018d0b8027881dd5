"""Whether an encoder can read a task: found out before anything is trained or attacked.

A model that cannot read its input answers every sequence alike, which looks like robustness. So
a task is refused where a base is unknown to the tokenizer, where too many bases of a split are
lost in unknown tokens, where different rows become the same ids, and where a row has more tokens
than the model has positions.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genosiege.errors import InputError
from genosiege.sequence import encoders, prediction
from genosiege.sequence.kmer_tokenizer import KmerTokenizer, TokenOptions
from genosiege.sequence.tokenizer import BASES, Spans, Tokenizer, Tokens

log = logging.getLogger(__name__)

LARGEST_UNKNOWN_SHARE = 0.01
"""Share of a split's bases, N apart, that may be lost in unknown tokens."""

# Rows that are looked at at once; bounds the memory of a whole split.
_CHUNK = 1024
# Rows by which options of `tokens` are tried out for an advice.
_TRIED = 100
_KMERS = (6, 5, 4, 3)
_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"case": "lower"},
    *({"kmer": k} | case for k in _KMERS for case in ({}, {"case": "lower"})),
)


@dataclass(frozen=True)
class Reader:
    """Which encoder is to read which task.

    Attributes
    ----------
    encoder, task : str
        Their names in the catalogues.
    spec : mapping
        The encoder's entry.
    paths : sequence of str
        Its files, see `encoders.locate`.
    n_classes : int
        Number of classes of the task.
    """

    encoder: str
    task: str
    spec: Mapping[str, Any]
    paths: Sequence[str]
    n_classes: int


class Reading(NamedTuple):
    """The tokens of each split, the id that pads them, and what was found."""

    tokens: dict[str, Tokens]
    pad_id: int
    report: dict[str, Any]


class _Row(NamedTuple):
    id: str
    sequence: str


def read(reader: Reader, tables: Mapping[str, pd.DataFrame]) -> Reading:
    """Tokenize a task, and make sure that the model can read it.

    Parameters
    ----------
    reader : Reader
        The encoder and the task.
    tables : mapping of DataFrame
        Of each split, with columns `id` and `sequence`.

    Raises
    ------
    InputError
        With the encoder, the task and a remedy, if the encoder cannot read the task.
    """
    # What is wrong with files is said of the files.
    encoders.locate(reader.paths)
    try:
        return _read(reader, tables)
    except InputError as error:
        raise InputError(f"encoder {reader.encoder}, task {reader.task}: {error}") from error


def _read(reader: Reader, tables: Mapping[str, pd.DataFrame]) -> Reading:
    tokenizer = encoders.make_tokenizer(reader.spec, reader.paths)
    limit = encoders.position_limit(reader.spec, reader.paths)
    sample = next(iter(tables.values()))["sequence"].tolist()[:_TRIED]
    unknown = unknown_bases(tokenizer)
    if unknown:
        raise InputError(f"{_listed(unknown)} unknown to its tokenizer; {_remedy(reader, sample)}.")
    tokens, splits, longest = {}, {}, _Row("", "")
    most, seen = 0, dict[bytes, _Row]()
    for name, table in tables.items():
        rows = [_Row(*row) for row in zip(table["id"], table["sequence"], strict=True)]
        tokens[name], share = _tokenized(tokenizer, rows)
        if share > LARGEST_UNKNOWN_SHARE:
            raise InputError(
                f"{share:.1%} of the bases of split {name} are in tokens that its tokenizer does "
                f"not know (at most {LARGEST_UNKNOWN_SHARE:.0%}); {_remedy(reader, sample)}."
            )
        _check_ends(tokenizer, rows)
        _check_apart(tokens[name], rows, seen)
        at = int(np.argmax(tokens[name].lengths))
        n_tokens = int(tokens[name].lengths[at])
        _check_length(rows[at], n_tokens, limit.most)
        if n_tokens > most:
            most, longest = n_tokens, rows[at]
        splits[name] = {"n": len(rows), "unknown_share": share, "most_tokens": n_tokens}
    if not limit.known:
        _try_out(reader, longest)
    report = {
        "encoder": reader.encoder,
        "task": reader.task,
        "position_limit": limit.most,
        "tried_out": None if limit.known else longest.id,
        "splits": splits,
    }
    log.info("%s", report)
    return Reading(tokens, tokenizer.pad_id, report)


def unknown_bases(tokenizer: Tokenizer) -> str:
    """Give the bases that are in no word that the tokenizer knows."""
    words = list(tokenizer.words)
    tokens = tokenizer.encode(words)
    row = np.repeat(np.arange(len(words)), tokens.lengths)
    # Some tokenizers leave out what they do not know.
    known = tokens.lengths > len(tokenizer.encode([""]).ids)
    known[row[tokens.ids == tokenizer.unknown_id]] = False
    read = {base for word, one in zip(words, known, strict=True) if one for base in word}
    return "".join(base for base in BASES if base not in read)


def _tokenized(tokenizer: Tokenizer, rows: Sequence[_Row]) -> tuple[Tokens, float]:
    """Give the tokens of a split, and the share of its bases that are lost."""
    ids, lengths, lost, n_bases = [], [], 0.0, 0
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        tokens, spans = _encoded(tokenizer, chunk)
        sequences = [row.sequence for row in chunk]
        n_bases += (n_here := sum(len(text) - text.count("N") for text in sequences))
        if spans is None:
            # Which bases it stands for is not told: a token counts like any other.
            n_special = len(tokenizer.encode([""]).ids) * len(chunk)
            n_unknown = np.count_nonzero(tokens.ids == tokenizer.unknown_id)
            lost += n_here * n_unknown / max(len(tokens.ids) - n_special, 1)
        else:
            lost += n_lost(tokens, spans, sequences, tokenizer.unknown_id)
        ids.append(tokens.ids)
        lengths.append(tokens.lengths)
    offsets = np.append(0, np.cumsum(np.concatenate(lengths)))
    return Tokens(np.concatenate(ids), offsets), lost / max(n_bases, 1)


def _encoded(tokenizer: Tokenizer, rows: Sequence[_Row]) -> tuple[Tokens, Spans | None]:
    sequences = [row.sequence for row in rows]
    try:
        return tokenizer.encode_spans(sequences)
    except InputError:
        pass
    try:
        return tokenizer.encode(sequences), None
    except InputError:
        for row in rows:
            try:
                tokenizer.encode([row.sequence])
            except InputError as error:
                raise InputError(f"row {row.id}, {error}") from error
        raise


def n_lost(tokens: Tokens, spans: Spans, sequences: Sequence[str], unknown_id: int | None) -> float:
    """Count the bases, N apart, that are lost in unknown tokens.

    A base is lost where no token covers it but unknown ones. Of a base that several k-mers cover,
    the share is lost that unknown ones have of them; those that hold an N do not count, as no
    vocabulary knows them.

    Parameters
    ----------
    tokens : Tokens
        Of `sequences`.
    spans : Spans
        Which bases of its sequence each token stands for.
    sequences : sequence of str
        ACGTN.
    unknown_id : int or None
        The id of an unknown token.
    """
    is_n = np.frombuffer("".join(sequences).encode(), dtype=np.uint8) == ord("N")
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    origins = np.repeat(np.cumsum(lengths) - lengths, tokens.lengths)
    size = spans[:, 1] - spans[:, 0]
    token = np.repeat(np.arange(len(size)), size)
    within = np.arange(len(token)) - (np.cumsum(size) - size)[token]
    base = (origins + spans[:, 0])[token] + within
    unknown = (tokens.ids == unknown_id)[token]
    clear = np.bincount(token, weights=is_n[base], minlength=len(size))[token] == 0

    def count(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(base[which], minlength=len(is_n))

    among_clear = count(unknown & clear) / np.maximum(count(clear), 1)
    share = np.where(count(~unknown) == 0, 1.0, among_clear)
    return float(share[~is_n].sum())


def _check_ends(tokenizer: Tokenizer, rows: Sequence[_Row]) -> None:
    if not isinstance(tokenizer, KmerTokenizer):
        return
    for row in rows:
        end = tokenizer.unknown_end(row.sequence)
        if end:
            raise InputError(
                f"row {row.id}: its last bases, {end}, are no whole k-mer, and no token of the "
                "vocabulary; cut the sequences to whole k-mers."
            )


def _check_apart(tokens: Tokens, rows: Sequence[_Row], seen: dict[bytes, _Row]) -> None:
    """Refuse two rows of equal ids and different bases; note these rows for the next split."""
    borders = zip(tokens.offsets[:-1].tolist(), tokens.offsets[1:].tolist(), rows, strict=True)
    for start, end, row in borders:
        digest = hashlib.blake2b(tokens.ids[start:end].tobytes(), digest_size=16).digest()
        first = seen.setdefault(digest, row)
        if first.sequence != row.sequence and _differ(first.sequence, row.sequence):
            raise InputError(
                f"rows {first.id} and {row.id} have different bases, and the same tokens; use a "
                "model whose tokenizer tells them apart."
            )


def _differ(one: str, other: str) -> bool:
    if len(one) != len(other):
        return one.replace("N", "") != other.replace("N", "")
    return any(a != b and "N" not in (a, b) for a, b in zip(one, other, strict=True))


def _check_length(row: _Row, n_tokens: int, most: int | None) -> None:
    if most is not None and n_tokens > most:
        raise InputError(
            f"row {row.id} has {n_tokens} tokens, the model takes at most {most}; use another "
            "model or a task with shorter sequences."
        )


def _try_out(reader: Reader, row: _Row) -> None:
    """Ask a model of an architecture that is not known about the longest row."""
    model = encoders.build(reader.spec, reader.paths, reader.n_classes)
    try:
        logits = prediction.predict(model, model.tokenizer.encode([row.sequence]))
    # Whatever a network of others may raise.
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the model fails on row {row.id}, the longest ({said}); use another model or a task "
            "with shorter sequences."
        ) from error
    if not np.isfinite(logits).all():
        raise InputError(
            f"the model gives no finite numbers for row {row.id}, the longest; use another model "
            "or a task with shorter sequences."
        )


def _remedy(reader: Reader, sequences: Sequence[str]) -> str:
    """Find the options of `tokens` with which the encoder reads these sequences."""
    given = TokenOptions.of(reader.spec)
    for options in _OPTIONS if reader.spec["kind"] == "hf" else ():
        spec = {**reader.spec, "tokens": options}
        if TokenOptions(**options) == given or not _reads(spec, reader.paths, sequences):
            continue
        if not options:
            return f"leave tokens out of encoders/{reader.encoder}"
        told = ", ".join(f"{key}: {value}" for key, value in options.items())
        k = options.get("kmer")
        apart = f" (and stride: {k} if its k-mers do not overlap)" if k else ""
        return f"add tokens: {{{told}}} to encoders/{reader.encoder}{apart}"
    return _remedy_in(encoders.make_tokenizer(reader.spec, reader.paths), reader.encoder)


def _remedy_in(tokenizer: Tokenizer, encoder: str) -> str:
    """Look into a vocabulary that no options of `tokens` lead to."""
    sizes = Counter(len(token) for token in tokenizer.vocabulary if set(token) <= set(BASES))
    if not sizes:
        return (
            "its vocabulary is not one of DNA; use a model of the genome, with the tokenizer it "
            "was trained with"
        )
    k = next((k for k in _KMERS if sizes[k] > len(BASES) ** k // 2), None)
    words = f"add tokens: {{kmer: {k}}} to encoders/{encoder}, and " if k else ""
    return (
        f"its vocabulary has DNA in upper case, which its tokenizer does not keep: {words}save it "
        "with do_lower_case: false"
    )


def _reads(spec: Mapping[str, Any], paths: Sequence[str], sequences: Sequence[str]) -> bool:
    try:
        tokenizer = encoders.make_tokenizer(spec, paths)
        if unknown_bases(tokenizer):
            return False
        _, share = _tokenized(tokenizer, [_Row("", sequence) for sequence in sequences])
    except InputError:
        return False
    return share <= LARGEST_UNKNOWN_SHARE


def _listed(bases: str) -> str:
    if len(bases) == 1:
        return f"{bases} is"
    return f"{', '.join(bases[:-1])} and {bases[-1]} are"
