"""Is the header of a 特定健診 document that of a record? Texts become days, sexes, kinds; the rest is rejected."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from kenpo_analytics.ingest.checkups import cda
from kenpo_analytics.ingest.values import text

Head = tuple[str | None, ...]
"""One document: its entry, the creationTime of its archive, and the fields of `cda.Header`; texts as written."""
_NAMES = ("entry", "index_day", *cda.Header._fields)
_FIRST_DAY = dt.date(2008, 4, 1)  # 高齢者の医療の確保に関する法律: 特定健診 and its file format began
_FIRST_BIRTH = dt.date(1900, 1, 1)
_STAMP = r"^([0-9]{8})(?:[0-9]{2,6}(?:\.[0-9]+)?(?:[+-][0-9]{4})?)?$"  # HL7 TS; \d would take other scripts' digits
_DELETIONS = ["19", "49"]
_REPORTS = ["10", "40", "41", "42", "43", "44", "90", *_DELETIONS]
_EVENT, _PATIENT = "documentationOf/serviceEvent/", "recordTarget/patientRole/"


def read_header(heads: list[Head]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which documents are records, of whom, when, of which kind; and what of their headers is rejected?

    Returns
    -------
    header
        One row a document: TRACE, IDENTITY, the header columns of CHECKUPS, `action`, and `fit` (false: no record).
    rejected
        Level "row": one row for each document that is not fit. Level "value": what is null or repaired in the others.
    """
    raw = pl.DataFrame(heads, schema=dict.fromkeys(_NAMES, pl.String), orient="row")
    insurer = raw["insurer"]
    frame = raw.select(
        pl.all().name.prefix("raw_"),
        entry=raw["entry"],
        line=pl.lit(1, pl.Int64),
        symbol=raw["symbol"],
        number=raw["number"],
        branch_number=raw["branch_number"],
        kana=raw["kana"],
        insurer=_distinct(insurer, lambda written: text.insurer_number(written)[0]),
        repaired=_distinct(insurer, lambda written: "1" if text.insurer_number(written)[1] else None).is_not_null(),
        sex=_distinct(raw["sex"], text.sex),
        institution=_distinct(raw["institution"], _institution),
        birth=_day(raw["birth"]),
        checkup_date=_day(raw["checkup_date"]),
        made=_day(raw["index_day"].fill_null(raw["filed"])),
        action=pl.when(raw["report"].is_in(_DELETIONS)).then(pl.lit("delete")).otherwise(pl.lit("put")),
    )
    frame = _possible(frame).with_columns(kind=_kind())
    return _judged(frame)


def _distinct(texts: pl.Series, read: Callable[[str], str | None]) -> pl.Series:
    known = texts.unique().drop_nulls()
    values = pl.Series([read(one) for one in known], dtype=pl.String)
    return texts.replace_strict(known, values, default=None, return_dtype=pl.String)


def _institution(written: str) -> str | None:
    plain = unicodedata.normalize("NFKC", written)
    return plain if re.fullmatch(r"[0-9]{10}", plain) else None


def _day(written: pl.Series) -> pl.Series:
    return written.str.extract(_STAMP).str.to_date("%Y%m%d", strict=False)


def _possible(frame: pl.DataFrame) -> pl.DataFrame:
    """Days that can be: born since 1900 and before the exam, examined since 特定健診 began, filed after the exam."""
    today = pl.lit(dt.date.today())
    exam = pl.col("checkup_date").is_between(_FIRST_DAY, today)
    frame = frame.with_columns(checkup_date=pl.when(exam).then("checkup_date"))
    born = pl.col("birth").is_between(_FIRST_BIRTH, pl.coalesce("checkup_date", today))
    made = pl.col("made").is_between(pl.coalesce("checkup_date", pl.lit(_FIRST_DAY)), today)
    filed = pl.when(made).then(pl.col("made").dt.to_string("%Y%m%d").cast(pl.Int32))
    return frame.with_columns(birth=pl.when(born).then("birth"), filed=filed, received_month=filed // 100)


def _kind() -> pl.Expr:
    """The kind of checkup, null for one that is not ours; see `read_checkup_xml`."""
    report, programme = pl.col("raw_report"), pl.col("raw_programme")
    open_programme = programme.fill_null("000").is_in(["000", "990"])
    return (
        pl.when((programme == "030") | (report == "41")).then(pl.lit("事業者健診"))
        .when((programme == "010") | (report.is_in(["10", "19"]) & open_programme)).then(pl.lit("特定健診"))
        .when(report.is_in(["40", "49"]) & open_programme & pl.col("insurer").str.starts_with("01"))
        .then(pl.lit("生活習慣病予防健診"))
    )  # fmt: skip


class _Check(NamedTuple):
    fails: pl.Expr
    item: str
    rule: str
    reason: str


def _absent(name: str, item: str, label: str, rule: str) -> tuple[_Check, _Check]:
    """The text is not there; it is there and cannot be."""
    none, written = pl.col(name).is_null(), pl.col(f"raw_{name}").is_not_null()
    return (
        _Check(none & ~written, item, "missing", f"{label}がありません。"),
        _Check(none & written, item, rule, f"{label}として読めないか、ありえない値です。"),
    )


_ROW = (
    *_absent("checkup_date", _EVENT + "effectiveTime", "健診実施日", "not_a_date"),
    *_absent("birth", _PATIENT + "patient/birthTime", "生年月日", "not_a_date"),
    *_absent("sex", _PATIENT + "patient/administrativeGenderCode", "性別", "unknown_code"),
    _Check(
        ~pl.col("raw_report").is_in(_REPORTS), "code", "unknown_code",
        "報告区分がコード表になく、登録か取消かが分かりません。",
    ),
    _Check(pl.col("kind").is_null(), _EVENT + "code", "kind", "報告区分とプログラム種別から健診の種類が決まりません。"),
)  # fmt: skip
_VALUE = (
    *_absent("insurer", _PATIENT + "id[101]", "保険者番号", "insurer_number"),
    _Check(
        pl.col("repaired") & (pl.col("repaired").cum_sum() == 1), _PATIENT + "id[101]", "insurer_repaired",
        "保険者番号の失われた先頭の0を、検証番号で確かめて補いました(最初の文書)。",
    ),
    _Check(
        pl.col("institution").is_null() & pl.col("raw_institution").is_not_null(), _EVENT + "performer", "institution",
        "健診機関番号が10桁の数字ではありません。",
    ),
    _Check(
        pl.col("filed").is_null() & pl.coalesce("raw_index_day", "raw_filed").is_not_null(), "effectiveTime",
        "not_a_date", "ファイルの作成日が読めないか、健診日より前か、未来の日付です。",
    ),
)  # fmt: skip


def _judged(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    first = pl.coalesce(pl.when(check.fails).then(pl.lit(at, pl.Int32)) for at, check in enumerate(_ROW))
    frame = frame.with_columns(failed=first).with_columns(fit=pl.col("failed").is_null())
    parts = [_rejected(frame.filter(failed=at), check, "row") for at, check in enumerate(_ROW)]
    kept = frame.filter("fit")
    parts += [_rejected(kept.filter(check.fails), check, "value") for check in _VALUE]
    return frame, pl.concat(parts)


def _rejected(frame: pl.DataFrame, check: _Check, level: str) -> pl.DataFrame:
    day = pl.col("checkup_date")
    return frame.select(
        "entry",
        "line",
        level=pl.lit(level),
        item=pl.lit(check.item),
        rule=pl.lit(check.rule),
        reason=pl.lit(check.reason),
        institution="institution",
        month=day.dt.year() * 100 + day.dt.month(),
    )
