"""A slow oracle for out-of-hours visits: plain Python, one line and one month at a time. Imports nothing of ours."""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter, defaultdict
from pathlib import Path

CODES = {
    row["code"]: row
    for row in csv.DictReader(
        (Path(__file__).parents[1] / "src/kenpo_analytics/definitions/fee_codes.csv").open(encoding="utf-8")
    )
}
UNKNOWN = "不明"


def months_of(first: int, last: int) -> list[int]:
    """Every calendar month from first to last, written YYYYMM."""
    return [month for month in range(first, last + 1) if 1 <= month % 100 <= 12]


def last_day(month: int) -> dt.date:
    year, number = divmod(month, 100)
    return dt.date(year + number // 12, number % 12 + 1, 1) - dt.timedelta(days=1)


def stretch_of(person, month: int, members: list[dict]) -> dict | None:
    """The stretch in which the person is enrolled on the last day of the month."""
    day = last_day(month)
    for row in members:
        begun = row["valid_from"] is not None and row["valid_from"] <= day
        if row["person_id"] == person and begun and (row["valid_to"] is None or day < row["valid_to"]):
            return row
    return None


def age_band(base: int | None, month: int) -> str:
    if base is None:
        return UNKNOWN
    fiscal_year = month // 100 if month % 100 >= 4 else month // 100 - 1
    age = fiscal_year - base
    if age < 0:
        return UNKNOWN
    if age == 75:  # turns 75 within the year, and is a member only while still 74
        return "70-74"
    return "75+" if age > 75 else f"{age // 5 * 5:02d}-{age // 5 * 5 + 4:02d}"


def stratum(row: dict, month: int, by: tuple[str, ...], area: str) -> tuple:
    values = {
        "area": row[area] or UNKNOWN,
        "sex": row["sex"] or UNKNOWN,
        "age_band": age_band(row["fy_age_base"], month),
        "relationship": row["relationship"] or UNKNOWN,
    }
    return tuple(values[name] for name in by)


def reason(line: dict, first: int, last: int, evening: bool, extrapolate: bool, through: int | None) -> str:
    """Why does a fee line not count? "" when it does."""
    month, day = line["treatment_month"], line["day"]
    status = line["status"]
    if line["person_id"] is None or line["code"] is None or month is None or day is None:
        return "unreadable"
    if not (1 <= month % 100 <= 12 and 1 <= day <= 31):
        return "unreadable"
    if status not in ("normal", "reclaimed", "returned", "after_loss"):
        return "unreadable"
    if not first <= month <= last:
        return "other_month"
    if through is not None and line["received_month"] > through:
        return "not_received"
    if status in ("returned", "after_loss"):
        return status
    code = CODES.get(line["code"])
    if code is None:
        return "not_addon"
    if code["inpatient"] == "1":
        return "inpatient"
    if code["out_of_hours"] == "evening_early_in_hours" and not evening:
        return "evening_early"
    if not extrapolate and not 202406 <= month < 202606:
        return "not_in_force"
    return ""


def out_of_hours(
    lines: list[dict],
    members: list[dict],
    first: int,
    last: int,
    *,
    by: tuple[str, ...] = ("area", "sex", "age_band"),
    area: str = "branch",
    branch: str | None = None,
    evening: bool = False,
    extrapolate: bool = True,
    through: int | None = None,
) -> tuple[dict, Counter]:
    """((visit type, *stratum) -> (events, events_sq, persons, members, member-months), account by reason)."""
    account: Counter = Counter(start=len(lines))
    visits = set()
    for line in lines:
        why = reason(line, first, last, evening, extrapolate, through)
        visit = (line["person_id"], line["institution"], line["treatment_month"], line["day"])
        if not why:
            visit = (*visit, CODES[line["code"]]["visit_type"])
            why = "same_visit" if visit in visits else "visit"
            visits.add(visit)
        account[why] += 1
    counts: dict = defaultdict(Counter)
    for person, _, month, _, kind in sorted(visits, key=str):
        row = stretch_of(person, month, members)
        if row is None:
            account["not_enrolled"] += 1
        elif branch is not None and row["branch"] != branch:
            account["other_branch"] += 1
        else:
            account["end"] += 1
            counts[kind, *stratum(row, month, by, area)][person] += 1
    enrolled: dict = defaultdict(Counter)
    for person in {row["person_id"] for row in members if row["person_id"] is not None}:
        for month in months_of(first, last):
            row = stretch_of(person, month, members)
            if row is not None and branch in (None, row["branch"]):
                enrolled[stratum(row, month, by, area)][person] += 1
    cells = {}
    for layer, people in enrolled.items():
        for kind in ("first", "return"):
            n = counts[kind, *layer]
            squares = sum(value * value for value in n.values())
            cells[kind, *layer] = (n.total(), squares, len(n), len(people), people.total())
    return cells, account
