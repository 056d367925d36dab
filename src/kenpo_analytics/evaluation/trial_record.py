"""What shows that nobody chose? The record of an assignment, its fingerprint, and what is read back from both."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.errors import EstimateError

KINDS = {"delay": ("now", "later"), "leaflets": ("A", "B")}
"""Randomised delay (先に送る・後で送る) and two leaflet versions (A・B)."""
ASSIGNMENT, RECORD = "assignment.parquet", "record.json"
FACTS = ("programme", "kind", "seed", "strata", "unit", "ethics_id", "registration_id", "drawn_at")
"""What every record must say before it is evaluated."""
SHORT = 16
"""Hex digits of the fingerprint on a page: enough to compare with what was written down before the mailing."""


def record(assigned: pl.DataFrame, **facts: Any) -> dict[str, Any]:
    """What must be kept to show that nobody chose? The facts, counts, and a digest over the table and all of them."""
    counts = {str(arm): int(n) for arm, n in assigned.group_by("arm").len().sort("arm").iter_rows()}
    plain = {name: str(value) if isinstance(value, dt.date) else value for name, value in facts.items()}
    told = {**plain, "persons": assigned.height, "arms": counts}
    return {**told, "digest": digest(assigned, told)}


def digest(assigned: pl.DataFrame, facts: Mapping[str, Any]) -> str:
    """Which fingerprint (SHA-256) stands for who got what and for every fact of the draw, in whatever order?

    `facts` is the record; its own "digest" is left out. Whoever rewrites table and record can compute a new one: it
    shows a change only to those who kept the old one.
    """
    table = assigned.select(pl.all().cast(pl.String)).select(sorted(assigned.columns))
    kept = {name: value for name, value in facts.items() if name != "digest"}
    said = json.dumps(kept, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(f"{said}\n{table.sort(table.columns).write_csv()}".encode()).hexdigest()


def read_record(folder: str | Path) -> dict[str, Any]:
    """When, by whom approved, and from which seed was it drawn? The record that `kenpo randomise` wrote (`FACTS`, …).

    Raises
    ------
    EstimateError
        No assignment there; table or record are not the ones of the fingerprint; a fact is missing or impossible.
    """
    return _vouched(Path(folder))[1]


def read_assignment(folder: str | Path) -> pl.DataFrame:
    """Who was drawn into which arm? What `kenpo randomise` wrote, for `analysis_set(assignment=…)`.

    Frame: person_id, `stratum`, `assigned`, `drawn_on`, and `unit` where whole groups were drawn. Errors as
    `read_record`.
    """
    drawn, held = _vouched(Path(folder))
    unit = {"unit": pl.col(held["unit"])} if held["unit"] else {}
    return drawn.select("person_id", "stratum", assigned="arm", drawn_on=pl.lit(drawn_on(held)), **unit)


def drawn_on(told: Mapping[str, Any]) -> dt.date:
    """On which day was it drawn, by the clock of the machine that drew?"""
    return dt.datetime.fromisoformat(told["drawn_at"]).date()


def _vouched(folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Table and record, if the record's fingerprint is theirs."""
    hint = "kenpo randomise の出力先を渡してください。"
    try:
        drawn = pl.read_parquet(folder / ASSIGNMENT)
        held = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        own = isinstance(held, dict) and held.get("digest") == digest(drawn, held)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise EstimateError(f"割付の記録を読めません: {folder}", hint=hint) from error
    if not own:
        raise EstimateError(
            "割付の表か record.json の項目が、record.json の指紋と合いません",
            hint="割付の後に書き換えられていないか確かめ、割付を行ったときのフォルダを使ってください。",
        )
    wanted = {"person_id", "stratum", "arm", *([held["unit"]] if held.get("unit") else [])}
    if missing := [*(name for name in FACTS if name not in held), *sorted(wanted - set(drawn.columns))]:
        raise EstimateError(f"割付の記録に次の項目がありません: {', '.join(missing)}", hint=hint)
    try:
        drawn_on(held)
    except (TypeError, ValueError) as error:
        raise EstimateError(f"割付の日時を読めません: {held['drawn_at']}", hint=hint) from error
    if held["kind"] not in KINDS or not set(drawn["arm"].unique()) <= set(KINDS[held["kind"]]):
        raise EstimateError("割付の種類か群の名前が違います", hint=hint)
    return drawn, held
