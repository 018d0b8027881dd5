"""Lists of known variants: read a VCF or a table, and hold it against the sequences."""

import functools
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from genosiege.data import tables
from genosiege.data.tables import Form, shown
from genosiege.errors import InputError
from genosiege.sequence.constraints import BASES

log = logging.getLogger(__name__)

# As `prepare_task` names rows.
_ID = re.compile(r"(train|dev|test):[0-9]+")
_LETTERS = frozenset(BASES + "N")
_VCF_COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT")
_TABLE_COLUMNS = ("id", "position", "ref", "alt")
_TABLES = (".tsv", ".csv", ".txt")


@dataclass(frozen=True, order=True)
class Variant:
    """Substitutions that come together: one allele of a population, or one clinical finding.

    Attributes
    ----------
    start : int
        0-based position of the first base of `ref`.
    ref, alt : str
        What the sequence has and what it becomes; ACGTN, equally long, not equal.
    place : str
        File and line, for errors.
    """

    start: int
    ref: str
    alt: str
    place: str = field(compare=False)

    @functools.cached_property
    def edits(self) -> dict[int, str]:
        """Its substitutions: positions where `ref` and `alt` differ, ascending."""
        pairs = zip(self.ref, self.alt, strict=True)
        return {self.start + i: new for i, (old, new) in enumerate(pairs) if old != new}

    def overlaps(self, other: "Variant") -> bool:
        """Whether a sequence cannot have both: their spans, first to last edit, overlap."""
        return min(self.edits) <= max(other.edits) and min(other.edits) <= max(self.edits)

    def check(self, sequence: str) -> None:
        """Hold it against the sequence it is about.

        Raises
        ------
        InputError
            If it lies outside the sequence, or `ref` is not what stands there.
        """
        end = self.start + len(self.ref)
        if end > len(sequence):
            raise InputError(
                f"{self.place}: the variant reaches to base {end} of the sequence, which has "
                f"{len(sequence)}; correct the position."
            )
        found = sequence[self.start : end]
        if found != self.ref:
            raise InputError(
                f"{self.place}, ref {shown(self.ref)}: the sequence has {shown(found)} there; "
                "correct the row, or take variants of this very sequence."
            )


class _Entry(NamedTuple):
    """One line, still text but for the position, which counts from 0."""

    identity: str
    position: int
    ref: str
    alt: str
    place: str


@functools.cache
def read(path: str, form: Form = tables.PLAIN) -> Mapping[str, tuple[Variant, ...]]:
    """Read a list of variants.

    Parameters
    ----------
    path : str
        A VCF (`.vcf`), whose CHROM is a sequence's id and POS counts from 1; or a table
        (`.tsv`, `.csv`, `.txt`; see `tables.read`) with the columns id, position (counted from
        0, as in all tables of this project), ref and alt. Either may be compressed (`.gz`).
        Several alternatives are separated by commas. The header line of a VCF may be missing, and
        of its lines everything behind ALT; an ALT of `.` says that there is no variant.
    form : Form
        How it is written; a VCF has tabs.

    Returns
    -------
    mapping of str to tuple of Variant
        The variants of each sequence id, each once, by position.

    Raises
    ------
    InputError
        If the file is missing or of another format, or a line has too few columns, a wrong
        position, a wrong base, a symbolic allele, or alleles of unequal length (indels are
        no substitutions) or without difference. File and line are named.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    kind = "".join(suffixes[-2:-1] if suffixes[-1:] in ([".gz"], [".bgz"]) else suffixes[-1:])
    if kind not in (".vcf", *_TABLES):
        raise InputError(
            f"{path}: give variants as .vcf or as a table ({', '.join(_TABLES)}), plain or .gz."
        )
    entries = _vcf_entries(path, form) if kind == ".vcf" else _table_entries(path, form)
    found: dict[str, dict[Variant, None]] = {}
    for entry in entries:
        for allele in entry.alt.split(","):
            found.setdefault(entry.identity, {})[_variant(entry, allele)] = None
    if found and not any(_ID.fullmatch(identity) for identity in found):
        raise InputError(
            f"{path}: none of its rows names a sequence, {shown(next(iter(found)))} for one; a "
            'sequence is named by official split and row, such as "test:17".'
        )
    log.info("%s: %d variants of %d sequences", path, sum(map(len, found.values())), len(found))
    return {identity: tuple(sorted(variants)) for identity, variants in found.items()}


def _vcf_entries(path: str, form: Form) -> Iterator[_Entry]:
    with tables.text(path, path, form.encoding) as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("#") or not line.strip():
                continue
            place, values = f"{path}, line {number}", line.split("\t")
            if len(values) < len(_VCF_COLUMNS):
                raise InputError(
                    f"{place}: the column {_VCF_COLUMNS[len(values)]} is missing; columns are "
                    "separated by tabs."
                )
            chrom, position, _, ref, alt = (value.strip() for value in values[:5])
            if alt != ".":
                yield _Entry(chrom, _whole(position, 1, place) - 1, ref, alt, place)


def _table_entries(path: str, form: Form) -> Iterator[_Entry]:
    table = tables.read(path, path, _TABLE_COLUMNS, form=form)
    for line, row in zip(table.lines, table.rows, strict=True):
        identity, position, ref, alt = map(str.strip, row)
        place = f"{path}, line {line}"
        yield _Entry(identity, _whole(position, 0, place), ref, alt, place)


def _whole(text: str, lowest: int, place: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= lowest):
        raise InputError(
            f"{place}, position {shown(text)}: a position is a whole number from {lowest}; "
            "correct it."
        )
    return int(text)


def _variant(entry: _Entry, allele: str) -> Variant:
    ref, alt = entry.ref.upper(), allele.strip().upper()
    where = f"{entry.place}, ref {shown(entry.ref)}, alt {shown(allele)}"
    if alt == "*" or set(alt) & set("<>[]"):
        raise InputError(f"{where}: a symbolic allele is no substitution; remove it.")
    for letters in (ref, alt):
        if not letters or set(letters) - _LETTERS:
            raise InputError(f"{where}: alleles are written with A, C, G and T; correct the row.")
    if len(ref) != len(alt):
        raise InputError(f"{where}: insertions and deletions are no substitutions; remove it.")
    changed = [i for i, (old, new) in enumerate(zip(ref, alt, strict=True)) if old != new]
    if not changed:
        raise InputError(f"{where}: the two are equal; remove the row.")
    if any("N" in (ref[i], alt[i]) for i in changed):
        raise InputError(f"{where}: an N is neither edited nor written; remove the row.")
    return Variant(entry.position, ref, alt, entry.place)
