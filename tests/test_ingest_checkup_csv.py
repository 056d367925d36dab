"""Checkup CSV: what each known layout says, what is done with its traps, and what damage does to it."""

from __future__ import annotations

import datetime as dt
import io
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from kenpo_analytics.ingest.checkups import fkac522 as fkac522_module
from kenpo_analytics.ingest.checkups.csv import read_cc2x, read_fkac167
from kenpo_analytics.ingest.checkups.fkac522 import read_fkac522
from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.files.lines import BLOCK_BYTES
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.records import CHECKUPS, REJECTED, Batch
from tests.checkup_files import FKAC167, Person, cc2x, fkac167, fkac522, lines, source

HEIGHT, WEIGHT, SBP, DBP = "9N001000000000001", "9N006000000000001", "9A755000000000001", "9A765000000000001"
FPG, FPG_2, NGSP, SMOKING = "3D010000001926101", "3D010000002227101", "3D046000001906202", "9N736000000000011"
DRAWN, MED_BP, URINE = "9N141000000000011", "9N701000000000011", "1A020000000191111"
CODES = [HEIGHT, WEIGHT, SBP, DBP, FPG, FPG_2, NGSP, DRAWN, SMOKING, MED_BP, URINE]
VALUES = {HEIGHT: "170.2", WEIGHT: "65.0", SBP: "128", FPG: "98", DRAWN: "2", SMOKING: "3", MED_BP: "2", URINE: "1"}
TARO = Person(values=VALUES)
HANAKO = Person(number="57", branch="01", kana="カクウ ハナコ", sex="2", birth=dt.date(1980, 4, 1), values=VALUES)

Reader = Callable[[Source], Iterator[Batch]]
Row = dict[str, Any]


def read(reader: Reader, data: bytes | str, encoding: str = "cp932") -> tuple[list[Row], list[Row]]:
    """Records and rejections of a file; checks that everything read is accounted for (Batch asserts each balance)."""
    batches = list(reader(source(data, encoding=encoding)))
    rows = [row for batch in batches for frame in batch.rows.values() for row in frame.iter_rows(named=True)]
    rejected = [row for batch in batches for row in batch.rejected.iter_rows(named=True)]
    assert sum(batch.read for batch in batches) == len(rows) + sum(row["level"] == "row" for row in rejected)
    for batch in batches:
        assert dict(batch.rejected.schema) == REJECTED
        assert all(dict(frame.schema) == CHECKUPS for frame in batch.rows.values())
    return rows, rejected


def rules(rejected: list[Row]) -> list[tuple[int, str, str]]:
    return [(row["line"], row["item"], row["rule"]) for row in rejected]


# --- CC2X ----------------------------------------------------------------------------------------------


def test_cc2x_sample_layout() -> None:
    rows, rejected = read(read_cc2x, cc2x([TARO, HANAKO], CODES))
    first, second = rows
    assert (first["line"], second["line"]) == (4, 5)
    assert (first["insurer"], first["symbol"], first["number"], first["branch_number"]) == (
        "01240019",
        "12345678",
        "56",
        "00",
    )
    assert (second["birth"], second["sex"], second["kana"]) == (dt.date(1980, 4, 1), "F", "カクウ ハナコ")
    assert first["checkup_date"] == dt.date(2024, 5, 7)
    assert (first["height"], first["weight"], first["sbp"], first["fpg"]) == (170.2, 65.0, 128, 98)
    assert (first["fasting"], first["smoking"], first["medication_bp"]) == ("fasting", "no", False)
    assert (first["kind"], first["action"], first["filed"], first["received_month"]) == ("特定健診", "put", None, None)
    assert rejected == []


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("hashes", [True, False])
@pytest.mark.parametrize("names", [True, False])
def test_cc2x_headers_are_found_in_every_dress(encoding: str, hashes: bool, names: bool) -> None:
    rows, rejected = read(read_cc2x, cc2x([TARO], CODES, hashes=hashes, names=names), encoding)
    assert [(row["fpg"], row["kana"]) for row in rows] == [(98, "ゴウセイ タロウ")]
    assert rejected == []


