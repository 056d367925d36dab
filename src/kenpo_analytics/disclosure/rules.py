"""From how many people on may a count be shown? The thresholds, and the populations some of them depend on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kenpo_analytics.errors import DisclosureError

NDB_GUIDELINE = "厚生労働省 NDBの利用に関するガイドライン(公表物の最小集計単位の原則)"


@dataclass(frozen=True)
class DisclosureRules:
    """Which people counts may be shown? 0 always; 1 to `min_cell - 1` never; municipalities by population.

    Defaults are the NDB guideline: no count of 1 to 9 people; in municipalities of 2,000 to 24,999 inhabitants none
    below 20; below 2,000 inhabitants no people count at all (not even 0).
    """

    min_cell: int = 10
    min_cell_municipality: int = 20
    small_municipality: int = 25_000
    no_count_municipality: int = 2_000
    source: str = NDB_GUIDELINE

    def __post_init__(self) -> None:
        if self.min_cell < 3:
            raise DisclosureError(
                f"最小集計単位が小さすぎます: {self.min_cell}", hint="3以上(NDBガイドラインは10)にしてください。"
            )
        if self.min_cell_municipality < self.min_cell or self.small_municipality < self.no_count_municipality:
            raise DisclosureError(
                "市町村の最小集計単位は全体の最小集計単位以上、人口の境は小さい順にしてください。",
                hint="NDBガイドラインでは10と20、人口2,000と25,000です。",
            )

    def floor(self, municipality: str | None = None) -> float:
        """From how many people on is a count shown? Infinity where none may be shown.

        `municipality` is a five-digit JIS code; anything else (県外, 不明, 計) counts as no municipality. A code
        whose population is not on file gets the stricter threshold.
        """
        if municipality is None or not (len(municipality) == 5 and municipality.isascii() and municipality.isdigit()):
            return self.min_cell
        population = municipal_population().get(municipality)
        if population is not None and population >= self.small_municipality:
            return self.min_cell
        if population is not None and population < self.no_count_municipality:
            return float("inf")
        return self.min_cell_municipality


@cache
def municipal_population() -> dict[str, int]:
    """How many inhabitants has each municipality? Five-digit JIS code to 住民基本台帳 population, 2025-01-01."""
    return {row["municipality"]: int(row["population"]) for row in _municipalities()}


def municipal_names() -> dict[str, str]:
    """What is each municipality called? Five-digit JIS code to its name, with its 郡."""
    return {row["municipality"]: row["name"] for row in _municipalities()}


@cache
def _municipalities() -> list[dict[str, str]]:
    with (files(__package__) / "municipal_population.csv").open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
