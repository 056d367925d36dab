"""What is said about a staged record that did not come through whole? Rules, reasons, rows of the quarantine."""

from __future__ import annotations

from typing import Any

import polars as pl

SAID: dict[str, Any] = {
    "seq": pl.Int32,
    "entry": pl.String,
    "line": pl.Int64,
    "table": pl.String,
    "level": pl.String,
    "item": pl.String,
    "rule": pl.String,
    "reason": pl.String,
    "institution": pl.String,
    "month": pl.Int32,
}
"""The quarantine's columns, with the delivery's number in place of its name."""

REASONS = {
    # rows that are in no table
    "no_identity": "だれの記録か分かりません(記号・番号、生年月日・性別、カナ氏名の不足)",
    "not_enrolled": "加入者台帳に該当する人がいません(台帳が届けば、次の取り込みで入ります)",
    "identity_conflict": "記号・番号・枝番が合う人と、生年月日・性別(または枝番)が合いません",
    "twin_ambiguous": "同じ記号・番号、生年月日・性別の人が複数いて、枝番もカナ氏名も決め手になりません",
    "same_name_and_birth_ambiguous": "同じカナ氏名、生年月日・性別の人が複数いて、記号・番号では決まりません",
    "no_birth": "生年月日・性別がなく、記号・番号だけでは1人に決まりません",
    "no_days": "資格取得日から資格喪失日までに1日もありません",
    "nothing_to_delete": "取消依頼に該当する健診記録がありません",
    "claim_not_found": "一覧にあるレセプトが取り込まれていません",
    # values, and cases to look at
    "twin_unresolved": "枝番のない双生児の可能性があります(カナ氏名で分けています)",
    "same_name_and_birth": "同じカナ氏名、生年月日・性別で加入期間が重なる人がいます(別人としています)",
    "number_shared": "同じ記号・番号・枝番で、生年月日・性別が違う人がいます(別人としています)",
    "overlap": "次の加入期間と重なるため、次の期間の初日で切りました",
    "checkup_not_found": "通知のもとになった健診の記録がありません",
}

NOTES = (
    *("insurer_repaired", "sheet_ignored", "count_mismatch", "record", "conflict"),
    *("twin_unresolved", "same_name_and_birth", "number_shared", "overlap"),
)
"""Rules of level "value" that empty nothing: something to know, counted apart as level "note"."""


def say(
    rows: pl.DataFrame, table: str, rule: str, *, item: str | None = None, month: str | None = None
) -> pl.DataFrame:
    """Which quarantine rows say that this rule holds for these staged rows? With `item` it is a value, else the row.

    `month` names a column of dates or of YYYYMM.
    """
    said = {"table": table, "level": "row" if item is None else "value", "item": item}
    said |= {"rule": rule, "reason": REASONS[rule]}
    when = pl.lit(None, pl.Int32)
    if month is not None:
        at = pl.col(month)
        when = at.dt.year() * 100 + at.dt.month() if rows.schema[month] == pl.Date else at
    institution = pl.col("institution") if "institution" in rows.columns else pl.lit(None, pl.String)
    return rows.select(
        "seq",
        "entry",
        "line",
        *[pl.lit(text, pl.String).alias(name) for name, text in said.items()],
        institution.alias("institution"),
        when.cast(pl.Int32).alias("month"),
    ).select(list(SAID))


def nothing() -> pl.DataFrame:
    """No row of the quarantine."""
    return pl.DataFrame(schema=SAID)
