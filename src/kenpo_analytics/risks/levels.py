"""Who is offered which 特定保健指導? 階層化, steps 1 to 4, with 判定不能 where the missing input would matter."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from kenpo_analytics.cohorts.eligible import PEOPLE, Pick, Population
from kenpo_analytics.cohorts.flow import Cohort, Kind, Stage, Step, first_exit
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import parse_fiscal_year
from kenpo_analytics.risks.marks import MEDICATION, Marks, any_of, find_markers, known, possible

FIRST_YEAR = 2018
"""The first fiscal year of the third period (第3期): for checkups before it no values are on file."""
ACTIVE, MOTIVATION, INFORMATION, ON_DRUGS, UNKNOWN = LEVELS = (
    "積極的支援",
    "動機付け支援",
    "情報提供",
    "対象外(服薬中)",
    "判定不能",
)
_ITEMS = ("waist", "bmi", "sbp", "dbp", "tg", "hdl", "fpg", "hba1c", "casual_glucose")
_EXTRA: tuple[tuple[str, str, Kind], ...] = (
    *((f"is_{number}", f"うち{name}", "of_which") for number, name in enumerate(LEVELS)),
    ("implausible", "参考: 想定範囲外の検査値を使わなかった人(単位の誤りなど)", "reference"),
)


def guidance_levels(
    checkups: Any,
    members: Any = None,
    *,
    fiscal_year: int,
    population: Population = "insured",
    pick: Pick | None = None,
    age: tuple[int, int] | None = None,
    branch: str | None = None,
    rules_of: int | None = None,
    definitions: Definitions | None = None,
) -> Cohort:
    """Which level of 特定保健指導 does each examined person come under (階層化)?

    Parameters
    ----------
    checkups, members, fiscal_year, population, pick, age, branch, definitions
        As in `risk_holders`.
    rules_of
        Another fiscal year whose version is applied, so that two years can be compared by one (default: their own).

    Returns
    -------
    Cohort
        `people`: PEOPLE columns; `level` (積極的支援, 動機付け支援, 情報提供, 対象外(服薬中), 判定不能);
        `target`, whether guidance is to be offered (null where that cannot be judged: a person without risks whose
        medication answer is missing is no target whatever the answer, though the level stays 判定不能); `version`
        (第4期, or 第3期 as 仮定).

    Raises
    ------
    DefinitionError
        A fiscal year before 2018, for which no values are on file. Also TableError, FrameKindError.

    Notes
    -----
    Step 1: waist 85/90 cm, else BMI 25. Step 2: 血圧 130/85, 脂質 TG 150 (175 unless fasting) or HDL below 40, 血糖
    FPG 100, else HbA1c 5.6, else casual 100; 喫煙 counts only beside another. Step 3: 2 or more (waist) or 3 or more
    (BMI) is 積極的支援, fewer 動機付け支援, none 情報提供; anyone on a drug for 血圧, 血糖 or 脂質 is out. Step 4:
    65-74 get 動機付け支援 instead of 積極的支援.
    Source: 標準的な健診・保健指導プログラム(令和6年度版); lines `guidance.*`.
    FPG before HbA1c is an assumption (`guidance.glucose.priority`), as are the values for checkups before April 2024.
    """
    year = parse_fiscal_year(fiscal_year)
    rules = rules_of or year
    if min(year, rules) < FIRST_YEAR:
        raise DefinitionError(
            f"{min(year, rules)}年度の階層化の値がありません({FIRST_YEAR}年度から)。",
            hint="第2期までの値は登録していません。ほかの期の値で代用しません。",
        )
    found, picked, fat = find_markers(
        checkups,
        members,
        fiscal_year=year,
        population=population,
        pick=pick,
        age=age,
        branch=branch,
        definitions=definitions,
        values=_ITEMS,
    )
    marks = Marks(found.used, year, rules)
    steps = picked.with_columns(
        marks.wide("guidance", visceral_fat=fat).alias("wide"),
        marks.above("guidance.bmi", nw.col("bmi")).alias("heavy"),
        any_of(*(marks.above(f"guidance.bp.{item}", nw.col(item)) for item in ("sbp", "dbp"))).alias("bp"),
        any_of(_tg(marks), marks.above("guidance.lipid.hdl", nw.col("hdl"))).alias("lipid"),
        _glucose(marks).alias("glucose"),
        (nw.col("smoking") == "yes").alias("smokes"),
        any_of(*(nw.col(name) for name in MEDICATION)).alias("drugs"),
    )
    classified = _levels(_counts(steps), found.used, rules).with_columns(first_exit(sure(nw.lit(False))))
    no_sex = found.attributes is None
    absent = (Step("no_sex", "性別・年齢(加入者台帳がない)", judged=False),) if no_sex else ()
    stage = Stage(classified, absent, "人", begins=found.begins, extra=_EXTRA)
    return found.cohort(classified, stage, keep=[*PEOPLE, "level", "target", "version"], end_label="階層化する人")


def _tg(marks: Marks) -> nw.Expr:
    """TG by the line for fasting or for other samples; where neither is known, only beyond both lines."""
    fasting, casual = (marks.above(f"guidance.lipid.tg.{kind}", nw.col("tg")) for kind in ("fasting", "casual"))
    eaten = sure(nw.col("fasting").is_in(["casual", "post_meal"]))
    by_time = nw.when(marks.fasting()).then(fasting).otherwise(nw.when(eaten).then(casual))
    return nw.when(sure(fasting == casual)).then(fasting).otherwise(by_time)


def _glucose(marks: Marks) -> nw.Expr:
    """FPG first (switch `guidance.glucose.priority`), then HbA1c, then a casual value that is not post-meal."""
    fpg, hba1c = (marks.above(f"guidance.glucose.{item}", nw.col(item)) for item in ("fpg", "hba1c"))
    drawn = nw.when(sure(nw.col("fasting") == "casual")).then(nw.col("casual_glucose"))
    no_fpg, no_hba1c = nw.col("fpg").is_null(), nw.col("hba1c").is_null()
    last = nw.when(no_fpg & no_hba1c).then(marks.above("guidance.glucose.casual", drawn))
    if marks.used.text("guidance.glucose.priority") == "either":
        # of two markers one is enough, and one that is missing cannot be waited for
        return nw.when(no_fpg & no_hba1c).then(last).otherwise(sure(fpg) | sure(hba1c))
    return nw.when(~no_fpg).then(fpg).otherwise(nw.when(~no_hba1c).then(hba1c).otherwise(last))


def _counts(steps: nw.LazyFrame) -> nw.LazyFrame:
    """Columns least and most: between which numbers of risks lies the person's? Smoking adds to others only."""
    three = [nw.col(name) for name in ("bp", "lipid", "glucose")]
    bounded = steps.with_columns(known(*three).alias("least"), possible(*three).alias("most"))
    surely, perhaps = nw.col("smokes").fill_null(False), nw.col("smokes").fill_null(True)
    return bounded.with_columns(
        (nw.col("least") + (surely & (nw.col("least") >= 1)).cast(nw.Int32)).alias("least"),
        (nw.col("most") + (perhaps & (nw.col("most") >= 1)).cast(nw.Int32)).alias("most"),
    )


