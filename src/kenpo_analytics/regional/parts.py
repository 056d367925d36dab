"""Which kind of visit makes the index? Contributions by a further class of events, adding up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from kenpo_analytics.errors import StrataError
from kenpo_analytics.frames import small, source_of
from kenpo_analytics.regional.cells import Aligned, align, eager, named
from kenpo_analytics.regional.index import contributions_of, refuse_empty


def contributions_by(
    cells: Any,
    standard: Any,
    *,
    part: str,
    area: str = "area",
    method: Literal["direct", "indirect"] = "direct",
    strata: Sequence[str] = ("age_band",),
    visit_type: str | None = None,
) -> Any:
    """What does each class of events add to the index, by stratum and visit type?

    Parameters
    ----------
    cells, standard
        As for `regional_index`, with one more column `part` ("holiday", "late_night", …) that parts the events: each
        class has every stratum (0 events where there are none) with the same denominator.
    part
        The name of that column.

    Returns
    -------
    area, strata, visit_type, `part`, events, persons (if given), expected, contribution. The contributions of an area
    add up to its estimate in `regional_index` of the same events without classes, those of a stratum and visit type to
    that cell's contribution. `persons` of two classes may be the same people.

    Raises
    ------
    StrataError
        A class on one side only, strata or denominators that differ between classes, and whatever `regional_index`
        refuses.
    """
    left, right = eager(cells), eager(standard)
    for side, table in (("地域の表", left), ("基準集団の表", right)):
        if part not in table.columns or table[part].null_count():
            raise StrataError(f"{side}に区分の列 {part} がないか、空欄があります。")
    values = sorted(set(left[part]) & set(right[part]))
    if alone := sorted(set(left[part]) ^ set(right[part])):
        raise StrataError(
            f"片方の表にしかない区分があります: {named(alone)}", hint="両方に、件数0でも行を持たせてください。"
        )
    aligned = {value: _one(left, right, part, value, area, strata, visit_type) for value in values}
    _refuse_uneven(aligned)
    if method == "direct":
        refuse_empty(aligned[values[0]])
    parts = [
        contributions_of(held, one, method, total=total).with_columns(pl.lit(value).alias(part))
        for at, total in enumerate(_totals(aligned, method))
        for value, held in aligned.items()
        for one in [held.areas[at]]
    ]
    found = pl.concat(parts).rename({"area": area})
    kept = [area, *strata, "visit_type", part]
    return small(found.select(*kept, *(c for c in found.columns if c not in kept)), source_of(cells))


def _one(
    left: pl.DataFrame,
    right: pl.DataFrame,
    part: str,
    value: str,
    area: str,
    strata: Sequence[str],
    visit_type: str | None,
) -> Aligned:
    here, there = (table.filter(pl.col(part) == value).drop(part) for table in (left, right))
    return align(here, there, area=area, strata=strata, visit_type=visit_type)


def _refuse_uneven(aligned: dict[str, Aligned]) -> None:
    """Every class must lie over the same people: else their rates do not add up."""
    first, *others = aligned.values()
    for other in others:
        same = first.strata.equals(other.strata) and first.visits == other.visits
        pairs = [(first.standard, other.standard), *zip(first.areas, other.areas, strict=False)]
        same = same and [one.name for one in first.areas] == [one.name for one in other.areas]
        if not same or not all(np.allclose(a.denominator, b.denominator, rtol=1e-9) for a, b in pairs):
            raise StrataError("区分によって層または分母が違います。", hint="どの区分にも同じ層と分母の行が要ります。")


def _totals(aligned: dict[str, Aligned], method: str) -> list[float]:
    """For each area, what the whole index is a share of: the standard's events, or the area's expected ones."""
    first = next(iter(aligned.values()))
    if method == "direct":
        return [sum(float(held.standard.events.sum()) for held in aligned.values())] * len(first.areas)
    return [
        sum(float((held.areas[at].denominator[:, None] * held.standard_rates).sum()) for held in aligned.values())
        for at in range(len(first.areas))
    ]
