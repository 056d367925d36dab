"""Untreated people (未治療者): edges written out, the oracle, two purposes, every kind of frame."""

import datetime as dt
from collections import Counter

import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import DefinitionError
from tests import oracle
from tests.test_cohorts_prediabetes import random_world

LOW = {"sbp": 120.0, "dbp": 80.0, "fpg": 95.0, "hba1c": 5.5, "ldl": 120.0}
NO = {"medication_bp": False, "medication_glucose": False, "medication_lipid": False}
VISIT = {"kind": "入院外", "status": "normal"}

# who, values, claims as (month, what differs from an outpatient visit), at first/kpi, first/letter, second/kpi
# fmt: off
PEOPLE = [
    ("SBP 160",                    {"sbp": 160.0},                       [],                                {"bp"},             {"bp"},           "below"),
    ("SBP 159.9",                  {"sbp": 159.9},                       [],                                "below",            "below",          "below"),
    ("DBP 100",                    {"dbp": 100.0},                       [],                                {"bp"},             {"bp"},           "below"),
    ("FPG 126 fasting",            {"fpg": 126.0},                       [],                                {"glucose"},        {"glucose"},      "below"),
    ("FPG 126 not fasting",        {"fpg": 126.0, "fasting": "casual"},  [],                                "below",            "below",          "below"),
    ("HbA1c 6.5",                  {"hba1c": 6.5},                       [],                                {"glucose"},        {"glucose"},      "below"),
    ("LDL 180",                    {"ldl": 180.0},                       [],                                {"lipid"},          {"lipid"},        "below"),
    ("SBP 180",                    {"sbp": 180.0},                       [],                                {"bp"},             {"bp"},           {"bp"}),
    ("HbA1c 8.4",                  {"hba1c": 8.4},                       [],                                {"glucose"},        {"glucose"},      {"glucose"}),
    ("FPG 160",                    {"fpg": 160.0},                       [],                                {"glucose"},        {"glucose"},      {"glucose"}),
    ("two domains",                {"sbp": 165.0, "ldl": 190.0},         [],                                {"bp", "lipid"},    {"bp", "lipid"},  {"bp", "lipid"}),
    ("two domains, one treated",   {"sbp": 165.0, "ldl": 190.0, "medication_bp": True}, [],                 {"lipid"},          {"lipid"},        "self_reported"),
    ("treated for it",             {"sbp": 170.0, "medication_bp": True}, [],                               "self_reported",    "self_reported",  "below"),
    ("no answer on treatment",     {"sbp": 170.0, "medication_bp": None}, [],                               {"bp"},             {"bp"},           "below"),
    ("visit the month before",     {"sbp": 160.0},                       [(202405, {})],                    "visited",          "visited",        "below"),
    ("visit two months before",    {"sbp": 160.0},                       [(202404, {})],                    {"bp"},             {"bp"},           "below"),
    ("visit in the checkup month", {"sbp": 160.0},                       [(202406, {})],                    {"bp"},             "visited",        "below"),
    ("visit three months after",   {"sbp": 160.0},                       [(202409, {})],                    {"bp"},             "visited",        "below"),
    ("visit four months after",    {"sbp": 160.0},                       [(202410, {})],                    {"bp"},             {"bp"},           "below"),
    ("dental the month before",    {"sbp": 160.0},                       [(202405, {"kind": "歯科"})],       {"bp"},             {"bp"},           "below"),
    ("inpatient the month before", {"sbp": 160.0},                       [(202405, {"kind": "入院"})],       {"bp"},             {"bp"},           "below"),
    ("returned claim before",      {"sbp": 160.0},                       [(202405, {"status": "returned"})], {"bp"},            {"bp"},           "below"),
    ("re-claimed before",          {"sbp": 160.0},                       [(202405, {"status": "reclaimed"})], "visited",        "visited",        "below"),
    ("after loss of eligibility",  {"sbp": 160.0},                       [(202405, {"status": "after_loss"})], {"bp"},          {"bp"},           "below"),
    ("no values at all",           dict.fromkeys(LOW),                   [],                                "no_marker",        "no_marker",      "no_marker"),
    ("only blood pressure, high",  {"sbp": 162.0, "fpg": None, "hba1c": None, "ldl": None}, [],             {"bp"},             {"bp"},           "below"),
]
# fmt: on
PLACE = {("first", "kpi"): 3, ("first", "letter"): 4, ("second", "kpi"): 5}


