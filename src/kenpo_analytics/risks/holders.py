"""Who carries a risk? 腹囲, 血圧, 脂質, 代謝, メタボ, 肝機能 and 喫煙 of each examined person: yes, no, or 判定不能."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw

from kenpo_analytics.cohorts.eligible import PEOPLE, Pick, Population
from kenpo_analytics.cohorts.flow import Cohort, Kind, Stage, first_exit
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.risks.marks import Marks, any_of, decided, find_markers, known, possible

RISKS: dict[str, str] = {
    "risk_waist": "腹囲リスク",
    "risk_bp": "血圧リスク",
    "risk_lipid": "脂質リスク",
    "risk_metabolic": "代謝リスク",
    "risk_mets": "メタボ該当",
    "risk_premets": "メタボ予備群",
    "risk_liver": "肝機能リスク",
    "risk_smoking": "喫煙",
    "risk_metabolic_treated": "代謝リスク(服薬中)",
    "risk_metabolic_untreated": "代謝リスク(服薬なし)",
}
"""Column of each risk -> what it is called. The last two split 代謝リスク."""
UNANSWERED = "risk_metabolic_unanswered"
"""The third part of 代謝リスク, that `metabolic_parts` adds: carriers without an answer on the drug."""
METABOLIC = ("risk_metabolic", "risk_metabolic_treated", "risk_metabolic_untreated")
MAIN = tuple(name for name in RISKS if name not in METABOLIC[1:])
_ITEMS = ("waist", "sbp", "dbp", "tg", "hdl", "fpg", "hba1c", "ast", "alt", "ggt")
_EXTRA: tuple[tuple[str, str, Kind], ...] = (
    ("implausible", "参考: 想定範囲外の検査値を使わなかった人(単位の誤りなど)", "reference"),
)


def risk_label(risk: str) -> str:
    """What is a risk of `MAIN` called? 代謝リスク for risk_metabolic.

    Raises
    ------
    ParameterError
        Another name, or a part of 代謝リスク, which is not counted by group.
    """
    if risk not in MAIN:
        names = "、".join(f"{name}({RISKS[name]})" for name in MAIN)
        raise ParameterError(f"リスクの名前が違います: 「{risk}」", hint=f"使える名前: {names}")
    return RISKS[risk]


def risk_holders(
    checkups: Any,
    members: Any = None,
    *,
    fiscal_year: int,
    population: Population = "insured",
    pick: Pick | None = None,
    age: tuple[int, int] | None = None,
    branch: str | None = None,
    definitions: Definitions | None = None,
) -> Cohort:
    """Who carries which lifestyle-related risk (生活習慣病リスク保有者)?

    Parameters
    ----------
    checkups, members, fiscal_year, population, pick, branch, definitions
        As in `eligible_checkups`. A column `visceral_fat` (内臓脂肪面積, cm2) is used before `waist` where it is given.
    age
        Default 40-74 (definitions `risk.age.*`).

    Returns
    -------
    Cohort
        `people`: PEOPLE columns and those of `RISKS`, booleans: true, false, or null where the person cannot be judged
        (判定不能: a marker or the medication answer is missing and the others do not decide). `flow`: to all people.

    Raises
    ------
    TableError, FrameKindError, DefinitionError

    Notes
    -----
    腹囲 85/90 cm; 血圧 130/85 or drug; 脂質 TG 150, HDL below 40 or drug; 代謝 FPG 110 or drug, HbA1c 6.0 only without
    a usable FPG (仮定); メタボ該当 腹囲 and two of the three, 予備群 exactly one; 肝機能 AST/ALT 31, γ-GT 51 (仮定).
    Source: 協会けんぽ 船員保険 令和6年度事業報告書 p.43; lines are definitions `risk.*`.
    """
    found, picked, fat = find_markers(
        checkups,
        members,
        fiscal_year=fiscal_year,
        population=population,
        pick=pick,
        age=age,
        branch=branch,
        definitions=definitions,
        values=_ITEMS,
    )
    marks, april = Marks(found.used, found.fiscal_year), found.fiscal_year * 100 + 4
    judged = picked.with_columns(
        marks.wide("risk", visceral_fat=fat).alias("risk_waist"),
        any_of(_line(marks, "bp", "sbp"), _line(marks, "bp", "dbp"), nw.col("medication_bp")).alias("risk_bp"),
        _lipid(marks).alias("risk_lipid"),
        _glucose(marks).alias("high_glucose"),
        any_of(*(_line(marks, "liver", item) for item in ("ast", "alt", "ggt"))).alias("risk_liver"),
        (nw.col("smoking") == found.used.text("risk.smoking", april)).alias("risk_smoking"),
    )
    judged = judged.with_columns(
        any_of(nw.col("high_glucose"), nw.col("medication_glucose")).alias("risk_metabolic"),
        nw.col("medication_glucose").alias("risk_metabolic_treated"),
        (~nw.col("medication_glucose") & nw.col("high_glucose")).alias("risk_metabolic_untreated"),
    )
    classified = judged.with_columns(*_syndrome(), first_exit(sure(nw.lit(False))))
    stage = Stage(classified, (), "人", begins=found.begins, extra=_EXTRA)
    return found.cohort(classified, stage, keep=[*PEOPLE, *RISKS], end_label="リスクを判定する人")


def metabolic_parts(people: Any) -> Any:
    """Into which parts do the carriers of 代謝リスク fall: on a drug, without one, not answered?

    `people` of `risk_holders`, any kind of frame, and the same comes back: `risk_metabolic_treated` and
    `risk_metabolic_untreated` are now yes or no for everybody whose 代謝リスク is judged, and null for the others;
    `risk_metabolic_unanswered` is added. The three parts add up to the carriers, over one denominator.
    """
    whole, treated, untreated = (nw.col(name) for name in METABOLIC)
    told = {METABOLIC[1]: treated.fill_null(False), METABOLIC[2]: untreated.fill_null(False)}
    told[UNANSWERED] = treated.is_null()
    judged = {name: nw.when(~whole.is_null()).then(whole & part) for name, part in told.items()}
    return nw.from_native(people).with_columns(**judged).to_native()


def version_breaks(definitions: Definitions, years: Sequence[int]) -> dict[str, int]:
    """In which risks does the definition change within these fiscal years, and in which year does the new one begin?

    The label of the risk -> the first year of its (first) new version: numbers on both sides are not one series.
    """
    begins = [(fiscal_year_of(row.valid_from), row.id) for row in definitions.family("risk") if row.valid_from]
    within = sorted(((year, id) for year, id in begins if min(years) < year <= max(years)), reverse=True)
    return {RISKS.get(f"risk_{id.split('.')[1]}", id): year for year, id in within}


def _line(marks: Marks, risk: str, item: str) -> nw.Expr:
    return marks.above(f"risk.{risk}.{item}", nw.col(item))


def _lipid(marks: Marks) -> nw.Expr:
    tg = nw.col("tg")
    if marks.used.text("risk.lipid.casual") == "drop":
        tg = nw.when(marks.fasting()).then(tg)
    return any_of(marks.above("risk.lipid.tg", tg), _line(marks, "lipid", "hdl"), nw.col("medication_lipid"))


def _glucose(marks: Marks) -> nw.Expr:
    """FPG where there is a fasting one, HbA1c only where there is none."""
    fallback = nw.when(nw.col("fpg").is_null()).then(nw.col("hba1c"))
    by_fpg, by_hba1c = _line(marks, "metabolic", "fpg"), marks.above("risk.metabolic.hba1c", fallback)
    return nw.when(nw.col("fpg").is_null()).then(by_hba1c).otherwise(by_fpg)


def _syndrome() -> tuple[nw.Expr, nw.Expr]:
    """メタボ該当 and 予備群: judged also where a risk is unknown, if the others decide."""
    three = [nw.col(name) for name in ("risk_bp", "risk_lipid", "risk_metabolic")]
    least, most = known(*three), possible(*three)
    wide, narrow = sure(nw.col("risk_waist")), sure(~nw.col("risk_waist"))
    holds = decided(wide & (least >= 2), narrow | (most < 2))
    before = decided(wide & (least == 1) & (most == 1), narrow | (least >= 2) | (most == 0))
    return holds.alias("risk_mets"), before.alias("risk_premets")
