"""What may be concluded from few clusters? Wild cluster bootstrap of one coefficient (少数クラスター)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kenpo_analytics.evaluation._matrix import Floats
from kenpo_analytics.evaluation.estimate import TooFew

FEW_CLUSTERS = 42
"""Below this many clusters ordinary cluster errors are too small (Angrist, Pischke 2009, ch. 8)."""
DRAWS, STEPS = 1999, 40


def limits(
    y: Floats, x: Floats, position: int, groups: NDArray[np.int64], *, level: float = 0.95, seed: int = 1
) -> tuple[float, float]:
    """Which values of a least-squares coefficient does the wild cluster bootstrap-t not reject?

    Null imposed, Rademacher signs per cluster, the same signs at every value tried, limits by bisection.

    Raises
    ------
    TooFew
        With so few clusters no value can be rejected at this level, whatever the data.

    Notes
    -----
    Cameron, Gelbach, Miller (2008) Rev Econ Stat 90:414; limits by inversion as in Roodman et al. (2019) Stata J 19:4.
    """
    _, code = np.unique(groups, return_inverse=True)
    count = int(code.max()) + 1
    if 2 ** (1 - count) > 1 - level:
        raise TooFew(f"まとまり(クラスター)が{count}しかないため、区間を作れません")
    bread = np.linalg.pinv(x.T @ x)
    beta = bread @ (x.T @ y)
    parts = [x[code == g] for g in range(count)]
    scores = np.stack([part.T @ (y[code == g] - part @ beta) for g, part in enumerate(parts)])
    row = bread[position]
    spans = np.stack([part.T @ (part @ row) for part in parts]) / row[position]  # X_g'X_g of the imposed direction
    through = np.stack([row @ part.T @ part for part in parts]) @ bread  # how a draw moves the residuals of a cluster
    own = scores @ row
    error = float(np.sqrt((own**2).sum()))
    value = float(beta[position])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(DRAWS, count))

    def rejected(null: float) -> bool:
        restricted = scores + spans * (value - null)  # scores of the residuals with the coefficient held at null
        moved = signs @ restricted  # X' of the drawn errors: bread @ moved is the drawn change of all coefficients
        top = moved @ row
        bottom = np.sqrt(((signs * (restricted @ row) - moved @ through.T) ** 2).sum(axis=1))
        beyond = np.abs(top) >= abs(value - null) / error * bottom * (1 - 1e-9)
        return (1 + int(beyond.sum())) / (1 + DRAWS) < 1 - level

    return _edge(rejected, value, -error), _edge(rejected, value, error)


def _edge(rejected: Callable[[float], bool], inside: float, step: float) -> float:
    outside = inside + step
    for _ in range(12):
        if rejected(outside):
            break
        step *= 2
        outside = inside + step
    else:
        return float("-inf") if step < 0 else float("inf")
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
    return (inside + outside) / 2
