"""Property: every public function of kpi, risks and regional gives pandas for pandas, else polars, and one answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import kpi, regional, risks
from kenpo_analytics.errors import DefinitionError, StrataError
from tests.notebook_page import NOTEBOOKS

SAMPLE = NOTEBOOKS.parent / "data" / "sample"
MONTH, YEAR, BRANCH = "2025-10", 2024, "24"
NO_FRAMES = {
    "kpi": {
        # words, a row as a dict, a whole data folder in polars, or the packaged table
        *("gaps_sentence", "compare", "incentive_rules", "incentive_year", "published", "read_provider"),
        *(
            "monthly_totals",
            "workplace_totals",
            "beside_reported",
            "incentive_page",
            "overview",
            "plan_history",
            "untreated_visits",
        ),
        "by_group",  # of rows that were checked, which are polars
    },
    "risks": {"risk_label", "largest_workplace", "version_breaks"},
    "regional": {"branch_years"},
}
"""Public functions that give back no frame of the caller's kind."""


@dataclass(frozen=True)
class World:
    """The sample's tables in one kind of frame."""

    make: Callable[[pl.DataFrame], Any]

    @cache  # noqa: B019
    def table(self, name: str) -> Any:
        frame = pl.read_parquet(SAMPLE / f"{name}.parquet")
        if name in ("checkups", "members", "claim_fees", "guidance"):
            frame = frame.filter(pl.col("person_id").hash(7) % 8 == 0)
        return self.make(frame)

    def beside(self, name: str) -> Any:
        """A table to join with the people of a collected cohort, which DuckDB no longer holds."""
        frame = self.table(name)
        return frame if isinstance(frame, pd.DataFrame) else pl_of(frame)

    @property
    def monthly(self) -> Any:
        return self.table("kpi_monthly")

    @property
    def published(self) -> Any:
        return self.make(kpi.published(SAMPLE))

    @cache  # noqa: B019
    def score(self) -> kpi.Score:
        return kpi.incentive_score(self.published, fiscal_year=YEAR, draws=50)

    @cache  # noqa: B019
    def holders(self) -> dict[int, Any]:
        asked = {"years": (YEAR - 1, YEAR), "branch": BRANCH}
        return risks.holders_of_years(self.table("checkups"), self.table("members"), **asked)

    @cache  # noqa: B019
    def levels(self) -> dict[int, Any]:
        return risks.levels_of_years(self.table("checkups"), self.table("members"), fiscal_year=YEAR)

    @cache  # noqa: B019
    def counts(self, *by: str) -> Any:
        people = self.holders()[YEAR].people
        return risks.risk_counts(people, by=by, workplaces=self.beside("workplaces") if by else None)

    @cache  # noqa: B019
    def strata(self) -> Any:
        return risks.risk_strata(self.table("national"))

    @cache  # noqa: B019
    def rates(self) -> Any:
        return risks.risk_rates(self.counts(), **risks.risk_reference(self.table("national"), fiscal_year=YEAR).year)

    def cells(self, year: int = YEAR, area: str | None = None) -> Any:
        found = regional.branch_cells(self.table("national"), fiscal_year=year)
        return found if area is None else self.make(pl_of(found).filter(pl.col("area") == area))

    def parted(self) -> tuple[Any, Any]:
        """All events in one class of hours, none in the other; the same for all branches together."""
        cells = pl_of(self.cells())
        none = pl.col("events", "events_sq", "persons") * 0
        both = pl.concat([cells.with_columns(hours=pl.lit("day")), cells.with_columns(none, hours=pl.lit("night"))])
        return self.make(both), self.make(regional.total_of(both, by=("visit_type", "sex", "age_band", "hours")))

    @cache  # noqa: B019
    def index(self) -> regional.Index:
        return regional.regional_index(self.cells(), regional.total_of(self.cells()), visit_type="first")

    @cache  # noqa: B019
    def kinds(self) -> dict[str, regional.Index]:
        return regional.index_by_kind(self.cells(), regional.total_of(self.cells()), kinds=("first",))


def pl_of(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pd.DataFrame):
        return pl.from_pandas(frame, nan_to_null=True)
    return (
        frame.collect() if isinstance(frame, pl.LazyFrame) else frame if isinstance(frame, pl.DataFrame) else frame.pl()
    )


def of_index(index: regional.Index) -> tuple[Any, ...]:
    return index.rows, index.contributions, index.standard


def of_cohorts(found: dict[int, Any]) -> tuple[Any, ...]:
    return tuple(part for cohort in found.values() for part in (cohort.people, cohort.flow))


