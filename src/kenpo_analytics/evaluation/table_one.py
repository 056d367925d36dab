"""Who is in the groups, and how alike are they? Table 1 (表1) with standardised differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import EstimateError, TableError
from kenpo_analytics.evaluation.groups import BASELINE, names_of
from kenpo_analytics.stats.smd import smd_levels, smd_mean
from kenpo_analytics.tables import CHECKUPS, TABLES

VARIABLES = ("sex", "age", "fpg", "hba1c", *BASELINE)
UNKNOWN = "unknown"
MISSING = "missing"
_GROUP, _LEVEL = "_group", "_level"


def table_one(people: Any, variables: Sequence[str] | None = None, *, by: str | None = None) -> Any:
    """Who is in the groups, what was not measured, and how far apart are two groups?

    Parameters
    ----------
    people
        One row per person: pandas, polars (eager, lazy) or DuckDB.
    variables
        Columns to describe: numbers by mean and sd, texts and yes/no by the share of each level; default those of
        `VARIABLES` that are there. Dates and identifiers are refused.
    by
        The column with the group. People without one are a group of their own, `unknown`, and never dropped.

    Returns
    -------
    Small eager frame. Rows: `variable` persons, level all (everybody), then for each variable its levels (for numbers
    the level mean) and the level missing, also when it is 0. Columns for each group g, in sorted order (without `by`
    no suffix):

    - `n_<g>`: people with this level (for mean: with a value); levels and missing add up to the persons of g.
    - `share_<g>`: n over the people with a value; of missing, over all persons of g.
    - `mean_<g>`, `sd_<g>` (n - 1); `known_<g>`: people with a value, the denominator of share and mean.

    and `smd` on the first row of a variable when there are exactly two known groups: (second - first) / pooled sd for
    numbers, the distance over all levels (never negative) else; missing values left out; null where it cannot be
    computed (nobody has a value, or fewer than two people for an sd).

    Raises
    ------
    TableError, FrameKindError, EstimateError
        A column is missing or cannot be described; nobody is there.

    Notes
    -----
    Source: Austin PC (2009) Stat Med 28:3083-3107; Yang D, Dalton JE (2012) SAS Global Forum 335-2012.
    """
    lazy, chosen = _plan(people, variables, by)
    sizes = dict(frames.collect(lazy.group_by(_GROUP).agg(nw.len().alias("n"))).iter_rows())
    if not sizes:
        raise EstimateError("対象者が1人もいないため表1を作れません", hint="対象者のフローを確かめてください。")
    groups = sorted(sizes, key=lambda name: (name == UNKNOWN, name))
    rows: list[dict[str, Any]] = [
        _row("persons", "all", groups, {g: (sizes[g], None, None, None) for g in groups}, sizes)
    ]
    for name, numeric in chosen.items():
        rows += _numbers(lazy, name, groups, sizes) if numeric else _levels(lazy, name, groups, sizes)
    table = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"smd": pl.Float64})
    if by is None:
        table = table.rename({f"{name}_all": name for name in ("n", "share", "mean", "sd", "known")})
    floats = [name for name in table.columns if name.split("_")[0] in ("share", "mean", "sd")]
    table = table.with_columns(pl.col(floats).cast(pl.Float64))
    return frames.small(table, frames.source_of(people))


def _plan(people: Any, variables: Sequence[str] | None, by: str | None) -> tuple[nw.LazyFrame, dict[str, bool]]:
    """The columns that are described, with the group as text; which of them are numbers?"""
    names = names_of(people)
    wanted = list(variables) if variables is not None else [name for name in VARIABLES if name in names]
    lazy = frames.enter(people, CHECKUPS, [*wanted, *([by] if by and by not in wanted else [])])
    schema = lazy.collect_schema()
    kinds = {column.name: column.kind for table in TABLES.values() for column in table.columns}
    chosen = {name: schema[name].is_numeric() for name in wanted}
    wrong = [n for n in wanted if schema[n].is_temporal() or n.endswith("_id") or kinds.get(n) in ("date", "month")]
    if wrong:
        raise TableError(
            f"表1に書けない列です(日付またはID): {', '.join(wrong)}", hint="variables= を見直してください。"
        )
    clean = [nw.col(name).fill_nan(None).alias(name) for name in wanted if schema[name].is_float()]
    lazy = lazy.with_columns(*clean) if clean else lazy
    if by is None:
        return lazy.with_columns(nw.lit("all").alias(_GROUP)), chosen
    return lazy.with_columns(nw.col(by).cast(nw.String).fill_null(UNKNOWN).alias(_GROUP)), chosen


def _row(
    variable: str,
    level: str,
    groups: Sequence[str],
    cells: Mapping[str, tuple[int, float | None, float | None, float | None]],
    known: Mapping[str, int],
    smd: float | None = None,
) -> dict[str, Any]:
    row: dict[str, Any] = {"variable": variable, "level": level}
    for group in groups:
        n, share, mean, sd = cells[group]
        row |= {f"n_{group}": n, f"share_{group}": share, f"mean_{group}": mean, f"sd_{group}": sd}
        row[f"known_{group}"] = known[group]
    return row | {"smd": smd}


def _missing(name: str, groups: Sequence[str], sizes: Mapping[str, int], known: Mapping[str, int]) -> dict[str, Any]:
    lost = {group: sizes[group] - known[group] for group in groups}
    return _row(name, MISSING, groups, {g: (lost[g], lost[g] / sizes[g], None, None) for g in groups}, known)


def _numbers(lazy: nw.LazyFrame, name: str, groups: Sequence[str], sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    value = nw.col(name)
    stats = lazy.group_by(_GROUP).agg(value.count().alias("_n"), value.mean().alias("_mean"), value.std().alias("_sd"))
    found = {row[_GROUP]: row for row in frames.collect(stats).iter_rows(named=True)}
    known = {group: int(found[group]["_n"]) for group in groups}
    moments = {group: (found[group]["_mean"], found[group]["_sd"]) for group in groups}
    # one person has no sd; engines say so in different ways
    moments = {g: (mean, sd if known[g] > 1 else None) for g, (mean, sd) in moments.items()}
    smd, pair = None, _pair(groups)
    if pair and all(known[group] > 1 for group in pair):
        (mean0, sd0), (mean1, sd1) = (moments[group] for group in pair)
        smd = smd_mean(mean1, sd1, mean0, sd0)
    cells = {group: (known[group], None, *moments[group]) for group in groups}
    return [_row(name, "mean", groups, cells, known, smd), _missing(name, groups, sizes, known)]


def _levels(lazy: nw.LazyFrame, name: str, groups: Sequence[str], sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    text = nw.col(name).cast(nw.String).alias(_LEVEL)
    counted = frames.collect(lazy.select(_GROUP, text).group_by(_GROUP, _LEVEL).agg(nw.len().alias("n")))
    counts = {(group, level): int(n) for group, level, n in counted.select(_GROUP, _LEVEL, "n").iter_rows()}
    order = {
        value: i
        for table in TABLES.values()
        for c in table.columns
        if c.name == name
        for i, value in enumerate(c.values)
    }
    found = {level for _, level in counts if level is not None}
    levels = sorted(found, key=lambda level: (order.get(level, len(order)), level))
    known = {group: sizes[group] - counts.get((group, None), 0) for group in groups}
    smd, pair = None, _pair(groups)
    if pair and all(known[group] for group in pair):
        zero, one = ([counts.get((group, level), 0) for level in levels] for group in pair)
        smd = smd_levels(one, zero)
    rows: list[dict[str, Any]] = []
    for level in levels:
        n = {group: counts.get((group, level), 0) for group in groups}
        cells = {g: (n[g], n[g] / known[g] if known[g] else None, None, None) for g in groups}
        rows.append(_row(name, level, groups, cells, known, None if rows else smd))
    return [*rows, _missing(name, groups, sizes, known)]


def _pair(groups: Sequence[str]) -> list[str] | None:
    known = [group for group in groups if group != UNKNOWN]
    return known if len(known) == 2 else None
