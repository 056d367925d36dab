"""A slow oracle: one person at a time, plain Python, written from the definitions in words. Imports nothing of ours."""

from __future__ import annotations

import math

RANGES = {"sbp": (60, 300), "dbp": (30, 200), "fpg": (20, 1000), "hba1c": (3, 20), "ldl": (10, 600)}


def _have(value) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _value(row: dict, name: str):
    """A value that can be one: not missing, not NaN, within the plausible range of its column."""
    low, high = RANGES[name]
    return row[name] if _have(row[name]) and low <= row[name] <= high else None


def fiscal_year(day) -> int:
    return day.year if day.month >= 4 else day.year - 1


def eligible(checkups: list[dict], members: list[dict], year: int) -> dict:
    """person_id -> the last checkup of the year on which an insured person aged 35-74 was enrolled."""
    spells: dict = {}
    for member in members:
        spells.setdefault(member["person_id"], []).append(member)
    found: dict = {}
    for row in checkups:
        person = row["person_id"]
        if person is None or fiscal_year(row["checkup_date"]) != year or row["kind"] != "生活習慣病予防健診":
            continue
        for spell in spells.get(person, []):
            day = row["checkup_date"]
            enrolled = spell["valid_from"] <= day and (spell["valid_to"] is None or day < spell["valid_to"])
            age = year - spell["fy_age_base"]
            if enrolled and spell["relationship"] == "insured" and 35 <= age <= 74:
                order = (day, row["received_month"], row["record_id"])
                if person not in found or order > found[person][0]:
                    found[person] = (order, row)
    return {person: row for person, (_, row) in found.items()}


def prediabetes(checkups: list[dict], members: list[dict], year: int, rule: str) -> dict:
    """person_id -> "in" or the reason why not."""
    return {person: _prediabetes(row, rule) for person, row in eligible(checkups, members, year).items()}


def _prediabetes(row: dict, rule: str) -> str:
    fpg = _value(row, "fpg") if row["fasting"] in ("fasting", None) else None
    hba1c = _value(row, "hba1c")
    if row["medication_glucose"] is True:
        return "medication"
    if (fpg is not None and fpg >= 126) or (hba1c is not None and hba1c >= 6.5):
        return "diabetes_range"
    if fpg is None and hba1c is None:
        return "no_marker"
    by_fpg = fpg is not None and 110 <= fpg < 126
    by_hba1c = hba1c is not None and 6.0 <= hba1c < 6.5
    one_missing = fpg is None or hba1c is None
    if rule == "and" and one_missing and (by_fpg or by_hba1c):
        return "marker_missing"
    if not ((by_fpg or by_hba1c) if rule == "or" else (by_fpg and by_hba1c)):
        return "one_marker_below" if one_missing else "below"
    return "in" if row["medication_glucose"] is False else "medication_missing"


FIRST = {"bp": (("sbp", 160), ("dbp", 100)), "glucose": (("fpg", 126), ("hba1c", 6.5)), "lipid": (("ldl", 180),)}
SECOND = {"bp": (("sbp", 180), ("dbp", 110)), "glucose": (("fpg", 160), ("hba1c", 8.4)), "lipid": ()}


def month_number(yyyymm: int) -> int:
    return yyyymm // 100 * 12 + yyyymm % 100


def untreated(
    checkups: list[dict], claims: list[dict], members: list[dict], year: int, level: str, purpose: str
) -> dict:
    """person_id -> the set of domains that brought the person in, or the reason why not."""
    visits: dict = {}
    for claim in claims:
        if claim["kind"] == "入院外" and claim["status"] in ("normal", "reclaimed"):
            visits.setdefault(claim["person_id"], set()).add(month_number(claim["treatment_month"]))
    return {
        person: _untreated(row, visits.get(person, set()), year, level, purpose)
        for person, row in eligible(checkups, members, year).items()
    }


def _untreated(row: dict, visits: set, year: int, level: str, purpose: str) -> object:
    values = {name: _value(row, name) for name in RANGES}
    if row["fasting"] not in ("fasting", None):
        values["fpg"] = None
    if all(value is None for value in values.values()):
        return "no_marker"
    checkup = row["checkup_date"].year * 12 + row["checkup_date"].month
    # LDL and the two-domain rule came with the letters of October 2022; in the KPI with KPI year 2023.
    new_rules = checkup + 6 >= 2022 * 12 + 10 if purpose == "letter" else year + 1 >= 2023

    def over(table: dict, domain: str) -> bool:
        return any(
            values[item] is not None and values[item] >= line
            for item, line in table[domain]
            if item != "ldl" or new_rules
        )

    def reached(domains: list[str]) -> set:
        first = {domain for domain in domains if over(FIRST, domain)}
        if level == "first":
            return first
        several = first if new_rules and len(first) >= 2 else set()
        return several | {domain for domain in domains if over(SECOND, domain)}

    if not reached(list(FIRST)):
        return "below"
    domains = reached([domain for domain in FIRST if row[f"medication_{domain}"] is not True])
    if not domains:
        return "self_reported"
    window = range(checkup - 1, checkup) if purpose == "kpi" else range(checkup - 1, checkup + 4)
    return "visited" if visits & set(window) else domains
