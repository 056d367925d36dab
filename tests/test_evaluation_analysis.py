"""Who is compared, when an outcome counts, what is lost: the analysis set, person by person."""

from __future__ import annotations

import datetime as dt

import duckdb
import polars as pl
import pytest

from kenpo_analytics.definitions import define
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.analysis import AnalysisSet, analysis_set
from kenpo_analytics.evaluation.letter_day import usual_day
from kenpo_analytics.evaluation.lines import LINES, Lines
from kenpo_analytics.evaluation.states import LABELS, composite, states
from kenpo_analytics.evaluation.subsets import first_letters, restricted
from kenpo_analytics.evaluation.trial import arms_of

D = dt.date
# person: checkups (day, FPG, HbA1c, glucose drug), letters (planned, sent, of checkup no.), left on
SENT = [(D(2023, 1, 20), D(2023, 1, 20), 0)]
# fmt: off
PEOPLE: dict[int, tuple] = {
    # letter for the checkup of June 2022 on 20 January 2023; outcome from 20 April 2023 to December 2023
    1: ([(D(2022, 6, 1), 115, 6.2, False), (D(2023, 6, 1), 108, 6.1, False)], SENT, None),
    2: ([(D(2022, 6, 1), 115, 6.2, False), (D(2023, 4, 19), 120, 6.1, False)], SENT, None),
    3: ([(D(2022, 6, 1), 115, 6.2, False), (D(2023, 4, 20), 127, 6.1, False)], SENT, None),
    4: ([(D(2022, 6, 1), 115, 6.2, False), (D(2024, 1, 5), 120, 6.1, False)], SENT, None),
    5: ([(D(2022, 6, 1), 115, 6.2, False)], SENT, D(2023, 3, 1)),
    6: ([(D(2022, 6, 1), 115, 6.2, False)], [(D(2023, 1, 20), None, 0)], None),
    7: ([(D(2023, 2, 1), 105, 6.2, False), (D(2023, 5, 1), 103, 6.0, False),
         (D(2024, 2, 1), 101, 5.9, True)], [], None),
    8: ([(D(2021, 6, 1), 116, 6.3, False), (D(2022, 6, 1), 118, 6.3, False), (D(2023, 6, 1), None, 6.6, False)],
        [(D(2022, 1, 20), D(2022, 1, 20), 0), (D(2023, 1, 20), D(2023, 1, 20), 1)], None),
    9: ([(D(2022, 6, 1), 127, 6.2, False)], [], None),                                # diabetes range: not in the base
    10: ([(D(2022, 6, 1), 115, 6.2, True)], [], None),                                # on a drug: not in the base
    11: ([(D(2016, 6, 1), 112, 6.1, False), (D(2017, 6, 1), 113, 6.0, False), (D(2018, 6, 1), 111, 5.9, False)],
         [], None),
    12: ([(D(2017, 6, 1), 104, None, False), (D(2018, 6, 1), 104, None, None)], [], None),
}
# fmt: on


def tables() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    checkups, mailings, members = [], [], []
    for person, (seen, sent, left) in PEOPLE.items():
        for i, (day, fpg, hba1c, drug) in enumerate(seen):
            checkups.append((person * 10 + i, person, day, fpg, hba1c, drug))
        for planned, out, which in sent:
            status = "sent" if out else "not_mailed"
            mailings.append((person, "prediabetes_leaflet", planned, out, status, "and", person * 10 + which))
        members.append((person, D(2010, 4, 1), left, "M", 197001, 1969, "insured", "24", "24201", f"W{person}"))
    real = pl.DataFrame(
        checkups, schema={"record_id": pl.Int64, "person_id": pl.Int64, "checkup_date": pl.Date, "fpg": pl.Float64,
                          "hba1c": pl.Float64, "medication_glucose": pl.Boolean}, orient="row",
    )  # fmt: skip
    fixed = {"received_month": 201801, "kind": "生活習慣病予防健診", "fasting": "fasting", "height": 170.0, "bmi": 24.0}
    real = real.with_columns(*(pl.lit(value).alias(name) for name, value in fixed.items()))
    letters = ["person_id", "programme", "planned_date", "sent_date", "status", "rule", "record_id"]
    stretch = ["person_id", "valid_from", "valid_to", "sex", "birth_month", "fy_age_base", "relationship", "branch",
               "municipality", "workplace_id"]  # fmt: skip
    return (
        real,
        pl.DataFrame(members, schema=stretch, orient="row", infer_schema_length=None),
        pl.DataFrame(mailings, schema=letters, orient="row", infer_schema_length=None),
    )


@pytest.fixture(scope="module")
def found() -> AnalysisSet:
    return analysis_set(*tables(), programme=[2022], before=[2017], data_through=202412)


def row(found: AnalysisSet, person: int) -> dict:
    return found.people.filter(person_id=person).row(0, named=True)


