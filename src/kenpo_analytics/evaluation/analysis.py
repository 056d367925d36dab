"""Who was mailed, what came after, and what was lost? The analysis set (解析対象): one row per person and fiscal year.

Every design of this room reads this table; a simulated world can make one directly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.cohorts.eligible import eligible_checkups
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.letter_day import (
    LATER,
    as_at_draw,
    join_lots,
    known_at_draw,
    mailed,
    planned_letters,
    usual_day,
)
from kenpo_analytics.evaluation.letters import LEAFLET, rule_in_force
from kenpo_analytics.evaluation.lines import Lines
from kenpo_analytics.months import last_day, month_index, parse_month
from kenpo_analytics.tables import CHECKUPS, MEMBERS

__all__ = ["LATER", "STATES", "VALUES", "AnalysisSet", "analysis_set", "usual_day"]
VALUES = ("fpg", "hba1c", "bmi", "sbp", "ldl", "height")
STATES = ("observed", "no_value", "before_letter", "late", "left", "unexamined", "open")
_CHECKUP = ("person_id", "checkup_date", "fasting", "fpg", "hba1c", "height", "medication_glucose")


@dataclass(frozen=True)
class AnalysisSet:
    """People of the years before letters and of the programme, with letter, outcome and loss.

    `people` (polars, one row per person and index fiscal year): person_id, fiscal_year, era (before / programme),
    checkup_date, y0 (index FPG), hba1c, prior (FPG a year earlier), age, sex, bmi, sbp, ldl, height, institution,
    workplace_id, municipality; eligible (inside the letter rule), arm (fpg, hba1c, both); letter (sent), repeat
    (sent one in an earlier year), planned (a letter was planned for this checkup, sent or not), present (still
    enrolled on `begin` and no newer checkup until then), earlier_eligible (inside the rule at the checkup a year
    earlier; null without one), letter_day (null without one), sent_on (letter day where one is on file, not only
    planned), begin (letter day, or the day it would have gone out); y1, hba1c1, height1, outcome_date, outcome_state
    (`STATES`; before_letter: no checkup in time, but one before the letter or within 90 days of it), enrolled1 (12
    months on), started (glucose drug at the outcome), y_before_letter (negative control: a checkup after the index and
    before the letter), improved, worsened (category).
    """

    people: pl.DataFrame
    rule: str
    before: tuple[int, ...]
    programme: tuple[int, ...]
    definitions: Definitions = field(default_factory=define, compare=False, repr=False)
    drawn: Mapping[str, int] = field(default_factory=dict)  # people drawn into each arm, whether among `people` or not

    @property
    def lines(self) -> Lines:
        """Where letter and guidance begin, by the definitions that made this set."""
        return Lines.of(self.definitions)


def analysis_set(
    checkups: Any,
    members: Any,
    mailings: Any,
    *,
    programme: Sequence[int],
    before: Sequence[int] = (),
    data_through: int | str,
    letters: str = LEAFLET,
    rule: str | None = None,
    branch: str | None = None,
    assignment: pl.DataFrame | None = None,
    definitions: Definitions | None = None,
) -> AnalysisSet:
    """Which people does an evaluation compare, before any design is chosen?

    Base: one checkup per insured person and year with usable fasting FPG, answered "no glucose drug", below the
    diabetes range; FPG far below the rule stays in (the designs take bands of it).

    Parameters
    ----------
    checkups, members, mailings
        Canonical tables of one engine.
    programme, before
        Index fiscal years with letters, and from before them (may be empty: designs then say what they cannot tell).
    data_through
        Last month whose checkups have arrived.
    letters
        The programme's name in mailings.
    rule
        "or" / "and"; default the rule in force at the letters of the first programme year (decision D1).
    assignment
        Who was drawn into which arm (`trial.read_assignment`): adds its columns to the people of the programme years.

    Returns
    -------
    AnalysisSet
        The outcome is the first checkup at least `next_checkup.letter_days` (90) after the letter and at most
        `next_checkup.max_months` (18) after the index checkup. People without letter get the day on which letters for
        checkups of their month of the year went out (median lag of the programme years), so both sides wait equally
        long. Everybody who was drawn counts from the day of the own draw's arm that is sent first, whenever the own
        letter came, and stands with the checkup known at the draw: later ones of the year may come of the letter.

    Raises
    ------
    TableError, FrameKindError, DefinitionError, EstimateError
        Years of both kinds overlap; nobody was mailed in the programme years.
    """
    if not programme or set(programme) & set(before):
        raise EstimateError(
            "事業の年度と事業前の年度を、重ならないように渡してください", hint="programme=[2022], before=[2017]"
        )
    used = definitions or define()
    chosen = rule or rule_in_force(mailings, checkups, fiscal_year=min(programme), programme=letters)
    base = pl.concat(
        [
            _index(checkups, members, year, "programme" if year in programme else "before", branch, used)
            for year in sorted({*programme, *before})
        ]
    )
    if assignment is not None:
        past = known_at_draw(checkups, members, assignment)
        then = pl.concat([_index(*past, year, "programme", branch, used) for year in sorted(programme)])
        base = as_at_draw(base, then)
    base = _eligible(base, chosen, used)
    if assignment is not None:
        base = join_lots(base, assignment)
    base = mailed(base, planned_letters(mailings, letters))
    if not base.filter(pl.col("letter")).height:
        raise EstimateError("事業の年度に通知を送った記録がありません", hint="mailings と年度を確かめてください。")
    after = _later(checkups, base)
    people = _outcome(base, after, used, chosen, month_index(parse_month(data_through)))
    people = _lost(people, members, used, parse_month(data_through))
    people = _present(people, members)
    years = tuple(sorted(before)), tuple(sorted(programme))
    drawn = {} if assignment is None else dict(assignment.group_by("assigned").len().iter_rows())
    return AnalysisSet(_judged(people, used), chosen, *years, used, drawn)


def _index(checkups: Any, members: Any, year: int, era: str, branch: str | None, used: Definitions) -> pl.DataFrame:
    cohort = eligible_checkups(checkups, members, fiscal_year=year, branch=branch, definitions=used).collect()
    people = cohort.people if isinstance(cohort.people, pl.DataFrame) else pl.from_pandas(cohort.people)
    fpg, hba1c = _fasting(used), _inside("hba1c")
    people = people.with_columns(y0=fpg, hba1c=hba1c).filter(
        pl.col("y0") < used.number("diabetes.fpg"),
        pl.col("hba1c").is_null() | (pl.col("hba1c") < used.number("diabetes.hba1c")),
        ~pl.col("medication_glucose"),
    )
    wanted = ("institution", "workplace_id", "municipality", *VALUES[2:])
    have = [name for name in wanted if name in people.columns]
    named = ("person_id", "record_id", "fiscal_year", "checkup_date", "age", "sex", "y0", "hba1c")
    return people.select(*named, *have, pl.lit(era).alias("era"))


def _fasting(used: Definitions) -> pl.Expr:
    confirmed = pl.col("fasting") == "fasting"
    if used.text("fasting.unconfirmed") == "use":
        confirmed = confirmed | pl.col("fasting").is_null()
    return pl.when(confirmed.fill_null(False)).then(_inside("fpg"))


def _inside(name: str) -> pl.Expr:
    declared = next(column for column in CHECKUPS.columns if column.name == name)
    return pl.when(pl.col(name).is_between(declared.low, declared.high)).then(pl.col(name))


def _eligible(base: pl.DataFrame, rule: str, used: Definitions) -> pl.DataFrame:
    by_fpg, by_hba1c = _reached("y0", "hba1c", used)
    arm = pl.when(by_fpg & by_hba1c).then(pl.lit("both")).when(by_fpg).then(pl.lit("fpg"))
    arm = arm.when(by_hba1c).then(pl.lit("hba1c"))
    return base.with_columns(eligible=(by_fpg | by_hba1c) if rule == "or" else (by_fpg & by_hba1c), arm=arm)


def _reached(fpg: str, hba1c: str, used: Definitions) -> tuple[pl.Expr, pl.Expr]:
    return (
        (pl.col(fpg) >= used.number("prediabetes.fpg.lower")).fill_null(False),
        (pl.col(hba1c) >= used.number("prediabetes.hba1c.lower")).fill_null(False),
    )


def _later(checkups: Any, base: pl.DataFrame) -> pl.DataFrame:
    optional = ("fasting", "height", "medication_glucose", "hba1c", "fpg")
    rows = frames.enter(checkups, CHECKUPS, ["person_id", "checkup_date"], optional=optional).select(*_CHECKUP)
    found = frames.collect(rows).unique().join(base.select("person_id").unique(), on="person_id", how="semi")
    return found.rename({"checkup_date": "date"})


def _outcome(base: pl.DataFrame, after: pl.DataFrame, used: Definitions, rule: str, through: int) -> pl.DataFrame:
    """The first checkup in the window, the last one before it, and last year's FPG."""
    after = after.with_columns(fpg=_fasting(used), hba1c=_inside("hba1c"))
    pairs = base.select("record_id", "checkup_date", "begin", "person_id").join(after, on="person_id")
    months = _index_of("date") - _index_of("checkup_date")
    from_day = pl.col("begin") + pl.duration(days=int(used.number("next_checkup.letter_days")))
    pairs = pairs.with_columns(
        months=months,
        early=(pl.col("date") > pl.col("checkup_date")) & (pl.col("date") < from_day),
        due=(pl.col("date") >= from_day) & (months <= int(used.number("next_checkup.max_months"))),
        past=months > int(used.number("next_checkup.max_months")),
    )
    chosen = (
        pairs.filter("due").sort("date", "fpg", nulls_last=True).unique("record_id", keep="first", maintain_order=True)
    )
    outcome = chosen.select("record_id", outcome_date="date", y1="fpg", hba1c1="hba1c", height1="height",
                            started=pl.col("medication_glucose"))  # fmt: skip
    unread = pl.col("early") & (pl.col("date") < pl.col("begin")) & pl.col("fpg").is_not_null()
    control = pairs.filter(unread).sort("date")
    control = control.unique("record_id", keep="last", maintain_order=True).select("record_id", y_before_letter="fpg")
    newer = (pl.col("date") > pl.col("checkup_date")) & (pl.col("date") <= pl.col("begin"))
    seen = pairs.group_by("record_id").agg(early=pl.col("early").any(), past=pl.col("past").any(), newer=newer.any())
    prior = pairs.filter(pl.col("months").is_between(-18, -6) & pl.col("fpg").is_not_null()).sort("date")
    prior = prior.unique("record_id", keep="last", maintain_order=True)
    by_fpg, by_hba1c = _reached("fpg", "hba1c", used)
    inside = (by_fpg | by_hba1c) if rule == "or" else (by_fpg & by_hba1c)
    prior = prior.select("record_id", prior="fpg", earlier_eligible=inside)
    for table in (outcome, control, seen, prior):
        base = base.join(table, on="record_id", how="left")
    waiting = _index_of("checkup_date") + int(used.number("next_checkup.max_months")) > through
    state = (
        pl.when(pl.col("y1").is_not_null()).then(pl.lit("observed"))
        .when(pl.col("outcome_date").is_not_null()).then(pl.lit("no_value"))
        .when(waiting).then(pl.lit("open"))
        .when(pl.col("early").fill_null(False)).then(pl.lit("before_letter"))
        .when(pl.col("past").fill_null(False)).then(pl.lit("late"))
        .otherwise(pl.lit("unexamined"))
    )  # fmt: skip
    return base.with_columns(outcome_state=state).drop("early", "past")


