from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kenpo_analytics.errors import EstimateError, StrataError, TableError
from kenpo_analytics.regional import (
    branch_cells,
    compare,
    contributions_by,
    regional_index,
    standardised_rate,
    total_of,
)
from kenpo_analytics.stats import poisson
from kenpo_analytics.stats.standardise import direct

AUTHORITY = json.loads((Path(__file__).parent / "authority" / "standardise.json").read_text(encoding="utf-8"))
AGES = ["00-04", "20-24", "40-44", "70-74"]


def world(seed: int = 1, areas: tuple[str, ...] = ("24", "23", "21"), scale: float = 1.0) -> pl.DataFrame:
    """Build areas x sex x age x visit type with repeat visitors; 24 is 30 % above."""
    rng = np.random.default_rng([20261123, seed])
    rows = []
    for area in areas:
        for sex in ("M", "F"):
            for age, rate in zip(AGES, (0.05, 0.01, 0.008, 0.02), strict=True):
                months = int(scale * rng.integers(4000, 30000))
                for visit, share in (("first", 1.0), ("return", 0.4)):
                    visitors = rng.poisson(months / 12 * rate * share * (1.3 if area == "24" else 1.0))
                    each = rng.geometric(0.6, size=visitors)
                    rows.append((area, visit, sex, age, each.sum(), (each**2).sum(), visitors, float(months)))
    columns = ["area", "visit_type", "sex", "age_band", "events", "events_sq", "persons", "denominator"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def by_hand(cells: pl.DataFrame, method: str) -> dict[str, float]:
    """Recompute the index in plain Python from the MHLW formula (direct) and from O/E (indirect)."""
    n_i: dict[str, float] = {}
    c_x: dict[str, float] = {}
    own_n: dict[tuple[str, str], float] = {}
    own_x: dict[tuple[str, str], float] = {}
    for row in cells.iter_rows(named=True):
        age, area = row["age_band"], row["area"]
        first = row["visit_type"] == "first"  # the denominator is repeated on the rows of both visit types
        n_i[age] = n_i.get(age, 0) + row["denominator"] * first
        c_x[age] = c_x.get(age, 0) + row["events"]
        own_n[area, age] = own_n.get((area, age), 0) + row["denominator"] * first
        own_x[area, age] = own_x.get((area, age), 0) + row["events"]
    out = {}
    for area in {a for a, _ in own_n}:
        if method == "direct":
            adjusted = sum(n_i[g] * own_x[area, g] / own_n[area, g] for g in n_i) / sum(n_i.values())
            out[area] = adjusted / (sum(c_x.values()) / sum(n_i.values())) - 1
        else:
            expected = sum(own_n[area, g] * c_x[g] / n_i[g] for g in n_i)
            out[area] = sum(own_x[area, g] for g in n_i) / expected - 1
    return out


@pytest.mark.parametrize("method", ["direct", "indirect"])
def test_index_on_every_kind_is_the_one_by_hand(engine: Any, method: str) -> None:
    cells = world()
    index = regional_index(engine(cells), engine(total_of(cells)), method=method)
    rows = index.rows
    assert isinstance(rows, pd.DataFrame if engine.name == "pandas" else pl.DataFrame)
    found = dict(zip(list(rows["area"]), list(rows["estimate"]), strict=True))
    assert found == pytest.approx(by_hand(cells, method))
    ranks = dict(zip(list(rows["area"]), list(rows["rank"]), strict=True))
    assert sorted(found, key=found.__getitem__) == sorted(ranks, key=ranks.__getitem__)
    assert set(rows["rank_direction"]) == {"1=低い"}
    months = dict(
        cells.filter(pl.col("visit_type") == "first").group_by("area").agg(pl.col("denominator").sum()).rows()
    )
    events = dict(cells.group_by("area").agg(pl.col("events").sum()).rows())
    assert dict(zip(list(rows["area"]), list(rows["denominator"]), strict=True)) == pytest.approx(months)
    rate = dict(zip(list(rows["area"]), list(rows["rate"]), strict=True))
    assert rate == pytest.approx({name: 12 * events[name] / months[name] for name in months})


@pytest.mark.parametrize("method", ["direct", "indirect"])
@pytest.mark.parametrize("visit", ["first", "return", None])
def test_contributions_add_up_to_the_index(method: str, visit: str | None) -> None:
    cells = world(2)
    index = regional_index(cells, total_of(cells), method=method, visit_type=visit, strata=("sex", "age_band"))
    total = dict(index.contributions.group_by("area").agg(pl.col("contribution").sum()).iter_rows())
    estimate = dict(index.rows.select("area", "estimate").iter_rows())
    assert total == pytest.approx(estimate, abs=1e-14)
    assert len(index.contributions) == 3 * 2 * 4 * (1 if visit else 2)
    assert index.contributions["events"].sum() == index.rows["events"].sum()


def test_indirect_against_sas_stdrate_through_the_table() -> None:
    case = AUTHORITY["indirect"]
    florida = pl.DataFrame(
        {"area": "FL", "age_band": case["age"], "events": case["events"], "denominator": case["denominator"]}
    )
    nation = pl.DataFrame(
        {"age_band": case["age"], "events": case["standard_events"], "denominator": case["standard_denominator"]}
    )
    index = regional_index(florida, nation.reverse(), method="indirect", per=100_000)
    row = index.rows.row(0, named=True)
    assert row["expected"] == pytest.approx(sum(case["expected"]), abs=2e-3)
    assert row["estimate"] == pytest.approx(538 / 528.726 - 1, abs=5e-6)
    assert row["lower_repeat"] is None
    limits = poisson.exact(538)
    assert row["lower"] == pytest.approx(limits.lower[0] / 528.726 - 1, abs=5e-6)
    assert row["rate"] == pytest.approx(538 / sum(case["denominator"]) * 1e5)
    parts = dict(index.contributions.select("age_band", "expected").iter_rows())
    assert parts == pytest.approx(dict(zip(case["age"], case["expected"], strict=True)), abs=5e-4)


def test_standardised_rate_against_fay_feuer_point() -> None:
    case = AUTHORITY["direct"]
    births = pl.DataFrame(
        {"area": "5+", "age_band": case["age"], "events": case["events"], "denominator": case["denominator"]}
    )
    weight = pl.DataFrame({"age_band": case["age"], "events": 0, "denominator": case["weight"]}).sample(
        fraction=1, shuffle=True, seed=3
    )
    row = standardised_rate(births, weight, per=case["per"]).row(0, named=True)
    assert row["estimate"] == pytest.approx(case["value"], abs=5e-6)


def test_an_area_that_is_the_standard_has_index_zero() -> None:
    cells = world(3, areas=("24",))
    for method in ("direct", "indirect"):
        row = regional_index(cells, total_of(cells), method=method).rows.row(0, named=True)
        assert row["estimate"] == pytest.approx(0, abs=1e-12)
        assert row["lower_repeat"] < row["lower"] < 0 < row["upper"] < row["upper_repeat"]
        assert row["standardised_rate"] == pytest.approx(row["rate"])


@pytest.mark.parametrize("method", ["direct", "indirect"])
def test_row_order_and_finer_cells_do_not_matter(method: str) -> None:
    cells = world(4)
    standard = total_of(cells)
    base = regional_index(cells, standard, method=method).rows.sort("area")
    shuffled = regional_index(
        cells.sample(fraction=1, shuffle=True, seed=1), standard.reverse(), method=method
    ).rows.sort("area")
    merged = total_of(cells, by=("area", "visit_type", "age_band"))
    coarse = regional_index(merged, total_of(merged), method=method).rows.sort("area")
    numbers = ["estimate", "lower", "upper", "lower_repeat", "upper_repeat", "expected", "rate", "persons"]
    for other in (shuffled, coarse):
        for name in numbers:
            assert other[name].to_list() == pytest.approx(base[name].to_list(), rel=1e-12), name
        assert other["rank"].to_list() == base["rank"].to_list()


@pytest.mark.parametrize("method", ["direct", "indirect"])
def test_the_unit_of_time_does_not_matter(method: str) -> None:
    cells = world(5)
    years = cells.with_columns(pl.col("denominator") / 12)
    month = regional_index(cells, total_of(cells), method=method, per=12)
    year = regional_index(years, total_of(years), method=method, per=1)
    for name in ("estimate", "lower", "upper", "lower_repeat", "upper_repeat", "rate", "standardised_rate"):
        assert year.rows[name].to_list() == pytest.approx(month.rows[name].to_list(), rel=1e-12), name


def test_intervals_are_those_of_stats() -> None:
    cells = world(6).filter(pl.col("visit_type") == "first")
    standard = total_of(cells)
    row = regional_index(cells, standard).rows.filter(pl.col("area") == "24").row(0, named=True)
    own = total_of(cells.filter(pl.col("area") == "24"), by=("age_band",))
    base = total_of(standard, by=("age_band",))
    nation = base["events"].sum() / base["denominator"].sum()
    found = direct(own["events"], own["denominator"], base["denominator"], events_sq=own["events_sq"])
    for name in ("lower", "upper", "lower_repeat", "upper_repeat"):
        assert row[name] == pytest.approx(getattr(found, name) / nation - 1, rel=1e-12)
    assert row["method"] == "direct-dobson-exact"
    assert row["persons"] == cells.filter(pl.col("area") == "24")["persons"].sum()


def test_both_visit_types_together_are_bounded() -> None:
    """One person with 3 first and 4 return visits: squares are between 9 + 16 and 7 * 7, people between 1 and 2."""
    cells = pl.DataFrame(
        {
            "area": "a", "visit_type": ["first", "return"], "age_band": "20-24", "events": [3, 4],
            "events_sq": [9, 16], "persons": [1, 1], "denominator": 1200.0,
        }
    )  # fmt: skip
    standard = cells.drop("area").with_columns(pl.col("denominator") * 2)
    row = regional_index(cells, standard, method="indirect").rows.row(0, named=True)
    limits = poisson.compound(7, 49)
    assert (row["lower_repeat"] + 1) * 3.5 == pytest.approx(limits.lower[0])
    assert (row["upper_repeat"] + 1) * 3.5 == pytest.approx(limits.upper[0])
    assert (row["persons"], row["events"], row["expected"]) == (1, 7, 3.5)


def test_one_frequent_visitor_in_a_small_town_does_not_make_it_hot() -> None:
    cells = world(7, areas=("24201", "24202"))
    town = cells.filter(pl.col("area") == "24202").with_columns(
        area=pl.lit("24303"), denominator=pl.lit(3000.0), events=pl.lit(2), events_sq=pl.lit(2), persons=pl.lit(2)
    )
    one = (pl.col("sex") == "M") & (pl.col("age_band") == "40-44") & (pl.col("visit_type") == "return")
    town = town.with_columns(
        pl.when(one).then(60).otherwise("events").alias("events"),
        pl.when(one).then(3600).otherwise("events_sq").alias("events_sq"),
        pl.when(one).then(1).otherwise("persons").alias("persons"),
    )
    cells = pl.concat([cells, town.select(cells.columns)], how="vertical_relaxed")
    rows = regional_index(cells, total_of(cells), method="indirect", visit_type="return").rows
    row = rows.filter(pl.col("area") == "24303").row(0, named=True)
    assert row["lower"] > 0.5  # taken as 74 independent visits it is far above
    assert row["lower_repeat"] < 0 < row["upper_repeat"]


def test_levels_ranks_and_flags() -> None:
    small = world(8, areas=("24201", "24202", "県外"), scale=0.02)
    rows = regional_index(small, total_of(small), method="indirect", level=(0.95, 0.998), interval="byar").rows
    assert rows["level"].to_list() == [0.95] * 3 + [0.998] * 3
    assert rows.filter(pl.col("area") == "県外")["rank"].to_list() == [None, None]
    assert rows["ranked"].to_list() == [2] * 6
    assert rows["unstable"].to_list() == (rows["expected"] < 20).to_list()
    assert rows["unstable"].any()
    wide = rows.filter(pl.col("level") == 0.998)["lower"] < rows.filter(pl.col("level") == 0.95)["lower"]
    assert wide.all()
    assert set(rows["method"]) == {"indirect-byar"}


def test_no_event_still_has_an_upper_limit_with_the_nations_repetition() -> None:
    cells = world(9, areas=("24", "23")).with_columns(
        pl.when(pl.col("area") == "24").then(0).otherwise(pl.col(name)).alias(name)
        for name in ("events", "events_sq", "persons")
    )
    standard = total_of(cells)
    first = standard.filter(pl.col("visit_type") == "first")
    jump = first["events_sq"].sum() / first["events"].sum()
    row = regional_index(cells, standard, method="indirect", visit_type="first").rows
    row = row.filter(pl.col("area") == "24").row(0, named=True)
    assert (row["area"], row["events"], row["estimate"], row["lower"]) == ("24", 0, -1.0, -1.0)
    assert row["upper"] == pytest.approx(3.688879 / row["expected"] - 1, rel=1e-6)
    assert row["upper_repeat"] + 1 == pytest.approx(jump * (row["upper"] + 1), rel=1e-6)


def test_share_by_area() -> None:
    cells = pl.DataFrame(
        {"area": ["a", "a", "b", "b"], "age_band": ["40-44", "45-49"] * 2, "events": [5, 40, 20, 30],
         "denominator": [100, 200, 200, 100]}
    )  # fmt: skip
    found = standardised_rate(cells, total_of(cells), kind="share", first="highest")
    # weights 300 : 300, so a = (0.05 + 0.20) / 2 and b = (0.10 + 0.30) / 2
    assert found["estimate"].to_list() == pytest.approx([0.125, 0.2])
    assert found["gap"].to_list() == pytest.approx([0.125 - 95 / 600, 0.2 - 95 / 600])
    assert found["rank"].to_list() == [2, 1]
    assert set(found["rank_direction"]) == {"1=高い"}
    assert isinstance(standardised_rate(cells.to_pandas(), total_of(cells), kind="share"), pd.DataFrame)


def _refused(cells: pl.DataFrame, standard: pl.DataFrame, words: str, **options: Any) -> None:
    with pytest.raises(StrataError, match=words):
        regional_index(cells, standard, **options)


def test_strata_that_do_not_match_are_named_with_their_side() -> None:
    cells = world(10).filter(pl.col("visit_type") == "first")
    standard = total_of(cells)
    gone = (pl.col("area") == "24") & (pl.col("age_band") == "70-74")
    _refused(cells.filter(~gone), standard, r"地域の表にない層: \('24', '70-74', 'first'\)")
    _refused(cells, standard.filter(pl.col("age_band") != "20-24"), r"基準集団の表にない層: \('21', '20-24', 'first'\)")
    _refused(cells.drop("age_band"), standard, "地域の表に列がありません: age_band")
    _refused(pl.concat([cells, cells.head(2)]), standard, "同じ層の行が重複しています.4行.")
    _refused(cells, pl.concat([standard, standard.head(1)]), "基準集団の表に同じ層の行が重複")
    holes = cells.with_columns(pl.when(gone).then(None).otherwise("events").alias("events"))
    _refused(holes, standard, "地域の表に空欄があります: events")
    unknown = cells.with_columns(pl.when(gone).then(float("nan")).otherwise("events").alias("events"))
    _refused(unknown, standard, "地域の表に空欄があります: events")
    _refused(cells, standard, "地域の表に行がありません", visit_type="return")
    two = pl.concat([cells.with_columns(measure=pl.lit(name)) for name in ("first", "return")])
    _refused(two, standard, "地域の表に複数の指標があります: first、return")


def test_visit_types_that_overlap_are_not_added_up() -> None:
    cells = world(10)
    both = pl.concat([cells, total_of(cells, by=("area", "sex", "age_band")).select(
        "area", pl.lit("all").alias("visit_type"), "sex", "age_band", "events", "events_sq", "persons",
        pl.col("denominator") / 2,
    )])  # fmt: skip
    everything = both.filter(pl.col("visit_type") != "return")
    _refused(everything, total_of(everything), "地域の表の受診種別が重なっています: all、first")
    _refused(both, total_of(both), "all、first、return")
    for name in ("rate", "share"):
        with pytest.raises(StrataError, match="受診種別が重なっています"):
            standardised_rate(everything, total_of(everything), kind=name)  # type: ignore[arg-type]
    one = regional_index(both, total_of(both), visit_type="all").rows
    parts = regional_index(cells, total_of(cells)).rows
    assert one["estimate"].to_list() == pytest.approx(parts["estimate"].to_list(), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strata": ()}, "層が1つも指定されていません"),
        ({"strata": ("age_band", "age_band")}, "同じ列が2度指定されています: age_band"),
        ({"strata": ("sex", "area")}, "同じ列が2度指定されています: area"),
        ({"area": "estimate"}, "結果の列と同じ名前です: estimate"),
        ({"area": "visit_type"}, "結果の列と同じ名前です: visit_type"),
        ({"area": "sex", "strata": ("area", "expected")}, "結果の列と同じ名前です: area、expected"),
    ],
)
def test_names_that_cannot_be_kept_apart_are_refused(options: dict[str, Any], words: str) -> None:
    cells = world(10).with_columns(pl.col("area").alias("estimate"), pl.col("sex").alias("expected"))
    for run in (regional_index, standardised_rate):
        with pytest.raises(StrataError, match=words):
            run(cells, total_of(cells), **options)
        with pytest.raises(EstimateError, match="信頼水準が1つもありません"):
            run(cells, total_of(cells), level=())