def test_cc2x_codes_in_any_width_and_case() -> None:
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    text = cc2x([TARO], CODES).replace(FPG, f" {FPG.lower()} ").replace(HEIGHT, HEIGHT.translate(wide))
    assert [(row["fpg"], row["height"]) for row in read(read_cc2x, text)[0]] == [(98, 170.2)]


def test_cc2x_names_of_people_columns_only_in_the_row_of_names() -> None:
    head, row = cc2x([TARO], CODES, hashes=False).splitlines()[1:4:2][0], cc2x([TARO], CODES).splitlines()[3]
    keys = head.split(",")[:13]
    codes = ",".join([""] * 13 + CODES)
    named = ",".join(keys + ["項目"] * len(CODES))
    rows, rejected = read(read_cc2x, "\r\n".join([codes, named, row, ""]))
    assert [(one["number"], one["fpg"]) for one in rows] == [("56", 98)]
    rows, rejected = read(read_cc2x, "\r\n".join([named, codes, row, ""]))
    assert ([(one["number"], one["fpg"]) for one in rows], rejected) == ([("56", 98)], [])


def test_names_beyond_the_columns_of_the_data_are_no_columns() -> None:
    codes = ",".join(["", "", FPG, "", ""])
    for row in ("1,2,98", "1,2,98,,"):
        rows, rejected = read(read_cc2x, "\r\n".join([",,,生年月日,健診実施年月日", codes, row, ""]))
        assert (rows, [one["level"] for one in rejected if one["level"] != "note"]) == ([], ["row"])


def test_cc2x_number_and_branch_columns_in_another_order() -> None:
    cells = [line.split(",") for line in cc2x([TARO], CODES).splitlines()]
    assert cells[1][3:5] == ["番号", "枝番"]
    row = read(read_cc2x, lines([[*row[:3], row[4], row[3], *row[5:]] for row in cells]))[0][0]
    assert (row["number"], row["branch_number"]) == ("56", "00")


def test_a_branch_number_that_cannot_be_one_is_refused() -> None:
    rows, rejected = read(
        read_cc2x, cc2x([replace(TARO, number="01", branch="1234567"), replace(TARO, branch="1")], CODES)
    )
    assert [row["branch_number"] for row in rows] == [None, "01"]
    assert rules(rejected) == [(4, "branch_number", "branch_number")]


def test_cells_that_are_no_number() -> None:
    """The shipped sample of the input tool holds 9000, 0 and H as 収縮期血圧."""
    told = ["9000", "0", "H", "***", "<3", "測定不能", "未実施", "", "１２８", "128.0"]
    rows, rejected = read(read_cc2x, cc2x([replace(TARO, values={SBP: said}) for said in told], [SBP]))
    assert [row["sbp"] for row in rows] == [None] * 8 + [128, 128]
    assert rules(rejected) == [
        (4, "sbp", "range"), (5, "sbp", "range"), (6, "sbp", "censored"), (7, "sbp", "not_a_number"),
        (8, "sbp", "censored"), (9, "sbp", "not_measurable"),
    ]  # fmt: skip


def test_methods_in_several_columns() -> None:
    people = [replace(TARO, values={FPG_2: "99"}), replace(TARO, values={FPG: "98", FPG_2: "99"})]
    rows, rejected = read(read_cc2x, cc2x(people, CODES))
    assert [row["fpg"] for row in rows] == [99, 98]
    assert rules(rejected) == [(5, "fpg", "conflict")]
    doubled = cc2x([TARO], [FPG, FPG])
    assert [row["fpg"] for row in read(read_cc2x, doubled)[0]] == [98]


