"""Folding of a sample's genes into a rectangle, for networks that take pictures."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

# Longest side over shortest at which a rectangle without padding is still good.
_LONGEST = 2


class Grid(NamedTuple):
    """A rectangle of cells: rows × columns."""

    rows: int
    columns: int


def rectangle(n_features: int) -> Grid:
    """Choose the rectangle that a number of genes is folded into.

    Parameters
    ----------
    n_features : int
        Number of genes, p > 0.

    Returns
    -------
    Grid
        Where p = rows × columns for some rows ≤ columns ≤ 2 rows, the squarest of these: 2,881
        genes fill 43 × 67 cells. Otherwise ⌊√p⌋ rows and as many columns as it takes; the
        cells that are left over, fewer than a row has, are padding.
    """
    root = math.isqrt(n_features)
    divisors = (rows for rows in range(root, 0, -1) if n_features % rows == 0)
    rows = next(divisors)
    if n_features // rows > _LONGEST * rows:
        rows = root
    return Grid(rows, math.ceil(n_features / rows))


def whole(grid: Grid, patch: int) -> Grid:
    """Raise both sides of a rectangle to whole multiples of a patch's side."""
    return Grid(*(patch * math.ceil(side / patch) for side in grid))


def fold(values: torch.Tensor, natural: Grid, grid: Grid) -> torch.Tensor:
    """Put genes in rows, one after the other, and pad with zeros.

    Parameters
    ----------
    values : Tensor, shape (n, p)
        Scaled expression; zero is the middle of its range.
    natural : Grid
        From `rectangle`: what the genes fill.
    grid : Grid
        The same or larger (`whole`): zeros stand right and below.

    Returns
    -------
    Tensor, shape (n, 1, grid.rows, grid.columns)
        A new tensor.
    """
    cells = natural.rows * natural.columns
    filled = F.pad(values, (0, cells - values.shape[1]))
    picture = filled.reshape(-1, 1, natural.rows, natural.columns)
    return F.pad(picture, (0, grid.columns - natural.columns, 0, grid.rows - natural.rows))


def unfold(pictures: torch.Tensor, natural: Grid, n_features: int) -> torch.Tensor:
    """Take the genes out of folded samples: the inverse of `fold`; shape (n, p)."""
    kept = pictures[:, 0, : natural.rows, : natural.columns]
    return kept.reshape(len(pictures), -1)[:, :n_features]


class Fold(torch.nn.Module):
    """`fold` as the first layer of a network.

    Parameters
    ----------
    n_features : int
        Number of genes.
    patch : int
        The pictures are padded to whole patches of this side.
    """

    def __init__(self, n_features: int, patch: int = 1) -> None:
        super().__init__()
        self.natural = rectangle(n_features)
        self.grid = whole(self.natural, patch)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Give pictures (n, 1, rows, columns) of values (n, p)."""
        return fold(values, self.natural, self.grid)
