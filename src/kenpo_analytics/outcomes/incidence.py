"""What share saw a doctor by each month? The KPI on mature months, and the cumulative incidence curve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.cohorts.untreated import DOMAINS
from kenpo_analytics.errors import EstimateError, TableError
from kenpo_analytics.stats.incidence import cumulative_incidence
from kenpo_analytics.stats.proportions import share
from kenpo_analytics.tables import CHECKUPS

_CAUSE = {"visited": 1, "left": 2, "not_visited": 0, "turned_75": 0, "open": 0}
_WINDOW = re.compile(r"visited_(\d+)_(\d+)")
_NAMES = ("state", "months_to", "complete_months", "month_0")


@dataclass(frozen=True)
class VisitIncidence:
    """The 10-month share (KPI) and the curve.

    `kpi`: by, window, persons (people whose window is complete: the denominator, leavers included), events, estimate,
    lower, upper, level, method, left, turned_75, month_0, not_mature (people whose window is not complete, not in the
    denominator). The estimate is null where nobody's window is complete.
    `curve`: by, month, at_risk, events, competing, censored, estimate, se, lower, upper, level, method; without rows
    where no month of anybody is complete.
    """

    kpi: Any
    curve: Any


def visit_incidence(first_visits: Any, *, by: Sequence[str] = (), level: float = 0.95) -> VisitIncidence:
    """What share saw a doctor within the window, and by each month?

    Parameters
    ----------
    first_visits
        The result of `first_visit`, of any kind.
    by
        Columns to split by (branch, sex, age_band …). "domain" splits by what brought people in (by_bp, by_glucose,
        by_lipid): a person with two domains counts in both, so domains do not add up.
    level
        Confidence level.

    Notes
    -----
    KPI: visited / everyone whose window is complete; people who left stay in the denominator (仮定, D3) and are shown
    apart; Wilson interval. Curve: Aalen-Johansen with leaving as a competing event; turning 75 and open windows are
    censored, since counting them as unvisited would bias the share downwards.

    Raises
    ------
    EstimateError, TableError
        Nobody to follow; a column to split by that is not there.
    """
    source = frames.source_of(first_visits)
    windows = {name: match for name in frames.columns_of(first_visits) if (match := _WINDOW.fullmatch(name))}
    lazy, flags = _enter(first_visits, by, list(windows)), ("month_0", *windows)
    whole = lazy.with_columns(*(nw.col(name).cast(nw.Int64) for name in flags))
    groups = whole.group_by(*by, "state", "months_to", "complete_months").agg(
        nw.len().alias("persons"), *(nw.col(name).sum().alias(name) for name in flags)
    )
    counts = frames.collect(groups)
    if counts.is_empty():
        raise EstimateError("追跡する人が一人もいません", hint="対象年度と抽出条件を確かめてください。")
    counts = counts.with_columns(pl.col("persons", *flags).cast(pl.Int64))
    parts = counts.partition_by(list(by), as_dict=True) if by else {(): counts}
    order = sorted(parts, key=lambda key: tuple(str(value) for value in key))
    bounds = sorted((int(match[1]), int(match[2])) for match in windows.values())
    kpi = [line for key in order for line in _kpi(dict(zip(by, key, strict=True)), parts[key], bounds, level)]
    curves = [_curve(dict(zip(by, key, strict=True)), parts[key], level) for key in order]
    return VisitIncidence(
        frames.small(pl.DataFrame(kpi, infer_schema_length=None), source), frames.small(pl.concat(curves), source)
    )


def _enter(first_visits: Any, by: Sequence[str], windows: Sequence[str]) -> nw.LazyFrame:
    if isinstance(by, str):
        raise TableError(f"by は列の名前の並びです: 「{by}」", hint=f'例: by=["{by}"]')
    given = frames.columns_of(first_visits)
    domains = [f"by_{domain}" for domain in DOMAINS] if "domain" in by else []
    if wrong := [name for name in by if name in (*_NAMES, *windows)]:
        raise TableError(f"結果の列では分けられません: {', '.join(wrong)}")
    if missing := [name for name in (*_NAMES, *by, *domains) if name not in given and name != "domain"]:
        raise TableError(
            f"first_visitの結果に列がありません: {', '.join(missing)}", hint="first_visit() の結果を渡してください。"
        )
    wanted = [*_NAMES, *windows, *domains, *(name for name in by if name != "domain")]
    lazy = frames.enter(first_visits, CHECKUPS, wanted)
    return _by_domain(lazy) if domains else lazy


def _by_domain(lazy: nw.LazyFrame) -> nw.LazyFrame:
    parts = [
        lazy.filter(frames.sure(nw.col(f"by_{domain}"))).with_columns(nw.lit(domain).alias("domain"))
        for domain in DOMAINS
    ]
    return nw.concat(parts)


def _kpi(
    key: dict[str, Any], counts: pl.DataFrame, windows: Sequence[tuple[int, int]], level: float
) -> list[dict[str, Any]]:
    everybody, lines = int(counts["persons"].sum()), []
    for low, high in windows:
        mature = counts.filter(pl.col("complete_months") >= high)
        persons, events = int(mature["persons"].sum()), int(mature[f"visited_{low}_{high}"].sum() or 0)
        gone = mature.filter(pl.col("months_to") < high)
        lines.append(
            {
                **key,
                "window": f"{low}-{high}",
                "persons": persons,
                "events": events,
                **share(events, persons, level=level),
                "level": level,
                "method": "Wilson",
                "left": int(gone.filter(pl.col("state") == "left")["persons"].sum()),
                "turned_75": int(gone.filter(pl.col("state") == "turned_75")["persons"].sum()),
                "month_0": int(mature["month_0"].sum() or 0),
                "not_mature": everybody - persons,
            }
        )
    return lines


def _curve(key: dict[str, Any], counts: pl.DataFrame, level: float) -> pl.DataFrame:
    followed = counts.filter(pl.col("months_to") >= 0)
    if followed.is_empty():
        return _curve(key, counts.head(1).with_columns(months_to=pl.lit(0, pl.Int32)), level).clear()
    horizon = int(followed["months_to"].max())  # type: ignore[arg-type]
    result = cumulative_incidence(
        followed["months_to"].to_numpy(),
        followed["state"].replace_strict(_CAUSE, return_dtype=pl.Int64).to_numpy(),
        followed["persons"].to_numpy(),
        horizon=horizon,
        level=level,
    )
    columns = [pl.lit(value).alias(name) for name, value in key.items()]
    return (
        pl.DataFrame(result.as_columns())
        .with_columns(pl.col("estimate", "se", "lower", "upper").fill_nan(None))
        .select(*columns, pl.all(), pl.lit(level).alias("level"), pl.lit(result.method).alias("method"))
    )
