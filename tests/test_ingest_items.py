"""Checkup items: what each rule of the 第4期 item table (特定健診項目表 V4.0) makes of an observation."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from kenpo_analytics.ingest.checkups.item_values import ANSWERS, answer_lists, items, normal_answer, normal_unit
from kenpo_analytics.ingest.checkups.items import LONG, columns_to_checkups, to_checkups
from kenpo_analytics.ingest.records import CHECKUPS, IDENTITY, REJECTED, TRACE

HEIGHT, BMI = "9N001000000000001", "9N011000000000001"
WAIST, WAIST_OWN, WAIST_SAID = "9N016160100000001", "9N016160200000001", "9N016160300000001"
SBP, SBP_2, SBP_1 = "9A755000000000001", "9A752000000000001", "9A751000000000001"
FPG, FPG_2, CASUAL = "3D010000001926101", "3D010000002227101", "3D010129901926101"
NGSP, JDS = "3D046000001906202", "3D045000001906202"
TG, TG_CASUAL, HDL = "3F015000002327101", "3F015129902327101", "3F070000002327101"
LDL, LDL_CALCULATED, AST, CREATININE = (
    "3F077000002327101", "3F077000002391901", "3B035000002327201", "3C015000002327101",
)  # fmt: skip
DRAWN, SMOKING, MED_BP, RECHECK_BP = "9N141000000000011", "9N736000000000011", "9N701000000000011", "9N702167200000049"
GAIN, CHANGE = "9N741000000000011", "9N761000000000011"
OID = "1.2.392.200119.6."
DAY = dt.date(2024, 5, 7)
_OF_CHECKUP = ("checkup_date", "received_month", "institution", "kind", "action")

Seen = tuple[str, str | None] | tuple[str, str | None, dict[str, Any]]


def header(*days: dt.date) -> pl.DataFrame:
    rows = [
        {"entry": "a/DATA/h1.xml", "line": at, "filed": None, "insurer": "01240019", "symbol": "1", "number": "2",
         "birth": dt.date(1970, 1, 1), "sex": "M", "checkup_date": day, "institution": "2411000001", "kind": "特定健診",
         "action": "put"}
        for at, day in enumerate(days, start=1)
    ]  # fmt: skip
    schema = {**TRACE, **IDENTITY, **{name: CHECKUPS[name] for name in _OF_CHECKUP}}
    return pl.DataFrame(rows, schema=schema)


def long(*seen: Seen, record: int = 0) -> pl.DataFrame:
    plain = {"unit": None, "code_system": None, "state": "value", "path": "observation"}
    rows = [
        {"record": record, "code": one[0], "value": one[1], **plain, **(one[2] if len(one) == 3 else {})}  # type: ignore[misc]
        for one in seen
    ]
    return pl.DataFrame(rows, schema=LONG)


def read(*seen: Seen, day: dt.date = DAY) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    rows, rejected = to_checkups(long(*seen), header(day))
    assert dict(rows.schema) == CHECKUPS
    assert dict(rejected.schema) == REJECTED
    return rows.row(0, named=True), list(rejected.select("item", "rule").iter_rows())


# --- the table -----------------------------------------------------------------------------------------


def test_every_code_of_the_4th_term_table_that_we_read_is_known() -> None:
    """Authority: 特定健診項目表 (第4期, XMLhc24tab V4.0), codes of the measurements that our columns hold."""
    known = {item.key: [code for code in items() if items()[code].key == item.key] for item in items().values()}
    assert known["glucose_fasting"] == [
        "3D010000001926101", "3D010000002227101", "3D010000001927201", "3D010000001999901",
    ]  # fmt: skip
    assert known["hba1c_ngsp"] == ["3D046000001906202", "3D046000001920402", "3D046000001927102", "3D046000001999902"]
    assert known["tg_casual"] == ["3F015129902327101", "3F015129902327201", "3F015129902399901"]
    assert known["ldl"] == ["3F077000002327101", "3F077000002327201", "3F077000002399901", "3F077000002391901"]
    assert known["non_hdl"] == ["3F069000002391901"]
    assert known["egfr"] == ["8A065000002391901"]
    assert len(items()) == 61
    assert all(len(code) == 17 for code in items())


INPUT_RANGES = {
    HEIGHT: (100, 250), "9N006000000000001": (20, 250), BMI: (10, 100), WAIST: (40, 250), SBP: (60, 300),
    "9A765000000000001": (30, 150), FPG: (20, 600), NGSP: (3, 20), TG: (10, 2000), TG_CASUAL: (10, 2000),
    HDL: (10, 500), LDL: (20, 1000), AST: (0, 1000), "3B045000002327201": (0, 1000), "3B090000002327101": (0, 1000),
}  # fmt: skip


@pytest.mark.parametrize(("code", "limits"), INPUT_RANGES.items())
def test_input_ranges_hold_at_both_limits(code: str, limits: tuple[float, float]) -> None:
    """Authority: 入力範囲 of 特定健診データ入力ソフト CC2X (項目基本情報)."""
    column = items()[code].column
    for limit, outside in zip(limits, (limits[0] - 0.1, limits[1] + 0.1), strict=True):
        assert read((code, f"{limit:g}"))[0][column] == limit
        row, rejected = read((code, f"{outside:g}"))
        assert row[column] is None
        assert rejected in ([(column, "range")], [(column, "unit_suspected")])


@pytest.mark.parametrize(
    ("code", "limits"), {CASUAL: (20, 1500), CREATININE: (0.1, 30), "8A065000002391901": (1, 300)}.items()
)
def test_the_column_range_holds_where_the_table_has_none(code: str, limits: tuple[float, float]) -> None:
    column = items()[code].column
    assert [read((code, f"{limit:g}"))[0][column] for limit in limits] == list(limits)
    assert read((code, f"{limits[1] + 0.5:g}"))[1] == [(column, "range")]


def test_every_read_item_has_a_range_and_a_source() -> None:
    assert all(item.low is not None and item.high is not None for item in items().values() if item.is_number)
    assert all(answer_lists()[item.key] for item in items().values() if not item.is_number)


# --- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "value", "rules"),
    [
        ("98", 98, []), ("98.0", 98, []), ("０９８", 98, []), (" 98 ", 98, []), ("98mg/dl", 98, []),
        ("9000", None, ["range"]), ("0", None, ["range"]), ("***", None, ["not_a_number"]), ("-5", None, ["range"]),
        ("19.9", None, ["unit_suspected"]), ("1.1", None, ["unit_suspected"]), ("5.6", None, ["unit_suspected"]),
        ("1.0", None, ["range"]), ("H", None, ["censored"]), ("<3", None, ["censored"]),
        ("600以上", None, ["censored"]),
        ("測定不能", None, ["not_measurable"]), ("未実施", None, []), ("", None, []), (None, None, []),
        ("98?", None, ["not_a_number"]), ("nan", None, ["not_a_number"]), ("inf", None, ["not_a_number"]),
        ("9" * 400, None, ["range"]), ("98\x00", None, ["not_a_number"]), ("98,5", None, ["not_a_number"]),
    ],
)  # fmt: skip
def test_texts_of_a_number(said: str | None, value: float | None, rules: list[str]) -> None:
    row, rejected = read((FPG, said))
    assert row["fpg"] == value
    assert rejected == [("fpg", rule) for rule in rules]


@pytest.mark.parametrize(
    ("said", "rule"), [("30", "unit_suspected"), ("56", "unit_suspected"), ("200", "unit_suspected"), ("29.9", "range")]
)
def test_hba1c_in_another_unit_is_suspected_and_never_converted(said: str, rule: str) -> None:
    row, rejected = read((NGSP, said))
    assert (row["hba1c"], rejected) == (None, [("hba1c", rule)])


@pytest.mark.parametrize("unit", ["mg/dL", "mg/dl", "ＭＧ／ＤＬ", " mg/dL ", None, ""])
def test_equal_units_are_one(unit: str | None) -> None:
    assert read((FPG, "98", {"unit": unit}))[0]["fpg"] == 98


def test_ucum_and_display_forms_are_one() -> None:
    """Authority: both unit columns of 特定健診項目表 (UCUM and 表示用), the misprinted U/ of AST among them."""
    for ucum, shown in (("mm[Hg]", "mmHg"), ("U/L", "IU/L"), ("U/L", "U/"), ("kg/m2", "kg/m²"), ("%", "％")):
        assert normal_unit(ucum) == normal_unit(shown)
    assert read((SBP, "120", {"unit": "mmHg"}), (AST, "20", {"unit": "IU/L"}))[1] == []


@pytest.mark.parametrize(("value", "unit"), [("5.6", "mmol/L"), ("98", "mmol/L"), ("98", "g/L")])
def test_a_stated_other_unit_is_refused_whatever_the_number(value: str, unit: str) -> None:
    row, rejected = read((FPG, value, {"unit": unit}))
    assert (row["fpg"], rejected) == (None, [("fpg", "unit_suspected")])


@pytest.mark.parametrize(
    ("state", "rules"),
    [("not_done", []), ("not_measurable", ["not_measurable"]), ("below", ["censored"]), ("above", ["censored"])],
)
def test_states_without_a_value(state: str, rules: list[str]) -> None:
    """Also where a number stands beside it: the two-value form of a value beyond the input range."""
    for said in (None, "650"):
        row, rejected = read((FPG, said, {"state": state}))
        assert (row["fpg"], rejected) == (None, [("fpg", rule) for rule in rules])


# --- several observations for one column -----------------------------------------------------------------


def test_methods_coalesce_and_differing_ones_are_conflicts() -> None:
    assert read((FPG_2, "99"))[0]["fpg"] == 99
    row, rejected = read((FPG_2, "99"), (FPG, "98"))
    assert (row["fpg"], rejected) == (98, [("fpg", "conflict")])
    assert read((FPG_2, "98.0"), (FPG, "98"))[1] == []
    row, rejected = read((FPG, "9000"), (FPG_2, "99"))
    assert (row["fpg"], rejected) == (99, [("fpg", "range")])
    row, rejected = read((LDL_CALCULATED, "130"), (LDL, "121"))
    assert (row["ldl"], rejected) == (121, [("ldl", "conflict")])


def test_the_same_item_twice() -> None:
    row, rejected = read((FPG, "98"), (FPG, "99"))
    assert (row["fpg"], rejected) == (98, [("fpg", "conflict")])
    assert read((FPG, "98"), (FPG, None), (FPG, "98"))[1] == []


@pytest.mark.parametrize(
    ("seen", "value"),
    [
        ([(SBP, "120"), (SBP_1, "140"), (SBP_2, "150")], 120),
        ([(SBP_1, "121"), (SBP_2, "130")], 125.5),
        ([(SBP_1, "130.1"), (SBP_2, "130.2")], 130.2),
        ([(SBP_1, "130.2"), (SBP_2, "130.2")], 130.2),
        ([(SBP_1, "130.1"), (SBP_2, "130.4")], 130.3),
        ([(SBP_1, "121.25")], 121.25),
        ([(SBP_1, "121")], 121),
        ([(SBP_2, "130")], 130),
        ([(SBP_1, "9000"), (SBP_2, "130")], 130),
        ([], None),
    ],
)
def test_blood_pressure(seen: list[Seen], value: float | None) -> None:
    """その他 (the average or only value), else the mean of the first two (one decimal, half up), else the one."""
    assert read(*seen)[0]["sbp"] == value


def test_waist_prefers_the_measured_one() -> None:
    row, rejected = read((WAIST_SAID, "90"), (WAIST_OWN, "88"), (WAIST, "85.5"))
    assert (row["waist"], rejected) == (85.5, [])
    assert read((WAIST_SAID, "90"), (WAIST_OWN, "88"))[0]["waist"] == 88


def test_triglycerides_of_the_fasting_item_else_the_casual_one() -> None:
    assert read((TG_CASUAL, "150"))[0]["tg"] == 150
    row, rejected = read((TG, "140"), (TG_CASUAL, "150"))
    assert (row["tg"], rejected) == (140, [("tg", "conflict")])
    row = read((FPG, "98"), (CASUAL, "120"))[0]
    assert (row["fpg"], row["casual_glucose"]) == (98, 120)


@pytest.mark.parametrize(("jds", "ngsp"), [("5.0", 5.4), ("5.2", 5.6), ("6.1", 6.5), ("9.9", 10.3), ("4.9", 5.2)])
def test_jds_before_april_2013_becomes_ngsp(jds: str, ngsp: float) -> None:
    """Authority: 日本糖尿病学会, NGSP値(%) = 1.02 x JDS値(%) + 0.25 (JDS 5.0-9.9: +0.4, below 5.0: +0.3)."""
    assert read((JDS, jds), day=dt.date(2013, 3, 31))[0]["hba1c"] == ngsp


def test_jds_since_april_2013_is_refused_and_ngsp_wins() -> None:
    row, rejected = read((JDS, "5.2"), day=dt.date(2013, 4, 1))
    assert (row["hba1c"], rejected) == (None, [("hba1c", "jds")])
    row, rejected = read((JDS, "5.2"), (NGSP, "5.5"), day=dt.date(2013, 3, 31))
    assert (row["hba1c"], rejected) == (5.5, [])


def test_a_bmi_that_is_not_given_is_not_computed() -> None:
    assert read((HEIGHT, "170"), ("9N006000000000001", "65"))[0]["bmi"] is None


# --- answers -------------------------------------------------------------------------------------------

OLD, NEW = dt.date(2024, 3, 31), dt.date(2024, 4, 1)


@pytest.mark.parametrize(
    ("said", "system", "day", "value", "rules"),
    [
        ("2", OID + "2003", OLD, "no", []), ("2", OID + "24060", NEW, "past", []), ("3", OID + "24060", NEW, "no", []),
        ("2", None, OLD, "no", []), ("2", None, NEW, "past", []), ("3", "", NEW, "no", []),
        ("1", None, OLD, "yes", []), ("1", None, NEW, "yes", []), ("3", None, OLD, None, ["unknown_code"]),
        ("2", OID + "24060", OLD, "past", []), ("2", OID + "2003", NEW, "no", []),
        ("2", OID + "9999", NEW, None, ["unknown_code"]), ("9", None, NEW, None, ["unknown_code"]),
        ("いいえ", None, NEW, "no", []), ("２", None, NEW, "past", []), ("2.0", None, NEW, "past", []),
        ("urn", "urn:oid:" + OID + "24060", NEW, None, ["unknown_code"]),
        ("3", "urn:oid:" + OID + "24060", NEW, "no", []), ("未実施", None, NEW, None, []), ("", None, NEW, None, []),
    ],
)  # fmt: skip
def test_smoking_by_code_system_else_by_checkup_day(
    said: str, system: str | None, day: dt.date, value: str | None, rules: list[str]
) -> None:
    """Authority: 電子的健診結果報告書 コード表 24060 (FY2024-: 2 = 以前は吸っていた) and 2003 (-FY2023: 2 = いいえ)."""
    row, rejected = read((SMOKING, said, {"code_system": system}), day=day)
    assert (row["smoking"], rejected) == (value, [("smoking", rule) for rule in rules])


@pytest.mark.parametrize(
    ("said", "system", "day", "value"),
    [
        ("2", OID + "2202", NEW, "fasting"), ("3", OID + "2202", NEW, "casual"), ("4", OID + "2202", NEW, "post_meal"),
        ("1", OID + "2201", OLD, "casual"), ("2", OID + "2201", OLD, "fasting"), ("3", OID + "2201", OLD, None),
        ("1", OID + "2202", NEW, None), ("1", None, OLD, "casual"), ("1", None, NEW, None), ("3", None, OLD, "casual"),
        ("4", None, dt.date(2019, 6, 1), "post_meal"), ("食後10時間以上", None, NEW, "fasting"),
    ],
)  # fmt: skip
def test_blood_draw_timing(said: str, system: str | None, day: dt.date, value: str | None) -> None:
    """Authority: コード表 2202 (2 食後10時間以上, 3 3.5時間以上10時間未満, 4 3.5時間未満); 2201 before it is 仮定."""
    row, rejected = read((DRAWN, said, {"code_system": system}), day=day)
    assert row["fasting"] == value
    assert rejected == ([] if value else [("fasting", "unknown_code")])


@pytest.mark.parametrize(
    ("asked", "again", "value"),
    [
        ("1", None, True), ("2", None, False), (None, None, None), ("2", "1", True), (None, "1", True),
        (None, "2", False), ("2", "2", False), ("1", "2", True), ("服薬あり", None, True), ("服薬なし", None, False),
    ],
)  # fmt: skip
def test_medication_and_its_recheck_by_the_insurer(asked: str | None, again: str | None, value: bool | None) -> None:
    """Authority: コード表 24020: 1 質問票の記載違い(服薬中)を確認, 2 健診以後に服薬開始を確認."""
    assert read((MED_BP, asked), (RECHECK_BP, again))[0]["medication_bp"] is value


def test_weight_questions() -> None:
    row, rejected = read((GAIN, "1"), (CHANGE, "いいえ"))
    assert (row["weight_gain_10kg"], row["weight_change_1y"], rejected) == (True, False, [])
    assert read((GAIN, "7"))[1] == [("weight_gain_10kg", "unknown_code")]


# --- frames --------------------------------------------------------------------------------------------


def test_rejections_say_where_and_nothing_about_the_person() -> None:
    _, rejected = to_checkups(long((FPG, "731"), record=1), header(DAY, dt.date(2024, 6, 1)))
    row = rejected.row(0, named=True)
    assert (row["entry"], row["line"], row["level"]) == ("a/DATA/h1.xml", 2, "value")
    assert (row["institution"], row["month"]) == ("2411000001", 202406)
    assert "空腹時血糖" in row["reason"]
    assert "731" not in row["reason"]


def test_unknown_items_and_empty_frames() -> None:
    assert read(("1A020000000191111", "3"), ("3F050000002327101", "200"))[1] == []
    rows, rejected = to_checkups(pl.DataFrame(schema=LONG), header())
    assert (rows.height, rejected.height, dict(rows.schema)) == (0, 0, CHECKUPS)


VALUES = some.dictionaries(
    some.sampled_from([code for code in items() if items()[code].is_number]),
    some.one_of(
        some.floats(0, 3000).map(lambda x: f"{x:.1f}"),
        some.sampled_from(["", "H", "***", "未実施", "9000", "１２０", "x"]),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(some.lists(VALUES, min_size=1, max_size=6))
def test_columns_and_observations_say_the_same(people: list[dict[str, str]]) -> None:
    head = header(*[DAY] * len(people))
    frames = [long(*person.items(), record=at) for at, person in enumerate(people)]
    wide = [
        (code, "observation", pl.Series([person.get(code) for person in people], dtype=pl.String)) for code in items()
    ]
    by_row, by_column = to_checkups(pl.concat(frames), head), columns_to_checkups(wide, head)
    assert by_row[0].equals(by_column[0])
    assert sorted(by_row[1].rows(), key=str) == sorted(by_column[1].rows(), key=str)
    for row in by_row[0].select(pl.col(pl.Float64)).iter_rows():
        assert all(value is None or math.isfinite(value) for value in row)


def test_answers_are_those_of_the_columns() -> None:
    assert set(ANSWERS) == {"yes", "no", "past", "fasting", "casual", "post_meal"}
    assert normal_answer("０１") == normal_answer("1.0") == "1"
