"""Which 診療行為コード make an out-of-hours visit by a newer master? A user's 診療行為マスター (s.csv), by one rule.

Rule (on the master in force from June 2024 it gives exactly the 156 packaged codes): the code begins 111, 112 or 113,
項番43 時間加算区分 is not 0, and the name says 時間外, 休日, 深夜 or 夜間. 項番43 alone takes every 初診料 (it marks
what may be added to), the name alone 時間外対応加算 (a fee of the clinic). The class is the name's: six
外来腫瘍化学療法診療料 codes say 休日 or 深夜 but carry 1 (時間外) in 項番43.
Source: 支払基金 レセプト電算処理システム マスターファイル仕様説明書.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import polars as pl

from kenpo_analytics.definitions.own_fees import FEE_CODES
from kenpo_analytics.errors import DateError, IngestError
from kenpo_analytics.ingest.files.lines import decode
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.months import add_months, parse_month

_CODE, _NAME, _TIME_ADDON, _CHANGED, _ABOLISHED = 2, 4, 42, 86, 87
_FIELDS = 88
_OPEN = "99999999"
_CLASSES = {
    "夜間・早朝": "evening_early_in_hours",
    "時間外特例": "after_hours_special",
    "深夜": "late_night",
    "休日": "holiday",
    "時間外": "after_hours",
    "夜間": "ped_evening",
}
"""Sign in the name → class; the first that is found."""
_VISITS = {"初診": "first", "再診": "return", "外来診療料": "return"}
_NOT_AN_ADDON = "時間外対応加算"
_HINT = "支払基金の医科診療行為マスター(s.csv、150項目、CP932)をそのまま置いてください。"


def read_fee_master(source: Source) -> pl.DataFrame:
    """Which out-of-hours add-ons does this master hold? `FEE_CODES`, by code.

    `valid_from` is the month of 変更年月日, `valid_to` the month after 廃止年月日 (null for 99999999).

    Raises
    ------
    IngestError
        Not a 医科診療行為マスター, damaged, without one add-on, or with one whose name does not tell 初診 from 再診.
    """
    with source.open() as stream:
        _, blocks = decode(stream)
        lines = list(blocks)
    try:
        rows = [row for block in lines for row in csv.reader(io.StringIO(block.text)) if row]
    except csv.Error as error:
        raise IngestError("診療行為マスターをCSVとして読めません", hint=_HINT) from error
    wrong = sum(len(block.bad) for block in lines) + sum(not _is_fee(row) or len(row) != len(rows[0]) for row in rows)
    if wrong or not rows:
        raise IngestError(f"診療行為マスターの形でない行が{wrong:,}行あります", hint=_HINT)
    found = [_fee(row) for row in rows if _is_addon(row)]
    if not found:
        raise IngestError("時間外加算のコードが1つもない診療行為マスターです", hint=_HINT)
    if unclear := [row["code"] for row in found if row["visit_type"] is None]:
        raise IngestError(f"初診か再診かが名称から分からない時間外加算があります: {', '.join(unclear)}", hint=_HINT)
    return pl.DataFrame(found, schema=FEE_CODES).sort("code", "valid_from")


def _is_fee(row: list[str]) -> bool:
    return len(row) >= _FIELDS and len(row[_CODE]) == 9 and row[_CODE].isascii() and row[_CODE].isdigit()


def _is_addon(row: list[str]) -> bool:
    name = row[_NAME]
    named = any(sign in name for sign in _CLASSES) and _NOT_AN_ADDON not in name
    return row[_CODE][:3] in ("111", "112", "113") and row[_TIME_ADDON].strip("0 ") != "" and named


def _fee(row: list[str]) -> dict[str, Any]:
    name = row[_NAME]
    try:
        begins = parse_month(row[_CHANGED])
        ends = None if row[_ABOLISHED] == _OPEN else add_months(parse_month(row[_ABOLISHED]), 1)
    except DateError as error:
        raise IngestError(f"コード{row[_CODE]}の変更年月日・廃止年月日を読めません", hint=_HINT) from error
    return {
        "code": row[_CODE],
        "name": name,
        "visit_type": next((visit for sign, visit in _VISITS.items() if sign in name), None),
        "out_of_hours": next(kind for sign, kind in _CLASSES.items() if sign in name),
        "inpatient": "（入院）" in name,
        "valid_from": begins,
        "valid_to": ends,
    }