@pytest.mark.parametrize(
    ("change", "item", "rule"),
    [
        ({"birth": dt.date(1052, 1, 1)}, "birth", "not_a_date"),
        ({"birth": dt.date(2024, 5, 8)}, "birth", "not_a_date"),
        ({"day": dt.date(2008, 3, 31)}, "checkup_date", "not_a_date"),
        ({"day": dt.date(2090, 1, 1)}, "checkup_date", "not_a_date"),
        ({"sex": "3"}, "sex", "unknown_word"),
        ({"sex": ""}, "sex", "missing"),
    ],
)
def test_a_row_without_person_or_day_is_rejected(change: dict[str, Any], item: str, rule: str) -> None:
    rows, rejected = read(read_cc2x, cc2x([replace(TARO, **change), HANAKO], CODES))
    assert [row["number"] for row in rows] == ["57"]
    assert rules(rejected) == [(4, item, rule)]
    assert rejected[0]["level"] == "row"


def test_blank_rows_and_comments_are_no_records() -> None:
    text = cc2x([TARO], CODES) + "\r\n" + "," * (12 + len(CODES)) + "\r\n#memo\r\n"
    rows, rejected = read(read_cc2x, text)
    assert (len(rows), rejected) == (1, [])


def test_a_mangled_insurer_is_repaired_and_told_once() -> None:
    rows, rejected = read(read_cc2x, cc2x([TARO, HANAKO], CODES).replace("01240019", "1240019"))
    assert [row["insurer"] for row in rows] == ["01240019"] * 2
    assert rules(rejected) == [(4, "insurer", "insurer_repaired")]
    rows, rejected = read(read_cc2x, cc2x([TARO], CODES).replace("01240019", "01240018"))
    assert ([row["insurer"] for row in rows], rules(rejected)) == ([None], [(4, "insurer", "insurer_number")])


def test_kinds_and_deletions() -> None:
    def with_report(code: str) -> str:
        cells = [line.split(",") for line in cc2x([TARO], CODES, names=False).splitlines()]
        return lines([[*cells[0], ""], [*cells[1], "報告区分"], [*cells[2], code]])

    found = {code: read(read_cc2x, with_report(code)) for code in ("10", "41", "40", "19", "", "43")}
    assert [rows[0]["kind"] for code, (rows, _) in found.items() if code != "43"] == [
        "特定健診", "事業者健診", "生活習慣病予防健診", "特定健診", "特定健診",
    ]  # fmt: skip
    assert [rows[0]["action"] for code, (rows, _) in found.items() if code != "43"] == [
        "put",
        "put",
        "put",
        "delete",
        "put",
    ]
    assert rules(found["43"][1]) == [(3, "kind", "kind")]


# --- lines ---------------------------------------------------------------------------------------------


def test_ragged_rows_are_rejected_and_never_shift() -> None:
    text = cc2x([TARO, HANAKO, TARO, HANAKO], CODES).splitlines()
    text[3] = text[3].replace("三重県津市", "三重県,津市")
    text[4] = ",".join(text[4].split(",")[:-3])
    rows, rejected = read(read_cc2x, "\r\n".join(text))
    assert [row["line"] for row in rows] == [6, 7]
    assert rules(rejected) == [(4, "line", "ragged"), (5, "line", "ragged")]


def test_files_whose_lines_all_end_in_a_comma() -> None:
    text = cc2x([TARO, HANAKO], CODES, names=False).replace("\r\n", ",\r\n")
    head = text.splitlines()
    head[1] = head[1].rstrip(",")
    rows, rejected = read(read_cc2x, "\r\n".join(head))
    assert ([row["fpg"] for row in rows], rejected) == ([98, 98], [])


def test_quoted_line_breaks_and_stray_quotes() -> None:
    text = cc2x([replace(TARO, kana='ゴウセイ\r\n"タロウ"'), HANAKO, HANAKO], CODES)
    rows, rejected = read(read_cc2x, text)
    assert ([row["line"] for row in rows], rejected) == ([4, 6, 7], [])
    broken = text.splitlines()
    broken[5] = broken[5].replace("三重県津市", '"三重県津市')
    rows, rejected = read(read_cc2x, "\r\n".join(broken))
    assert [row["line"] for row in rows] == [4, 7]
    assert rules(rejected) == [(6, "line", "ragged")]


