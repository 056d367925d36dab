"""Who has prediabetes (糖尿病予備群)? FPG 110-125 or HbA1c 6.0-6.4, not on glucose drugs, not in the diabetes range."""

from __future__ import annotations

from typing import Any, Literal

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.cohorts.eligible import PEOPLE, Pick, Population, find_eligible
from kenpo_analytics.cohorts.flow import Cohort, Stage, Step, first_exit
from kenpo_analytics.cohorts.rules import implausible, meets, plausible, usable_fpg
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.errors import DefinitionError, TableError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import index_of_date, month_index

Rule = Literal["or", "and"]
_VALUES = ("fasting", "fpg", "hba1c", "medication_glucose")
_KEEP = ("fpg", "hba1c", "by_fpg", "by_hba1c", "one_marker", "fasting_unconfirmed")


def prediabetes(
    checkups: Any,
    members: Any = None,
    *,
    fiscal_year: int,
    rule: Rule | None = None,
    population: Population = "insured",
    pick: Pick | None = None,
    age: tuple[int, int] | None = None,
    branch: str | None = None,
    definitions: Definitions | None = None,
) -> Cohort:
    """Who has prediabetes (糖尿病予備群) at the eligible checkup of a fiscal year?

    FPG in [110, 126) **or** HbA1c in [6.0, 6.5) (`rule="and"` is the plan's 及び). Left out: glucose medication, FPG >=
    126 or HbA1c >= 6.5 in either marker. Half-open bounds give 125.6 and 6.45 one place. FPG counts only from a sample
    taken >= 10 h after a meal; a missing sampling time counts as fasting unless the definition `fasting.unconfirmed`
    says "drop" (仮定), and is counted as 空腹未確認. A missing marker is not a normal one; a missing medication answer
    is not "no": people whose membership hangs on it are 判定不能. Values outside the plausible range
    (docs/tables.md) are not used and are counted.

    Parameters
    ----------
    checkups, members, fiscal_year, population, pick, age, branch
        As in `eligible_checkups`.
    rule
        "or" or "and"; default from the definition `prediabetes.rule`. The flow always shows both counts.

    Returns
    -------
    Cohort
        `people`: person_id, record_id, fiscal_year, checkup_date, index_month (YYYYMM), sex, age, age_band, branch,
        municipality, workplace_id, fpg (mg/dL, fasting only), hba1c (NGSP %), by_fpg, by_hba1c (which marker brought
        the person in), one_marker (the other was missing), fasting_unconfirmed.

    Raises
    ------
    TableError, FrameKindError, DefinitionError

    Notes
    -----
    Source: 協会けんぽ三重支部 令和7年度事業計画 p.27; exclusions: decision D1 in docs/assumptions.md.
    """
    found = find_eligible(
        checkups,
        members,
        fiscal_year=fiscal_year,
        population=population,
        pick=pick,
        age=age,
        branch=branch,
        definitions=definitions,
        values=_VALUES,
    )
    chosen = rule or found.used.text("prediabetes.rule")
    if chosen not in ("or", "and"):
        raise DefinitionError(f"予備群の判定は or か and です: 「{chosen}」")
    judged = _judge(found.picked, found.used, found.fiscal_year)
    exits = {name: _exit(name) for name in ("or", "and")}
    classified = judged.with_columns(
        exits[chosen],
        (exits["or"] == 0).alias("in_or"),
        (exits["and"] == 0).alias("in_and"),
    )
    absent = [name for name in ("fpg", "hba1c") if name not in frames.columns_of(checkups)]
    if len(absent) == 2:
        raise TableError("checkupsに空腹時血糖(fpg)もHbA1c(hba1c)もありません", hint="どちらかの列が必要です。")
    missing = tuple(Step(f"no_column_{name}", f"{_MARKER[name]}の列がない", judged=False) for name in absent)
    stage = Stage(
        classified,
        (*_STEPS, *missing),
        "人",
        begins=found.begins,
        extra=(
            ("one_marker", "うち片方の検査値のみで判定", "of_which"),
            ("fasting_unconfirmed", "うち空腹未確認の空腹時血糖による(仮定)", "of_which"),
            ("implausible", "参考: 想定範囲外の検査値を使わなかった人(単位の誤りなど)", "reference"),
            ("in_or", "参考: 「または」で判定した人数", "reference"),
            ("in_and", "参考: 「及び」で判定した人数", "reference"),
        ),
    )
    return found.cohort(classified, stage, keep=[*PEOPLE, *_KEEP], end_label="糖尿病予備群")


_MARKER = {"fpg": "空腹時血糖", "hba1c": "HbA1c"}
_STEPS = (
    Step("medication", "血糖の服薬あり"),
    Step("diabetes_range", "糖尿病域(空腹時血糖126以上またはHbA1c 6.5以上)"),
    Step("no_marker", "判定不能: 空腹時血糖もHbA1cもない"),
    Step("marker_missing", "判定不能: 一方の検査値がなく「及び」を判定できない"),
    Step("one_marker_below", "該当せず(片方の検査値のみで判定)"),
    Step("below", "該当せず(両方の検査値で判定)"),
    Step("medication_missing", "判定不能: 服薬の回答がない"),
)


def _judge(picked: nw.LazyFrame, used: Definitions, fiscal_year: int) -> nw.LazyFrame:
    """What does each marker say? Booleans without nulls."""
    no_time = nw.col("fasting").is_null()
    fasting = nw.when(usable_fpg(used, nw.col("fasting"))).then(nw.col("fpg"))
    picked = picked.with_columns(
        implausible((fasting, "fpg"), (nw.col("hba1c"), "hba1c")).alias("implausible"),
        plausible(fasting, "fpg").alias("fpg"),
        plausible(nw.col("hba1c"), "hba1c").alias("hba1c"),
    )
    first, last = month_index(fiscal_year * 100 + 4), month_index(fiscal_year * 100 + 103)
    clock = index_of_date(nw.col("checkup_date"))

    def met(id: str, marker: str) -> nw.Expr:
        return meets(used, id, nw.col(marker), clock, first, last)

    def inside(marker: str) -> nw.Expr:
        return met(f"prediabetes.{marker}.lower", marker) & met(f"prediabetes.{marker}.upper", marker)

    no_fpg, no_hba1c = nw.col("fpg").is_null(), nw.col("hba1c").is_null()
    return picked.with_columns(
        inside("fpg").alias("by_fpg"),
        inside("hba1c").alias("by_hba1c"),
        (met("diabetes.fpg", "fpg") | met("diabetes.hba1c", "hba1c")).alias("diabetes"),
        (no_fpg | no_hba1c).alias("one_marker"),
        (no_fpg & no_hba1c).alias("no_marker"),
        (no_time & inside("fpg")).alias("fasting_unconfirmed"),
        sure(nw.col("medication_glucose")).alias("medicated"),
    )


def _exit(rule: str) -> nw.Expr:
    """At which step does a person leave under this rule?

    Medication comes after the markers when it is unknown: whoever is out by the markers alone needs no answer.
    """
    by_fpg, by_hba1c, missing = nw.col("by_fpg"), nw.col("by_hba1c"), nw.col("one_marker")
    inside = (by_fpg | by_hba1c) if rule == "or" else (by_fpg & by_hba1c)
    hangs = missing & (by_fpg | by_hba1c) if rule == "and" else missing & ~missing
    return first_exit(
        nw.col("medicated"),
        nw.col("diabetes"),
        nw.col("no_marker"),
        hangs,
        ~inside & missing,
        ~inside,
        nw.col("medication_glucose").is_null(),
    )
