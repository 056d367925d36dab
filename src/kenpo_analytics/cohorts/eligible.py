"""Which checkup stands for a person in a fiscal year? One per person, by an explicit rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.cohorts.flow import EXIT, Cohort, Stage, Step, first_exit, survivors
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import fiscal_year_of_date, month_of, parse_fiscal_year
from kenpo_analytics.tables import CHECKUPS, MEMBERS

Population = Literal["insured", "dependent", "employer"]
Pick = Literal["last", "first"]

_MEMBER_COLUMNS = ("person_id", "valid_from", "valid_to", "relationship", "sex", "fy_age_base")
_MEMBER_EXTRA = ("branch", "municipality", "workplace_id")
ATTRIBUTES = ("sex", *_MEMBER_EXTRA)
PEOPLE = ("person_id", "record_id", "fiscal_year", "checkup_date", "index_month", "age", "age_band", *ATTRIBUTES)
"""Columns every cohort begins with; those from members are null when no members table is given."""


@dataclass(frozen=True)
class Eligible:
    """One picked checkup per person (a plan), the stages that led to it, and the members' attributes to add last."""

    picked: nw.LazyFrame
    attributes: nw.LazyFrame | None
    stages: tuple[Stage, ...]
    begins: Step
    source: frames.Source
    used: Definitions
    fiscal_year: int

    def cohort(self, classified: nw.LazyFrame, last: Stage, *, keep: Sequence[str], end_label: str) -> Cohort:
        """The cohort that ends with this stage."""
        stages = [*self.stages, last]
        return Cohort(classified, stages, self.source, keep=keep, end_label=end_label, attributes=self.attributes)


def eligible_checkups(
    checkups: Any,
    members: Any = None,
    *,
    fiscal_year: int,
    population: Population = "insured",
    pick: Pick | None = None,
    age: tuple[int, int] | None = None,
    branch: str | None = None,
    definitions: Definitions | None = None,
) -> Cohort:
    """Which checkup stands for each person in a fiscal year?

    Parameters
    ----------
    checkups, members
        Canonical tables, as pandas, polars (eager, lazy) or DuckDB. Without `members`, enrolment, relationship and age
        cannot be judged: the flow says 未評価 and the columns from members are null.
    fiscal_year
        The year in which the checkup took place (2024 = April 2024 to March 2025).
    population
        "insured" (被保険者, 生活習慣病予防健診; the default), "dependent" (被扶養者, 特定健診) or "employer"
        (被保険者, 事業者健診): kept apart, never mixed. Kinds and ages are definitions `population.*`.
    pick
        "last" (default, definition `checkup.pick`) or "first" of several checkups in the year. Same day: the one
        received later, then the larger record_id.
    age
        Age at fiscal-year end, both bounds included; default from the definitions.
    branch
        Only members of this branch (支部, JIS 2 digits) on the checkup day; default everybody.

    Returns
    -------
    Cohort
        `people`: `PEOPLE` columns and every checkup column given (`fpg` as recorded: see `fasting`).
        `flow`: from raw rows to people.

    Raises
    ------
    TableError, FrameKindError, DefinitionError
        Missing columns, unknown frames, unknown options, or stretches of one person that overlap.
    """
    names = frames.columns_of(checkups)
    values = [name for name in CHECKUPS.names if name in names and name not in ("person_id", "record_id")]
    found = find_eligible(
        checkups,
        members,
        fiscal_year=fiscal_year,
        population=population,
        pick=pick,
        age=age,
        branch=branch,
        definitions=definitions,
        values=[name for name in values if name not in ("checkup_date", "received_month", "kind")],
    )
    classified = found.picked.with_columns(nw.lit(0).cast(nw.Int32).alias(EXIT))
    stage = Stage(classified, (), "人", begins=found.begins)
    keep = [*PEOPLE, *(name for name in values if name != "checkup_date")]
    return found.cohort(classified, stage, keep=keep, end_label="対象健診のある人")