def test_denominators_must_repeat_over_visit_types() -> None:
    cells = world(11)
    gone = (pl.col("area") == "24") & (pl.col("visit_type") == "return") & (pl.col("sex") == "F")
    _refused(cells.filter(~gone), total_of(cells), "受診種別により分母が異なる層が4個")


def test_a_stratum_without_members() -> None:
    cells = world(12)
    empty = (pl.col("area") == "24") & (pl.col("age_band") == "00-04")
    numbers = ("events", "events_sq", "persons", "denominator")
    cells = cells.with_columns(pl.when(empty).then(0).otherwise(pl.col(n)).alias(n) for n in numbers)
    _refused(cells, total_of(cells), r"加入者のいない層があるため、直接法では計算できません: \('24', '00-04'\)")
    row = regional_index(cells, total_of(cells), method="indirect").rows.filter(pl.col("area") == "24")
    assert row["estimate"].item() == pytest.approx(by_hand(cells, "indirect")["24"])


def test_a_standard_without_members_is_refused_only_if_someone_is_there() -> None:
    cells = world(13)
    nobody = pl.col("age_band") == "70-74"
    standard = total_of(cells).with_columns(
        pl.when(nobody).then(0).otherwise(pl.col(n)).alias(n) for n in ("events", "denominator")
    )
    _refused(cells, standard, "基準集団の分母が0の層に、地域の加入者がいます: .'70-74'")


