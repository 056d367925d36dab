"""The KPI registry: the plan's 19 KPIs, versions that do not overlap, and printed values as the plan prints them."""

from __future__ import annotations

import polars as pl
import pytest

from kenpo_analytics.definitions import kpi as registry
from kenpo_analytics.definitions.kpi.page import RULES
from kenpo_analytics.errors import DefinitionError, TableError
from kenpo_analytics.kpi import published

# 令和7年度事業計画 (三重支部), the KPI boxes: group, what is demanded (None: against the year before)
PLAN = {
    "service_standard_rate": ("業務", "ge", 100),
    "service_standard_days": ("業務", "le", 7),
    "counter_rate": ("業務", "le_prev", None),
    "assessment_rate": ("レセプト", "ge_prev", None),
    "reexam_amount_per_claim": ("レセプト", "ge_prev", None),
    "receivable_recovery_rate": ("レセプト", "ge_prev", None),
    "checkup_rate_insured": ("保健", "ge", 69.5),
    "employer_checkup_data_rate": ("保健", "ge", 11.0),
    "checkup_rate_dependent": ("保健", "ge", 34.5),
    "guidance_rate_insured": ("保健", "ge", 22.0),
    "guidance_rate_dependent": ("保健", "ge", 18.5),
    "untreated_visit_rate": ("保健", "ge_prev", None),
    "declared_workplaces": ("企画総務", "ge", 1750),
    "generic_share": ("企画総務", "ge_prev", None),
    "biosimilar_programme": ("企画総務", "done", 1),
    "committee_coverage_rate": ("企画総務", "ge", 52.4),
    "sns_posts": ("企画総務", "ge", 1),
    "committee_workplaces": ("企画総務", "ge_prev", None),
    "single_bid_rate": ("企画総務", "le", 15.0),
}
BROKEN = {"assessment_rate", "receivable_recovery_rate", "untreated_visit_rate"}


def value(kpi_id: str, month: int, area: str, version: str) -> float:
    (found,) = [
        r["value"]
        for r in registry.printed()
        if (r["kpi_id"], r["month"], r["area"], r["version"]) == (kpi_id, month, area, version)
    ]
    return found


def test_the_nineteen_kpis_of_the_plan_with_their_groups_and_demands():
    plan = [k for k in registry.kpis() if k.kind == "plan"]
    demands = {t.kpi_id: t for t in registry.targets() if t.fiscal_year == 2025}
    assert len(plan) == 19
    assert {k.id: (k.group, demands[k.id].rule, demands[k.id].target) for k in plan} == PLAN
    assert {k.id for k in plan if k.direction == "down"} == {"service_standard_days", "counter_rate", "single_bid_rate"}
    assert [k.id for k in registry.kpis() if k.kind == "ended"] == ["benefit_mail_rate", "card_recovery_rate"]
    assert {k.id for k in registry.in_year(2024)} - {k.id for k in registry.in_year(2025)} == {
        "benefit_mail_rate",
        "card_recovery_rate",
    }


def test_every_row_has_a_group_a_rule_and_a_source():
    for item in registry.kpis():
        assert item.group in registry.GROUPS and item.kind in registry.KINDS and item.source and item.numerator
        assert item.status in ("確認済", "仮定") and item.interval in ("wilson", "none")
        assert item.interval == "none" or (item.unit == "%" and item.counts in ("people", "cases") and item.denominator)
    for target in registry.targets():
        assert target.rule in RULES and target.source and registry.kpi(target.kpi_id)
        assert target.version in {v.version for v in registry.versions(target.kpi_id)}
        assert (target.target is None) == target.rule.endswith("_prev")
    keys = [(r["kpi_id"], r["version"], r["month"], r["area"]) for r in registry.printed()]
    assert len(keys) == len(set(keys)) and all(r["source"] for r in registry.printed())


def test_every_share_of_two_sums_says_when_its_numerator_arises():
    told = {row["kpi_id"]: row for row in registry.timings()}
    assert list(told) == [k.id for k in registry.kpis() if k.accumulates == "both"]
    assert {row["timing"] for row in told.values()} == {"same", "later", "window"}
    assert all(row["why"] and row["source"] and row["status"] in ("確認済", "仮定") for row in told.values())
    assert all(k.timing == told.get(k.id, {"timing": ""})["timing"] for k in registry.kpis())
    late = {"guidance_rate_insured", "guidance_rate_dependent", "receivable_recovery_rate"}
    assert {k.id for k in registry.kpis() if k.kind == "plan" and k.timing == "later"} == late


