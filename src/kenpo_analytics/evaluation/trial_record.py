"""What shows that nobody chose? The record of an assignment, its fingerprint, and what is read back from both."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Draws:
    """The lots of one programme, drawn once or again for every batch; without lots, nothing.

    `assignment`: as `read_assignment`; `records`: as `read_record`, the first draw first; `tables`: where there are
    several, `draws` (`draw`, `day`, `seed`, `n` and `persons`, `again`: of them drawn before, `digest`: 16 digits).
    """

    assignment: pl.DataFrame | None = None
    records: tuple[dict[str, Any], ...] = ()
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def named(self, folder: str) -> str:
        """Which lots did a run use? Their folder and the whole fingerprint of each, in Japanese."""
        return f"{folder}(指紋 {'、'.join(told['digest'] for told in self.records)})" if self.records else "なし"


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

    Frame: person_id, `stratum`, `assigned`, `drawn_on`, and `unit` where whole groups were drawn. Errors, and what a
    folder may hold, as `read_draws`.
    """
    found = read_draws(folder).assignment
    assert found is not None
    return found


def read_draws(folder: str | Path, *, programme: str | None = None) -> Draws:
    """What was drawn for this programme, in which draws? A folder with one draw, or with one folder for every draw.

    Whoever was drawn several times counts in the first draw only: later lots fell on somebody who had an arm already.
    Lots hold within their draw, so strata are those of a draw (`stratum` begins with its number).

    Raises
    ------
    EstimateError
        As `read_record`, for any of the draws; a draw beside folders of draws; draws of several programmes, kinds,
        units or types of person_id, or the same draw twice; a draw of another programme than `programme`.
    """
    folder = Path(folder)
    whole = any((folder / name).exists() for name in (ASSIGNMENT, RECORD)) or not folder.is_dir()
    inner = (
        sorted(part for part in folder.iterdir() if part.is_dir() and part.name[0] != ".") if folder.is_dir() else []
    )
    if whole and (
        more := [part.name for part in inner if any((part / name).exists() for name in (ASSIGNMENT, RECORD))]
    ):
        raise EstimateError(
            f"割付のフォルダの中に、別の割付のフォルダがあります: {'、'.join(more)}",
            hint="1回の割付だけのフォルダか、回ごとのフォルダだけを入れたフォルダを指定してください。",
        )
    parts = [] if whole else inner
    held = sorted((_vouched(part) for part in parts or [folder]), key=lambda one: _moment(one[1]))
    _agree(held, programme)
    lots = [_lots(drawn, told, number if parts else 0) for number, (drawn, told) in enumerate(held, 1)]
    every = pl.concat(lots).with_columns(again=~pl.col("person_id").is_first_distinct())
    counts = every.group_by("draw").agg(n=pl.len().cast(pl.Int64), again=pl.col("again").sum().cast(pl.Int64))
    counts = counts.with_columns(persons=pl.col("n").cast(pl.Float64))
    listed = pl.DataFrame(
        [
            {"draw": number, "day": day_text(told), "seed": str(told["seed"]), "digest": told["digest"][:SHORT]}
            for number, (_, told) in enumerate(held, 1)
        ]
    )
    tables = {"draws": listed.join(counts, on="draw", maintain_order="left")} if len(held) > 1 else {}
    return Draws(every.filter(~pl.col("again")).drop("again", "draw"), tuple(told for _, told in held), tables)


def _lots(drawn: pl.DataFrame, told: Mapping[str, Any], number: int) -> pl.DataFrame:
    stratum = pl.format("{}・{}", pl.lit(f"{number}回目"), "stratum") if number else pl.col("stratum")
    unit = {"unit": pl.col(told["unit"])} if told["unit"] else {}
    return drawn.select(
        "person_id",
        stratum.alias("stratum"),
        assigned="arm",
        drawn_on=pl.lit(drawn_on(told)),
        **unit,
        draw=pl.lit(number or 1, pl.Int64),
    )


def _agree(held: Sequence[tuple[pl.DataFrame, Mapping[str, Any]]], programme: str | None) -> None:
    """Arms of different comparisons are never pooled, nor counted for letters that they were not drawn for."""
    hint = "1つの事業の、同じ種類の割付だけを1つのフォルダにまとめてください。"
    for name, word in (("programme", "事業"), ("kind", "種類"), ("unit", "まとまり")):
        if len(values := {str(told[name]) for _, told in held}) > 1:
            raise EstimateError(f"まとめて評価する割付の{word}が違います: {'、'.join(sorted(values))}", hint=hint)
    if len({drawn["person_id"].dtype for drawn, _ in held}) > 1:
        raise EstimateError("まとめて評価する割付の個人IDの型が違います", hint=hint)
    if len({told["digest"] for _, told in held}) < len(held):
        raise EstimateError("同じ割付(指紋が同じ)が2つあります", hint="複写したフォルダを除いてください。")
    own = held[0][1]["programme"]
    if programme is not None and own != programme:
        raise EstimateError(
            f"割付の事業({own})は、評価する通知の事業({programme})と違います",
            hint="assignment に指定したフォルダを確かめてください。",
        )


def day_text(told: Mapping[str, Any]) -> str:
    """The day of a draw as a page says it."""
    day = drawn_on(told)
    return f"{day.year}年{day.month}月{day.day}日"


def _moment(told: Mapping[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(told["drawn_at"]).astimezone()


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
