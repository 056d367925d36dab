"""The evaluation laboratory explores and says so; its series and its power are what a slow computation gives."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kenpo_analytics.runs.plan import suite
from kenpo_analytics.runs.verify import verify
from tests.notebook_page import NOTEBOOKS, Page

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
START = 202310


@pytest.fixture(scope="module")
def page() -> Page:
    return Page("06_evaluation_lab")


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "").rstrip("%"))


def test_it_can_be_published_and_is_part_of_the_run(page: Page) -> None:
    page.must_be_publishable()
    assert verify(page.path).outputs > 20
    assert page.path in suite(NOTEBOOKS)


def test_it_concludes_nothing(page: Page) -> None:
    summary = page.text("要約")
    assert summary.startswith("要約: 探索: ") and "効果の有無を述べることはできません" in summary
    assert "探索のため、解析計画には従いません(事後選択)" in page.text("解析計画")
    texts = "".join(o["data"].get("text/plain", "") for o in page.outputs)
    assert "なったと推定されます" not in texts
    assert not any("headline" in o["metadata"]["kenpo"] for o in page.outputs)


def test_the_summary_counts_the_designs_of_the_tables(page: Page) -> None:
    rows = page.table("設計と推定の一覧(探索)")
    shown = sum(row["推定"] != "―" for row in rows)
    assert shown >= 10 and {row["可否"] for row in rows} <= {"推定", "推定せず", "識別不能"}
    estimated = int(page.text("要約").split("推定できたのは")[1].split("通り")[0])
    assert estimated >= shown  # differences of shares are counted, too


def test_the_interrupted_series_is_generalised_least_squares_on_the_monthly_table(page: Page) -> None:
    rows = (
        pl.read_parquet(SAMPLE / "kpi_monthly.parquet").filter(kpi_id="out_of_hours_first", state="final").sort("month")
    )
    y = (1000 * rows["numerator"] / rows["denominator"]).to_numpy()
    months = rows["month"].to_list()
    begin, n = months.index(START), len(months)
    t = np.arange(n, dtype=float)
    angle = 2 * np.pi * np.array([month % 100 for month in months]) / 12
    after = (t >= begin).astype(float)
    x = np.column_stack([np.ones(n), t, after, after * (t - begin), np.sin(angle), np.cos(angle)])
    phi = number(page.table("残差の自己相関")[0]["AR(1)の係数"])
    inverse = np.linalg.inv(phi ** np.abs(np.subtract.outer(t, t)))
    beta = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    shown = {row["設計"]: number(row["推定"]) for row in page.table("分割時系列の推定")}
    assert shown["分割時系列: 水準の変化"] == pytest.approx(beta[2], abs=0.012)  # phi is printed to two digits
    assert shown["分割時系列: 傾きの変化(1か月あたり)"] == pytest.approx(beta[3], abs=0.006)


def test_counts_are_called_what_they_are(page: Page) -> None:
    assert "月数" in page.table("分割時系列の推定")[0]
    assert "件数" in page.table("案内を始めた前後で、外国人の回収割合は日本人より余計に動いたか(探索)")[0]
    assert "人数(延べ)" in page.table("設計と推定の一覧(探索)")[0]


def test_its_methods_and_record_speak_of_what_it_shows(page: Page) -> None:
    methods = page.text("このページは探索で、主解析を置かない")
    assert not [word for word in ("改善・悪化の割合", "標準化差", "交互作用", "結論は主解析だけ") if word in methods]
    assert {row["位置づけ"] for row in page.table("設計と推定の一覧(探索)")} == {"探索", "参考"}
    record = {row["項目"]: row["値"] for row in page.table("再現情報")}
    assert {"series_control", "debts_from"} <= set(record) and record["公表値の表(対象外)"] == "2"


def test_four_times_the_people_halve_the_smallest_effect(page: Page) -> None:
    rows = page.table("次の通知を無作為に割り付けたときの検出力")
    least = {number(row["人数(両群)"]): number(row["差"]) for row in rows if "最小" in row["問い"]}
    assert {row["単位"] for row in rows} == {"mg/dL"}
    needed = {number(row["差"]): number(row["人数(両群)"]) for row in rows if "要る人数" in row["問い"]}
    assert least[200] == pytest.approx(2 * least[800], abs=0.11)
    assert least[800] * math.sqrt(800 / needed[2.0]) == pytest.approx(2.0, abs=0.06)


def test_no_stratum_shows_few_people(page: Page) -> None:
    for row in page.table("層ごとの結果"):
        for name in ("送付あり: 改善", "送付なし: 改善"):
            assert row[name] == "秘匿" or number(row[name]) >= 10 or number(row[name]) == 0
        if "秘匿" in (row["送付あり: 改善"], row["送付なし: 改善"]):
            assert row["オッズ比"] in ("秘匿", "―")
