"""How many are still needed? People to the target and to the national mean, by remaining month (あと何人)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kenpo_analytics.definitions.kpi import Kpi
from kenpo_analytics.kpi.development import LAST, Years
from kenpo_analytics.kpi.readings import Reading
from kenpo_analytics.months import fiscal_year_of

_CLOSE = 1e-9


def remaining(
    item: Kpi, row: dict[str, Any], held: Sequence[Reading], years: Years, position: int | None
) -> dict[str, Any]:
    """How many people (or workplaces) are still needed, and how many that is a month?

    needed, needed_national: from the row's month (確定; none where the row has none) to the target and to the nation's
    last full year, with `remaining` months after it. at_most, at_most_national: the same from the latest month on file,
    速報 included (`latest_month`, `latest_remaining` months after it): at most, since more of what it counts will
    arrive; per_month and per_month_national spread these over the months that are really left. pace_last_year: people a
    month in the months after the row's month in the last complete year. needed_reason: why there is no number to the
    target; else null.
    """
    left = None if position is None else LAST - position
    found: dict[str, Any] = {"remaining": left}
    if item.counts not in ("people", "places"):
        return found | {"needed_reason": "人や事業所の数の指標ではない"}
    if not _over_a_base(item) and item.accumulates != "level":
        return found | {"needed_reason": "分母も年度の累計で増えるため、何人で届くかが決まらない"}
    of_year = [r for r in held if fiscal_year_of(r.month) == row["fiscal_year"]]
    if not (usable := [r for r in of_year if r.version == row["definition_version"]]):
        return found | {"needed_reason": "この年度の実績が届いていない"}
    if left == 0:
        return found | {"needed_reason": "年度末の値が確定した"}
    now = usable[-1]
    ahead = LAST - (now.month % 100 - 4) % 12
    found |= {"latest_month": now.month, "latest_remaining": ahead}
    for reference, name in (("target", ""), ("national", "_national")):
        if row[reference] is not None:
            most = _lacking(row[reference], now.numerator, now.denominator)
            if row["month"] is not None:
                found[f"needed{name}"] = _lacking(row[reference], row["numerator"], row["denominator"])
            found[f"at_most{name}"] = most
            found[f"per_month{name}"] = math.ceil(most / ahead) if ahead else None
    if row["target"] is None:
        found |= {"needed_reason": "目標の値がない"}
    if left is None or not _over_a_base(item):
        return found
    return found | {"pace_last_year": _pace(row, held, max(years, default=None), left)}


def _over_a_base(item: Kpi) -> bool:
    return item.accumulates == "base" and item.counts == "people"


def _lacking(reference: float, numerator: float, denominator: float | None) -> int:
    return max(0, math.ceil(reference * (1.0 if denominator is None else denominator) - numerator - _CLOSE))


def _pace(row: dict[str, Any], held: Sequence[Reading], year: int | None, left: int) -> int | None:
    if year is None:
        return None
    back = (row["fiscal_year"] - year) * 100
    taken = {r.month: r.numerator for r in held if r.version == row["definition_version"]}
    return round((taken[(year + 1) * 100 + 3] - taken[row["month"] - back]) / left)
