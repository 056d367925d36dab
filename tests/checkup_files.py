"""Checkup CSV files as the tools in the field write them, from a few plain people; for tests."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kenpo_analytics.ingest.files.sources import Source

INSURER = "01240019"
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


@dataclass(frozen=True)
class Bytes(Source):
    """A file in memory."""

    data: bytes = b""

    def open(self, entry: str | None = None) -> Any:
        return io.BytesIO(self.data)


def source(data: bytes | str, layout: str = "cc2x", encoding: str = "cp932") -> Bytes:
    data = data.encode(encoding) if isinstance(data, str) else data
    return Bytes(Path("x.csv"), "x.csv", "0" * 16, layout, len(data), data=data)


@dataclass(frozen=True)
class Person:
    """One checkup: whose, and the text of each item by JLAC10 code."""

    symbol: str = "12345678"
    number: str = "56"
    branch: str = "00"
    kana: str = "ゴウセイ タロウ"
    birth: dt.date = dt.date(1973, 6, 1)
    sex: str = "1"
    day: dt.date = dt.date(2024, 5, 7)
    values: dict[str, str] = field(default_factory=dict)


def lines(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def cc2x(people: Sequence[Person], codes: Sequence[str], *, hashes: bool = True, names: bool = True) -> str:
    """A file of the input tool: two comment rows, the second with the codes, then Japanese names, then data."""
    keys = ["KEY1", "受診者保険者番号", "記号", "番号", "枝番", "氏名", "生年月日", "性別", "郵便番号", "住所"]
    keys += ["受診券整理番号", "受診券有効期限", "健診実施年月日"]
    mark = "#" if hashes else ""
    head = [[mark + "1", *map(str, range(2, len(keys) + len(codes) + 1))], [mark + keys[0], *keys[1:], *codes]]
    if names:
        head.append([""] * len(keys) + [f"項目({at})" for at in range(len(codes))])
    rows = [
        [
            str(at),
            INSURER,
            p.symbol,
            p.number,
            p.branch,
            p.kana,
            f"{p.birth:%Y%m%d}",
            p.sex,
            "514-0000",
            "三重県津市",
            "",
            "",
            f"{p.day:%Y%m%d}",
            *(p.values.get(code, "") for code in codes),
        ]
        for at, p in enumerate(people, start=1)
    ]
    return lines([*head, *rows])


def era(day: dt.date) -> str:
    first, sign = next((y, s) for y, s in ((2018, "R"), (1988, "H"), (1925, "S")) if day.year > y)
    return f"{sign}{day.year - first:02}.{day:%m.%d}"


def fkac522(blocks: Sequence[tuple[str, dt.date, Sequence[str], Sequence[Person]]], count: int | None = None) -> str:
    """国保連 一括登録: one row 2 for each (institution, day, codes, people)."""
    rows = [["1", INSURER, "協会けんぽ三重支部", "R06.07.10", "FKAC522"]]
    for institution, day, codes, people in blocks:
        rows.append(["2", institution, "合成健診センター", era(day), "", "", *codes])
        for p in people:
            number = f"{p.symbol.zfill(10)}・{p.number.zfill(8)}".translate(WIDE)
            rows.append(["5", "1", p.kana, number, era(p.birth), "24240000123", *(p.values.get(c, "") for c in codes)])
    rows.append(["9", str(sum(len(block[3]) for block in blocks) if count is None else count)])
    return lines(rows)


FKAC167 = {
    "身長": "9N001000000000001",
    "体重": "9N006000000000001",
    "ＢＭＩ": "9N011000000000001",
    "内臓脂肪面積": "",
    "腹囲": "9N016160100000001",
    "既往歴": "",
    "既往歴 ": "",
    "収縮期血圧": "9A755000000000001",
    "拡張期血圧": "9A765000000000001",
    "採血時間（食後）": "9N141000000000011",
    "中性脂肪（トリグリセリド）": "3F015000002399901",
    "ＨＤＬコレステロール": "3F070000002399901",
    "ＬＤＬコレステロール": "3F077000002399901",
    "GOT（ＡＳＴ）": "3B035000002399901",
    "GPT（ＡＬＴ）": "3B045000002399901",
    "γ-GT(γ-GTP)": "3B090000002399901",
    "空腹時血糖（電位差法）": "3D010000001926101",
    "随時血糖（電位差法）": "3D010129901926101",
    "ＨｂＡ１ｃ（NGSP値）": "3D046000001999902",
    "ＨｂＡ１ｃ（JDS値）": "3D045000001999902",
    "尿糖": "",
    "メタボリックシンドローム判定": "",
    "保健指導レベル": "",
    "服薬１（血圧）": "9N701000000000011",
    "服薬確認者（血圧）": "",
    "服薬２（血糖）": "9N706000000000011",
    "服薬３（脂質）": "9N711000000000011",
    "喫煙": "9N736000000000011",
    "２０歳からの体重変化": "9N741000000000011",
    "1年間の体重変化": "9N761000000000011",
    "受診券整理番号": "",
    "ＨＬ身長": "",
    "ＨＬＨＤＬコレステロール": "",
    "ＨＬ空腹時血糖（電位差法）": "",
}
"""Headers of a FKAC167 file after the person's, with the code whose meaning each has for us."""


def fkac167(people: Sequence[Person]) -> str:
    """健診結果一覧 of 特定健診等データ管理システム: a title row with FKAC167 in it, then headers, then data."""
    keys = [
        "保険者番号",
        "広域連合番号",
        "被保険者証記号",
        "被保険者証番号",
        "生年月日元号",
        "生年月日",
        "性別",
        "個人番号",
    ]
    keys += ["データ管理番号１", "受診券整理番号", "健診実施年月日", "健診機関コード"]
    rows = [
        [
            INSURER,
            "",
            p.symbol,
            p.number,
            "",
            f"{p.birth:%Y%m%d}",
            p.sex,
            "",
            "",
            "24240000123",
            f"{p.day:%Y%m%d}",
            "2411000001",
            *(p.values.get(code, "") if code else "1" for code in FKAC167.values()),
        ]
        for p in people
    ]
    return lines([["20240710", "FKAC167"], [*keys, *(name.strip() for name in FKAC167)], *rows])
