r"""The Toil recompute of TCGA, TARGET and GTEx (UCSC Xena): a gzip table of genes × samples.

Values are log2(fpkm + 0.001). The phenotype table has, besides `sample`, the columns
`_sample_type` (tumour or normal), `_primary_site` and `_study`; it is Latin-1 and separated by
tabs at its source, and may be any text table here.

An entry may name other columns in `label`, `id`, `donor`, `site` and `study`. Without `donor`,
a sample's donor is read from its barcode: TCGA-XX-YYYY-…, TARGET-NN-YYYYYY-…, GTEX-YYYYY-….

Sources: Vivian et al. (2017), Nat. Biotechnol. 35, 314-316, https://doi.org/10.1038/nbt.3772;
barcodes: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/.
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

LABELS = Labels(
    column="_sample_type",
    negative=("Solid Tissue Normal", "Normal Tissue"),
    positive=(
        "Primary Tumor",
        "Primary Solid Tumor",
        "Recurrent Tumor",
        "Recurrent Solid Tumor",
        "Metastatic",
        "Additional Metastatic",
        "Primary Blood Derived Cancer - Bone Marrow",
        "Primary Blood Derived Cancer - Peripheral Blood",
        "Recurrent Blood Derived Cancer - Bone Marrow",
        "Recurrent Blood Derived Cancer - Peripheral Blood",
    ),
    exclude=(
        "Cell Line",
        "Control Analyte",
        "Additional - New Primary",
        "Post treatment Blood Cancer - Blood",
        "Post treatment Blood Cancer - Bone Marrow",
        "",
    ),
)
"""Sample types of tumours and of normal tissue; cultured, control and treated ones are left out."""

DONOR_FIELDS = {"TCGA": 3, "TARGET": 3, "GTEX": 2}
"""How many fields of a barcode name the donor."""


def donor(barcode: str) -> str:
    """Give the part of a barcode that names the donor, "" where there is none.

    Examples
    --------
    >>> donor("TCGA-V4-A9EE-01"), donor("GTEX-S4Q7-0003-SM-3NM8M"), donor("K-562-SM-2HMJK")
    ('TCGA-V4-A9EE', 'GTEX-S4Q7', '')
    """
    parts = barcode.split("-")
    n = DONOR_FIELDS.get(parts[0], 0)
    return "-".join(parts[:n]) if len(parts) >= n else ""


LAYOUT = Layout(
    labels=LABELS,
    id="sample",
    groups={"site": "_primary_site", "study": "_study"},
    donor=donor,
    latin_1=True,
)


def describe(entry: Mapping[str, Any], matrix: Path, samples: Path | None, name: str) -> Described:
    """Read the matrix' header and the table of samples; see `reading.describe`."""
    return by_gene.describe(entry, matrix, samples, name, LAYOUT)
