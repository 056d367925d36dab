"""Who is enrolled when (加入)? Member stretches as month indices, their strata, member-months (延べ加入月数)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import DefinitionError, TableError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import i32, index_of_date, month_index
from kenpo_analytics.tables import MEMBERS

Area = Literal["branch", "municipality"]
UNKNOWN = "不明"
_BY = ("area", "sex", "age_band", "relationship", "insured_kind")
_HOME = "24"
_LAST_AGE = 75  # 75 at fiscal-year end is 74 while enrolled, up to the birthday: still in the band 70-74
_TOO_OLD = 15  # the band number of older people, who cannot be members: shown when the data say so
_NO_BAND = -1
_NOT_LEFT = 10**6  # a month index after every month
BAND_LABELS = {_NO_BAND: UNKNOWN, _TOO_OLD: "75+"} | {
    number: f"{number * 5:02d}-{number * 5 + 4:02d}" for number in range(_TOO_OLD)
}


@dataclass(frozen=True)
class Strata:
    """Months (indices, `stop` not included), by which columns, and whose members."""

    start: int
    stop: int
    by: tuple[str, ...]
    area: Area
    branch: str | None

    @property
    def keys(self) -> list[str]:
        """What to group by, also when there are no strata."""
        return list(self.by) or ["everyone"]

    @property
    def fiscal_years(self) -> range:
        """Fiscal years that the months touch."""
        return range((self.start - 3) // 12, (self.stop - 4) // 12 + 1)


def strata_of(first: int, last: int, by: Sequence[str], area: str, branch: str | None) -> Strata:
    """Check what is asked for: known columns, a known kind of area."""
    if unknown := [name for name in by if name not in _BY]:
        raise DefinitionError(
            f"時間外受診の集計の区分にない名前です: {'、'.join(unknown)}", hint=f"使える区分: {', '.join(_BY)}"
        )
    if area not in ("branch", "municipality"):
        raise DefinitionError(f"地域は branch か municipality です: 「{area}」")
    chosen = _HOME if branch is None and area == "municipality" else branch
    return Strata(month_index(first), month_index(last) + 1, tuple(dict.fromkeys(by)), area, chosen)  # type: ignore[arg-type]


def stretches_of(members: Any, strata: Strata) -> nw.LazyFrame:
    """Member stretches as month indices [begins, ends) clipped to the window, with their strata.

    A stretch holds on the last day of a month from the month of `valid_from` on, and no longer in the month of
    `valid_to`: whatever the day in either month, so that month indices are all it takes.
    """
    sources = {"area": strata.area, "age_band": "fy_age_base"}
    columns = {name: sources.get(name, name) for name in strata.by}
    branch = ("branch",) if strata.branch else ()
    needed = tuple(dict.fromkeys(("person_id", "valid_from", "valid_to", *columns.values(), *branch)))
    rows = frames.enter(members, MEMBERS, needed)
    begins, ends = index_of_date(nw.col("valid_from")), index_of_date(nw.col("valid_to")).fill_null(_NOT_LEFT)
    home = sure(nw.col("branch") == strata.branch) if strata.branch else nw.lit(True)
    texts = [nw.col(old).fill_null(UNKNOWN).alias(new) for new, old in columns.items() if new != "age_band"]
    base = [nw.col("fy_age_base")] if "age_band" in columns else []
    rows = rows.filter(~nw.col("person_id").is_null() & ~nw.col("valid_from").is_null()).select(
        "person_id", _within(begins, strata).alias("begins"), _within(ends, strata).alias("ends"),
        home.alias("home"), *texts, *base, *([] if strata.by else [nw.lit("").alias("everyone")]),
    )  # fmt: skip
    return rows.filter(nw.col("begins") < nw.col("ends"))


def by_number(stretches: nw.LazyFrame) -> tuple[nw.LazyFrame, nw.LazyFrame]:
    """Split people with one stretch (most) from those with several: only these can hold duplicates or overlaps.

    Grouping millions by person once, on the identifier alone, is what makes the rest cheap.
    """
    numbers = stretches.group_by("person_id").agg(count())
    several = numbers.filter(nw.col("n") > 1).select("person_id")
    return (
        stretches.join(several, on="person_id", how="anti"),
        stretches.join(several, on="person_id", how="semi").unique(),
    )


def _within(index: nw.Expr, strata: Strata) -> nw.Expr:
    return i32(index.clip(strata.start, strata.stop))


def band(fiscal_year: nw.Expr | int) -> nw.Expr:
    """Which five-year band (0, 1, …) is the age at the end of the fiscal year?"""
    age = fiscal_year - nw.col("fy_age_base")
    known = nw.when(sure(age == _LAST_AGE)).then(_TOO_OLD - 1).otherwise(age.clip(0, 5 * _TOO_OLD) // 5)
    return i32(nw.when(sure(age >= 0)).then(known).otherwise(_NO_BAND)).alias("age_band")


def denominator(stretches: nw.LazyFrame, strata: Strata, *, once: bool) -> nw.LazyFrame:
    """Member-months and people by stratum. Only an age makes fiscal years differ: one part per year, none per month.

    `once`: everybody has one stretch, and so stands once in a stratum, unless there are several years.
    """
    ours = stretches.filter(nw.col("home"))
    parts = [ours.with_columns((nw.col("ends") - nw.col("begins")).alias("months"))]
    if "age_band" in strata.by:
        parts = [_in_year(ours, year) for year in strata.fiscal_years]
    people = nw.concat([part.select(*strata.keys, "person_id", "months") for part in parts])
    if not once or len(parts) > 1:
        people = people.group_by(*strata.keys, "person_id").agg(nw.col("months").sum())
    return people.group_by(*strata.keys).agg(
        nw.len().cast(nw.Int64).alias("members"), nw.col("months").sum().cast(nw.Int64).alias("denominator")
    )


def _in_year(stretches: nw.LazyFrame, year: int) -> nw.LazyFrame:
    april = 12 * year + 3
    begins, ends = (i32(nw.col(name).clip(april, april + 12)) for name in ("begins", "ends"))
    rows = stretches.with_columns((ends - begins).alias("months"), band(year))
    return rows.filter(nw.col("months") > 0)


def overlapping(several: nw.LazyFrame) -> nw.LazyFrame:
    """People whose stretches overlap: one begins before the one before it has ended."""
    before = nw.col("ends").shift(1).over("person_id", order_by=["begins", "ends"])
    return several.filter(sure(before > nw.col("begins"))).select("person_id").unique()


def refuse_overlaps(overlaps: pl.DataFrame) -> None:
    """Refuse people who would count twice in a month."""
    if people := overlaps.height:
        raise TableError(
            f"membersの加入期間が同じ人の中で重なっています({people}人)",
            hint="1か月に1つの期間だけが当たるように直してください(kenpo check で行を確かめられます)。",
        )


def count() -> nw.Expr:
    """Rows of a group, in the same integer type on every engine."""
    return nw.len().cast(nw.Int64).alias("n")
