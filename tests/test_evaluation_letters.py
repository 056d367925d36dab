"""Letters of a cohort, and the rule they were drawn by."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import letters, rule_in_force
from kenpo_analytics.evaluation.letters import LEAFLET

D = dt.date
# record; next checkup (outcome, day); letters (programme, status, sent) -> what it counts as
# fmt: off
CASES = [
    (1, "improved",  D(2024, 6, 1),  [(LEAFLET, "sent", D(2024, 1, 20))], "in_time"),
    (2, "improved",  D(2024, 4, 19), [(LEAFLET, "sent", D(2024, 1, 20))], "in_time"),  # 90 days
    (3, "worsened",  D(2024, 4, 18), [(LEAFLET, "sent", D(2024, 1, 20))], "late"),     # 89 days
    (4, "unchanged", D(2024, 1, 5),  [(LEAFLET, "sent", D(2024, 1, 20))], "late"),     # before it
    (5, "too_late",  D(2025, 9, 1),  [(LEAFLET, "sent", D(2024, 1, 20))], "sent_unseen"),
    (6, "none",      None,           [(LEAFLET, "undelivered", D(2024, 1, 20))], "not_delivered"),
    (7, "treated",   D(2024, 6, 1),  [(LEAFLET, "not_mailed", None)], "not_delivered"),
    (8, "improved",  D(2024, 6, 1),  [("untreated_first", "sent", D(2024, 1, 20))], "no_record"),
    (9, "improved",  D(2024, 6, 1),  [], "no_record"),
    (10, "improved", D(2024, 6, 1),  [(LEAFLET, "undelivered", D(2024, 1, 2)),
                                      (LEAFLET, "sent", D(2024, 5, 1)),
                                      (LEAFLET, "sent", D(2024, 1, 25))], "in_time"),  # first that was sent
]
# fmt: on


def mailings() -> pl.DataFrame:
    rows = [(record, *letter, D(2024, 1, 20), "and") for record, _, _, sent, _ in CASES for letter in sent]
    schema = {"record_id": pl.Int64, "programme": pl.String, "status": pl.String, "sent_date": pl.Date}
    schema |= {"planned_date": pl.Date, "rule": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_each_person_is_counted_once_where_the_letter_puts_them(engine) -> None:
    cohort = pl.DataFrame(
        [(record, outcome, day) for record, outcome, day, _, _ in CASES],
        schema={"record_id": pl.Int64, "outcome": pl.String, "next_date": pl.Date},
        orient="row",
    )
    found = engine.frame(letters(engine(cohort), engine(mailings())))
    expected = [case[4] for case in CASES]
    assert dict(found.select("letter", "n").iter_rows()) == {
        name: expected.count(name) for name in ("in_time", "late", "sent_unseen", "not_delivered", "no_record")
    }
    assert found["n"].sum() == found["denominator"][0] == len(CASES)
    assert found["estimate"].sum() == pytest.approx(1.0)


def test_the_rule_of_the_first_letters_holds(engine) -> None:
    checkups = engine({"record_id": [1, 2, 3], "checkup_date": [D(2024, 5, 1), D(2025, 3, 31), D(2025, 4, 1)]})
    sent = engine(
        {
            "record_id": [1, 2, 2, 3],
            "programme": ["prediabetes_leaflet"] * 4,
            "planned_date": [D(2025, 1, 20), D(2025, 4, 25), D(2025, 5, 25), D(2025, 4, 1)],
            "rule": ["and", "or", "or", "or"],
        }
    )
    assert rule_in_force(sent, checkups, fiscal_year=2024) == "and"
    assert rule_in_force(sent, checkups, fiscal_year=2025) == "or"
    with pytest.raises(EstimateError, match="2017年度の健診にもとづく通知の記録がありません"):
        rule_in_force(sent, checkups, fiscal_year=2017)
