"""How do claims reach an insurer? RECODEINFO rows as the payer office sends them, one text per claim.

Column positions: 記録条件仕様(医科用, 調剤用), each row prefixed with データ識別, 行番号, 枝番号.
"""

from __future__ import annotations

import polars as pl

from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.identity import INSURER, Identities

EOL = "\r\n"
DISEASE = {"bp": "8833421", "glucose": "2500015", "lipid": "8844446"}
"""傷病名マスター 2024-06: 高血圧症, ２型糖尿病, 脂質異常症."""
COLD, SUSPECTED = "4659007", "8002"
DRUG = {"bp": "610432013", "glucose": "610406390", "lipid": "620002477"}
"""医薬品マスター 2024-03: ブロプレス錠８, ベイスン錠０．２, クレストール錠２．５."""
OTHER_DRUG = "620098801"
"""An ordinary pain killer: in no group."""
CORRECTED = 19_997
"""One claim in so many holds a disease that a correction takes out again."""
RETURN_VISIT = "112007410"
POINTS = {
    "111000110": 288, "112007410": 73, "111012470": 50, "112015570": 50,
    "111000570": 85, "111000670": 250, "111000770": 480, "111000870": 230,
    "112001110": 65, "112001210": 190, "112001310": 420, "112001410": 180,
    "111011970": 200, "111012070": 365, "111012170": 695, "111012270": 345,
    "111011570": 200, "111011670": 365, "111011770": 695,
    "112014770": 135, "112014870": 260, "112014970": 590, "112015070": 250,
    "112014170": 135, "112014270": 260, "112014370": 590,
}  # fmt: skip
_LINES = 8
_DAY = [",".join("1" if j == at else "" for j in range(31)) for at in range(31)]


