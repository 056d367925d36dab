"""Layouts are told by content: each known one, their traps, and damage."""

from __future__ import annotations

import io
import random
import time
from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.recognise import HEAD_BYTES, look, recognise
from kenpo_analytics.ingest.files.sources import find
from kenpo_analytics.ingest.lists.mapping_toml import parse_mapping
from tests.test_ingest_sources import zipped

CODES = "9N001000000000001,9N006000000000001,9N011000000000001"
MEMBERS = "保険者番号,記号,番号,生年月日,性別,資格取得日,続柄\n01240019,1,2,S40.1.1,1,H1.4.1,本人\n"
OWN = parse_mapping(
    'name = "own"\ntable = "checkups"\n[columns]\n"生年月日" = "birth"\n"番号" = "number"\n"受診日" = "checkup_date"\n'
    '"9N001000000000001" = "height"\n[defaults]\nkind = "特定健診"\n',
    "own",
)
MASTER = ",".join(['"0"', '"S"', '"111000110"', '"6"', '"初診料"', *['"0"'] * 145])
DOCUMENT = (
    '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="x" xsi:schemaLocation="urn:hl7-org:v3 ../XSD/hc08_V08.xsd">'
)
INDEX = "https://www.mhlw.go.jp/stf/seisakunitsuite/bunya/0000161103.html"
TEXTS = {
    "cc2x": f"#1,2,3\n#KEY1,受診者保険者番号,{CODES}\nx,保険者番号,身長,体重,BMI\n1,01240019,170,60,20\n",
    "fkac522": f"1,01240019,三重,R06.04.10,FKAC522\n2,2410000001,病院,R05.07.01,,,{CODES}\n5,1,氏名\n9,1\n",
    "fkac167": "1,FKAC167,x\nNo,受診券整理番号,記号,生年月日,性別,ＢＭＩ,既往歴,既往歴\n1,2,3,S40.1.1,1,20,,\n",
    "recodeinfo": "2,1,0,MN,940000030,東京都,13450607940000030,,,\n1,2,0,YK,1,13,4,9999946\n1,3,0,RE,7,4118,202406\n",
    "uke": "IR,1,24,1,1234567,,病院,202406\nRE,1,1112,202406,名\nHO,01240019,1,2\n",
    "fee_master": MASTER + "\n",
    "mapped:members_list": MEMBERS,
    "unknown": "あ,い,う\n1,2,3\n",
}


def layout(data: bytes, *mappings) -> str:  # type: ignore[no-untyped-def]
    return recognise(data[:HEAD_BYTES], lambda: data, mappings)


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("expected", TEXTS)
def test_tables_in_every_encoding(expected: str, encoding: str) -> None:
    assert layout(TEXTS[expected].encode(encoding)) == expected
    assert layout(TEXTS[expected].replace("\n", "\r\n").encode(encoding) + b"\x1a") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXTS["uke"].replace("IR,1,24,1", "YK,1,24,4"), "uke"),
        ("\x1a" + TEXTS["uke"], "uke"),
        ('"2","1","0","MN","9"\n"1","2","0","IR","1"\n"1","3","0","RE","7"\n', "recodeinfo"),
        ("1,3,0,RE,7,4118\n1,4,0,HO,01240019\n", "recodeinfo"),  # its beginning is lost
        ("RE,IR\n氏名,番号\n山田,1\n鈴木,2\n", "unknown"),
        (f"受診日,{CODES.lower()}\n", "cc2x"),
        (f"受診日,{CODES[:35]}\n", "unknown"),  # two codes
        ("受診日,９Ｎ００１０００００００００００１, 9N006000000000001 ,#9N011000000000001\n", "cc2x"),
        ("加入者一覧\n\n" + MEMBERS, "mapped:members_list"),
        (MEMBERS.replace(",", "\t"), "mapped:members_list"),
        (TEXTS["recodeinfo"].replace("東京都", '"東京都'), "recodeinfo"),  # a quote that is never closed
        ("13450607940000017,1,本文\n13450607940000018,2,本文\n\x1a", "side_file"),  # beside RECODEINFO
        ("13450607940000017,1,本文\n氏名,2,本文\n", "unknown"),
        ("検索番号,順\n13450607940000017,1\n", "unknown"),
        ("x" * 300_000, "unknown"),
        ("", "unknown"),
        ("\n\n", "unknown"),
    ],
)
def test_traps(text: str, expected: str) -> None:
    assert layout(text.encode("cp932")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'\ufeff<?xml version="1.0"?>\n<!-- <x> -->{DOCUMENT}', "checkup_xml"),
        ('<hl7:ClinicalDocument xmlns:hl7="urn:hl7-org:v3">', "checkup_xml"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + DOCUMENT, "checkup_xml"),  # the reader refuses it
        (DOCUMENT.replace("hc08", "hg08"), "side_file"),
        ('<index xmlns="http://tokuteikenshin.jp/checkup/2007">', "side_file"),
        (f'<summary xmlns="{INDEX}">', "side_file"),
        ('<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" elementFormDefault="qualified">', "side_file"),
        ("<html><body>ClinicalDocument</body></html>", "unknown"),
        ("<", "unknown"),
        ("<!-- ClinicalDocument", "unknown"),
    ],
)
def test_documents(text: str, expected: str) -> None:
    assert layout(text.encode()) == expected
    if expected != "unknown":
        assert layout(text.replace("\ufeff", "").encode("utf-16")) == expected


