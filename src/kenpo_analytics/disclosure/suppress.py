"""Which cells must be hidden so that none comes back? Numbers and their sums in, masks out.

The reader is taken to know every shown cell, every sum that holds among cells, which cells are masked and by which
rule, and so the range a masked cell must lie in. A cell is safe when at least two integers fit it. Where a total is
shown, the masked cells under it must moreover add up to at least the threshold: their sum is a count of people too
(the case k of n: n - k).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kenpo_analytics.errors import DisclosureError

SHOWN, PRIMARY, SECONDARY = 0, 1, 2
_SLACK = 1e-6


@dataclass(frozen=True)
class Sum:
    """Cell `total` is the sum of cells `parts` (indices)."""

    total: int
    parts: tuple[int, ...]

    @property
    def signed(self) -> tuple[tuple[int, int], ...]:
        """Cells with their sign in `parts - total = 0`."""
        return (*((part, 1) for part in self.parts), (self.total, -1))


@dataclass
class Cells:
    """Every number of a table that takes part in sums, and what is known of it.

    `floors`: people threshold per cell; `order`: tie-break that does not depend on row order; `rest`: cells that are
    never shown but follow from others (n - k); `fixed`: shown elsewhere, cannot be masked here; `people`: counts of
    people (False: events, hidden only where `mask` starts as PRIMARY).
    """

    values: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    order: list[tuple[str, ...]] = field(default_factory=list)
    rest: list[bool] = field(default_factory=list)
    fixed: list[bool] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    people: bool = True

    def add(
        self,
        value: float,
        floor: float,
        order: tuple[str, ...],
        *,
        rest: bool = False,
        fixed: bool = False,
        masked: bool = False,
    ) -> int:
        """Append one cell; small people counts start masked."""
        small = self.people and (1 <= value < floor or (np.isinf(floor) and not rest))
        self.values.append(value)
        self.floors.append(floor)
        self.order.append(order)
        self.rest.append(rest)
        self.fixed.append(fixed)
        self.mask.append(PRIMARY if small or masked else SHOWN)
        return len(self.values) - 1

    def unknown(self, cell: int) -> bool:
        """Does the reader not see this cell?"""
        return self.rest[cell] or self.mask[cell] != SHOWN

    def domain(self, cell: int, *, blurred: bool) -> tuple[float, float]:
        """Between which values does the reader know an unseen cell to lie?"""
        floor = self.floors[cell]
        if not self.people:
            return (1.0 if self.mask[cell] == PRIMARY else 0.0, np.inf)
        if np.isinf(floor) or self.mask[cell] == SHOWN:
            return (0.0, np.inf)
        if blurred and not self.rest[cell]:
            return (1.0, np.inf)
        return (1.0, floor - 1) if self.mask[cell] == PRIMARY else (floor, np.inf)


def suppress(cells: Cells, sums: Sequence[Sum]) -> bool:
    """Mask further cells in place until no masked cell can be derived. Returns whether states must be blurred.

    Blurred means: no further cell could be masked, and the masks hold only against a reader who cannot tell first from
    second masks.

    Raises
    ------
    DisclosureError
        No choice of masks protects the table (a total shown elsewhere, one group only).
    """
    ties = _Ties(sums)
    blurred = False
    while True:
        if thin := _thin_unions(cells, sums):
            _hide(cells, thin)
            continue
        exposed = [cell for group in _components(cells, sums) for cell in _derivable(cells, group, blurred)]
        if not exposed:
            return blurred
        chosen = _companions(cells, ties, exposed)
        if not chosen and blurred:
            raise DisclosureError(
                "この表は、合計が別に示されているため秘匿しきれません。",
                hint="区分をまとめる(年齢階級を広げる、地域を合わせる)か、表から外してください。",
            )
        _hide(cells, chosen)
        blurred = blurred or not chosen


def _hide(cells: Cells, chosen: Iterable[int]) -> None:
    for cell in chosen:
        cells.mask[cell] = SECONDARY


class _Ties:
    """Which sums does a cell take part in, and which cells are totals?"""

    def __init__(self, sums: Sequence[Sum]) -> None:
        self.totals = {constraint.total for constraint in sums}
        self.of: dict[int, list[Sum]] = {}
        for constraint in sums:
            for cell, _ in constraint.signed:
                self.of.setdefault(cell, []).append(constraint)

    def neighbours(self, cells: Iterable[int]) -> set[int]:
        """All cells that share a sum with one of these (and these)."""
        return {other for cell in cells for constraint in self.of.get(cell, ()) for other, _ in constraint.signed}


def _companions(cells: Cells, ties: _Ties, exposed: Sequence[int]) -> set[int]:
    """What is hidden beside the exposed cells in this round? Totals only when nothing else is left for anyone.

    An exposed cell waits a round when a cell beside it has just been chosen: that may be all it needs.
    """
    found: set[int] = set()
    for cell in sorted(exposed, key=lambda cell: cells.order[cell]):
        if found.isdisjoint(ties.neighbours([cell])) and (choice := _companion(cells, ties, cell)) is not None:
            found.add(choice)
    return (found - ties.totals) or found


def _companion(cells: Cells, ties: _Ties, exposed: int) -> int | None:
    """Which cell is hidden beside an exposed one? One that exposes nothing new, the smallest; totals last.

    If every neighbour is hidden or zero, the search widens to what is tied to the neighbours.
    """
    seen, frontier = {exposed}, {exposed}
    while frontier:
        near = ties.neighbours(frontier) - seen
        free = [cell for cell in near if _maskable(cells, cell)]
        if free:
            return min(free, key=lambda cell: (cell in ties.totals, *_cost(cells, ties, cell, frontier)))
        seen |= near
        frontier = {cell for cell in near if cells.unknown(cell)}
    return None


def _cost(cells: Cells, ties: _Ties, cell: int, beside: set[int]) -> tuple[int, float, tuple[str, ...]]:
    """How many other sums would show a lone hidden cell if this one were hidden; then its size."""
    others = [item for item in ties.of[cell] if beside.isdisjoint(part for part, _ in item.signed)]
    alone = sum(not any(cells.unknown(part) for part, _ in item.signed) for item in others)
    return alone, cells.values[cell], cells.order[cell]


def _maskable(cells: Cells, cell: int) -> bool:
    return cells.mask[cell] == SHOWN and not cells.rest[cell] and not cells.fixed[cell] and cells.values[cell] > 0


def _thin_unions(cells: Cells, sums: Sequence[Sum]) -> set[int]:
    """What is hidden in addition where masked cells, taken together under a shown total, are still too few people.

    Where nothing is left to hide, the masked cells are the whole total, which is large enough to be shown.
    """
    chosen = set()
    for constraint in sums if cells.people else ():
        hidden = [cell for cell in constraint.parts if cells.unknown(cell)]
        masked = [cell for cell in hidden if cells.mask[cell] != SHOWN]
        if cells.unknown(constraint.total) or not masked:
            continue
        floor = max(cells.floors[cell] for cell in masked)
        if np.isinf(floor) or sum(cells.values[cell] for cell in hidden) >= floor:
            continue
        if free := [cell for cell in constraint.parts if _maskable(cells, cell)]:
            chosen.add(min(free, key=lambda cell: (cells.values[cell], cells.order[cell])))
    return chosen


def _components(cells: Cells, sums: Sequence[Sum]) -> Iterable[list[Sum]]:
    """Sums that hang together through unseen cells; only those that hold a masked one."""
    parent: dict[int, int] = {}

    def root(cell: int) -> int:
        while parent.setdefault(cell, cell) != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    open_sums = []
    for constraint in sums:
        hidden = [cell for cell, _ in constraint.signed if cells.unknown(cell)]
        if hidden:
            open_sums.append((hidden[0], constraint))
            for cell in hidden[1:]:
                parent[root(cell)] = root(hidden[0])
    groups: dict[int, list[Sum]] = {}
    for first, constraint in open_sums:
        groups.setdefault(root(first), []).append(constraint)
    for group in groups.values():
        if any(cells.mask[cell] != SHOWN for constraint in group for cell, _ in constraint.signed):
            yield group


def _derivable(cells: Cells, group: list[Sum], blurred: bool) -> list[int]:
    """Masked cells of one component for which only one integer fits."""
    unseen = sorted({cell for item in group for cell, _ in item.signed if cells.unknown(cell)})
    position = {cell: i for i, cell in enumerate(unseen)}
    matrix = np.zeros((len(group), len(unseen)))
    for row, constraint in enumerate(group):
        for cell, sign in constraint.signed:
            if cell in position:
                matrix[row, position[cell]] += sign
    truth = np.array([cells.values[cell] for cell in unseen])
    bounds = np.array([cells.domain(cell, blurred=blurred) for cell in unseen])
    bounds[:, 0] = np.minimum(bounds[:, 0], truth)  # a rest of 0 beside a masked k stays possible
    wanted = [position[cell] for cell in unseen if cells.mask[cell] != SHOWN]
    stuck = _stuck_alone if len(group) == 1 else _stuck_together
    return [unseen[i] for i in stuck(matrix, truth, bounds, wanted)]


def _stuck_alone(matrix: np.ndarray, truth: np.ndarray, bounds: np.ndarray, wanted: list[int]) -> list[int]:
    """One sum: a cell can move by one if another can make up for it."""
    signs = matrix[0]
    up, down = bounds[:, 1] - truth >= 1, truth - bounds[:, 0] >= 1
    found = []
    for i in wanted:
        others = [j for j in range(len(truth)) if j != i and signs[j]]
        same, opposite = ([j for j in others if signs[j] == sign * signs[i]] for sign in (1, -1))
        rises = up[i] and (any(down[j] for j in same) or any(up[j] for j in opposite))
        falls = down[i] and (any(up[j] for j in same) or any(down[j] for j in opposite))
        if not rises and not falls:
            found.append(i)
    return found


def _stuck_together(matrix: np.ndarray, truth: np.ndarray, bounds: np.ndarray, wanted: list[int]) -> list[int]:
    """Several sums: linear programmes for a change that respects every sum and range.

    One programme moves as many open cells as it can; only cells it leaves behind are asked one by one.
    """
    from scipy.optimize import linprog

    limits = list(zip(bounds[:, 0] - truth, bounds[:, 1] - truth, strict=True))
    limits = [(max(low, -1e6), min(high, 1e6)) for low, high in limits]
    zero = np.zeros(len(matrix))

    def move(direction: np.ndarray) -> np.ndarray:
        result = linprog(direction, A_eq=matrix, b_eq=zero, bounds=limits, method="highs-ds")
        return result.x if result.status == 0 else np.zeros(len(truth))

    open_cells = set(wanted)
    rng = np.random.default_rng(0)
    for _ in range(6):
        weights = np.zeros(len(truth))
        for i in open_cells:
            weights[i] = rng.choice((-1.0, 1.0))
        change = move(weights)
        open_cells -= {i for i in open_cells if abs(change[i]) >= 1 - _SLACK}
    stuck = []
    for i in sorted(open_cells):
        direction = np.zeros(len(truth))
        direction[i] = 1.0
        if max(abs(move(direction)[i]), abs(move(-direction)[i])) < 1 - _SLACK:
            stuck.append(i)
    return stuck
