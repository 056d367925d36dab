"""Letters of a cohort, and the rule they were drawn by."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from kenpo_analytics.errors import EstimateError, ParameterError
from kenpo_analytics.evaluation import letters, rule_in_force
from kenpo_analytics.evaluation.choices import choose, letter_years
from kenpo_analytics.evaluation.letters import LEAFLET
from kenpo_analytics.evaluation.protocol import Protocol

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


CHECKUPS = {
    "record_id": range(1, 41),
    "checkup_date": [D(2023, 5, 1)] * 10 + [D(2024, 5, 1)] * 12 + [D(2025, 3, 31)] * 11 + [D(2025, 4, 1)] * 7,
}


def mailed(rules: dict[int, str | None], *, again: dict[int, str] | None = None) -> pl.DataFrame:
    """A letter sent for each checkup by its rule, and a later one for those of `again`; one more that was not sent."""
    rows = [(record, LEAFLET, "sent", D(2025, 1, 20), D(2025, 1, 25), rule) for record, rule in rules.items()]
    rows += [(record, LEAFLET, "sent", D(2025, 5, 20), D(2025, 5, 25), rule) for record, rule in (again or {}).items()]
    rows.append((1, LEAFLET, "not_mailed", D(2024, 1, 1), None, "or"))
    names = ["record_id", "programme", "status", "planned_date", "sent_date", "rule"]
    return pl.DataFrame(rows, schema=names, orient="row")


def of_the_years(**other: str) -> dict[int, str | None]:
    """2023 by "and" but for one letter that does not say its rule; of 2024 twelve by "and" and eleven by "or"."""
    rules: dict[int, str | None] = dict.fromkeys(range(1, 23), "and") | dict.fromkeys(range(23, 41), "or")
    return rules | {10: None} | {int(name[1:]): rule for name, rule in other.items()}


def test_the_rule_of_a_year_is_that_of_the_letters_sent(engine) -> None:
    checkups = engine(pl.DataFrame(CHECKUPS))
    sent = engine(mailed(of_the_years(), again={3: "or"}))
    assert rule_in_force(sent, checkups, fiscal_year=2023) == "and"  # a second letter for a checkup does not change it
    assert rule_in_force(sent, checkups, fiscal_year=2025) == "or"
    with pytest.raises(EstimateError, match=r"1つの基準で送られていません\(及び\(12通\)・または\(11通\)\)"):
        rule_in_force(sent, checkups, fiscal_year=2024)
    with pytest.raises(EstimateError, match="2017年度の健診にもとづく通知の記録がありません"):
        rule_in_force(sent, checkups, fiscal_year=2017)


def test_a_year_of_two_rules_is_told_and_not_evaluated(engine) -> None:
    found = letter_years(engine(mailed(of_the_years())), engine(pl.DataFrame(CHECKUPS)))
    told = "及び(12通)・または(11通): 基準が混ざるため評価に用いない"
    assert found.rows() == [(2023, 10, "and"), (2024, 23, told), (2025, 7, "or")]
    choice = choose(found, last=2025, before=[2017])
    assert (choice.years, choice.rule, choice.latest) == ((2023,), "and", (2025, "or"))
    with pytest.raises(ParameterError, match=r"指定された2024年度の通知は、1つの基準で送られていません\(及び\(12通\)"):
        choose(found, last=2025, before=[2017], years=[2023, 2024])
    plan = Protocol(LEAFLET, "and", (2017,), (2023, 2024), "", "did_ancova", (110, 125), (100, 109), 9, D(2024, 1, 1))
    with pytest.raises(EstimateError, match=r"解析計画の2024年度の通知は、1つの基準で送られていません"):
        choose(found, last=2025, before=[2017], protocol=plan)
    assert choose(found, last=2025, before=[2017], protocol=replace(plan, years=(2023,))).programme == (2023,)


def test_only_programmes_whose_letters_say_their_rule_are_offered(engine) -> None:
    first = mailed(dict.fromkeys(range(1, 4))).filter(pl.col("rule").is_null())
    first = first.with_columns(programme=pl.lit("untreated_first"))
    both, checkups = engine(pl.concat([mailed(of_the_years()), first])), engine(pl.DataFrame(CHECKUPS))
    with pytest.raises(EstimateError, match="「untreated_first」の通知には、抽出の基準") as ruled:
        letter_years(both, checkups, programme="untreated_first")
    with pytest.raises(EstimateError, match="「x」の記録がありません") as unknown:
        letter_years(both, checkups, programme="x")
    assert ruled.value.hint == unknown.value.hint == f"評価できる事業(基準の記録がある): {LEAFLET}"


def test_counts_of_a_few_letters_are_not_told() -> None:
    found = letter_years(mailed(of_the_years(_10="or", _30="and", _31="and")), pl.DataFrame(CHECKUPS))
    assert found["rule"].to_list() == ["及び・または: 基準が混ざるため評価に用いない",
                                       "及び・または: 基準が混ざるため評価に用いない", "or"]  # fmt: skip
