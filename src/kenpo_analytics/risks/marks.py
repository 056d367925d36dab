"""Is it so? Yes, no, or cannot be judged (判定不能): three-valued expressions over one picked checkup per person.

A missing marker is not a normal one and a missing answer is not "no": null stands for 判定不能. A judgement that holds
whatever the missing value may be is made all the same (SBP 150 is high without DBP).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.cohorts.eligible import Eligible, Pick, Population, find_eligible
from kenpo_analytics.cohorts.rules import implausible, meets, plausible, usable_fpg
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.frames import sure
from kenpo_analytics.months import index_of_date, month_index

MEDICATION = ("medication_bp", "medication_glucose", "medication_lipid")
OWN_SEX = "own_sex"
VISCERAL_FAT = "visceral_fat"
"""A column that an analyst's frame may have; the canonical checkups have waist only."""


@dataclass(frozen=True)
class Marks:
    """The definitions as they stood at each checkup of one fiscal year."""

    used: Definitions
    fiscal_year: int
    rules_of: int | None = None
    """Another fiscal year whose version is applied, as if the checkups had been then."""

    def above(self, id: str, value: nw.Expr) -> nw.Expr:
        """Is the value on the asked side of the line in force? Null where it is missing."""
        year = self.rules_of or self.fiscal_year
        first = month_index(year * 100 + 4)
        clock = index_of_date(nw.col("checkup_date")) + 12 * (year - self.fiscal_year)
        return nw.when(~value.is_null()).then(meets(self.used, id, value, clock, first, first + 11))

    def wide(self, family: str, *, visceral_fat: bool) -> nw.Expr:
        """Is the waist at or above the line of the person's sex? Measured visceral fat (内臓脂肪面積) comes first."""
        male, female = (self.above(f"{family}.waist.{sex}", nw.col("waist")) for sex in ("male", "female"))
        by_sex = _if(sure(nw.col(OWN_SEX) == "M"), male, _if(sure(nw.col(OWN_SEX) == "F"), female, _nothing()))
        waist = _if(sure(male == female), male, by_sex)  # beyond both lines the sex does not matter
        if not visceral_fat:
            return waist
        area = nw.col(VISCERAL_FAT)
        measured = sure((area >= 1) & (area <= 1000))
        return _if(measured, self.above("risk.visceral_fat", nw.when(measured).then(area)), waist)

    def fasting(self) -> nw.Expr:
        """Was the blood taken after 10 hours without food (or, by the switch, is nothing said)? Never null."""
        return usable_fpg(self.used, nw.col("fasting"))


def any_of(*conditions: nw.Expr) -> nw.Expr:
    """Does one hold? Null when none does and one is not known."""
    return nw.any_horizontal(*conditions, ignore_nulls=False)


def known(*conditions: nw.Expr) -> Any:
    """How many of these hold for certain?"""
    return sum((condition.fill_null(False).cast(nw.Int32) for condition in conditions[1:]), start=_first(conditions[0]))


def possible(*conditions: nw.Expr) -> Any:
    """How many of these may hold, with everything unknown taken for yes?"""
    rest = (condition.fill_null(True).cast(nw.Int32) for condition in conditions[1:])
    return sum(rest, start=conditions[0].fill_null(True).cast(nw.Int32))


def _first(condition: nw.Expr) -> Any:
    return condition.fill_null(False).cast(nw.Int32)


def decided(yes: nw.Expr, no: nw.Expr) -> nw.Expr:
    """Yes where `yes` holds, no where `no` holds, null elsewhere; neither may be null."""
    return nw.when(yes | no).then(yes)


def _if(condition: nw.Expr, then: nw.Expr, otherwise: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(then).otherwise(otherwise)


def _nothing() -> nw.Expr:
    return nw.lit(None, nw.Boolean)


def find_markers(
    checkups: Any,
    members: Any,
    *,
    fiscal_year: int,
    population: Population,
    pick: Pick | None,
    age: tuple[int, int] | None,
    branch: str | None,
    definitions: Definitions | None,
    values: tuple[str, ...],
) -> tuple[Eligible, nw.LazyFrame, bool]:
    """Plan one checkup per person aged 40-74 with sex and plausible values; says whether visceral fat is given.

    `fpg` is null unless it may count as fasting; `implausible` tells whether a value was left out as impossible.
    """
    used = definitions or define()
    fat = VISCERAL_FAT in frames.columns_of(checkups)
    found = find_eligible(
        checkups,
        members,
        fiscal_year=fiscal_year,
        population=population,
        pick=pick,
        age=age or (int(used.number("risk.age.lower")), int(used.number("risk.age.upper"))),
        branch=branch,
        definitions=used,
        values=("fasting", *values, *MEDICATION, "smoking", *((VISCERAL_FAT,) if fat else ())),
    )
    picked = found.picked
    if found.attributes is None:
        picked = picked.with_columns(nw.lit(None, nw.String).alias(OWN_SEX))
    else:
        stretch = ["person_id", "valid_from"]
        sexes = found.attributes.select(*stretch, nw.col("sex").alias(OWN_SEX)).unique(stretch)
        picked = picked.join(sexes, on=stretch, how="left")
    measured = {item: nw.col(item) for item in values}
    if "fpg" in measured:
        measured["fpg"] = nw.when(Marks(found.used, found.fiscal_year).fasting()).then(nw.col("fpg"))
    picked = picked.with_columns(
        implausible(*((value, item) for item, value in measured.items())).alias("implausible"),
        *(plausible(value, item).alias(item) for item, value in measured.items()),
    )
    return found, picked, fat
