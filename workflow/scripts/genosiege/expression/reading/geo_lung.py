"""The lung atlas of lethal COVID-19, GEO GSE171524: 2,000 genes × 116,000 nuclei.

`GSE171524_processed_data.csv.gz` has genes in rows and barcodes in its header; R may have
written the barcodes' `-` as `.`. `GSE171524_lung_metaData.txt.gz` is a table of the Single Cell
Portal: tab-separated, with column `NAME` and a second line that tells the columns' types.
The matrix was gene-selected and scaled over all nuclei by its authors.

An entry may name other columns in `label`, `id`, `donor`, `site` and `study`.

Source: Melms et al. (2021), Nature 595, 114-119, https://doi.org/10.1038/s41586-021-03569-1.
"""

import os
from collections.abc import Mapping
from typing import Any

from genosiege.expression.reading import by_gene
from genosiege.expression.reading.by_gene import Layout
from genosiege.expression.reading.phenotypes import Labels
from genosiege.expression.reading.raw import Described

Path = str | os.PathLike[str]

read = by_gene.read


def barcode(name: str) -> str:
    """Undo what R does to a column's name."""
    return name.replace(".", "-")


LAYOUT = Layout(
    labels=Labels("disease__ontology_label", ("normal", "Control"), ("COVID-19",)),
    id="NAME",
    groups={"donor": "donor_id"},
    alias=barcode,
    types="TYPE",
    latin_1=True,
)


def describe(entry: Mapping[str, Any], matrix: Path, samples: Path | None, name: str) -> Described:
    """Read the matrix' header and the table of samples; see `reading.describe`."""
    return by_gene.describe(entry, matrix, samples, name, LAYOUT)