def test_a_stratum_that_nobody_is_in_changes_nothing() -> None:
    cells = world(13)
    ghosts = cells.filter(pl.col("age_band") == "00-04").with_columns(
        pl.lit("10-14").alias("age_band"), *(pl.lit(0).alias(n) for n in ("events", "events_sq", "persons")),
        denominator=pl.lit(0.0),
    )  # fmt: skip
    more = pl.concat([ghosts.select(cells.columns), cells], how="vertical_relaxed")
    for method in ("direct", "indirect"):
        base = regional_index(cells, total_of(cells), method=method)
        found = regional_index(more, total_of(more), method=method)
        for name in ("estimate", "lower_repeat", "expected"):
            assert found.rows[name].to_list() == pytest.approx(base.rows[name].to_list(), rel=1e-12)


def test_what_cannot_be_is_refused() -> None:
    cells = world(14)
    with pytest.raises(EstimateError, match="標準化の方法が不明"):
        regional_index(cells, total_of(cells), method="magic")  # type: ignore[arg-type]
    with pytest.raises(EstimateError, match="基準集団の件数が0"):
        regional_index(cells, total_of(cells).with_columns(events=pl.lit(0)))
    with pytest.raises(EstimateError, match="率の種類と単位"):
        standardised_rate(cells, total_of(cells), kind="share", per=1000)


