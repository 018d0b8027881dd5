"""Small files of expression data in the formats that are read."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TOIL = {"format": "toil", "values": "log"}
GEO = {"format": "geo_lung", "values": "log"}
CSV = {"format": "csv", "id": "name", "values": "log"}
H5AD = {"format": "h5ad", "label": {"column": "disease", "negative": ["normal"], "positive": ["C"]}}

PHENOTYPES = {
    "TCGA-AA-0001-01": ("Primary Tumor", "Lung", "TCGA"),
    "TCGA-AA-0001-11": ("Solid Tissue Normal", "Lung", "TCGA"),
    "TCGA-AA-0002-03": ("Primary Blood Derived Cancer - Peripheral Blood", "Blood", "TCGA"),
    "TARGET-20-PABCDE-04": ("Recurrent Blood Derived Cancer - Bone Marrow", "Blood", "TARGET"),
    "TCGA-AA-0003-06": ("Metastatic", "Skin", "TCGA"),
    "TCGA-AA-0004-07": ("Additional Metastatic", "Skin", "TCGA"),
    "TCGA-AA-0005-05": ("Additional - New Primary", "Skin", "TCGA"),
    "GTEX-S4Q7-0003-SM-3NM8M": ("Normal Tissue", "SympatheticÊNervous System", "GTEX"),
    "K-562-SM-2HMJK": ("Cell Line", "Bone Marrow", "GTEX"),
    "TARGET-20-PAXYZW-40": ("Post treatment Blood Cancer - Blood", "Blood", "TARGET"),
    "TCGA-AA-0006-20": ("Control Analyte", "Liver", "TCGA"),
    "TCGA-AA-0007-02": ("Recurrent Tumor", "Brain", "TCGA"),
}
"""Sample: type, site, study."""


def text(path: Path, lines: Sequence[str], encoding: str = "utf-8") -> Path:
    """Write lines, packed if the name ends in .gz."""
    data = "".join(f"{line}\n" for line in lines).encode(encoding)
    # Without a time, so that the same lines give the same bytes.
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def rows(
    genes: Sequence[str], values: np.ndarray, separator: str = "\t", form: str = "{:.4f}"
) -> list[str]:
    """Give lines of a gene and its values."""
    return [
        separator.join([gene, *(form.format(value) for value in row)])
        for gene, row in zip(genes, values, strict=True)
    ]


def toil(
    folder: Path, values: np.ndarray, samples: Sequence[str], genes: Sequence[str] | None = None
) -> Path:
    """Write a matrix as the Toil hub does; values of shape (genes, samples)."""
    genes = genes or [f"ENSG{number:011d}.1" for number in range(len(values))]
    return text(folder / "toil.gz", ["\t".join(["sample", *samples]), *rows(genes, values)])


def phenotypes(
    folder: Path,
    table: Mapping[str, tuple[str, str, str]] = PHENOTYPES,
    separator: str = "\t",
    encoding: str = "latin-1",
) -> Path:
    """Write a phenotype table as the Toil hub does."""
    columns = ["sample", "detailed_category", "_primary_site", "_sample_type", "_study"]
    lines = [separator.join(columns)]
    lines += [
        separator.join([name, "a detail", site, kind, study])
        for name, (kind, site, study) in table.items()
    ]
    return text(folder / "phenotype.txt.gz", lines, encoding)


def table(folder: Path, frame: pd.DataFrame, name: str = "table.csv.gz") -> Path:
    """Write a table with samples in rows."""
    frame.to_csv(folder / name, index=False)
    return folder / name


def annotated(
    folder: Path, matrix: Any, obs: pd.DataFrame, genes: Sequence[str], **parts: Any
) -> Path:
    """Write an h5ad."""
    import anndata

    data = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=list(genes)), **parts)
    data.write_h5ad(folder / "data.h5ad")
    return folder / "data.h5ad"
