"""All that was tried on one model: its attacks and its certificate, sequence by sequence."""

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from genosiege.errors import InputError
from genosiege.sequence.results import MAX_BUDGET, AttackResult, ModelResult

MODEL = ("task", "encoder", "seed", "stage", "split")
CERTIFY = "certify"
"""What a certificate is called where attacks stand beside it."""

CERTIFIED_SPLIT = "test"


class Suite(NamedTuple):
    """The attacks on one model, and its certificate where it has one.

    Attributes
    ----------
    task, encoder, seed, stage, split
        Which model, and which sample of sequences.
    attacks : list of AttackResult
        Sorted by name.
    certificate : ModelResult or None
        Exact answers on the same sample.
    """

    task: str
    encoder: str
    seed: int
    stage: str
    split: str
    attacks: list[AttackResult]
    certificate: ModelResult | None

    @property
    def place(self) -> dict[str, str | int]:
        """The columns that tell which model and sample this is."""
        return {
            "task": self.task,
            "encoder": self.encoder,
            "seed": self.seed,
            "stage": self.stage,
            "split": self.split,
        }

    @property
    def last_budget(self) -> int:
        """Largest number of edits that anything was allowed, `MAX_BUDGET` at most."""
        allowed = [attack.max_edits for attack in self.attacks]
        if self.certificate is not None:
            allowed.append(int(self.certificate.rows["k"].max()))
        return min(MAX_BUDGET, max(allowed, default=0))

    def sequences(self) -> pd.DataFrame:
        """Tell of each sequence its label, and whether the model is right about it.

        Returns
        -------
        pandas.DataFrame
            Index id; columns label, correct. `correct` is what all tables agree on: where
            rounding decides, they might not, and the worst case takes the worse.

        Raises
        ------
        InputError
            If the tables are not about the same sequences.
        """
        parts = [attack.rows[["id", "label", "correct_before"]] for attack in self.attacks]
        if self.certificate is not None:
            rows = self.certificate.rows
            right = rows["status"] != "skipped_misclassified"
            parts.append(rows[["id", "label"]].assign(correct_before=right))
        ids = set(parts[0]["id"])
        if any(set(part["id"]) != ids for part in parts[1:]):
            raise InputError(
                f"{self.task}, {self.encoder}, seed {self.seed}, {self.stage}: its attacks and "
                "its certificate are not about the same sequences; make these tables again."
            )
        by_id = pd.concat(parts).groupby("id", sort=False)
        return by_id.agg(label=("label", "first"), correct=("correct_before", "all"))

    def flips(self) -> pd.DataFrame:
        """Find for each attack and sequence the flip of fewest edits, over all attack seeds.

        Returns
        -------
        pandas.DataFrame
            Columns attack, id, n_edits, edits. `CERTIFY` stands after the attacks. Flips
            count up to `last_budget`, also where the attack itself was allowed fewer edits,
            and only where they break no hard rule and the model is right about the original.
        """
        columns = ["id", "n_edits", "edits"]
        parts = []
        for attack in self.attacks:
            won = attack.rows["flipped"] & attack.rows["keeps_hard_rules"]
            found = attack.rows.loc[won, columns]
            parts.append(found.assign(attack=attack.attack))
        if self.certificate is not None:
            rows = self.certificate.rows
            found = rows.loc[rows["status"] == "flipped", columns]
            parts.append(found.assign(attack=CERTIFY))
        sequences = self.sequences()
        right = sequences.index[sequences["correct"]]
        flips = pd.concat(parts)[["attack", *columns]]
        flips = flips[flips["id"].isin(right) & (flips["n_edits"] <= self.last_budget)]
        # A stable sort: of equal flips the first attack seed's, in the order of the attacks.
        flips = flips.sort_values("n_edits", kind="stable")
        return flips.drop_duplicates(["attack", "id"]).reset_index(drop=True)

    def withstood(self) -> "pd.Series[bool]":
        """Tell of each sequence, by id, whether the model is right and nothing flips it."""
        correct = self.sequences()["correct"]
        return correct & ~correct.index.isin(self.flips()["id"])


def suites(
    attacks: Iterable[AttackResult], certificates: Iterable[ModelResult] = ()
) -> list[Suite]:
    """Bring together what was tried on each model, sorted by `MODEL`."""
    of_model: dict[_Place, list[AttackResult]] = {}
    for attack in attacks:
        of_model.setdefault((*_model(attack), attack.split), []).append(attack)
    certified = {(*_model(found), CERTIFIED_SPLIT): found for found in certificates}
    return [
        Suite(
            *place,
            sorted(of_model.get(place, []), key=lambda attack: attack.attack),
            certified.get(place),
        )
        for place in sorted({*of_model, *certified})
    ]


_Place = tuple[str, str, int, str, str]


def _model(found: AttackResult | ModelResult) -> tuple[str, str, int, str]:
    return found.task, found.encoder, found.seed, found.stage
