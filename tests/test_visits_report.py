"""The page of untreated people: its sentences in every state, and which of its nested counts may be shown."""

from __future__ import annotations

import polars as pl
import pytest

from kenpo_analytics import report
from kenpo_analytics.cohorts.untreated import KPI_VALUES
from kenpo_analytics.definitions import define
from kenpo_analytics.disclosure import Checked, check_visit_curve, check_visit_groups, check_visits
from kenpo_analytics.outcomes.first_visit import followup_window


def kpi(*rows: tuple[str, int, int, int]) -> pl.DataFrame:
    """Window, persons, events, month 0 of each row; 30 left, none turned 75, 50 still open."""
    names = ["window", "persons", "events", "month_0"]
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(left=30, turned_75=0, not_mature=50)
    share = pl.col("events") / pl.col("persons")
    return table.with_columns(estimate=share, lower=share - 0.05, upper=share + 0.05, level=0.95, method=pl.lit("W"))


WINDOWS = kpi(("0-9", 400, 195, 60), ("0-10", 400, 200, 60), ("1-10", 400, 150, 60))


def summary(checked: Checked, level: str = "first") -> str:
    return report.visit_summary(checked.where(visit="any", window="0-10"), fiscal_year=2023, level=level)


def test_the_summary_names_denominator_visitors_and_who_is_open() -> None:
    assert summary(check_visits({"any": WINDOWS}, main="0-10")) == (
        "2023年度の健診で一次勧奨の値以上だった未治療者のうち、健診受診月から10か月の期間が終わりレセプトの到着も完了した"
        "400人を分母とすると、期間内に受診した人は200人、50.0%(95%信頼区間 45.0% ～ 55.0%)でした。"
        "期間がまだ終わっていないために分母に含めなかった人は50人です。"
        "受診の有無を述べるもので、勧奨の効果を示すものではありません。"
    )


def test_a_masked_summary_gives_no_number_away() -> None:
    said = summary(check_visits({"any": kpi(("0-10", 40, 4, 0))}, main="0-10"), level="second")
    assert "二次勧奨の値以上" in said and "期間内に受診した人は秘匿、秘匿でした。" in said and "10.0%" not in said


def test_where_nobody_is_followed_to_the_end_there_is_no_share() -> None:
    nobody = kpi(("0-10", 0, 0, 0)).with_columns(
        pl.lit(0).alias("left"), pl.lit(None, pl.Float64).alias("estimate"), lower=None, upper=None
    )
    said = summary(check_visits({"any": nobody}, main="0-10"))
    assert "0人を分母とすると、期間内に受診した人は0人、欠測でした。" in said


def test_of_nested_rows_the_main_window_of_the_first_kind_stays() -> None:
    disease = kpi(("0-9", 400, 180, 40), ("0-10", 400, 196, 40), ("1-10", 400, 100, 40))
    checked = check_visits({"any": WINDOWS, "disease": disease}, main="0-10")
    events = {(row["visit"], row["window"]): row["events"] for row in checked.table.to_dicts()}
    assert events[("any", "0-10")] == 200 and events[("any", "0-9")] is None  # 195 and 200 are 5 apart
    assert events[("disease", "0-10")] is None and events[("disease", "0-9")] == 180
    outside = checked.where(visit="any", window="1-10")  # a window from month 1 on does not hold month 0
    assert outside.table["month_0"].item() is None and outside.states["month_0"].item() == "not_applicable"


def test_groups_of_one_window_are_masked_and_overlapping_ones_do_not_add_up() -> None:
    parts = [WINDOWS.with_columns(pl.lit(name).alias("sex")) for name in "MF"]
    few = kpi(("0-10", 40, 4, 0)).with_columns(sex=pl.lit("X"))
    rows = pl.concat([*parts, few], how="diagonal")
    added, apart = (check_visit_groups(rows, by="sex", window="0-10", overlap=overlap) for overlap in (False, True))
    assert len(added) == 3
    assert added.table["events"].null_count() == 2 and apart.table["events"].to_list() == [200, 200, None]


def test_the_curve_keeps_apart_from_the_windows_beside_it() -> None:
    events = [60, 40, 95, 5]  # cumulated 60, 100, 195, 200
    curve = pl.DataFrame({"month": [0, 1, 9, 10], "events": events, "at_risk": 400}).with_columns(
        estimate=pl.col("events").cum_sum() / 400, lower=0.1, upper=0.6, level=0.95
    )
    beside = check_visits({"any": WINDOWS}, main="0-10").where(visit="any")
    assert check_visit_curve(curve, beside=beside).states["estimate"].to_list() == ["shown", "shown", "masked", "shown"]


def test_the_purpose_says_where_the_branch_counts_other_months() -> None:
    assert report.visit_purpose("0-10") == "KPI「健診受診月から10か月以内に医療機関を受診した者の割合」"
    assert report.visit_purpose("1-6").endswith("割合」(用いた定義により1～6か月で集計)")
    assert followup_window(define(overrides={"followup.first_month": 1, "followup.months": 6})) == (1, 6)


@pytest.mark.parametrize(("level", "name"), [("first", "一次勧奨"), ("second", "二次勧奨"), ("third", "third")])
def test_levels_have_names(level: str, name: str) -> None:
    assert report.level_name(level) == name


def test_the_second_level_rests_on_the_values_of_the_first_too() -> None:
    rows = {level: define().listed(*ids) for level, ids in KPI_VALUES.items()}
    assert set(rows["first"]) < set(rows["second"])
