"""About forty people written by hand, each on an edge, and where they must end up in FY2024.

A row reads: who, fasting, fpg, hba1c, medication, and the step at which they leave under OR and under AND
("in" = in the cohort). Unless `extra` says otherwise the person is insured in branch 24, turns 50 in the fiscal year,
and has one 生活習慣病予防健診 on 2024-06-15.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from kenpo_analytics.tables import CHECKUPS, MEMBERS

F, CASUAL, POST, UNKNOWN = "fasting", "casual", "post_meal", None
NAN = float("nan")
D = dt.date

# fmt: off
PEOPLE: list[tuple] = [
    # who                                fasting  fpg    hba1c  med    OR                   AND                 extra
    ("FPG at the lower bound",           F,       110.0, 5.5,   False, "in",                "below",            {}),
    ("FPG just below",                   F,       109.9, 5.5,   False, "below",             "below",            {}),
    ("FPG at 125",                       F,       125.0, 5.5,   False, "in",                "below",            {}),
    ("FPG 125.6 has one place",          F,       125.6, 5.5,   False, "in",                "below",            {}),
    ("FPG at 126",                       F,       126.0, 5.5,   False, "diabetes_range",    "diabetes_range",   {}),
    ("HbA1c at the lower bound",         F,       95.0,  6.0,   False, "in",                "below",            {}),
    ("HbA1c just below",                 F,       95.0,  5.9,   False, "below",             "below",            {}),
    ("HbA1c 6.4",                        F,       95.0,  6.4,   False, "in",                "below",            {}),
    ("HbA1c 6.45 has one place",         F,       95.0,  6.45,  False, "in",                "below",            {}),
    ("HbA1c at 6.5",                     F,       95.0,  6.5,   False, "diabetes_range",    "diabetes_range",   {}),
    ("both markers",                     F,       118.0, 6.2,   False, "in",                "in",               {}),
    ("FPG 118 but HbA1c 6.8",            F,       118.0, 6.8,   False, "diabetes_range",    "diabetes_range",   {}),
    ("HbA1c 6.2 but FPG 130",            F,       130.0, 6.2,   False, "diabetes_range",    "diabetes_range",   {}),
    ("on glucose drugs",                 F,       118.0, 6.2,   True,  "medication",        "medication",       {}),
    ("on drugs and in diabetes range",   F,       150.0, 7.5,   True,  "medication",        "medication",       {}),
    ("no answer on drugs, in range",     F,       118.0, 6.2,   None,  "medication_missing", "medication_missing", {}),
    ("no answer on drugs, OR only",      F,       118.0, 5.5,   None,  "medication_missing", "below",           {}),
    ("no answer on drugs, normal",       F,       90.0,  5.3,   None,  "below",             "below",            {}),
    ("no answer on drugs, diabetes",     F,       140.0, 5.3,   None,  "diabetes_range",    "diabetes_range",   {}),
    ("HbA1c not measured, FPG in",       F,       115.0, None,  False, "in",                "marker_missing",   {}),
    ("HbA1c not measured, FPG normal",   F,       95.0,  None,  False, "one_marker_below",  "one_marker_below", {}),
    ("FPG not measured, HbA1c in",       None,    None,  6.1,   False, "in",                "marker_missing",   {}),
    ("FPG is NaN, HbA1c normal",         F,       NAN,   5.5,   False, "one_marker_below",  "one_marker_below", {}),
    ("HbA1c is NaN, FPG in",             F,       112.0, NAN,   False, "in",                "marker_missing",   {}),
    ("no marker at all",                 F,       None,  None,  False, "no_marker",         "no_marker",        {}),
    ("no marker, no answer",             F,       NAN,   None,  None,  "no_marker",         "no_marker",        {}),
    ("casual sample never is FPG",       CASUAL,  115.0, 5.5,   False, "one_marker_below",  "one_marker_below", {}),
    ("casual sample, HbA1c in",          CASUAL,  150.0, 6.1,   False, "in",                "marker_missing",   {}),
    ("after a meal, no HbA1c",           POST,    118.0, None,  False, "no_marker",         "no_marker",        {}),
    ("glucose in mmol/L is no value",    F,       5.6,   5.5,   False, "one_marker_below",  "one_marker_below", {}),
    ("HbA1c without its point",          F,       115.0, 62.0,  False, "in",                "marker_missing",   {}),
    ("sampling time missing",            UNKNOWN, 118.0, 5.5,   False, "in",                "below",            {}),
    ("turns 35 on the last day",         F,       118.0, 5.5,   False, "in",                "below",            {"birth": D(1990, 3, 31)}),
    ("born 1 April, attains 35",         F,       118.0, 5.5,   False, "in",                "below",            {"birth": D(1990, 4, 1)}),
    ("born 2 April, still 34",           F,       118.0, 5.5,   False, "age",               "age",              {"birth": D(1990, 4, 2)}),
    ("74 at the year's end",             F,       118.0, 5.5,   False, "in",                "below",            {"birth": D(1950, 4, 2)}),
    ("born 1 April, attains 75",         F,       118.0, 5.5,   False, "age",               "age",              {"birth": D(1950, 4, 1)}),
    ("examined on the first day",        F,       118.0, 5.5,   False, "in",                "below",            {"dates": [D(2024, 4, 1)]}),
    ("examined on the last day",         F,       118.0, 5.5,   False, "in",                "below",            {"dates": [D(2025, 3, 31)]}),
    ("examined a day before the year",   F,       118.0, 5.5,   False, "other_year",        "other_year",       {"dates": [D(2024, 3, 31)]}),
    ("examined the day of leaving",      F,       118.0, 5.5,   False, "not_enrolled",      "not_enrolled",     {"until": D(2024, 6, 15)}),
    ("examined the day before leaving",  F,       118.0, 5.5,   False, "in",                "below",            {"until": D(2024, 6, 16)}),
    ("joined the day after",             F,       118.0, 5.5,   False, "not_enrolled",      "not_enrolled",     {"since": D(2024, 6, 16)}),
    ("never a member",                   F,       118.0, 5.5,   False, "not_enrolled",      "not_enrolled",     {"member": False}),
    ("a dependant",                      F,       118.0, 5.5,   False, "other_relationship", "other_relationship", {"relationship": "dependent"}),
    ("employer data",                    F,       118.0, 5.5,   False, "other_kind",        "other_kind",       {"kind": "事業者健診"}),
    ("two checkups, the last is normal", F,       118.0, 5.5,   False, "below",             "below",            {"dates": [D(2024, 6, 15), D(2024, 9, 1)], "later": (95.0, 5.4)}),
    ("the last is after leaving",        F,       118.0, 5.5,   False, "in",                "below",            {"dates": [D(2024, 6, 15), D(2024, 9, 1)], "later": (95.0, 5.4), "until": D(2024, 8, 1)}),
    ("the same row twice",               F,       118.0, 5.5,   False, "in",                "below",            {"twice": True}),
]
# fmt: on


def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The edge people as canonical checkups and members."""
    checkups, members, record = [], [], 0
    for number, (_, fasting, fpg, hba1c, medication, _, _, extra) in enumerate(PEOPLE, start=1):
        for position, date in enumerate(extra.get("dates", [D(2024, 6, 15)])):
            record += 1
            values = (fpg, hba1c) if position == 0 else extra["later"]
            row = {
                "record_id": record,
                "person_id": number,
                "checkup_date": date,
                "received_month": 202504,
                "kind": extra.get("kind", "生活習慣病予防健診"),
                "fasting": fasting,
                "fpg": values[0],
                "hba1c": values[1],
                "medication_glucose": medication,
            }
            checkups += [row, dict(row)] if extra.get("twice") else [row]
        if extra.get("member", True):
            birth = extra.get("birth", D(1974, 8, 1))
            members.append(
                {
                    "person_id": number,
                    "valid_from": extra.get("since", D(2010, 4, 1)),
                    "valid_to": extra.get("until"),
                    "sex": "M" if number % 2 else "F",
                    "birth_month": birth.year * 100 + birth.month,
                    "fy_age_base": birth.year - ((birth.month, birth.day) <= (4, 1)),
                    "relationship": extra.get("relationship", "insured"),
                    "branch": "24",
                    "municipality": "24201",
                }
            )
    return _typed(checkups, CHECKUPS), _typed(members, MEMBERS)


def _typed(rows: list[dict], table) -> pl.DataFrame:
    kinds = {
        "int": pl.Int64,
        "month": pl.Int32,
        "float": pl.Float64,
        "str": pl.String,
        "bool": pl.Boolean,
        "date": pl.Date,
    }
    types = {column.name: kinds[column.kind] for column in table.columns}
    return pl.DataFrame(rows, schema={name: types[name] for name in rows[0]})