def _index_of(name: str) -> pl.Expr:
    return pl.col(name).dt.year().cast(pl.Int32) * 12 + pl.col(name).dt.month().cast(pl.Int32) - 1


def _lost(people: pl.DataFrame, members: Any, used: Definitions, through: int) -> pl.DataFrame:
    """Who had left twelve months after the index checkup? Leaving and not coming are different losses."""
    year_on = pl.col("checkup_date").dt.offset_by("12mo")
    enrolled = _enrolled(people, members, year_on)
    people = people.with_columns(enrolled1=pl.when(year_on <= last_day(through)).then(enrolled))
    lost = pl.col("outcome_state").is_in(["unexamined", "late", "before_letter"]) & (pl.col("enrolled1") == False)  # noqa: E712
    state = pl.when(lost.fill_null(False)).then(pl.lit("left")).otherwise("outcome_state")
    return people.with_columns(outcome_state=state)


def _present(people: pl.DataFrame, members: Any) -> pl.DataFrame:
    """Who could still be sent a letter on its day? Enrolled, and not examined again (the newer checkup replaces it)."""
    enrolled = _enrolled(people, members, pl.col("begin"))
    return people.with_columns(present=enrolled & ~pl.col("newer").fill_null(False)).drop("newer")


def _enrolled(people: pl.DataFrame, members: Any, day: pl.Expr) -> pl.Expr:
    stretches = frames.collect(frames.enter(members, MEMBERS, ["person_id", "valid_from", "valid_to"]))
    here = people.select("record_id", "person_id", day=day).join(stretches, on="person_id")
    held = here.filter(
        pl.col("day") >= pl.col("valid_from"), pl.col("valid_to").is_null() | (pl.col("day") < pl.col("valid_to"))
    )
    return pl.col("record_id").is_in(held["record_id"].unique().implode())


def _judged(people: pl.DataFrame, used: Definitions) -> pl.DataFrame:
    """Improved or worsened by category (the worse of the known markers), whatever the drug (treatment policy)."""

    def category(fpg: str, hba1c: str) -> pl.Expr:
        worst = pl.lit(0)
        for step, family in ((1, "prediabetes.{}.lower"), (2, "diabetes.{}")):
            high = (pl.col(fpg) >= used.number(family.format("fpg"))).fill_null(False)
            high = high | (pl.col(hba1c) >= used.number(family.format("hba1c"))).fill_null(False)
            worst = pl.when(high).then(step).otherwise(worst)
        return pl.when(pl.col(fpg).is_not_null() | pl.col(hba1c).is_not_null()).then(worst)

    moved = category("y1", "hba1c1") - category("y0", "hba1c")
    return people.with_columns(improved=moved < 0, worsened=moved > 0).sort("fiscal_year", "person_id")
