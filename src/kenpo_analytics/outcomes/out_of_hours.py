"""How often do members see a doctor out of hours (時間外受診)? Cells of visits and member-months, and the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import DateError
from kenpo_analytics.months import index_of, parse_month
from kenpo_analytics.outcomes.out_of_hours_lines import HOURS, LineRules, line_rules
from kenpo_analytics.outcomes.out_of_hours_members import (
    BAND_LABELS,
    Area,
    Strata,
    band,
    by_number,
    count,
    denominator,
    overlapping,
    refuse_overlaps,
    strata_of,
    stretches_of,
)
from kenpo_analytics.tables import CLAIM_FEES

VISITS = ("first", "return")


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
    by_hours: bool = False,
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
    by_hours
        Also by class of the add-on: a column `hours` ("holiday", "late_night", … of `fee_codes`), every class in every
        stratum, with the same member-months. A visit with several is of the first in `HOURS` (深夜, 休日, …; D9, 仮定).

    Raises
    ------
    TableError
        A missing column; overlapping stretches of one person (they would count twice).
    DateError
        Not two months, in the wrong order, or after `data_through`.
    DefinitionError, FrameKindError
        Unknown strata or area; unknown or mixed frames.

    Notes
    -----
    Codes: 支払基金 医科診療行為マスター (`definitions.fee_codes`), in force 2024-06 to 2026-05; used for other months
    while `out_of_hours.extrapolate_codes` is 1 (仮定), and then told in the account. Which codes 協会けんぽ itself
    counts is not published (decision D4 in docs/assumptions.md).
    """
    if isinstance(months, str | int) or len(months) != 2:
        raise DateError(f"期間は始めと終わりの2つの月で渡してください: {months}", hint='例: ("2024-04", "2025-03")')
    first, last = (parse_month(month) for month in months)
    through = None if data_through is None else parse_month(data_through)
    rules = line_rules(definitions or define(), first, last, evening_early, through)
    strata = strata_of(first, last, by, area, branch)
    frames.same_engine(claim_fees=claim_fees, members=members)
    needed = ("person_id", "institution", "treatment_month", "status", "code", "day")
    lines = frames.enter(claim_fees, CLAIM_FEES, needed if through is None else (*needed, "received_month"))
    stretches = stretches_of(members, strata)
    frames.same_key("person_id", claim_fees=lines, members=stretches)
    single, several = by_number(stretches)
    visits = _visits(lines, rules, by_hours)
    tally, distinct, found, *enrolled, overlaps = frames.collect_all(
        [
            rules.tally(lines),
            visits.group_by("is_first").agg(count()),
            _numerator(visits, nw.concat([single, several]), strata, by_hours),
            denominator(single, strata, once=True),
            denominator(several, strata, once=False),
            overlapping(several),
        ]
    )
    refuse_overlaps(overlaps)
    ours, elsewhere = found.filter("home"), found.filter(~pl.col("home"))["events"].sum()
    account = rules.account(
        tally, int(distinct["n"].sum()), int(elsewhere) if strata.branch else None, int(ours["events"].sum())
    )
    source = frames.Source(frames.kind_of(claim_fees))
    cells = _cells(ours, pl.concat(enrolled), strata, rules.classes if by_hours else None)
    return OutOfHours(frames.small(cells, source), frames.small(account, source))


def _visits(lines: nw.LazyFrame, rules: LineRules, by_hours: bool) -> nw.LazyFrame:
    """One row per visit: add-ons of one person, institution, month, day and visit type are one visit."""
    keys = ("person_id", "institution", "treatment_month", "day")
    counted = lines.filter(rules.counts())
    month = index_of(nw.col("treatment_month")).alias("month")
    if by_hours:
        one = counted.select(*keys, rules.is_first(), rules.hours()).group_by(*keys, "is_first")
        return one.agg(nw.col("hours").min()).select("person_id", "is_first", month, "hours")
    return counted.select(*keys, rules.is_first()).unique().select("person_id", "is_first", month)


def _numerator(visits: nw.LazyFrame, stretches: nw.LazyFrame, strata: Strata, by_hours: bool) -> nw.LazyFrame:
    """Visits by cell: place each in the stretch of its month, count by person, then by cell."""
    month = nw.col("month")
    placed = visits.join(stretches, on="person_id", how="inner")
    placed = placed.filter((nw.col("begins") <= month) & (month < nw.col("ends")))
    if "age_band" in strata.by:
        placed = placed.with_columns(band((month - 3) // 12))
    keys = ["home", "is_first", *(["hours"] if by_hours else []), *strata.keys]
    by_person = placed.group_by(*keys, "person_id").agg(count())
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


def _cells(found: pl.DataFrame, enrolled: pl.DataFrame, strata: Strata, classes: list[int] | None) -> pl.DataFrame:
    """Every stratum with member-months, for both visit types (and every class), 0 where nobody came."""
    visits = pl.DataFrame({"visit_type": VISITS, "is_first": [True, False]})
    parts = ["is_first"]
    if classes is not None:
        names = [HOURS[at] for at in classes]
        visits = visits.join(pl.DataFrame({"hours": classes, "class": names}), how="cross", maintain_order="left_right")
        found, parts = found.with_columns(pl.col("hours").cast(pl.Int64)), ["is_first", "hours"]
    numbers = ["events", "events_sq", "persons"]
    enrolled = enrolled.group_by(strata.keys).agg(pl.col("members", "denominator").sum())
    cells = visits.join(enrolled, how="cross").join(found, on=[*parts, *strata.keys], how="left")
    keys = [*parts, *strata.keys]
    cells = cells.sort(keys, descending=[True, *[False] * (len(keys) - 1)])
    if "age_band" in strata.by:
        cells = cells.with_columns(age_band=pl.col("age_band").replace_strict(BAND_LABELS))
    return cells.select(
        "visit_type",
        *([] if classes is None else [pl.col("class").alias("hours")]),
        *strata.by,
        *(pl.col(name).fill_null(0) for name in numbers),
        "members",
        "denominator",
        pl.lit("member_month").alias("denominator_unit"),
    )
