"""Which examples a round of hardening trains on: adversaries, clean originals, random mutants.

Every draw has a stream of its own that belongs to model, round and purpose, but not to the
defence: two defences that need the same sort of example get the same ones, as far as their
attacks found the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from genosiege import runtime
from genosiege.errors import InputError
from genosiege.sequence.attacks import Edits, sparse
from genosiege.sequence.constraints import Bound, Constraints
from genosiege.sequence.draws import Draws
from genosiege.sequence.results import AttackResult
from genosiege.sequence.training_rows import ATTACKING, CRITERIA, successful, training_side

CONTROLS = ("clean_only", "random_mutants")
"""Defences that train as long on sequences that no attack made."""
SOURCES = ("train", "test")
"""Splits whose sequences may be attacked for training; `test` is the published leak."""

# Draws of a mutant after which fewer edits than wanted are taken.
_MOST_TRIES = 30


@dataclass(frozen=True)
class Choice:
    """Which examples a defence takes each round, named as in the configuration.

    Attributes
    ----------
    kind : str
        `adversarial_only`, `mixed`, `clean_only` or `random_mutants`.
    examples_per_round : int
        Most examples drawn for a round; `mixed` draws as many clean rows beside them.
    cumulative : bool
        Train on the examples of all rounds up to this one.
    attack : str
        Name of the attack that finds the adversaries.
    adversaries : str
        What counts as one; see `training_rows.successful`.
    adversary_source : str
        The split that is attacked: `train`, or `test`, the published leak.
    train_attack_samples : int or None
        How many sequences of the test sample are attacked for training under the leak, None
        for all. The sample of the train split has that size already.
    max_edits : int
        Most edits of a random mutant.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    kind: str
    examples_per_round: int = 5
    cumulative: bool = False
    attack: str = "genetic"
    adversaries: str = "flip"
    adversary_source: str = "train"
    train_attack_samples: int | None = 200
    max_edits: int = 10

    def __post_init__(self) -> None:
        for name, values in (
            ("kind", (*ATTACKING, *CONTROLS)),
            ("adversaries", CRITERIA),
            ("adversary_source", SOURCES),
        ):
            if getattr(self, name) not in values:
                raise InputError(
                    f"hardening, {name} {getattr(self, name)!r}: choose one of {', '.join(values)}."
                )
        for name in ("examples_per_round", "max_edits", "train_attack_samples"):
            value = getattr(self, name)
            if name == "train_attack_samples" and value is None:
                continue
            if type(value) is not int or value < 1:
                raise InputError(f"hardening, {name} {value!r}: give a positive integer.")
        if type(self.cumulative) is not bool:
            raise InputError(f"hardening, cumulative {self.cumulative!r}: give true or false.")

    @classmethod
    def from_config(cls, options: Mapping[str, Any]) -> Self:
        """Take the options given, and the defaults for the rest.

        Raises
        ------
        InputError
            If an option is unknown or out of range, or the kind is missing.
        """
        unknown = set(options) - {field.name for field in fields(cls)}
        if unknown:
            raise InputError(f"hardening, {min(unknown)}: there is no such option; remove it.")
        if "kind" not in options:
            raise InputError("hardening, kind: it is missing; say which defence this is.")
        return cls(**options)

    @property
    def attacking(self) -> bool:
        """Whether the defence trains on adversaries, and no control."""
        return self.kind in ATTACKING


class Round(NamedTuple):
    """One round of a defence's training: whose it is, and its number, from 1 on."""

    task: str
    encoder: str
    seed: int
    number: int

    def stream(self, purpose: str) -> np.random.Generator:
        """Make the random stream of this model and round for a purpose."""
        return runtime.stream(*self, "hardening", purpose)


class Example(NamedTuple):
    """A sequence to train on.

    Attributes
    ----------
    id : str
        Of the original in the prepared data.
    sequence : str
        What is trained on.
    label : int
        The original's true class.
    kind : str
        `adversary`, `clean` or `random_mutant`.
    round : int
        The round it was drawn for.
    n_edits : int
        How far it is from its original.
    """

    id: str
    sequence: str
    label: int
    kind: str
    round: int
    n_edits: int


