"""Report test: notebook 07's values recounted from the monthly totals, and the plan's figures as printed."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import polars as pl
import pytest
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from kenpo_analytics import disclosure, kpi, report
from kenpo_analytics.errors import DisclosureError
from kenpo_analytics.runs.verify import verify
from tests.notebook_page import NOTEBOOKS, Page
from tests.test_kpi_status import NEW, OLD, rows, table
from tests.test_notebook_04 import numbers

SAMPLE = NOTEBOOKS.parent / "data" / "sample"
MONTHLY = pl.read_parquet(SAMPLE / "kpi_monthly.parquet").with_columns(
    share=pl.col("numerator") / pl.col("denominator")
)
INSURED, DEPENDENT = "checkup_rate_insured", "checkup_rate_dependent"
CHECKUPS = {
    "生活習慣病予防健診": ("checkup_rate_insured", 0.695, 0.584),
    "事業者健診データ": ("employer_checkup_data_rate", 0.11, 0.071),
    "被扶養者の特定健診": ("checkup_rate_dependent", 0.345, 0.294),
}


@pytest.fixture(scope="module")
def page() -> Page:
    return Page("07_kpi_benchmark")


def total(kpi_id: str, month: int) -> dict:
    return MONTHLY.filter(pl.col("kpi_id") == kpi_id, pl.col("month") == month).row(0, named=True)


def line(shown: list[dict], name: str) -> dict:
    (found,) = [row for row in shown if row["指標"] == name]
    return found


def test_the_page_is_publishable_and_every_output_is_stamped(page):
    page.must_be_publishable()
    found = verify(page.path)
    named = ("生活習慣病予防健診", "再審査1件当たり査定額", "ジェネリック(数量)")
    projected = {f"{name}の年度末の見込み" for name in named}
    assert not found.public and set(found.headline) == projected
    assert found.headline["再審査1件当たり査定額の年度末の見込み"]["unit"] == "円"
    assert found.headline["生活習慣病予防健診の年度末の見込み"]["level"] == 0.8


def test_all_nineteen_kpis_stand_with_value_interval_target_and_nation(page):
    shown = page.table("KPIの一覧(2025年10月)")
    assert len(shown) == 19 + 3  # two of out-of-hours visits, and the standardised declarations
    for name, (kpi_id, target, nation) in CHECKUPS.items():
        row, counted = line(shown, name), total(kpi_id, 202510)
        low, high = proportion_confint(counted["numerator"], counted["denominator"], method="wilson")
        assert numbers(row["実績"])[0] == pytest.approx(100 * counted["share"], abs=0.0501)
        assert numbers(row["95%信頼区間"]) == pytest.approx([100 * low, 100 * high], abs=0.0501)
        assert numbers(row["目標"])[0] == pytest.approx(100 * target) and "速報" in row["時点"]
        assert row["差"] == "―" and "前年同月" not in row  # part of a year, and not all of it has come
        assert numbers(row["全国"])[0] == pytest.approx(100 * nation) and row["状態"] == "進捗中"
    assert line(shown, "健康宣言事業所")["目標"] == "1,750事業所"
    assert line(shown, "平均所要日数")["全国"] == "全国値なし"
    counts = line(page.table("KPIの分子・分母と定義の版"), "生活習慣病予防健診")
    assert (counts["分子(人)"], counts["分母(人)"], counts["定義の版"]) == ("6,009", "16,986", NEW)


def test_status_and_reason_add_up_to_the_plan(page):
    groups = page.table("グループ別の状態(計画のKPI)")
    assert {row["グループ"]: int(row["指標"]) for row in groups} == {"業務": 3, "レセプト": 3, "保健": 6, "企画総務": 7}
    for row in groups:
        assert int(row["指標"]) == sum(int(row[name]) for name in kpi.STATUSES)
    reasons = page.table("状態の理由と全国との差")
    assert {row["状態"] for row in reasons if row["理由"] == "前年度末の値がない"} == {"判定不能"}
    assert line(reasons, "バイオシミラー事業")["状態"] == "達成"
    assert "判定不能の計画のKPIは2指標です" in page.text("判定不能の計画のKPIは")


def test_the_landing_is_the_factor_of_the_four_complete_years(page):
    shown = page.table("年度末の見込み")
    logs = [
        math.log(total(INSURED, (y + 1) * 100 + 3)["share"] / total(INSURED, y * 100 + 5)["share"])
        for y in range(2021, 2025)
    ]
    middle = math.log(total(INSURED, 202505)["share"]) + np.mean(logs)
    half = t.ppf(0.9, 3) * np.std(logs, ddof=1) * math.sqrt(1.25)
    row = line(shown, "生活習慣病予防健診")
    assert row["見込んだ月(確定)"] == "2025年5月" and row["方法"] == "伸び率"
    assert numbers(row["年度末の見込み"])[0] == pytest.approx(100 * math.exp(middle), abs=0.0501)
    limits = [100 * math.exp(middle - half), 100 * math.exp(middle + half)]
    assert numbers(row["80%予測区間または幅"]) == pytest.approx(limits, abs=0.0501)
    ranged = line(shown, "被扶養者の特定健診")
    factors = [
        total(DEPENDENT, (y + 1) * 100 + 3)["share"] / total(DEPENDENT, y * 100 + 5)["share"] for y in range(2021, 2025)
    ]
    ends = [100 * total(DEPENDENT, 202505)["share"] * factor for factor in (min(factors), max(factors))]
    assert (ranged["方法"], ranged["年度末の見込み"]) == ("幅だけ", "―") and "前年度末の値" in ranged["説明"]
    assert numbers(ranged["80%予測区間または幅"]) == pytest.approx(ends, abs=0.0501)
    assert "12か月そろった過去の年度が2年度だけ" in line(shown, "未治療者の10か月以内受診")["説明"]
    plan = {row["指標"] for row in page.table("KPIの一覧(2025年10月)") if row["状態"] != "参考"}
    assert len(plan) == 19 and plan <= {row["指標"] for row in shown}
    for row in shown:
        assert (row["方法"] != "見込みなし") or len(row["説明"]) > 5
    none = line(shown, "事業者健診データ")  # no month of this year is final yet
    assert (none["見込んだ月(確定)"], none["方法"], none["説明"]) == (
        "なし",
        "見込みなし",
        "この年度の確定した実績がない",
    )


def test_how_many_are_needed_is_counted_from_the_final_month(page):
    shown = page.table("あと何人・あと何事業所(目標と全国平均まで)")
    row, now, latest = line(shown, "生活習慣病予防健診"), total(INSURED, 202505), total(INSURED, 202510)
    needed, most = (math.ceil(0.695 * at["denominator"] - at["numerator"]) for at in (now, latest))
    assert numbers(row["目標まで"])[0] == needed
    assert numbers(row["全国平均まで"])[0] == math.ceil(0.584 * now["denominator"] - now["numerator"])
    assert numbers(row["目標まで(多くとも)"])[0] == most and numbers(row["その1か月当たり"])[0] == math.ceil(most / 5)


def test_whom_no_month_is_final_of_is_counted_from_the_latest(page):
    shown = page.table("あと何人・あと何事業所(目標と全国平均まで)")
    row, latest = line(shown, "事業者健診データ"), total("employer_checkup_data_rate", 202510)
    assert row["目標まで"] == "―" and row["数えた月(確定)"] == "―"
    assert numbers(row["目標まで(多くとも)"])[0] == math.ceil(0.11 * latest["denominator"] - latest["numerator"])
    assert {"健康宣言事業所", "健康保険委員(被保険者)"} <= {row["指標"] for row in shown}
    said = page.text("目標まであと何人")
    assert "保健指導(被保険者)" in said and "目標の値がない: 健康保険委員(事業所)" in said


def test_only_kpis_of_the_plan_are_unknown_and_done_is_a_word(page):
    shown = page.table("KPIの一覧(2025年10月)")
    unknown = sum(row["状態"] == "判定不能" for row in shown)
    assert f"判定不能の計画のKPIは{unknown}指標です" in page.text("判定不能の計画のKPIは")
    assert f"判定不能{unknown}です" in page.text("要約")
    done = line(shown, "バイオシミラー事業")
    assert (done["実績"], done["目標"], done["差"]) == ("実施", "実施", "―")
    for row in page.table("見込みの確かめ(月ごと)"):
        assert not row["平均の誤差"].startswith("+")


def test_no_month_is_masked_in_one_table_and_shown_in_another(page):
    runs = {
        (row["指標"], row["月"]): row["実績"] for row in page.table("KPIの月別の推移（数値）")
    }  # the last 13 months, 2024年10月 on
    march = page.table("前の年度の年度末(2025年3月、確定)の到達状況")
    assert len(march) > 10
    for row in march:
        assert runs[row["指標"], "2025年3月"] == row["実績"]
    for row in page.table("年度末の見込み"):
        if row["見込んだ月(確定)"] != "なし":
            assert runs[row["指標"], row["見込んだ月(確定)"]] == row["実績"]


def test_the_last_year_end_stands_beside_the_nation_of_the_same_month(page):
    row = line(page.table("前の年度の年度末(2025年3月、確定)の到達状況"), "生活習慣病予防健診")
    march = total(INSURED, 202503)
    size = math.sqrt(0.584 * (1 - 0.584) / march["denominator"])
    assert row["全国の時点"] == "2025年3月"
    assert numbers(row["全国との差÷標準誤差"])[0] == pytest.approx((march["share"] - 0.584) / size, abs=0.0501)


def test_the_plans_figures_are_public_apart_and_never_called_synthetic(page):
    public = [o for o in page.outputs if (o["metadata"]["kenpo"].get("log") or {}).get("rule") == "public"]
    assert [o["data"]["text/plain"] for o in public] == [
        "<図: 三重支部の計画のKPI(公表値)>",
        "<表: 三重支部の計画のKPIの値(公表値)>",
    ]
    html = public[1]["data"]["text/html"]
    assert "三重支部 令和7年度事業計画" in html and "合成データ" not in html
    shown = page.table("三重支部の計画のKPIの値(公表値)")
    recovered = [(r["時点"], r["三重"], r["目標"], r["定義の版"]) for r in shown if r["指標"] == "返納金回収率(金額)"]
    assert recovered == [
        ("2023年3月", "69.20%", "67.99%", OLD),
        ("2023年3月", "公表値なし", "なし", NEW),
        ("2024年3月", "74.43%", "69.20%", OLD),
        ("2024年3月", "78.19%", "なし", NEW),
        ("2024年10月", "53.89%", "なし", NEW),
        ("2025年3月", "公表値なし", "なし", NEW),
    ]
    text = json.dumps([o["data"].get("text/plain", "") for o in page.outputs], ensure_ascii=False)
    assert "年度をまたいでつなぎません" in text and "前後の値は比べられません" in text


def test_the_workplaces_are_counted_and_said_to_be_so(page):
    places = pl.read_parquet(SAMPLE / "workplaces.parquet")
    rows = {row["指標"]: row for row in page.table("支部の事業所一覧から数えた値と、届いた値")}
    assert rows["健康宣言事業所"]["数えた値"] == f"{places['declared_from'].count()}事業所"
    member = places.filter("committee_member")["insured_count"].sum() / places["insured_count"].sum()
    assert numbers(rows["健康保険委員(被保険者)"]["数えた値"])[0] == pytest.approx(100 * member, abs=0.00501)
    assert {row["届いた値"] for row in rows.values()} == {"届いていない"}
    assert "仮定" in rows["健康宣言事業所"]["数え方とデータから分からないこと"]
    shown = line(page.table("KPIの一覧(2025年10月)"), "健康宣言事業所")
    assert shown["状態"] == "進捗中" and "速報" in shown["時点"]


def test_no_rank_stands_without_its_interval_and_every_gap_says_why(page):
    shown = page.table("47支部の中の順位")
    assert len(shown) == 19 + 3
    for row in shown:
        if row["順位"].endswith("位"):
            low, high = numbers(row["順位の95%区間"])
            assert low <= numbers(row["順位"])[0] <= high and row["順位の時点"] == "2025年3月"
        else:
            hidden = row["順位"] == row["順位の95%区間"] == "秘匿"  # too few people in the newest month
            assert hidden or (row["順位"] not in ("", "―") and row["順位の95%区間"] == "―")
    assert line(shown, "SNSの発信")["順位"] == "47支部の値なし"
    assert "計算できない" in line(shown, "ジェネリック(数量)")["順位"]


def test_the_charts_limits_are_those_of_the_final_months(page):
    values = (
        MONTHLY.filter(pl.col("kpi_id") == "out_of_hours_first", pl.col("state") == "final")
        .sort("month")
        .select(1000 * pl.col("share"))
        .to_series()
        .to_numpy()
    )
    half = 3 * np.abs(np.diff(values)).mean() / 1.128379
    row = line(page.table("管理限界"), "時間外受診(初診)")
    assert numbers(row["中心線"])[0] == pytest.approx(values.mean(), abs=0.00501) and int(row["月数"]) == len(values)
    assert numbers(row["管理限界"]) == pytest.approx([values.mean() - half, values.mean() + half], abs=0.00501)


def test_events_and_attachments_are_named(page):
    listed = {row["できごと"]: row["区分"] for row in page.table("図に示したできごと")}
    assert listed["長期収載品の選定療養の開始"] == "確認済" and listed["令和4年度診療報酬改定の施行"] == "【仮定】"
    assert sum("定義の変更" in name for name in listed) == 3
    assert page.text("添付: ") == (
        "添付: KPI会議資料(2025年10月)(07_kpi_meeting.html)、KPIの表(2025年10月)(07_kpi_tables.xlsx)"
    )


def test_few_people_are_masked_with_their_share_and_what_is_needed():
    held = table(
        rows("checkup_rate_dependent", {202504: (7, 400), 202404: (12, 400)}), rows("single_bid_rate", {202504: (1, 8)})
    )
    checked = disclosure.check_kpi(kpi.status(held, month=202504, branch="24"))
    few = checked.where(kpi_id="checkup_rate_dependent").table.row(0, named=True)
    assert few["people_numerator"] is None and few["estimate"] is None and few["gap"] is None and few["change"] is None
    assert few["people_last_numerator"] == 12 and few["last_year"] == pytest.approx(0.03) and few["target"] == 0.345
    assert checked.where(kpi_id="single_bid_rate").table["estimate"].item() == pytest.approx(
        0.125
    )  # tenders, no people
    lands = disclosure.check_kpi(kpi.landing(held, month=202504, branch="24").rows)
    assert lands.where(kpi_id="checkup_rate_dependent").table["needed"].item() is None
    runs = kpi.monthly_series(held, month=202504, branch="24")
    assert disclosure.check_kpi(runs, by=("kpi_id", "month", "definition_version")).log["masked"] == 1
    with pytest.raises(DisclosureError):
        report.show(kpi.status(held, month=202504, branch="24"), title="x")


def test_values_are_written_in_the_unit_of_their_row():
    held = table(
        rows("assessment_rate", {202510: (129, 100_000)}),
        rows("reexam_amount_per_claim", {202510: (9_908_000, 1_000)}),
        rows("service_standard_days", {202510: (6_120, 1_000)}),
    )
    checked = disclosure.check_kpi(kpi.status(held, month=202510, branch="24").drop_nulls("estimate"))
    columns = {"short": "指標", "estimate": report.Col("実績", "unit"), "gap": report.Col("差", "change")}
    cells = re.findall(
        r"<td[^>]*>([^<]*)</td>", report.table_html(checked, title="単位", columns=columns).split("<tfoot")[0]
    )
    assert cells == ["6.12日", "―", "0.129%", "―", "9,908円", "―"]


def test_a_figure_has_an_alternative_and_a_table_of_its_numbers(page):
    (image,) = [o for o in page.outputs if o["data"].get("text/plain") == "<図: KPIの月別の推移>"]
    alt = image["metadata"]["image/png"]["alt"]
    assert "生活習慣病予防健診は2025年10月で35.4%" in alt and disclosure.is_stamped(image)
    folded = [o for o in page.outputs if o["data"].get("text/plain") == "<表: KPIの月別の推移（数値）>"]
    assert len(folded) == 1 and "2024年10月" in folded[0]["data"]["text/html"]
