"""How often do members see a doctor out of hours (時間外受診)? Cells of visits and member-months, and the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import DefinitionError, TableError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import i32, index_of, index_of_date, month_index, parse_month
from kenpo_analytics.outcomes.out_of_hours_lines import LineRules, line_rules
from kenpo_analytics.tables import CLAIM_FEES, MEMBERS

Area = Literal["branch", "municipality"]
VISITS = ("first", "return")
UNKNOWN = "不明"
_BY = ("area", "sex", "age_band", "relationship", "insured_kind")
_HOME = "24"
_LAST_AGE = 75  # 75 at fiscal-year end is 74 while enrolled, up to the birthday: still in the band 70-74
_TOO_OLD = 15  # the band number of older people, who cannot be members: shown when the data say so
_NO_BAND = -1
_NOT_LEFT = 10**6  # a month index after every month


@dataclass(frozen=True)
class OutOfHours:
    """Cells, and the account of every fee line read.

    Attributes
    ----------
    cells
        One row per visit type ("first", "return") and stratum that has member-months: `visit_type`, the `by` columns,
        `events` (out-of-hours visits), `events_sq` (sum over people of their squared counts in the cell), `persons`
        (people with a visit), `members` (people enrolled), `denominator` (member-months), `denominator_unit`.
    account
        From lines read to visits counted, shaped as the flow of a cohort: `step`, `kind`, `key`, `label`, `unit` (行
        until one line is one visit, then 件), `excluded`, `remaining`, `status`. Every step adds up.
    """

    cells: Any
    account: Any


@dataclass(frozen=True)
class _Strata:
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
        return range((self.start - 3) // 12, (self.stop - 4) // 12 + 1)


def out_of_hours(
    claim_fees: Any,
    members: Any,
    *,
    months: tuple[int | str, int | str],
    by: Sequence[str] = ("area", "sex", "age_band"),
    area: Area = "branch",
    branch: str | None = None,
    evening_early: bool | None = None,
    definitions: Definitions | None = None,
    data_through: int | str | None = None,
) -> OutOfHours:
    """How many out-of-hours visits (時間外受診), first (初診) and return (再診) apart, over how many member-months?

    A visit is one out-of-hours add-on (時間外・休日・深夜・特例・小児科夜間 of 医科入院外) per person, institution,
    treatment month, day and visit type, on a claim that is normal or re-claimed (再請求). It counts for the member
    stretch that holds on the last day of its treatment month, as the member-months do. Age is the age at the end of
    the month's fiscal year; members who turn 75 within it leave on that birthday, so the band 70-74 takes them in. Who
    moves counts in both areas.

    Parameters
    ----------
    claim_fees, members
        Canonical tables, as pandas, polars (eager, lazy) or DuckDB. `received_month` is only needed for `data_through`.
        Lines without an institution count as one unknown institution.
    months
        First and last treatment month, both included: (202404, 202503) or ("2024-04", "2025-03").
    by
        Strata out of "area", "sex", "age_band" ("00-04" … "70-74"; "75+" from 76 on, if the data say so),
        "relationship", "insured_kind". Missing values are the stratum 不明.
    area
        "branch" (支部, by membership) or "municipality" (residence of one branch's members; 県外・不明 stay as rows).
    branch
        Only members of this branch (JIS 2 digits); default everybody for "branch", "24" for "municipality".
    evening_early
        Also count 夜間・早朝等加算, given inside opening hours; default: definition `out_of_hours.evening_early`.
    data_through
        Hide lines received after this month (knowledge cut).

    Raises
    ------
    TableError
        A missing column; overlapping stretches of one person (they would count twice).
    DateError
        Months in the wrong order, or after `data_through`.
    DefinitionError, FrameKindError
        Unknown strata or area; unknown or mixed frames.

    Notes
    -----
    Codes: 支払基金 医科診療行為マスター (`definitions.fee_codes`), in force 2024-06 to 2026-05; used for other months
    while `out_of_hours.extrapolate_codes` is 1 (仮定), and then told in the account. Which codes 協会けんぽ counts
    itself is not published (decision D4 in docs/assumptions.md).
    """
    first, last = (parse_month(month) for month in months)
    through = None if data_through is None else parse_month(data_through)
    rules = line_rules(definitions or define(), first, last, evening_early, through)
    strata = _strata(first, last, by, area, branch)
    frames.same_engine(claim_fees=claim_fees, members=members)
    needed = ("person_id", "institution", "treatment_month", "status", "code", "day")
    lines = frames.enter(claim_fees, CLAIM_FEES, needed if through is None else (*needed, "received_month"))
    stretches = _stretches(members, strata)
    frames.same_key("person_id", claim_fees=lines, members=stretches)
    single, several = _by_number(stretches)
    visits = _visits(lines, rules)
    tally, distinct, found, *enrolled, overlaps = frames.collect_all(
        [
            rules.tally(lines),
            visits.group_by("is_first").agg(_count()),
            _numerator(visits, nw.concat([single, several]), strata),
            _denominator(single, strata, once=True),
            _denominator(several, strata, once=False),
            _overlaps(several),
        ]
    )
    _refuse(overlaps)
    ours, elsewhere = found.filter("home"), found.filter(~pl.col("home"))["events"].sum()
    account = rules.account(
        tally, int(distinct["n"].sum()), int(elsewhere) if strata.branch else None, int(ours["events"].sum())
    )
    source = frames.Source(frames.kind_of(claim_fees))
    return OutOfHours(frames.small(_cells(ours, pl.concat(enrolled), strata), source), frames.small(account, source))


def _strata(first: int, last: int, by: Sequence[str], area: str, branch: str | None) -> _Strata:
    if unknown := [name for name in by if name not in _BY]:
        raise DefinitionError(
            f"時間外受診の集計の区分にない名前です: {'、'.join(unknown)}", hint=f"使える区分: {', '.join(_BY)}"
        )
    if area not in ("branch", "municipality"):
        raise DefinitionError(f"地域は branch か municipality です: 「{area}」")
    chosen = _HOME if branch is None and area == "municipality" else branch
    return _Strata(month_index(first), month_index(last) + 1, tuple(dict.fromkeys(by)), area, chosen)  # type: ignore[arg-type]


def _visits(lines: nw.LazyFrame, rules: LineRules) -> nw.LazyFrame:
    """One row per visit: add-ons of one person, institution, month, day and visit type are one visit."""
    counted = lines.filter(rules.counts()).select(
        "person_id", "institution", "treatment_month", "day", rules.is_first()
    )
    return counted.unique().select("person_id", "is_first", index_of(nw.col("treatment_month")).alias("month"))


def _stretches(members: Any, strata: _Strata) -> nw.LazyFrame:
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


def _by_number(stretches: nw.LazyFrame) -> tuple[nw.LazyFrame, nw.LazyFrame]:
    """Split people with one stretch (most) from those with several: only these can hold duplicates or overlaps.

    Grouping millions by person once, on the identifier alone, is what makes the rest cheap.
    """
    numbers = stretches.group_by("person_id").agg(_count())
    several = numbers.filter(nw.col("n") > 1).select("person_id")
    return (
        stretches.join(several, on="person_id", how="anti"),
        stretches.join(several, on="person_id", how="semi").unique(),
    )


def _within(index: nw.Expr, strata: _Strata) -> nw.Expr:
    return i32(index.clip(strata.start, strata.stop))


def _band(fiscal_year: nw.Expr | int) -> nw.Expr:
    """Which five-year band (0, 1, …) is the age at the end of the fiscal year?"""
    age = fiscal_year - nw.col("fy_age_base")
    known = nw.when(sure(age == _LAST_AGE)).then(_TOO_OLD - 1).otherwise(age.clip(0, 5 * _TOO_OLD) // 5)
    return i32(nw.when(sure(age >= 0)).then(known).otherwise(_NO_BAND)).alias("age_band")


def _numerator(visits: nw.LazyFrame, stretches: nw.LazyFrame, strata: _Strata) -> nw.LazyFrame:
    """Visits by cell: place each in the stretch of its month, count by person, then by cell."""
    month = nw.col("month")
    placed = visits.join(stretches, on="person_id", how="inner")
    placed = placed.filter((nw.col("begins") <= month) & (month < nw.col("ends")))
    if "age_band" in strata.by:
        placed = placed.with_columns(_band((month - 3) // 12))
    keys = ["home", "is_first", *strata.keys]
    by_person = placed.group_by(*keys, "person_id").agg(_count())
    n = nw.col("n")
    return (
        by_person.with_columns((n * n).alias("square"))
        .group_by(*keys)
        .agg(
            n.sum().cast(nw.Int64).alias("events"),
            nw.col("square").sum().cast(nw.Int64).alias("events_sq"),
            nw.len().cast(nw.Int64).alias("persons"),
        )
    )


def _denominator(stretches: nw.LazyFrame, strata: _Strata, *, once: bool) -> nw.LazyFrame:
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
    rows = stretches.with_columns((ends - begins).alias("months"), _band(year))
    return rows.filter(nw.col("months") > 0)


def _overlaps(several: nw.LazyFrame) -> nw.LazyFrame:
    """People whose stretches overlap: one begins before the one before it has ended."""
    before = nw.col("ends").shift(1).over("person_id", order_by=["begins", "ends"])
    return several.filter(sure(before > nw.col("begins"))).select("person_id").unique()


def _refuse(overlaps: pl.DataFrame) -> None:
    if people := overlaps.height:
        raise TableError(
            f"membersの加入期間が同じ人の中で重なっています({people}人)",
            hint="1か月に1つの期間だけが当たるように直してください(kenpo check で行を確かめられます)。",
        )


def _count() -> nw.Expr:
    return nw.len().cast(nw.Int64).alias("n")


def _cells(found: pl.DataFrame, enrolled: pl.DataFrame, strata: _Strata) -> pl.DataFrame:
    """Every stratum with member-months, for both visit types, 0 where nobody came."""
    visits = pl.DataFrame({"visit_type": VISITS, "is_first": [True, False]})
    numbers = ["events", "events_sq", "persons"]
    enrolled = enrolled.group_by(strata.keys).agg(pl.col("members", "denominator").sum())
    cells = visits.join(enrolled, how="cross").join(found, on=["is_first", *strata.keys], how="left")
    cells = cells.sort(pl.col("is_first"), *strata.keys, descending=[True, *[False] * len(strata.keys)])
    if "age_band" in strata.by:
        cells = cells.with_columns(age_band=pl.col("age_band").replace_strict(_LABELS))
    return cells.select(
        "visit_type",
        *strata.by,
        *(pl.col(name).fill_null(0) for name in numbers),
        "members",
        "denominator",
        pl.lit("member_month").alias("denominator_unit"),
    )


_LABELS = {_NO_BAND: UNKNOWN, _TOO_OLD: "75+"} | {
    number: f"{number * 5:02d}-{number * 5 + 4:02d}" for number in range(_TOO_OLD)
}