def edge_frames(date: dt.date = dt.date(2024, 6, 15)) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    checkups = [
        {"record_id": n, "person_id": n, "checkup_date": date, "received_month": 202407, "kind": "生活習慣病予防健診"}
        | {"fasting": "fasting"}
        | LOW
        | NO
        | person[1]
        for n, person in enumerate(PEOPLE)
    ]
    claims = [
        {"claim_id": n * 10 + i, "person_id": n, "treatment_month": month, "received_month": month + 1} | VISIT | other
        for n, person in enumerate(PEOPLE)
        for i, (month, other) in enumerate(person[2])
    ]
    members = [
        {"person_id": n, "valid_from": dt.date(2015, 4, 1), "valid_to": None, "sex": "M", "birth_month": 197401}
        | {"fy_age_base": 1974, "relationship": "insured", "branch": "24", "municipality": "24201"}
        for n in range(len(PEOPLE))
    ]
    months = {"treatment_month": pl.Int32, "received_month": pl.Int32}
    ends = {"valid_to": pl.Date}
    return (
        pl.DataFrame(checkups, infer_schema_length=None),
        pl.DataFrame(claims, schema_overrides=months),
        pl.DataFrame(members, schema_overrides=ends),
    )


def domains(engine, cohort) -> dict:
    frame = engine.frame(cohort.people).select("person_id", "by_bp", "by_glucose", "by_lipid")
    return {
        row[0]: {name for name, here in zip(("bp", "glucose", "lipid"), row[1:], strict=True) if here}
        for row in frame.iter_rows()
    }


@pytest.mark.parametrize(("level", "purpose"), list(PLACE))
def test_edge_people(engine, level, purpose):
    checkups, claims, members = map(engine, edge_frames())
    cohort = ka.untreated(
        checkups, claims, members, fiscal_year=2024, level=level, purpose=purpose, data_through="2026-03"
    )
    place = PLACE[level, purpose]
    assert engine.kind(cohort.people) == engine.name
    assert domains(engine, cohort) == {n: p[place] for n, p in enumerate(PEOPLE) if isinstance(p[place], set)}
    flow = engine.frame(cohort.flow).filter(pl.col("unit") == "人", pl.col("kind") == "exclude")
    expected = Counter(p[place] for p in PEOPLE if isinstance(p[place], str))
    assert dict(flow.select("key", "excluded").iter_rows()) == {key: expected.get(key, 0) for key in flow["key"]}


@pytest.mark.parametrize(
    ("date", "purpose", "counted"),
    [
        (dt.date(2022, 3, 31), "letter", False),  # its letter goes out in 2022-09, before LDL came in
        (dt.date(2022, 4, 1), "letter", True),  # its letter goes out in 2022-10
        (dt.date(2022, 3, 31), "kpi", False),  # FY2021 checkups belong to KPI year 2022
        (dt.date(2022, 4, 1), "kpi", True),  # FY2022 checkups belong to KPI year 2023
    ],
)
def test_ldl_applies_by_the_clock_of_the_purpose(engine, date, purpose, counted):
    checkups, claims, members = map(engine, edge_frames(date))
    year = oracle.fiscal_year(date)
    found = domains(engine, ka.untreated(checkups, claims, members, fiscal_year=year, purpose=purpose))
    ldl = [p[0] for p in PEOPLE].index("LDL 180")
    assert (ldl in found) == counted


def test_a_definition_may_change_within_the_year():
    """Letters of checkups in April 2022 and later carry LDL; inside FY2021 only March's 6-month lag would reach it."""
    later = ka.define(overrides={"untreated.letter_lag": 7})
    dates = [dt.date(2022, 2, 10), dt.date(2022, 3, 10)]  # letters in 2022-09 and 2022-10
    checkups, claims, members = edge_frames()
    ldl = [p[0] for p in PEOPLE].index("LDL 180")
    row = checkups.filter(pl.col("person_id") == ldl)
    for date, counted in zip(dates, (False, True), strict=True):
        one = row.with_columns(pl.lit(date).alias("checkup_date"))
        people = ka.untreated(one, claims, members, fiscal_year=2021, purpose="letter", definitions=later).people
        assert len(people) == counted


