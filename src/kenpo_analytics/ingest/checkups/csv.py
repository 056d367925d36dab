"""What do checkup CSV files say? Files of CC2X-like tools and FKAC167 become staged checkups; FKAC522: see `fkac522`.

Columns are found by their headers, never by position. All is read as text, in blocks of lines: memory is constant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.checkups.fkac522 import read_fkac522
from kenpo_analytics.ingest.checkups.items import columns_to_checkups
from kenpo_analytics.ingest.checkups.people import KEYS, read_people, repaired
from kenpo_analytics.ingest.files import csv_rows
from kenpo_analytics.ingest.files.lines import decode
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.records import Batch, rejected
from kenpo_analytics.ingest.values import text
from kenpo_analytics.months import ERAS

__all__ = ["read_cc2x", "read_fkac167", "read_fkac522"]

_JLAC10 = re.compile(r"\d[A-Z]\d{15}", re.ASCII)
_NAME_ROWS = 3  # rows of Japanese names that can follow a header of codes
_HEADERS: dict[str, tuple[str, ...]] = {
    "insurer": ("受診者保険者番号", "保険者番号"),
    "symbol": ("記号", "被保険者証記号", "被保険者証等記号", "保険証記号", "受診者記号"),
    "number": ("番号", "被保険者証番号", "被保険者証等番号", "保険証番号", "受診者番号"),
    "branch_number": ("枝番", "被保険者証枝番", "被保険者証等枝番", "枝番号"),
    "kana": ("カナ氏名", "氏名カナ", "氏名(カナ)", "フリガナ", "受診者カナ氏名", "氏名", "受診者氏名"),
    "birth": ("生年月日", "受診者生年月日"),
    "era": ("生年月日元号",),
    "sex": ("性別", "男女区分", "受診者性別"),
    "day": ("健診実施年月日", "健診実施日", "健診年月日", "健診受診日", "受診年月日", "受診日", "実施年月日"),
    "institution": ("健診機関コード", "健診機関番号", "健診実施機関番号", "健診実施機関コード", "実施機関番号"),
    "report": ("報告区分",),
    "programme": ("プログラム種別", "健診プログラムサービスコード"),
}
_FKAC167: dict[str, str] = {
    "身長": "9N001000000000001",
    "体重": "9N006000000000001",
    "BMI": "9N011000000000001",
    "腹囲": "9N016160100000001",
    "収縮期血圧": "9A755000000000001",
    "拡張期血圧": "9A765000000000001",
    "採血時間(食後)": "9N141000000000011",
    "中性脂肪(トリグリセリド)": "3F015000002399901",
    "空腹時中性脂肪(トリグリセリド)": "3F015000002399901",
    "随時中性脂肪(トリグリセリド)": "3F015129902399901",
    "HDLコレステロール": "3F070000002399901",
    "LDLコレステロール": "3F077000002399901",
    "NON-HDLコレステロール": "3F069000002391901",
    "GOT(AST)": "3B035000002399901",
    "GPT(ALT)": "3B045000002399901",
    "AST(GOT)": "3B035000002399901",
    "ALT(GPT)": "3B045000002399901",
    "Γ-GT(Γ-GTP)": "3B090000002399901",
    "空腹時血糖(電位差法)": "3D010000001926101",
    "空腹時血糖(可視吸光光度法)": "3D010000002227101",
    "空腹時血糖(紫外吸光光度法)": "3D010000001927201",
    "空腹時血糖(その他)": "3D010000001999901",
    "空腹時血糖": "3D010000001999901",
    "随時血糖(電位差法)": "3D010129901926101",
    "随時血糖(可視吸光光度法)": "3D010129902227101",
    "随時血糖(紫外吸光光度法)": "3D010129901927201",
    "随時血糖(その他)": "3D010129901999901",
    "随時血糖": "3D010129901999901",
    "HBA1C(NGSP値)": "3D046000001999902",
    "HBA1C(JDS値)": "3D045000001999902",
    "血清クレアチニン": "3C015000002399901",
    "EGFR": "8A065000002391901",
    "服薬1(血圧)": "9N701000000000011",
    "服薬2(血糖)": "9N706000000000011",
    "服薬3(脂質)": "9N711000000000011",
    "喫煙": "9N736000000000011",
    "20歳からの体重変化": "9N741000000000011",
    "1年間の体重変化": "9N761000000000011",
}


class _Plan(NamedTuple):
    """Which column (by place) is which key, and which (place, code, header) are measurements."""

    keys: Mapping[str, int]
    items: list[tuple[int, str, str]]


def read_cc2x(source: Source) -> Iterator[Batch]:
    """Which checkups are in a CSV with 17-digit JLAC10 codes as headers (CC2X, C2XD and their like)?

    The header is the row with most codes; comment rows (#) and the row of Japanese names below it are no records. One
    column a method; person, exam date, 報告区分 and プログラム種別 by name, also where only a row of names beside the
    codes has them. Item columns may repeat. See `read_people` for what a row must have and for `kind`, `to_checkups`
    for the values, `csv_rows.rows` for lines that are no row. When the file was made it does not say: `filed` is null.
    """
    return _read(source, lambda row: sum(1 for cell in row if _code(cell)), _code)


def read_fkac167(source: Source) -> Iterator[Batch]:
    """Which checkups are in FKAC167 (特定健診等データ管理システム 健診結果一覧)?

    Columns by Japanese header, compared in NFKC; of headers that repeat (既往歴 …) the first counts; ＨＬ… flags,
    judgements and all other columns are not read. A 生年月日元号 column goes before a birth date of six digits.
    Layout: public programs that read such files (no official text was found).
    """
    known = {name for names in _HEADERS.values() for name in names} | _FKAC167.keys()
    return _read(
        source, lambda row: len({_plain(cell) for cell in row} & known), lambda cell: _FKAC167.get(_plain(cell))
    )


def _plain(cell: str) -> str:
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", cell)).lstrip("#").upper()


def _code(cell: str) -> str | None:
    return plain if _JLAC10.fullmatch(plain := _plain(cell)) else None


def _read(source: Source, score: Callable[[Sequence[str]], int], code: Callable[[str], str | None]) -> Iterator[Batch]:
    line, plan, repairs = 1, None, False
    try:
        with source.open() as stream:
            top = csv_rows.find_header(decode(stream)[1], score)
            if not top.header:
                yield _one_row("header", 1)
                return
            for block in csv_rows.rows(top.below, top.header):
                if plan is None:
                    names, block = _name_rows(block)
                    width = sum(name.startswith("c") for name in block.frame.columns)
                    plan = _plan([top.header, *names, *reversed(top.above)], code, width)
                if plan is None:
                    yield _one_row("header", 1)
                    return
                batch, repair = _batch(block, plan, repairs)
                repairs = repairs or repair
                line = max([line, *block.frame["line"].tail(1), *(at for at, _ in block.refused[-1:])])
                yield batch
        if plan is None and _plan([top.header, *reversed(top.above)], code, len(top.header)) is None:
            yield _one_row("header", 1)
    except (IngestError, OSError, EOFError):
        yield _one_row("unreadable", line)


def _one_row(rule: str, line: int) -> Batch:
    reason = {"header": "見出しの行、または健診実施年月日・生年月日の列が見つかりません。", **text.REASONS}[rule]
    return Batch({}, 1, rejected([{"line": line, "level": "row", "item": "file", "rule": rule, "reason": reason}]))


def _name_rows(block: csv_rows.Rows) -> tuple[list[list[str]], csv_rows.Rows]:
    """Rows at the top without any number or date: Japanese names of the columns, no record."""
    names: list[list[str]] = []
    for row in block.frame.head(_NAME_ROWS).drop("line").iter_rows():
        if any(text.number(cell).value is not None or text.date(cell)[0] for cell in row):
            break
        names.append(list(row))
    return names, csv_rows.Rows(block.frame.slice(len(names)), block.refused)


def _plan(tops: list[list[str]], code: Callable[[str], str | None], width: int) -> _Plan | None:
    """The columns by the header, then by the rows of names beside it; None where no person or day can be told."""
    header, places = tops[0], {}
    for key, names in _HEADERS.items():
        found = (
            row.index(name) for row in ([_plain(cell) for cell in top] for top in tops) for name in names if name in row
        )
        place = next(found, None)
        if place is not None and place < width:
            places[key] = place
    items = [(at, known, _plain(cell)) for at, cell in enumerate(header) if (known := code(cell)) is not None]
    first = {name: at for at, _, name in reversed(items)}
    items = [item for item in items if _JLAC10.fullmatch(item[2]) or first[item[2]] == item[0]]
    return _Plan(places, items) if {"day", "birth"} <= places.keys() else None


def _batch(block: csv_rows.Rows, plan: _Plan, repairs: bool) -> tuple[Batch, bool]:
    """One block; a restored 保険者番号 is told once a file."""
    frame = block.frame
    raw = frame.select(
        "line",
        *(
            pl.col(f"c{plan.keys[key]}").alias(key) if key in plan.keys else pl.lit(None, pl.String).alias(key)
            for key in KEYS
        ),
        filed=pl.lit(None, pl.Int32),
    )
    if "era" in plan.keys:
        raw = raw.with_columns(birth=_with_era(pl.col("birth"), frame[f"c{plan.keys['era']}"]))
    people = read_people(raw, has_sex="sex" in plan.keys)
    kept = frame.filter(people.fit)
    columns = ((code, header, kept[f"c{at}"]) for at, code, header in plan.items)
    rows, refused = columns_to_checkups(columns, people.header)
    lost = [
        {"line": at, "level": "row", "item": "line", "rule": rule, "reason": csv_rows.REASONS[rule]}
        for at, rule in block.refused
    ]
    found = repaired(raw.filter(people.fit)) if not repairs else rejected([])
    every = pl.concat([rejected(lost), people.rejected, refused, found])
    return Batch({"checkups": rows}, frame.height + len(lost), every), found.height > 0


_ERA_CODES = {sign: era.code for era in ERAS for sign in (era.letter, era.code, era.name, era.name[0])}


def _with_era(birth: pl.Expr, era: pl.Series) -> pl.Expr:
    """A birth date of six digits (YYMMDD) with the era of its own column before it: 昭和 and 480601 are 3480601."""
    known = era.unique()
    codes = pl.Series([_ERA_CODES.get(_plain(said)) for said in known], dtype=pl.String)
    code = era.replace_strict(known, codes, return_dtype=pl.String)
    short = birth.str.strip_chars().str.contains(r"^[0-9]{6}$")
    return pl.when(short).then(pl.concat_str(pl.lit(code), birth.str.strip_chars())).otherwise(birth)