class Found(NamedTuple):
    """What a round gets of its attack: examples, how many were attacked, adversaries found."""

    examples: list[Example]
    n_attacked: int
    n_adversaries: int


class Pool(NamedTuple):
    """All that a round may train on.

    Attributes
    ----------
    examples : list of Example
        What the defence is about, by round, no sequence twice.
    replay : list of Example
        Clean rows beside adversaries; for `mixed` only.
    n_attacked, n_adversaries : int or None
        Of this round's own attack, see `adversaries`; None for controls.
    """

    examples: list[Example]
    replay: list[Example]
    n_attacked: int | None
    n_adversaries: int | None


def of_round(
    choice: Choice,
    which: Round,
    sample: pd.DataFrame | None,
    attacks: Sequence[AttackResult],
    rules: Constraints,
) -> Pool:
    """Draw what a round trains on, and with `cumulative` what its predecessors drew.

    Parameters
    ----------
    choice : Choice
        See there.
    which : Round
        Decides the random streams.
    sample : pandas.DataFrame
        Columns id, sequence, label: the fixed sample of the train split, for clean rows
        and mutants; `adversarial_only` needs none.
    attacks : sequence of AttackResult
        Of attacking defences the attack of each round of the pool, in order: of this round,
        or with `cumulative` of rounds 1 to this one. Of controls nothing.
    rules : Constraints
        Whose hard rules mutants keep.

    Raises
    ------
    InputError
        If an attack is not the one that the round trains on, or nothing can be drawn.
    """
    numbers = list(range(1, which.number + 1)) if choice.cumulative else [which.number]
    rounds = [which._replace(number=number) for number in numbers]
    n = choice.examples_per_round
    clean = pd.DataFrame() if sample is None else sample
    if not choice.attacking:
        drawn = [
            originals(clean, one.number, n, one.stream("originals"))
            if choice.kind == "clean_only"
            else mutants(clean, one.number, n, rules, choice.max_edits, one.stream("mutants"))
            for one in rounds
        ]
        return Pool(_distinct(drawn), [], None, None)
    _check(attacks, rounds, choice)
    found = [
        adversaries(attack, one.number, n, choice, one.stream("adversaries"))
        for attack, one in zip(attacks, rounds, strict=True)
    ]
    replay = [
        originals(clean, one.number, n, one.stream("originals"))
        for one in rounds
        if choice.kind == "mixed"
    ]
    last = found[-1]
    return Pool(
        _distinct(one.examples for one in found),
        _distinct(replay),
        last.n_attacked,
        last.n_adversaries,
    )


def adversaries(
    attack: AttackResult,
    number: int,
    n: int,
    choice: Choice,
    rng: np.random.Generator,
) -> Found:
    """Draw a round's adversaries out of an attack: by default flips that keep the hard rules.

    Parameters
    ----------
    attack : AttackResult
        On the model before the round.
    number : int
        The round.
    n : int
        Most adversaries; all are taken where fewer were found.
    choice : Choice
        Which rows are looked at, and what counts as an adversary.
    rng : numpy.random.Generator
        For the draw, which is without replacement.
    """
    rows = training_side(attack, choice.train_attack_samples)
    found = rows[successful(rows, choice.adversaries)]
    chosen = rng.choice(len(found), min(n, len(found)), replace=False)
    drawn = [
        _example(row, row["adversarial"], "adversary", number, row["n_edits"])
        for row in _records(found, chosen)
    ]
    return Found(drawn, int(rows["correct_before"].sum()), len(found))