def published(measures: tuple[str, ...] = ("out_of_hours_first", "out_of_hours_return")) -> pl.DataFrame:
    """Two branches' strata as the table `national` holds them, in two fiscal years, beside another measure."""
    rows = [
        (measure, area, sex, age, f"FY{year}", 10 * year + int(area), 50_000, 9, 12_000.0, "member_month")
        for measure in (*measures, "inpatient_days")
        for area in ("23", "24")
        for sex in ("M", "F")
        for age in AGES
        for year in (2023, 2024)
    ]
    columns = ["measure", "area", "sex", "age_band", "period", "events", "events_sq", "persons", "denominator"]
    return pl.DataFrame(rows, schema=[*columns, "denominator_unit"], orient="row")


def test_branch_cells_are_one_year_of_both_visit_types(engine: Any) -> None:
    found = branch_cells(engine(published()), fiscal_year=2024)
    assert isinstance(found, pd.DataFrame if engine.name == "pandas" else pl.DataFrame)
    cells = engine.frame(found)
    assert set(cells["visit_type"]) == {"first", "return"} and cells.height == 2 * 2 * 2 * len(AGES)
    assert set(cells.filter(pl.col("area") == "24")["events"]) == {20264}
    assert regional_index(cells, total_of(cells)).rows["rank"].to_list() == [1, 2]


