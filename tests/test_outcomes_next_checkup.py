"""The next checkup: states, categories, dead bands, intervals, on every kind of frame."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import DefinitionError, TableError

D = dt.date
INDEX = D(2023, 6, 15)

# who; fpg, hba1c at the index checkup on 2023-06-15; later checkups (date, fpg, hba1c, glucose drug, fasting);
# outcome, interval, by FPG, by HbA1c
# fmt: off
PEOPLE = [
    ("back to normal",            118, 5.5, [(D(2024, 6, 1), 105, 5.5, False, "fasting")],  "improved",   12, "improved",  "unchanged"),
    ("still prediabetes",         118, 5.5, [(D(2024, 6, 1), 122, 5.5, False, "fasting")],  "unchanged",  12, "unchanged", "unchanged"),
    ("within the band, category", 110, 5.5, [(D(2024, 6, 1), 109, 5.5, False, "fasting")],  "improved",   12, "unchanged", "unchanged"),
    ("band is inclusive",         118, 6.2, [(D(2024, 6, 1), 113, 6.0, False, "fasting")],  "unchanged",  12, "unchanged", "unchanged"),
    ("just beyond the band",      118, 6.2, [(D(2024, 6, 1), 112, 5.9, False, "fasting")],  "unchanged",  12, "improved",  "improved"),
    ("worse by value",            112, 6.0, [(D(2024, 6, 1), 118, 6.3, False, "fasting")],  "unchanged",  12, "worsened",  "worsened"),
    ("diabetes range by HbA1c",   118, 6.2, [(D(2024, 6, 1), 118, 6.5, False, "fasting")],  "worsened",   12, "unchanged", "worsened"),
    ("drug started",              118, 6.2, [(D(2024, 6, 1), 100, 5.5, True,  "fasting")],  "treated",    12, "improved",  "improved"),
    ("drug question unanswered",  118, 6.2, [(D(2024, 6, 1), 100, 5.5, None,  "fasting")],  "improved",   12, "improved",  "improved"),
    ("no marker next time",       118, 6.2, [(D(2024, 6, 1), None, None, False, "fasting")], "not_judged", 12, None,       None),
    ("casual next time",          118, 6.2, [(D(2024, 6, 1), 100, None, False, "casual")],  "not_judged", 12, None,        None),
    ("casual, HbA1c tells",       118, 6.2, [(D(2024, 6, 1), 100, 5.5, False, "casual")],   "improved",   12, None,        "improved"),
    ("in mmol/L next time",       118, 6.2, [(D(2024, 6, 1), 5.6, 6.2, False, "fasting")],  "unchanged",  12, None,        "unchanged"),
    ("not seen again",            118, 6.2, [],                                            "none",     None, None,        None),
    ("too early only",            118, 6.2, [(D(2023, 11, 1), 100, 5.5, False, "fasting")], "too_early",   5, None,        None),
    ("six months is in time",     118, 6.2, [(D(2023, 12, 1), 100, 5.5, False, "fasting")], "improved",    6, "improved",  "improved"),
    ("18 months is in time",      118, 6.2, [(D(2024, 12, 31), 100, 5.5, False, "fasting")], "improved",  18, "improved",  "improved"),
    ("too late only",             118, 6.2, [(D(2025, 1, 1), 100, 5.5, False, "fasting")],  "too_late",   19, None,        None),
    ("early and in time",         118, 6.2, [(D(2023, 11, 1), 130, 7.0, False, "fasting"), (D(2024, 6, 1), 100, 5.5, False, "fasting")], "improved", 12, "improved", "improved"),
    ("the first in time",         118, 6.2, [(D(2024, 5, 1), 118, 6.2, False, "fasting"), (D(2024, 6, 1), 100, 5.5, False, "fasting")], "unchanged", 11, "unchanged", "unchanged"),
    ("on the index day itself",   118, 6.2, [(INDEX, 100, 5.5, False, "fasting")],          "none",     None, None,        None),
    ("one marker at the index",   118, None, [(D(2024, 6, 1), 105, 5.5, False, "fasting")], "improved",   12, "improved",  None),
]
# fmt: on


def frames_of():
    people = pl.DataFrame(
        {
            "person_id": list(range(len(PEOPLE))),
            "checkup_date": [INDEX] * len(PEOPLE),
            "fpg": [p[1] for p in PEOPLE],
            "hba1c": [p[2] for p in PEOPLE],
        },
        schema_overrides={"fpg": pl.Float64},
    )
    rows = [(n, INDEX, float(p[1]), p[2], False, "fasting") for n, p in enumerate(PEOPLE)]
    rows += [(n, *later) for n, p in enumerate(PEOPLE) for later in p[3]]
    checkups = pl.DataFrame(
        rows,
        schema={"person_id": pl.Int64, "checkup_date": pl.Date, "fpg": pl.Float64, "hba1c": pl.Float64}
        | {"medication_glucose": pl.Boolean, "fasting": pl.String},
        orient="row",
        strict=False,
    ).with_row_index("record_id")
    return people, checkups.with_columns(
        pl.col("record_id").cast(pl.Int64), pl.lit(202506, pl.Int32).alias("received_month")
    )


def test_edge_people_on_every_kind_of_frame(engine):
    people, checkups = map(engine, frames_of())
    result = ka.next_checkup(people, checkups, data_through="2025-03")
    assert engine.kind(result) == engine.name
    frame = engine.frame(result).sort("person_id")
    found = frame.select("outcome", "interval_months", "fpg_outcome", "hba1c_outcome").rows()
    assert dict(zip([p[0] for p in PEOPLE], found, strict=True)) == {p[0]: p[4:] for p in PEOPLE}
    assert frame["category"].to_list() == ["prediabetes"] * len(PEOPLE)


def test_someone_who_may_still_come_is_open_not_lost(engine):
    people, checkups = map(engine, frames_of())
    frame = engine.frame(ka.next_checkup(people, checkups, data_through="2024-11")).sort("person_id")
    outcomes = dict(zip([p[0] for p in PEOPLE], frame["outcome"], strict=True))
    assert outcomes["not seen again"] == outcomes["too early only"] == outcomes["too late only"] == "open"
    assert outcomes["back to normal"] == "improved"
    closed = engine.frame(ka.next_checkup(people, checkups, data_through="2024-12")).sort("person_id")
    assert dict(zip([p[0] for p in PEOPLE], closed["outcome"], strict=True))["not seen again"] == "none"


@pytest.mark.parametrize(
    ("month", "status", "treated"),
    [
        (202308, "normal", True),
        (202406, "normal", True),
        (202306, "normal", False),
        (202407, "normal", False),
        (202308, "returned", False),
    ],
)
def test_a_drug_in_the_claims_counts_between_the_checkups(engine, month, status, treated):
    people, checkups = frames_of()
    claims = pl.DataFrame(
        {"person_id": [0], "treatment_month": [month], "status": [status], "rx_glucose": [True]},
        schema_overrides={"treatment_month": pl.Int32},
    )
    frame = engine.frame(ka.next_checkup(engine(people), engine(checkups), engine(claims), data_through="2025-03"))
    assert frame.filter(pl.col("person_id") == 0)["outcome"].to_list() == ["treated" if treated else "improved"]


def test_the_dead_band_is_a_parameter(engine):
    people, checkups = map(engine, frames_of())
    frame = engine.frame(ka.next_checkup(people, checkups, data_through="2025-03", dead_band={"fpg": 3})).sort(
        "person_id"
    )
    names = [p[0] for p in PEOPLE]
    assert frame["fpg_outcome"][names.index("still prediabetes")] == "worsened"
    assert frame["fpg_outcome"][names.index("band is inclusive")] == "improved"
    with pytest.raises(DefinitionError, match="ldl"):
        ka.next_checkup(*frames_of(), data_through="2025-03", dead_band={"ldl": 3})


def test_whoever_was_on_the_drug_already_did_not_start_it(engine):
    people, checkups = frames_of()
    who = [p[0] for p in PEOPLE].index("drug started")
    index = (pl.col("person_id") == who) & (pl.col("checkup_date") == INDEX)
    on_drug = checkups.with_columns(
        pl.when(index).then(True).otherwise("medication_glucose").alias("medication_glucose")
    )
    frame = engine.frame(ka.next_checkup(engine(people), engine(on_drug), data_through="2025-03")).sort("person_id")
    assert frame["outcome"][who] == "improved"


def test_a_casual_sample_at_the_index_is_no_fasting_value(engine):
    people, checkups = frames_of()
    casual = people.with_columns(pl.lit("casual").alias("fasting"))
    frame = engine.frame(ka.next_checkup(engine(casual), engine(checkups), data_through="2025-03")).sort("person_id")
    assert frame["fpg_change"].null_count() == len(PEOPLE)
    assert frame["outcome"][[p[0] for p in PEOPLE].index("one marker at the index")] == "not_judged"
    assert frame["fpg"].to_list() == people["fpg"].to_list()  # what came in goes back


def test_what_is_wrong_is_said():
    people, checkups = frames_of()
    with pytest.raises(DefinitionError, match="不感帯は0以上"):
        ka.next_checkup(people, checkups, data_through="2025-03", dead_band={"fpg": -5})
    with pytest.raises(TableError, match="すでに結果の列"):
        ka.next_checkup(ka.next_checkup(people, checkups, data_through="2025-03"), checkups, data_through="2025-03")


def test_duplicates_and_row_order_do_not_matter():
    people, checkups = frames_of()
    once = ka.next_checkup(people, checkups, data_through="2025-03").sort("person_id")
    doubled = pl.concat([checkups, checkups]).sample(fraction=1, shuffle=True, seed=5)
    assert ka.next_checkup(people, doubled, data_through="2025-03").sort("person_id").equals(once)


@pytest.mark.parametrize("seed", range(3))
def test_an_oracle_agrees_person_by_person(engine, seed):
    rng = np.random.default_rng(seed)
    n = 300
    people = pl.DataFrame(
        {
            "person_id": np.arange(n),
            "checkup_date": [INDEX] * n,
            "fpg": rng.choice([95.0, 110.0, 118.0, 126.0, np.nan], n),
            "hba1c": rng.choice([5.5, 6.0, 6.5, np.nan], n),
        }
    )
    m = n * 2
    checkups = pl.DataFrame(
        {
            "record_id": rng.permutation(m),
            "person_id": rng.integers(0, n, m),
            "checkup_date": np.datetime64("2023-06-01") + rng.integers(0, 700, m),
            "received_month": rng.choice([202501, 202502], m).astype(np.int32),
            "fpg": rng.choice([95.0, 105.0, 118.0, 126.0, np.nan], m),
            "hba1c": rng.choice([5.5, 5.8, 6.5, np.nan], m),
            "medication_glucose": rng.random(m) < 0.1,
            "fasting": rng.choice(["fasting", "casual"], m, p=[0.8, 0.2]),
        }
    ).with_columns(pl.col("checkup_date").cast(pl.Date))
    later = checkups.to_dicts()
    expected = {
        row["person_id"]: _oracle(row, [c for c in later if c["person_id"] == row["person_id"]])
        for row in people.to_dicts()
    }
    frame = engine.frame(ka.next_checkup(engine(people), engine(checkups), data_through="2025-03"))
    assert {p: (o, i) for p, o, i in frame.select("person_id", "outcome", "interval_months").iter_rows()} == expected


def _oracle(person, checkups):
    def level(fpg, hba1c):
        known = [x for x in (fpg, hba1c) if x is not None and x == x]
        if not known:
            return None
        if (fpg is not None and fpg >= 126) or (hba1c is not None and hba1c >= 6.5):
            return 2
        return int((fpg is not None and fpg >= 110) or (hba1c is not None and hba1c >= 6.0))

    after = [c for c in checkups if c["checkup_date"] > INDEX]
    for c in after:
        c["months"] = (c["checkup_date"].year - INDEX.year) * 12 + c["checkup_date"].month - INDEX.month
    in_time = [c for c in after if 6 <= c["months"] <= 18]
    early, late = [c for c in after if c["months"] < 6], [c for c in after if c["months"] > 18]
    if not in_time:
        if early:
            return "too_early", max(c["months"] for c in early)
        return ("too_late", min(c["months"] for c in late)) if late else ("none", None)
    day = min(c["checkup_date"] for c in in_time)
    pick = max((c for c in in_time if c["checkup_date"] == day), key=lambda c: (c["received_month"], c["record_id"]))
    if pick["medication_glucose"]:
        return "treated", pick["months"]
    before, now = (
        level(person["fpg"], person["hba1c"]),
        level(pick["fpg"] if pick["fasting"] == "fasting" else None, pick["hba1c"]),
    )
    if before is None or now is None:
        return "not_judged", pick["months"]
    return ("improved" if now < before else "worsened" if now > before else "unchanged"), pick["months"]
