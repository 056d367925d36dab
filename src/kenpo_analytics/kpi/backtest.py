"""May this projection be believed? Its record on known years, against last year's value and its own coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kenpo_analytics.kpi.development import Try

LOW, HIGH = 0.70, 0.90
"""An 80% interval should have covered between these shares of the known year-ends."""


@dataclass(frozen=True)
class Record:
    """How a method did: mean absolute errors from the month in question, coverage over all months, and what follows.

    `widen` multiplies the interval's half width (1: as it is); `usable` is False where only a range may be shown.
    """

    tried: int
    coverage: float | None
    mae: float | None
    mae_last_year: float | None
    widen: float
    usable: bool
    reason: str


def record(made: Sequence[Try], position: int, level: float) -> Record:
    """What does the back-test allow? A range only where last year forecast as well; wider where it covered less."""
    if not made:
        return Record(0, None, None, None, 1.0, False, "過去の年度で確かめられない")
    scores = np.array([one.score for one in made])
    coverage = float((scores <= 1).mean())
    errors = [
        (abs(t.truth - t.estimate), abs(t.truth - t.last_year))
        for t in made
        if t.position == position and t.last_year is not None
    ]
    if not errors:
        return Record(len(made), coverage, None, None, 1.0, False, "前年度の値との比べ合いができない")
    mae, simple = (float(np.mean(column)) for column in zip(*errors, strict=True))
    if mae >= simple:
        return Record(len(made), coverage, mae, simple, 1.0, False, "過去の年度では前年度末の値のほうがよく当たった")
    widen = float(np.quantile(scores, level, method="higher")) if coverage < LOW else 1.0
    if not np.isfinite(widen):
        return Record(len(made), coverage, mae, simple, 1.0, False, "区間の広さを過去の年度から決められない")
    said = f"過去の年度で区間に入った割合が低いため、区間を{widen:.1f}倍に広げた" if widen > 1 else ""
    said = said or ("区間は広め(過去の年度では名目より多く入った)" if coverage > HIGH else "")
    return Record(len(made), coverage, mae, simple, max(widen, 1.0), True, said)


def by_month(made: Sequence[Try]) -> list[dict[str, Any]]:
    """The record by the month from which was projected: position (0 = April), years, errors, coverage."""
    rows = []
    for position in sorted({t.position for t in made}):
        part = [t for t in made if t.position == position]
        both = [t for t in part if t.last_year is not None]
        rows.append(
            {
                "calendar_month": (position + 3) % 12 + 1,
                "years": len(part),
                "mae": _mean([abs(t.truth - t.estimate) for t in both]),
                "mae_last_year": _mean([abs(t.truth - t.last_year) for t in both if t.last_year is not None]),
                "compared": len(both),
                "coverage": _mean([float(t.score <= 1) for t in part]),
            }
        )
    return rows


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
