"""The frames of the month's page: each is what the room's own function gives, of the group that was asked for."""

from __future__ import annotations

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
    assert page.latest.select(status.columns).equals(status)
    assert page.landing.equals(kpi.landing(totals, month=202510, branch="24", nation=nation).rows)
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
