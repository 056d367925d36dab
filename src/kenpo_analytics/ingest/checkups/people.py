"""Whose checkup is this, of which day and kind? The texts around the measurements of XML and CSV, judged alike.

What a record cannot be without is judged first: one without a possible exam date, birth date or sex is rejected.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from kenpo_analytics.ingest.records import IDENTITY, TRACE, rejections
from kenpo_analytics.ingest.values import columns

_READERS: Mapping[str, columns.Read] = {
    "insurer": columns.insurers,
    "symbol": columns.numbers_as_text,
    "number": columns.numbers_as_text,
    "branch_number": columns.branch_numbers,
    "kana": columns.names,
    "birth": columns.days(),
    "sex": columns.sexes,
    "day": columns.days(),
    "institution": columns.institutions,
    "report": columns.words,
    "programme": columns.words,
    "made": columns.days(),
    "archived": columns.days(),
}
KEYS = tuple(_READERS)
"""What a record may say besides its measurements; a key that a layout does not have is null."""
NEEDED = ("day", "birth", "sex")
NO_INSURER = {"level": "note", "item": "insurer", "rule": "missing",
              "reason": "保険者番号がファイルにありません(実行時の指定か、ファイル名から補います)。"}  # fmt: skip
"""What is noted once of a file that nowhere names an insurer; a record's own stays null here."""
_DAYS = ("day", "birth", "made", "archived")
OF_CHECKUP = {"checkup_date": pl.Date, "received_month": pl.Int32, "institution": pl.String, "kind": pl.String,
              "action": pl.String}  # fmt: skip
_FIRST_DAY = dt.date(2008, 4, 1)  # 高齢者の医療の確保に関する法律: 特定健診 and its file format began
_FIRST_BIRTH = dt.date(1900, 1, 1)
_DELETIONS = ["19", "49"]
_REPORTS = ["10", "40", "41", "42", "43", "44", "90", *_DELETIONS]
_ITEMS = {"day": "checkup_date", "made": "filed", "archived": "filed"}
_FILED = {"made": "作成日", "archived": "作成日(交換用基本情報)"}


class People(NamedTuple):
    """`header` has one row for each record that is one, `fit` says which are; the others are in `rejected`."""

    header: pl.DataFrame
    fit: pl.Series
    rejected: pl.DataFrame

    def of_fit(self, long: pl.DataFrame) -> pl.DataFrame:
        """The rows of `long` whose `record` is fit, numbered as in `header`."""
        place = (self.fit.cum_sum() - 1).cast(pl.UInt32, strict=False)
        kept = long.filter(self.fit.gather(long["record"]))
        return kept.with_columns(record=place.gather(kept["record"]))


def read_people(raw: pl.DataFrame, *, needed: tuple[str, ...] = NEEDED, days: columns.Read = _READERS["day"]) -> People:
    """Who was examined when?

    Exam days from 2008-04-01 to today; birth dates from 1900 to the exam; `kind` as in `kind_of`. 報告区分 19 and 49
    take the record back (`action` "delete"). 保険者番号 lost digits are restored by the check digit.

    `made` is the day that the record says it was made, `archived` the day that its delivery says so for all of it. Each
    is null where it lies before the exam or in the future. `filed`, by which versions of a record are ranked, is the
    first of the two, `received_month` the month of the second; each stands in for the other.

    Parameters
    ----------
    raw
        `line`, optionally `entry`, and any of the String columns `KEYS`. A missing insurer is told of each record only
        where there is such a column: a file that has none says so once (`NO_INSURER`).
    needed
        Without these a record is none.
    days
        How days are written in this layout.
    """
    frame = _possible(_read(raw, days)).with_columns(kind=kind_of())
    told = {"insurer"}.intersection(raw.columns)
    frame = frame.with_columns(_fails(key, "missing", pl.col(key).is_null()) for key in (*needed, *told))
    frame = frame.with_columns(
        _fails("report", "unknown_code", ~pl.col("report").is_in(_REPORTS)),
        kind_rule=pl.when(pl.col("kind").is_null()).then(pl.lit("kind")),
    )
    must = (*dict.fromkeys((*needed, *NEEDED, "report")), "kind")
    failed = pl.coalesce(*(pl.when(pl.col(f"{key}_rule").is_not_null()).then(pl.lit(key)) for key in must))
    frame = frame.with_columns(failed=failed)
    fit = frame["failed"].is_null()
    return People(_header(frame.filter(fit)), fit, _rejected(frame, must, raw))


def _read(raw: pl.DataFrame, days: columns.Read) -> pl.DataFrame:
    made = {}
    for key, reader in _READERS.items():
        texts = raw[key] if key in raw.columns else pl.Series([None], dtype=pl.String).new_from_index(0, raw.height)
        made[key], made[f"{key}_rule"] = (days if key in _DAYS else reader)(texts)
    entry = raw["entry"] if "entry" in raw.columns else pl.lit(None, pl.String)
    return raw.select("line", entry=entry).with_columns(**made)


