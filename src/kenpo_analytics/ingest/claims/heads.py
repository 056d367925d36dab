"""Whom, when and where is a claim about? One row a claim, with the rule under which it is refused, if any.

Positions by kind of claim (RE[2] begins 1 医科 or DPC, 3 歯科, 4 調剤): 医療機関 IR or YK[2..4]; 請求年月 IR[7],
歯科 IR[6], 調剤 YK[6]; 検索番号 MN, else RE[18], DPC RE[20], 歯科 RE[19], 調剤 RE[37]; カナ氏名 RE[36], DPC RE[38],
歯科 RE[25], 調剤 RE[41].
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from kenpo_analytics.errors import DateError
from kenpo_analytics.ingest.claims.records import Claims
from kenpo_analytics.ingest.claims.widths import Surplus
from kenpo_analytics.ingest.records import IDENTITY
from kenpo_analytics.ingest.values.columns import distinct, month_of
from kenpo_analytics.ingest.values.text import insurer_number
from kenpo_analytics.months import parse_date, parse_month

_KEY = "^[0-9]{17,30}$"
_KANA = "[ぁ-ゖァ-ヺｦ-ﾝ]"
_FIRST_MONTH, _LAST_MONTH, _OLDEST = 200804, 210012, 130
_TYPE = pl.col("u0")
_KINDS = {"3": "歯科", "4": "調剤"}


def heads(claims: Claims, *, insurer: bool, surplus: Surplus) -> pl.DataFrame:
    """One row a claim: `g`, line, identity, months, kind, institution, points, days, status, claim_key.

    Of a claim that is refused also rule, item and label (the record and field).
    """
    rows = claims.rows.with_columns(part=(_TYPE == "RE").cum_sum().over("g"))
    frame = _claims(rows).with_columns(cut_off=pl.col("g").is_in(claims.cut.to_list()))
    chosen = _common(rows, claims.wide, frame)
    frame = frame.join(chosen, on="g", how="left")
    for kind in ("HO", "KO"):
        frame = frame.join(_payer(rows, chosen, kind), on="g", how="left")
    frame = frame.join(_confirmed(rows), on="g", how="left")
    frame = frame.join(_header(claims.header), on="g", how="left").sort("g")
    frame = frame.with_columns(broken=pl.col("g").is_in(claims.broken.to_list()))
    about = frame.select("g", "dpc", table=pl.col("re2").str.slice(0, 1))
    frame = frame.with_columns(surplus=pl.col("g").is_in(surplus.claims(rows, about).to_list()))
    frame = _read(frame, insurer)
    return frame.with_columns(_verdict(insurer)).unnest("verdict")


def _claims(rows: pl.DataFrame) -> pl.DataFrame:
    """Every claim with the number of its records of each kind."""
    is_re = _TYPE == "RE"
    return rows.group_by("g").agg(
        line=pl.col("line").min(),
        managed=(_TYPE == "MN").any(),
        dpc=(_TYPE == "BU").any(),
        commons=is_re.sum(),
        damaged=(pl.col("bad") & _TYPE.is_in(["RE", "HO", "SN"])).any(),
        key_2=pl.col("u3").filter(_TYPE == "MN").first(),
        key_3=pl.col("u4").filter(_TYPE == "MN").first(),
    )


def _common(rows: pl.DataFrame, wide: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """The claim's RE. Of a DPC claim of several parts, the total (総括区分 0 or 1) comes before its parts."""
    fields = [f"u{at}" for at in (1, 2, 3, 4, 5, 6, 18, 19, 20, 25, 36, 37, 38, 41)]
    common = rows.filter(_TYPE == "RE").join(wide, on="row", how="left").select("g", "part", *fields)
    common = common.join(frame.select("g", "dpc"), on="g")
    later = ~(pl.col("dpc") & pl.col("u18").is_in(["0", "1"])).fill_null(False)
    common = common.sort("g", later, "part").unique("g", keep="first", maintain_order=True).drop("dpc")
    return common.rename({field: f"re{field[1:]}" for field in fields})