def find_eligible(
    checkups: Any,
    members: Any,
    *,
    fiscal_year: int,
    population: Population,
    pick: Pick | None,
    age: tuple[int, int] | None,
    branch: str | None,
    definitions: Definitions | None,
    values: Sequence[str],
) -> Eligible:
    """Plan the eligible checkups with the asked value columns (absent ones become null)."""
    used = definitions or define()
    fiscal_year = parse_fiscal_year(fiscal_year)
    _refuse_unknown(population, pick, age, branch)
    frames.same_engine(checkups=checkups, members=members)
    rows = _rows(checkups, used, fiscal_year, population, values)
    here = (
        survivors(rows.plan)
        .drop(EXIT)
        .with_columns(
            nw.lit(fiscal_year).cast(nw.Int32).alias("fiscal_year"),
            month_of(nw.col("checkup_date")).alias("index_month"),
        )
    )
    stages: tuple[Stage, ...]
    if members is None:
        candidates, attributes = _unknown(here), None
        stages = (Stage(rows.plan, (*rows.steps, *_not_judged(branch)), "行"),)
    else:
        needed = (*_MEMBER_COLUMNS, "branch") if branch else _MEMBER_COLUMNS
        stretches = frames.enter(members, MEMBERS, needed, optional=_MEMBER_EXTRA)
        frames.same_key("person_id", checkups=here, members=stretches)
        attributes = stretches.select("person_id", "valid_from", *ATTRIBUTES)
        enrolled = _enrol(here, stretches, used, fiscal_year, population, age, branch)
        candidates = survivors(enrolled.plan).drop(EXIT, "valid_to", "fy_age_base", *_FLAGS)
        stages = (rows, enrolled)
    has_id = "record_id" in frames.columns_of(checkups)
    picked = _pick(candidates, pick or used.text("checkup.pick"), ["record_id"] if has_id else values)
    return Eligible(
        picked=picked,
        attributes=attributes,
        stages=stages,
        begins=Step("not_picked", "同じ年度の別の健診・重複行(1人1件を採用)"),
        source=frames.source_of(checkups),
        used=used,
        fiscal_year=fiscal_year,
    )


def _rows(checkups: Any, used: Definitions, fiscal_year: int, population: str, values: Sequence[str]) -> Stage:
    """Judge each row by itself: is it a person's, of this year, of this kind of checkup?"""
    optional = ("record_id", "received_month", "kind", *values)
    lazy = frames.enter(checkups, CHECKUPS, ("person_id", "checkup_date"), optional=optional)
    has_kind = "kind" in frames.columns_of(checkups)
    kind = used.text(f"population.{population}.kind")
    date = nw.col("checkup_date")
    exit_step = first_exit(
        nw.col("person_id").is_null() | date.is_null(),
        ~sure(fiscal_year_of_date(date) == fiscal_year),
        ~sure(nw.col("kind") == kind) if has_kind else nw.lit(False),
    )
    steps = (
        Step("no_person", "個人IDまたは健診日の欠測"),
        Step("other_year", f"{fiscal_year}年度以外の健診"),
        Step("other_kind", f"{kind}以外の健診", judged=has_kind),
    )
    return Stage(lazy.with_columns(exit_step), steps, "行")


_FLAGS = ("other_relationship", "other_branch")


