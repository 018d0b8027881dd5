"""Transfer: adversaries made against some models, scored on another from their strings alone."""

import logging
from collections.abc import Sequence

import pandas as pd

from genosiege.errors import InputError
from genosiege.sequence.answers import margins
from genosiege.sequence.encoders import SequenceModel
from genosiege.sequence.oracle import Oracle
from genosiege.sequence.results import TRANSFER_ROWS, AttackResult

log = logging.getLogger(__name__)

COLUMNS = {name: "str" if kind == "object" else kind for name, kind in TRANSFER_ROWS.items()}


def transferred(
    model: SequenceModel, task: str, sources: Sequence[AttackResult], batch_size: int
) -> pd.DataFrame:
    """Score the adversaries of several source models on a target model, in fp32.

    Parameters
    ----------
    model : SequenceModel
        The target.
    task : str
        What the target was trained on.
    sources : sequence of AttackResult
        One attack on several models, among them one on the target's task, which shows how
        long the target's sequences are. Sources of other lengths are left out.
    batch_size : int
        Sequences per forward.

    Returns
    -------
    pandas.DataFrame
        `results.TRANSFER_ROWS`, every row of every source that is kept. `flipped` asks the
        target what `success_flip` asked the source: the original right, the adversary wrong,
        and no more edits than the attack was allowed. The target as its own source so gets
        the attack's own answers.

    Raises
    ------
    InputError
        If no source is on the target's task.
    """
    own = [source for source in sources if source.task == task]
    if not own:
        raise InputError(
            f"transfer to task {task}: none of the attacks is on this task; "
            "add the attack on the target itself."
        )
    lengths = _lengths(own)
    oracle = Oracle(model, precision="fp32", batching="per_sequence", batch_size=batch_size)
    parts = []
    for source in sources:
        if source.task != task and _lengths([source]) != lengths:
            log.info(
                "%s of %s is left out: its sequences are not as long as those of %s",
                source.encoder, source.task, task,
            )  # fmt: skip
            continue
        parts.append(_scored(oracle, source))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(COLUMNS)


def _lengths(sources: Sequence[AttackResult]) -> set[int]:
    return {len(sequence) for source in sources for sequence in source.rows["original"]}


def _scored(oracle: Oracle, source: AttackResult) -> pd.DataFrame:
    """Ask about one source at a time: the same batches as when the source was rescored."""
    rows = source.rows
    labels, ids = rows["label"].to_numpy(), list(rows["id"])
    scored = rows[["attack_seed", "id", "label", "n_edits"]].assign(
        source_task=source.task,
        source_encoder=source.encoder,
        source_correct=rows["correct_before"],
        source_flipped=rows["success_flip"],
        margin_before=margins(oracle.logits(list(rows["original"]), ids), labels),
        margin_after=margins(oracle.logits(list(rows["adversarial"]), ids), labels),
    )
    scored["correct_before"] = scored["margin_before"] >= 0
    scored["flipped"] = (
        scored["correct_before"]
        & (scored["margin_after"] < 0)
        & (rows["n_edits"] <= source.max_edits)
        & rows["keeps_hard_rules"]
    )
    log.info(
        "%s of %s: %d of %d adversaries flip the target",
        source.encoder, source.task, int(scored["flipped"].sum()), len(scored),
    )  # fmt: skip
    return scored