def test_the_base_leaves_out_diabetes_and_drugs_and_keeps_low_values(found):
    assert sorted(found.people["person_id"]) == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    assert found.rule == "and"
    assert found.people.filter("letter")["person_id"].to_list() == [1, 2, 3, 4, 5, 8]


@pytest.mark.parametrize(
    ("person", "state", "y1"),
    [
        (1, "observed", 108),
        (2, "before_letter", None),  # 89 days after the letter
        (3, "observed", 127),  # 90 days
        (4, "late", None),  # 19 months after the index
        (5, "left", None),
        (6, "unexamined", None),
        (7, "observed", 101),  # nobody wrote to them: they wait as long as if
        (8, "no_value", None),
        (11, "observed", 111),
        (12, "observed", 104),
    ],
)
def test_when_an_outcome_counts(found, person, state, y1):
    one = row(found, person)
    assert (one["outcome_state"], one["y1"]) == (state, y1)


def test_a_window_that_has_not_closed_is_open_not_lost():
    early = analysis_set(*tables(), programme=[2022], before=[2017], data_through=202311)
    assert early.people.filter(person_id=6)["outcome_state"].item() == "open"


def test_people_without_letter_wait_until_the_usual_day(found):
    assert row(found, 7)["begin"] == D(2023, 9, 22)  # 233 days after the first of the month, like the others
    assert row(found, 6)["begin"] == D(2023, 1, 20)  # planned, never sent
    assert row(found, 11)["begin"] == D(2018, 1, 20)  # the same lag a programme earlier


def test_letters_of_other_pooled_years_move_no_day():
    """A parameter of the run must not move a locked primary: 2018 and its years before hang on 2018's letters alone."""
    base = pl.DataFrame(
        {
            "era": ["programme", "programme", "programme", "before"],
            "fiscal_year": [2018, 2018, 2019, 2017],
            "checkup_date": [D(2018, 6, 3), D(2018, 6, 20), D(2019, 6, 9), D(2017, 6, 28)],
            "own": [D(2018, 8, 30), None, D(2020, 1, 30), None],
        }
    )
    alone = usual_day(base.filter(pl.col("fiscal_year") < 2019))
    assert alone.to_list() == [D(2018, 8, 30), D(2018, 8, 30), D(2017, 8, 30)]
    assert usual_day(base).to_list() == [D(2018, 8, 30), D(2018, 8, 30), D(2020, 1, 30), D(2017, 8, 30)]


def test_a_checkup_between_index_and_letter_is_the_negative_control(found):
    assert row(found, 7)["y_before_letter"] == 103
    assert row(found, 2)["y_before_letter"] is None  # after the letter, though too soon for an outcome


def test_earlier_letters_and_earlier_eligibility(found):
    assert (row(found, 8)["repeat"], row(found, 8)["earlier_eligible"]) == (True, True)
    assert (row(found, 1)["repeat"], row(found, 1)["earlier_eligible"]) == (False, None)
    assert (row(found, 11)["repeat"], row(found, 11)["earlier_eligible"], row(found, 11)["prior"]) == (False, True, 112)


def test_first_letters_drops_the_same_people_in_both_eras(found):
    kept = first_letters(found.people)
    assert set(found.people["person_id"]) - set(kept["person_id"]) == {8, 11}


def test_first_letters_is_refused_where_the_years_before_have_no_past(found):
    blind = found.people.with_columns(
        earlier_eligible=pl.when(pl.col("era") == "before").then(None).otherwise(pl.lit(False))
    )
    with pytest.raises(EstimateError, match="さらに前の年度"):
        first_letters(blind)
    never = blind.with_columns(repeat=pl.lit(False))
    assert first_letters(never).equals(never)


def test_where_fpg_decides_the_letter():
    people = pl.DataFrame({"hba1c": [5.9, 6.0, None]})
    assert restricted(people, "or")["hba1c"].to_list() == [5.9, None]
    assert restricted(people, "and")["hba1c"].to_list() == [6.0]


def test_category_moves_whatever_the_drug(found):
    assert (row(found, 3)["improved"], row(found, 3)["worsened"]) == (False, True)
    assert (row(found, 7)["improved"], row(found, 7)["started"]) == (True, True)


def test_years_of_both_kinds_and_years_without_letters_are_refused():
    with pytest.raises(EstimateError, match="重ならない"):
        analysis_set(*tables(), programme=[2022], before=[2022], data_through=202412)
    with pytest.raises(EstimateError):
        analysis_set(*tables(), programme=[2019], before=[2017], data_through=202412)


def test_composite_counts_a_new_drug_and_never_reads_silence_as_no(found):
    people = composite(found.people)
    assert people.filter(person_id=3)["composite"].item() is True  # 127
    assert people.filter(person_id=7)["composite"].item() is True  # a drug
    assert people.filter(person_id=8)["composite"].item() is True  # HbA1c 6.6, no FPG
    assert people.filter(person_id=1)["composite"].item() is False
    assert people.filter(person_id=12)["composite"].item() is None  # no answer about drugs
    assert people.filter(person_id=6)["composite"].item() is None


