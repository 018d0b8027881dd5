"""Simulate expression of labelled samples, for work without a download.

`simulate_bulk` has tumours and normal tissue, as TCGA and GTEx do; `simulate_cells` has counts of
single cells of healthy and infected donors. Both draw true expression and its noise from published
models, and both keep the classes from being told apart without error: what a classifier gets
wrong on held-out samples is what an attack aims at.
"""

import gzip
import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genosiege import files
from genosiege.data import simulate_bulk, simulate_cells
from genosiege.data.simulated_table import Simulated
from genosiege.errors import InputError

log = logging.getLogger(__name__)

Settings = simulate_bulk.Bulk | simulate_cells.Cells

ASSAYS: dict[str, type[Settings]] = {
    "bulk": simulate_bulk.Bulk,
    "single_cell": simulate_cells.Cells,
}


def parameters(source: Mapping[str, Any]) -> Settings:
    """Read the parameters from a source entry of kind `simulate`.

    Parameters
    ----------
    source : mapping
        `assay` (bulk or single_cell), and any parameter of that assay.

    Raises
    ------
    InputError
        If there is no such assay or parameter, or a value is impossible.
    """
    given = {name: value for name, value in source.items() if name not in ("kind", "assay")}
    assay = source.get("assay")
    if assay not in ASSAYS:
        raise InputError(
            f"source simulate, assay {assay!r}: there is no such assay; choose from "
            f"{', '.join(ASSAYS)}."
        )
    known = [field.name for field in fields(ASSAYS[assay])]
    for name in given:
        if name not in known:
            raise InputError(
                f"source simulate, {name}: {assay} has no such parameter; choose from "
                f"{', '.join(known)}."
            )
    return ASSAYS[assay](**given)


def simulate(settings: Settings) -> Simulated:
    """Draw all samples of these settings; equal settings give equal samples."""
    if isinstance(settings, simulate_bulk.Bulk):
        return simulate_bulk.simulate(settings)
    return simulate_cells.simulate(settings)


def write(settings: Settings, path: str | os.PathLike[str]) -> None:
    """Simulate, and write one gzipped CSV; equal settings give equal bytes.

    Parameters
    ----------
    settings : Bulk or Cells
        What to simulate.
    path : path-like
        The file to be made: columns id, label, donor, site, study, then the genes GENE0001 and
        so on; one row per sample. Bulk has log2(FPKM + 0.001) with four decimals, single cells have
        counts.
    """
    drawn = simulate(settings)
    # Neither name nor time in the header: they would differ between runs.
    with (
        files.whole(path) as temporary,
        open(temporary, "wb") as handle,
        gzip.GzipFile(filename="", mode="wb", fileobj=handle, mtime=0, compresslevel=6) as packed,
    ):
        packed.write(_csv(drawn).encode())
    log.info("%s: %d simulated samples of %d genes", path, *drawn.values.shape)


def _csv(drawn: Simulated) -> str:
    lines = [",".join(("id", "label", "donor", "site", "study", *drawn.genes))]
    labels = drawn.labels.astype(np.str_)
    texts = (drawn.ids, labels, drawn.donors, drawn.sites, drawn.studies)
    for *texts_of_row, values in zip(*texts, drawn.values, strict=True):
        lines.append(",".join((*texts_of_row, *_numbers(values))))
    return "\n".join(lines) + "\n"


def _numbers(values: NDArray[Any]) -> list[str]:
    if np.issubdtype(values.dtype, np.integer):
        return [str(value) for value in values.tolist()]
    return [f"{value:.4f}" for value in values.tolist()]