def test_a_quoted_line_break_at_the_edge_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    text = cc2x([replace(TARO, number=str(at), kana="ゴウセイ\nタロウ") for at in range(200)], CODES)
    lines_at = list(range(4, 404, 2))
    for size in (3_001, 7_003):
        monkeypatch.setattr("kenpo_analytics.ingest.checkups.csv.decode", _small_blocks(size))
        rows, rejected = read(read_cc2x, text)
        assert ([row["line"] for row in rows], rejected) == (lines_at, [])


def _small_blocks(size: int) -> Callable[[BinaryIO], Any]:
    from kenpo_analytics.ingest.files import lines as module

    def small(stream: BinaryIO) -> Any:
        def blocks() -> Iterator[module.Lines]:
            whole = next(module.decode(stream, size)[1]).text
            first, at = 1, 0
            while at < len(whole):
                end = whole.find("\n", at + size) + 1 or len(whole)
                yield module.Lines(whole[at:end], first, ())
                first, at = first + whole.count("\n", at, end), end

        return "cp932", blocks()

    return small


def test_undecodable_bytes_reject_their_line_only() -> None:
    data = cc2x([TARO, HANAKO], CODES).encode("cp932").replace("三重県津市".encode("cp932"), b"\x8d\xff\xfd", 1)
    rows, rejected = read(read_cc2x, data)
    assert [row["number"] for row in rows] == ["57"]
    assert rules(rejected) == [(4, "line", "encoding")]


def test_files_that_cannot_be_read_are_one_row() -> None:
    for data in (
        b"",
        b"a,b\n1,2\n",
        "番号,氏名\n1,2\n".encode(),
        b"\xff\xfe" + "x,y".encode("utf-16-le"),
        b"\0" * 5000,
        b'#1,2,",3\r\n',
    ):
        for reader in (read_cc2x, read_fkac167, read_fkac522):
            rows, rejected = read(reader, data)
            assert rows == []
            assert "row" in {row["level"] for row in rejected} or reader is read_fkac522


def test_hundreds_of_thousands_of_columns_are_refused_at_once() -> None:
    codes = ["生年月日", "健診実施年月日", FPG] + ["項目"] * 300_000
    rows, rejected = read(read_cc2x, lines([codes, ["1"] * len(codes)]))
    assert (rows, rules(rejected)) == ([], [(1, "file", "unreadable")])


# --- FKAC522 -------------------------------------------------------------------------------------------

BLOCKS = [
    ("2411000001", dt.date(2024, 5, 7), CODES, [TARO, HANAKO]),
    ("2411000002", dt.date(2024, 6, 3), [FPG, HEIGHT], [replace(TARO, number="58")]),
]


def test_fkac522_blocks() -> None:
    rows, rejected = read(read_fkac522, fkac522(BLOCKS))
    assert [
        (row["line"], row["institution"], row["checkup_date"], row["fpg"], row["height"], row["sbp"]) for row in rows
    ] == [
        (3, "2411000001", dt.date(2024, 5, 7), 98, 170.2, 128),
        (4, "2411000001", dt.date(2024, 5, 7), 98, 170.2, 128),
        (6, "2411000002", dt.date(2024, 6, 3), 98, 170.2, None),
    ]
    first = rows[0]
    assert (first["insurer"], first["symbol"], first["number"]) == ("01240019", "0012345678", "00000056")
    assert (first["birth"], first["sex"], first["branch_number"]) == (dt.date(1973, 6, 1), None, None)
    assert (first["filed"], first["received_month"], first["kind"]) == (20240710, 202407, "特定健診")
    assert rejected == []


@pytest.mark.parametrize(
    ("said", "symbol", "number"),
    [
        ("１２３４・５６", "1234", "56"), ("1234-56", "1234", "56"), ("１２３４　５６", "1234", "56"),
        ("津・１２", "津", "12"), ("１２－３４", "12", "34"), ("００１２３４５６", None, "00123456"),
        ("1-2-3", None, "1-2-3"), ("", None, ""),
    ],
)  # fmt: skip
def test_the_number_field_is_split_only_where_it_says_how(said: str, symbol: str | None, number: str) -> None:
    assert fkac522_module.split_number(said) == (symbol, number)


