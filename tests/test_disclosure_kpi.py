"""One masking decision for a page: no month of a KPI is hidden in one table and shown, or given back, in another."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from kenpo_analytics import disclosure, kpi
from kenpo_analytics.months import fiscal_year_of, month_range
from tests.test_kpi_status import NEW, rows, table

SUMS = ("checkup_rate_dependent", "guidance_rate_dependent", "untreated_visit_rate")
GROWS = ("guidance_rate_dependent", "untreated_visit_rate")
LEVEL = "committee_coverage_rate"
FLOOR = 10
ASKED = {"month": 202510, "branch": "24"}
Tables = dict[str, disclosure.Checked]


def world(seed: int) -> pl.DataFrame:
    """Running sums that grow by a few people a month, and a small level; the last months are 速報."""
    rng = np.random.default_rng(seed)
    held: list[tuple] = []
    for id in (*SUMS, LEVEL):
        top, under = 0, 0
        for month in month_range(202204, 202510):
            if month % 100 == 4:
                top, under = 0, 0
            top, under = top + int(rng.integers(0, 7)), under + int(rng.integers(7, 30))
            state = "provisional" if month > 202507 else "final"
            pair = (int(rng.integers(1, 30)), 400) if id == LEVEL else (top, under if id in GROWS else 400)
            held += rows(id, {month: (*pair, NEW, state)})
    return table(held)


def tables_of(held: pl.DataFrame) -> Tables:
    series, found = kpi.monthly_series(held, **ASKED), kpi.landing(held, **ASKED)
    control = kpi.control(held, **ASKED)
    march = {"month": 202503, "branch": "24", "use": "final"}
    given = {
        "latest": (kpi.status(held, **ASKED), ("kpi_id",)),
        "final": (kpi.status(held, use="final", **ASKED), ("kpi_id",)),
        "ended": (kpi.status(held, **march), ("kpi_id",)),
        "landing": (found.rows, ("kpi_id",)),
        "backtest": (found.backtest, ("kpi_id", "calendar_month")),
        "series": (series, ("kpi_id", "month", "definition_version")),
        "control": (control, ("kpi_id", "month")),
    }
    return {name: disclosure.check_kpi(frame, by=by, together=series) for name, (frame, by) in given.items()}


@pytest.fixture(scope="module", params=range(12))
def page(request) -> Tables:
    return tables_of(world(request.param))


def months_of(page: Tables, name: str, value: str) -> dict[tuple[str, int], bool]:
    """Is this number of each KPI and month shown in that table?"""
    found = page[name].table.filter(pl.col("month").is_not_null(), pl.col("counts") == "people")
    return {(row["kpi_id"], row["month"]): row[value] is not None for row in found.to_dicts()}


def test_a_month_is_shown_in_all_tables_or_in_none(page):
    truth = months_of(page, "series", "estimate")
    for name, value in (("latest", "estimate"), ("final", "estimate"), ("ended", "estimate"), ("landing", "current")):
        assert {key: truth[key] for key in months_of(page, name, value)} == months_of(page, name, value), name
    top = months_of(page, "series", "people_numerator")
    for name in ("latest", "final", "ended", "landing"):
        shown = months_of(page, name, "people_numerator")
        assert {key: top[key] for key in shown} == shown, name
    for row in page["final"].table.drop_nulls("last_year").to_dicts():
        assert row["counts"] != "people" or truth[row["kpi_id"], row["month"] - 100]
    for row in page["landing"].table.drop_nulls("at_most").to_dicts():
        assert row["counts"] != "people" or truth[row["kpi_id"], row["latest_month"]]
    assert not all(truth.values()) and any(truth.values())


def test_shown_running_sums_of_all_tables_differ_by_none_or_ten_people(page):
    for name, ids in (("numerator", SUMS), ("denominator", GROWS)):
        held: dict[tuple[str, int], set[float]] = {}
        for checked in (page[part] for part in ("latest", "final", "ended", "landing", "series")):
            for row in checked.table.to_dicts():
                if row["kpi_id"] in ids and row[f"people_{name}"] is not None:
                    run = held.setdefault((row["kpi_id"], fiscal_year_of(row["month"])), set())
                    run.add(row[f"people_{name}"])
        for run in held.values():
            assert all(abs(a - b) >= FLOOR for a, b in itertools.combinations(run, 2))
            assert all(value == 0 or value >= FLOOR for value in run)


def test_no_target_landing_or_test_gives_a_hidden_month_back(page):
    truth = months_of(page, "series", "estimate")
    for name in ("latest", "final", "landing"):
        row = page[name].where(kpi_id="untreated_visit_rate").table.row(0, named=True)
        assert row["target"] is None or truth["untreated_visit_rate", 202503]  # 前年度以上: last March's value
    for row in page["landing"].table.to_dicts():
        if row["counts"] == "people" and row["method"] != "none" and row["lower"] is not None:
            used = [(row["kpi_id"], m) for m in (202303, 202403, 202503, row["month"] - 100, row["month"] - 200)]
            assert all(truth.get(key, True) for key in used)
        elif row["counts"] == "people":
            assert row["mae"] is None and row["coverage"] is None and row["outlook"] is None
    for row in page["backtest"].table.drop_nulls("mae").to_dicts():
        past = [at for id, at in truth if id == row["kpi_id"] and fiscal_year_of(at) < 2025]
        assert all(truth[row["kpi_id"], at] for at in past if at % 100 in (3, row["calendar_month"]))


def test_a_chart_shows_no_point_made_of_a_hidden_month(page):
    truth = months_of(page, "series", "estimate")
    shown = page["control"].table.drop_nulls("estimate").filter(counts="people")
    for id, month in shown.select("kpi_id", "month").iter_rows():
        used = {month, month - 100} | ({month - 1, month - 101} if month % 100 not in (1, 4) else set())
        assert all(truth.get((id, at), True) for at in used), (id, month)


def test_the_year_end_stays_and_the_month_before_is_hidden():
    """11 of 89 in February, 17 of 95 in March: six between them are too few, and March is told of a year."""
    held = table(
        rows("guidance_rate_dependent", {202502: (11, 89), 202503: (17, 95), 202505: (12, 60), 202510: (9, 70)})
    )
    page = tables_of(held)
    series = {row["month"]: row for row in page["series"].table.to_dicts()}
    assert series[202503]["people_numerator"] == 17 and series[202502]["estimate"] is None
    ended = page["ended"].where(kpi_id="guidance_rate_dependent").table.row(0, named=True)
    assert ended["estimate"] == pytest.approx(17 / 95)
    assert series[202510]["estimate"] is None and series[202505]["people_numerator"] == 12