def test_branch_cells_refuse_a_year_or_a_measure_that_is_not_there() -> None:
    with pytest.raises(TableError, match="2025年度の値がありません: out_of_hours_first、out_of_hours_return"):
        branch_cells(published(), fiscal_year=2025)
    with pytest.raises(TableError, match="2024年度の値がありません: out_of_hours_return"):
        branch_cells(published(("out_of_hours_first",)), fiscal_year=2024)


def test_contributions_carry_the_people_behind_them() -> None:
    cells = world()
    index = regional_index(cells, total_of(cells))
    people = cells.group_by("area", "age_band", "visit_type").agg(pl.col("persons").sum())
    joined = index.contributions.join(people, on=["area", "age_band", "visit_type"], suffix="_cells", validate="1:1")
    assert joined.height == 3 * len(AGES) * 2
    assert joined["persons"].to_list() == joined["persons_cells"].to_list()
    assert "persons" not in regional_index(cells.drop("persons"), total_of(cells)).contributions.columns


def test_repeat_rows_swap_the_intervals_and_say_so() -> None:
    cells = world()
    index = regional_index(cells, total_of(cells), visit_type="first")
    swapped = index.repeat_rows
    assert swapped["lower"].to_list() == index.rows["lower_repeat"].to_list()
    assert swapped["upper_plain"].to_list() == index.rows["upper"].to_list()
    assert ((swapped["upper"] - swapped["lower"]) > (swapped["upper_plain"] - swapped["lower_plain"])).all()
    assert swapped["method"].str.ends_with("-compound").all()
    with pytest.raises(EstimateError, match="繰り返し受診"):
        _ = regional_index(cells.drop("events_sq"), total_of(cells)).repeat_rows