def test_fkac522_counts() -> None:
    assert rules(read(read_fkac522, fkac522(BLOCKS, count=4))[1]) == [(7, "count", "count_mismatch")]
    rows, rejected = read(read_fkac522, "".join(fkac522(BLOCKS).splitlines(keepends=True)[:4]))
    assert (len(rows), rules(rejected)) == (2, [(4, "count", "count_mismatch")])
    twice = fkac522(BLOCKS) + fkac522(BLOCKS[:1])
    assert (len(read(read_fkac522, twice)[0]), read(read_fkac522, twice)[1]) == (5, [])


def test_fkac522_damage_never_lends_a_row_to_another_institution() -> None:
    text = fkac522(BLOCKS).splitlines()
    for damaged, rule in (
        ('2,"2411000002', "ragged"),
        ("Z,2411000002,x", "record_type"),
        ("2,2411000002", "record_type"),
    ):
        rows, rejected = read(read_fkac522, "\r\n".join([*text[:4], damaged, *text[5:], ""]))
        assert [row["line"] for row in rows] == [3, 4]
        assert rules(rejected) == [(5, "line", rule), (6, "line", "no_institution_row")]
    text[3] += ",1"
    rows, rejected = read(read_fkac522, "\r\n".join([*text, ""]))
    assert ([row["line"] for row in rows], rules(rejected)) == ([3, 6], [(4, "line", "ragged")])


def test_fkac522_impossible_day() -> None:
    text = fkac522(BLOCKS).replace("R06.06.03", "R06.02.30")
    rows, rejected = read(read_fkac522, text)
    assert (len(rows), rules(rejected)) == (2, [(6, "checkup_date", "not_a_date")])


def test_fkac522_in_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fkac522_module, "BATCH", 7)
    people = [replace(TARO, number=str(at), values={FPG: str(80 + at)}) for at in range(50)]
    rows, rejected = read(read_fkac522, fkac522([("2411000001", TARO.day, [FPG], people)]))
    assert ([row["fpg"] for row in rows], rejected) == ([80 + at for at in range(50)], [])


# --- FKAC167 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp932", "utf-8-sig"])
def test_fkac167_by_header_names(encoding: str) -> None:
    values = {code: "128" if "A7" in code else "98" for code in FKAC167.values() if code}
    values |= {SMOKING: "1", MED_BP: "1", "9N706000000000011": "2", "9N711000000000011": "2", DRAWN: "2"}
    values |= {"3D046000001999902": "5.6", "3D045000001999902": "", HEIGHT: "170.2", "3D010129901926101": ""}
    values |= {"9N741000000000011": "1", "9N761000000000011": "2"}
    rows, rejected = read(read_fkac167, fkac167([replace(TARO, values=values)]), encoding)
    row = rows[0]
    assert (row["line"], row["symbol"], row["number"], row["institution"]) == (3, "12345678", "56", "2411000001")
    assert (row["height"], row["sbp"], row["dbp"], row["fpg"], row["hba1c"], row["tg"]) == (
        170.2,
        128,
        128,
        98,
        5.6,
        98,
    )
    assert (row["hdl"], row["ldl"], row["ast"], row["alt"], row["ggt"], row["waist"], row["bmi"]) == (98,) * 7
    assert (row["smoking"], row["medication_bp"], row["medication_glucose"]) == ("yes", True, False)
    assert (row["weight_gain_10kg"], row["weight_change_1y"], row["sex"], row["fasting"]) == (
        True,
        False,
        "M",
        "fasting",
    )
    assert rejected == []


def test_fkac167_columns_in_another_order() -> None:
    cells = [line.split(",") for line in fkac167([replace(TARO, values=VALUES)]).splitlines()]
    order = random.Random(4).sample(range(len(cells[1])), len(cells[1]))
    text = lines([cells[0], *([row[at] for at in order] for row in cells[1:])])
    kept = ("insurer", "symbol", "number", "birth", "sex", "checkup_date", "fpg", "height", "sbp", "smoking")
    plain = read(read_fkac167, fkac167([replace(TARO, values=VALUES)]))[0][0]
    assert {key: read(read_fkac167, text)[0][0][key] for key in kept} == {key: plain[key] for key in kept}