def of_landing(found: kpi.Landing) -> tuple[Any, ...]:
    return found.rows, found.backtest


GROUP = {"industry": "道路貨物運送業"}
CALLS: dict[str, Callable[[World], Any]] = {
    "kpi.control": lambda w: kpi.control(w.monthly, month=MONTH, branch=BRANCH),
    "kpi.coverage": lambda w: kpi.coverage(w.published),
    "kpi.incentive_gaps": lambda w: kpi.incentive_gaps(w.published, month=MONTH),
    "kpi.incentive_needs": lambda w: kpi.incentive_needs(w.published, fiscal_year=YEAR),
    "kpi.incentive_place": lambda w: kpi.incentive_place(w.score(), branch=BRANCH),
    "kpi.incentive_score": lambda w: (w.score().rows, w.score().totals),
    "kpi.incentive_sensitivity": lambda w: kpi.incentive_sensitivity(w.published, w.score(), branch=BRANCH),
    "kpi.known_by": lambda w: kpi.known_by(w.published, month=MONTH),
    "kpi.landing": lambda w: of_landing(kpi.landing(w.monthly, month=MONTH, branch=BRANCH, nation=w.published)),
    "kpi.monthly_series": lambda w: kpi.monthly_series(w.monthly, month=MONTH, branch=BRANCH),
    "kpi.needed_rise": lambda w: kpi.needed_rise(w.score(), branch=BRANCH),
    "kpi.ranked": lambda w: kpi.ranked(w.published, month=MONTH, branch=BRANCH),
    "kpi.score_or_reason": lambda w: kpi.score_or_reason(w.published, fiscal_year=YEAR)[0].rows,
    "kpi.status": lambda w: kpi.status(w.monthly, month=MONTH, branch=BRANCH, nation=w.published),
    "kpi.what_if_rise": lambda w: kpi.what_if_rise(w.score(), branch=BRANCH, points=1.0, indicators="checkup"),
    "kpi.with_ranks": lambda w: kpi.with_ranks(
        kpi.status(w.monthly, month=MONTH, branch=BRANCH), w.published, month=MONTH, branch=BRANCH
    ),
    "regional.branch_cells": lambda w: w.cells(),
    "regional.change_by_kind": lambda w: regional.change_by_kind(w.cells(2024, BRANCH), w.cells(2023, BRANCH)),
    "regional.changes_since_last_year": lambda w: regional.changes_since_last_year(
        w.table("claim_fees"), w.table("members"), months=(202404, 202503), branch=BRANCH
    ),
    "regional.compare": lambda w: regional.compare({"1": w.index(), "2": w.index()}),
    "regional.compare_by_kind": lambda w: regional.compare_by_kind(one=w.kinds(), two=w.kinds()),
    "regional.contribution_changes": lambda w: regional.contribution_changes(
        w.cells(2024, BRANCH), w.cells(2023, BRANCH), by="visit_type", strata="age_band"
    ),
    "regional.contributions_by": lambda w: regional.contributions_by(*w.parted(), part="hours", visit_type="first"),
    "regional.funnel": lambda w: of_index(regional.funnel(w.index())),
    "regional.index_by_kind": lambda w: of_index(w.kinds()["first"]),
    "regional.index_change": lambda w: regional.index_change(w.cells(2024, BRANCH), w.cells(2023, BRANCH)),
    "regional.index_trend": lambda w: regional.index_trend(w.table("national"), area=BRANCH, years=(2024,)),
    "regional.judged": lambda w: of_index(regional.judged(w.kinds())["first"]),
    "regional.ledger_size": lambda w: regional.ledger_size(w.make(pl_of(w.cells()).with_columns(members=pl.lit(1)))),
    "regional.ranks": lambda w: of_index(regional.ranks(w.index())),
    "regional.regional_index": lambda w: of_index(w.index()),
    "regional.rows_by_kind": lambda w: regional.rows_by_kind(w.kinds()),
    "regional.shrunken": lambda w: of_index(regional.shrunken(w.index())),
    "regional.standardised_rate": lambda w: regional.standardised_rate(w.cells(), regional.total_of(w.cells())),
    "regional.total_of": lambda w: regional.total_of(w.cells(), by="sex"),
    "risks.beside_branches": lambda w: risks.beside_branches(
        w.rates(), risks.risk_ranks(w.strata(), fiscal_year=YEAR), branch=BRANCH
    ),
    "risks.card_siblings": lambda w: risks.card_siblings(
        w.counts("industry", "workplace_id"), group=GROUP, within="industry"
    ),
    "risks.decrease_of_year": lambda w: risks.decrease_of_year(
        w.table("checkups"), w.table("members"), w.table("guidance"), levels=w.levels(), definitions=ka.define()
    ),
    "risks.examined_by_age": lambda w: risks.examined_by_age(w.holders()[YEAR].people),
    "risks.guidance_decrease": lambda w: risks.guidance_decrease(
        *(each.people for each in w.levels().values()), w.beside("guidance")
    ),
    "risks.guidance_levels": lambda w: of_cohorts(w.levels()),
    "risks.health_card": lambda w: risks.health_card(w.counts("industry"), group=GROUP),
    "risks.holders_of_years": lambda w: of_cohorts(w.holders()),
    "risks.level_counts": lambda w: risks.level_counts(w.levels()),
    "risks.levels_of_years": lambda w: of_cohorts(w.levels()),
    "risks.metabolic_parts": lambda w: risks.metabolic_parts(w.holders()[YEAR].people),
    "risks.nation_of": lambda w: risks.nation_of(w.strata()),
    "risks.people_of": lambda w: risks.people_of(w.holders()),
    "risks.risk_counts": lambda w: risks.risk_counts(w.holders()[YEAR].people, by="municipality"),
    "risks.risk_holders": lambda w: of_cohorts(w.holders()),
    "risks.risk_ranks": lambda w: risks.risk_ranks(w.strata(), fiscal_year=YEAR),
    "risks.risk_rates": lambda w: w.rates(),
    "risks.risk_reference": lambda w: tuple(
        each
        for part in (risks.risk_reference(w.table("national"), fiscal_year=YEAR),)
        for each in (part.strata, part.standard, part.year["nation"], part.trend["nation"])
    ),
    "risks.risk_strata": lambda w: w.strata(),
    "risks.target_levels": lambda w: risks.target_levels(w.levels(), fiscal_year=YEAR),
    "risks.unknown_by_risk": lambda w: risks.unknown_by_risk(w.rates()),
}


