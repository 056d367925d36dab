"""What did headquarters send? The provider file `kpi_published.csv`: values of the 47 branches and of the nation.

One row per KPI, definition version, month and area. A person fills it in Excel: what Excel does to a CSV (01 without
its zero, 2025-03 written as Mar-25, CP932) is read; what cannot be meant is refused with its line.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.definitions.branch_codes import BRANCHES, spellings
from kenpo_analytics.definitions.kpi import NATION, Kpi, kpi, kpis, printed, version_at, versions, why_impossible
from kenpo_analytics.errors import DateError, DefinitionError, TableError
from kenpo_analytics.frames import eager, small, source_of
from kenpo_analytics.months import format_month, parse_date, parse_month

FILE = "kpi_published.csv"
GIVEN = ("kpi_id", "version", "month", "area", "source")
ALSO = ("value", "numerator", "denominator", "unit", "as_of", "rank")
KEY = ("kpi_id", "version", "month", "area")
SCHEMA: dict[str, Any] = {
    "kpi_id": pl.String,
    "version": pl.String,
    "month": pl.Int64,
    "area": pl.String,
    "value": pl.Float64,
    "numerator": pl.Float64,
    "denominator": pl.Float64,
    "part_year": pl.Boolean,
    "status": pl.String,
    "source": pl.String,
    "as_of": pl.String,
    "published_rank": pl.Int64,
}
_NUMBERS = ("value", "numerator", "denominator")
_SHOWN = 5
_EXCEL_MONTH = re.compile(r"([A-Z][a-z]{2})-([0-9]{2})")
_ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def read_provider(path: Path | str) -> pl.DataFrame:
    """Which values stand in a provider file?

    Parameters
    ----------
    path
        UTF-8 (with or without BOM) or CP932. Columns kpi_id, version, month (2025-03), area (JIS "01".."47", 1..47,
        三重, 三重支部, or 全国), value (as printed: 58.4 for 58.4%), numerator, denominator, source; optional unit
        (must be the KPI's), as_of (date or month of the document: see `known_by`) and rank (as headquarters printed
        it). Either the value or numerator and denominator may be empty or have no column, not both. Empty rows are
        skipped.

    Returns
    -------
    The columns of `SCHEMA`: `value` is computed where only the totals are given; `part_year` where the month is not
    March; `status` is 支部設定; `published_rank` is the printed rank.

    Raises
    ------
    TableError
        Not readable, a missing column, an unknown KPI, version, area or unit, an impossible month, a value outside its
        range or not that of its totals, two rows of one key. All lines are judged; the first five are told. A table of
        all branches whose shares were written as fractions (0.592 for 59.2%).
    """
    lines = list(_lines(Path(path)))
    rows, wrong = [], []
    for line, text in lines:
        try:
            rows.append(_row(text) | {"line": line})
        except (TableError, DefinitionError) as error:
            wrong.append(f"{line}行目{error.message}")
    wrong += _twice(rows)
    if wrong:
        more = f" ほか{len(wrong) - _SHOWN}件" if len(wrong) > _SHOWN else ""
        raise TableError(
            f"{FILE} の" + "。".join(wrong[:_SHOWN]) + more,
            hint="docs/kpi.md の「本部から届く47支部の値を加える」を見てください。",
        )
    found = pl.DataFrame(rows, schema=SCHEMA)
    _refuse_fractions(found)
    return found


def _refuse_fractions(found: pl.DataFrame) -> None:
    """Excel keeps 59.2% as 0.592: all branches at 1% or less, without counts, of a KPI not known to be so low."""
    low = {item.id for item in kpis() if item.unit == "%"} - _rare()
    bare = found.filter(pl.col("kpi_id").is_in(list(low)), pl.col("area") != NATION)
    tables = bare.group_by("kpi_id", "version", "month", maintain_order=True).agg(
        pl.len(), top=pl.col("value").max(), counted=pl.col("numerator").count()
    )
    wrong = tables.filter(pl.col("len") == len(BRANCHES), pl.col("top") > 0, pl.col("top") <= 1, pl.col("counted") == 0)
    if wrong.is_empty():
        return
    row = wrong.row(0, named=True)
    raise TableError(
        f"{FILE} の{kpi(row['kpi_id']).short} {format_month(row['month'])}は、{len(BRANCHES)}支部の値がすべて1%以下です"
        f"(最大 {row['top']:.3f}%)" + (f" ほか{wrong.height - 1}表" if wrong.height > 1 else ""),
        hint="Excelの割合(0.592)を、印刷された値(59.2)に直してください。本当に1%以下なら、分子と分母も書いてください。",
    )


def _rare() -> set[str]:
    """KPIs whose printed shares are all of 1% at most (査定率)."""
    known: dict[str, float] = {}
    for row in printed():
        known[row["kpi_id"]] = max(row["value"], known.get(row["kpi_id"], 0.0))
    return {id for id, top in known.items() if top <= 1}


def coverage(published: Any) -> Any:
    """For which KPIs, versions and months are all 47 branches there?

    `published` as `kpi.published` gives it, of any kind: every month and `as_of` on file (what was known at a month:
    `known_by` first). Pandas for pandas, polars otherwise; one row per KPI, version and month of a file with values of
    more than one branch: kpi_id, version, month, branches (how many of the 47), missing (their codes, text),
    with_counts (branches with numerator and denominator), national (has the nation a value?), official (version in
    force that month?).
    """
    held = eager(published)
    several = held.filter(pl.col("area") != NATION).group_by("kpi_id", "version", "month").agg(pl.col("area"))
    rows = []
    for found in several.filter(pl.col("area").list.len() > 1).sort("kpi_id", "month", "version").to_dicts():
        key = {name: found[name] for name in ("kpi_id", "version", "month")}
        part = held.filter(*(pl.col(name) == value for name, value in key.items()))
        lacking = [code for code in BRANCHES if code not in found["area"]]
        counted = part.filter(pl.col("area") != NATION).drop_nulls(["numerator", "denominator"])
        rows.append(
            key
            | {
                "branches": len(found["area"]),
                "missing": "、".join(lacking),
                "with_counts": counted.height,
                "national": bool((part["area"] == NATION).any()),
                "official": version_at(found["kpi_id"], found["month"]).version == found["version"],
            }
        )
    names = ("kpi_id", "version", "month", "branches", "missing", "with_counts", "national", "official")
    kinds = (pl.String, pl.String, pl.Int64, pl.Int64, pl.String, pl.Int64, pl.Boolean, pl.Boolean)
    return small(pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True))), source_of(published))


def describe(folder: Path | str) -> list[str]:
    """What does `kenpo check` say about the provider file of a folder? Lines; none without a file.

    Raises
    ------
    TableError
        As `read_provider`.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return []
    held = read_provider(path)
    tables = coverage(held).to_dicts()
    return [f"{FILE}: {held.height}行、複数の支部がそろう表{len(tables)}", *(_said(row) for row in tables if _odd(row))]