def test_compare_puts_settings_side_by_side_by_key(engine: Any) -> None:
    cells = world()
    by_age = regional_index(engine(cells), engine(total_of(cells)))
    by_both = regional_index(engine(cells), engine(total_of(cells)), strata=("sex", "age_band"))
    wide = compare({"age": by_age, "both": by_both})
    assert isinstance(wide, pd.DataFrame if engine.name == "pandas" else pl.DataFrame)
    for key, index in (("age", by_age), ("both", by_both)):
        rows = engine.frame(index.rows)
        expected = dict(zip(rows["area"], rows["estimate"], strict=True))
        found = engine.frame(wide)
        assert dict(zip(found["area"], found[f"estimate_{key}"], strict=True)) == expected
    fewer = cells.filter(pl.col("area") != "21")
    with pytest.raises(StrataError, match="一致しません"):
        compare({"all": regional_index(cells, total_of(cells)), "fewer": regional_index(fewer, total_of(cells))})
    with pytest.raises(StrataError, match="比べる指数がありません"):
        compare({})
    with pytest.raises(StrataError, match="列がありません: municipality"):
        compare({"age": by_age}, area="municipality")


def of_classes(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The same events, parted at random into three classes that all lie over the same members."""
    rng = np.random.default_rng(seed)
    events = np.array([rng.multinomial(n, (0.5, 0.3, 0.2)) for n in frame["events"]])
    parts = [
        frame.drop("events_sq", "persons", strict=False).with_columns(
            events=pl.Series(events[:, i]), hours=pl.lit(name)
        )
        for i, name in enumerate(("holiday", "late_night", "after_hours"))
    ]
    return pl.concat(parts)


@pytest.mark.parametrize("method", ["direct", "indirect"])
@pytest.mark.parametrize("visit", [None, "first"])
def test_contributions_by_class_add_up_to_the_index_and_to_each_cell(method: str, visit: str | None) -> None:
    cells = world(2)
    parted, nation = of_classes(cells, 5), total_of(cells)
    standard = total_of(parted, by=("visit_type", "sex", "age_band", "hours"))
    options = {"method": method, "visit_type": visit, "strata": ("sex", "age_band")}
    index = regional_index(cells.drop("events_sq", "persons", strict=False), nation, **options)
    found = contributions_by(
        parted.sample(fraction=1, shuffle=True, seed=9), standard.reverse(), part="hours", **options
    )
    total = dict(found.group_by("area").agg(pl.col("contribution").sum()).iter_rows())
    assert total == pytest.approx(dict(index.rows.select("area", "estimate").iter_rows()), abs=1e-14)
    keys = ["area", "sex", "age_band", "visit_type"]
    cell = found.group_by(keys).agg(pl.col("events", "expected", "contribution").sum()).sort(keys)
    whole = index.contributions.sort(keys)
    assert cell["events"].to_list() == whole["events"].to_list()
    assert np.allclose(cell["contribution"], whole["contribution"], atol=1e-14)
    assert np.allclose(cell["expected"], whole["expected"])


def test_classes_that_do_not_lie_over_the_same_members_are_refused() -> None:
    parted = of_classes(world(2), 5)
    standard = total_of(parted, by=("visit_type", "sex", "age_band", "hours"))
    some = parted.filter(pl.col("hours") != "holiday")
    with pytest.raises(StrataError, match="片方の表にしかない区分があります: holiday"):
        contributions_by(some, standard, part="hours")
    fewer = pl.when(pl.col("hours") == "holiday").then(pl.col("denominator") / 2).otherwise("denominator")
    with pytest.raises(StrataError, match="区分によって層または分母が違います"):
        contributions_by(parted.with_columns(denominator=fewer), standard, part="hours")