def originals(sample: pd.DataFrame, number: int, n: int, rng: np.random.Generator) -> list[Example]:
    """Draw clean rows without replacement, all of them where there are no more than n.

    Parameters
    ----------
    sample : pandas.DataFrame
        Columns id, sequence, label.
    number : int
        The round.
    n : int
        Most rows.
    rng : numpy.random.Generator
        For the draw.

    Raises
    ------
    InputError
        If the sample is empty.
    """
    if sample.empty:
        raise InputError("the sample of the train split is empty; raise train_attack_samples.")
    chosen = rng.choice(len(sample), min(n, len(sample)), replace=False)
    return [_example(row, row["sequence"], "clean", number, 0) for row in _records(sample, chosen)]


def mutants(
    sample: pd.DataFrame,
    number: int,
    n: int,
    rules: Constraints,
    max_edits: int,
    rng: np.random.Generator,
) -> list[Example]:
    """Draw rows without replacement and edit each at random, within the hard rules.

    Parameters
    ----------
    sample, number, n, rng
        As for `originals`. Rows that cannot be edited are passed over.
    rules : Constraints
        Edits are proposed as an attack proposes them.
    max_edits : int
        The number of edits is uniform from 1 to this, where the hard rules leave room for
        so many.

    Raises
    ------
    InputError
        If no row can be edited.
    """
    drawn: list[Example] = []
    draws = Draws(rng)
    for row in _records(sample, draws.permutation(len(sample))):
        if len(drawn) == n:
            break
        sequence = str(row["sequence"])
        edits = _random_edits(rules.bind(sequence), max_edits, draws)
        if edits:
            mutant = "".join(edits.get(i, base) for i, base in enumerate(sequence))
            drawn.append(_example(row, mutant, "random_mutant", number, len(edits)))
    if not drawn:
        raise InputError(
            "random_mutants: the hard constraints leave no edit in any sequence of the train "
            "sample; relax them."
        )
    return drawn


def _random_edits(rules: Bound, max_edits: int, draws: Draws) -> Edits:
    operators = sparse.Operators(rules, max_edits, draws)
    if operators.max_edits == 0:
        return {}
    size = 1 + draws.integers(operators.max_edits)
    largest: Edits = {}
    # A draw loses edits to the hard rules; others of the same size may not.
    for _ in range(_MOST_TRIES):
        edits = operators.draw(size)
        if len(edits) == size:
            return edits
        largest = max(largest, edits, key=len)
    return largest


def _example(row: "pd.Series[Any]", sequence: str, kind: str, number: int, n_edits: int) -> Example:
    return Example(str(row["id"]), str(sequence), int(row["label"]), kind, number, int(n_edits))


def _records(table: pd.DataFrame, rows: Iterable[int]) -> Iterator["pd.Series[Any]"]:
    return (table.iloc[row] for row in rows)


def _distinct(drawn: Iterable[Sequence[Example]]) -> list[Example]:
    """Join draws, by round; of equal sequences the first stays."""
    kept: dict[str, Example] = {}
    for examples in drawn:
        for example in examples:
            kept.setdefault(example.sequence, example)
    return list(kept.values())


def _check(attacks: Sequence[AttackResult], rounds: Sequence[Round], choice: Choice) -> None:
    """Make sure that each attack is on the model before its round, and on the right split."""
    if len(attacks) != len(rounds):
        raise InputError(
            f"{choice.kind}, round {rounds[-1].number}: it trains on {len(rounds)} attacks, "
            f"{len(attacks)} are given; give one for each round of the pool."
        )
    for attack, one in zip(attacks, rounds, strict=True):
        wanted = (
            *(one.task, one.encoder, one.seed, choice.attack, choice.adversary_source),
            "baseline" if one.number == 1 else f"round{one.number - 1}",
        )
        stage = attack.stage.rpartition("/")[2]
        given = (attack.task, attack.encoder, attack.seed, attack.attack, attack.split, stage)
        for name, want, have in zip(
            ("task", "encoder", "seed", "attack", "split", "stage"), wanted, given, strict=True
        ):
            if want != have:
                raise InputError(
                    f"{choice.kind}, round {one.number}: it trains on an attack with {name} "
                    f"{want}, the table given has {have}; give the right table."
                )