def _odd(row: dict[str, Any]) -> bool:
    return row["branches"] < len(BRANCHES) or not row["official"] or 0 < row["with_counts"] < len(BRANCHES)


def _said(row: dict[str, Any]) -> str:
    told = f"注意: {FILE} の{kpi(row['kpi_id']).short} {format_month(row['month'])}({row['version']}): "
    parts = []
    if row["branches"] < len(BRANCHES):
        parts.append(f"47支部のうち{row['branches']}支部だけ(ない支部 {row['missing']})。順位と偏差値は出ません")
    elif row["with_counts"] < len(BRANCHES) and row["with_counts"]:
        parts.append(f"分子・分母のある支部が{row['with_counts']}だけ。順位の区間は出ません")
    if not row["official"]:
        parts.append("この月の正式な定義の版ではないため、順位には使いません")
    return told + "。".join(parts)


# --- lines and cells ------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TableError(f"{FILE} を読めません", hint="ファイルが開かれていないか確かめてください。") from error
    rows = csv.reader(io.StringIO(_decoded(raw), newline=""))
    head = [unicodedata.normalize("NFKC", name).strip().lower() for name in next(rows, [])]
    if missing := [name for name in GIVEN if name not in head]:
        raise TableError(
            f"{FILE} に列がありません: {', '.join(missing)}",
            hint=f"要る列: {', '.join(GIVEN)} と、value か numerator・denominator",
        )
    if unknown := [name for name in head if name and name not in (*GIVEN, *ALSO)]:
        raise TableError(
            f"{FILE} に使われない列があります: {', '.join(unknown)}", hint=f"列: {', '.join((*GIVEN, *ALSO))}"
        )
    for cells in rows:
        if any(cell.strip() for cell in cells):
            whole = [*cells, *[""] * (len(head) - len(cells))]
            yield rows.line_num, {name: _plain(cell) for name, cell in zip(head, whole, strict=False)}


