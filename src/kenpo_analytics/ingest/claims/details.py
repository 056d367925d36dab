"""Which diseases, drugs and out-of-hours fees does a claim carry? And which of its values had to be left out.

SY[1] 傷病名コード, SY[4] 修飾語 in fours (8002 の疑い, 8008 疑似症: not counted); IY[3] 医薬品コード, 調剤 IY[2];
SI[3] 診療行為コード, SI[6] 回数, SI[13..43] count by day.
"""

from __future__ import annotations

import polars as pl

from kenpo_analytics.ingest.claims.codes import DOMAINS, ClaimCodes
from kenpo_analytics.ingest.claims.records import Claims
from kenpo_analytics.ingest.records import rejections

MEDICAL = ("入院", "入院外")
DISPENSING = "調剤"
_SUSPECTED = "^(?:[0-9]{4})*?(?:8002|8008)"
_TYPE = pl.col("u0")
_DAYS = [f"u{at}" for at in range(13, 44)]


def details(claims: Claims, good: pl.DataFrame, codes: ClaimCodes) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Flags by claim (dx_*, rx_*), fee lines (g, code, day, count) and rejections of level "value".

    A flag is null where the kind of claim carries no such records (歯科 both, 調剤 diseases), and where a record of the
    claim cannot be read and no other one answers the question.
    """
    about = good.select("g", "kind", "institution", month="treatment_month")
    rows = claims.rows.filter(_TYPE.is_in(["SY", "IY", "SI"])).join(about, on="g", maintain_order="left")
    diseases = _diseases(rows, codes)
    drugs = _drugs(rows, codes)
    flags = about.select("g")
    for name, found, kinds in (("dx", diseases, MEDICAL), ("rx", drugs, (*MEDICAL, DISPENSING))):
        judged = about.filter(pl.col("kind").is_in(kinds)).select("g")
        flags = flags.join(_flags(judged, found, name), on="g", how="left")
    lines = rows.filter(_TYPE == "SI", pl.col("kind").is_in(MEDICAL))
    fees, wrong_fees = _fees(lines, claims.wide, codes)
    unread = [
        _wrong(diseases.filter("unread"), "unknown_code", "dx", "SY[1]"),
        _wrong(drugs.filter("unread"), "unknown_code", "rx", "IY[3]"),
        _wrong(claims.idle.join(about, on="g", maintain_order="left"), "correction", "record", "JY"),
    ]
    return flags, fees, pl.concat([_heads(good), *unread, wrong_fees])


def _diseases(rows: pl.DataFrame, codes: ClaimCodes) -> pl.DataFrame:
    """Diseases as records: their domains, and whether they could be read; suspected ones have none."""
    found = rows.filter(_TYPE == "SY", pl.col("kind").is_in(MEDICAL))
    domain = pl.col("u1").replace_strict(codes.diseases, default=None, return_dtype=pl.String)
    suspected = pl.col("u4").str.contains(_SUSPECTED) | pl.col("u5").str.strip_chars_end().str.ends_with("の疑い")
    strange = domain.is_not_null() & ~pl.col("u4").str.contains("^(?:[0-9]{4})*$").fill_null(True)
    unread = ~pl.col("u1").str.contains("^[0-9]{7}$").fill_null(False) | strange
    return found.select(
        *_PLACE,
        unread=unread,
        domains=pl.when(~unread & ~suspected.fill_null(False)).then(domain),
    )


def _drugs(rows: pl.DataFrame, codes: ClaimCodes) -> pl.DataFrame:
    found = rows.filter(_TYPE == "IY", pl.col("kind").is_in([*MEDICAL, DISPENSING]))
    code = pl.when(pl.col("kind") == DISPENSING).then("u2").otherwise("u3")
    return found.select(
        *_PLACE,
        unread=~code.str.contains("^[0-9]{9}$").fill_null(False),
        domains=code.replace_strict(codes.drugs, default=None, return_dtype=pl.String),
    )


_PLACE = ("g", "line", "institution", "month")


def _flags(claims: pl.DataFrame, found: pl.DataFrame, name: str) -> pl.DataFrame:
    """Three states a domain: yes; unknown (a record could not be read); no."""
    by_claim = found.group_by("g").agg(
        pl.col("unread").any(), *(pl.col("domains").str.contains(domain).any().alias(domain) for domain in DOMAINS)
    )
    read = ~pl.col("unread").fill_null(False)
    state = [pl.when(domain).then(True).when(read).then(False).alias(f"{name}_{domain}") for domain in DOMAINS]
    return claims.join(by_claim, on="g", how="left").select("g", *state)


def _wrong(rows: pl.DataFrame, rule: str, item: str, label: str | None = None) -> pl.DataFrame:
    return rejections(rows.select("line", "institution", "month"), rule=rule, item=item, label=label)


def _heads(good: pl.DataFrame) -> pl.DataFrame:
    """Values of the claim itself that could not be read."""
    claims = good.rename({"treatment_month": "month"})
    c = pl.col
    given = pl.coalesce("ho1", "sn3")
    no_insurer = c("hos").is_not_null() & given.is_not_null() & c("insurer").is_null()
    wrong = [
        _wrong(claims.filter(no_insurer), "insurer_number", "insurer"),
        _wrong(claims.filter(c("institution").is_null()), "institution", "institution", "IR[4]"),
        _wrong(claims.filter(c("sn6").is_not_null(), c("branch_number").is_null()), "branch_number", "branch_number"),
    ]
    for name in ("points", "days"):
        unread = claims.filter(c(name).is_null())
        digits = c(f"{name}_text").str.contains("^[0-9]+$")
        wrong += [_wrong(unread.filter(digits), "range", name), _wrong(unread.filter(~digits), "not_a_number", name)]
    return pl.concat(wrong)


# --- fees ----------------------------------------------------------------------------------------------


def _fees(lines: pl.DataFrame, wide: pl.DataFrame, codes: ClaimCodes) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add-ons by day, and the basic fees of the same day; what could not be read."""
    code = pl.col("u3")
    bad = lines.filter(~code.str.contains("^[0-9]{9}$").fill_null(False))
    addon = code.is_in(list(codes.addons))
    lines = lines.with_columns(addon=addon).filter(pl.col("addon") | code.is_in(list(codes.visits)))
    lines = lines.join(lines.filter("addon").select("g"), on="g", how="semi").join(wide, on="row", how="left")
    cells = (
        lines.select(*_PLACE, "u3", "addon", "u6", *_DAYS)
        .unpivot(_DAYS, index=[*_PLACE, "u3", "addon", "u6"], variable_name="day", value_name="text")
        .filter(pl.col("text").is_not_null())
        .with_columns(
            day=pl.col("day").str.slice(1).cast(pl.Int64) - 12,
            count=pl.when(pl.col("text").str.contains("^[0-9]{1,3}$")).then("text").cast(pl.Int64),
            last=pl.date(pl.col("month") // 100, pl.col("month") % 100, 1).dt.month_end().dt.day(),
        )
    )
    beyond = pl.col("day") > pl.col("last")
    fees = cells.filter(~beyond & (pl.col("count") > 0)).group_by("g", "u3", "addon", "day").agg(pl.col("count").sum())
    kept = fees.join(fees.filter("addon").select("g", "day"), on=["g", "day"], how="semi")
    wrong = [
        _wrong(bad, "unknown_code", "code", "SI[3]"),
        _wrong(cells.filter("addon", pl.col("count").is_null()), "not_a_number", "count", "SI[13..43]"),
        _wrong(
            cells.filter("addon", beyond & (pl.col("count") > 0)),
            "range",
            "day",
            "SI[13..43]",
        ),
        _wrong(_without_day(lines), "no_day", "day"),
        _wrong(_unequal(cells), "count", "count", "SI[6]"),
    ]
    return kept.select("g", "day", "count", code="u3").sort("g", "day", "code"), pl.concat(wrong)


def _without_day(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.filter("addon", pl.all_horizontal(pl.col(_DAYS).is_null()))


def _unequal(cells: pl.DataFrame) -> pl.DataFrame:
    """Add-on lines whose 回数 (SI[6]) is not the sum over their days."""
    total = cells.filter("addon").group_by(*_PLACE, "u6").agg(pl.col("count").sum())
    said = pl.col("u6").cast(pl.Int64, strict=False)
    return total.filter(pl.col("u6").is_not_null(), (said != pl.col("count")).fill_null(True))