def test_states_of_a_group_add_up_to_its_people(found):
    table = states(found.people)
    assert table.height == 3 * len(LABELS)
    sums = table.group_by("era", "letter").agg(pl.col("n").sum(), pl.col("denominator").first())
    assert sums["n"].equals(sums["denominator"])
    sent = dict(table.filter(pl.col("letter")).select("state", "n").iter_rows())
    wanted = {"unchanged": 1, "diabetes": 1, "before_letter": 1, "late": 1, "left": 1, "no_value": 1}
    assert {state: n for state, n in sent.items() if n} == wanted
    assert dict(table.filter(~pl.col("letter"), era="programme").select("state", "n").iter_rows())["started"] == 1


def drawn(arms: dict[int, str]) -> pl.DataFrame:
    rows = [(person, "全員", arm, D(2022, 12, 1)) for person, arm in arms.items()]
    return pl.DataFrame(rows, schema=["person_id", "stratum", "assigned", "drawn_on"], orient="row")


def test_both_arms_of_a_delay_count_from_the_day_of_the_first():
    """Person 3 is sent the letter four months after 1 and 2: the clock of all three starts on 20 January."""
    checkups, members, mailings = tables()
    later = pl.when(pl.col("person_id") == 3).then(D(2023, 5, 20))
    mailings = mailings.with_columns(
        planned_date=later.otherwise("planned_date"), sent_date=later.otherwise("sent_date")
    )
    arms = drawn({1: "now", 2: "now", 3: "later"})
    made = analysis_set(checkups, members, mailings, programme=[2022], before=[2017], data_through=202412,
                        assignment=arms)  # fmt: skip
    assert [row(made, person)["begin"] for person in (1, 2, 3)] == [D(2023, 1, 20)] * 3
    assert row(made, 3)["letter_day"] == D(2023, 5, 20) and row(made, 3)["y1"] == 127  # seen before its own letter
    unaware = analysis_set(checkups, members, mailings, programme=[2022], before=[2017], data_through=202412)
    assert row(unaware, 3)["begin"] == D(2023, 5, 20) and row(unaware, 3)["outcome_state"] == "before_letter"
    counts = arms_of(made.people.filter(pl.col("assigned").is_not_null())).select("assigned", "n", "letters", "mixed")
    assert counts.rows() == [("now", 2, 2, 1), ("later", 1, 1, 0)]


def test_a_draw_belongs_to_the_last_checkup_before_it():
    made = analysis_set(*tables(), programme=[2021, 2022], before=[2017], data_through=202412,
                        assignment=drawn({8: "now", 1: "later"}))  # fmt: skip
    assert made.people.filter(pl.col("assigned").is_not_null()).select("person_id", "fiscal_year").rows() == [
        (1, 2022), (8, 2022)
    ]  # fmt: skip


def test_lines_come_from_the_definitions():
    strict = define(overrides={"prediabetes.fpg.lower": 105, "prediabetes.hba1c.lower": 5.8})
    made = analysis_set(*tables(), programme=[2022], before=[2017], data_through=202412, definitions=strict)
    assert (made.lines.cutoff, made.lines.high, made.lines.low, made.lines.bandwidth) == (
        104.5,
        (105, 125),
        (100, 104),
        4,
    )
    assert restricted(made.people, "and", made.lines).height == made.people["hba1c"].count()
    assert restricted(made.people, "or", made.lines)["hba1c"].drop_nulls().is_empty()
    assert Lines.of(define()) == LINES


def test_a_mailing_that_was_drawn_whole_has_a_clock():
    """Nobody undrawn was mailed: everybody counts from the day of the arm that was sent first."""
    everybody = drawn({person: "now" if person % 2 else "later" for person in PEOPLE})
    for before in ([2017], []):
        made = analysis_set(*tables(), programme=[2022], before=before, data_through=202412, assignment=everybody)
        assert {row(made, person)["begin"] for person in (1, 2, 3, 4)} == {D(2023, 1, 20)}
        assert made.drawn == {"now": 6, "later": 6}


def test_a_draw_of_other_people_is_refused():
    options = {"programme": [2022], "before": [2017], "data_through": 202412}
    with pytest.raises(EstimateError, match="1人もいません"):
        analysis_set(*tables(), **options, assignment=drawn({999: "now"}))
    with pytest.raises(EstimateError, match="個人IDの型"):
        analysis_set(*tables(), **options, assignment=drawn({1: "now"}).cast({"person_id": pl.String}))


@pytest.mark.parametrize("engine", ["pandas", "duckdb"])
def test_every_engine_makes_the_same_set(engine, found):
    if engine == "pandas":
        given = tuple(table.to_pandas() for table in tables())
    else:
        connection = duckdb.connect()
        given = tuple(connection.from_arrow(table.to_arrow()) for table in tables())
    made = analysis_set(*given, programme=[2022], before=[2017], data_through=202412)
    assert made.people.select(sorted(made.people.columns)).equals(found.people.select(sorted(found.people.columns)))