def test_three_series_break_in_april_2024_and_no_other():
    for item in registry.kpis():
        found = registry.versions(item.id)
        assert (len(found) == 2) == (item.id in BROKEN)
        for month in (201804, 202403, 202404, 202510):
            assert sum(v.in_force(month) for v in found) == 1
        if item.id in BROKEN:
            assert registry.version_at(item.id, 202403) != registry.version_at(item.id, 202404)
            assert found[1].break_reason


def test_printed_values_stand_under_the_version_they_were_counted_in():
    assert value("receivable_recovery_rate", 202403, "24", "令和5年度まで") == 74.43
    assert value("receivable_recovery_rate", 202403, "24", "令和6年度") == 78.19
    assert value("receivable_recovery_rate", 202403, "全国", "令和5年度まで") == 53.29
    assert value("receivable_recovery_rate", 202403, "全国", "令和6年度") == 63.35
    assert value("untreated_visit_rate", 202410, "24", "令和6年度") == 36.5
    assert value("untreated_visit_rate", 202403, "24", "令和5年度まで") == 11.3
    assert value("assessment_rate", 202503, "全国", "令和6年度") == 0.131
    part = {r["month"] for r in registry.printed() if r["part_year"]}
    assert part and not any(month % 100 == 3 for month in part)
    old = next(t for t in registry.targets() if (t.kpi_id, t.fiscal_year) == ("receivable_recovery_rate", 2024))
    assert (old.target, old.version) == (74.43, "令和5年度まで")  # the value of the old scope, set as target of the new


def test_collection_by_case_stands_beside_the_amount_and_is_the_plans():
    rows = [r for r in registry.printed() if r["kpi_id"] == "receivable_recovery_rate_cases"]
    assert [(r["numerator"], r["denominator"]) for r in rows] == [(912, 1418), (1281, 2057), (997, 1547)]
    for row in rows:
        assert row["value"] == pytest.approx(100 * row["numerator"] / row["denominator"], abs=0.05)
    assert not [t for t in registry.targets() if t.kpi_id == "receivable_recovery_rate_cases"]


def test_values_read_in_their_units():
    assert registry.kpi("checkup_rate_insured").value(353, 1000) == pytest.approx(0.353)
    assert registry.kpi("out_of_hours_first").value(266, 35757) == pytest.approx(7.4391, abs=1e-4)
    assert registry.kpi("service_standard_days").value(610, 100) == pytest.approx(6.1)
    assert registry.kpi("declared_workplaces").value(1573, None) == 1573
    assert registry.kpi("generic_share").of_printed(89.1) == pytest.approx(0.891)
    with pytest.raises(DefinitionError, match="登録されていないKPIです: 「nothing」"):
        registry.kpi("nothing")


OWN = "kpi_id,version,month,area,value,numerator,denominator,source\n"


def test_a_branch_adds_the_tables_it_receives(tmp_path):
    rows = "checkup_rate_insured,令和6年度,2025-03,全国,58.5,,,本部送付\n"
    rows += "checkup_rate_insured,令和6年度,R7.3,06,80.5,805,1000,本部送付\n"
    (tmp_path / "kpi_published.csv").write_text(OWN + rows, encoding="utf-8")
    packaged, found = published(), published(tmp_path)
    assert len(found) == len(packaged) + 1
    mine = found.filter(pl.col("kpi_id") == "checkup_rate_insured", pl.col("month") == 202503).sort("area")
    assert mine["area"].to_list() == ["06", "全国"] and mine["value"].to_list() == [80.5, 58.5]
    assert published(tmp_path / "none").equals(packaged)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nothing,令和6年度,2025-03,24,1,,,x", "2行目の kpi_id"),
        ("checkup_rate_insured,令和9年度,2025-03,24,1,,,x", "2行目の version"),
        ("checkup_rate_insured,令和6年度,2025-03,48,1,,,x", "2行目の area"),
        ("checkup_rate_insured,令和6年度,2025-03,24,1,,,", "2行目の source"),
        ("checkup_rate_insured,令和6年度,2025-13,24,1,,,x", "2行目に、月または数"),
        ("checkup_rate_insured,令和6年度,2025-03,24,多い,,,x", "2行目に、月または数"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_line(tmp_path, row, message):
    (tmp_path / "kpi_published.csv").write_text(OWN + row + "\n", encoding="utf-8")
    with pytest.raises(TableError, match=message):
        published(tmp_path)


def test_repeated_rows_and_missing_columns_are_refused(tmp_path):
    row = "checkup_rate_insured,令和6年度,2025-03,24,1,,,x\n"
    (tmp_path / "kpi_published.csv").write_text(OWN + row + row, encoding="utf-8")
    with pytest.raises(TableError, match="重なって"):
        published(tmp_path)
    (tmp_path / "kpi_published.csv").write_text("kpi_id,month\n", encoding="utf-8")
    with pytest.raises(TableError, match="列がありません: version, area"):
        published(tmp_path)