@pytest.mark.parametrize(("era", "birth"), [("3", "480601"), ("昭和", "480601"), ("Ｓ", "480601"), ("", "3480601")])
def test_fkac167_birth_with_its_era_beside_it(era: str, birth: str) -> None:
    text = fkac167([TARO]).replace(",,19730601,", f",{era},{birth},")
    assert [row["birth"] for row in read(read_fkac167, text)[0]] == [dt.date(1973, 6, 1)]


def with_headers(changes: dict[str, str], **values: str) -> str:
    """A FKAC167 file of one person whose headers are called otherwise."""
    rows = [line.split(",") for line in fkac167([replace(TARO, values={**VALUES, **values})]).splitlines()]
    rows[1] = [changes.get(name, name) for name in rows[1]]
    return lines(rows)


@pytest.mark.parametrize(
    ("usual", "code", "column", "called"),
    [
        (
            "中性脂肪（トリグリセリド）",
            "3F015000002399901",
            "tg",
            "空腹時中性脂肪 中性脂肪 随時中性脂肪 ＴＧ 中性脂肪(mg/dL)",
        ),
        ("ＨＤＬコレステロール", "3F070000002399901", "hdl", "ＨＤＬ－コレステロール HDL−コレステロール HDL"),
        (
            "ＬＤＬコレステロール",
            "3F077000002399901",
            "ldl",
            "ＬＤＬ‐コレステロール ＬＤＬ－Ｃ ＬＤＬコレステロール（計算法）",
        ),
        ("γ-GT(γ-GTP)", "3B090000002399901", "ggt", "γ－ＧＴＰ γ－ＧＴ γ−ＧＴ（γ−ＧＴＰ） γーGTP Γ-GTP"),
        ("GOT（ＡＳＴ）", "3B035000002399901", "ast", "ＧＯＴ ＡＳＴ AST"),
        ("GPT（ＡＬＴ）", "3B045000002399901", "alt", "ＧＰＴ ＡＬＴ ALT（IU/L）"),
        ("腹囲", "9N016160100000001", "waist", "腹囲（実測） 腹囲[cm]"),
        ("収縮期血圧", "9A755000000000001", "sbp", "収縮期血圧（その他） 収縮期血圧(1回目) 収縮期血圧２回目"),
    ],
)
def test_fkac167_short_and_other_headers(usual: str, code: str, column: str, called: str) -> None:
    for name in called.split():
        rows, rejected = read(read_fkac167, with_headers({usual: name}, **{code: "99"}))
        assert (name, rows[0][column], rejected) == (name, 99, [])


def test_fkac167_answers_under_short_headers() -> None:
    text = with_headers({"採血時間（食後）": "採血時間", "服薬１（血圧）": "服薬１"})
    rows, rejected = read(read_fkac167, text)
    assert (rows[0]["fasting"], rows[0]["medication_bp"], rejected) == ("fasting", False, [])


def notes(rejected: list[Row]) -> list[tuple[int, str, str]]:
    assert {row["level"] for row in rejected} <= {"note"}
    return [(row["line"], row["rule"], row["reason"].partition(": ")[2]) for row in rejected]


def test_columns_that_look_like_ours_and_are_not_read_are_told_once() -> None:
    changes = {
        "γ-GT(γ-GTP)": "ガンマ－ＧＴＰ（μkat）",
        "空腹時血糖（電位差法）": "血糖",
        "被保険者証記号": "保険証の記号",
    }
    rows, rejected = read(read_fkac167, with_headers(changes, **{"3B090000002399901": "20"}))
    assert (rows[0]["ggt"], rows[0]["fpg"], rows[0]["symbol"]) == (None, None, None)
    assert notes(rejected) == [(2, "column_not_read", "「保険証の記号」、「ガンマ－ＧＴＰ（μkat）」、「血糖」。")]
    rows, rejected = read(read_fkac167, with_headers({"GOT（ＡＳＴ）": "GOTその他"}))  # empty in every row
    assert rejected == []
    short = fkac522(BLOCKS).replace(f",{HEIGHT}", ",身長(cm)").replace(WEIGHT, WEIGHT[:-1])
    assert notes(read(read_fkac522, short)[1]) == [(1, "column_not_read", f"「身長(cm)」、「{WEIGHT[:-1]}」。")]
    plain = cc2x([TARO, HANAKO], CODES).replace(f",{SBP}", ",収縮期血圧")
    assert notes(read(read_cc2x, plain)[1]) == [(2, "column_not_read", "「収縮期血圧」。")]