def claim_texts(claims: pl.DataFrame, fees: pl.DataFrame, who: Identities) -> pl.DataFrame:
    """Which rows tell each claim? `text` beside claim_id, person_id, institution, months and `layout`.

    `claims` and `fees` are the canonical tables, `claims` with the person's number `i`.
    """
    middle = claims.select(pl.date(pl.col("treatment_month") // 100, pl.col("treatment_month") % 100, 15)).to_series()
    rows = pl.concat([claims, who.at(claims["i"].to_numpy(), d.day_numbers(middle)).drop("rule")], how="horizontal")
    lines = _visit_lines(rows, fees)
    parts = []
    for kind, record in (("医科", _medical), ("歯科", _dental), ("調剤", _pharmacy)):
        chosen = rows.filter(pl.col("kind").is_in(["入院", "入院外"]) if kind == "医科" else pl.col("kind") == kind)
        parts.append(record(chosen, lines).with_columns(layout=pl.lit(kind)))
    return pl.concat(parts)


def _rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Texts that every layout shares: keys, months, name, birth, whose claim."""
    months = {name: pl.col(f"{name}_month").cast(pl.String) for name in ("treatment", "received")}
    age = pl.col("treatment_month") // 100 - pl.col("birth").dt.year()
    base = pl.when(pl.col("branch") == "00").then(2).when(age < 6).then(4).otherwise(6)
    return rows.with_columns(
        key=pl.col("claim_id").cast(pl.String),
        month=months["treatment"],
        asked=months["received"],
        site=pl.col("institution").str.slice(3),
        born=pl.col("birth").dt.to_string("%Y%m%d"),
        whose=base.fill_null(6) - (pl.col("kind") == "入院"),
        numbered=(pl.col("treatment_month") >= 202109) & pl.col("branch").is_not_null(),
    )


def _card() -> list[pl.Expr]:
    """HO and SN: 枝番 is there from September 2021 on, and never for twins."""
    return [
        pl.format(f"1,4,0,HO,{INSURER},{{}},{{}},{{}},{{}},,,,,,,,,{EOL}", "symbol", "number", "days", "points"),
        pl.when("numbered").then(pl.format(f"1,5,0,SN,1,01,,,,{{}},,{EOL}", "branch")).otherwise(pl.lit("")),
    ]


def _person(first: str, between: int) -> pl.Expr:
    """RE: type, month, name, sex, birth, then empty fields up to the name in kana."""
    line = f"1,3,0,RE,1,{first}{{}},{{}},{{}}　{{}},{{}},{{}}{',' * between}{{}}{{}},{EOL}"
    return pl.format(line, "whose", "month", "family", "given", "sex", "born", "family", "given")


class _Details:
    """The rows of a claim behind its head: each only where it applies, with the 行番号 that it then has."""

    def __init__(self) -> None:
        self.at = 5 + pl.col("numbered").cast(pl.Int32)
        self.parts: list[pl.Expr] = []

    def add(self, row: str, there: pl.Expr | None = None, *values: str | pl.Expr) -> None:
        """One more row; `row` has a {} for its number and one for each value."""
        text = pl.format(f"1,{{}},0,{row}{EOL}", self.at, *values)
        self.parts.append(text if there is None else pl.when(there).then(text).otherwise(pl.lit("")))
        self.at = self.at + (1 if there is None else there.cast(pl.Int32))


def _medical(rows: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    rows = _rows(rows).join(lines, on="claim_id", how="left", maintain_order="left")
    head = [
        pl.format(f"2,1,0,MN,,,{{}},,,{EOL}", "key"),
        pl.format(f"1,2,0,IR,1,24,1,{{}},,{{}},{{}},00,{EOL}", "site", _clinic(), "asked"),
        _person("111", 30),
        *_card(),
    ]
    body = _Details()
    _diseases(body)
    for n in range(_LINES):
        body.add("{}", pl.col(f"si{n}").is_not_null(), f"si{n}")
    for name, code in DRUG.items():
        body.add(f"IY,21,1,{code},1,10,28{',' * 7}28{',' * 30}", pl.col(f"rx_{name}"))
    # A disease that the payer office struck out (JY 3).
    struck = (pl.col("claim_id") % CORRECTED == 0) & ~pl.col("dx_bp") & (pl.col("kind") == "入院外")
    body.add(f"SY,{DISEASE['bp']},20210401,1,,,,{EOL}2,90,0,JY,3,{{}},0,,,,,", struck, body.at)
    return _told(rows, [*head, *body.parts])


def _diseases(body: _Details) -> None:
    """The diseases, a suspicion (疑い) here and there that must not count as one, and a cold where there is none."""
    for name, code in DISEASE.items():
        body.add(f"SY,{code},20210401,1,,,,", pl.col(f"dx_{name}"))
    doubt = (pl.col("claim_id") % 97 == 0) & ~pl.col("dx_glucose") & (pl.col("kind") == "入院外")
    body.add(f"SY,{DISEASE['glucose']},20210401,1,{SUSPECTED},,,", doubt)
    body.add(f"SY,{COLD},20210401,1,,,,", ~pl.any_horizontal("dx_bp", "dx_glucose", "dx_lipid"))


def _clinic() -> pl.Expr:
    """A provider's name; some contain a comma and are quoted, as the payer office writes them."""
    quoted = pl.col("site").str.ends_with("7")
    return pl.when(quoted).then(pl.lit('"架空医院,分院"')).otherwise(pl.lit("架空医院"))


def _dental(rows: pl.DataFrame, _: pl.DataFrame) -> pl.DataFrame:
    head = [
        pl.format(f"2,1,0,MN,,,,{{}},,{EOL}", "key"),
        pl.format(f"1,2,0,IR,1,24,3,{{}},,{{}},00,{EOL}", "site", "asked"),
        _person("311", 19),
        *_card(),
    ]
    body = _Details()
    body.add("HS,20210401,,5220018,,,,,")
    return _told(_rows(rows), [*head, *body.parts])


def _pharmacy(rows: pl.DataFrame, _: pl.DataFrame) -> pl.DataFrame:
    line = f"1,3,0,RE,1,411{{}},{{}},{{}}　{{}},{{}},{{}},,,24,1,{{}},架空医院{',' * 29}{{}}{{}},{EOL}"
    head = [
        pl.format(f"2,1,0,MN,,,{{}},,,{EOL}", "key"),
        pl.format(f"1,2,0,YK,1,24,4,{{}},架空薬局,{{}},00,{EOL}", "site", "asked"),
        pl.format(line, "whose", "month", "family", "given", "sex", "born", "site", "family", "given"),
        *_card(),
    ]
    body = _Details()
    body.add("SH,1,1,,,")
    body.add("CZ,1,{}05,{}05,1,28", None, "month", "month")
    for name, code in DRUG.items():
        body.add(f"IY,1,{code},1,,,,,,", pl.col(f"rx_{name}"))
    body.add(f"IY,1,{OTHER_DRUG},1,,,,,,", ~pl.any_horizontal("rx_bp", "rx_glucose", "rx_lipid"))
    return _told(_rows(rows), [*head, *body.parts])


def _told(rows: pl.DataFrame, parts: list[pl.Expr]) -> pl.DataFrame:
    return rows.select(
        "claim_id", "person_id", "institution", "received_month", "treatment_month", text=pl.concat_str(parts)
    )


def _visit_lines(rows: pl.DataFrame, fees: pl.DataFrame) -> pl.DataFrame:
    """si0-si7 per claim: base fees and add-ons with their days, and an ordinary 再診料 on a day of its own."""
    days = [pl.when((pl.col("day") == j + 1).any()).then(pl.lit("1")).otherwise(pl.lit("")) for j in range(31)]
    lines = fees.group_by("claim_id", "code", maintain_order=True).agg(
        pl.concat_str(days, separator=",").alias("days"), n=pl.len(), busy=(pl.col("day") == 28).any()
    )
    points = pl.col("code").replace_strict(POINTS, return_dtype=pl.String)
    group = pl.when(pl.col("code").str.starts_with("111")).then(11).otherwise(12)
    lines = lines.with_columns(
        row=pl.format("SI,{},1,{},,{},{},,,,,,,{}", group, "code", points, "n", "days"),
        at=pl.int_range(pl.len()).over("claim_id"),
    )
    wide = lines.group_by("claim_id").agg(
        *[pl.col("row").filter(pl.col("at") == n).first().alias(f"si{n}") for n in range(_LINES)],
        busy=pl.col("busy").any(),
    )
    ordinary = rows.filter(pl.col("kind") == "入院外").select("claim_id", "i", "institution")
    ordinary = ordinary.filter(pl.col("claim_id") % 3 == 0).join(wide, on="claim_id", how="full", coalesce=True)
    row = f"SI,12,1,{RETURN_VISIT},,73,1,,,,,,,{_DAY[27]}"
    usual = pl.when(pl.col("i").is_not_null() & ~pl.col("busy").fill_null(False)).then(pl.lit(row))
    last = f"si{_LINES - 1}"
    return ordinary.with_columns(pl.coalesce(last, usual).alias(last)).select(
        "claim_id", *[f"si{n}" for n in range(_LINES)]
    )
