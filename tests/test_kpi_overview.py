"""The frames of the month's page: each is what the room's own function gives, of the group that was asked for."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import disclosure, kpi, report
from kenpo_analytics.errors import ParameterError

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


@pytest.fixture(scope="module")
def tables() -> ka.Tables:
    return ka.load(SAMPLE, month="2025-10")


@pytest.fixture(scope="module")
def page(tables) -> kpi.Overview:
    return kpi.overview(tables, branch="24")


def test_every_frame_is_that_of_its_own_function(tables, page):
    totals, nation = kpi.monthly_totals(tables, branch="24"), kpi.published(tables.folder)
    status = kpi.status(totals, month=202510, branch="24", nation=nation)
    assert page.latest.select(status.columns).drop("status").equals(status.drop("status"))
    told = page.latest.select("kind", "status", judged=status["status"])
    assert told.filter(pl.col("kind") == "plan").select(pl.col("status") == pl.col("judged")).to_series().all()
    assert set(told.filter(pl.col("kind") == "reference")["status"]) == {"参考"}
    assert page.landing.equals(kpi.landing(totals, month=202510, branch="24", nation=nation).rows)
    gone = page.ended.filter(pl.col("kind") == "ended")
    assert gone.height and "参考" not in gone["status"].to_list()  # of the plan of the year that they ended in
    assert page.ended["month"].unique().to_list() == [202503] and page.ended["state"].unique().to_list() == ["final"]
    assert page.latest.row(by_predicate=pl.col("kpi_id") == "checkup_rate_insured", named=True)["when"] == (
        "2025年10月(速報)"
    )


def test_the_groups_add_up_to_the_plan_and_references_stay_out(page):
    assert page.plan.height == 19 and page.latest.height == 22
    groups = kpi.by_group(page.plan)
    assert groups["kpis"].sum() == 19 == sum(groups[name].sum() for name in kpi.STATUSES)
    assert page.definitions["kpi_id"].to_list() == page.latest["kpi_id"].to_list()
    assert page.definitions["what"].null_count() == 0


def test_the_month_by_month_test_is_of_those_with_an_interval(page):
    projected = page.landing.filter(pl.col("method") == "development_factor")["kpi_id"]
    assert len(projected) and set(page.backtest["kpi_id"]) == set(projected)


def test_one_group_is_the_rows_of_that_group(tables, page):
    part = kpi.overview(tables, branch="24", group="保健")
    mine = page.latest.filter(pl.col("group") == "保健")
    assert 0 < mine.height < page.latest.height and part.latest.equals(mine)
    assert set(part.series["kpi_id"]) == set(page.series["kpi_id"]) & set(mine["kpi_id"])
    assert set(part.backtest["kpi_id"]) <= set(mine["kpi_id"])
    assert kpi.by_group(part.plan).rows() == kpi.by_group(page.plan).filter(pl.col("group") == "保健").rows()


def test_an_unknown_group_is_refused_with_those_there_are(tables):
    with pytest.raises(ParameterError, match="グループ「保険」はありません") as caught:
        kpi.overview(tables, branch="24", group="保険")
    assert "業務、レセプト、保健、企画総務" in caught.value.hint


def test_the_unknown_ones_stand_under_their_reason(page):
    plan = disclosure.check_kpi(page.plan)
    lines = report.unknown_text(plan).splitlines()
    unknown = page.plan.filter(pl.col("status") == kpi.UNKNOWN)
    assert lines[0] == f"判定不能の計画のKPIは{unknown.height}指標です。"
    assert len(lines) == 2 + unknown["reason"].n_unique()
    for row in unknown.to_dicts():
        assert any(line.startswith(f"- {row['reason']}: ") and row["short"] in line for line in lines)


def test_the_ten_month_kpi_of_the_page_is_that_of_page_03(page):
    ended = page.ended.filter(kpi_id="untreated_visit_rate").row(0, named=True)
    assert (ended["numerator"], ended["denominator"], ended["status"]) == (243, 630, kpi.MET)
    ahead = page.landing.filter(kpi_id="untreated_visit_rate").row(0, named=True)
    assert (ahead["years"], ahead["method"], ahead["month"]) == (2, "range", 202504)
    assert ahead["target"] == pytest.approx(243 / 630)
    now = page.latest.filter(kpi_id="untreated_visit_rate").row(0, named=True)
    assert (now["state"], now["status"]) == ("provisional", kpi.RUNNING) and "一部の人だけの値" in now["reason"]


def test_no_share_whose_numerator_follows_is_held_against_its_target_before_march(page):
    for table in (page.latest, page.final):
        late = table.filter(pl.col("kpi_id").is_in(["guidance_rate_insured", "receivable_recovery_rate"]))
        assert late.height == 2 and not late["reason"].str.contains("水準").any()
        assert late["reason"].str.contains("分子が遅れて増えるため、目標と比べない").all()
    final = page.final.filter(kpi_id="guidance_rate_insured").row(0, named=True)
    assert final["change"] is not None and "前年同月との差を見る" in final["reason"]


def test_every_kpi_of_the_plan_has_a_landing_or_a_reason_and_a_count_or_a_reason(page):
    plan = page.plan["kpi_id"].to_list()
    rows = [row for row in page.landing.to_dicts() if row["kpi_id"] in plan]
    assert [row["kpi_id"] for row in rows] == plan
    for row in rows:
        projected = row["estimate"] is not None or row["lower"] is not None
        assert projected != (row["brief"] is not None) and (projected or row["reason"])
        assert (row["at_most"] is None) == (row["needed_reason"] is not None), row["short"]
    held = {row["kpi_id"]: row for row in rows}
    none_final, declared = held["employer_checkup_data_rate"], held["declared_workplaces"]
    assert (none_final["month"], none_final["needed"], none_final["brief"]) == (None, None, "確定した月なし")
    latest = page.plan.row(by_predicate=pl.col("kpi_id") == "employer_checkup_data_rate", named=True)
    assert none_final["at_most"] == math.ceil(0.11 * latest["denominator"] - latest["numerator"])
    assert declared["at_most"] == 1750 - page.plan.filter(kpi_id="declared_workplaces")["numerator"].item()
    assert held["guidance_rate_insured"]["needed_reason"].startswith("分母も年度の累計で増える")


def test_the_kpis_without_a_count_stand_under_their_reason(page):
    plan, lands = (disclosure.check_kpi(frame, together=page.series) for frame in (page.plan, page.landing))
    lines = report.needed_text(plan, lands).splitlines()
    uncounted = lands.where(kpi_id=page.plan["kpi_id"].to_list()).table.drop_nulls("needed_reason")
    assert lines[0].endswith(f"計画のKPIは{uncounted.height}指標です。")
    for row in uncounted.to_dicts():
        assert any(line.startswith(f"- {row['needed_reason']}: ") and row["short"] in line for line in lines)


def checked_landing(outlook: str, method: str = "ets") -> disclosure.Checked:
    named = {"kpi_id": "generic_share", "short": "ジェネリック", "unit": "%", "digits": 1, "counts": "units"}
    found = {"estimate": 0.852, "lower": 0.841, "upper": 0.863, "level": 0.8, "target": 0.849, "month": 202508}
    held = named | found | {"method": method, "outlook": outlook}
    return disclosure.check_kpi(pl.DataFrame([held]))


@pytest.mark.parametrize(
    ("outlook", "said"),
    [
        ("届く見込み", "目標84.9%に届く見込みです。"),
        ("届かない見込み", "目標84.9%に届かない見込みです。"),
        ("どちらともいえない", "目標84.9%に届くかどうかは、どちらともいえません。"),
    ],
)
@pytest.mark.parametrize("method", ["ets", "development_factor"])
def test_the_summary_names_each_landing_with_an_interval_in_a_sentence(page, monkeypatch, outlook, said, method):
    told: list[tuple[str, dict]] = []
    monkeypatch.setattr(report.kpi_text, "conclusion", lambda text, headline, **_: told.append((text, headline)))
    report.kpi_conclusion(disclosure.check_kpi(page.plan), checked_landing(outlook, method), fiscal_year=2025)
    ((text, headline),) = told
    assert f"年度末85.2%(80%予測区間 84.1% ～ 86.3%)で、{said}" in text and list(headline) == [
        "ジェネリックの年度末の見込み"
    ]


def test_the_summary_is_silent_of_a_range(page, monkeypatch):
    told: list[dict] = []
    monkeypatch.setattr(report.kpi_text, "conclusion", lambda text, headline, **_: told.append(headline))
    ranged = checked_landing("判断しない(幅だけ)", "range")
    report.kpi_conclusion(disclosure.check_kpi(page.plan), ranged, fiscal_year=2025)
    assert told == [{}]
