"""First visit within 10 months: edge people written out, an oracle, the KPI and the curve."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import DateError, DefinitionError, EstimateError, TableError

D = dt.date
FOREVER, BORN = None, 197401

# who; stretches as (from, to, birth month); visit months with differences; state, months_to, 0-9, 0-10, 1-10
# Everyone is examined on 2024-06-15; claims are complete through 2025-04 = month 10 (10 months later), unless `through`.
# fmt: off
PEOPLE = [
    ("never seen",                     [(D(2020, 4, 1), None)],               [],                            "not_visited", 10, False, False, False),
    ("month 0",                        [(D(2020, 4, 1), None)],               [(202406, {})],                "visited",      0, True,  True,  False),
    ("month 0 and 3",                  [(D(2020, 4, 1), None)],               [(202406, {}), (202409, {})],  "visited",      0, True,  True,  True),
    ("month 1",                        [(D(2020, 4, 1), None)],               [(202407, {})],                "visited",      1, True,  True,  True),
    ("month 9",                        [(D(2020, 4, 1), None)],               [(202503, {})],                "visited",      9, True,  True,  True),
    ("month 10",                       [(D(2020, 4, 1), None)],               [(202504, {})],                "visited",     10, False, True,  True),
    ("month 11 is too late",           [(D(2020, 4, 1), None)],               [(202505, {})],                "not_visited", 10, False, False, False),
    ("the month before",               [(D(2020, 4, 1), None)],               [(202405, {})],                "not_visited", 10, False, False, False),
    ("dental only",                    [(D(2020, 4, 1), None)],               [(202408, {"kind": "歯科"})],   "not_visited", 10, False, False, False),
    ("inpatient only",                 [(D(2020, 4, 1), None)],               [(202408, {"kind": "入院"})],   "not_visited", 10, False, False, False),
    ("returned claim",                 [(D(2020, 4, 1), None)],               [(202408, {"status": "returned"})],   "not_visited", 10, False, False, False),
    ("re-claimed",                     [(D(2020, 4, 1), None)],               [(202408, {"status": "reclaimed"})],  "visited", 2, True, True, True),
    ("after loss of eligibility",      [(D(2020, 4, 1), D(2024, 8, 1))],      [(202408, {"status": "after_loss"})], "left",    1, False, False, False),
    ("left on the 1st",                [(D(2020, 4, 1), D(2024, 9, 1))],      [],                            "left",         2, False, False, False),
    ("left on the 2nd",                [(D(2020, 4, 1), D(2024, 9, 2))],      [],                            "left",         3, False, False, False),
    ("visit in the month of leaving",  [(D(2020, 4, 1), D(2024, 9, 20))],     [(202409, {})],                "visited",      3, True,  True,  True),
    ("visit after leaving",            [(D(2020, 4, 1), D(2024, 9, 1))],      [(202409, {})],                "left",         2, False, False, False),
    ("job change, stretches adjoin",   [(D(2020, 4, 1), D(2024, 9, 1)), (D(2024, 9, 1), None)], [(202412, {})], "visited",   6, True,  True,  True),
    ("a gap, then back",               [(D(2020, 4, 1), D(2024, 9, 1)), (D(2024, 10, 1), None)], [(202412, {})], "left",     2, False, False, False),
    ("a gap before the checkup",       [(D(2020, 4, 1), D(2023, 9, 1)), (D(2024, 4, 1), None)], [(202412, {})], "visited",   6, True,  True,  True),
    ("overlapping stretches",          [(D(2020, 4, 1), D(2024, 12, 1)), (D(2024, 9, 1), None)], [],             "not_visited", 10, False, False, False),
    ("turns 75",                       [(D(2020, 4, 1), D(2024, 11, 20), 194911)], [],                       "turned_75",    5, False, False, False),
    ("leaves in another month at 74",  [(D(2020, 4, 1), D(2024, 11, 20), 194912)], [],                       "left",         5, False, False, False),
    ("leaves after the window",        [(D(2020, 4, 1), D(2025, 5, 1))],      [],                            "not_visited", 10, False, False, False),
    ("leaves in the last month",       [(D(2020, 4, 1), D(2025, 4, 10))],     [],                            "not_visited", 10, False, False, False),
    ("not enrolled at all",            [],                                     [(202406, {}), (202408, {})],  "visited",      0, True,  True,  False),
]
# fmt: on


def frames_of(people=PEOPLE):
    who = pl.DataFrame(
        {
            "person_id": list(range(len(people))),
            "checkup_date": [D(2024, 6, 15)] * len(people),
            "by_bp": [True] * len(people),
            "by_glucose": [False] * len(people),
            "by_lipid": [False] * len(people),
        }
    )
    members = pl.DataFrame(
        [
            {"person_id": n, "valid_from": s[0], "valid_to": s[1], "birth_month": s[2] if len(s) > 2 else BORN}
            for n, person in enumerate(people)
            for s in person[1]
        ],
        schema={"person_id": pl.Int64, "valid_from": pl.Date, "valid_to": pl.Date, "birth_month": pl.Int32},
    )
    claims = pl.DataFrame(
        [
            {"person_id": n, "treatment_month": month, "status": "normal", "kind": "入院外"}
            | {
                "dx_bp": False,
                "rx_bp": None,
                "dx_glucose": None,
                "rx_glucose": False,
                "dx_lipid": True,
                "rx_lipid": None,
            }
            | other
            for n, person in enumerate(people)
            for month, other in person[2]
        ],
        schema={"person_id": pl.Int64, "treatment_month": pl.Int32, "status": pl.String, "kind": pl.String}
        | {f"{group}_{d}": pl.Boolean for group in ("dx", "rx") for d in ("bp", "glucose", "lipid")},
    )
    return who, claims, members


def test_edge_people_on_every_kind_of_frame(engine):
    people, claims, members = map(engine, frames_of())
    result = ka.first_visit(people, claims, members, data_through=202504)
    assert engine.kind(result) == engine.name
    frame = engine.frame(result).sort("person_id")
    columns = ["state", "months_to", "visited_0_9", "visited_0_10", "visited_1_10"]
    found = dict(zip([p[0] for p in PEOPLE], frame.select(columns).rows(), strict=True))
    assert found == {p[0]: tuple(p[3:]) for p in PEOPLE}
    assert frame["mature"].all()
    assert frame.filter("month_0")["person_id"].to_list() == [1, 2, len(PEOPLE) - 1]


@pytest.mark.parametrize(
    ("through", "who", "state", "months_to", "windows"),
    [
        ("2025-03", "never seen", "open", 9, (False, None, None)),
        ("2025-03", "month 9", "visited", 9, (True, True, True)),
        ("2025-02", "month 9", "open", 8, (None, None, None)),  # its claim is there but the month is not complete
        ("2024-08", "left on the 2nd", "open", 2, (None, None, None)),  # not yet known to have left
        ("2024-09", "left on the 2nd", "left", 3, (None, None, None)),
        ("2024-05", "never seen", "open", -1, (None, None, None)),
        ("2024-01", "never seen", "open", -1, (None, None, None)),
    ],
)
def test_nothing_after_the_last_complete_month_is_used(engine, through, who, state, months_to, windows):
    people, claims, members = map(engine, frames_of())
    frame = engine.frame(ka.first_visit(people, claims, members, data_through=through))
    row = frame.filter(pl.col("person_id") == [p[0] for p in PEOPLE].index(who)).row(0, named=True)
    assert (row["state"], row["months_to"], row["mature"]) == (state, months_to, False)
    assert (row["visited_0_9"], row["visited_0_10"], row["visited_1_10"]) == windows


def test_a_visit_for_the_disease_needs_its_diagnosis_or_drug(engine):
    seen = [(202407, {"dx_lipid": True}), (202409, {"rx_bp": True})]  # lipid is not what brought the person in
    people, claims, members = map(engine, frames_of([("", [(D(2020, 4, 1), None)], seen)]))
    assert engine.frame(ka.first_visit(people, claims, members, data_through=202504))["months_to"].to_list() == [1]
    disease = ka.first_visit(people, claims, members, data_through=202504, visit="disease")
    assert engine.frame(disease)["months_to"].to_list() == [3]


def test_counting_may_start_the_month_after(engine):
    people, claims, members = map(engine, frames_of())
    frame = engine.frame(ka.first_visit(people, claims, members, data_through=202504, months=(1, 10)))
    states = dict(frame.select("person_id", "state").iter_rows())
    assert states[1] == "not_visited"  # month 0 only
    assert states[2] == "visited"


def test_duplicate_rows_and_row_order_do_not_matter():
    people, claims, members = frames_of()
    once = ka.first_visit(people, claims, members, data_through=202504).sort("person_id")
    twice = ka.first_visit(
        people,
        pl.concat([claims, claims]).sample(fraction=1, shuffle=True, seed=1),
        pl.concat([members, members]),
        data_through=202504,
    ).sort("person_id")
    assert twice.equals(once)


def oracle(row, claims, members, through):
    """For one person: followed while enrolled without a gap; a visit in a known, enrolled month 0-10 counts."""

    def number(month):
        return month // 100 * 12 + month % 100

    index = row["checkup_date"].year * 12 + row["checkup_date"].month
    day, spells = (
        row["checkup_date"],
        sorted((m for m in members if m["person_id"] == row["person_id"]), key=lambda m: m["valid_from"]),
    )
    end = None
    for spell in spells:
        if spell["valid_from"] <= day and (spell["valid_to"] is None or day < spell["valid_to"]):
            end = spell["valid_to"]
    grew = True
    while end is not None and grew:
        grew = False
        for spell in spells:
            if spell["valid_from"] <= end and (spell["valid_to"] is None or spell["valid_to"] > end):
                end, grew = spell["valid_to"], True
                if end is None:
                    break
    last_day = None if end is None else end - dt.timedelta(days=1)
    until = 10**6 if last_day is None else last_day.year * 12 + last_day.month
    complete = number(through) - index
    months = sorted(
        number(c["treatment_month"]) - index
        for c in claims
        if c["person_id"] == row["person_id"]
        and c["kind"] == "入院外"
        and c["status"] in ("normal", "reclaimed")
        and number(c["treatment_month"]) <= until
    )
    months = [m for m in months if 0 <= m <= min(10, complete)]
    if months:
        return "visited", months[0]
    if until - index < 10 and until - index <= complete:
        return "left", until - index
    if complete < 10:
        return "open", max(complete, -1)
    return "not_visited", 10


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_agrees_person_by_person(engine, seed):
    rng = np.random.default_rng(seed)
    n = 250
    people = pl.DataFrame(
        {"person_id": np.arange(n), "checkup_date": np.datetime64("2023-10-01") + rng.integers(0, 500, n)}
    ).with_columns(pl.col("checkup_date").cast(pl.Date))
    spells = []
    for person, day in people.iter_rows():
        start = day - dt.timedelta(days=int(rng.integers(0, 400)))
        while len(spells) < 10**6:
            end = start + dt.timedelta(days=int(rng.integers(200, 900))) if rng.random() < 0.6 else None
            if end is not None and rng.random() < 0.3:
                end = end.replace(day=1)
            if end is None or end > day or rng.random() < 0.5:
                spells.append((person, start, end))
            if end is None or rng.random() < 0.4:
                break
            start = end + dt.timedelta(days=int(rng.choice([0, 0, 1, 40])))
    held = {p for p, a, b in spells for day in [people["checkup_date"][p]] if a <= day and (b is None or day < b)}
    people = people.filter(pl.col("person_id").is_in(list(held)))
    members = pl.DataFrame(
        spells, schema={"person_id": pl.Int64, "valid_from": pl.Date, "valid_to": pl.Date}, orient="row"
    ).with_columns(pl.lit(197001, pl.Int32).alias("birth_month"))
    months = [y * 100 + m for y in (2023, 2024, 2025) for m in range(1, 13)]
    claims = pl.DataFrame(
        {
            "person_id": rng.integers(0, n, n * 3),
            "treatment_month": rng.choice(months, n * 3).astype(np.int32),
            "status": rng.choice(["normal", "returned", "reclaimed", "after_loss"], n * 3, p=[0.7, 0.1, 0.1, 0.1]),
            "kind": rng.choice(["入院外", "歯科"], n * 3),
        }
    )
    expected = {
        row["person_id"]: oracle(row, claims.to_dicts(), members.to_dicts(), 202502) for row in people.to_dicts()
    }
    frame = engine.frame(ka.first_visit(engine(people), engine(claims), engine(members), data_through=202502))
    assert {p: (s, m) for p, s, m in frame.select("person_id", "state", "months_to").iter_rows()} == expected
    assert {state for state, _ in expected.values()} == {"visited", "left", "open", "not_visited"}


def test_the_kpi_counts_mature_people_and_shows_leavers_apart(engine):
    people, claims, members = map(engine, frames_of())
    result = ka.visit_incidence(ka.first_visit(people, claims, members, data_through=202504))
    kpi = {row["window"]: row for row in engine.frame(result.kpi).to_dicts()}
    assert [kpi[w]["events"] for w in ("0-9", "0-10", "1-10")] == [sum(bool(p[i]) for p in PEOPLE) for i in (5, 6, 7)]
    assert {kpi[w]["persons"] for w in kpi} == {len(PEOPLE)}
    assert kpi["0-10"]["left"] == sum(p[3] == "left" for p in PEOPLE)
    assert kpi["0-10"]["turned_75"] == 1
    assert kpi["0-10"]["month_0"] == 3
    assert kpi["0-10"]["estimate"] == kpi["0-10"]["events"] / len(PEOPLE)
    assert kpi["0-10"]["lower"] < kpi["0-10"]["estimate"] < kpi["0-10"]["upper"]
    early = ka.visit_incidence(ka.first_visit(people, claims, members, data_through=202503))
    row = engine.frame(early.kpi).filter(pl.col("window") == "0-10").row(0, named=True)
    assert (row["persons"], row["estimate"], row["not_mature"]) == (0, None, len(PEOPLE))


def test_the_curve_is_aalen_johansen_by_hand(engine):
    """10 people: visits at 1, 1, 3; leaving at 2, 2; 75 at 2; the rest followed to 10.

    Month 1: 2/10. Month 2: nobody visits, 2 leave among 8. Month 3 at risk 5 (8 - 2 left - 1 censored): the share still
    event-free and enrolled is 8/10 x 6/8 = 0.6, so +0.6 x 1/5 = 0.12.
    """
    stay = [(D(2020, 4, 1), None)]
    left, old = [(D(2020, 4, 1), D(2024, 8, 20))], [(D(2020, 4, 1), D(2024, 8, 20), 194908)]
    people = [("", stay, [(202407, {})])] * 2 + [("", stay, [(202409, {})])] + [("", left, [])] * 2 + [("", old, [])]
    people += [("", stay, [])] * 4
    result = ka.visit_incidence(ka.first_visit(*map(engine, frames_of(people)), data_through=202504))
    curve = engine.frame(result.curve)
    assert curve["month"].to_list() == list(range(11))
    assert curve["at_risk"].to_list()[:5] == [10, 10, 8, 5, 4]
    np.testing.assert_allclose(curve["estimate"].to_list(), [0, 0.2, 0.2] + [0.32] * 8, atol=1e-12)


def test_groups_are_split_and_add_up(engine):
    people, claims, members = frames_of()
    people = people.with_columns(
        pl.when(pl.col("person_id") % 2 == 0).then(pl.lit("F")).otherwise(pl.lit("M")).alias("sex")
    )
    visits = ka.first_visit(engine(people), engine(claims), engine(members), data_through=202504)
    whole, split = ka.visit_incidence(visits), ka.visit_incidence(visits, by=["sex"])
    total = engine.frame(whole.kpi).select("window", "persons", "events")
    parts = engine.frame(split.kpi).group_by("window", maintain_order=True).agg(pl.col("persons", "events").sum())
    assert parts.equals(total)
    assert engine.frame(split.kpi)["sex"].unique().sort().to_list() == ["F", "M"]


def test_a_person_with_two_domains_counts_in_both(engine):
    people, claims, members = frames_of()
    people = people.with_columns((pl.col("person_id") % 2 == 0).alias("by_lipid"))
    visits = ka.first_visit(engine(people), engine(claims), engine(members), data_through=202504)
    kpi = engine.frame(ka.visit_incidence(visits, by=["domain"]).kpi).filter(pl.col("window") == "0-10")
    assert dict(kpi.select("domain", "persons").iter_rows()) == {"bp": len(PEOPLE), "lipid": len(PEOPLE) // 2}


@pytest.mark.parametrize(("through", "mature"), [("2025-04", True), ("2025-03", False)])
def test_a_window_closes_when_its_last_month_is_complete(engine, through, mature):
    people, claims, members = map(engine, frames_of())
    result = ka.first_visit(people, claims, members, data_through=through)
    assert set(engine.frame(result)["mature"]) == {mature}
    kpi = {row["window"]: row for row in engine.frame(ka.visit_incidence(result).kpi).to_dicts()}
    assert kpi["0-9"]["persons"] == len(PEOPLE)  # one month shorter: complete either way
    assert kpi["0-10"]["persons"] == (len(PEOPLE) if mature else 0)


def test_each_window_counts_the_people_for_whom_it_is_complete(engine):
    people, claims, members = map(engine, frames_of())
    result = ka.first_visit(people, claims, members, data_through=202410, months=(0, 3))
    frame = engine.frame(result)
    assert {name for name in frame.columns if name.startswith("visited_")} == {"visited_0_3"}
    kpi = engine.frame(ka.visit_incidence(result).kpi).to_dicts()
    assert [(row["window"], row["persons"]) for row in kpi] == [("0-3", len(PEOPLE))]
    assert kpi[0]["left"] == sum(p[3] == "left" and p[4] < 3 for p in PEOPLE)


def test_nobody_complete_gives_an_empty_curve_and_no_share(engine):
    people, claims, members = map(engine, frames_of())
    result = ka.visit_incidence(ka.first_visit(people, claims, members, data_through=202401), by=["by_bp"])
    assert engine.frame(result.kpi)["estimate"].null_count() == 3
    assert len(engine.frame(result.curve)) == 0
    assert "by_bp" in engine.frame(result.curve).columns


def test_what_is_wrong_is_said():
    people, claims, members = frames_of()
    dated = claims.with_columns(pl.lit(202503, pl.Int32).alias("received_month"))
    assert len(ka.first_visit(people, dated, members, data_through=202503)) == len(PEOPLE)
    with pytest.raises(DateError, match="2025-03受領分まで"):
        ka.first_visit(people, dated, members, data_through=202504)
    with pytest.raises(DateError, match="2024-13"):
        ka.first_visit(people, claims, members, data_through="2024-13")
    with pytest.raises(DefinitionError, match="範囲"):
        ka.first_visit(people, claims, members, data_through=202504, months=(5, 3))
    with pytest.raises(TableError, match="by_bp"):
        ka.first_visit(people.drop("by_bp"), claims, members, data_through=202504, visit="disease")
    once = ka.first_visit(people, claims, members, data_through=202504)
    with pytest.raises(TableError, match="すでに結果の列"):
        ka.first_visit(once, claims, members, data_through=202504, visit="disease")
    for by, message in (("sex", "列の名前の並び"), (["sex"], "列がありません: sex"), (["state"], "結果の列では")):
        with pytest.raises(TableError, match=message):
            ka.visit_incidence(once, by=by)
    with pytest.raises(TableError, match="first_visitの結果に列がありません"):
        ka.visit_incidence(people)
    with pytest.raises(DefinitionError, match="範囲"):
        ka.first_visit(people, claims, members, data_through=202504, months=10)  # type: ignore[arg-type]
    with pytest.raises(EstimateError, match="一人も"):
        ka.visit_incidence(ka.first_visit(people.clear(), claims, members, data_through=202504))
