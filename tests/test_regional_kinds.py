"""The index of each kind of visit, what of it may be shown, and the sentences of its page in every state."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import polars as pl
import pytest

from kenpo_analytics import regional, report
from kenpo_analytics.definitions import define
from kenpo_analytics.definitions.calendar import Event
from kenpo_analytics.disclosure import Checked, check, check_index, check_index_settings, check_town_index
from tests.test_outcomes_out_of_hours import RETURN, line, lines_frame, members_frame, stretch
from tests.test_regional import world

AREAS = tuple(f"{code:02d}" for code in range(1, 9))
CELLS = world(areas=AREAS)
NATION = regional.total_of(CELLS)


def test_every_kind_is_the_index_of_that_kind(engine: Any) -> None:
    found = regional.judged(regional.index_by_kind(engine(CELLS), engine(NATION)))
    rows = regional.rows_by_kind(found)
    assert isinstance(rows, pd.DataFrame if engine.name == "pandas" else pl.DataFrame)
    assert list(found) == ["first", "return", "all"] and len(rows) == 24
    alone = regional.regional_index(CELLS, NATION, visit_type="return")
    assert list(found["return"].rows["estimate"]) == pytest.approx(list(alone.rows["estimate"]))
    both = regional.regional_index(CELLS, NATION)
    assert list(found["all"].rows["estimate"]) == pytest.approx(list(both.rows["estimate"]))
    assert {"funnel_lower", "shrunk", "rank_lower"} <= set(rows.columns)


def test_definitions_say_how_wide_the_funnel_is_and_what_is_unstable() -> None:
    used = define(overrides={"out_of_hours.funnel": 0.95, "out_of_hours.unstable": 1000})
    indices = regional.index_by_kind(CELLS, NATION, kinds=["first"], definitions=used)
    rows = regional.judged(indices, method="bootstrap", definitions=used)["first"].rows
    assert (
        set(rows["funnel_level"]) == {0.95}
        and (rows["unstable"] == (rows["expected"] < 1000)).all()
        and set(rows["rank_method"]) == {"bootstrap"}
    )


def test_settings_stand_side_by_side_and_contributions_make_one_area() -> None:
    age = regional.index_by_kind(CELLS, NATION)
    sex = regional.index_by_kind(CELLS, NATION, strata=("sex", "age_band"))
    rows = regional.compare_by_kind(age=age, sex=sex)
    assert len(rows) == 24 and rows["estimate_age"].to_list() != rows["estimate_sex"].to_list()
    ours = age["all"].contributions_of("03")
    estimate = age["all"].rows.filter(pl.col("area") == "03")["estimate"].item()
    assert set(ours["area"]) == {"03"} and ours["contribution"].sum() == pytest.approx(estimate)


def test_each_year_stands_against_its_own_nation() -> None:
    names = {"first": "out_of_hours_first", "return": "out_of_hours_return"}
    national = pl.concat(
        world(seed=year, areas=AREAS).with_columns(
            pl.col("visit_type").replace_strict(names).alias("measure"), pl.lit(f"FY{year}").alias("period")
        )
        for year in (2023, 2024)
    ).drop("visit_type")
    rows = regional.index_trend(national, area="03", years=[2023, 2024])
    assert rows.select("fiscal_year", "visit_type").rows() == [
        (2023, "first"), (2023, "return"), (2024, "first"), (2024, "return")
    ]  # fmt: skip
    cells = world(seed=2023, areas=AREAS)
    alone = regional.regional_index(cells, regional.total_of(cells), visit_type="first").rows
    assert rows["estimate"][0] == pytest.approx(alone.filter(pl.col("area") == "03")["estimate"].item())
    assert len(check_index(rows, by=["fiscal_year"])) == 4


def test_the_ledger_is_counted_once_though_each_visit_type_repeats_it(engine: Any) -> None:
    cells = pl.DataFrame(
        {"visit_type": ["first", "first", "return", "return"], "members": [3, 4] * 2, "denominator": [30.0, 48.0] * 2}
    )
    assert [next(iter(regional.ledger_size(engine(cells))[name])) for name in ("members", "denominator")] == [7, 78.0]


MEMBERS = members_frame([stretch(f"p{i}", "2020-04-01", base=1980) for i in range(40)])
NOW = [line(f"p{i}", 202404 + i % 9, 1 + i % 20, claim=i) for i in range(30)]
BEFORE = [line(f"p{i}", 202304 + i % 9, 1 + i % 20, claim=100 + i) for i in range(20)]
AGAIN = [line(f"p{i}", at, 3, RETURN, claim=at + i) for at in (202304, 202405) for i in range(10)]


def changes(*lines: dict) -> tuple[pl.DataFrame, pl.DataFrame]:
    fees = lines_frame(list(lines))
    return regional.changes_since_last_year(fees, MEMBERS, months=(202404, 202503), branch="24", data_through=202503)


def test_the_change_since_last_year_is_parted_by_class_and_adds_up() -> None:
    by_class, by_kind = changes(*NOW, *BEFORE, *AGAIN)
    total = by_kind.filter(pl.col("visit_type") == "all")
    assert total["events"].item() == 40 and total["estimate"].item() == pytest.approx(40 / 30 - 1)
    assert by_class["contribution"].sum() == pytest.approx(40 / 30 - 1)
    assert dict(by_kind.select("visit_type", "events").rows()) == {"first": 30, "return": 10, "all": 40}


def test_without_the_year_before_there_are_no_rows_and_nothing_is_said() -> None:
    parted = changes(*NOW)
    assert [len(rows) for rows in parted] == [0, 0]
    people: dict[str, Any] = {"counts": ["persons"], "events": {"events": "persons"}, "rates": "all"}
    total = check(parted[1], **people, plain=["level"], by=["visit_type"])
    assert report.change_text(total.where(visit_type="all"), events=[], months=(202404, 202503)) == ""


def total_row(low: float, high: float, persons: int = 100) -> Checked:
    row = {"visit_type": "all", "persons": persons, "events": 2 * persons, "estimate": 0.05}
    table = pl.DataFrame([row | {"lower": low, "upper": high, "level": 0.95}])
    return check(
        table, counts=["persons"], events={"events": "persons"}, rates="all", plain=["level"], by=["visit_type"]
    )


REVISION = Event(
    "r", dt.date(2024, 6, 1), None, "診療報酬改定", "令和6年度診療報酬改定の施行", ("claims",), "", "確認済"
)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            total_row(-0.01, 0.11),
            "+0.0500(95%信頼区間 −0.0100 ～ +0.1100)です(前年度を0とした年齢調整済みの増減の割合)。"
            "区間が0を含むため、前年度から変わったとはいえません。",
        ),
        (
            total_row(0.01, 0.09),
            "+0.0500(95%信頼区間 +0.0100 ～ +0.0900)です(前年度を0とした年齢調整済みの増減の割合)。"
            "区間は0を含みません。",
        ),
        (
            total_row(0.01, 0.09, persons=5),
            "秘匿です(前年度を0とした年齢調整済みの増減の割合)。前年度から変わったかどうかは判断できません。",
        ),
    ],
)
def test_a_change_is_claimed_only_where_the_interval_leaves_zero_out(row: Checked, said: str) -> None:
    whole = f"全体の変化(寄与の合計)は{said}"
    assert report.change_text(row, events=[REVISION], months=(202604, 202703)) == whole
    assert report.change_text(row, events=[REVISION], months=(202504, 202603)) == (
        f"{whole}この2年度の間に令和6年度診療報酬改定の施行があり、その前の月のコードは仮定です。"
        "変化には改定による数え方の違いが含まれることがあります。"
    )


def judged_row(z: float, persons: int = 100, upper: float = 0.3) -> Checked:
    row = {
        "area": "24", "visit_type": "first", "persons": persons, "events": 2 * persons, "estimate": 0.1,
        "lower": 0.05, "upper": 0.15, "level": 0.95, "ranked": 47, "worst": 10, "rank": 37, "rank_lower": 29,
        "rank_upper": 44, "funnel_lower": -0.2, "funnel_upper": upper, "funnel_level": 0.998, "funnel_z": z,
    }  # fmt: skip
    others = [row | {"area": area, "persons": 3 * persons} for area in ("23", "25")]
    return check_index(pl.DataFrame([row, *others])).where(area="24")


def test_the_summary_says_index_place_and_funnel_of_both_kinds_of_visit() -> None:
    assert report.index_summary(judged_row(0.53), judged_row(3.4, upper=0.08), fiscal_year=2024) == (
        "2024年度の時間外受診の地域差指数－1は、初診が+0.100(95%信頼区間 +0.050 ～ +0.150)で47支部中37位"
        "(順位の95%区間 29～44位)、通常みられる範囲の中(ファネル、平均から標準偏差の0.53倍)、"
        "再診が+0.100(95%信頼区間 +0.050 ～ +0.150)で47支部中37位(順位の95%区間 29～44位)、"
        "通常みられる範囲の外(ファネル、平均から標準偏差の3.40倍)でした(0が全国、1位が最も低い)。"
        "年齢構成をならした全国との差を述べるもので、差の原因を示すものではありません。"
        "通常みられる範囲の中とは、同じ規模の支部どうしのふだんのばらつきの中にあることで、問題がないことを意味しません。"
    )


def test_a_masked_branch_is_neither_inside_nor_outside() -> None:
    said = report.index_summary(judged_row(0.53, persons=4), judged_row(0.53), fiscal_year=2024)
    assert "初診が秘匿で47支部中秘匿位(順位の95%区間 秘匿～秘匿位)、通常みられる範囲の中かどうかは秘匿、" in said


def test_towns_do_not_say_of_a_masked_value_that_it_is_unstable_and_outside_has_no_place() -> None:
    towns = world(areas=("24201", "24202", "24203", "24204", "24205", "24303", "県外"), scale=0.2)
    few = (pl.col("area") == "24303") & (pl.col("visit_type") == "first")
    towns = towns.with_columns(pl.when(few).then(1).otherwise(pl.col(n)).alias(n) for n in ("events", "persons"))
    found = regional.judged(regional.index_by_kind(towns, NATION, kinds=["first"], method="indirect"))
    checked = check_town_index(regional.rows_by_kind(found))
    masked, outside = (checked.where(area=name) for name in ("24303", "県外"))
    assert masked.table["estimate"].item() is None and masked.table["unstable"].item() is None
    assert outside.states["rank"].item() == outside.states["shrunk"].item() == "not_applicable"
    assert checked.where(area="24201").table["unstable"].item() is not None


@pytest.mark.parametrize(("more", "state"), [(5, "masked"), (30, "shown")])
def test_the_difference_of_two_settings_gives_no_small_group_away(more: int, state: str) -> None:
    row = {"area": "24201", "visit_type": "first", "rank_main": None, "rank_evening": None}
    numbers = {"persons_main": 40, "events_main": 60, "persons_evening": 40 + more, "events_evening": 60 + more}
    row |= numbers | {"estimate_main": 0.1, "estimate_evening": 0.2}
    larger = {name: 10 * count for name, count in numbers.items()}
    table = pl.DataFrame([row, *(row | larger | {"area": area} for area in ("24202", "24203"))])
    table = table.with_columns(pl.col("rank_main", "rank_evening").cast(pl.Int64))
    checked = check_index_settings(table, ["main", "evening"], towns=True).where(area="24201")
    assert (checked.table["estimate_main"].item() is not None) == (state == "shown")
    assert checked.states["rank_main"].item() == "not_applicable"


@pytest.mark.parametrize(("synthetic", "end"), [(True, "2つの大きさが違います。"), (False, "確かめてください。")])
def test_the_sizes_of_both_sources_are_told(synthetic: bool, end: str) -> None:
    both = pl.DataFrame({"members": [12345], "denominator": [140_000.0]})
    ledger = check(both, counts=["members"], rates={"denominator": "members"})
    said = report.sizes_text(ledger, ledger, synthetic=synthetic)
    assert said.startswith(
        "加入者台帳から数えた加入者は12,345人(延べ140,000か月)で、上の表と市町村の値はこれによります。"
    )
    assert "この支部は延べ140,000か月です。" in said and said.endswith(end)
