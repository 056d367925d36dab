"""Where does a branch stand among the 47? Ranks of published shares, never without an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions.branch_codes import BRANCHES, branch_code
from kenpo_analytics.definitions.kpi import Kpi, kpis, version_at
from kenpo_analytics.errors import TableError
from kenpo_analytics.frames import eager
from kenpo_analytics.kpi.provider import KEY
from kenpo_analytics.months import format_month, parse_month
from kenpo_analytics.stats.proportions import wilson
from kenpo_analytics.stats.ranks import DIRECTION, First, rank, rank_limits
from kenpo_analytics.stats.small_shares import shrink_shares

DRAWS, SEED = 10_000, 20261124
METHOD = "beta-binomial"
_NEAR_ONE = 0.99
_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("kpi_id", "short", "group", "unit"), pl.String),
    "digits": pl.Int64,
    "counts": pl.String,
    "month": pl.Int64,
    **dict.fromkeys(("definition_version", "area"), pl.String),
    **dict.fromkeys(("numerator", "denominator", "estimate", "lower", "upper", "level"), pl.Float64),
    "method": pl.String,
    **dict.fromkeys(("branches", "rank", "rank_lower", "rank_upper"), pl.Int64),
    **dict.fromkeys(("rank_direction", "rank_method"), pl.String),
    "published_rank": pl.Int64,
    **dict.fromkeys(("reason", "source", "as_of"), pl.String),
}


def ranked(published: Any, *, month: int | str, branch: str | None = None, level: float = 0.95) -> Any:
    """Which place among the 47 branches has each KPI, and between which places does the branch truly stand?

    Parameters
    ----------
    published
        Values as `kpi.published(tables.folder)` gives them, of any kind of frame.
    month
        Up to which month, and as known then (`known_by`). Of each KPI the last month with all 47 branches is taken,
        under the definition version in force in that month; where no month has all, the last one with several, without
        a rank.
    branch
        Only the rows of this branch (it is still ranked among all); None: all.
    level
        Of both intervals.

    Returns
    -------
    One row per KPI and branch, in the order of the registry (none of a KPI without values of several branches):
    kpi_id, short, group, unit, digits, counts, month, definition_version, area, numerator, denominator, estimate
    (shares as fractions), lower, upper (Wilson), level, method, branches (how many of 47 are there), rank, rank_lower,
    rank_upper, rank_direction (1=高い where higher is better, else 1=低い), rank_method, published_rank (as printed by
    headquarters: label it 公表順位), reason (why there is no rank, else null), source, as_of.

    Notes
    -----
    A rank needs all 47 branches, each with numerator and denominator, of a share of people or cases; then its interval
    comes from joint draws of the 47 shares (`stats.small_shares`). It covers chance in groups of this size, not how
    well a figure was counted. Measured over 60 simulated tables of 47 branches, 10 to 1,000,000 people each: 95 %
    intervals cover 96 to 99 % of the true ranks (a parametric bootstrap covers 81 to 99 %, worst for small groups).

    Raises
    ------
    TableError
        Two values of one KPI, definition version, month and area.
    ParameterError
        `branch` is no code of a branch.
    """
    branch = branch if branch is None else branch_code(branch)
    held = _known(values(published), month).filter(pl.col("area").is_in(BRANCHES))
    rows: list[dict[str, Any]] = []
    for item in kpis():
        found = _latest(item, held.filter(pl.col("kpi_id") == item.id))
        if found is not None and (branch is None or (found["area"] == branch).any()):
            rows += _rows(item, found, level)
    made = pl.DataFrame(rows, schema=_SCHEMA)
    return frames.small(made if branch is None else made.filter(pl.col("area") == branch), frames.source_of(published))


def known_by(published: Any, *, month: int | str) -> Any:
    """Which published values were known at the end of a month?

    Those of no later month. Where `as_of` (the date of the document) is filled, it lies in no later month either: the
    values of March appear in August, so a page of March does not have them. Values without `as_of` count as known from
    their own month on. The frame comes back in its kind.

    Raises
    ------
    TableError
        Two values of one KPI, definition version, month and area.
    DateError
        An `as_of` that is neither a date nor a month (`read_provider` lets none pass).
    """
    return frames.small(_known(values(published), month), frames.source_of(published))


def _known(table: pl.DataFrame, month: int | str) -> pl.DataFrame:
    at = parse_month(month)
    dated = [text for text in table["as_of"].drop_nulls().unique() if parse_month(text) <= at]
    return table.filter(pl.col("month") <= at, pl.col("as_of").is_null() | pl.col("as_of").is_in(dated))


def values(published: Any) -> pl.DataFrame:
    """The published values of any kind of frame as a polars frame, one row per KPI, definition version, month and area.

    Raises
    ------
    TableError
        A value is there twice: then no count of branches, and no rank, would be right. The first is named.
    """
    table = eager(published)
    twice = table.filter(table.select(KEY).is_duplicated()).unique(KEY).sort(KEY)
    if twice.is_empty():
        return table
    row, more = twice.row(0, named=True), f" ほか{twice.height - 1}組" if twice.height > 1 else ""
    raise TableError(
        f"公表値に、同じ指標・定義の版・月・地域の行が重なっています: {row['kpi_id']} {row['version']} "
        f"{format_month(row['month'])} {row['area']}{more}",
        hint="1つの指標・定義の版・月・地域の値は1行だけにしてください。",
    )


def _latest(item: Kpi, held: pl.DataFrame) -> pl.DataFrame | None:
    """The last month of the version then in force with all branches, else the last with several: one is no table."""
    official = [
        part.sort("area")
        for (month, version), part in held.sort("month").group_by("month", "version", maintain_order=True)
        if part.height > 1 and version_at(item.id, int(str(month))).version == version
    ]
    whole = [part for part in official if part.height == len(BRANCHES)]
    return next(reversed(whole or official), None)


def _rows(item: Kpi, found: pl.DataFrame, level: float) -> list[dict[str, Any]]:
    """The branches of one table, with ranks or the reason for none."""
    first: First = "lowest" if item.direction == "down" else "highest"
    counted = found.drop_nulls(["numerator", "denominator"]).height
    reason = _lacking(item, found.height, counted)
    columns: dict[str, list[Any]] = {"estimate": [item.of_printed(value) for value in found["value"]]}
    if item.interval == "wilson" and counted == found.height:
        limits = wilson(found["numerator"], found["denominator"], level=level)
        columns["estimate"] = (found["numerator"] / found["denominator"]).to_list()
        columns |= {"lower": limits.lower.tolist(), "upper": limits.upper.tolist()}
        columns |= {"level": [level] * found.height, "method": ["wilson"] * found.height}
    if reason is None:
        columns |= share_ranks(found["numerator"], found["denominator"], first=first, level=level)
    fixed = {
        **{name: getattr(item, name) for name in ("short", "group", "unit", "digits", "counts")},
        "branches": found.height,
        "rank_direction": DIRECTION[first],
        "rank_method": METHOD if reason is None else None,
        "reason": reason,
    }
    kept = ("kpi_id", "month", "area", "numerator", "denominator", "published_rank", "source", "as_of")
    return [
        {name: row[name] for name in kept}
        | {"definition_version": row["version"]}
        | fixed
        | {name: values[at] for name, values in columns.items()}
        for at, row in enumerate(found.iter_rows(named=True))
    ]


def share_ranks(
    events: Any, total: Any, *, first: First = "highest", level: float = 0.95, seed: int = SEED
) -> dict[str, list[int]]:
    """Which place has each share, and between which places? rank, rank_lower, rank_upper, one element per group.

    Equal shares share the best place; the interval always holds all the places that they share.
    """
    k, n = (np.asarray(counts, dtype=np.float64) for counts in (events, total))
    if k.sum() > _NEAR_ONE * n.sum():  # shares this near to 1 would be rounded to it; what is left over is not
        draws = -shrink_shares(n - k, n).draws(DRAWS, seed=seed)
    else:
        draws = shrink_shares(k, n).draws(DRAWS, seed=seed)
    shares = k / n
    places = rank_limits(draws, first=first, level=level, method=METHOD).with_observed(shares, first=first)
    found = {"rank": rank(shares, first=first), "rank_lower": places.lower, "rank_upper": places.upper}
    return {name: [int(place) for place in values] for name, values in found.items()}


def _lacking(item: Kpi, branches: int, counted: int) -> str | None:
    if branches < len(BRANCHES):
        return f"{len(BRANCHES)}支部のうち{branches}支部の値しかない"
    if item.interval != "wilson":
        return "1人(1件)ずつ別々に決まる割合でないため、順位の区間を計算できない"
    if counted < branches:
        return f"分子・分母のない支部が{branches - counted}あり、順位の区間を計算できない"
    return None
