"""Bring together what was measured in the rounds of one defence."""

from genosiege import files, runtime
from genosiege.sequence import outcomes, results, rounds

with runtime.script(snakemake):
    given, names = snakemake.input, snakemake.wildcards
    place = rounds.Place(names.task, names.encoder, int(names.seed), names.defence)
    decisions = [files.read_json(path) for path in given.decision]
    measured = rounds.Measured(
        metrics=[files.read_json(path) for path in given.metrics],
        attacks=[results.read_attack(path, rounds.BIOLOGY) for path in given.attacks],
        training_attacks=[results.read_attack(path) for path in given.training_attacks],
        descriptions=[files.read_json(path) for path in given.descriptions],
        replays=[results.read_replay(path) for path in given.replays],
        decision=decisions[0] if decisions else None,
    )
    compared = outcomes.Compared(
        predictions=[results.read_predictions(path) for path in given.predictions],
        black_box=[measured.attacks[0], measured.attacks[-1]],
        replay=measured.replays[-1] if measured.replays else None,
        suite_before=[results.read_attack(path) for path in given.suite_before],
        suite_after=[results.read_attack(path) for path in given.suite_after],
        certificates=[results.read_certificate(path) for path in given.certificates],
        transfers=[results.read_transfer(path) for path in given.transfers],
        descriptions=measured.descriptions,
        reverse=next(map(results.read_reverse_replay, given.reverse_replays), None),
        transfers_count=snakemake.params.transfers_count,
    )
    table = rounds.rounds_table(place, snakemake.params.defence, measured)
    files.write_parquet(table, snakemake.output.rounds)
    files.write_parquet(outcomes.outcomes_table(place, compared), snakemake.output.outcomes)
