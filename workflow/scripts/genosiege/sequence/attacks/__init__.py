"""Attacks in DNA space: generators that yield candidates and receive a model's answers.

A kind of attack is a module of this folder with two names: `Options`, a frozen dataclass
of its settings, and `search(target, options, rng)`, the generator; a third, `check`, may hold
the settings against a sample. It is imported by name, so that a job depends on the attack
it runs only.
"""

import importlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from genosiege.errors import InputError
from genosiege.kinds.attacks import ATTACKS as KINDS
from genosiege.sequence.answers import Answers
from genosiege.sequence.constraints import Bound

_PROBABILITIES = ("crossover", "mutation", "transition_share")

Edits = dict[int, str]


@dataclass(frozen=True)
class Target:
    """What is attacked: a sequence that the model classifies correctly.

    Attributes
    ----------
    identity : str
        Its id in the sample.
    sequence : str
        The original, ACGTN.
    label : int
        Its true class.
    start : Answers
        The model's answer to the original, already paid for.
    rules : Bound
        The constraints, applied to this sequence.
    """

    identity: str
    sequence: str
    label: int
    start: Answers
    rules: Bound

    def render(self, edits: Mapping[int, str]) -> str:
        """Write the sequence that an edit set makes of the original."""
        if not edits:
            return self.sequence
        # Bytes are copied and decoded faster than a list of characters is made and joined.
        characters = bytearray(self.sequence, "ascii")
        for position, base in edits.items():
            characters[position] = ord(base)
        return characters.decode("ascii")


class Found(NamedTuple):
    """What a search ends with.

    Attributes
    ----------
    edits : dict of int to str
        The best edit set, pruned.
    n_edits_before_pruning : int
        Its size before pruning.
    stop_reason : str
        success, patience, generations, query_budget or exhausted.
    succeeded : bool
        Whether the prediction was another class at search time.
    pruned : str
        `complete`, no single edit can be dropped; `cut`, the query budget ended before that
        was known; empty without a success, or where one edit leaves nothing to drop.
    """

    edits: Edits
    n_edits_before_pruning: int
    stop_reason: str
    succeeded: bool
    pruned: str = ""


Steps = Generator[Sequence[str], Answers, Found]


class Attack(NamedTuple):
    """A search with its options, ready to be started on targets.

    Attributes
    ----------
    search : callable
        The kind's `search`.
    options : Options
        The kind's settings.
    check : callable or None
        The kind's own `check(sequences, options)`, where it has one: called once with all
        sequences of a sample by id, those that are not attacked included.
    """

    search: Callable[[Target, Any, np.random.Generator], Steps]
    options: Any
    check: Callable[[Mapping[str, str], Any], None] | None = None

    def start(self, target: Target, rng: np.random.Generator) -> Steps:
        """Begin to attack one target."""
        return self.search(target, self.options, rng)


def load(entry: Mapping[str, Any]) -> Attack:
    """Find the attack that a catalogue entry describes.

    Parameters
    ----------
    entry : mapping
        `kind`, and options of that kind; those left out take their defaults.

    Raises
    ------
    InputError
        If the kind is unknown, or an option is unknown, missing or out of range.
    """
    kind = str(entry.get("kind"))
    if kind not in KINDS:
        raise InputError(f'attack kind "{kind}": choose one of {", ".join(KINDS)}.')
    module = importlib.import_module(f"genosiege.sequence.attacks.{kind}")
    options = {name: value for name, value in entry.items() if name != "kind"}
    known = [field.name for field in fields(module.Options)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(
            f'attack kind {kind}, option "{unknown[0]}": it has no such option; '
            f"it has {', '.join(known)}."
        )
    for field in fields(module.Options):
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in options:
            raise InputError(f'attack kind {kind}, option "{field.name}": it is missing; give it.')
    return Attack(module.search, module.Options(**options), getattr(module, "check", None))


def check_sizes(kind: str, options: Any) -> None:
    """Refuse options of a search that are out of range.

    Every whole number among the options of a search counts something that there has to be
    at least one of: edits, queries, candidates, steps.

    Raises
    ------
    InputError
        If a size is below 1 or a probability outside [0, 1].
    """
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise InputError(f"attack {kind}, {field.name} {value}: give 1 or more.")
        if field.name in _PROBABILITIES and not 0 <= value <= 1:
            raise InputError(f"attack {kind}, {field.name} {value}: give a probability in [0, 1].")
