"""Draw the report's figures of detection."""

import pandas as pd

from genosiege import runtime
from genosiege.figures import detection_scores, detection_spectra, detection_tradeoff, style

DRAWN = {
    "spectra": (detection_spectra.spectra, "spectra"),
    "ssim": (detection_spectra.ssim, "ssim"),
    "roc": (detection_scores.roc, "roc"),
    "detectability": (detection_scores.detectability, "detection"),
    "undetected": (detection_tradeoff.undetected, "adaptive"),
    "tradeoff": (detection_tradeoff.tradeoff, "adaptive"),
}

with runtime.script(snakemake):
    for name, (draw, table) in DRAWN.items():
        # k and "all" stand in one column.
        read = pd.read_csv(snakemake.input[table], dtype={"seed": str, "severity": str})
        style.save(draw(read), snakemake.output[name])
