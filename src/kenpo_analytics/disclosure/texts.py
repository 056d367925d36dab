"""Does a column that is no number hide one? Nested values, durations and numbers written as text are refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import polars as pl

from kenpo_analytics.errors import DisclosureError

TEXTS = (pl.String, pl.Categorical, pl.Enum)
_FLAT = (pl.Boolean, pl.Date, pl.Datetime, pl.Null)
# "5", "1,234", "12.3%", "5人", "5 (31.8%)", "3/10"; not "35-39", "2024年度", "3mg/dL"
_NUMBER = re.compile(r"[+\-−]?\d[\d,]*(\.\d+)?\s*(%|人|名|件|回)?\s*([(/].*)?")
_PEOPLE = re.compile(r"\d\s*[人名]")
_AREA = re.compile(r"\d{2}|\d{5}")
_AREAS = ("area", "branch", "prefecture", "municipality")


def validate_texts(frame: pl.DataFrame, columns: Sequence[str]) -> None:
    """Refuse columns whose values cannot be examined, and texts that say a number. Keys and labels are not passed."""
    for name in frame.columns:
        dtype = frame[name].dtype
        if not (dtype.is_numeric() or dtype in TEXTS or dtype in _FLAT):
            raise DisclosureError(
                f"{name}は調べられない種類の列です({dtype})。",
                hint="数値か文字の列に直し、人数・件数・率に分けてください。",
            )
    if wrong := [name for name in columns if frame[name].dtype in TEXTS and _says_numbers(frame[name])]:
        raise DisclosureError(
            f"数値が文字で書かれている列があります: {', '.join(wrong)}",
            hint="数値の列として渡してください。見出しや番号であれば、byまたはlabelsに入れてください。",
        )


def _says_numbers(column: pl.Series) -> bool:
    values = [unicodedata.normalize("NFKC", str(value)).strip() for value in column.cast(pl.String).drop_nulls()]
    if column.name in _AREAS:  # JIS codes
        values = [value for value in values if not _AREA.fullmatch(value)]
    return any(_NUMBER.fullmatch(value) or _PEOPLE.search(value) for value in values)