def _levels(counted: nw.LazyFrame, used: Definitions, year: int) -> nw.LazyFrame:
    """The level, where everything the missing inputs could be gives the same one.

    Higher is more: 0 情報提供, 1 動機付け支援, 2 積極的支援. It rises with the number of risks and with the group,
    so the lowest and the highest possible level bound it.
    """
    wide, heavy = nw.col("wide"), nw.col("heavy")
    neither, perhaps_none = sure(~wide) & sure(~heavy), ~sure(wide) & ~sure(heavy)
    low = _by_group(nw.col("least"), sure(wide), perhaps_none)
    high = _by_group(nw.col("most"), ~sure(~wide), neither)
    age = nw.col("age")
    senior = sure(age >= int(used.number("guidance.age.senior")))
    young = sure(age < int(used.number("guidance.age.senior")))
    counted = counted.with_columns(
        nw.when(~young & (low > 1)).then(nw.lit(1)).otherwise(low).alias("low"),
        nw.when(senior & (high > 1)).then(nw.lit(1)).otherwise(high).alias("high"),
    )
    low, high, drugs = nw.col("low"), nw.col("high"), nw.col("drugs")
    free, medicated = sure(~drugs), sure(drugs)
    level: Any = nw.lit(UNKNOWN)
    for value, name in ((2, ACTIVE), (1, MOTIVATION), (0, INFORMATION)):
        level = nw.when(free & (low == value) & (high == value)).then(nw.lit(name)).otherwise(level)
    level = nw.when(medicated).then(nw.lit(ON_DRUGS)).otherwise(level)
    target = (
        nw.when(medicated | (high == 0)).then(nw.lit(False)).otherwise(nw.when(free & (low >= 1)).then(nw.lit(True)))
    )
    version = "第4期" if year >= 2024 else "第3期(仮定)"
    leveled = counted.with_columns(level.alias("level"), target.alias("target"), nw.lit(version).alias("version"))
    return leveled.with_columns(*((nw.col("level") == name).alias(f"is_{n}") for n, name in enumerate(LEVELS)))


def _by_group(count: nw.Expr, by_waist: nw.Expr, none: nw.Expr) -> nw.Expr:
    """The level that a number of risks gives: with the waist, without either, else by BMI."""
    with_waist = nw.when(count >= 2).then(nw.lit(2)).otherwise(count)
    with_bmi = nw.when(count >= 3).then(nw.lit(2)).otherwise(nw.when(count >= 1).then(nw.lit(1)).otherwise(nw.lit(0)))
    return nw.when(none).then(nw.lit(0)).otherwise(nw.when(by_waist).then(with_waist).otherwise(with_bmi))