@pytest.mark.parametrize(
    ("purpose", "through", "judged"),
    [("kpi", 202405, True), ("kpi", 202404, False), ("letter", 202409, True), ("letter", 202408, False)],
)
def test_a_window_whose_claims_are_still_on_the_way_cannot_be_judged(engine, purpose, through, judged):
    checkups, claims, members = map(engine, edge_frames())
    cohort = ka.untreated(checkups, claims, members, fiscal_year=2024, purpose=purpose, data_through=through)
    flow = {row["key"]: row for row in engine.frame(cohort.flow).to_dicts()}
    place = PLACE["first", purpose]
    inside = sum(isinstance(person[place], set) for person in PEOPLE)
    assert flow["visit_unknown"]["excluded"] == (0 if judged else inside)
    assert flow["visited"]["excluded"] == sum(person[place] == "visited" for person in PEOPLE)  # seen is seen
    assert len(engine.frame(cohort.people)) == (inside if judged else 0)
    open_end = ka.untreated(checkups, claims, members, fiscal_year=2024, purpose=purpose)
    assert dict(engine.frame(open_end.flow).select("key", "status").iter_rows())["visit_unknown"] == "未評価"


def test_switches_of_the_branch():
    checkups, claims, members = edge_frames()
    keep = ka.define(overrides={"untreated.drop_self_reported": 0, "visit.inpatient": 1})
    people = ka.untreated(checkups, claims, members, fiscal_year=2024, definitions=keep).people["person_id"]
    names = [p[0] for p in PEOPLE]
    assert names.index("treated for it") in people
    assert names.index("inpatient the month before") not in people


def random_claims(seed: int, people: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = people * 6
    months = rng.choice([202402, 202403, 202404, 202405, 202406, 202407, 202408, 202409, 202501, 202503], n)
    return pl.DataFrame(
        {
            "claim_id": np.arange(n),
            "person_id": rng.integers(0, people, n),
            "treatment_month": months.astype(np.int32),
            "received_month": (months + 1).astype(np.int32),
            "status": rng.choice(["normal", "returned", "reclaimed", "after_loss"], n, p=[0.7, 0.1, 0.1, 0.1]),
            "kind": rng.choice(["入院外", "入院", "歯科", "調剤"], n),
        }
    )


def with_values(checkups: pl.DataFrame, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = len(checkups)

    def choose(values, share=0.15):
        picked = rng.choice(values, n)
        return [None if hole else value for value, hole in zip(picked.tolist(), rng.random(n) < share, strict=True)]

    return checkups.unique("record_id", keep="first", maintain_order=True).pipe(
        lambda frame: frame.with_columns(
            pl.Series("sbp", choose([120.0, 159.0, 160.0, 180.0, np.nan])[: len(frame)], strict=False),
            pl.Series("dbp", choose([80.0, 99.9, 100.0, 110.0])[: len(frame)], strict=False),
            pl.Series("fpg", choose([95.0, 126.0, 160.0, np.nan])[: len(frame)], strict=False),
            pl.Series("hba1c", choose([5.5, 6.5, 8.4])[: len(frame)], strict=False),
            pl.Series("ldl", choose([120.0, 179.9, 180.0])[: len(frame)], strict=False),
            pl.Series("medication_bp", choose([True, False])[: len(frame)], strict=False),
            pl.Series("medication_glucose", choose([True, False])[: len(frame)], strict=False),
            pl.Series("medication_lipid", choose([True, False])[: len(frame)], strict=False),
        )
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", ["first", "second"])
@pytest.mark.parametrize("purpose", ["kpi", "letter"])
def test_the_oracle_agrees_person_by_person(engine, level, purpose, seed):
    checkups, members = random_world(seed)
    checkups, claims = with_values(checkups, seed + 100), random_claims(seed)
    expected = oracle.untreated(checkups.to_dicts(), claims.to_dicts(), members.to_dicts(), 2024, level, purpose)
    cohort = ka.untreated(
        engine(checkups),
        engine(claims),
        engine(members),
        fiscal_year=2024,
        level=level,
        purpose=purpose,
        data_through="2026-03",
    )
    inside = {person: place for person, place in expected.items() if isinstance(place, set)}
    assert domains(engine, cohort) == inside
    assert len(inside) > 10
    flow = engine.frame(cohort.flow).filter(pl.col("unit") == "人", pl.col("kind") == "exclude")
    wanted = Counter(place for place in expected.values() if isinstance(place, str))
    assert dict(flow.select("key", "excluded").iter_rows()) == {key: wanted.get(key, 0) for key in flow["key"]}


def test_unknown_options_are_refused():
    checkups, claims, members = edge_frames()
    with pytest.raises(DefinitionError, match="level=「third」"):
        ka.untreated(checkups, claims, members, fiscal_year=2024, level="third")  # type: ignore[arg-type]
