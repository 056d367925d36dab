"""kpi_monthly is judged by the KPI registry: impossible totals, unknown ids and versions, yearly sums that fall."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from kenpo_analytics import kpi
from kenpo_analytics.checks import check_table, describe
from kenpo_analytics.definitions.kpi import kpi as registered
from kenpo_analytics.definitions.kpi import why_impossible
from kenpo_analytics.errors import TableError
from tests.test_kpi_status import NEW, OLD, rows, table

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "kpi_monthly.parquet"
ENGINES = {
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "pandas": lambda frame: frame.to_pandas(),
    "duckdb": lambda frame: duckdb.from_arrow(frame.to_arrow()),
}
SOUND = rows("checkup_rate_insured", {202503: (600, 1000), 202504: (10, 1000), 202505: (40, 1000)})


def found(*parts: list[tuple], frame=lambda held: held) -> list[tuple]:
    report = check_table(frame(table(SOUND, *parts)), "kpi_monthly")
    return report.select("column", "rule", "level", "rows", "of", "first_rows", "detail").rows()


@pytest.mark.parametrize(
    ("kpi_id", "values", "expected"),
    [
        ("single_bid_rate", {202510: (99, 36)},
         ("numerator", "kpi_total", "error", 1, 4, [4], "一者応札 2025-10: numerator が denominator を超えます")),
        ("single_bid_rate", {202510: (-1, 36)},
         ("numerator", "kpi_total", "error", 1, 4, [4], "一者応札 2025-10: numerator が範囲の外です(分子は0以上)")),
        ("single_bid_rate", {202510: (1.5, 36)},
         ("numerator", "kpi_total", "error", 1, 4, [4],
          "一者応札 2025-10: numerator・denominator が整数ではありません(人・件の割合)")),
        ("declared_workplaces", {202510: (-3, None)},
         ("numerator", "kpi_total", "error", 1, 4, [4],
          "健康宣言事業所 2025-10: numerator が範囲の外です(分子は0以上)")),
        ("receivable_recovery_rate", {202510: (101.5, 100)},
         ("numerator", "kpi_total", "error", 1, 4, [4],
          "返納金回収率(金額) 2025-10: numerator が denominator を超えます")),
        ("single_bid", {202509: (1, 30), 202510: (2, 36)},
         ("kpi_id", "kpi_unknown", "error", 2, 5, [4, 5], "「single_bid」 2025-09、「single_bid」 2025-10")),
        ("single_bid_rate", {202510: (2, 36, "令和7年度")},
         ("definition_version", "kpi_version", "error", 1, 4, [4], "一者応札 2025-10「令和7年度」(ある版: 令和6年度)")),
        ("checkup_rate_dependent", {202505: (10855, 30000), 202506: (100, 30000), 202507: (11000, 30000)},
         ("numerator", "kpi_falls", "warning", 1, 6, [5], "被扶養者の特定健診 2025-05→2025-06")),
        ("single_bid_rate", {202505: (2, 40), 202507: (2, 36)},
         ("numerator", "kpi_falls", "warning", 1, 5, [5], "一者応札 2025-05→2025-07")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ENGINES)
def test_what_cannot_be_is_told_with_kpi_and_month_alike_on_every_kind(engine, kpi_id, values, expected):
    got = found(rows(kpi_id, values), frame=ENGINES[engine])
    numbered = expected if engine in ("polars", "pandas") else (*expected[:5], None, expected[6])
    assert got == [numbered]


def test_what_can_be_is_not_told():
    assert found() == []
    assert found(rows("single_bid_rate", {202504: (0, 0), 202505: (None, None), 202506: (1, 1)})) == []
    assert found(rows("generic_share", {202504: (90, 100), 202505: (80, 100)})) == []  # a level may fall
    assert found(rows("assessment_rate", {202403: (37, 10000, OLD), 202404: (1, 900)})) == []  # a new fiscal year
    held = table(SOUND, rows("single_bid_rate", {202505: (2, 40)}), rows("single_bid_rate", {202506: (1, 20)}))
    two = held.with_columns(branch=pl.when(pl.col("month") == 202506).then(pl.lit("23")).otherwise("branch"))
    assert check_table(two, "kpi_monthly").is_empty()  # another branch is another series
    assert check_table(pl.read_parquet(SAMPLE), "kpi_monthly").is_empty()


def test_a_line_of_kenpo_check_names_kpi_month_and_row():
    report = check_table(table(SOUND, rows("single_bid_rate", {202510: (99, 36)})), "kpi_monthly")
    assert describe(report.row(0, named=True)) == (
        "誤り kpi_monthly.numerator: あり得ない分子・分母 1行(4行のうち) 行番号 4"
        "(一者応札 2025-10: numerator が denominator を超えます)"
    )
    assert "99" not in describe(report.row(0, named=True))


@pytest.mark.parametrize(("above", "below"), [(99, 36), (-1, 36), (1.5, 36), (1, -2)])
def test_every_function_on_such_totals_names_kpi_and_month(above, below):
    held = table(SOUND, rows("single_bid_rate", {202510: (above, below)}))
    for call in (kpi.status, kpi.landing, kpi.control, kpi.monthly_series):
        with pytest.raises(TableError, match=r"kpi_monthlyの一者応札 2025-10の .*(超え|範囲の外|整数では)"):
            call(held, month=202510, branch="24")
    assert kpi.status(held, month=202509, branch="24").height  # what comes later is not known yet


def test_the_judge_of_totals_is_one_for_months_and_published_values(tmp_path):
    bid = registered("single_bid_rate")
    assert why_impossible(bid, 1, 0) == "denominator が範囲の外です(分母は0より大きい)"
    assert why_impossible(bid, 1, 0, empty=True) is None and why_impossible(bid, 36, 36) is None
    file = tmp_path / "kpi_published.csv"
    head = "kpi_id,version,month,area,value,numerator,denominator,source\n"
    file.write_text(f"{head}single_bid_rate,{NEW},2025-03,24,,99,36,資料\n", encoding="utf-8")
    with pytest.raises(TableError, match=why_impossible(bid, 99, 36)):
        kpi.read_provider(file)
