"""Control charts of KPIs: known limits and signals, one definition version, nothing provisional, few people masked."""

from __future__ import annotations

import math

import polars as pl
import pytest

from kenpo_analytics import disclosure, kpi, report
from kenpo_analytics.kpi.process import ALONG, BEYOND, GROWTH, POINTS, VALUE
from kenpo_analytics.report import kpis as room
from kenpo_analytics.report.kpis import kpi_control
from tests.test_kpi_status import NEW, OLD, rows, table

# NIST/SEMATECH e-Handbook 6.3.2.2, flow rate: mean 50.81, mean moving range 1.8778, limits 45.8159 and 55.8041
FLOW = (49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1)


def months(first: int, many: int) -> list[int]:
    at = first // 100 * 12 + first % 100 - 1
    return [i // 12 * 100 + i % 12 + 1 for i in range(at, at + many)]


def chart(*parts: list[tuple], month: int = 202603) -> pl.DataFrame:
    return kpi.control(table(*parts), month=month, branch="24")


def level(values, first=202404, **more) -> list[tuple]:
    at = months(first, len(values))
    return rows("declared_workplaces", {m: (v, None) for m, v in zip(at, values, strict=True)}, **more)


def test_the_limits_of_a_level_are_those_of_nist():
    found = chart(level(FLOW))
    assert found["what"].unique().to_list() == [VALUE] and found["months"][0] == 10
    assert found["centre"][0] == pytest.approx(50.81)
    assert found["lower"][0] == pytest.approx(45.8159, abs=0.01) and found["upper"][0] == pytest.approx(
        55.8041, abs=0.01
    )
    assert found["signal"].null_count() == 10 and found["month"].to_list() == months(202404, 10)


def test_a_month_outside_and_a_run_are_signals():
    out = chart(level((*FLOW, 70.0)))
    assert out.filter(pl.col("signal") == BEYOND)["month"].to_list() == [202502]
    run = chart(level([10, 11] * 4 + [13, 14] * 4))
    assert run.filter(pl.col("signal") == ALONG)["month"].to_list() == [202411, 202507]  # the 8th month on each side


def test_provisional_months_and_other_versions_stay_out():
    late = rows("declared_workplaces", {202502: (5, None, NEW, "provisional")})
    assert chart(level(FLOW), late)["month"].max() == 202501
    old = {m: (10 + m % 7, 100, OLD) for m in months(202304, 12)}
    new = {m: (30 + m % 5, 100, NEW) for m in months(202404, 12)}
    base = chart(rows("checkup_rate_insured", new), rows("single_bid_rate", old))
    assert base.height == 0  # growth needs a year before; a share of two running sums is not charted
    every = chart(rows("generic_share", old), rows("generic_share", new))
    assert every["definition_version"].unique().to_list() == [NEW] and every["month"].min() == 202404


def test_a_gap_begins_the_chart_anew_and_few_months_get_no_limits():
    held = level(FLOW)
    found = chart([row for row in held if row[2] != 202408])
    assert found["month"].to_list() == months(202409, 5)
    assert found["centre"].null_count() == 5 and found["signal"].null_count() == 5
    assert found["reason"].unique().to_list() == ["確定した月が5か月(6か月から)"]


def running(added: dict[int, int], under: int = 1000) -> dict[int, tuple]:
    total, found = 0, {}
    for month, n in added.items():
        total = n if month % 100 == 4 else total + n
        found[month] = (total, under)
    return found


def test_what_runs_up_is_charted_by_what_each_month_added_less_the_year_before():
    season = {4: 20, 5: 60, 6: 90, 7: 90, 8: 80, 9: 90, 10: 60, 11: 50, 12: 40, 1: 40, 2: 20, 3: 20}
    added = {m: season[m % 100] + (m % 3) for m in months(202304, 24)}
    added[202501] = 140
    found = chart(rows("checkup_rate_insured", running(added)))
    assert found["what"].unique().to_list() == [GROWTH] and found["unit"].unique().to_list() == [POINTS]
    assert found["month"].to_list() == months(202404, 12)
    expected = [(added[m] - added[m - 100]) / 10 for m in months(202404, 12)]
    assert found["estimate"].to_list() == pytest.approx(expected)
    assert found.filter(pl.col("signal") == BEYOND)["month"].to_list() == [202501]  # the season makes none
    behind = found.filter(pl.col("month") == 202405).row(0, named=True)
    assert (behind["numerator"], behind["last_numerator"]) == (added[202405], added[202305])


def test_few_people_added_are_masked_in_both_years():
    added = {m: 30 + m % 4 for m in months(202304, 24)}
    added[202306], added[202409] = 3, 4
    found = chart(rows("checkup_rate_dependent", running(added)))
    checked = disclosure.check_kpi(found, by=("kpi_id", "month"))
    hidden = checked.table.filter(pl.col("estimate").is_null())["month"].to_list()
    assert hidden == [202406, 202409]
    assert checked.table["months"][0] == 12
    for name in ("centre", "lower", "upper", "signal"):  # twelve times the centre less eleven months is the twelfth
        assert checked.table[name].null_count() == 12
    assert set(checked.table["reason"]) == {"人数が少ないため秘匿"}
    places = disclosure.check_kpi(chart(level((1, 2, 3, 2, 3, 4, 1))), by=("kpi_id", "month"))
    assert places.table["estimate"].null_count() == 0  # workplaces are no people


def test_people_taken_away_are_masked_like_people_added():
    added = {m: 30 + m % 4 for m in months(202304, 24)}
    added[202409] = -3
    checked = disclosure.check_kpi(chart(rows("checkup_rate_dependent", running(added))), by=("kpi_id", "month"))
    assert checked.table.filter(pl.col("estimate").is_null())["month"].to_list() == [202409]


def test_row_order_does_not_matter():
    held = level((*FLOW, 70.0))
    assert chart(held).equals(chart(held[::-1]))


def test_the_figure_draws_limits_signals_and_the_gap_of_a_masked_month(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        room, "finish", lambda figure, *_, **more: drawn.update({"axes": figure.axes, "alt": more["alt"]})
    )
    added = {m: 30 + m % 4 for m in months(202304, 24)}
    added[202409], added[202412] = 4, 90
    checked = disclosure.check_kpi(chart(rows("checkup_rate_dependent", running(added))), by=("kpi_id", "month"))
    kpi_control(checked, title="x")
    (axes,) = drawn["axes"]
    lines = {line.get_label(): line for line in axes.get_lines()}
    values = list(lines["実績"].get_ydata())
    assert len(values) == 12 and [math.isnan(v) for v in values].index(True) == 5
    assert "管理限界" not in lines and BEYOND not in lines
    added[202409] = 34
    checked = disclosure.check_kpi(chart(rows("checkup_rate_dependent", running(added))), by=("kpi_id", "month"))
    kpi_control(checked, title="x")
    lines = {line.get_label(): line for line in drawn["axes"][0].get_lines()}
    assert list(lines[BEYOND].get_ydata()) == [pytest.approx((90 - added[202312]) / 10)]
    assert checked.table["upper"][0] in [line.get_ydata()[0] for line in drawn["axes"][0].get_lines()]
    assert f"2024年12月({BEYOND})。" in drawn["alt"] and drawn["alt"].startswith("被扶養者の特定健診は")


def test_months_of_a_running_sum_do_not_give_their_difference_back():
    """73 people until June, 80 until July: the seven of July are too few to be told."""
    held = rows(
        "checkup_rate_dependent", {202504: (40, 2000), 202505: (61, 2000), 202506: (73, 2000), 202507: (80, 2000)}
    )
    series = kpi.monthly_series(table(held), month=202507, branch="24")
    shown = disclosure.check_kpi(series, by=("kpi_id", "month", "definition_version")).table.sort("month")
    assert shown["people_numerator"].to_list() == [40, 61, None, 80] and shown["estimate"].null_count() == 1


def test_a_verdict_does_not_bound_a_hidden_number():
    held = table(rows("guidance_rate_dependent", {202503: (9, 20)}))
    found = kpi.status(held, month=202503, branch="24").filter(pl.col("estimate").is_not_null())
    assert found["status"].to_list() == ["達成"]
    checked = disclosure.check_kpi(found)
    assert checked.table.select("estimate", "status", "reason").rows() == [(None, "判定不能", "人数が少ないため秘匿")]


def test_unchecked_rows_are_refused():
    with pytest.raises(Exception, match="秘匿処理"):
        report.kpi_control(chart(level(FLOW)), title="x")


def test_every_kind_of_frame_gives_the_same_chart(engine):
    parts = [*level((*FLOW, 70.0)), *rows("checkup_rate_insured", running({m: 30 + m % 4 for m in months(202304, 24)}))]
    found = kpi.control(engine(table(parts)), month=202603, branch="24")
    assert engine.kind(found) == ("pandas" if engine.name == "pandas" else "polars")
    assert engine.frame(found).to_dicts() == chart(parts).to_dicts()
