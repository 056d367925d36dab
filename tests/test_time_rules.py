"""Three clocks, never mixed: event month, knowledge cut, maturity. One readable table of cases for each.

Event month     a definition applies as it stood at the checkup, the letter, or the April of the KPI year.
Knowledge cut   `--month` hides every row that was received later.
Maturity        a window counts when it has closed and the claims run-out has passed.
"""

import datetime as dt

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.definitions import define
from kenpo_analytics.months import add_months, fiscal_year_of, months_between, parse_month
from kenpo_analytics.outcomes.lag import last_complete_month, mature_month
from kenpo_analytics.store import load

USED = define()
LETTER_LAG = int(USED.number("untreated.letter_lag"))


def month(text: str) -> int:
    return parse_month(text)


def kpi_month(checkup: int) -> int:
    """The April of the KPI year: the fiscal year after the checkup's."""
    return (fiscal_year_of(checkup) + 1) * 100 + 4


MEMBER = pl.DataFrame(
    {"person_id": [1], "valid_from": [dt.date(2015, 4, 1)], "valid_to": [None], "birth_month": [197001]}
    | {"fy_age_base": [1970], "relationship": ["insured"], "sex": ["M"]},
    schema_overrides={"valid_to": pl.Date, "birth_month": pl.Int32},
)
NO_CLAIMS = pl.DataFrame(
    schema={"person_id": pl.Int64, "treatment_month": pl.Int32, "status": pl.String, "kind": pl.String}
)


