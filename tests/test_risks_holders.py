"""Risk holders and guidance levels: every branch of the rules against a plain-Python oracle, and the sample world."""

from __future__ import annotations

import datetime as dt
import itertools
import random

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.risks import LEVELS, RISKS
from kenpo_analytics.store import load
from tests.oracle_risks import level, risks
from tests.test_public import SAMPLE

FLOATS = ("waist", "bmi", "sbp", "dbp", "tg", "hdl", "fpg", "hba1c", "casual_glucose", "ast", "alt", "ggt")
DRUGS = ("medication_bp", "medication_glucose", "medication_lipid")
SCHEMA = dict.fromkeys(FLOATS, pl.Float64) | dict.fromkeys(DRUGS, pl.Boolean)
SCHEMA |= {"fasting": pl.String, "smoking": pl.String, "sex": pl.String, "age": pl.Int64}
NORMAL = {
    "waist": 75.0, "bmi": 22.0, "sbp": 115.0, "dbp": 70.0, "tg": 90.0, "hdl": 60.0, "fpg": 90.0, "hba1c": 5.2,
    "casual_glucose": None, "ast": 20.0, "alt": 20.0, "ggt": 20.0, "fasting": "fasting", "smoking": "no",
    "sex": "M", "age": 50, **dict.fromkeys(DRUGS, False),
}  # fmt: skip