def _decoded(raw: bytes) -> str:
    unicode = raw[:2] in (b"\xff\xfe", b"\xfe\xff")  # UTF-16, which CP932 would read as nonsense
    for encoding in () if unicode else ("utf-8-sig", "cp932"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TableError(f"{FILE} の文字コードが分かりません", hint="「CSV UTF-8」か「CSV」(CP932)で保存してください。")


def _plain(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).strip()


def _row(text: dict[str, str]) -> dict[str, Any]:
    """One row; each refusal begins with the name of the column."""
    if text["kpi_id"] not in {item.id for item in kpis()}:
        raise TableError(f"の kpi_id「{text['kpi_id']}」は登録されていないKPIです")
    item = kpi(text["kpi_id"])
    names = [v.version for v in versions(item.id)]
    if text["version"] not in names:
        raise TableError(f"の version「{text['version']}」は{item.short}の定義の版にありません({'、'.join(names)})")
    area = _area(text["area"])
    if not text["source"]:
        raise TableError("の source が空です(出典のない値は使えません)")
    if (unit := text.get("unit", "")) and unit != _plain(item.unit):
        raise TableError(f"の unit「{unit}」は{item.short}の単位({item.unit})と違います")
    month, numbers = _month(text["month"]), {name: _number(name, text.get(name, "")) for name in _NUMBERS}
    return {
        "kpi_id": item.id,
        "version": text["version"],
        "month": month,
        "area": area,
        **_judged(item, numbers, text.get("value", "")),
        "part_year": month % 100 != 3,
        "status": "支部設定",
        "source": text["source"],
        "as_of": _as_of(text.get("as_of", "")),
        "published_rank": _rank(text.get("rank", "")),
    }


def _area(text: str) -> str:
    known = spellings() | {NATION: NATION}
    if text not in known:
        raise TableError(f"の area「{text}」は支部(01～47)でも{NATION}でもありません")
    return known[text]


def _month(text: str) -> int:
    if (excel := _EXCEL_MONTH.fullmatch(text)) and excel[1] in _ENGLISH:
        return (2000 + int(excel[2])) * 100 + _ENGLISH.index(excel[1]) + 1
    try:
        return parse_month(text)
    except DateError as error:
        raise TableError(f"に、月または数として読めない値があります: month「{text}」") from error


def _as_of(text: str) -> str | None:
    """The day (2025-08-29) or month (2025-08) of a document: a page that stands earlier does not use its values."""
    if not text:
        return None
    for read in (parse_date, _month):
        try:
            found = read(text)
        except (DateError, TableError):
            continue
        return format_month(found) if isinstance(found, int) else found.isoformat()
    raise TableError(f"の as_of「{text}」は日付でも月でもありません(例 2025-08-29、2025-08)")


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    plain = text.replace(",", "").removesuffix("%" if name == "value" else "\0")
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", plain):
        raise TableError(f"に、月または数として読めない値があります: {name}「{text}」")
    return float(plain)


def _rank(text: str) -> int | None:
    if not text:
        return None
    digits = text.removesuffix("位")
    if not digits.isdigit() or not 1 <= int(digits) <= len(BRANCHES):
        raise TableError(f"の rank「{text}」は1～47の順位ではありません")
    return int(digits)


def _judged(item: Kpi, numbers: dict[str, float | None], text: str) -> dict[str, float | None]:
    """The three numbers, if they can be and agree; the value from the totals where it is empty."""
    value, top, under = (numbers[name] for name in _NUMBERS)
    if bool(item.denominator) and (top is None) != (under is None):
        raise TableError("の numerator と denominator は、両方を書くか両方を空けてください")
    if why := why_impossible(item, top, under):
        raise TableError(f"の {why}: 分子「{_shown(top)}」、分母「{_shown(under)}」")
    counted = None if top is None else item.value(top, under) * (100 if item.unit == "%" else 1)
    if value is None and counted is None:
        raise TableError("の value が空です(分子・分母もない)")
    if value is None:
        return {"value": counted, "numerator": top, "denominator": under}
    if value < 0 or (item.unit == "%" and value > 100):
        raise TableError(f"の value「{text}」が範囲の外です({'0～100' if item.unit == '%' else '0以上'})")
    places = len(text.rstrip("%").partition(".")[2])
    if counted is not None and abs(value - counted) > 0.5 * 10**-places + 1e-9:
        raise TableError(f"の value「{text}」が numerator÷denominator({counted:.{places + 1}f})と合いません")
    return {"value": value, "numerator": top, "denominator": under}


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:,.12g}"


def _twice(rows: list[dict[str, Any]]) -> list[str]:
    seen: dict[tuple[Any, ...], int] = {}
    wrong = []
    for row in rows:
        key = tuple(row[name] for name in KEY)
        if key in seen:
            wrong.append(
                f"{row['line']}行目は、同じ指標・定義の版・月・地域({row['area']})の{seen[key]}行目と重なっています"
            )
        seen.setdefault(key, row["line"])
    return wrong