def examined(checkup: int, **values: float) -> pl.DataFrame:
    """One person with these values at a checkup in the middle of a month."""
    date = dt.date(checkup // 100, checkup % 100, 15)
    row = {"record_id": 1, "person_id": 1, "checkup_date": date, "kind": "生活習慣病予防健診", "fasting": "fasting"}
    return pl.DataFrame([row | values])


def invited(checkup: int, purpose: str, **values: float) -> bool:
    """Does `untreated` take this person at the first level?"""
    year = fiscal_year_of(checkup)
    people = ka.untreated(examined(checkup, **values), NO_CLAIMS, MEMBER, fiscal_year=year, purpose=purpose).people
    return len(people) == 1


def counts(checkup: int, last: int, complete: int) -> bool:
    """Does `first_visit` call the window of this person mature?"""
    people = examined(checkup).select("person_id", "checkup_date")
    followed = ka.first_visit(people, NO_CLAIMS, MEMBER, data_through=complete, months=(0, last))
    return followed["mature"].item()


CLOCK_OF = {
    "checkup": lambda checkup: checkup,
    "letter": lambda checkup: add_months(checkup, LETTER_LAG),
    "kpi": kpi_month,
}

# --- event month ----------------------------------------------------------------------------------------
# definition, its clock, month of the checkup -> month that decides, value in force (None: not in force)
# LDL >= 180 began with the letters of October 2022; for the KPI it is taken to begin with the KPI year 2023 (仮定).

EVENTS = [
    ("untreated.first.letter.ldl", "letter", "2022-03", "2022-09", None),
    ("untreated.first.letter.ldl", "letter", "2022-04", "2022-10", 180),
    ("untreated.first.letter.ldl", "letter", "2025-09", "2026-03", 180),
    ("untreated.second.letter.domains", "letter", "2022-03", "2022-09", None),
    ("untreated.second.letter.domains", "letter", "2022-04", "2022-10", 2),
    ("untreated.first.letter.sbp", "letter", "2017-04", "2017-10", 160),
    ("untreated.first.kpi.ldl", "kpi", "2022-03", "2022-04", None),
    ("untreated.first.kpi.ldl", "kpi", "2022-04", "2023-04", 180),
    ("untreated.first.kpi.ldl", "kpi", "2023-03", "2023-04", 180),
    ("untreated.first.kpi.ldl", "kpi", "2021-12", "2022-04", None),
    ("untreated.second.kpi.domains", "kpi", "2022-03", "2022-04", None),
    ("untreated.second.kpi.domains", "kpi", "2022-04", "2023-04", 2),
    ("judgement.referral.sbp", "checkup", "2024-03", "2024-03", None),
    ("judgement.referral.sbp", "checkup", "2024-04", "2024-04", 140),
    ("guidance.lipid.tg.casual", "checkup", "2024-03", "2024-03", 150),
    ("guidance.lipid.tg.casual", "checkup", "2024-04", "2024-04", 175),
    ("prediabetes.fpg.lower", "checkup", "2017-04", "2017-04", 110),
]


@pytest.mark.parametrize(("id", "clock", "checkup", "decides", "value"), EVENTS)
def test_a_definition_applies_as_it_stood_on_its_own_clock(id, clock, checkup, decides, value):
    assert {row.clock for row in USED.versions(id)} == {clock}
    assert CLOCK_OF[clock](month(checkup)) == month(decides)
    found = USED.at(id, month(decides))
    assert (found and found.value) == value


def test_the_same_checkup_is_judged_differently_by_letter_and_kpi():
    # high LDL alone: examined in 2022-03, no letter and no KPI; in 2022-04 both; the month of the letter is not the
    # month of the KPI, and neither is the month of the checkup
    ldl = {clock: f"untreated.first.{clock}.ldl" for clock in ("letter", "kpi")}
    applies = {
        checkup: {clock: USED.at(id, CLOCK_OF[clock](month(checkup))) is not None for clock, id in ldl.items()}
        for checkup in ("2021-04", "2022-03", "2022-04", "2022-09", "2022-10")
    }
    assert applies == {
        "2021-04": {"letter": False, "kpi": False},
        "2022-03": {"letter": False, "kpi": False},
        "2022-04": {"letter": True, "kpi": True},
        "2022-09": {"letter": True, "kpi": True},
        "2022-10": {"letter": True, "kpi": True},
    }
    # and so does the cohort itself
    for checkup, expected in applies.items():
        assert {clock: invited(month(checkup), clock, ldl=190.0) for clock in expected} == expected, checkup
    # on the clock of the checkup itself, April to September 2022 would be lost
    assert USED.at(ldl["letter"], month("2022-04")) is None


def test_fee_codes_hold_on_the_month_of_treatment():
    assert {(fee.valid_from, fee.valid_to) for fee in USED.fee_codes} == {(202406, 202606)}


# --- knowledge cut --------------------------------------------------------------------------------------
# treatment month, received month, --month -> is it there?

CUTS = [
    ("2024-07", "2024-11", "2024-10", False),
    ("2024-07", "2024-11", "2024-11", True),
    ("2024-07", "2024-10", "2024-10", True),
    ("2024-10", "2024-10", "2024-10", True),
    ("2024-10", "2024-11", "2024-10", False),
    ("2023-04", "2025-03", "2025-02", False),
    ("2024-12", "2025-01", "2024-12", False),
]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Checkups and claims with given months; the data run from 2017-05 to 2025-10."""
    monkeypatch.delenv("KENPO_MONTH", raising=False)
    day = {"person_id": [1], "valid_from": [dt.date(2017, 4, 1)], "valid_to": [None]}
    pl.DataFrame(day, schema_overrides={"valid_to": pl.Date}).write_parquet(tmp_path / "members.parquet")

    def fill(treatment: int, received: int):
        claims = {"claim_id": [0, 1, 2], "treatment_month": [201704, treatment, 202509]}
        claims["received_month"] = [201705, received, 202510]
        for name in ("claims", "claim_fees"):
            pl.DataFrame(claims).write_parquet(tmp_path / f"{name}.parquet")
        checkups = {"record_id": [1], "checkup_date": [dt.date(treatment // 100, treatment % 100, 1)]}
        pl.DataFrame(checkups | {"received_month": [received]}).write_parquet(tmp_path / "checkups.parquet")
        return tmp_path

    return fill


@pytest.mark.parametrize(("treatment", "received", "cut", "there"), CUTS)
def test_what_was_received_later_was_not_known(world, treatment, received, cut, there):
    tables = load(world(month(treatment), month(received)), month=cut)
    assert tables.month == month(cut)
    for name in ("claims", "claim_fees", "checkups"):
        assert tables.polars(name).filter(received_month=month(received)).height == there, name


def test_the_cut_does_not_change_which_definition_applies(world):
    # the run of 2022-09 and that of 2025-10 judge a checkup of 2022-04 by the same version: the letter's month decides
    folder = world(202204, 202206)
    for cut in ("2022-09", "2025-10"):
        held = load(folder, month=cut).definitions.at("untreated.first.letter.ldl", add_months(202204, LETTER_LAG))
        assert held is not None
        assert held.value == 180


# --- maturity -------------------------------------------------------------------------------------------
# checkup month, last month of the window, run-out, data through -> window closes in, complete through, mature?

WINDOWS = [
    ("2024-04", 10, 0, "2025-01", "2025-02", "2025-01", False),
    ("2024-04", 10, 0, "2025-02", "2025-02", "2025-02", True),
    ("2024-04", 10, 6, "2025-02", "2025-02", "2024-08", False),  # closed, but its claims are still on their way
    ("2024-04", 10, 6, "2025-07", "2025-02", "2025-01", False),
    ("2024-04", 10, 6, "2025-08", "2025-02", "2025-02", True),
    ("2024-04", 9, 6, "2025-07", "2025-01", "2025-01", True),  # the window 0-9 matures a month earlier
    ("2024-03", 10, 6, "2025-07", "2025-01", "2025-01", True),
    ("2025-03", 10, 6, "2026-07", "2026-01", "2026-01", True),  # the last month of fiscal year 2024
    ("2025-03", 10, 6, "2026-06", "2026-01", "2025-12", False),
]


@pytest.mark.parametrize(("checkup", "last", "lag", "through", "closes", "complete", "mature"), WINDOWS)
def test_a_window_counts_when_it_is_closed_and_its_claims_have_arrived(
    checkup, last, lag, through, closes, complete, mature
):
    assert add_months(month(checkup), last) == month(closes)
    assert last_complete_month(through, lag) == month(complete)
    assert counts(month(checkup), last, last_complete_month(through, lag)) is mature
    assert (months_between(month(closes), month(through)) >= lag) is mature


def test_the_run_out_is_estimated_on_what_was_known_then():
    # 100 claims a month; 99 arrive within 2 months until 2023-06, within 4 months from then on
    rows = []
    for treated in range(48):
        at = add_months(202101, treated)
        late = 2 if at < 202307 else 4
        rows += [(at, add_months(at, 1))] * 90 + [(at, add_months(at, late))] * 9 + [(at, add_months(at, 8))]
    claims = pl.DataFrame(rows, schema=["treatment_month", "received_month"], orient="row").with_columns(
        status=pl.lit("normal"), kind=pl.lit("入院外")
    )
    then, now = (mature_month(claims, definitions=USED, through=through) for through in ("2023-06", "2024-12"))
    assert (then.run_out, then.complete_through) == (2, 202304)
    assert (now.run_out, now.complete_through) == (4, 202408)


def test_the_three_clocks_of_one_checkup():
    """A checkup of 2024-04, seen in the run of 2025-10 with a run-out of 6 months."""
    checkup, run = 202404, 202510
    assert USED.at("untreated.first.letter.ldl", add_months(checkup, LETTER_LAG)).valid_from == 202210  # event
    assert kpi_month(checkup) == 202504  # event, on the KPI's clock
    assert counts(checkup, int(USED.number("followup.months")), last_complete_month(run, 6))  # maturity
    last_mature = max(m for m in range(202404, 202413) if counts(m, 10, last_complete_month(run, 6)))
    assert last_mature == 202406  # so a page of this run shows April to June of fiscal year 2024