def tables(rows: list[dict], year: int = 2024) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Checkups and members: one insured person a row, examined in October."""
    frame = pl.DataFrame([NORMAL | row for row in rows], schema=SCHEMA).with_row_index("person_id")
    frame = frame.with_columns(pl.col("person_id").cast(pl.Int64))
    checkups = frame.drop("sex", "age").with_columns(
        record_id="person_id",
        checkup_date=pl.lit(dt.date(year, 10, 1)),
        received_month=pl.lit(year * 100 + 11, pl.Int32),
        kind=pl.lit("生活習慣病予防健診"),
    )
    members = frame.select(
        "person_id",
        "sex",
        valid_from=pl.lit(dt.date(2010, 4, 1)),
        valid_to=pl.lit(None, pl.Date),
        fy_age_base=year - pl.col("age"),
        relationship=pl.lit("insured"),
        branch=pl.lit("24"),
        municipality=pl.lit("24201"),
        workplace_id=pl.lit("W1"),
    )
    return checkups, members


def judged(rows: list[dict], year: int = 2024, **options) -> list[dict]:
    people = ka.risk_holders(*tables(rows, year), fiscal_year=year, **options).people.sort("person_id")
    assert people.height == len(rows)
    return people.select(*RISKS).to_dicts()


def leveled(rows: list[dict], year: int = 2024, **options) -> list[tuple]:
    people = ka.guidance_levels(*tables(rows, year), fiscal_year=year, **options).people.sort("person_id")
    assert people.height == len(rows)
    return people.select("level", "target").rows()


def as_oracle(row: dict) -> dict:
    return NORMAL | row


# --- guidance: the whole decision table ---------------------------------------------------------------------

GROUPS = [
    {"sex": s, "waist": w, "bmi": b} for s, w, b in itertools.product("MF", (84.9, 85.0, 89.9, 90.0), (24.9, 25.0))
]
PRESSURE = [{"sbp": s, "dbp": d} for s, d in ((129, 84), (130, 84), (129, 85))]
FAT = [{"tg": t, "hdl": h} for t, h in ((149, 40), (150, 40), (174, 40), (175, 40), (100, 39))]
SUGAR = [
    {"fpg": f, "hba1c": a, "casual_glucose": c}
    for f, a, c in (
        (99, None, None), (100, 5.5, None), (99, 5.6, None), (None, 5.5, 120), (None, 5.6, 90),
        (None, None, 99), (None, None, 100),
    )
]  # fmt: skip
SMOKE = [{"smoking": s} for s in ("yes", "past")]
DRUG = [{}, *({name: True} for name in DRUGS)]
TIMES = [{"fasting": f} for f in ("fasting", "casual", "post_meal", None)]
AGES = [{"age": a} for a in (64, 65)]


def test_every_branch_of_the_guidance_rule() -> None:
    parts = (GROUPS, PRESSURE, FAT, SUGAR, SMOKE, DRUG, TIMES, AGES)
    rows = [{k: v for part in combo for k, v in part.items()} for combo in itertools.product(*parts)]
    assert len(rows) == 16 * 3 * 5 * 7 * 2 * 4 * 4 * 2
    found = leveled(rows)
    expected = [level(as_oracle(row)) for row in rows]
    assert found == expected
    assert {name for name, _ in expected} == set(LEVELS)  # post-meal glucose alone cannot be judged


def scattered(seed: int, count: int, missing: float) -> list[dict]:
    """People at and beside every line, with values missing at random and a few impossible ones."""
    rng = random.Random(seed)
    choices = {
        "waist": (84.9, 85, 89.9, 90, 300), "bmi": (24.9, 25), "sbp": (129, 130, 14), "dbp": (84, 85),
        "tg": (149, 150, 174, 175), "hdl": (39, 40), "fpg": (5.5, 99, 100, 109, 110),
        "hba1c": (5.5, 5.6, 5.9, 6.0, 60),
        "casual_glucose": (99, 100), "ast": (30, 31), "alt": (30, 31), "ggt": (50, 51),
        "smoking": ("yes", "no", "past"),
        "fasting": ("fasting", "casual", "post_meal"), **dict.fromkeys(DRUGS, (False, False, False, True)),
    }  # fmt: skip
    return [
        {name: None if rng.random() < missing else rng.choice(values) for name, values in choices.items()}
        | {"sex": rng.choice("MF"), "age": rng.choice((50, 64, 65, 74))}
        for _ in range(count)
    ]


@pytest.mark.parametrize(("seed", "missing"), [(1, 0.1), (2, 0.3)])
def test_missing_inputs_decide_only_where_they_matter(seed: int, missing: float) -> None:
    rows = scattered(seed, 1500, missing)
    expected = [level(as_oracle(row)) for row in rows]
    assert leveled(rows) == expected
    assert {name for name, _ in expected} == set(LEVELS)
    # no risk and no medication answer: not a target whatever the answer; two certain risks: a target of some level
    assert ("判定不能", False) in expected and ("判定不能", None) in expected and ("判定不能", True) in expected
    assert judged(rows) == [risks(as_oracle(row)) for row in rows]


def test_examples_read_from_the_rule() -> None:
    big = {"waist": 90.0, "sbp": 135.0}
    assert leveled([big, big | {"tg": 160.0}, big | {"tg": 160.0, "age": 65}, big | {"smoking": "yes"}]) == [
        ("動機付け支援", True),
        ("積極的支援", True),
        ("動機付け支援", True),
        ("積極的支援", True),
    ]
    heavy = {"bmi": 26.0, "sbp": 135.0, "tg": 160.0}
    assert leveled([heavy, heavy | {"fpg": 100.0}, {"bmi": 26.0, "smoking": "yes"}, {"sbp": 150.0, "tg": 400.0}]) == [
        ("動機付け支援", True),
        ("積極的支援", True),
        ("情報提供", False),  # smoking counts beside another risk only
        ("情報提供", False),  # neither waist nor BMI
    ]
    # fasting glucose comes before HbA1c; the switch counts either
    either = {"waist": 90.0, "fpg": 99.0, "hba1c": 6.4}
    assert leveled([either]) == [("情報提供", False)]
    used = ka.define(overrides={"guidance.glucose.priority": "either"})
    assert leveled([either], definitions=used) == [("動機付け支援", True)]
    # the waist at exactly 2 certain risks: an unknown third changes nothing
    assert leveled([big | {"tg": 160.0, "fpg": None, "hba1c": None, "smoking": None}]) == [("積極的支援", True)]
    assert leveled([{"waist": 90.0, "tg": 160.0, "medication_bp": None}]) == [("判定不能", None)]


def test_earlier_years_say_which_version_or_are_refused() -> None:
    casual = {"waist": 90.0, "fasting": "casual", "fpg": None, "tg": 160.0}
    assert leveled([casual], 2024) == [("情報提供", False)] == [level(as_oracle(casual))]
    assert leveled([casual], 2023) == [("動機付け支援", True)] == [level(as_oracle(casual), casual_line=150)]
    versions = [
        ka.guidance_levels(*tables([{}], year), fiscal_year=year).people["version"].item()
        for year in (2018, 2023, 2024)
    ]
    assert versions == ["第3期(仮定)", "第3期(仮定)", "第4期"]
    with pytest.raises(DefinitionError, match=r"2017年度の階層化の値がありません"):
        ka.guidance_levels(*tables([{}], 2017), fiscal_year=2017)


# --- risk holders -------------------------------------------------------------------------------------------


def test_examples_of_the_risk_report() -> None:
    found = judged(
        [
            {"sbp": 130.0},
            {"medication_bp": True, "sbp": None, "dbp": None},
            {"medication_bp": None},
            {"fpg": 109.0, "hba1c": 6.4},
            {"fpg": None, "hba1c": 6.0},
            {"waist": 85.0, "sbp": 130.0, "tg": 150.0},
            {"waist": 85.0, "sbp": 130.0, "fpg": None, "hba1c": None},
            {"waist": 85.0, "sbp": 130.0, "tg": 150.0, "medication_glucose": None},
        ]
    )
    assert [row["risk_bp"] for row in found[:3]] == [True, True, None]
    assert [row["risk_metabolic"] for row in found[3:5]] == [False, True]  # HbA1c only where FPG is missing
    assert (found[5]["risk_mets"], found[5]["risk_premets"]) == (True, False)
    assert (found[6]["risk_mets"], found[6]["risk_premets"]) == (None, None)
    assert (found[7]["risk_mets"], found[7]["risk_premets"]) == (True, False)  # two of three are enough


def test_visceral_fat_comes_before_the_waist_and_sex_matters_between_the_lines() -> None:
    checkups, members = tables([{"waist": 95.0}, {"waist": 70.0}, {"waist": 95.0}, {"waist": 87.0}, {"waist": 95.0}])
    checkups = checkups.with_columns(visceral_fat=pl.Series([99.0, 100.0, None, None, 0.0]))
    people = ka.risk_holders(checkups, members, fiscal_year=2024).people.sort("person_id")
    assert people["risk_waist"].to_list() == [False, True, True, True, True]
    unknown = ka.risk_holders(checkups.drop("visceral_fat"), fiscal_year=2024)  # nobody knows the sex
    assert unknown.people.sort("person_id")["risk_waist"].to_list() == [True, False, True, None, True]
    assert unknown.flow.filter(pl.col("status") == "未評価").height == 3


def test_casual_lipids_follow_the_switch_and_liver_its_lines() -> None:
    rows = [{"fasting": "casual", "tg": 200.0}, {"ast": 30.0, "alt": 31.0}, {"ggt": 50.0, "ast": None}]
    found = judged(rows)
    assert found[0]["risk_lipid"] is True and [row["risk_liver"] for row in found] == [False, True, None]
    dropped = judged(rows, definitions=ka.define(overrides={"risk.lipid.casual": "drop"}))
    assert dropped[0]["risk_lipid"] is None


def test_row_order_and_kind_of_frame_change_nothing(engine) -> None:
    rows = scattered(3, 60, 0.2)
    checkups, members = tables(rows)
    for made in (ka.risk_holders, ka.guidance_levels):
        base = made(checkups, members, fiscal_year=2024).people.sort("person_id")
        shuffled = checkups.sample(fraction=1, shuffle=True, seed=5)
        twice = pl.concat([shuffled, shuffled])
        found = made(engine(twice), engine(members), fiscal_year=2024)
        assert engine.kind(found.people) == engine.name
        people = engine.frame(found.people).sort("person_id")
        same = [name for name in base.columns if name != "checkup_date"]  # pandas has no dates without a time
        assert people.select(same).rows() == base.select(same).rows()
        assert engine.frame(found.flow)["remaining"].to_list()[0] == 120


# --- the sample world ---------------------------------------------------------------------------------------


def sample_people(year: int) -> dict[int, dict]:
    """Person -> raw row of the picked checkup, with sex, age and workplace of the stretch then, found by hand."""
    found = load(SAMPLE, month="2025-10")
    stretches: dict[int, list[dict]] = {}
    for row in found.polars("members").to_dicts():
        stretches.setdefault(row["person_id"], []).append(row)
    span = pl.col("checkup_date").is_between(dt.date(year, 4, 1), dt.date(year + 1, 3, 31))
    kept: dict[int, tuple] = {}
    for row in found.polars("checkups").filter(span, pl.col("kind") == "生活習慣病予防健診").to_dicts():
        for spell in stretches.get(row["person_id"], []):
            inside = spell["valid_from"] <= row["checkup_date"] < (spell["valid_to"] or dt.date.max)
            age = year - spell["fy_age_base"]
            order = (row["checkup_date"], row["received_month"], row["record_id"])
            later = row["person_id"] not in kept or order > kept[row["person_id"]][0]
            if inside and spell["relationship"] == "insured" and 40 <= age <= 74 and later:
                more = {"sex": spell["sex"], "age": age, "workplace_id": spell["workplace_id"]}
                kept[row["person_id"]] = (order, row | more)
    return {person: row for person, (_, row) in kept.items()}


def test_every_person_of_the_sample_as_the_oracle_says() -> None:
    found, people = load(SAMPLE, month="2025-10"), sample_people(2024)
    holders = ka.risk_holders(found.checkups, found.members, fiscal_year=2024).collect().people
    assert set(holders["person_id"]) == set(people) and holders.height == 10843
    ours = {row["person_id"]: {name: row[name] for name in RISKS} for row in holders.to_dicts()}
    assert ours == {person: risks(row) for person, row in people.items()}
    levels = ka.guidance_levels(found.checkups, found.members, fiscal_year=2024).collect().people
    told = {row["person_id"]: (row["level"], row["target"]) for row in levels.to_dicts()}
    assert told == {person: level(row) for person, row in people.items()}
