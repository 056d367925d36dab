"""What share saw a doctor by each month? The KPI on mature months, and the cumulative incidence curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.outcomes.first_visit import DOMAINS, WINDOWS
from kenpo_analytics.stats.incidence import cumulative_incidence
from kenpo_analytics.stats.proportions import wilson

_CAUSE = {"visited": 1, "left": 2, "not_visited": 0, "turned_75": 0, "open": 0}
_WINDOW_NAMES = tuple(f"visited_{low}_{high}" for low, high in WINDOWS)
_NAMES = ("person_id", "checkup_date", "state", "months_to", "mature", "month_0", *_WINDOW_NAMES)


@dataclass(frozen=True)
class VisitIncidence:
    """The 10-month share (KPI) and the curve.

    `kpi`: by, window, persons (mature people: the denominator, leavers included), events, estimate, lower, upper,
    level, method, left, turned_75, month_0, not_mature (people whose window is not complete, not in the denominator).
    `curve`: by, month, at_risk, events, competing, censored, estimate, se, lower, upper, level, method.
    """

    kpi: Any
    curve: Any


def visit_incidence(first_visits: Any, *, by: Sequence[str] = (), level: float = 0.95) -> VisitIncidence:
    """What share saw a doctor within the window, and by each month?

    Parameters
    ----------
    first_visits
        The result of `first_visit`.
    by
        Columns to split by (branch, sex, age_band …). "domain" splits by what brought people in (by_bp, by_glucose,
        by_lipid): a person with two domains counts in both, so domains do not add up.
    level
        Confidence level.

    Notes
    -----
    KPI: visited / everyone whose window is complete; people who left stay in the denominator (仮定, D3) and are shown
    apart; Wilson interval. Curve: Aalen-Johansen with leaving as a competing event; turning 75 and open windows are
    censored (methods.md: the share among everybody is biased, Aalen-Johansen is not).

    Raises
    ------
    EstimateError
        Nobody to follow.
    """
    source = frames.source_of(first_visits)
    lazy = nw.from_native(_lazy(first_visits))
    lazy = _by_domain(lazy) if "domain" in by else lazy
    lazy = lazy.select(*dict.fromkeys((*_NAMES, *by)))
    people = [nw.len().alias("persons")]
    whole = lazy.with_columns(*(nw.col(name).cast(nw.Int64) for name in ("month_0", *_WINDOW_NAMES)))
    groups = whole.group_by(*by, "state", "months_to", "mature").agg(
        *people, *(nw.col(name).sum().alias(name) for name in ("month_0", *_WINDOW_NAMES))
    )
    counts = frames.collect(groups)
    if counts.is_empty():
        raise EstimateError("追跡する人が一人もいません", hint="対象年度と抽出条件を確かめてください。")
    counts = counts.with_columns(pl.col("persons", "month_0", *_WINDOW_NAMES).cast(pl.Int64))
    parts = counts.partition_by(list(by), as_dict=True) if by else {(): counts}
    order = sorted(parts, key=lambda key: tuple(str(value) for value in key))
    kpi = [line for key in order for line in _kpi(dict(zip(by, key, strict=True)), parts[key], level)]
    curves = [_curve(dict(zip(by, key, strict=True)), parts[key], level) for key in order]
    return VisitIncidence(
        frames.small(pl.DataFrame(kpi, infer_schema_length=None), source),
        frames.small(pl.concat([curve for curve in curves if curve is not None]), source),
    )


def _lazy(frame: Any) -> Any:
    kind = frames.kind_of(frame)
    if kind == "pandas":
        return pl.from_pandas(frame, nan_to_null=True).lazy()
    return frame.lazy() if kind == "polars" else frame


def _by_domain(lazy: nw.LazyFrame) -> nw.LazyFrame:
    parts = [
        lazy.filter(frames.sure(nw.col(f"by_{domain}"))).with_columns(nw.lit(domain).alias("domain"))
        for domain in DOMAINS
    ]
    return nw.concat(parts)


def _kpi(key: dict[str, Any], counts: pl.DataFrame, level: float) -> list[dict[str, Any]]:
    mature = counts.filter(pl.col("mature"))
    persons = int(mature["persons"].sum())
    states = {state: int(mature.filter(pl.col("state") == state)["persons"].sum()) for state in ("left", "turned_75")}
    lines = []
    for (low, high), name in zip(WINDOWS, _WINDOW_NAMES, strict=True):
        events = int(mature[name].sum() or 0)
        limits = wilson(events, persons, level=level) if persons else None
        lines.append(
            {
                **key,
                "window": f"{low}-{high}",
                "persons": persons,
                "events": events,
                "estimate": events / persons if persons else None,
                "lower": float(limits.lower[0]) if limits else None,
                "upper": float(limits.upper[0]) if limits else None,
                "level": level,
                "method": "Wilson",
                **states,
                "month_0": int(mature["month_0"].sum() or 0),
                "not_mature": int(counts["persons"].sum()) - persons,
            }
        )
    return lines


def _curve(key: dict[str, Any], counts: pl.DataFrame, level: float) -> pl.DataFrame | None:
    followed = counts.filter(pl.col("months_to") >= 0)
    if followed.is_empty():
        return None
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