def test_the_users_own_mapping_comes_first() -> None:
    own = f"生年月日,番号,受診日,{CODES}\n".encode()
    assert layout(own) == "cc2x"
    assert layout(own, OWN) == "mapped:own"
    assert layout(TEXTS["cc2x"].encode(), OWN) == "cc2x"  # it does not fit this one


def test_only_the_head_is_looked_at() -> None:
    data = (MEMBERS + "01240019,1,2,S40.1.1,1,H1.4.1,本人\n" * 10_000).encode("cp932")
    assert layout(data) == "mapped:members_list"
    seen = look(data[:HEAD_BYTES], lambda: b"")
    assert (seen.encoding, len(seen.rows)) == ("cp932", 40)
    assert layout(b"\n" * HEAD_BYTES + data) == "unknown"


def workbook(*sheets: pl.DataFrame) -> bytes:
    import xlsxwriter

    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for number, frame in enumerate(sheets):
            frame.write_excel(book, f"s{number}")
    return file.getvalue()


def test_workbooks(tmp_path: Path) -> None:
    header, row = (line.split(",") for line in MEMBERS.split())
    members = pl.DataFrame({name: [cell] for name, cell in zip(header, row, strict=True)})
    data = workbook(pl.DataFrame({"説明": ["x"]}), members)
    assert layout(data) == "mapped:members_list"
    seen = look(data[:HEAD_BYTES], lambda: data)
    assert (seen.encoding, seen.sheet, seen.height, seen.rows[0]) == ("xlsx", "s1", 2, header)
    assert layout(workbook(pl.DataFrame({"x": [1]}))) == "unknown"
    (tmp_path / "加入者.xlsx").write_bytes(data)
    assert [(source.name, source.layout) for source in find(tmp_path)] == [("加入者.xlsx", "mapped:members_list")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "パスワードのかかったExcel"),
        (zipped({"[Content_Types].xml": "<x/>", "word/document.xml": "<x/>"}), "Excelとして読めません"),
        (zipped({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x"}), "Excelとして読めません"),
    ],
)
def test_workbooks_that_cannot_be_read_are_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(data)
    [source] = find(tmp_path)
    assert source.layout == "refused" and problem in str(source.problem)


def test_a_stray_cell_at_the_far_end_does_not_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Laid out, 1,048,576 × 16,384 cells take 512 GiB: the reader would abort the process."""
    import xlsxwriter

    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "保険者番号")
        sheet.write(1_048_575, 16_383, "x")
    with pytest.raises(IngestError, match="広すぎ"):
        layout(file.getvalue())
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "保険者番号")
        sheet.write_blank(1_048_575, 16_383, None, book.add_format({"bold": True}))
    assert layout(file.getvalue()) == "unknown"  # formatted, but empty
    data = workbook(pl.DataFrame({name: ["x"] * 3 for name in "abc"}))  # 4 rows × 3 columns
    monkeypatch.setattr("kenpo_analytics.ingest.files.workbook._CHUNK_BYTES", 50)
    monkeypatch.setattr("kenpo_analytics.ingest.files.workbook.MAX_CELLS", 12)
    assert layout(data) == "unknown"
    monkeypatch.setattr("kenpo_analytics.ingest.files.workbook.MAX_CELLS", 11)
    with pytest.raises(IngestError, match="広すぎ"):
        layout(data)


def test_ten_thousand_damaged_heads() -> None:
    """Whatever the bytes: a layout, in no time. Undamaged ones are in the test above."""
    rng = random.Random(8)
    seeds = [text.encode(encoding) for text in (*TEXTS.values(), DOCUMENT) for encoding in ("cp932", "utf-8-sig")]
    books = [workbook(pl.DataFrame({"保険者番号": ["1"], "x": [2]}))]
    known = {*TEXTS, "checkup_xml", "side_file", "refused"}
    slowest, seen = 0.0, set()
    for number in range(10_000):
        made = bytearray(rng.choice(books if number % 50 == 0 else seeds))
        for _ in range(rng.randint(1, 4)):
            at, size = rng.randrange(len(made) or 1), rng.randint(1, 30)
            made[at : at + rng.choice((0, 1, size))] = rng.choice(
                (b"", b'"', b"\n", b"\0", rng.randbytes(size), made[:size])
            )
        began = time.perf_counter()
        try:
            found = layout(bytes(made) * (40 if number % 50 == 1 else 1))
        except IngestError:
            found = "refused"
        slowest = max(slowest, time.perf_counter() - began)
        seen.add(found)
        assert found in known or found.startswith("mapped:")
    assert slowest < 5
    assert len(seen) >= 9
