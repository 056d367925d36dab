"""KPIs counted from the workplaces: recounted by hand, what the data cannot say, and the totals that arrive win."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import kpi
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.store import Tables
from tests.test_kpi_status import NEW, OLD, rows, table

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
PLACES = pl.DataFrame(
    {
        "workplace_id": ["A", "B", "C", "D", "E"],
        "industry": ["x"] * 5,
        "insured_count": [10, 20, 30, 0, 40],
        "declared_from": [date(2024, 5, 1), None, date(2025, 4, 1), date(2020, 4, 1), date(2020, 4, 1)],
        "declaration_standardised": [True, True, False, True, True],
        "committee_member": [True, True, False, False, True],
    }
)
MEMBERS = pl.DataFrame(
    {"workplace_id": ["A", "B", "C", "C", "E", None], "branch": ["24", "24", "23", "24", "23", "24"]}
)


def held(places: pl.DataFrame | None = PLACES, monthly: pl.DataFrame | None = None) -> Tables:
    base = ka.load(SAMPLE, month="2025-10")
    return replace(
        base,
        members=MEMBERS.lazy(),
        claims=base.claims.clear(),  # nothing to count untreated people from
        workplaces=None if places is None else places.lazy(),
        kpi_monthly=(table() if monthly is None else monthly).lazy(),
    )


def counted(found: pl.DataFrame) -> dict[str, tuple]:
    return {row["kpi_id"]: (row["numerator"], row["denominator"]) for row in found.to_dicts()}


def test_workplaces_are_counted_by_hand_for_the_month_of_the_data_only():
    found = kpi.workplace_totals(held(), branch="24")  # E is of another branch, D has nobody but has declared
    assert counted(found) == {
        "declared_workplaces": (3, None),
        "declared_workplaces_std": (2, None),
        "committee_coverage_rate": (30, 60),
        "committee_workplaces": (2, None),
    }
    assert found["month"].unique().to_list() == [202510] and found["state"].unique().to_list() == ["provisional"]
    assert found["definition_version"].unique().to_list() == [NEW]


def test_what_is_not_in_the_table_has_no_row():
    assert set(counted(kpi.workplace_totals(held(PLACES.drop("committee_member")), branch="24"))) == {
        "declared_workplaces",
        "declared_workplaces_std",
    }
    gap = PLACES.with_columns(insured_count=pl.Series([10, None, 30, 0, 40]))
    assert "committee_coverage_rate" not in counted(kpi.workplace_totals(held(gap), branch="24"))
    with pytest.raises(EstimateError, match="事業所の表"):
        kpi.workplace_totals(held(None), branch="24")
    assert kpi.beside_reported(held(None), branch="24").is_empty()
    nobody = counted(kpi.workplace_totals(held(PLACES.with_columns(insured_count=0)), branch="24"))
    assert "committee_coverage_rate" not in nobody and nobody["committee_workplaces"] == (2, None)
    with pytest.raises(EstimateError, match="健康宣言日も健康保険委員も"):
        kpi.workplace_totals(held(PLACES.select("workplace_id", "industry")), branch="24")


def test_the_totals_that_arrive_are_used_and_stand_beside():
    arrived = table(
        rows("committee_workplaces", {202509: (5, None)}),
        rows("declared_workplaces", {202509: (7, None, OLD)}),
        rows("committee_coverage_rate", {202509: (5, 0), 202510: (None, 60)}),  # arrived without a value
    )
    totals = kpi.monthly_totals(held(monthly=arrived), branch="24")
    committee = totals.filter(kpi_id="committee_workplaces").sort("month")
    assert committee["month"].to_list() == [202509, 202510] and committee["numerator"].to_list() == [5, 2]
    assert committee["state"].to_list() == ["final", "provisional"]
    coverage = totals.filter(kpi_id="committee_coverage_rate").sort("month")
    assert coverage.select("numerator", "denominator", "state").rows() == [(5, 0, "final"), (30, 60, "provisional")]
    beside = kpi.beside_reported(held(monthly=arrived), branch="24")
    by_id = {row["kpi_id"]: row for row in beside.to_dicts()}
    committee = by_id["committee_workplaces"]
    assert (committee["estimate"], committee["arrived"], committee["arrived_month"]) == (2, 5, 202509)
    assert by_id["declared_workplaces"]["arrived"] is None  # another definition version is no value to compare with
    assert by_id["committee_coverage_rate"]["estimate"] == pytest.approx(0.5)


def test_last_years_total_does_not_hide_this_years_count():
    tables = ka.load(SAMPLE, month="2025-10")
    given = table(
        rows("committee_workplaces", {202503: (600, None)}),
        rows("declared_workplaces", {202503: (400, None), 202510: (9, None)}),
        rows("untreated_visit_rate", {202503: (240, 600), 202410: (1, 10, OLD)}),
    )
    tables = replace(tables, kpi_monthly=given.lazy())
    totals = kpi.monthly_totals(tables, branch="24")
    by_id = {row["kpi_id"]: row for row in kpi.status(totals, month=202510, branch="24").to_dicts()}
    committee = by_id["committee_workplaces"]
    assert (committee["estimate"], committee["target"], committee["status"]) == (622, 600, kpi.RUNNING)
    assert by_id["declared_workplaces"]["estimate"] == 9  # what has arrived wins in its month
    untreated = totals.filter(kpi_id="untreated_visit_rate").sort("month")
    assert untreated.filter(month=202503)["numerator"].to_list() == [240]
    assert untreated.filter(month=202410)["definition_version"].to_list() == [OLD]
    assert untreated.filter(month=202502)["state"].to_list() == ["provisional"]  # beside months that have arrived
    assert totals.select("branch", "kpi_id", "month", "definition_version").is_unique().all()


def test_the_sample_is_recounted_row_by_row():
    tables = ka.load(SAMPLE, month="2025-10")
    places = pl.read_parquet(SAMPLE / "workplaces.parquet").to_dicts()
    found = counted(kpi.workplace_totals(tables, branch="24"))
    assert found["declared_workplaces"][0] == sum(row["declared_from"] is not None for row in places)
    with_member = [row for row in places if row["committee_member"]]
    assert found["committee_workplaces"][0] == len(with_member)
    whole = sum(row["insured_count"] for row in places)
    assert found["committee_coverage_rate"] == (sum(row["insured_count"] for row in with_member), whole)


def test_a_later_declaration_is_not_yet_known():
    early = ka.load(SAMPLE, month="2023-10")
    found = counted(kpi.workplace_totals(early, branch="24"))
    places = pl.read_parquet(SAMPLE / "workplaces.parquet")
    assert found["declared_workplaces"][0] == places.filter(pl.col("declared_from") <= date(2023, 10, 31)).height > 0


def test_todays_committee_is_never_told_under_an_earlier_month():
    early = ka.load(SAMPLE, month="2025-09")
    assert (early.month, early.last_received) == (202509, 202510)
    assert set(counted(kpi.workplace_totals(early, branch="24"))) == {"declared_workplaces"}
    assert len(counted(kpi.workplace_totals(ka.load(SAMPLE, month="2025-10"), branch="24"))) == 4


def test_an_unknown_flag_is_not_a_no_and_a_repeated_row_counts_once():
    unknown = PLACES.with_columns(committee_member=pl.Series([True, None, None, None, None]))
    assert not {"committee_workplaces", "committee_coverage_rate"} & set(
        counted(kpi.workplace_totals(held(unknown), branch="24"))
    )
    twice = pl.concat([PLACES, PLACES])
    assert counted(kpi.workplace_totals(held(twice), branch="24")) == counted(kpi.workplace_totals(held(), branch="24"))


def test_a_total_without_a_usable_value_stands_beside_nothing():
    for below in (None, 0):
        arrived = table(rows("committee_coverage_rate", {202509: (5, below)}))
        beside = kpi.beside_reported(held(monthly=arrived), branch="24")
        assert beside.filter(kpi_id="committee_coverage_rate")["arrived"].to_list() == [None]
