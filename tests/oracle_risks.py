"""A slow oracle of risks and guidance levels: one person at a time, plain Python, written from the rules in words.

Unknown inputs are not reasoned about: every value they could have is tried, and where the answers differ it is None.
Imports nothing of ours.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

RANGES = {
    "sbp": (60, 300), "dbp": (30, 200), "tg": (10, 5000), "hdl": (10, 500), "fpg": (20, 1000), "hba1c": (3, 20),
    "casual_glucose": (20, 1500), "waist": (40, 250), "bmi": (10, 100),
    "ast": (0, 10000), "alt": (0, 10000), "ggt": (0, 10000),
}  # fmt: skip
DRUGS = ("medication_bp", "medication_glucose", "medication_lipid")
# Something below and something at or above every line there is.
TRIED: dict[str, tuple[Any, ...]] = {
    "waist": (70.0, 87.0, 95.0), "bmi": (22.0, 27.0), "sbp": (115.0, 135.0), "dbp": (70.0, 90.0),
    "tg": (90.0, 160.0, 200.0), "hdl": (35.0, 60.0), "ast": (20.0, 60.0), "alt": (20.0, 60.0), "ggt": (20.0, 90.0),
    "smoking": ("yes", "no"), **dict.fromkeys(DRUGS, (True, False)), "sex": ("M", "F"),
}  # fmt: skip


def cleaned(row: dict) -> dict:
    """The row with impossible values as missing, and glucose after less than 10 hours not as fasting."""
    found = dict(row)
    for name, (low, high) in RANGES.items():
        value = found.get(name)
        if value is None or (isinstance(value, float) and math.isnan(value)) or not low <= value <= high:
            found[name] = None
    if found["fasting"] not in ("fasting", None):
        found["fpg"] = None
    return found


def worlds(row: dict, names: tuple[str, ...]) -> Iterator[dict]:
    """Every person that this row could be: each missing input takes each value it could have."""
    open_ = [name for name in names if row.get(name) is None]
    for values in itertools.product(*(TRIED[name] for name in open_)):
        yield row | dict(zip(open_, values, strict=True))


def decided(row: dict, names: tuple[str, ...], judge: Callable[[dict], Any]) -> Any:
    """What every possible person gives, else None."""
    answers = {judge(one) for one in worlds(row, names)}
    return answers.pop() if len(answers) == 1 else None


# --- risk holders ---------------------------------------------------------------------------------------


def wide(row: dict) -> bool:
    return row["waist"] >= (85 if row["sex"] == "M" else 90)


def pressure(row: dict) -> bool:
    return row["sbp"] >= 130 or row["dbp"] >= 85 or row["medication_bp"]


def fat(row: dict) -> bool:
    return row["tg"] >= 150 or row["hdl"] < 40 or row["medication_lipid"]


def sugar(row: dict) -> bool | None:
    """FPG, or HbA1c where there is no fasting glucose; without both only the drug can tell."""
    if row["medication_glucose"]:
        return True
    if row["fpg"] is not None:
        return row["fpg"] >= 110
    return None if row["hba1c"] is None else row["hba1c"] >= 6.0


def _syndrome(row: dict, high: bool) -> tuple[bool, int]:
    return wide(row), pressure(row) + fat(row) + high


def risks(raw: dict) -> dict[str, bool | None]:
    row = cleaned(raw)
    bp, lipid = ("sbp", "dbp", "medication_bp"), ("tg", "hdl", "medication_lipid")
    every = ("sex", "waist", *bp, *lipid, "medication_glucose")

    def highs(one: dict) -> tuple[bool, ...]:
        found = sugar(one)
        return (True, False) if found is None else (found,)

    def over(judge: Callable[[bool, int], bool]) -> bool | None:
        answers = {judge(*_syndrome(one, high)) for one in worlds(row, every) for high in highs(one)}
        return answers.pop() if len(answers) == 1 else None

    sugars = {high for one in worlds(row, ("medication_glucose",)) for high in highs(one)}
    alone = {
        high and not one["medication_glucose"] for one in worlds(row, ("medication_glucose",)) for high in highs(one)
    }
    return {
        "risk_waist": decided(row, ("sex", "waist"), wide),
        "risk_bp": decided(row, bp, pressure),
        "risk_lipid": decided(row, lipid, fat),
        "risk_metabolic": sugars.pop() if len(sugars) == 1 else None,
        "risk_mets": over(lambda is_wide, count: is_wide and count >= 2),
        "risk_premets": over(lambda is_wide, count: is_wide and count == 1),
        "risk_liver": decided(row, ("ast", "alt", "ggt"), lambda r: r["ast"] >= 31 or r["alt"] >= 31 or r["ggt"] >= 51),
        "risk_smoking": None if row["smoking"] is None else row["smoking"] == "yes",
        "risk_metabolic_treated": row["medication_glucose"],
        "risk_metabolic_untreated": alone.pop() if len(alone) == 1 else None,
    }


# --- guidance levels (階層化) ---------------------------------------------------------------------------


def blood_sugar(row: dict) -> tuple[bool, ...]:
    """Fasting glucose first, else HbA1c, else a casual value that is not post-meal; else nobody knows."""
    if row["fpg"] is not None:
        return (row["fpg"] >= 100,)
    if row["hba1c"] is not None:
        return (row["hba1c"] >= 5.6,)
    if row["fasting"] == "casual" and row["casual_glucose"] is not None:
        return (row["casual_glucose"] >= 100,)
    return (True, False)


def step_levels(row: dict, sugar_high: bool, casual_line: int) -> str:
    """Steps 1 to 4 for a person of whom everything is known."""
    if any(row[drug] for drug in DRUGS):
        return "対象外(服薬中)"
    group = 1 if wide(row) else 2 if row["bmi"] >= 25 else 0
    tg_line = casual_line if row["fasting"] in ("casual", "post_meal") else 150
    count = (row["sbp"] >= 130 or row["dbp"] >= 85) + (row["tg"] >= tg_line or row["hdl"] < 40) + sugar_high
    if count >= 1 and row["smoking"] == "yes":
        count += 1
    if group == 0 or count == 0:
        return "情報提供"
    active = count >= (2 if group == 1 else 3)
    return "積極的支援" if active and row["age"] < 65 else "動機付け支援"


def level(raw: dict, *, casual_line: int = 175) -> tuple[str, bool | None]:
    """(level, whether a target); 判定不能 and None where the missing inputs decide."""
    row = cleaned(raw)
    names = ("sex", "waist", "bmi", "sbp", "dbp", "tg", "hdl", "smoking", *DRUGS)
    found = {step_levels(one, high, casual_line) for one in worlds(row, names) for high in blood_sugar(one)}
    targets = {one in ("積極的支援", "動機付け支援") for one in found}
    return (found.pop() if len(found) == 1 else "判定不能"), (targets.pop() if len(targets) == 1 else None)
