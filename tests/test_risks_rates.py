"""Risk rates, ranks, cards and the decrease of targets: by hand, against scipy, and the sample's planted truths."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

import kenpo_analytics as ka
from kenpo_analytics import disclosure, risks
from kenpo_analytics.errors import EstimateError, ParameterError, StrataError, TableError
from kenpo_analytics.risks.rates import JUDGEMENTS, NO_NATION, UNKNOWN
from kenpo_analytics.store import load
from tests.test_public import SAMPLE

BANDS = ("40-44", "45-49", "50-54")


def cells(events: dict[str, tuple], people: dict[str, tuple], **group: str) -> pl.DataFrame:
    """Strata of one risk (risk_bp): sex -> events, people by band."""
    rows = [
        group | {"risk": "risk_bp", "sex": sex, "age_band": band, "events": k, "denominator": n, "persons": n + 2}
        for sex, counts in events.items()
        for band, k, n in zip(BANDS, counts, people[sex], strict=len(counts) > 1)
    ]
    return pl.DataFrame(rows)


OURS = cells({"M": (30, 60, 50), "F": (10, 20, 30)}, {"M": (100, 120, 80), "F": (60, 80, 60)})
NATION = cells(
    {"M": (2500, 9000, 11000), "F": (1000, 3000, 6000)}, {"M": (10000, 20000, 20000), "F": (9000, 12000, 12000)}
).drop("persons")


FEWER = ka.define(overrides={"risk.few_direct": 100})


def one(frame: pl.DataFrame, **where: object) -> dict:
    return frame.filter(**where).row(0, named=True)


def test_crude_direct_indirect_and_gap_by_hand() -> None:
    row = one(ka.risk_rates(OURS, nation=NATION, definitions=FEWER), sex="M")
    assert one(ka.risk_rates(OURS, nation=NATION), sex="M")["reason"] == "判定できた人が500人未満(直接法)"
    low, high = proportion_confint(140, 300, method="wilson")
    assert (row["events"], row["denominator"], row["persons"], row["unknown"]) == (140, 300, 306, 6)
    assert (row["rate"], row["rate_lower"], row["rate_upper"]) == pytest.approx((140 / 300, low, high))
    mix = np.array([10000, 20000, 20000]) / 50000
    share, people = np.array([0.3, 0.5, 0.625]), np.array([100, 120, 80])
    direct = (mix * share).sum()
    variance = (mix**2 * share * (1 - share) / people).sum()
    size = direct * (1 - direct) / variance
    low, high = proportion_confint(direct * size, size, method="wilson")
    assert (row["estimate"], row["lower"], row["upper"]) == pytest.approx((direct, low, high))
    nation = (mix * np.array([0.25, 0.45, 0.55])).sum()
    assert row["nation"] == pytest.approx(nation) == pytest.approx(22500 / 50000)
    assert row["gap"] == pytest.approx(direct - nation)
    below = np.hypot(direct - low, row["nation_upper"] - nation)
    assert row["gap_lower"] == pytest.approx(direct - nation - below) and row["judgement"] == "高い"
    expected = 100 * 0.25 + 120 * 0.45 + 80 * 0.55
    exact = stats.chi2.ppf([0.025, 0.975], [2 * 140, 2 * 141]) / 2 / expected
    assert (row["expected"], row["ratio"]) == pytest.approx((expected, 140 / expected))
    assert (row["ratio_lower"], row["ratio_upper"]) == pytest.approx(tuple(exact))
    other = one(ka.risk_rates(OURS, nation=NATION, method="indirect"), sex="M")
    assert other["estimate"] == pytest.approx(nation * 140 / expected) and other["method"] == "indirect-exact"
    assert "83,000人" in row["standard"]


def test_together_the_strata_are_sex_and_age() -> None:
    row = ka.risk_rates(OURS, nation=NATION, sexes="together").row(0, named=True)
    weight = np.array([10000, 20000, 20000, 9000, 12000, 12000]) / 83000
    share = np.array([0.3, 0.5, 0.625, 1 / 6, 0.25, 0.5])
    assert row["sex"] == "MF" and row["estimate"] == pytest.approx((weight * share).sum())
    bands = ka.risk_rates(OURS, nation=NATION, by_age=True)
    assert bands.height == 6
    assert one(bands, sex="F", age_band="50-54")["estimate"] == pytest.approx(0.5)
    assert one(bands, sex="F", age_band="50-54")["ratio"] == pytest.approx(30 / (60 * 0.5))


def test_newcombe_1998_method_10() -> None:
    """Newcombe (1998) Stat Med 17:873-890, table II (a): 56/70 - 48/80 is 0.2, 95 % 0.0524 to 0.3339."""
    ours = cells({"M": (56,)}, {"M": (70,)})
    nation = cells({"M": (48,)}, {"M": (80,)}).drop("persons")
    row = ka.risk_rates(ours, nation=nation).row(0, named=True)
    assert row["gap"] == pytest.approx(0.2)
    assert (row["gap_lower"], row["gap_upper"]) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert row["judgement"] == "高い"


def test_only_the_mix_of_the_standard_matters_not_its_size() -> None:
    larger = NATION.with_columns(events=pl.col("events") * 7, denominator=pl.col("denominator") * 7)
    base, found = (ka.risk_rates(OURS, nation=NATION, standard=each) for each in (NATION, larger))
    assert found.drop("standard").equals(base.drop("standard"))
    tenfold = OURS.with_columns(pl.col("events", "denominator", "persons") * 10)
    wide, narrow = (ka.risk_rates(each, nation=NATION) for each in (OURS, tenfold))
    assert narrow["estimate"].to_list() == pytest.approx(wide["estimate"].to_list())
    assert (narrow["upper"] - narrow["lower"] < 0.4 * (wide["upper"] - wide["lower"])).all()


def test_every_judgement_and_no_number_stands_in_for_a_missing_nation() -> None:
    def judgement(events: tuple, people: tuple, nation: pl.DataFrame | None = NATION, **options) -> tuple:
        found = ka.risk_rates(cells({"M": events}, {"M": people}), nation=nation, standard=NATION, **options)
        return found["judgement"].item(), found["nation"].item(), found["reason"].item()

    big = (1000, 1000, 1000)
    nation = 0.45
    assert judgement((400, 600, 700), big)[:2] == ("高い", pytest.approx(nation))
    assert judgement((100, 300, 400), big)[0] == "低い"
    assert judgement((250, 450, 550), big)[0] == "差があるとはいえない"
    assert judgement((400, 600, 700), big, None) == (NO_NATION, None, "この指標・年度の全国値がない")
    assert judgement((5, 5, 5), (15, 15, 19)) == (UNKNOWN, pytest.approx(nation), "判定できた人が50人未満")
    assert judgement((50, 50, 0), (100, 100, 0)) == (UNKNOWN, pytest.approx(nation), "人のいない年齢階級がある")
    assert judgement((50, 50, 0), (100, 100, 0), method="indirect")[0] == "高い"
    one_short = NATION.filter(pl.col("age_band") != "50-54")
    assert judgement((400, 600, 700), big, one_short)[0] == NO_NATION
    assert set(JUDGEMENTS) == {"高い", "低い", "差があるとはいえない", NO_NATION, UNKNOWN}


def test_nobody_everybody_and_nothing_expected() -> None:
    nobody = cells({"M": (0, 0, 0)}, {"M": (100, 100, 100)})
    found = ka.risk_rates(nobody, nation=NATION, definitions=FEWER).row(0, named=True)
    assert found["estimate"] == found["lower"] == 0 and 0 < found["upper"] < 0.05 and found["judgement"] == "低い"
    assert found["ratio"] == 0 and found["ratio_upper"] == pytest.approx(3.6889 / 125, rel=1e-4)  # exact limit of 0
    everybody = cells({"M": (100, 100, 100)}, {"M": (100, 100, 100)})
    every = ka.risk_rates(everybody, nation=NATION, definitions=FEWER).row(0, named=True)
    assert every["estimate"] == every["upper"] == 1.0 and every["judgement"] == "高い"
    alone = ka.risk_rates(cells({"M": (0, 0, 0)}, {"M": (100, 100, 100)})).row(0, named=True)
    assert alone["ratio"] is None and alone["expected_from"] == "base"


def test_what_cannot_be_is_refused() -> None:
    older = OURS.with_columns(age_band=pl.col("age_band").replace({"50-54": "35-39"}))
    with pytest.raises(StrataError, match="標準人口にない層の人がいます"):
        ka.risk_rates(older, nation=NATION)
    with pytest.raises(EstimateError, match="方法の指定が違います"):
        ka.risk_rates(OURS, method="both")  # type: ignore[arg-type]
    with pytest.raises(StrataError, match="重複しています"):
        ka.risk_rates(pl.concat([OURS, OURS]))
    two = pl.concat([NATION.with_columns(fiscal_year=pl.lit(y)) for y in (2023, 2024)])
    with pytest.raises(StrataError, match="複数の年度"):
        ka.risk_rates(OURS, nation=two)
    people = pl.DataFrame(
        {"sex": [None], "age_band": ["40-44"], "risk_bp": [True]}, schema_overrides={"sex": pl.String}
    )
    with pytest.raises(TableError, match="性別または年齢の分からない人が1人"):
        ka.risk_counts(people)
    with pytest.raises(TableError, match="事業所の表が要ります"):
        ka.risk_counts(people.with_columns(workplace_id=pl.lit("W")), by=["industry"])


def test_one_standard_population_for_every_year() -> None:
    years = pl.concat([OURS.with_columns(fiscal_year=pl.lit(y)) for y in (2022, 2023, 2024)])
    nation = pl.concat(
        [
            NATION.with_columns(fiscal_year=pl.lit(2023), denominator=pl.col("denominator") * 2),
            NATION.with_columns(fiscal_year=pl.lit(2024)),
        ]
    )
    found = ka.risk_rates(years, nation=nation, definitions=FEWER).filter(pl.col("sex") == "M").sort("fiscal_year")
    assert (
        found["estimate"].n_unique() == 1 and found["standard"].n_unique() == 1 and "2024年度" in found["standard"][0]
    )
    assert found["nation"].to_list() == [None, pytest.approx(0.225), pytest.approx(0.45)]
    assert found["judgement"].to_list() == [NO_NATION, "高い", "高い"]


# --- the sample world ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables() -> ka.Tables:
    return load(SAMPLE, month="2025-10")


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["risks"]


@pytest.fixture(scope="module")
def people(tables: ka.Tables) -> pl.DataFrame:
    return ka.risk_holders(tables.checkups, tables.members, fiscal_year=2024, branch="24").collect().people


def test_counts_are_those_of_people_on_any_kind_of_frame(engine, people: pl.DataFrame, tables: ka.Tables) -> None:
    places = tables.polars("workplaces")
    few = people.sample(500, seed=1)
    industry = dict(places.select("workplace_id", "industry").rows())
    counted: Counter = Counter()
    judged: Counter = Counter()
    for row in few.to_dicts():
        key = (industry.get(row["workplace_id"], "不明"), row["sex"], row["age_band"])
        judged[key] += row["risk_metabolic"] is not None
        counted[key] += row["risk_metabolic"] is True
    found = ka.risk_counts(engine(few), by=["industry"], workplaces=engine(places))
    assert isinstance(found, pd.DataFrame if engine.name == "pandas" else pl.DataFrame)
    ours = engine.frame(found).filter(pl.col("risk") == "risk_metabolic")
    assert {r[:3]: r[3] for r in ours.select("industry", "sex", "age_band", "events").rows()} == dict(counted)
    assert {r[:3]: r[3] for r in ours.select("industry", "sex", "age_band", "denominator").rows()} == dict(judged)
    rates = ka.risk_rates(engine(engine.frame(found)), method="indirect", sexes="together")
    base = ka.risk_rates(
        engine.frame(found).sample(fraction=1, shuffle=True, seed=2), method="indirect", sexes="together"
    )
    rates = engine.frame(rates)
    assert rates.select("industry", "risk", "events").equals(base.select("industry", "risk", "events"))
    for name in ("estimate", "ratio_upper", "expected"):
        assert rates[name].fill_null(-1).to_list() == pytest.approx(base[name].fill_null(-1).to_list(), rel=1e-12)


def test_industry_is_that_of_the_checkup_day(people: pl.DataFrame, tables: ka.Tables) -> None:
    stretches = tables.polars("members").filter(pl.col("person_id").is_in(people["person_id"].implode()))
    moved = (
        stretches.group_by("person_id")
        .agg(pl.col("workplace_id").drop_nulls().n_unique())
        .filter(pl.col("workplace_id") > 1)
    )
    some = people.join(moved.select("person_id"), on="person_id").head(200)
    assert some.height > 100
    held = some.select("person_id", "checkup_date", "workplace_id").join(stretches, on="person_id", suffix="_then")
    held = held.filter(
        pl.col("valid_from") <= pl.col("checkup_date"),
        pl.col("checkup_date") < pl.col("valid_to").fill_null(dt.date(2100, 1, 1)),
    )
    assert held.height == some.height and held["workplace_id"].equals(held["workplace_id_then"])


def test_splitting_by_workplace_adds_up(people: pl.DataFrame) -> None:
    whole = ka.risk_counts(people)
    parts = ka.risk_counts(people, by=["workplace_id"])
    again = parts.group_by("risk", "sex", "age_band").agg(pl.col("events", "denominator", "persons").sum())
    assert again.sort("risk", "sex", "age_band").equals(whole.select(again.columns).sort("risk", "sex", "age_band"))
    rate = dict(ka.risk_rates(whole, sexes="together").select("risk", "events").rows())
    answered = people.filter(pl.col("risk_metabolic") & pl.col("risk_metabolic_treated").is_null()).height
    split = rate["risk_metabolic_treated"] + rate["risk_metabolic_untreated"]
    assert rate["risk_metabolic"] == split + answered and answered > 0


def test_planted_rates_and_ranks_are_recovered(tables: ka.Tables, truth: dict) -> None:
    found = ka.risk_ranks(risks.risk_strata(tables.national), fiscal_year=2024)
    assert found.height == 7 * 2 * 47 and set(found["ranked"]) == {47} and set(found["rank_direction"]) == {"1=低い"}
    inside, near = [], []
    for row in found.to_dicts():
        planted = truth["branches"][row["risk"]][row["area"]]
        inside.append(row["rank_lower"] <= planted["rank"] <= row["rank_upper"])
        near.append(row["lower"] <= planted[row["sex"]] <= row["upper"])
    assert np.mean(inside) > 0.93 and 0.92 < np.mean(near) < 0.98
    mie = found.filter(pl.col("area") == "24")
    ranks = {"risk_waist": 20, "risk_bp": 25, "risk_lipid": 28, "risk_metabolic": 31}
    for risk, rank in ranks.items():
        men = one(mie, risk=risk, sex="M")
        assert truth["branches"][risk]["24"]["rank"] == rank and men["rank_lower"] <= rank <= men["rank_upper"]


def test_the_branchs_own_people_have_the_planted_rates(people: pl.DataFrame, truth: dict) -> None:
    strata = risks.risk_reference(load(SAMPLE).national, fiscal_year=2024)
    rows = ka.risk_rates(ka.risk_counts(people), **strata.year)
    errors = []
    for row in rows.filter(pl.col("nation").is_not_null()).to_dicts():
        planted = truth["branches"][row["risk"]]["24"][row["sex"]]
        errors.append((row["estimate"] - planted) / ((row["upper"] - row["lower"]) / 3.92))
    assert len(errors) == 14 and np.abs(errors).max() < 4 and np.square(errors).mean() < 2.5
    assert set(rows.filter(pl.col("nation").is_null())["risk"]) == {
        "risk_liver",
        "risk_metabolic_treated",
        "risk_metabolic_untreated",
    }


def test_own_data_and_the_table_of_the_branches_must_agree_before_a_risk_is_called_high() -> None:
    shares = {"a": 0.40, "b": 0.20, "c": 0.203, "d": 0.40, "e": 0.19}
    told = {"a": "高い", "b": "低い", "c": "高い", "d": UNKNOWN, "e": "差があるとはいえない"}
    own = pl.DataFrame(
        [
            {"risk": name, "sex": "M", "estimate": x, "lower": x - 0.03, "upper": x + 0.03, "judgement": told[name]}
            for name, x in shares.items()
        ]
    )
    table = {"a": (0.31, 0.30, 0.32), "b": (0.21, 0.208, 0.212), "c": (0.2, 0.19, 0.21), "d": (0.31, 0.30, 0.32)}
    table["e"] = table["a"]
    places = pl.DataFrame(
        [
            {"risk": name, "sex": "M", "area": area, "estimate": v, "lower": low, "upper": high, "standard_rate": 0.2}
            for name, (v, low, high) in table.items()
            for area in ("24", "25")
        ]
    )
    found = risks.beside_branches(own, places, branch="24")
    assert found["judgement"].to_list() == ["高い", "出どころで不一致", "出どころで不一致", UNKNOWN, "出どころで不一致"]
    assert found["own_judgement"].to_list() == list(told.values())
    first = found.row(0, named=True)
    half = np.hypot(0.03, 0.01)
    assert [first["apart"], first["apart_lower"], first["apart_upper"]] == pytest.approx(
        [0.09, 0.09 - half, 0.09 + half]
    )
    alone = risks.beside_branches(own, pl.DataFrame(), branch="24")
    assert alone["judgement"].to_list() == list(told.values()) and alone["branch_value"].null_count() == 5


def test_the_parts_of_metabolic_risk_add_up_over_one_denominator() -> None:
    whole = [True, True, True, False, None, True]
    treated, untreated = [True, False, None, False, None, True], [False, True, None, False, None, False]
    people = pl.DataFrame(dict(zip(risks.METABOLIC, (whole, treated, untreated), strict=True)))
    found = risks.metabolic_parts(people)
    names = [*risks.METABOLIC[1:], risks.UNANSWERED]
    assert [found[name].sum() for name in names] == [2, 1, 1] and found["risk_metabolic"].sum() == 4
    assert all(found[name].null_count() == 1 for name in names)
    assert risks.metabolic_parts(people.to_pandas())["risk_metabolic_unanswered"].sum() == 1


def test_smoking_has_a_new_version_in_the_fourth_period_and_two_years_can_take_one() -> None:
    used = ka.define()
    assert risks.version_breaks(used, range(2020, 2025)) == {"喫煙": 2024}
    assert risks.version_breaks(used, range(2024, 2026)) == {}
    again = replace(used, rows=(*used.rows, replace(used.versions("risk.smoking")[-1], valid_from=202804)))
    assert risks.version_breaks(again, range(2020, 2026)) == {"喫煙": 2024}  # a later one outside hides no break inside
    assert risks.version_breaks(again, range(2020, 2030)) == {"喫煙": 2024}
    assert [row.status for row in used.versions("risk.smoking")] == ["仮定", "確認済"]


def test_no_rank_with_46_branches_and_no_nation_either(tables: ka.Tables) -> None:
    fewer = tables.polars("national").filter(pl.col("area") != "13")
    strata = risks.risk_strata(fewer)
    others = [f"{code:02d}" for code in range(1, 48) if code != 13]
    assert strata.is_empty() and risks.risk_strata(fewer, areas=others).height > 0
    assert ka.risk_ranks(strata, fiscal_year=2024).is_empty()
    assert ka.risk_ranks(risks.risk_strata(fewer, areas=others), fiscal_year=2024).is_empty()
    nation = fewer.filter(pl.col("area") == "01").with_columns(area=pl.lit("全国"))
    assert risks.risk_strata(pl.concat([fewer, nation])).is_empty()  # a row of the nation is no 47th branch
    whole = tables.polars("national")
    no_women = whole.filter(~((pl.col("area") == "13") & (pl.col("sex") == "F")))
    assert risks.risk_strata(whole).height > 0 and risks.risk_strata(no_women).is_empty()
    assert risks.risk_reference(fewer, fiscal_year=2024).years == ()
    assert risks.risk_reference(None, fiscal_year=2024).standard is None
    assert risks.risk_reference(tables.national, fiscal_year=2023).years == (2022, 2023)
    later = risks.risk_reference(tables.national, fiscal_year=2025)
    assert later.year["nation"].is_empty() and "2024年度" in str(later.standard_id)
    twice = pl.concat([tables.polars("national")] * 2)
    with pytest.raises(StrataError, match="重複"):
        risks.risk_strata(twice)


def test_the_card_puts_group_and_branch_on_one_scale(people: pl.DataFrame, tables: ka.Tables) -> None:
    places = ka.risk_counts(people, by=["industry", "workplace_id"], workplaces=tables.workplaces.collect())
    ref = risks.risk_reference(tables.national, fiscal_year=2024)
    card = ka.health_card(places, group={"industry": "道路貨物運送業"}, **ref.year)
    assert card["side"].to_list() == ["group"] * 10 + ["branch"] * 10
    direct = ka.risk_rates(
        ka.risk_counts(people, by=["industry"], workplaces=tables.workplaces.collect()),
        method="indirect",
        sexes="together",
        **ref.year,
    ).filter(pl.col("industry") == "道路貨物運送業")
    group = card.filter(pl.col("side") == "group")
    assert group["events"].to_list() == direct["events"].to_list()
    assert group["ratio"].to_list() == pytest.approx(direct["ratio"].to_list())
    own = one(card, side="branch", risk="risk_liver")
    assert own["ratio"] == pytest.approx(1) and own["expected_from"] == "base" and own["judgement"] == NO_NATION
    alone = ka.health_card(places, group={"industry": "道路貨物運送業"})
    ours = alone.filter(pl.col("side") == "group")
    for row in ours.to_dicts():
        word = "支部より高い" if row["ratio_lower"] > 1 else "支部より低い" if row["ratio_upper"] < 1 else None
        assert row["judgement"] == (word or "支部と差があるとはいえない")
    assert set(alone.filter(pl.col("side") == "branch")["judgement"]) == {NO_NATION} and set(
        alone.filter(pl.col("side") == "branch")["ratio"].round(9)
    ) == {1.0}
    with pytest.raises(TableError, match="当てはまる健診受診者がいません: 業態 鉱業"):
        ka.health_card(places, group={"industry": "鉱業"})
    with pytest.raises(TableError, match="表にない列です: town"):
        ka.health_card(places, group={"town": "津"})


# --- masking ------------------------------------------------------------------------------------------------


def test_what_is_left_of_one_risk_by_others_is_protected(people: pl.DataFrame, tables: ka.Tables) -> None:
    places = ka.risk_counts(people, by=["workplace_id"])
    sizes = people.group_by("workplace_id").len().filter(pl.col("len") >= 60).sort("len", "workplace_id")
    hidden = 0
    for place in sizes["workplace_id"].drop_nulls():
        card = ka.health_card(places, group={"workplace_id": place})
        checked = disclosure.check_risks(card, by=["side"])
        shown = checked.where(side="group").table
        events = dict(shown.select("risk", "events").rows())
        people_ = dict(shown.select("risk", "denominator").rows())
        assert all(k is None or k == 0 or k >= 10 for k in events.values())
        assert all(
            k is None or n is None or n - k == 0 or n - k >= 10
            for k, n in zip(events.values(), people_.values(), strict=True)
        )
        for whole, parts in (("risk_waist", ("risk_mets", "risk_premets")),):
            known = [events[name] for name in (whole, *parts)]
            if None not in known:
                assert known[0] - known[1] - known[2] == 0 or known[0] - known[1] - known[2] >= 10
        masked = shown.filter(pl.col("events").is_null())
        assert set(masked["judgement"]) <= {"秘匿"} and masked["ratio"].null_count() == masked.height
        hidden += masked.height
    assert hidden > 20


def test_what_one_table_hides_no_card_gives_back() -> None:
    def place(name: str, events: int, people: int) -> pl.DataFrame:
        return cells({"M": (events,)}, {"M": (people,)}, industry="A", workplace_id=name)

    whole = pl.concat([place("big", 60, 90), place("small", 4, 60), place("other", 30, 80)])
    whole = pl.concat([whole, cells({"M": (40,)}, {"M": (200,)}, industry="B", workplace_id="b")])
    card = ka.health_card(whole, group={"workplace_id": "big"}, nation=NATION)
    assert disclosure.check_risks(card, by=["side"]).where(side="group").table["events"].item() == 60
    # of an industry of two workplaces the rest is the other one: 4 people
    two = whole.filter(pl.col("workplace_id") != "other")
    alone = ka.risk_rates(risks.card_siblings(two, group={"workplace_id": "big"}, within="industry"), nation=NATION)
    assert dict(alone.select("side", "events").rows()) == {"group": 60, "rest": 4}
    rest = disclosure.check_risks(alone, by=["side"], totals={"side": None}, parts=False).where(side="group")
    hidden = disclosure.check_risks(card, by=["side"], hidden={"group": rest})
    group, branch = (hidden.where(side=side).table.row(0, named=True) for side in ("group", "branch"))
    assert group["events"] is None and group["ratio"] is None and group["judgement"] == "秘匿"
    assert branch["events"] == 134 and hidden.where(side="group").states["ratio"].item() == "masked_secondary"
    more = ka.risk_rates(risks.card_siblings(whole, group={"workplace_id": "big"}, within="industry"), nation=NATION)
    safe = disclosure.check_risks(more, by=["side"], totals={"side": None}, parts=False).where(side="group")
    shown = disclosure.check_risks(card, by=["side"], hidden={"group": safe}).where(side="group")
    assert shown.table["events"].item() == 60


def test_only_checked_risks_reach_a_figure(people: pl.DataFrame) -> None:
    from kenpo_analytics import report
    from kenpo_analytics.errors import DisclosureError

    rows = ka.risk_rates(ka.risk_counts(people))
    for show in (report.risk_gaps, report.risk_years, report.risk_ages):
        with pytest.raises(DisclosureError):
            show(rows, title="x")
    with pytest.raises(DisclosureError):
        report.risk_table(rows, title="x", row="sex")
    with pytest.raises(DisclosureError):
        report.card_figure(rows, title="x", name="y")


# --- decrease of targets ------------------------------------------------------------------------------------


def leveled(year: int, rows: dict[int, tuple[str, bool | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"person_id": p, "fiscal_year": year, "level": lv, "target": t, "version": "v"}
            for p, (lv, t) in rows.items()
        ],
        schema_overrides={"target": pl.Boolean},
    )


ACTIVE, NONE, DRUG, DOUBT = ("積極的支援", True), ("情報提供", False), ("対象外(服薬中)", False), ("判定不能", None)
BEFORE = leveled(2023, {1: ACTIVE, 2: ACTIVE, 3: ACTIVE, 4: ACTIVE, 5: ACTIVE, 6: NONE, 7: ACTIVE, 8: ACTIVE})
AFTER = leveled(
    2024, {1: NONE, 2: DRUG, 3: ("動機付け支援", True), 4: DOUBT, 6: ACTIVE, 7: ("判定不能", False), 8: ACTIVE}
)
GUIDANCE = pl.DataFrame(
    {
        "person_id": [1, 2, 3, 4, 5, 6, 7],
        "fiscal_year": [2023] * 6 + [2022],
        "first_interview": [dt.date(2023, 12, 1)] * 7,
        "completed": [None, dt.date(2024, 3, 1), *[None] * 5],
    },
    schema_overrides={"completed": pl.Date},
)


def test_decrease_by_hand(engine) -> None:
    found = ka.guidance_decrease(engine(BEFORE), engine(AFTER), engine(GUIDANCE))
    rows = {row["group"]: row for row in engine.frame(found).to_dicts()}
    names = ("targets", "decreased", "started_drugs", "still", "unknown", "unseen", "numerator", "denominator")
    assert [rows["received"][name] for name in names] == [5, 1, 1, 1, 1, 1, 1, 2]
    assert [rows["not_received"][name] for name in names] == [
        2,
        1,
        0,
        1,
        0,
        0,
        1,
        2,
    ]  # 7: no target whatever the answer
    assert [rows["all"][name] for name in names] == [7, 2, 1, 2, 1, 1, 2, 4]
    low, high = proportion_confint(2, 4, method="wilson")
    assert (rows["all"]["estimate"], rows["all"]["lower"], rows["all"]["upper"]) == pytest.approx((0.5, low, high))
    assert rows["all"]["estimate_other"] == pytest.approx(3 / 5)


def test_decrease_follows_its_assumptions_and_refuses_other_years() -> None:
    used = ka.define(overrides={"guidance.decrease.received": "completed", "guidance.decrease.drugs": "count"})
    rows = {row["group"]: row for row in ka.guidance_decrease(BEFORE, AFTER, GUIDANCE, definitions=used).to_dicts()}
    assert (rows["received"]["targets"], rows["received"]["estimate"]) == (1, 1.0)  # only person 2, who began a drug
    assert rows["received"]["estimate_other"] is None and rows["received"]["drugs_rule"] == "count"
    with pytest.raises(TableError, match="続いた2年度ではありません"):
        ka.guidance_decrease(AFTER, BEFORE, GUIDANCE)
    with pytest.raises(TableError, match="年度が2個"):
        ka.guidance_decrease(pl.concat([BEFORE, AFTER]), AFTER, GUIDANCE)


def test_decrease_of_the_sample_recounted_person_by_person(tables: ka.Tables) -> None:
    was, now = (
        ka.guidance_levels(tables.checkups, tables.members, fiscal_year=year).collect().people for year in (2023, 2024)
    )
    given = set(tables.polars("guidance").filter(pl.col("fiscal_year") == 2023)["person_id"])
    later = {row["person_id"]: row for row in now.to_dicts()}
    states: Counter = Counter()
    for row in was.to_dicts():
        if row["target"] is True and row["person_id"] in given:
            next_ = later.get(row["person_id"])
            if next_ is None or next_["target"] is None:
                states["out"] += 1
            elif next_["level"] == "対象外(服薬中)":
                states["drugs"] += 1
            else:
                states["still" if next_["target"] else "decreased"] += 1
    found = one(ka.guidance_decrease(was, now, tables.polars("guidance")), group="received")
    assert found["decreased"] == states["decreased"] > 50 and found["still"] == states["still"]
    assert found["estimate"] == pytest.approx(states["decreased"] / (states["decreased"] + states["still"]))
    assert found["version_before"] == "第3期(仮定)" and found["version_after"] == "第4期"


def test_nobody_examined_is_said_in_words(tables: ka.Tables) -> None:
    nobody = ka.risk_holders(tables.checkups, tables.members, fiscal_year=2015).collect()
    with pytest.raises(TableError, match="健診受診者がいない"):
        ka.risk_rates(ka.risk_counts(nobody.people))


def test_an_industry_that_nobody_works_in_is_said_in_words(tables: ka.Tables) -> None:
    people = ka.risk_holders(tables.checkups, tables.members, fiscal_year=2024).collect().people
    cells = ka.risk_counts(people, by=["industry", "workplace_id"], workplaces=tables.workplaces.collect())
    found = risks.largest_workplace(cells, industry="道路貨物運送業")
    sizes = cells.filter(pl.col("industry") == "道路貨物運送業").group_by("workplace_id").agg(pl.col("persons").max())
    assert found in cells["workplace_id"].to_list() and sizes.height > 1
    with pytest.raises(TableError, match="この業態の健診受診者がいません: 宇宙運送業"):
        risks.largest_workplace(cells, industry="宇宙運送業")
    with pytest.raises(TableError, match="当てはまる健診受診者がいません: 事業所 W99999"):
        risks.card_siblings(cells, group={"workplace_id": "W99999"}, within="industry")


def test_a_risk_that_is_not_counted_by_group_is_refused_with_the_names(tables: ka.Tables) -> None:
    assert [risks.risk_label(name) for name in ("risk_metabolic", "risk_smoking")] == ["代謝リスク", "喫煙"]
    for wrong in ("risk_x", "", "risk_metabolic_treated", risks.UNANSWERED):
        with pytest.raises(ParameterError, match=f"リスクの名前が違います: 「{wrong}」") as caught:
            risks.risk_label(wrong)
        assert "risk_waist(腹囲リスク)" in str(caught.value.hint)