LAKE = duckdb.connect()
WORLDS = {
    "pandas": World(lambda frame: frame.to_pandas()),
    "duckdb": World(lambda frame: LAKE.from_arrow(frame.to_arrow())),
}
POLARS = World(lambda frame: frame)


@cache
def with_polars(name: str) -> list[list[str]]:
    found = CALLS[name](POLARS)
    return [plain(each) for each in (found if isinstance(found, tuple) else (found,))]


def plain(frame: Any) -> list[str]:
    """The rows as text, in any order: numbers as floats of nine digits, days without their time, NaN as nothing."""
    return sorted(str([_cell(value) for value in row]) for row in pl_of(frame).rows())


def _cell(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return None if value != value else float(f"{value:.9g}")
    return str(value)[:10] if isinstance(value, date) else value


def test_every_public_function_is_here() -> None:
    for room in (kpi, regional, risks):
        name = room.__name__.rpartition(".")[2]
        public = {each for each in room.__all__ if inspect.isfunction(getattr(room, each))}
        called = {each.partition(".")[2] for each in CALLS if each.startswith(f"{name}.")}
        assert public - called <= NO_FRAMES[name] and called <= public


@pytest.mark.parametrize("kind", list(WORLDS))
@pytest.mark.parametrize("name", list(CALLS))
def test_the_same_kind_comes_back_with_the_same_answer(name: str, kind: str) -> None:
    found = CALLS[name](WORLDS[kind])
    frames = found if isinstance(found, tuple) else (found,)
    assert all(isinstance(frame, pd.DataFrame) is (kind == "pandas") for frame in frames), list(map(type, frames))
    assert [plain(frame) for frame in frames] == with_polars(name)


def test_a_text_is_the_name_of_one_column_and_an_unknown_one_is_refused_in_words() -> None:
    world = POLARS
    now, before, people = world.cells(2024, BRANCH), world.cells(2023, BRANCH), world.holders()[YEAR].people
    assert regional.contribution_changes(now, before, by="visit_type").equals(
        regional.contribution_changes(now, before, by=("visit_type",))
    )
    assert regional.total_of(now, by="sex").equals(regional.total_of(now, by=["sex"]))
    assert risks.risk_counts(people, by="municipality").equals(risks.risk_counts(people, by=["municipality"]))
    with pytest.raises(StrataError, match="今年度の表に列がありません: hours"):
        regional.contribution_changes(now, before, by="hours")
    with pytest.raises(StrataError, match="strata が文字列です: 「age_band」"):
        regional.regional_index(now, before, strata="age_band")
    with pytest.raises(DefinitionError, match="指標にない名前です: 「x」"):
        kpi.what_if_rise(world.score(), branch=BRANCH, points=1.0, indicators="x")