def _fails(key: str, rule: str, where: pl.Expr) -> pl.Expr:
    """The rule of a key where it has none yet and this is true."""
    name = f"{key}_rule"
    return pl.coalesce(name, pl.when(where).then(pl.lit(rule))).alias(name)


def _possible(frame: pl.DataFrame) -> pl.DataFrame:
    """Days that cannot be are none: examined before 特定健診 began, born after the exam, filed before it."""
    today = pl.lit(dt.date.today())
    for key, first, last in (
        ("day", pl.lit(_FIRST_DAY), today),
        ("birth", pl.lit(_FIRST_BIRTH), pl.coalesce("day", today)),
        *((key, pl.coalesce("day", pl.lit(_FIRST_DAY)), today) for key in _FILED),
    ):
        within = pl.col(key).is_between(first, last)
        frame = frame.with_columns(_fails(key, "not_a_date", ~within), pl.when(within).then(key).alias(key))
    return frame


def kind_of() -> pl.Expr:
    """Which kind of checkup do 報告区分 and プログラム種別 make? Null for one that is not ours.

    030, or 報告区分 41, is 事業者健診; 010 is 特定健診. Where the programme is 000, 990 or not given, 報告区分 tells:
    10/19, or none either, is 特定健診; 40/49 (特定健診以外) under a 協会けんぽ number (01…) is 生活習慣病予防健診, what
    協会けんぽ itself gives its insured (仮定). 広域連合, 学校, がん検診 … are not our checkups.
    """
    report, programme = pl.col("report").fill_null("10"), pl.col("programme").str.zfill(3).fill_null("000")
    untold = programme.is_in(["000", "990"])
    return (
        pl.when((programme == "030") | (report == "41")).then(pl.lit("事業者健診"))
        .when((programme == "010") | (untold & report.is_in(["10", "19"]))).then(pl.lit("特定健診"))
        .when(untold & report.is_in(["40", "49"]) & pl.col("insurer").str.starts_with("01").fill_null(True))
        .then(pl.lit("生活習慣病予防健診"))
    )  # fmt: skip


def _header(frame: pl.DataFrame) -> pl.DataFrame:
    deleted = pl.col("report").is_in(_DELETIONS).fill_null(False)
    return frame.with_columns(
        checkup_date="day",
        filed=pl.coalesce("made", "archived").dt.to_string("%Y%m%d").cast(pl.Int32),
        received_month=columns.month_of(pl.coalesce("archived", "made")),
        action=pl.when(deleted).then(pl.lit("delete")).otherwise(pl.lit("put")),
    ).select(pl.col(name).cast(dtype) for name, dtype in {**TRACE, **IDENTITY, **OF_CHECKUP}.items())


def _rejected(frame: pl.DataFrame, must: tuple[str, ...], raw: pl.DataFrame) -> pl.DataFrame:
    """One row for a record that is none, one for each null value of the others; a restored number is told once."""
    frame = frame.with_columns(month=columns.month_of("day"))
    parts = [_part(frame.filter(failed=key), key, level="row") for key in must]
    fit = pl.col("failed").is_null()
    kept = frame.filter(fit)
    parts += [_part(kept.filter(_refused(key)), key) for key in KEYS if key not in must and key not in _FILED]
    parts += [_part(rows, key, label=_FILED[key]) for key, rows in _wrongly_filed(kept).items()]
    if "insurer" in raw.columns:
        repaired = kept.filter(columns.restored(raw["insurer"].filter(frame["failed"].is_null())))
        parts.append(rejections(repaired, item="insurer", rule="insurer_repaired"))
    return pl.concat(parts)


def _refused(key: str) -> pl.Expr:
    return pl.col(f"{key}_rule").is_not_null()


def _wrongly_filed(kept: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Impossible days of making: notes where the other day stands in. What the delivery says wrongly is noted once."""
    note, told = pl.lit("note"), pl.col("made").is_not_null() | _refused("made")
    own = kept.filter(_refused("made")).with_columns(level=pl.when(pl.col("archived").is_not_null()).then(note))
    whole = kept.filter(_refused("archived")).with_columns(level=pl.when(told).then(note))
    first = pl.col("level").is_null() | (pl.col("level").is_not_null().cum_sum() == 1)
    return {"made": own, "archived": whole.filter(first)}


def _part(rows: pl.DataFrame, key: str, **given: str) -> pl.DataFrame:
    noted = rows.select("entry", "line", "institution", "month", "^level$", rule=f"{key}_rule")
    return rejections(noted, item=_ITEMS.get(key, key), **given)
