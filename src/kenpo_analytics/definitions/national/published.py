"""What was printed? Published tables as they are, with their source column."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl

CREDIT = "出典: 厚生労働省「第10回NDBオープンデータ」(特定健診、2022年度)を加工して作成"
POPULATION = "全保険者(協会けんぽ以外を含む)の特定健診受診者、40〜74歳、2022年度。治療中の人を含む"
AGE_BANDS = ("40-44", "45-49", "50-54", "55-59", "60-64", "65-69", "70-74")
UNKNOWN = "都道府県判別不可"
NATION = "全国"

_FOLDER = Path(__file__).parent
_PRINTED_NATION = "全国(47都道府県+判別不可の和)"


@cache
def ndb_checkup_bins() -> pl.DataFrame:
    """How many examined people fall in each bin, by prefecture, sex and age?

    One row per metric (BMI kg/m2, HbA1c %NGSP, SBP mmHg, LDL mg/dL), prefecture, sex, bin [low, high) and age band:
    metric, unit, area (JIS "01".."47", 不明), prefecture, sex, low, high (null = open), age_band, people, masked,
    row_total, source. `people` is null where the publisher masked the cell; `row_total` is the printed total over
    ages 40-74, which includes masked cells. 都道府県判別不可 is area 不明.

    The printed row of the nation is left out: it counts masked cells as 0. Rebuild the nation as the sum of the 47
    prefectures and 判別不可 (`ndb_exceedance` does). Source: NDB Open Data no. 10, FY2022 checkups.
    """
    wide = pl.read_csv(_FOLDER / "ndb10_fy2022_checkup_bins_pref_sex_age.csv", infer_schema_length=None)
    wide = wide.filter(pl.col("prefecture") != _PRINTED_NATION).rename(
        {f"n_{band}": band for band in AGE_BANDS} | {"bin_lo_incl": "low", "bin_hi_excl": "high"}
    )
    names = wide["prefecture"].unique(maintain_order=True).to_list()
    codes = {name: "不明" if name == UNKNOWN else f"{place:02d}" for place, name in enumerate(names, start=1)}
    index = ["metric", "unit", "prefecture", "sex", "low", "high", "n_40_74", "source"]
    long = wide.unpivot(AGE_BANDS, index=index, variable_name="age_band", value_name="people")
    return long.select(
        "metric",
        "unit",
        pl.col("prefecture").replace_strict(codes).alias("area"),
        "prefecture",
        "sex",
        pl.col("low", "high").cast(pl.Float64),
        "age_band",
        pl.col("people").cast(pl.Int64),
        pl.col("people").is_null().alias("masked"),
        pl.col("n_40_74").cast(pl.Int64).alias("row_total"),
        "source",
    )


@cache
def jhia_branch_visit() -> pl.DataFrame:
    """What share of notified people saw a doctor within 10 months, by branch (13 branches, FY2022 and FY2023)?

    branch, checkup_fy, denominator (people meeting the notice criteria), numerator (visited within 10 months), rate_pct
    (as printed), source. Source: 協会けんぽ 業績評価シート(令和6年度).
    """
    table = pl.read_csv(_FOLDER / "jhia_branch_10month_visit.csv")
    return table.rename({"n_meeting_notice_criteria": "denominator", "n_visited_within_10m": "numerator"})


@cache
def jhia_series() -> pl.DataFrame:
    """Which national and branch figures has 協会けんぽ published?

    indicator, area, period, value, unit, status, source. `value` is text: two rows give alternatives
    ("50.6 or 53.3") because the chart lost its labels; see `status`.
    """
    return pl.read_csv(_FOLDER / "jhia_published_series.csv", infer_schema=False)


_PRINTED_RISKS = {
    "metabo": "メタボ該当", "waist": "腹囲リスク", "bp": "血圧リスク", "lipid": "脂質リスク", "metabolic": "代謝リスク",
}  # fmt: skip


def jhia_risk_holders() -> pl.DataFrame:
    """What share of insured men carried each risk, as 協会けんぽ printed it? label, period, value (%, as text).

    Which bar belongs to which risk is assumed: see `jhia_series`. Source: 令和6年度事業報告書 p.43.
    """
    men = jhia_series().filter(pl.col("indicator").str.starts_with("JHIA risk holder (men)"))
    risk = pl.col("indicator").str.split(" ").list.last().replace_strict(_PRINTED_RISKS)
    return men.select(risk.alias("label"), "period", "value")


@cache
def plan_receivables() -> pl.DataFrame:
    """How many debts (返納金債権) were assessed, and how many collected by the end of October, by kind of name?

    fiscal_year (first half), group (日本人 / 外国人: a name in katakana only, a proxy), persons (cases assessed),
    events (collected), status, source. Leaflets in seven languages went with the reminders from FY2023 on.
    Source: 三重支部 令和7年度事業計画 表①.
    """
    return pl.read_csv(_FOLDER / "plan_receivables.csv")
