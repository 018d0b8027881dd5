"""The gradient attack: a white-box search that verifies by forwards what gradients suggest.

One gradient ranks all substitutions, and only the best are scored. For a linear model that
ranking is exact. Elsewhere, above all where one base changes several tokens, it is a hint,
so the attack also learns: an effect that it has measured counts for more than a slope.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genosiege.sequence.answers import Answers, WithSlopes
from genosiege.sequence.attacks import Edits, Steps, Target, check_sizes
from genosiege.sequence.attacks.pruning import conclude
from genosiege.sequence.constraints import BASES

# Smallest share of a slope that is believed; below it slopes would not rank any more.
_LEAST_BELIEF = 0.05


@dataclass(frozen=True)
class Options:
    """Settings of the gradient attack.

    Attributes
    ----------
    verified : int
        Substitutions with the best estimates that are scored in a step.
    patience : int
        Steps without gain after which a climb ends, and climbs without gain after which
        the attack does.
    max_edits : int
        Most substitutions.
    query_budget : int
        Most different sequences that the model is asked about.
    """

    verified: int = 32
    patience: int = 5
    max_edits: int = 10
    query_budget: int = 10_000

    def __post_init__(self) -> None:
        check_sizes("gradient", self)


def search(target: Target, options: Options, rng: np.random.Generator) -> Steps:
    """Climb along the slopes until the prediction flips.

    Parameters
    ----------
    target : Target
        What is attacked.
    options : Options
        Settings.
    rng : numpy.random.Generator
        Not used: nothing here is random.

    Yields
    ------
    WithSlopes
        The edit set at which a step starts, known already.
    list of str
        Candidates, each new.

    Returns
    -------
    Found
        The candidate with the lowest margin ever seen; a flip is pruned.

    Notes
    -----
    A step adds the best of the verified substitutions to the edit set; with `max_edits`
    edits it exchanges one, whichever edit is dropped for it. It also takes a step that makes
    things worse, out of a local optimum. An edited position is not edited again, but its
    edit may be dropped. A climb that has ended is followed by one from the original that
    avoids the positions of the best edit set so far.
    """
    climber = _Climber(target, options)
    avoided: Edits = {}
    without_gain = 0
    while True:
        before = climber.lowest
        reason = yield from climber.climb(avoided)
        without_gain = 0 if climber.lowest < before else without_gain + 1
        if reason in ("success", "query_budget") or without_gain >= options.patience:
            break
        avoided = climber.best
    return (yield from conclude(target, climber.best, reason, reason == "success"))


class _Move(NamedTuple):
    """A substitution (position, column of the base) put on top of an edit set."""

    base: Edits
    position: int
    column: int

    @property
    def edits(self) -> Edits:
        return {**self.base, self.position: BASES[self.column]}


class _Climber:
    """Steps from edit set to edit set, and all that was learned on the way."""

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self._max_edits = min(options.max_edits, len(target.rules.positions))
        self._places = [(p, BASES.index(base)) for p, base in target.rules.substitutions()]
        self._margins = {_key({}): float(target.start.margins[0])}
        self._spent = False
        self._estimates = _Estimates(len(target.sequence))
        self.best: Edits = {}
        self.lowest = np.inf

    def climb(self, avoided: Iterable[int]) -> Generator[Sequence[str], Answers, str]:
        """Take steps from the original until a flip, the budget's end or no gain.

        Parameters
        ----------
        avoided : iterable of int
            Positions that are left alone.

        Returns
        -------
        str
            The stop_reason of this climb.
        """
        closed = set(avoided)
        current: Edits = {}
        lowest, without_gain = np.inf, 0
        while without_gain < self._options.patience:
            # Its margin is known, so this costs a gradient and no query of the budget.
            answers = yield WithSlopes([self._target.render(current)])
            assert answers.slopes is not None
            slopes = answers.slopes[0]
            bases = [current] if len(current) < self._max_edits else self._shorter(current)
            if (ended := (yield from self._score(bases))) is not None:
                return ended
            moves = self._best_moves(bases, slopes, closed | set(current))
            if not moves:
                return "exhausted"
            ended = yield from self._score([move.edits for move in moves])
            scored = [move for move in moves if _key(move.edits) in self._margins]
            for move in scored:
                effect = self._margin(move.edits) - self._margin(move.base)
                self._estimates.learn(move, slopes, effect)
            if ended is not None:
                return ended
            current = min((move.edits for move in scored), key=self._margin)
            without_gain = 0 if self._margin(current) < lowest else without_gain + 1
            lowest = min(lowest, self._margin(current))
        return "patience"

    def _margin(self, edits: Edits) -> float:
        return self._margins[_key(edits)]

    def _shorter(self, edits: Edits) -> list[Edits]:
        """Give the allowed edit sets that lack one edit."""
        shorter = ({p: b for p, b in edits.items() if p != dropped} for dropped in edits)
        return [candidate for candidate in shorter if self._target.rules.allows(candidate)]

    def _score(self, candidates: Iterable[Edits]) -> Generator[Sequence[str], Answers, str | None]:
        """Ask about those that are new; tell why to stop, if so."""
        fresh = [edits for edits in candidates if _key(edits) not in self._margins]
        if not fresh:
            return None
        answers = yield [self._target.render(edits) for edits in fresh]
        for edits, margin in zip(fresh, answers.margins, strict=False):
            self._margins[_key(edits)] = float(margin)
            if margin < self.lowest:
                self.best, self.lowest = edits, float(margin)
        if self.lowest < 0:
            return "success"
        return "query_budget" if answers.exhausted else None

    def _best_moves(
        self, bases: Sequence[Edits], slopes: NDArray[np.float64], closed: set[int]
    ) -> list[_Move]:
        """Choose the new and allowed moves that promise the lowest margins."""
        moves: dict[frozenset[tuple[int, str]], _Move] = {}
        for move in self._ranked(bases, slopes, closed):
            key = _key(move.edits)
            if key in self._margins or key in moves:
                continue
            if self._target.rules.allows(move.edits):
                moves[key] = move
                if len(moves) == self._options.verified:
                    break
        return list(moves.values())

    def _ranked(
        self, bases: Sequence[Edits], slopes: NDArray[np.float64], closed: set[int]
    ) -> Iterator[_Move]:
        """Give all moves from the edit sets, the lowest expected margin first."""
        places = [place for place in self._places if place[0] not in closed]
        if not places or not bases:
            return
        effects = self._estimates.effects(slopes)[tuple(np.array(places).T)]
        expected = np.array([self._margin(base) for base in bases])[:, None] + effects
        for index in np.argsort(expected, axis=None, kind="stable"):
            base, place = divmod(int(index), len(places))
            yield _Move(bases[base], *places[place])


class _Estimates:
    """What a substitution is expected to do: as last measured, else as its slope says.

    Slopes are multiplied by the share of them that came true so far, by least squares: of
    a steep slope in a curved landscape little remains, and then measured effects lead.
    """

    def __init__(self, length: int) -> None:
        self._measured = np.full((length, len(BASES)), np.nan)
        self._products = self._squares = 0.0

    def effects(self, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the expected change of the margin by each substitution, shape (length, 4)."""
        share = self._products / self._squares if self._squares else 1.0
        believed = float(np.clip(share, _LEAST_BELIEF, 1.0)) * slopes
        return np.where(np.isnan(self._measured), believed, self._measured)

    def learn(self, move: _Move, slopes: NDArray[np.float64], effect: float) -> None:
        """Remember the measured effect of a move that had this slope."""
        place = (move.position, move.column)
        self._measured[place] = effect
        self._products += float(slopes[place]) * effect
        self._squares += float(slopes[place]) ** 2


def _key(edits: Edits) -> frozenset[tuple[int, str]]:
    return frozenset(edits.items())
