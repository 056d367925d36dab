"""How many incentive points (インセンティブ制度) has each branch, and which place? With intervals for the places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.definitions.kpi import kpi, version_at
from kenpo_analytics.errors import DefinitionError, TableError
from kenpo_analytics.kpi import branches
from kenpo_analytics.kpi.deviation import Values, components, deviations, indicator_points
from kenpo_analytics.kpi.provider import BRANCHES
from kenpo_analytics.kpi.weights import COMPONENTS, Indicator, Rules, incentive_rules
from kenpo_analytics.stats.estimate import FloatArray
from kenpo_analytics.stats.ranks import DIRECTION, rank, rank_limits

DRAWS, SEED = 4_000, 20261125
METHOD = "parametric-bootstrap"


@dataclass(frozen=True)
class Counted:
    """One indicator of the 47 branches as it was published, in the order of `BRANCHES`."""

    item: Indicator
    values: Values
    total: FloatArray | None
    total_before: FloatArray | None
    version: str
    source: str

    @property
    def people(self) -> bool:
        """Is it a share of people, which chance moves? Drug units (数量) are not."""
        return kpi(self.item.kpi_id).interval == "wilson"

    @property
    def drawable(self) -> bool:
        """Are the counts there from which chance is drawn (or is there no chance)?"""
        return not self.people or (
            self.total is not None and (not self.item.looks_back or self.total_before is not None)
        )


@dataclass(frozen=True)
class Score:
    """The score of a fiscal year.

    `rows`: a branch and indicator a row: area, indicator, label, kpi_id, definition_version, numerator, denominator,
    estimate (share), before, room (1 - before), rank, rank_lower, rank_upper (of the share; reason where there is
    none), level_deviation, rise, rise_deviation, number, number_deviation, deviation, base, points, source. `totals`: a
    branch a row: area, points, rank, rank_lower, rank_upper, level, rank_method, rank_direction, top, p_top
    (probability of a place within the top), line (points of the last place within it), gap (points - line), reason.
    `covers` says in Japanese what the interval of the total covers.
    """

    rules: Rules
    rows: Any
    totals: Any
    covers: str
    counted: tuple[Counted, ...]
    drawn: tuple[FloatArray, ...] | None
    level: float


def incentive_score(
    published: Any,
    *,
    fiscal_year: int,
    definitions: Definitions | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Score:
    """How many points has each of the 47 branches in a fiscal year, and which place?

    Parameters
    ----------
    published
        Values as `kpi.published(tables.folder)` gives them, of any kind of frame; the year's and last year's March.
    fiscal_year
        年度; the weights are those in force in its April (`incentive_rules`).
    definitions
        With the branch's own weights (`tables.definitions`).

    Returns
    -------
    `Score`; its frames of the kind that went in.

    Notes
    -----
    The interval of a place comes from a parametric bootstrap: numerators of both years drawn anew from binomial
    distributions, independently, shares of drug units held fixed. It covers chance alone. Measured over 40 planted
    tables of 47 branches: 95 % intervals hold 92 % (2,000 people a branch) to 99 % (200,000) of the true places.

    Raises
    ------
    TableError
        A branch is missing.
    DefinitionError
        Last year was counted under another definition version; weights that do not add up.
    EstimateError
        What `deviation` refuses: no spread, no room for improvement, no numerators.
    """
    rules = incentive_rules(fiscal_year, definitions=definitions)
    table = branches.eager(published)
    counted = tuple(_counted(table, item, fiscal_year) for item in rules.indicators)
    shown = {"rise": rules.rise, "sd": rules.sd}
    points = [indicator_points(each.item, each.values, **shown) for each in counted]
    lacking = [each.item.label for each in counted if not each.drawable]
    drawn = None
    if not lacking:
        drawn = tuple(
            indicator_points(each.item, redrawn(each, draws, [seed, at]), **shown)
            if each.people
            else points[at][None, :]
            for at, each in enumerate(counted)
        )
    totals = _totals(np.sum(points, axis=0), drawn, rules, level, lacking)
    rows = pl.concat([_rows(each, rules, points[at], level) for at, each in enumerate(counted)])
    back = frames.source_of(published)
    return Score(rules, frames.small(rows, back), frames.small(totals, back), _covers(counted), counted, drawn, level)


def _counted(table: pl.DataFrame, item: Indicator, year: int) -> Counted:
    month = (year + 1) * 100 + 3
    version = version_at(item.kpi_id, month).version
    now = _of_all(table, item, month, version)
    before = _of_all(table, item, month - 100, version) if item.looks_back else None
    values = Values(
        _shares(item, now),
        None if before is None else _shares(item, before),
        _numbers(now, "numerator"),
        None if before is None else _numbers(before, "numerator"),
    )
    under = None if before is None else _numbers(before, "denominator")
    return Counted(item, values, _numbers(now, "denominator"), under, version, now["source"][0])


def _of_all(table: pl.DataFrame, item: Indicator, month: int, version: str) -> pl.DataFrame:
    """The 47 rows of one March, in the order of `BRANCHES`."""
    held = table.filter(pl.col("kpi_id") == item.kpi_id, pl.col("month") == month, pl.col("area").is_in(BRANCHES))
    found = held.filter(pl.col("version") == version).sort("area")
    if found["area"].to_list() == list(BRANCHES):
        return found
    when = f"{item.label}の{month // 100}年{month % 100}月の値"
    if found.is_empty() and held.height == len(BRANCHES):
        raise DefinitionError(f"{when}の定義の版が違うため、比較しません({held['version'][0]}。必要な版は{version})。")
    missing = [code for code in BRANCHES if code not in set(found["area"])]
    raise TableError(
        f"{when}が{len(BRANCHES)}支部のうち{len(BRANCHES) - len(missing)}支部しかありません"
        + (f"(ない支部 {'、'.join(missing)})" if len(missing) < 10 else ""),
        hint="47支部の表を kpi_published.csv に加えてください(docs/kpi.md)。",
    )


def _shares(item: Indicator, rows: pl.DataFrame) -> FloatArray:
    counted = rows.drop_nulls(["numerator", "denominator"]).height == rows.height
    shares = rows["numerator"] / rows["denominator"] if counted else rows["value"] / 100
    return shares.to_numpy().astype(np.float64)


def _numbers(rows: pl.DataFrame, name: str) -> FloatArray | None:
    complete = not rows.select("numerator", "denominator").null_count().sum_horizontal()[0]
    return rows[name].to_numpy().astype(np.float64) if complete else None


def redrawn(each: Counted, draws: int, seed: list[int], now: FloatArray | None = None) -> Values:
    """The indicator with its numerators drawn anew, one row per draw; `now` for other shares than were observed."""
    rng = np.random.default_rng(seed)
    assert each.total is not None
    size = (draws, len(BRANCHES))
    drawn = rng.binomial(each.total.astype(np.int64), each.values.now if now is None else now, size)
    taken = drawn.astype(np.float64)
    if each.total_before is None or each.values.before is None:
        return Values(taken / each.total)
    under: FloatArray = each.total_before
    # the draws of a branch near 100 % or 0 must leave room, and somebody to compare with
    then: FloatArray = np.clip(rng.binomial(under.astype(np.int64), each.values.before, size), 0.5, under - 0.5)
    return Values(taken / each.total, then / under, taken, then)


def _totals(
    total: FloatArray, drawn: tuple[FloatArray, ...] | None, rules: Rules, level: float, lacking: list[str]
) -> pl.DataFrame:
    line = float(np.sort(total)[::-1][rules.top - 1])
    made = pl.DataFrame({"area": BRANCHES, "points": total}).with_columns(
        rank=pl.lit(None, pl.Int64),
        rank_lower=pl.lit(None, pl.Int64),
        rank_upper=pl.lit(None, pl.Int64),
        level=pl.lit(level),
        rank_method=pl.lit(None, pl.String),
        rank_direction=pl.lit(DIRECTION["highest"]),
        top=pl.lit(rules.top, pl.Int64),
        p_top=pl.lit(None, pl.Float64),
        line=pl.lit(line),
        gap=pl.col("points") - line,
        reason=pl.lit(
            f"分子・分母がないため、順位の区間を計算できない({'、'.join(lacking)})" if lacking else None, pl.String
        ),
    )
    if drawn is None:
        return made
    limits = rank_limits(sum(drawn), first="highest", worst=len(BRANCHES) - rules.top, level=level, method=METHOD)
    return made.with_columns(
        rank=pl.Series(rank(total, first="highest")).cast(pl.Int64),
        rank_lower=pl.Series(limits.lower).cast(pl.Int64),
        rank_upper=pl.Series(limits.upper).cast(pl.Int64),
        rank_method=pl.lit(METHOD),
        p_top=pl.Series(1 - limits.worst),
    )


def _rows(each: Counted, rules: Rules, points: FloatArray, level: float) -> pl.DataFrame:
    item, values = each.item, each.values
    measured = components(item, values, rise=rules.rise)
    deviated = deviations(item, values, rise=rules.rise, sd=rules.sd)
    ranks = (
        branches.share_ranks(values.taken, each.total, level=level) if each.people and each.total is not None else {}
    )
    nothing: list[Any] = [None] * len(BRANCHES)
    columns: dict[str, Any] = {
        "numerator": values.taken if values.taken is not None else nothing,
        "denominator": each.total if each.total is not None else nothing,
        "estimate": values.now,
        "before": values.before if values.before is not None else nothing,
        "room": 1 - values.before if values.before is not None else nothing,
        **{name: ranks.get(name, nothing) for name in ("rank", "rank_lower", "rank_upper")},
    }
    for name in COMPONENTS:
        if name != "level":
            columns[name] = measured.get(name, nothing)
        columns[f"{name}_deviation"] = deviated.get(name, nothing)
    columns |= {"deviation": deviated["all"], "points": points}
    whole = pl.DataFrame({"area": BRANCHES}).with_columns(
        pl.Series(name, column, dtype=pl.Int64 if name.startswith("rank") else pl.Float64, strict=False)
        for name, column in columns.items()
    )
    return whole.with_columns(
        indicator=pl.lit(item.key),
        label=pl.lit(item.label),
        kpi_id=pl.lit(item.kpi_id),
        definition_version=pl.lit(each.version),
        base=pl.lit(item.base),
        reason=pl.lit(None if ranks else _no_rank(each), pl.String),
        source=pl.lit(each.source),
    )


def _no_rank(each: Counted) -> str:
    if not each.people:
        return "数量の割合で、人・件の割合でないため、順位の区間を計算できない"
    return "分子・分母がないため、順位の区間を計算できない"


def _covers(counted: tuple[Counted, ...]) -> str:
    fixed = [each.item.label for each in counted if not each.people]
    held = f"{'、'.join(fixed)}は数量の全数のため動かさない。" if fixed else ""
    return (
        "合計点の順位の区間は、人の割合の指標の分子を、当年度・前年度とも同じ大きさの集団で偶然に動きうる幅"
        f"(二項分布)で引き直したもの。{held}配分・定義の仮定の違い、集計の誤り、支部どうしの関連は含まない。"
    )