def test_a_file_without_insurer_says_so_once() -> None:
    bare = cc2x([TARO, HANAKO], CODES).replace("受診者保険者番号", "備考")
    for reader, text, line in (
        (read_cc2x, bare, 2),
        (read_fkac167, with_headers({"保険者番号": "備考"}), 2),
        (read_fkac522, fkac522(BLOCKS).replace("1,01240019,", "1,,", 1), 1),
        (read_fkac522, fkac522(BLOCKS).split("\r\n", 1)[1], 1),
    ):
        rows, rejected = read(reader, text)
        assert {row["insurer"] for row in rows} == {None}
        assert [(one["line"], one["level"], one["item"], one["rule"]) for one in rejected] == [
            (line, "note", "insurer", "missing")
        ]
    rows, rejected = read(read_cc2x, cc2x([TARO, HANAKO], CODES).replace("2,01240019", "2,", 1))
    assert [row["insurer"] for row in rows] == ["01240019", None]
    assert [(one["line"], one["level"], one["rule"]) for one in rejected] == [(5, "value", "missing")]


# --- all layouts ---------------------------------------------------------------------------------------

NUMBERS = [code for code in items() if items()[code].is_number and items()[code].key not in ("hba1c_jds",)]
ONE_PER_KEY = {items()[code].key: code for code in NUMBERS if not items()[code].key.endswith(("_1", "_2"))}
PLAIN = [code for key, code in ONE_PER_KEY.items() if not key.startswith(("waist_self", "tg_casual"))]


@some.composite
def people(draw: some.DrawFn) -> list[Person]:
    found = []
    for at in range(draw(some.integers(1, 5))):
        chosen = draw(some.lists(some.sampled_from(PLAIN), unique=True))
        values = {}
        for code in chosen:
            low, high = items()[code].low or 0, items()[code].high or 0
            values[code] = f"{draw(some.integers(int(low * 10 + 1), int(high * 10))) / 10:.1f}"
        born = draw(some.dates(dt.date(1926, 12, 26), dt.date(2006, 1, 1)))
        found.append(Person(number=str(at), birth=born, sex=draw(some.sampled_from("12")), values=values))
    return found


@settings(max_examples=15, deadline=None, derandomize=True)
@given(people())
def test_people_come_back_from_every_layout(world: list[Person]) -> None:
    expected = []
    for person in world:
        row: Row = dict.fromkeys({items()[code].column for code in PLAIN})
        expected.append(row | {items()[code].column: float(said) for code, said in person.values.items()})
    for reader, text in (
        (read_cc2x, cc2x(world, PLAIN)),
        (read_fkac522, fkac522([("2411000001", TARO.day, PLAIN, world)])),
    ):
        rows, rejected = read(reader, text)
        assert rejected == []
        assert [{key: row[key] for key in expected[0]} for row in rows] == expected
        assert [row["birth"] for row in rows] == [person.birth for person in world]
    in_167 = [{code: said for code, said in p.values.items() if code in FKAC167.values()} for p in world]
    rows, rejected = read(read_fkac167, fkac167([replace(p, values=v) for p, v in zip(world, in_167, strict=True)]))
    assert rejected == []
    for row, values in zip(rows, in_167, strict=True):
        assert {items()[code].column: row[items()[code].column] for code in values} == {
            items()[code].column: float(said) for code, said in values.items()
        }


