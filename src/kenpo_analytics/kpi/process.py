"""Which months stand out? XmR charts (管理図) of the monthly figures, each within one definition version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.kpi import Kpi, kpis, version_at
from kenpo_analytics.kpi.readings import Reading, readings
from kenpo_analytics.months import add_months, fiscal_year_of, parse_month
from kenpo_analytics.stats.process import MIN_VALUES, RUN, xmr

VALUE, GROWTH, YEARLY = "その月の値", "1か月の増分の前年同月差", "前年同月との差"
POINTS = "ポイント"
BEYOND, ALONG = "管理限界の外", f"{RUN}か月続けて中心線の片側"
_RULES = {"beyond": BEYOND, "run": ALONG, "": None}
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("kpi_id", "short", "group", "unit"), pl.String),
    "digits": pl.Int64,
    "counts": pl.String,
    **dict.fromkeys(("month", "fiscal_year"), pl.Int64),
    "definition_version": pl.String,
    "what": pl.String,
    **dict.fromkeys(("numerator", "denominator", "last_numerator", "last_denominator"), pl.Float64),
    **dict.fromkeys(("estimate", "centre", "lower", "upper"), pl.Float64),
    "months": pl.Int64,
    "signal": pl.String,
    "reason": pl.String,
}


def control(monthly: Any, *, month: int | str, branch: str) -> Any:
    """Which months of each KPI are unusual, by its own movement from month to month?

    A KPI that is read month by month (level) is charted as it is; a share by its difference from the same month of
    the year before, once there are enough: shares like ジェネリック rise for years, and every month would stand out.
    One that runs up over the fiscal year is charted by what each month added (April: the value itself) less what the
    same month added the year before, since its season alone would be a signal every year. Only 確定 months of the
    version in force enter a chart, the latest stretch without a gap; 速報 months are not judged: what has not arrived
    yet would make a signal of every one.

    Returns
    -------
    One row per KPI and charted month: kpi_id, short, group, unit, digits, counts, month, fiscal_year,
    definition_version, what
    (`VALUE`, `YEARLY` or `GROWTH`), numerator and denominator (of the month, or what it added), last_numerator and
    last_denominator (the same, a year before; null for levels), estimate (the charted figure; a difference of shares
    in `POINTS`), centre, lower and upper
    (natural process limits), months (in the chart), signal (null, `BEYOND` or `ALONG`), reason. A KPI with fewer than
    6 such months has rows without limits and the reason.

    Notes
    -----
    `stats.process.xmr`; the limits come from all months of the chart, unusual ones included. A trend makes signals by
    itself, and an unusual month shows again, with the other sign, a year later in a difference to the year before. A
    KPI whose denominator grows too (collected over assessed) is not charted: the difference of two such shares is no
    figure of a month. A month that took people away (corrections) carries the number taken, for the masking.
    """
    at = parse_month(month)
    held = readings(monthly, branch=branch, month=at)
    rows = [row for item in kpis() if item.accumulates != "both" for row in _chart(item, held.get(item.id, []), at)]
    return frames.small(pl.DataFrame(rows, schema=_SCHEMA), frames.source_of(monthly))


def _chart(item: Kpi, held: Sequence[Reading], at: int) -> list[dict[str, Any]]:
    official = version_at(item.id, at).version
    final = [r for r in held if r.version == official and r.final]
    what, points = _charted(item, final)
    if not points:
        return []
    percent = what != VALUE and item.unit == "%"
    if percent:
        points = [(month, 100 * value, behind) for month, value, behind in points]
    few = len(points) < MIN_VALUES
    chart = None if few else xmr([value for _, value, _ in points])
    return [
        {
            **{name: getattr(item, name) for name in ("short", "group", "counts")},
            "unit": POINTS if percent else item.unit,
            "digits": item.digits + (what != VALUE),
            "kpi_id": item.id,
            "month": month,
            "fiscal_year": fiscal_year_of(month),
            "definition_version": official,
            "what": what,
            **behind,
            "estimate": value,
            "centre": None if chart is None else chart.centre,
            "lower": None if chart is None else chart.lower,
            "upper": None if chart is None else chart.upper,
            "months": len(points),
            "signal": None if chart is None else _RULES[chart.signal[i]],
            "reason": f"確定した月が{len(points)}か月({MIN_VALUES}か月から)" if few else None,
        }
        for i, (month, value, behind) in enumerate(points)
    ]


Point = tuple[int, float, dict[str, float | None]]
"""A month, the charted figure, and the totals behind it."""


def _charted(item: Kpi, final: Sequence[Reading]) -> tuple[str, list[Point]]:
    if item.accumulates == "base":
        return GROWTH, _last_stretch(_growth(item, final))
    if item.unit == "%" and len(points := _last_stretch(_yearly(final))) >= MIN_VALUES:
        return YEARLY, points
    return VALUE, _last_stretch(_levels(final))


def _yearly(held: Sequence[Reading]) -> list[Point]:
    by_month = {r.month: r for r in held}
    pairs = ((r, by_month.get(add_months(r.month, -12))) for r in held)
    return [
        (
            r.month,
            r.value - old.value,
            {
                "numerator": r.numerator, "denominator": r.denominator,
                "last_numerator": old.numerator, "last_denominator": old.denominator,
            },
        )
        for r, old in pairs if old is not None
    ]  # fmt: skip


def _levels(held: Sequence[Reading]) -> list[Point]:
    return [(r.month, r.value, {"numerator": r.numerator, "denominator": r.denominator}) for r in held]


def _growth(item: Kpi, held: Sequence[Reading]) -> list[Point]:
    """What each month added to a sum that starts anew in April, less what the same month added a year before."""
    added = dict(_added(held))
    found: list[Point] = []
    for month, (above, below) in added.items():
        if (before := added.get(add_months(month, -12))) is None:
            continue
        value = item.value(above, below) - item.value(*before)
        behind = {"numerator": abs(above), "denominator": below}
        found.append((month, value, behind | {"last_numerator": abs(before[0]), "last_denominator": before[1]}))
    return found


def _added(held: Sequence[Reading]) -> Iterator[tuple[int, tuple[float, float | None]]]:
    by_month = {r.month: r.numerator for r in held}
    for r in held:
        before = 0.0 if r.month % 100 == 4 else by_month.get(add_months(r.month, -1))
        if before is not None:
            yield r.month, (r.numerator - before, r.denominator)


def _last_stretch(points: list[Point]) -> list[Point]:
    """The latest months without a gap: limits come from the movement between neighbouring months."""
    start = next((i for i in range(len(points) - 1, 0, -1) if points[i][0] != add_months(points[i - 1][0], 1)), 0)
    return points[start:]
