"""Which diseases, drugs and fees are looked for in claims? The packaged code tables, as maps.

Sources: 支払基金 傷病名・医薬品・診療行為マスター of 2024. A code of an older or newer master is not in them.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from kenpo_analytics.definitions import define
from kenpo_analytics.definitions.registry import FOLDER

DOMAINS = ("bp", "glucose", "lipid")


@dataclass(frozen=True)
class ClaimCodes:
    """Domain by 傷病名コード, domains ("bp+lipid") by 医薬品コード; fee codes of add-ons and of basic visits."""

    diseases: dict[str, str]
    drugs: dict[str, str]
    addons: frozenset[str]
    visits: frozenset[str]


def claim_codes(addons: Collection[str] | None = None) -> ClaimCodes:
    """Which codes does a reader look for? The packaged ones; `addons` replaces the out-of-hours fee codes."""
    base = _packaged()
    return base if addons is None else ClaimCodes(base.diseases, base.drugs, frozenset(addons), base.visits)


@cache
def _packaged() -> ClaimCodes:
    return ClaimCodes(
        diseases={row["code"]: row["domain"] for row in _rows("disease_codes")},
        drugs={row["code"]: row["domains"] for row in _rows("drug_codes") if row["domains"]},
        addons=frozenset(fee.code for fee in define().fee_codes),
        visits=frozenset(row["code"] for row in _rows("visit_fee_codes")),
    )


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (FOLDER / "codes" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
