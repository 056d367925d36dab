"""Whom does a design compare? First-ever letters, people who could be sent one, people whose letter FPG decides."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation.lines import LINES, Lines


@any_frame
def first_letters(people: pl.DataFrame) -> pl.DataFrame:
    """Whose letter would be the first ever? Without earlier letters, by a rule that treats both eras alike.

    Nobody had an earlier letter (the first year of the programme): everybody stays. Otherwise whoever was sent one in
    an earlier year leaves, **and**, in both eras and both bands, whoever was inside the rule at the checkup a year
    earlier: to drop people with a history of high values from the programme years alone would leave a group there
    that falls less or more than the one before the programme, letter or not.

    Raises
    ------
    EstimateError
        Letters were repeated, but fewer than half as many people of the years before have a checkup a year earlier:
        the same rule cannot be applied there.
    """
    if not people.filter(pl.col("repeat")).height:
        return people
    known = dict(people.group_by("era").agg(pl.col("earlier_eligible").is_not_null().mean()).iter_rows())
    if "before" in known and known["before"] < known["programme"] / 2:
        raise EstimateError(
            "事業前の年度には、さらに前の年度の健診がないため、初めて通知を受ける人を同じ基準で選べません",
            hint="通知を始めた最初の年度を programme にするか、再度の通知を含めた感度分析としてください。",
        )
    return people.filter(~pl.col("repeat"), ~pl.col("earlier_eligible").fill_null(False))


@any_frame
def restricted(people: pl.DataFrame, rule: str, lines: Lines = LINES) -> pl.DataFrame:
    """In whom does FPG alone decide the letter? By "or" people below the HbA1c line, by "and" people at or above it.

    Outside, FPG changes nothing: by "or" people with HbA1c 6.0 are mailed whatever their FPG. Both sides of every
    comparison by FPG must be under the same restriction, or the estimate is diluted. Unknown HbA1c counts as below
    by "or" (the rule could not be met by it) and is left out by "and".
    """
    if rule == "or":
        return people.filter(pl.col("hba1c").is_null() | (pl.col("hba1c") < lines.hba1c))
    return people.filter(pl.col("hba1c") >= lines.hba1c)


@any_frame
def at_letter(people: pl.DataFrame) -> pl.DataFrame:
    """Who may be compared by letter sent / not sent? Those for whom one was planned and who could be sent it that day.

    People who left or were examined again before the batch never got one: beside them, being sent a letter would stand
    for having stayed (immortal time). What remains on the other side are refusals and wrong addresses.
    """
    asked = [pl.col(name) for name in ("planned", "present") if name in people.columns]
    return people.filter(*asked) if asked else people
