"""Make the report's tables of detection, each as CSV and sortable page."""

from genosiege import runtime
from genosiege.detection.tables import (
    adaptive_table,
    best_table,
    detection_table,
    roc_table,
    spectra_table,
    ssim_table,
)
from genosiege.expression.tables import reading
from genosiege.report import table_files

with runtime.script(snakemake):
    given, tails = snakemake.input, snakemake.params.tails
    cards = reading.Cards.read(given.cards)
    detection = detection_table.detection_table(given.expression, given.sequence, cards, tails)
    adaptive = adaptive_table.adaptive_table(
        given.expression_adaptive, given.sequence_adaptive, cards, tails
    )
    tables = {
        "detection": detection,
        "adaptive": adaptive,
        "best_detector": best_table.best_detector(detection, adaptive),
        "roc": roc_table.roc_table(given.expression, given.sequence, cards, tails),
        "ssim": ssim_table.ssim_table(given.ssim, cards),
        "spectra": spectra_table.spectra_table(given.expression_spectra, given.sequence_spectra),
    }
    table_files.write(tables, snakemake.output, without_page=("detection", "roc", "spectra"))
