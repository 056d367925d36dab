"""Unit, property and simulation tests: the incentive score by hand, its refusals, what a rise would bring."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import zscore

from kenpo_analytics import disclosure, kpi
from kenpo_analytics.definitions import define
from kenpo_analytics.definitions.branch_codes import BRANCHES
from kenpo_analytics.errors import DefinitionError, DisclosureError, EstimateError, ParameterError, TableError
from kenpo_analytics.kpi.deviation import Values, components, deviation_value, deviations, indicator_points
from kenpo_analytics.kpi.incentive_tables import redrawn
from kenpo_analytics.kpi.provider import SCHEMA
from kenpo_analytics.kpi.weights import Indicator
from kenpo_analytics.stats.ranks import rank

YEAR = 2024
KPIS = {
    "checkup": "incentive_checkup_rate",
    "guidance": "incentive_guidance_rate",
    "reduction": "guidance_reduction_rate",
    "visit": "incentive_visit_rate",
    "generic": "generic_share",
}
ALL = Indicator("checkup", KPIS["checkup"], "①", 70.0, {"level": 0.5, "rise": 0.25, "number": 0.25})
FOUR = Values(
    now=np.array([0.40, 0.50, 0.60, 0.70]),
    before=np.array([0.30, 0.50, 0.50, 0.60]),
    taken=np.array([400.0, 500.0, 600.0, 840.0]),
    taken_before=np.array([300.0, 500.0, 500.0, 600.0]),
)


def world(seed=1, size=20_000, sd=0.04, years=(2023, 2024), true=False):
    """Shares of 47 branches in two years and their counts: {key: (share, taken, total)} by year."""
    rng = np.random.default_rng(seed)
    found = {}
    for key in KPIS:
        share = np.clip(rng.normal(0.5, sd, 47), 0.05, 0.9)
        for year in years:
            share = np.clip(share + rng.normal(0.01, sd / 4, 47), 0.05, 0.95)
            total = np.rint(size * np.exp(rng.normal(0, 0.7, 47)) + 50)
            taken = np.rint(total * share) if key == "generic" else rng.binomial(total.astype(int), share).astype(float)
            found[key, year] = (share, taken, total)
    return found


def frame(made, *, counts=True):
    rows = [
        {
            "kpi_id": KPIS[key],
            "version": "令和6年度",
            "month": (year + 1) * 100 + 3,
            "area": area,
            "value": 100 * taken[at] / total[at],
            "numerator": float(taken[at]) if counts else None,
            "denominator": float(total[at]) if counts else None,
            "part_year": False,
            "status": "支部設定",
            "source": "試験",
        }
        for (key, year), (_, taken, total) in made.items()
        for at, area in enumerate(BRANCHES)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def published():
    return frame(world())


@pytest.fixture(scope="module")
def score(published):
    return kpi.incentive_score(published, fiscal_year=YEAR)


# --- by hand -----------------------------------------------------------------------------------------------


def test_the_components_by_hand():
    found = components(ALL, FOUR, rise="room")
    assert found["level"] == pytest.approx([40, 50, 60, 70])
    # (40-30)/(100-30) = 14.2857, (50-50)/50 = 0, (60-50)/50 = 20, (70-60)/40 = 25 percent of the room
    assert found["rise"] == pytest.approx([14.285714, 0, 20, 25])
    # 400/300 - 1 = 33.3333, 500/500 - 1 = 0, 600/500 - 1 = 20, 840/600 - 1 = 40 percent
    assert found["number"] == pytest.approx([33.333333, 0, 20, 40])
    assert components(ALL, FOUR, rise="points")["rise"] == pytest.approx([10, 0, 10, 10])


def test_the_points_by_hand():
    found = deviations(ALL, FOUR, rise="room", sd="population")
    # level: mean (40+50+60+70)/4 = 55; squares 225+25+25+225 = 500; sd sqrt(500/4) = 11.180340
    # 50 + 10 x -15/11.180340 = 36.583592; -5 -> 45.527864; +5 -> 54.472136; +15 -> 63.416408
    assert found["level"] == pytest.approx([36.583592, 45.527864, 54.472136, 63.416408])
    # rise: mean 59.285714/4 = 14.821429; squares 0.286990+219.674745+26.817602+103.603316 = 350.382653
    # sd sqrt(87.595663) = 9.359256; -0.535714 -> 49.427609; -14.821429 -> 34.163881; 5.178571 -> 55.533102;
    # 10.178571 -> 60.875407
    assert found["rise"] == pytest.approx([49.427609, 34.163881, 55.533102, 60.875407], abs=2e-6)
    # number: mean 93.333333/4 = 23.333333; squares 100+544.444444+11.111111+277.777778 = 933.333333
    # sd sqrt(233.333333) = 15.275252; +10 -> 56.546537; -23.333333 -> 34.724748; -3.333333 -> 47.817821;
    # +16.666667 -> 60.910895
    assert found["number"] == pytest.approx([56.546537, 34.724748, 47.817821, 60.910895], abs=2e-6)
    # together 0.5 x level + 0.25 x rise + 0.25 x number; first: 18.291796 + 12.356902 + 14.136634 = 44.785332
    assert found["all"][0] == pytest.approx(44.785332, abs=2e-6)
    # points: 70/50 x 44.785332 = 62.699465; last: 1.4 x (31.708204 + 15.218851 + 15.227724) = 1.4 x 62.154779
    points = indicator_points(ALL, FOUR, rise="room", sd="population")
    assert points[[0, 3]] == pytest.approx([62.699465, 87.016690], abs=3e-6)


def test_the_sample_standard_deviation_is_a_setting():
    # sqrt(500/3) = 12.909944; 50 + 10 x -15/12.909944 = 38.381050
    assert deviation_value(100 * FOUR.now, sd="sample")[0] == pytest.approx(38.381050, abs=1e-6)
    x = np.random.default_rng(1).normal(size=47)
    assert deviation_value(x, sd="sample") == pytest.approx(50 + 10 * zscore(x, ddof=1))  # scipy.stats.zscore


def test_the_public_example_of_wakayama_is_a_plain_sum_and_proves_nothing_about_weights(score):
    """和歌山支部 平成30年度: 52+50+61+46+36 = 245. Five deviation values added up: that is all it says."""
    old = kpi.incentive_rules(2018)
    assert sum(each.base / 50 * t for each, t in zip(old.indicators, (52, 50, 61, 46, 36), strict=True)) == 245
    sums = score.rows.group_by("area").agg(pl.col("points").sum()).sort("area")["points"]
    assert sums.to_list() == pytest.approx(score.totals["points"].to_list())


# --- weights -----------------------------------------------------------------------------------------------


def test_the_weights_are_dated_assumptions_that_a_branch_can_set():
    new, old = kpi.incentive_rules(2024), kpi.incentive_rules(2021)
    assert [(each.key, each.base) for each in new.indicators] == [
        ("checkup", 70), ("guidance", 70), ("reduction", 80), ("visit", 50), ("generic", 50),
    ]  # fmt: skip
    assert (new.top, old.top) == (15, 23) and {each.base for each in old.indicators} == {50}
    assert new.indicator("checkup").weights == {"level": 0.5, "rise": 0.25, "number": 0.25}
    assert new.indicator("reduction").weights["level"] == 1 and not new.indicator("reduction").looks_back
    assert {row.status for row in new.used if not row.id.endswith(".top")} == {"仮定"}
    own = define(overrides={"incentive.visit.base": 60, "incentive.visit.level": 40, "incentive.visit.rise": 60})
    visit = kpi.incentive_rules(2024, definitions=own).indicator("visit")
    assert (visit.base, visit.weights["level"]) == (60, 0.4)
    with pytest.raises(DefinitionError, match=r"④.*配分の合計が100%ではありません\(110%\)"):
        kpi.incentive_rules(2024, definitions=define(overrides={"incentive.visit.level": 60}))
    with pytest.raises(DefinitionError, match="2017年度のインセンティブ制度の定義がありません"):
        kpi.incentive_rules(2017)
    with pytest.raises(DefinitionError, match="指標にない名前です: 「nothing」"):
        new.indicator("nothing")


def test_the_settings_reach_the_score(published, score):
    other = define(overrides={"incentive.sd": "sample", "incentive.rise": "points", "incentive.top": 20})
    changed = kpi.incentive_score(published, fiscal_year=YEAR, definitions=other)
    assert changed.totals["top"][0] == 20
    mean_sum = sum(each.base for each in score.rules.indicators)
    assert score.totals["points"].mean() == pytest.approx(mean_sum) == pytest.approx(320)
    assert changed.totals["points"].mean() == pytest.approx(320)
    one = changed.rows.filter(pl.col("indicator") == "reduction", pl.col("area") == "24").row(0, named=True)
    same = score.rows.filter(pl.col("indicator") == "reduction", pl.col("area") == "24").row(0, named=True)
    assert one["deviation"] - 50 == pytest.approx((same["deviation"] - 50) * np.sqrt(46 / 47))


# --- properties --------------------------------------------------------------------------------------------


def test_a_constant_for_all_branches_changes_nothing_of_the_level():
    x = np.random.default_rng(2).normal(60, 5, 47)
    assert deviation_value(x + 7, sd="population") == pytest.approx(deviation_value(x, sd="population"))
    assert deviation_value(3 * x, sd="population") == pytest.approx(deviation_value(x, sd="population"))
    assert deviation_value(-x, sd="population") == pytest.approx(100 - deviation_value(x, sd="population"))


def test_order_kind_and_scale_of_the_rows_do_not_matter(published, score):
    shuffled = kpi.incentive_score(published.sample(fraction=1, shuffle=True, seed=3), fiscal_year=YEAR)
    assert shuffled.totals.equals(score.totals) and shuffled.rows.equals(score.rows)
    pandas = kpi.incentive_score(published.to_pandas(), fiscal_year=YEAR)
    assert type(pandas.totals).__module__.startswith("pandas")
    assert pandas.totals["points"].tolist() == score.totals["points"].to_list()
    ten = published.with_columns(pl.col("numerator") * 10, pl.col("denominator") * 10)
    bigger = kpi.incentive_score(ten, fiscal_year=YEAR)
    assert bigger.totals["points"].to_list() == pytest.approx(score.totals["points"].to_list())
    width = [t["rank_upper"] - t["rank_lower"] for t in (bigger.totals, score.totals)]
    assert width[0].mean() < width[1].mean()  # more people, narrower places


def test_the_same_seed_gives_the_same_interval_and_the_bases_weigh(published, score):
    again = kpi.incentive_score(published, fiscal_year=YEAR)
    assert again.totals.equals(score.totals)
    twice = define(overrides={f"incentive.{key}.base": 100 for key in KPIS})
    doubled = kpi.incentive_score(published, fiscal_year=YEAR, definitions=twice)
    sums = score.rows.group_by("area").agg(pl.col("deviation").sum()).sort("area")["deviation"]
    assert doubled.totals["points"].to_list() == pytest.approx((2 * sums).to_list())


def test_ranks_line_and_probability_agree(score):
    totals = score.totals
    assert totals["rank"].to_list() == rank(totals["points"], first="highest").astype(int).tolist()
    line = sorted(totals["points"], reverse=True)[14]
    assert set(totals["line"]) == {line} and totals.filter(pl.col("gap") >= 0).height == 15
    assert totals["p_top"].sum() == pytest.approx(15)
    sure, far = totals.filter(pl.col("p_top") > 0.999), totals.filter(pl.col("p_top") < 0.001)
    assert (sure["rank_upper"] <= 15).all() and (far["rank_lower"] > 15).all() and len(sure) and len(far)
    assert "⑤後発医薬品の使用割合は数量の全数のため動かさない" in score.covers
    generic = score.rows.filter(pl.col("indicator") == "generic")
    assert generic["rank"].null_count() == 47 and generic["reason"][0].startswith("数量の割合")


# --- refusals ----------------------------------------------------------------------------------------------


def test_no_score_without_every_branch(published):
    lost = published.filter(
        ~((pl.col("area") == "06") & (pl.col("kpi_id") == KPIS["visit"]) & (pl.col("month") == 202503))
    )
    with pytest.raises(TableError, match=r"④.*2025年3月の値が47支部のうち46支部しかありません\(ない支部 山形\)"):
        kpi.incentive_score(lost, fiscal_year=YEAR)
    with pytest.raises(TableError, match="2024年3月の値が47支部のうち0支部しか"):
        kpi.incentive_score(published.filter(pl.col("month") == 202503), fiscal_year=YEAR)
    other = published.with_columns(
        version=pl.when(pl.col("month") == 202403).then(pl.lit("前の版")).otherwise("version")
    )
    with pytest.raises(DefinitionError, match="定義の版が違うため"):
        kpi.incentive_score(other, fiscal_year=YEAR)


def test_a_branch_that_is_there_twice_is_refused_by_name(published):
    one = (pl.col("area") == "24") & (pl.col("kpi_id") == KPIS["visit"]) & (pl.col("month") == 202403)
    twice = pl.concat([published, published.filter(one)])
    for asked in (kpi.incentive_score, kpi.incentive_needs):
        with pytest.raises(TableError, match=r"重なっています: incentive_visit_rate 令和6年度 2024-03 24\n"):
            asked(twice, fiscal_year=YEAR)
    lost = pl.concat([published.filter(pl.col("area") != "06"), published.filter(one)])
    assert "2024-03 24" in kpi.score_or_reason(lost, fiscal_year=YEAR)[1]


MONTHS = [year * 100 + month for year in range(2016, 2024) for month in (3, 6, 10)]


def test_before_the_programme_began_there_is_a_sentence_and_no_traceback():
    """Every month back to 2016, without a single 47-branch table: a year, empty needs before FY2018, and why."""
    nothing = kpi.published()
    for month in MONTHS:
        ended = (month // 100) - (1 if month % 100 >= 3 else 2)
        year = kpi.incentive_year(nothing, month=month)
        assert year == ended
        score, why = kpi.score_or_reason(nothing, fiscal_year=year)
        needs = kpi.incentive_needs(nothing, fiscal_year=year)
        assert score is None
        if year < 2018:
            assert why == f"{year}年度のインセンティブ制度の定義がありません(制度は2018年度から)" and needs.height == 0
        else:
            assert "47支部のうち0支部しかありません" in why and needs["branches"].max() <= 1
        assert needs.columns[0] == "indicator" and needs.schema["branches"] == pl.Int64


def test_a_year_counts_from_the_month_in_which_its_values_were_known(published):
    """FY2024 ended in March 2025; its values are of a document of August 2025."""
    dated = published.with_columns(as_of=pl.lit("2025-08-29"))
    earlier = frame(world(seed=2, years=(2022, 2023))).with_columns(
        as_of=pl.when(pl.col("month") == 202403).then(pl.lit("2024-08-30"))
    )
    both = pl.concat([earlier, dated.filter(pl.col("month") == 202503)])
    wanted = {202407: 2023, 202408: 2023, 202503: 2023, 202507: 2023, 202508: 2024, 202603: 2024}
    assert {month: kpi.incentive_year(both, month=month) for month in wanted} == wanted
    known = kpi.known_by(both, month=202503)
    assert kpi.score_or_reason(known, fiscal_year=2023)[0] is not None
    assert "2025年3月の値が47支部のうち0支部" in kpi.score_or_reason(known, fiscal_year=2024)[1]


def lacking(published, key, month, *areas):
    """The tables without these branches of one indicator and March (all of them, if none is named)."""
    gone = pl.col("area").is_in(areas or BRANCHES) & (pl.col("kpi_id") == KPIS[key]) & (pl.col("month") == month)
    return published.filter(~gone)


def test_a_year_that_is_passed_over_is_said_with_its_tables_and_branches():
    three = frame(world(years=(2022, 2023, 2024)))
    assert kpi.incentive_gaps(three, month=202510).is_empty()
    assert kpi.gaps_sentence(kpi.incentive_gaps(three, month=202510), fiscal_year=2024) == ""
    one = lacking(three, "checkup", 202503, "24")
    assert kpi.incentive_year(one, month=202510) == 2023
    gaps = kpi.incentive_gaps(one, month=202510)
    (row,) = gaps.to_dicts()
    assert (row["fiscal_year"], row["indicator"], row["month"]) == (2024, "checkup", 202503)
    assert (row["branches"], row["missing"]) == (46, "三重")
    said = "令和6年度は①特定健診等の実施率が46支部のため計算せず、令和5年度を示します。"
    assert kpi.gaps_sentence(gaps, fiscal_year=2023) == said
    more = lacking(lacking(one, "generic", 202503), "visit", 202503, "01", "13", "47")
    gaps = kpi.incentive_gaps(more, month=202510)
    assert dict(gaps.select("indicator", "missing").iter_rows()) == {
        "checkup": "三重",
        "visit": "北海道、東京、沖縄",
        "generic": "すべて",
    }
    said = kpi.gaps_sentence(gaps, fiscal_year=2023)
    assert "④速やかに受診を要する者の医療機関受診率が44支部、⑤後発医薬品の使用割合が0支部のため" in said


def test_a_table_that_two_years_need_passes_both_over_and_many_are_counted():
    four = frame(world(years=(2021, 2022, 2023, 2024)))
    both = lacking(four, "guidance", 202403, "13")
    assert kpi.incentive_year(both, month=202510) == 2022
    said = kpi.gaps_sentence(kpi.incentive_gaps(both, month=202510), fiscal_year=2022)
    assert said == (
        "令和6年度は前年度の②特定保健指導の実施率が46支部のため、令和5年度は②特定保健指導の実施率が46支部のため"
        "計算せず、令和4年度を示します。"
    )
    early = four.filter(pl.col("month") < 202503)
    said = kpi.gaps_sentence(kpi.incentive_gaps(early, month=202510), fiscal_year=2023)
    assert "が0支部、ほか2表も47支部がそろわないため計算せず、令和5年度を示します。" in said
    assert kpi.incentive_gaps(four.head(0), month=202510).is_empty()  # no year at all: the needs tell


def test_a_table_under_another_version_is_no_missing_branch(published):
    here = (pl.col("kpi_id") == KPIS["guidance"]) & (pl.col("month") == 202503)
    other = published.with_columns(version=pl.when(here).then(pl.lit("旧")).otherwise("version"))
    needs = kpi.incentive_needs(other, fiscal_year=YEAR).filter(pl.col("missing").is_not_null())
    assert needs["missing"].to_list() == ["すべて(別の定義の版「旧」では47支部)"]


def test_a_branch_at_the_edge_the_year_before_leaves_room_in_every_draw():
    """1 or n - 1 of n the year before: a redraw of nobody, or of all, would divide by zero."""
    made = world(size=2_000)
    for at, edge in ((5, 1.0), (6, -1.0)):
        for key in ("checkup", "guidance", "visit"):
            _, taken, total = made[key, 2023]
            taken[at] = edge % total[at]
    score = kpi.incentive_score(frame(made), fiscal_year=YEAR, draws=400)
    before = redrawn(score.counted[0], 400, [1, 0])
    under = score.counted[0].total_before
    assert before.taken_before.min() == 0.5 and (under - before.taken_before).min() == 0.5
    assert (before.taken_before[:, 5] == 0.5).mean() == pytest.approx(np.exp(-1), abs=0.08)  # Poisson: nobody of 1
    assert all(np.isfinite(drawn).all() for drawn in score.drawn)
    assert score.totals["rank_lower"].null_count() == 0
    assert (
        (score.totals["rank_lower"] <= score.totals["rank"]) & (score.totals["rank"] <= score.totals["rank_upper"])
    ).all()


def test_no_deviation_value_without_spread_room_or_numerators(published):
    same = published.with_columns(
        numerator=pl.when(pl.col("kpi_id") == KPIS["reduction"])
        .then(pl.col("denominator") * 0.5)
        .otherwise("numerator")
    )
    with pytest.raises(EstimateError, match=r"③.*の実績が全支部で同じ.*標準偏差が0"):
        kpi.incentive_score(same, fiscal_year=YEAR)
    full = (pl.col("kpi_id") == KPIS["visit"]) & (pl.col("month") == 202403) & (pl.col("area") == "10")
    with pytest.raises(EstimateError, match=r"④.*前年度が100%の支部があり.*\(1支部\)"):
        kpi.incentive_score(
            published.with_columns(numerator=pl.when(full).then("denominator").otherwise("numerator")), fiscal_year=YEAR
        )
    with pytest.raises(EstimateError, match=r"①.*件数上昇率には、2年度の分子が要ります"):
        kpi.incentive_score(frame(world(), counts=False), fiscal_year=YEAR)
    none = Values(FOUR.now, FOUR.before, FOUR.taken, np.array([0.0, 1, 1, 1]))
    with pytest.raises(EstimateError, match="前年度の分子が0の支部"):
        components(ALL, none, rise="room")


def test_without_counts_there_are_points_and_no_rank(published, score):
    visit = pl.col("kpi_id") == KPIS["visit"]
    printed = published.with_columns(
        pl.when(visit).then(None).otherwise(pl.col(name)).alias(name) for name in ("numerator", "denominator")
    )
    found = kpi.incentive_score(printed, fiscal_year=YEAR)
    assert found.totals["points"].to_list() == pytest.approx(score.totals["points"].to_list())
    for name in ("rank", "rank_lower", "rank_upper", "p_top", "rank_method"):
        assert found.totals[name].null_count() == 47
    assert "④" in found.totals["reason"][0]
    what = kpi.what_if_rise(found, branch="24", points=1)
    assert what["rank"].null_count() == what["rank_raised"].null_count() == 5 and what["gain"].null_count() == 0


# --- what if -----------------------------------------------------------------------------------------------


def test_a_rise_is_the_score_of_the_raised_table(published, score):
    """Raising ① of branch 24 by 2 points gives what the table with those people added gives."""
    row = kpi.what_if_rise(score, branch="24", points=2, indicators=["checkup"]).row(0, named=True)
    mine = (pl.col("kpi_id") == KPIS["checkup"]) & (pl.col("month") == 202503) & (pl.col("area") == "24")
    raised = published.with_columns(
        numerator=pl.when(mine).then(pl.col("numerator") + 0.02 * pl.col("denominator")).otherwise("numerator")
    )
    found = kpi.incentive_score(raised, fiscal_year=YEAR).totals.row(23, named=True)
    assert row["total_raised"] == pytest.approx(found["points"]) and row["rank_raised"] == found["rank"]
    assert row["gap_raised"] == pytest.approx(found["gap"])
    assert (row["rank_raised_lower"], row["rank_raised_upper"]) == (found["rank_lower"], found["rank_upper"])
    assert row["gain"] == pytest.approx(row["points_raised"] - row["points"]) and row["gain"] > 0
    assert row["room"] == pytest.approx(1 - share_of(published, "checkup", 202403))


def share_of(published, key, month, area="24"):
    row = published.filter(pl.col("kpi_id") == KPIS[key], pl.col("month") == month, pl.col("area") == area)
    return row["numerator"][0] / row["denominator"][0]


def test_more_room_makes_the_same_rise_worth_less():
    """伸びしろ: a rise of 1 point is 1/30 of the room of a branch at 70 %, and 1/70 of that of one at 30 %."""
    before, after = np.array([0.3, 0.7, 0.5, 0.4]), np.array([0.31, 0.71, 0.5, 0.45])
    found = components(ALL, Values(after, before, FOUR.taken, FOUR.taken_before), rise="room")["rise"]
    assert found[:2] == pytest.approx([100 / 70, 100 / 30])


def test_no_rise_changes_nothing_and_no_share_exceeds_one(score):
    still = kpi.what_if_rise(score, branch="24", points=0)
    assert still["gain"].to_list() == pytest.approx([0] * 5, abs=1e-9)
    assert still["rank_raised"].to_list() == still["rank"].to_list()
    over = kpi.what_if_rise(score, branch="24", points=90).row(0, named=True)
    assert over["gain"] is None and over["reason"] == "100%を超える"
    with pytest.raises(ParameterError, match="支部「48」"):
        kpi.what_if_rise(score, branch="48", points=1)
    with pytest.raises(DefinitionError, match="指標にない名前"):
        kpi.what_if_rise(score, branch="24", points=1, indicators=["x"])
    for wrong in (-5, float("nan")):
        with pytest.raises(ParameterError, match="上げる幅は0以上の数です"):
            kpi.what_if_rise(score, branch="24", points=wrong)


def test_what_is_needed_reaches_the_line_and_a_step_less_does_not(score):
    behind = score.totals.filter(pl.col("rank") == 22)["area"][0]
    needed = kpi.needed_rise(score, branch=behind).drop_nulls("needed")
    assert len(needed) >= 3
    for row in needed.to_dicts():
        for points, within in ((row["needed"], True), (row["needed"] - 0.1, False)):
            found = kpi.what_if_rise(score, branch=behind, points=points, indicators=[row["indicator"]])
            assert (found["rank_raised"][0] <= 15) is within
    counted = score.counted[0].total[BRANCHES.index(behind)]
    first = kpi.needed_rise(score, branch=behind).row(0, named=True)
    assert first["needed_people"] == int(np.ceil(round(first["needed"] / 100 * counted, 6)))
    ahead = score.totals.filter(pl.col("rank") == 3)["area"][0]
    assert kpi.needed_rise(score, branch=ahead)["needed"].to_list() == [0] * 5
    last = score.totals.filter(pl.col("rank") == 47)["area"][0]
    far = kpi.needed_rise(score, branch=last).filter(pl.col("needed").is_null())
    assert all("15位に届かない" in reason for reason in far["reason"])


# --- simulation --------------------------------------------------------------------------------------------


def test_the_interval_of_the_total_covers_the_true_place():
    """10 planted tables: places of the true scores (from the true shares) lie within at least 90 % of the intervals."""
    hits = []
    for seed in range(10):
        made = world(seed=100 + seed, size=20_000)
        exact = {key: (share, share * total, total) for key, (share, _, total) in made.items()}
        true = kpi.incentive_score(frame(exact), fiscal_year=YEAR, draws=2).totals["points"]
        found = kpi.incentive_score(frame(made), fiscal_year=YEAR, draws=300).totals
        place = rank(true, first="highest")
        hits.append((found["rank_lower"].to_numpy() <= place) & (place <= found["rank_upper"].to_numpy()))
    assert 0.90 <= np.mean(hits) < 0.99


# --- disclosure --------------------------------------------------------------------------------------------


def test_one_branch_with_few_people_hides_the_indicator_and_the_totals_of_all(published):
    """The deviation values of 47 branches average 50: 46 of them would give the hidden one back."""
    few = (pl.col("kpi_id") == KPIS["reduction"]) & (pl.col("month") == 202503) & (pl.col("area") == "10")
    held = published.with_columns(numerator=pl.when(few).then(5.0).otherwise("numerator"))
    score = kpi.incentive_score(held, fiscal_year=YEAR)
    rows = disclosure.check_incentive(score.rows, by=["area", "indicator"])
    hidden = rows.where(indicator="reduction")
    assert hidden.table["points"].null_count() == hidden.table["rank"].null_count() == 47
    assert hidden.where(area="10").table["people_numerator"][0] is None
    assert hidden.where(area="24").table["people_numerator"][0] is not None
    assert rows.where(indicator="visit").table["points"].null_count() == 0
    totals = disclosure.check_incentive_totals(score.totals, by=["area"])
    assert totals.table["points"].null_count() == totals.table["rank"].null_count() == 47
    assert set(score.totals["smallest"]) == {5}
    assert score.rows.filter(pl.col("area") == "24").select("indicator", "smallest").rows()[2] == ("reduction", 5)
    one = score.totals.filter(pl.col("area") == "24")
    assert (
        disclosure.check_incentive_totals(one, by=["area"]).table.select("points", "gap", "line").row(0) == (None,) * 3
    )
    with pytest.raises(DisclosureError, match="列 smallest がない"):
        disclosure.check_incentive_totals(score.totals.drop("smallest"), by=["area"])
    fine = kpi.incentive_score(published, fiscal_year=YEAR)
    assert disclosure.check_incentive_totals(fine.totals, by=["area"]).table["rank"].null_count() == 0
    shown = disclosure.check_incentive(kpi.what_if_rise(fine, branch="24", points=1), by=["indicator"])
    assert shown.table["gain"].null_count() == 0 and "least" not in shown.table.columns


@pytest.mark.parametrize(("month", "top"), [(202503, "numerator"), (202403, "numerator"), (202503, "left over")])
def test_no_table_of_branch_24_gives_back_what_another_branch_hides(published, month, top):
    """7 people in branch 31: its indicator and every sum over the indicators are hidden in each table of branch 24."""
    few = (pl.col("kpi_id") == KPIS["visit"]) & (pl.col("month") == month) & (pl.col("area") == "31")
    count = 7.0 if top == "numerator" else pl.col("denominator") - 7
    held = published.with_columns(numerator=pl.when(few).then(count).otherwise("numerator"))
    score = kpi.incentive_score(held, fiscal_year=YEAR)
    own = disclosure.check_incentive(score.rows, by=["area", "indicator"]).where(area="24")
    assert own.where(indicator="visit").table["points"][0] is None
    rises = disclosure.check_incentive(kpi.what_if_rise(score, branch="24", points=1), by=["indicator"])
    for name in (
        "total",
        "total_raised",
        "gap_raised",
        "rank",
        "rank_raised",
        "rank_raised_lower",
        "rank_raised_upper",
    ):
        assert set(rises.states[name]) == {"masked"}, name
    for name in ("points", "points_raised", "gain", "estimate", "room"):
        assert rises.where(indicator="visit").states[name].to_list() == ["masked"], name
    assert rises.table["gain"].null_count() == 1  # the other four depend on their own 47 values alone
    wanted = disclosure.check_incentive(kpi.needed_rise(score, branch="24"), by=["indicator"])
    for name in ("needed", "estimate_needed", "needed_people"):
        assert set(wanted.states[name]) == {"masked"}, name
    assert wanted.table["reason"].null_count() == 5
    doubts = disclosure.check_incentive_totals(kpi.incentive_sensitivity(held, score, branch="24"), by=["setting"])
    for name in ("points", "gap", "rank", "rank_lower", "rank_upper", "p_top"):
        assert set(doubts.states[name]) == {"masked"}, name


def test_the_nation_is_what_was_printed_or_nothing(published, score):
    assert score.rows["national"].null_count() == 5 * 47
    row = published.filter(pl.col("kpi_id") == KPIS["visit"], pl.col("month") == 202503).head(1)
    nation = row.with_columns(area=pl.lit("全国"), value=pl.lit(36.2), numerator=None, denominator=None)
    other = nation.with_columns(version=pl.lit("前の版"), value=pl.lit(99.0))
    found = kpi.incentive_score(pl.concat([published, nation, other], how="diagonal_relaxed"), fiscal_year=YEAR)
    assert found.rows.filter(pl.col("indicator") == "visit")["national"].to_list() == pytest.approx([0.362] * 47)
    assert found.totals.equals(score.totals)
