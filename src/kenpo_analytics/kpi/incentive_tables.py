"""What did the 47 branches report of an incentive indicator? Their rows as arrays, and drawn anew by chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from kenpo_analytics.definitions.branch_codes import BRANCHES, branch_names
from kenpo_analytics.definitions.kpi import NATION, kpi, version_at
from kenpo_analytics.errors import DefinitionError, TableError
from kenpo_analytics.kpi.deviation import Values
from kenpo_analytics.kpi.weights import Indicator
from kenpo_analytics.stats.estimate import FloatArray


@dataclass(frozen=True)
class Counted:
    """One indicator of the 47 branches as it was published, in the order of `BRANCHES`."""

    item: Indicator
    values: Values
    total: FloatArray | None
    total_before: FloatArray | None
    version: str
    source: str
    national: float | None = None

    @property
    def people(self) -> bool:
        """Is it a share of people, which chance moves? Drug units (数量) are not."""
        return kpi(self.item.kpi_id).interval == "wilson"

    @property
    def smallest(self) -> int | None:
        """The smallest group of people of any branch behind it (nobody is no group); None without counts of people."""
        if not self.people:
            return None
        pairs = ((self.values.taken, self.total), (self.values.taken_before, self.total_before))
        held = [
            group[group > 0].min(initial=np.inf)
            for taken, total in pairs
            if taken is not None and total is not None
            for group in (taken, total - taken)
        ]
        return int(min(held)) if held and min(held) < np.inf else None

    @property
    def drawable(self) -> bool:
        """Are the counts there from which chance is drawn (or is there no chance)?"""
        return not self.people or (
            self.total is not None and (not self.item.looks_back or self.total_before is not None)
        )


def smallest_of(counted: Iterable[Counted]) -> int | None:
    """The smallest group of people of any branch behind any of these indicators."""
    return min((each.smallest for each in counted if each.smallest is not None), default=None)


def counted_tables(table: pl.DataFrame, item: Indicator, year: int) -> Counted:
    """What did all 47 branches report of an indicator in March of a fiscal year, and if need be the year before?

    Raises
    ------
    TableError
        A branch is missing.
    DefinitionError
        The table is there under another definition version only.
    """
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
    total, nation = _numbers(now, "denominator"), _national(table, item, month, version)
    return Counted(item, values, total, under, version, now["source"][0], nation)


def _national(table: pl.DataFrame, item: Indicator, month: int, version: str) -> float | None:
    """The nation's printed share of the same month and version; None where nobody printed one."""
    same = (pl.col("kpi_id") == item.kpi_id) & (pl.col("month") == month) & (pl.col("version") == version)
    found = table.filter(same, pl.col("area") == NATION)["value"]
    return None if found.is_empty() else kpi(item.kpi_id).of_printed(found[0])


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
        + (f"(ない支部 {'、'.join(map(branch_names().__getitem__, missing))})" if len(missing) < 10 else ""),
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