FILES = int(os.environ.get("KENPO_FUZZ_FILES", "60"))
"""Whole damaged files a layout; 10000 take some minutes."""
LINES, LINES_A_FILE = 10_000, 500
LAYOUTS = {
    "cc2x": (read_cc2x, cc2x([TARO, HANAKO, replace(TARO, kana='ア"\n,イ')], CODES), 3),
    "fkac522": (read_fkac522, fkac522(BLOCKS), 2),
    "fkac167": (read_fkac167, fkac167([replace(TARO, values=VALUES), HANAKO]), 2),
}
"""Reader, an undamaged file, and how many lines stand above its data."""
NUMERIC = [name for name, dtype in CHECKUPS.items() if dtype == pl.Float64]
JUNK = (b"\0", b'"', b",", b"\n", b"\r", b"\x1a", b"\x1f", b"\x81", b"9" * 300, b"\xef\xbb\xbf")


def swapped(data: bytes, one: int, two: int) -> bytes:
    rows = [line.split(b",") for line in data.split(b"\r\n")]
    for row in rows:
        if max(one, two) < len(row):
            row[one], row[two] = row[two], row[one]
    return b"\r\n".join(b",".join(row) for row in rows)


def flipped(data: bytes, random_: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(random_.randrange(1, 9)):
        made[random_.randrange(len(made))] ^= 1 << random_.randrange(8)
    return bytes(made)


def damaged(data: bytes, random_: random.Random) -> bytes:
    at, end = sorted(random_.randrange(len(data) + 1) for _ in range(2))
    match random_.randrange(8):
        case 0:
            return data[:at]
        case 1:
            return flipped(data, random_)
        case 2:
            encoding = random_.choice(["utf-8", "utf-8-sig", "utf-16", "euc_jp", "utf-7"])
            return data.decode("cp932").encode(encoding, "replace")
        case 3:
            return swapped(data, random_.randrange(20), random_.randrange(20))
        case 4:
            return data[:at] + random_.choice(JUNK) + data[at:]
        case 5:
            return data[:at] + data[end:]
        case 6:
            return data[:end] + data[at:]
    rows = data.split(b"\r\n")
    random_.shuffle(rows)
    return b"\r\n".join(rows)


def check(reader: Reader, data: bytes) -> None:
    """No exception, a balance, and no number that the damaged bytes do not hold."""
    rows, _ = read(reader, data)
    held = {float(said) for said in re.findall(rb"\d+\.?\d*", data)}
    for row in rows:
        told = {row[name] for name in NUMERIC if row[name] is not None}
        assert told <= held, (told - held, data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_files_give_rejections_only(layout: str) -> None:
    reader, text, _ = LAYOUTS[layout]
    random_ = random.Random(20241001)
    for _ in range(FILES):
        check(reader, damaged(text.encode("cp932"), random_))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ten_thousand_damaged_lines_give_rejections_only(layout: str) -> None:
    """Every line below the header damaged in its own way, 500 a file."""
    reader, text, above = LAYOUTS[layout]
    random_ = random.Random(20250401)
    given = text.encode("cp932").split(b"\r\n")[:-1]
    for _ in range(LINES // LINES_A_FILE):
        made = [damaged(random_.choice(given[above:]), random_) for _ in range(LINES_A_FILE)]
        check(reader, b"\r\n".join([*given[:above], *made, b""]))


def test_a_long_file_is_read_block_by_block() -> None:
    """When a batch is handed over, only its own block and what is read ahead of it have been taken from the file."""
    body = cc2x([replace(TARO, number=str(at)) for at in range(4_000)], CODES).encode("cp932")
    head, rest = body.split(b"\r\n", 3)[:3], body.split(b"\r\n", 3)[3]
    stream = io.BytesIO(b"\r\n".join([*head, rest * 48]))
    size, done = len(stream.getvalue()), 0
    assert size > 5 * BLOCK_BYTES
    for batch in read_cc2x(Stream(Path("x.csv"), "x", "0", "cc2x", size, stream=stream)):
        done += batch.read
        assert stream.tell() - done * size / 192_000 < 2.5 * BLOCK_BYTES
        assert batch.read <= 50_000
    assert done == 192_000


@dataclass(frozen=True)
class Stream(Source):
    stream: Any = None

    def open(self, entry: str | None = None) -> Any:
        return self.stream
