"""Where does a member live? A municipality code or address becomes a JIS code of the prefecture, 県外 or 不明.

Only the beginning of an address is looked at, in memory: the address itself goes nowhere.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

import polars as pl

OUTSIDE, UNKNOWN = "県外", "不明"
_DISTRICTS = {  # 郡 of the 町 of Mie, by the code's first four digits (総務省 全国地方公共団体コード)
    "2430": "桑名郡",
    "2432": "員弁郡",
    "2434": "三重郡",
    "2444": "多気郡",
    "2446": "度会郡",
    "2447": "度会郡",
    "2454": "北牟婁郡",
    "2456": "南牟婁郡",
}


@cache
def prefectures() -> dict[str, str]:
    """Which prefecture bears which name? 三重県 is "24"."""
    return {row["name"]: row["prefecture"] for row in _features("prefectures")}


@cache
def towns() -> dict[str, str]:
    """Which municipality of Mie bears which name? 津市 is "24201"; 町 without and with their 郡."""
    names = {row["name"]: row["municipality"] for row in _features("mie_municipalities")}
    return names | {_DISTRICTS[code[:4]] + name: code for name, code in names.items() if not name.endswith("市")}


def _features(name: str) -> list[dict[str, str]]:
    file = resources.files("kenpo_analytics.definitions").joinpath("geo", f"{name}.geojson")
    return [feature["properties"] for feature in json.loads(file.read_text(encoding="utf-8"))["features"]]


def prefecture_code(raw: str) -> str | None:
    """Which prefecture (JIS two digits) is a branch's name or code: 三重, 三重支部, 三重県, 24, 1 or 01240019?"""
    plain = re.sub(r"(?:支部|[県府都])$", "", raw.strip())
    digits = plain[2:4] if re.fullmatch(r"01\d{6}", plain) else plain.zfill(2)
    if digits.isascii() and digits.isdigit():
        return digits if digits in prefectures().values() else None
    return {re.sub(r"[県府都]$", "", name): code for name, code in prefectures().items()}.get(plain)


def municipality(codes: pl.Series, addresses: pl.Series, branches: pl.Series) -> tuple[pl.Series, pl.Series]:
    """In which municipality do members live? JIS five digits, 県外 or 不明; and the rule where 不明 was not blank.

    A code has five digits, or six with its check digit (JIS X 0402), and counts before the address. Beyond the branch's
    prefecture it is 県外. An address begins with the prefecture, or with a city of Mie or one of its 郡 and 町 (a bare
    町 may lie anywhere). The names known are the 29 of Mie; other branches need the code.
    """
    plain = (texts.str.normalize("NFKC").str.replace_all(r"\s", "") for texts in (codes, addresses))
    frame = pl.DataFrame(dict(zip(("code", "address"), plain, strict=True)) | {"branch": branches})
    named = pl.col("code").str.contains(r"^\d").fill_null(False)
    frame = frame.with_columns(
        digits=pl.when(named).then(pl.col("code").str.replace(r"\.0+$", "")),
        place=pl.coalesce(pl.when(~named & (pl.col("code") != "")).then("code"), "address").str.replace(
            r"^〒?\d{3}-?\d{4}", ""
        ),
    )
    made = frame.with_columns(_from_code(), _from_address()).with_columns(
        where=pl.coalesce("by_code", "by_address", pl.lit(UNKNOWN)),
        told=(pl.col("digits").is_not_null() | (pl.col("place").fill_null("") != "")),
    )
    rule = (
        pl.when((pl.col("where") != UNKNOWN) | ~pl.col("told")).then(None)
        .when(pl.col("digits").str.contains(r"^\d{6}$")).then(pl.lit("check_digit"))
        .otherwise(pl.lit("unknown_municipality"))
    )  # fmt: skip
    return made["where"], made.select(rule.alias("rule")).to_series()


def _from_code() -> pl.Expr:
    """`by_code`: a code of the branch's prefecture, 県外, or null (no code, or 不明 where it is wrong)."""
    digits = pl.col("digits")
    figures = [digits.str.slice(at, 1).cast(pl.Int32, strict=False) for at in range(6)]
    weighted = pl.sum_horizontal(figure * (6 - at) for at, figure in enumerate(figures[:5]))
    five, six = digits.str.contains(r"^\d{5}$"), digits.str.contains(r"^\d{6}$")
    right = five | (six & ((11 - weighted % 11) % 10 == figures[5]))
    code, known = digits.str.head(5), list(towns().values())
    home = code.str.head(2) == pl.col("branch")
    real = (pl.col("branch") != "24") | code.is_in(known)
    country = code.str.head(2).is_in(list(prefectures().values()))
    return (
        pl.when(digits.is_null()).then(None)
        .when(right & home & real).then(code)
        .when(right & ~home & country).then(pl.lit(OUTSIDE))
        .otherwise(pl.lit(UNKNOWN)).alias("by_code")
    )  # fmt: skip


def _from_address() -> pl.Expr:
    """`by_address`: the same from the beginning of an address."""
    names = sorted(towns(), key=len, reverse=True)
    prefecture = pl.col("place").str.extract(f"^({'|'.join(prefectures())})")
    rest = pl.col("place").str.replace(f"^({'|'.join(prefectures())})", "")
    town = rest.str.extract(f"^({'|'.join(names)})")
    sure = prefecture.is_not_null() | town.str.contains("[市郡]")
    home = pl.col("branch") == "24"
    area = prefecture.replace_strict(prefectures(), default=None)
    return (
        pl.when(area != pl.col("branch")).then(pl.lit(OUTSIDE))
        .when(sure & town.is_not_null() & home).then(town.replace_strict(towns(), default=None))
        .when(area.is_null() & sure & town.is_not_null()).then(pl.lit(OUTSIDE))
        .otherwise(None).alias("by_address")
    )  # fmt: skip
