"""Make the report's tables of what all attacks, certificates and transfers together say."""

from pathlib import Path

from genosiege import runtime
from genosiege.report import table_files
from genosiege.sequence import (
    audit,
    by_class,
    known_truth,
    results,
    vulnerable,
    warning_signs,
    worst_case,
)

with runtime.script(snakemake):
    given, kinds = snakemake.input, snakemake.params.kinds
    metrics = [results.read_metrics(path) for path in given.metrics]
    attacks = [results.read_attack(path, known_truth.ROWS) for path in given.attacks]
    certificates = [results.read_certificate(path) for path in given.certificates]
    latent = [attack for path in given.latent for attack in results.read_latent(path)]
    transfers = [results.read_transfer(path) for path in given.transfer]
    predictions = [results.read_predictions(path) for path in given.predictions]
    tests = {Path(path).parent.name: by_class.read_relatives(path) for path in given.tests}
    tables = {
        "worst_case": worst_case.worst_case_table(attacks, certificates),
        "warnings": warning_signs.warnings_table(attacks, kinds, metrics),
        "vulnerable": vulnerable.vulnerable_table(attacks, certificates, kinds),
        "certify": audit.certify_table(certificates),
        "transfer": audit.transfer_table(transfers),
        "latent": audit.latent_table(latent),
        "known_truth": known_truth.known_truth_table(attacks, snakemake.params.truths),
        "by_class": by_class.by_class_table(predictions, tests, attacks, certificates),
    }
    table_files.write(tables, snakemake.output)
