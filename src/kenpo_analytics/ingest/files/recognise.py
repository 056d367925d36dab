"""Which layout has this file? Found from its first 64 KiB, never from its name."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.archives import MAGIC
from kenpo_analytics.ingest.files.lines import decode
from kenpo_analytics.ingest.files.workbook import AS_XLSX, sheets
from kenpo_analytics.ingest.values.text import item_code

if TYPE_CHECKING:
    from kenpo_analytics.ingest.lists.mapping import Mapping

LAYOUTS = {
    "checkup_xml": "特定健診XML(HL7 CDA R2)",
    "cc2x": "健診CSV(JLAC10コードの見出し。CC2X型)",
    "fkac522": "健診CSV(FKAC522)",
    "fkac167": "健診CSV(FKAC167)",
    "recodeinfo": "レセプト(RECODEINFO。支払基金から保険者へ)",
    "uke": "レセプト(RECEIPTC.UKE)",
    "fee_master": "医科診療行為マスター",
    "side_file": "付属ファイル",
    "unknown": "不明",
    "refused": "読み取れません",
}
"""How each layout is called, but for "mapped:<name>"."""
HEAD_BYTES = 2**16
"""How much of a file is looked at."""
ROWS = 40
MAX_BREAKS = 5
"""Line breaks in one cell, beyond which a quote is taken for a stray one."""
_CLAIM_RECORDS = (
    "MN IR YK UK HI RE HO KO SN RO JD MF KH GR SY SI IY TO CO SJ NI TI TR TS GO HG HR RC JY EX MD RT JR MK "
    "BU SB KK SK GA HH GT CD HS SS SH CZ KI TK ST HK HA HJ KA JS TJ TZ IH"
)
CLAIM_RECORDS = frozenset(_CLAIM_RECORDS.split())
"""Record types (レコード識別情報) of 医科, DPC, 歯科, 調剤, 訪問看護, and of the rows the payer office adds."""
_OPENING = frozenset(("IR", "YK", "RE", "MN"))
_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)(?=[\s>/])([^>]*)")
_PROLOG = re.compile(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL)
_SIDE = re.compile(r"tokuteikenshin\.jp|/0000161103|XMLSchema$")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class Look(NamedTuple):
    """What was seen of a table: its layout, encoding ("xlsx" for a workbook), first rows, and the sheet they are of."""

    layout: str
    encoding: str
    rows: list[list[str]]
    sheet: str | None = None
    height: int | None = None  # rows of that sheet


def recognise(head: bytes, whole: Callable[[], bytes], mappings: Sequence[Mapping] = ()) -> str:
    """Which layout has a file with these first `HEAD_BYTES`?

    "checkup_xml" (a document), "side_file" (other parts of a checkup archive or of RECODEINFO; guidance), "fkac522",
    "fkac167", "cc2x", "recodeinfo", "uke", "fee_master", "mapped:<name>" or "unknown".

    Parameters
    ----------
    whole
        Gives all bytes; called for workbooks only.
    mappings
        The user's own, which come before everything else a table may be.

    Raises
    ------
    IngestError
        A workbook of the old kind (.xls), with a password, or damaged.
    """
    return _document(head) or look(head, whole, mappings).layout


# --- XML -----------------------------------------------------------------------------------------------


def _document(head: bytes) -> str | None:
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace").lstrip()
    if not text.startswith("<"):
        return None
    root = _ROOT.search(_PROLOG.sub("", text))
    if root is None:
        return None
    if root[1] == "ClinicalDocument":
        return "side_file" if "hg08" in root[2] else "checkup_xml"
    spaces = re.findall(r"""xmlns(?::\w+)?\s*=\s*["']([^"']*)""", root[2])
    return "side_file" if any(_SIDE.search(space) for space in spaces) else None


# --- tables --------------------------------------------------------------------------------------------


def look(head: bytes, whole: Callable[[], bytes], mappings: Sequence[Mapping] = ()) -> Look:
    """What is seen of a table in these bytes? Parameters and layouts as in `recognise`; documents are "unknown"."""
    if head.startswith(_OLE):
        raise IngestError("古い形式(.xls)か、パスワードのかかったExcelです。", hint=AS_XLSX)
    if head.startswith(MAGIC):
        return _workbook(whole(), mappings)
    try:
        encoding, blocks = decode(io.BytesIO(head))
        text = next(blocks).text
    except (IngestError, StopIteration):
        return Look("unknown", "", [])
    if len(head) >= HEAD_BYTES:
        text = text[: text.rfind("\n", 0, -1) + 1] or text  # the last line is cut
    rows = _rows(text)
    return Look(_delivery(rows, mappings), encoding, rows)


def _rows(text: str) -> list[list[str]]:
    """The first rows; line by line where a stray quote would swallow the lines after it."""
    mark = "\t" if text.count("\t") > text.count(",") else ","
    rows = _parsed(io.StringIO(text), mark)
    swallowed = any(cell.count("\n") > MAX_BREAKS for row in rows for cell in row)
    return [row for line in text.split("\n")[:ROWS] for row in _parsed([line], mark)] if swallowed else rows


def _parsed(lines: Iterable[str], mark: str) -> list[list[str]]:
    rows: list[list[str]] = []
    with suppress(csv.Error):  # a field of more than 128 KiB
        for row in islice(filter(None, csv.reader(lines, delimiter=mark)), ROWS):
            rows.append(row)
    return rows


def _delivery(rows: list[list[str]], mappings: Sequence[Mapping]) -> str:
    """The user's own mappings first, then the layout by the most telling mark: a FKAC522 holds JLAC10 codes, too."""
    from kenpo_analytics.ingest.lists.mapping import find_header

    table = find_header(rows, mappings) if mappings else None
    if table is not None and table.mapping in mappings:
        return f"mapped:{table.mapping.name}"
    marked = _marked(rows)
    if marked is not None:
        return marked
    table = table or find_header(rows, mappings)
    return "unknown" if table is None else f"mapped:{table.mapping.name}"


def _marked(rows: list[list[str]]) -> str | None:
    for mark in ("FKAC522", "FKAC167"):
        if any(mark in (cell.strip() for cell in row) for row in rows[:5]):
            return mark.lower()
    for layout, place in (("recodeinfo", 3), ("uke", 0)):
        if _claims(rows, place):
            return layout
    if any(len(row) >= 120 and row[1] == "S" and re.fullmatch(r"\d{9}", row[2]) for row in rows):
        return "fee_master"
    if any(len(codes(row)) >= 3 for row in rows[:20]):
        return "cc2x"
    return "side_file" if _of_claims(rows) else None


def _claims(rows: list[list[str]], place: int) -> bool:
    """Whether at least half of the rows are records of claims, with one that opens a claim among them."""
    types = [row[place].strip("\x1a ") for row in rows if len(row) > place]
    known = [kind for kind in types if kind in CLAIM_RECORDS]
    return 2 * len(known) >= len(rows) and not _OPENING.isdisjoint(known)


def _of_claims(rows: list[list[str]]) -> bool:
    """Whether every row begins with a 検索番号, as in the files that RECODEINFO brings along: they have no header."""
    return bool(rows) and all(len(row) > 1 and re.fullmatch(r"[0-9]{17,30}", row[0].strip("\x1a ")) for row in rows)


def codes(row: Sequence[str]) -> list[str]:
    """Which item codes are in a header row?"""
    return [code for cell in row if (code := item_code(cell))]


# --- workbooks -----------------------------------------------------------------------------------------


def _workbook(data: bytes, mappings: Sequence[Mapping]) -> Look:
    """The first sheet whose headers a mapping knows, else the first one with rows."""
    from kenpo_analytics.ingest.lists.mapping import find_header

    seen = Look("unknown", "xlsx", [], height=0)
    for sheet in sheets(data, ROWS):
        table = find_header(sheet.rows, mappings)
        if table is not None:
            return Look(f"mapped:{table.mapping.name}", "xlsx", sheet.rows, sheet.name, sheet.height)
        if sheet.rows and not seen.rows:
            seen = Look("unknown", "xlsx", sheet.rows, sheet.name, sheet.height)
    return seen
