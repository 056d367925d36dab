"""Which checkups come in the layouts of other systems? FKAC522 (国保連), FKAC167 (健診結果一覧) and a CC2X-like CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from kenpo_analytics.sample.archive import cp932, write
from kenpo_analytics.sample.identity import INSURER
from kenpo_analytics.sample.raw_lists import Counts
from kenpo_analytics.sample.raw_xml import ANSWERS, QUANTITIES, RENAL, Row

ITEMS = (*((code, name, key) for code, name, key, _ in (*QUANTITIES, *RENAL)), *((c, n, k) for c, n, k, _ in ANSWERS))
"""JLAC10 code, Japanese name, and the text that goes there."""
FKAC167 = {
    "身長": "height", "体重": "weight", "ＢＭＩ": "bmi", "腹囲": "waist", "既往歴": "", "自覚症状": "",
    "収縮期血圧": "sbp", "拡張期血圧": "dbp", "採血時間（食後）": "fasting_code",
    "中性脂肪（トリグリセリド）": "tg", "ＨＬ中性脂肪": "", "ＨＤＬコレステロール": "hdl",
    "ＬＤＬコレステロール": "ldl", "Ｎｏｎ－ＨＤＬコレステロール": "non_hdl", "ＧＯＴ（ＡＳＴ）": "ast",
    "ＧＰＴ（ＡＬＴ）": "alt", "γ－ＧＴ（γ－ＧＴＰ）": "ggt", "空腹時血糖（電位差法）": "fpg",
    "ＨＬ空腹時血糖": "", "随時血糖（電位差法）": "casual_glucose", "ＨｂＡ１ｃ（NGSP値）": "hba1c",
    "ＨｂＡ１ｃ（JDS値）": "", "血清クレアチニン": "creatinine", "ｅＧＦＲ": "egfr",
    "服薬１（血圧）": "medication_bp", "服薬２（血糖）": "medication_glucose",
    "服薬３（脂質）": "medication_lipid", "喫煙": "smoking_code", "２０歳からの体重変化": "weight_gain_10kg",
    "１年間の体重変化": "weight_change_1y", "既往歴 ": "",
}  # fmt: skip
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_ERAS = (("R", dt.date(2019, 5, 1), 2018), ("H", dt.date(1989, 1, 8), 1988), ("S", dt.date(1926, 12, 25), 1925))


def era(day: dt.date) -> str:
    """How is a day written with its era? R06.04.10."""
    letter, _, before = next(row for row in _ERAS if day >= row[1])
    return f"{letter}{day.year - before:02d}.{day:%m.%d}"


def forms(frame: pl.DataFrame, ways: dict[str, pl.Series], folder: Path) -> Counts:
    """One file of each layout, each for one month of receipt."""
    chosen = {name: frame.filter(ways[name]).sort("institution", "checkup_date", "record_id") for name in ways}
    counts = _write(folder, f"checkups/{INSURER}_FKAC522_20250628_001.csv", _fkac522(chosen["fkac522"].to_dicts()))
    counts |= _write(folder, "checkups/FKAC167_20250828.csv", _fkac167(chosen["fkac167"].to_dicts()))
    month = chosen["cc2x"]["received_month"][0] if chosen["cc2x"].height else 202211
    counts |= _write(folder, f"checkups/cc2x_{month}28.csv", _cc2x(chosen["cc2x"].to_dicts()))
    for name, path in zip(("fkac522", "fkac167", "cc2x"), list(counts), strict=True):
        read, odd = chosen[name].height, int(chosen[name]["mmol"].count())
        counts[path] = {"read": read, "accepted": read, "values_rejected": odd}
    return counts


def _write(folder: Path, name: str, rows: Iterable[list[str]]) -> Counts:
    write(folder / name, cp932(",".join(row) for row in rows))
    return {name: {}}


def _fkac522(rows: list[Row]) -> list[list[str]]:
    """Row 2 for each institution and day, rows 5 below it; names full-width, 記号番号 zero padded, dates with eras."""
    lines = [["1", INSURER, "架空支部", "R07.06.28", "FKAC522"]]
    place = None
    for row in rows:
        here = (row["institution"], row["checkup_date"])
        if here != place:
            codes = [code for code, _, _ in ITEMS]
            lines.append(["2", here[0], "架空健診センター", era(here[1]), "", "", *codes])
            place = here
        number = f"{row['symbol'].zfill(9)}・{row['number'].zfill(7)}".translate(_WIDE)
        values = [row[key] or "" for _, _, key in ITEMS]
        lines.append(["5", "1", row["kana"], number, era(row["birth"]), "", *values])
    return [*lines, ["9", str(len(rows))]]


def _fkac167(rows: list[Row]) -> list[list[str]]:
    head = [
        "保険者番号",
        "保険者名",
        "記号",
        "番号",
        "枝番",
        "生年月日",
        "性別",
        "個人番号",
        "カナ氏名",
        "受診券整理番号",
    ]
    head += ["健診実施年月日", "健診機関コード", "受診券整理番号", *(name.strip() for name in FKAC167)]
    lines = [["健診結果一覧", "FKAC167", "20250828"], head]
    for row in rows:
        person = [
            INSURER,
            "架空支部",
            row["symbol"],
            row["number"],
            row["branch_number"] or "",
            f"{row['birth']:%Y%m%d}",
        ]
        person += [row["sex"], "", row["kana"], "", f"{row['checkup_date']:%Y%m%d}", row["institution"], ""]
        lines.append([*person, *(row[key] or "" if key else "" for key in FKAC167.values())])
    return lines


def _cc2x(rows: list[Row]) -> list[list[str]]:
    """Two # rows (column numbers, codes), a row of Japanese names, data. Answers are those before FY2024."""
    keys = [
        "受診者保険者番号",
        "記号",
        "番号",
        "枝番",
        "氏名",
        "生年月日",
        "性別",
        "健診実施年月日",
        "プログラム種別",
        "健診機関番号",
    ]
    numbers = [f"#{n}" if n == 1 else str(n) for n in range(1, len(keys) + len(ITEMS) + 2)]
    lines = [numbers, ["#KEY1", *keys, *(code for code, _, _ in ITEMS)]]
    lines.append(["整理番号", *keys, *(name for _, name, _ in ITEMS)])
    old = {"fasting_code": {"2": "2", "3": "1"}, "smoking_code": {"1": "1", "3": "2"}}
    for at, row in enumerate(rows, start=1):
        told = {key: answers.get(row[key], "") for key, answers in old.items()}
        person = [str(at), INSURER, row["symbol"], row["number"], row["branch_number"] or "", row["kana"]]
        person += [f"{row['birth']:%Y/%m/%d}", row["sex"], f"{row['checkup_date']:%Y/%m/%d}", "030", row["institution"]]
        lines.append([*person, *(told.get(key, row[key]) or "" for _, _, key in ITEMS)])
    return lines