def _payer(rows: pl.DataFrame, chosen: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The first HO or KO behind the chosen RE, and how many there are."""
    name = kind.lower()
    found = rows.filter(pl.col("u0") == kind).join(chosen.select("g", "part"), on=["g", "part"], how="semi")
    fields = [pl.col(f"u{at}").first().alias(f"{name}{at}") for at in range(1, 6)]
    return found.group_by("g", maintain_order=True).agg(*fields, pl.len().alias(f"{name}s"))


def _confirmed(rows: pl.DataFrame) -> pl.DataFrame:
    """What the payer office confirmed about the insurance (SN of 負担者種別 1)."""
    found = rows.filter(_TYPE == "SN", pl.col("u1") == "1")
    return found.group_by("g", maintain_order=True).agg(pl.col(f"u{at}").first().alias(f"sn{at}") for at in range(2, 7))


def _header(header: pl.DataFrame) -> pl.DataFrame:
    return header.select("g", *(pl.col(f"u{at}").alias(f"ir{at}") for at in (2, 3, 4, 6, 7, 8)))


# --- reading -------------------------------------------------------------------------------------------


def _read(frame: pl.DataFrame, insurer: bool) -> pl.DataFrame:
    table = pl.col("re2").str.slice(0, 1)
    frame = frame.with_columns(
        _kind(table),
        institution=_institution(),
        treatment_month=_months(frame["re3"]),
        received_month=pl.when(table == "1")
        .then(_months(frame["ir7"]))
        .when(table == "4")
        .then(_months(frame["ir6"]))
        # 歯科: the dental IR has no name before 請求年月
        .otherwise(pl.coalesce(_months(frame["ir6"]), _months(frame["ir7"]))),
        birth=_births(frame["re6"]),
        sex=pl.col("re5").replace_strict({"1": "M", "2": "F"}, default=None, return_dtype=pl.String),
        kana=pl.coalesce(_by_kind(table, {"4": [41], "3": [25, 36], "DPC": [38, 36], "1": [36]}, _KANA), "re4"),
        status=pl.when(pl.col("sn2").is_in(["06", "07"])).then(pl.lit("after_loss")).otherwise(pl.lit("normal")),
        insurer=distinct(frame.select(_given("ho1", "sn3")).to_series(), lambda text: insurer_number(text)[0]),
        symbol=_given("ho2", "sn4"),
        number=_given("ho3", "sn5"),
        branch_number=_if(pl.col("sn6"), "^[0-9]{2}$"),
        points_text=pl.coalesce("ho5", "ko5"),
        days_text=pl.coalesce("ho4", "ko4"),
    )
    return frame.with_columns(
        points=_if(pl.col("points_text"), "^[0-9]{1,9}$").cast(pl.Int64),
        days=_if(pl.col("days_text"), "^([0-9]|[0-2][0-9]|3[01])$").cast(pl.Int64),
        claim_key=_claim_key(insurer),
    )


def _kind(table: pl.Expr) -> pl.Expr:
    """種別 by 別表5: 入院 where the last digit is odd. DPC is always 入院."""
    valid = pl.col("re2").str.contains("^[134][1-4][1-5][0-9]$")
    stay = pl.col("dpc") | pl.col("re2").str.contains("[13579]$")
    medical = pl.when(stay).then(pl.lit("入院")).otherwise(pl.lit("入院外"))
    named = table.replace_strict(_KINDS, default=None, return_dtype=pl.String)
    return pl.when(valid).then(pl.when(table == "1").then(medical).otherwise(named)).alias("kind")


def _institution() -> pl.Expr:
    """都道府県2 + 点数表1 + コード7."""
    text = pl.concat_str("ir2", "ir3", "ir4")
    return pl.when((pl.col("ir2").str.len_chars() == 2) & text.str.contains("^[0-9]{10}$")).then(text)


def _claim_key(insurer: bool) -> pl.Expr:
    """検索番号; in a UKE file without it, where and when it was filed, its number there, and whom it is about.

    A receipt number is unique within one file only, and a clinic may file several a month: without the person, one
    patient's claim would replace another's. The key is in memory only: what is written is its keyed hash.
    """
    own = _by_kind(pl.col("re2").str.slice(0, 1), {"4": [37], "3": [19], "DPC": [20], "1": [18]}, _KEY)
    if insurer:
        return pl.coalesce(_if(pl.col("key_2"), _KEY), _if(pl.col("key_3"), _KEY), own)
    numbered = _if(pl.col("re1"), "^[0-9]{1,6}$").str.strip_chars_start("0")
    file = ["institution", "received_month", "treatment_month", "kind"]
    person = [pl.col(name).cast(pl.String).fill_null("") for name in IDENTITY]
    return pl.coalesce(own, pl.concat_str(*file, numbered, _volume().fill_null(""), *person, separator="|"))


def _volume() -> pl.Expr:
    """マルチボリューム識別情報 stands behind 請求年月, of 調剤 and of 歯科 without a name one field earlier."""
    early = pl.col("re2").str.starts_with("4") | (pl.col("re2").str.starts_with("3") & pl.col("ir8").is_null())
    return pl.when(early).then("ir7").otherwise("ir8")


def _by_kind(table: pl.Expr, fields: dict[str, list[int]], pattern: str) -> pl.Expr:
    """The first field of RE that has this form, among those of the kind of claim."""
    kind = pl.when(pl.col("dpc") & (table == "1")).then(pl.lit("DPC")).otherwise(table)
    cases = (pl.when(kind == name).then(_if(pl.col(f"re{at}"), pattern)) for name, ats in fields.items() for at in ats)
    return pl.coalesce(*cases)


def _given(name: str, confirmed: str) -> pl.Expr:
    """What the clinic wrote, as delivered; what the payer office confirmed where that is blank."""
    return pl.coalesce(_if(pl.col(name), r"\S"), confirmed)


def _if(text: pl.Expr, pattern: str) -> pl.Expr:
    return pl.when(text.str.contains(pattern)).then(text)


def _months(texts: pl.Series) -> pl.Series:
    """YYYYMM, or GYYMM of the old specification: the length tells."""
    return distinct(texts, _month, pl.Int32)


def _month(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) in (5, 6)):
        return None
    try:
        month = parse_month(text)
    except DateError:
        return None
    return month if _FIRST_MONTH <= month <= _LAST_MONTH else None


def _births(texts: pl.Series) -> pl.Series:
    """YYYYMMDD, or GYYMMDD of the old specification: the length tells."""
    return distinct(texts, _birth, pl.Date)


def _birth(text: str) -> dt.date | None:
    if not (text.isascii() and text.isdigit() and len(text) in (7, 8)):
        return None
    try:
        return parse_date(text)
    except DateError:
        return None


# --- verdict -------------------------------------------------------------------------------------------


def _verdict(insurer: bool) -> pl.Expr:
    """The first rule a claim breaks, with the item and its place; all null where it breaks none."""
    c = pl.col
    age = c("treatment_month") // 100 - c("birth").dt.year()
    born = month_of("birth")
    several = (c("commons") > 1) & (~c("dpc") if insurer else pl.lit(True))
    wrong: list[tuple[str, str, str, pl.Expr]] = [
        ("management", "claim_key", "", ~c("managed") if insurer else pl.lit(False)),
        ("truncated", "record", "", c("cut_off")),
        ("encoding", "record", "RE・HO・SN", c("damaged")),
        ("correction", "record", "", c("broken")),
        ("common", "record", "", c("commons") == 0),
        ("fields", "record", "", c("surplus")),
        ("kind_not_used", "kind", "RE[2]", c("re2").str.starts_with("6")),
        ("unknown_code", "kind", "RE[2]", c("kind").is_null()),
        ("repeated_record", "record", "RE", several),
        ("part", "record", "RE[18]", c("dpc") & c("re18").is_in(["2", "3"])),
        ("header", "institution", "", ~(c("ir3") == c("re2").str.slice(0, 1)).fill_null(False)),
        ("not_a_date", "treatment_month", "RE[3]", c("treatment_month").is_null()),
        ("not_a_date", "received_month", "IR[7]", c("received_month").is_null()),
        ("not_a_date", "birth", "RE[6]", c("birth").is_null() | (age > _OLDEST)),
        (
            "order", "treatment_month", "RE[3]",
            (c("treatment_month") > c("received_month")) | (c("treatment_month") < born),
        ),
        ("unknown_code", "sex", "RE[5]", c("sex").is_null()),
        ("insurer", "insurer", "", c("hos").is_null() & c("kos").is_null()),
        ("repeated_record", "record", "HO", c("hos") > 1),
        ("claim_key", "claim_key", "MN" if insurer else "RE", c("claim_key").is_null()),
    ]  # fmt: skip
    cases = (pl.when(case.fill_null(False)).then(_said(rule, item, label)) for rule, item, label, case in wrong)
    return pl.coalesce(*cases).alias("verdict")


def _said(rule: str, item: str, label: str) -> pl.Expr:
    return pl.struct(rule=pl.lit(rule), item=pl.lit(item), label=pl.lit(label))
