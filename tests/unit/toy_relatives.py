"""Families of relatives, and what makes two rows relatives, told by comparing them."""

import numpy as np

from genosiege.data.leakage import Definition

SMALL = Definition(block_length=3, shared_blocks=3, shared_kmer=11)
Rows = list[str]


def reverse_complement(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def n_shared_blocks(one: str, other: str, what: Definition) -> int:
    length = what.block_length
    n = min(len(one), len(other)) // length
    pairs = [[row[i * length : (i + 1) * length] for row in (one, other)] for i in range(n)]
    return sum(a == b and "N" not in a for a, b in pairs)


def share_blocks(one: str, other: str, what: Definition) -> bool:
    return n_shared_blocks(one, other, what) >= what.shared_blocks


def share_kmer(one: str, other: str, what: Definition) -> bool:
    k = what.shared_kmer
    found = {other[i : i + k] for i in range(len(other) - k + 1)}
    return any(
        one[i : i + k] in found and "N" not in one[i : i + k] for i in range(len(one) - k + 1)
    )


def share_kmer_on_either_strand(one: str, other: str, what: Definition) -> bool:
    return share_kmer(one, other, what) or share_kmer(one, reverse_complement(other), what)


def related(one: str, other: str, what: Definition) -> bool:
    return (
        one == other
        or share_blocks(one, other, what)
        or share_kmer_on_either_strand(one, other, what)
    )


def draw(rng: np.random.Generator, length: int, letters: str = "ACGT") -> str:
    return "".join(rng.choice(list(letters), length))


def family(rng: np.random.Generator, n: int) -> Rows:
    """Rows with everything that makes relatives: chimeras, shifts, strands, twins, short, N."""
    rows = [draw(rng, int(rng.integers(4, 40))) for _ in range(n // 2)]
    while len(rows) < n:
        parent = rows[rng.integers(len(rows))]
        match rng.integers(6):
            case 0:
                blocks = [parent[i : i + 3] for i in range(0, len(parent), 3)]
                made = "".join(b if rng.random() < 0.4 else draw(rng, len(b)) for b in blocks)
            case 1:
                made = draw(rng, int(rng.integers(1, 9))) + parent[: int(rng.integers(8, 20))]
            case 2:
                made = draw(rng, 4) + reverse_complement(parent)[: int(rng.integers(8, 20))]
            case 3:
                made = parent
            case 4:
                at = int(rng.integers(len(parent)))
                made = parent[:at] + "N" + parent[at + 1 :]
            case _:
                made = "A" * 12 + draw(rng, 12)
        rows.append(made)
    return rows