def _enrol(
    rows: nw.LazyFrame,
    stretches: nw.LazyFrame,
    used: Definitions,
    fiscal_year: int,
    population: str,
    age: tuple[int, int] | None,
    branch: str | None,
) -> Stage:
    """Join the member stretch that holds on the checkup day; judge relationship, age and branch there.

    Texts are judged before the join and attributes are joined at the very end, for the people who stay: a table of
    all members goes through the join with five narrow columns.
    """
    lower, upper = age or (
        int(used.number(f"population.{population}.age.lower")),
        int(used.number(f"population.{population}.age.upper")),
    )
    relationship = used.text(f"population.{population}.relationship")
    narrow = stretches.select(
        "person_id",
        "valid_from",
        "valid_to",
        "fy_age_base",
        (~sure(nw.col("relationship") == relationship)).alias("other_relationship"),
        (~sure(nw.col("branch") == branch) if branch else nw.lit(False)).alias("other_branch"),
    ).unique()
    day = nw.col("checkup_date")
    joined = rows.join(narrow, on="person_id", how="inner").filter(
        (nw.col("valid_from") <= day) & (nw.col("valid_to").is_null() | (day < nw.col("valid_to")))
    )
    joined = joined.with_columns((fiscal_year - nw.col("fy_age_base")).cast(nw.Int32).alias("age"))
    out_of_age = ~sure((nw.col("age") >= lower) & (nw.col("age") <= upper))
    joined = joined.with_columns(
        _age_band(nw.col("age")), first_exit(nw.col("other_relationship"), out_of_age, nw.col("other_branch"))
    )
    labels = {"insured": "被保険者", "dependent": "被扶養者"}
    steps = (
        Step("other_relationship", f"健診日に{labels.get(relationship, relationship)}でない"),
        Step("age", f"年度末年齢が{lower}～{upper}歳の外"),
        *((Step("other_branch", "健診日に他支部の加入者"),) if branch else ()),
    )
    begins = Step("not_enrolled", "健診日に加入していない")
    return Stage(joined, steps, "行", begins=begins, overlaps=_overlaps(joined))


def _overlaps(joined: nw.LazyFrame) -> nw.LazyFrame:
    """How many people were enrolled twice on one checkup day? Whose attributes would they have?"""
    per_day = joined.group_by("person_id", "checkup_date").agg(
        nw.col("valid_from").min().alias("first"), nw.col("valid_from").max().alias("last")
    )
    return per_day.filter(nw.col("first") != nw.col("last")).select(nw.len().cast(nw.Int64).alias("n"))


def _unknown(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Without members nothing of theirs is known."""
    columns: dict[str, Any] = {"age": nw.Int32, "age_band": nw.String, **dict.fromkeys(ATTRIBUTES, nw.String)}
    return rows.with_columns(*(nw.lit(None, dtype).alias(name) for name, dtype in columns.items()))


def _age_band(age: nw.Expr) -> nw.Expr:
    """Five-year class as text: 52 is 50-54."""
    lower = age // 5 * 5
    texts = [bound.cast(nw.String).str.zfill(2) for bound in (lower, lower + 4)]
    return nw.concat_str(texts, separator="-").alias("age_band")


def _pick(candidates: nw.LazyFrame, pick: str, ties: Sequence[str]) -> nw.LazyFrame:
    """Keep one row per person. The order is total (date, receipt, record or values), so row order never matters."""
    here = candidates.collect_schema().names()
    order = [name for name in ("checkup_date", "received_month", *ties, "valid_from") if name in here]
    if pick == "last":
        kept = nw.col("person_id").is_last_distinct().over(order_by=order)
    elif pick == "first":
        kept = nw.col("person_id").is_first_distinct().over(order_by=order)
    else:
        raise DefinitionError(f"健診の採り方は last か first です: 「{pick}」")
    return candidates.filter(kept)


def _refuse_unknown(population: str, pick: str | None, age: object, branch: object) -> None:
    if population not in ("insured", "dependent", "employer"):
        raise DefinitionError(f"対象集団は insured、dependent、employer のどれかです: 「{population}」")
    if branch is not None and not (isinstance(branch, str) and re.fullmatch(r"\d\d", branch)):
        raise DefinitionError(f"支部はJISの2桁の文字列です: 「{branch}」", hint='三重支部は branch="24" です。')
    pair = isinstance(age, tuple | list) and len(age) == 2 and all(isinstance(bound, int) for bound in age)
    if age is not None and not (pair and age[0] <= age[1]):  # type: ignore[index]
        raise DefinitionError(f"年齢は(下限, 上限)の2つの整数です: 「{age}」", hint="例: age=(40, 74)")


def _not_judged(branch: str | None) -> tuple[Step, ...]:
    return (
        Step("not_enrolled", "健診日に加入していない", judged=False),
        Step("other_relationship", "被保険者・被扶養者の別", judged=False),
        Step("age", "年度末年齢", judged=False),
        *((Step("other_branch", "支部", judged=False),) if branch else ()),
    )
