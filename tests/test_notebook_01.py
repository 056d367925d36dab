"""The committed data overview says what a plain count of the sample says."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.notebook_page import Page

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


@pytest.fixture(scope="module")
def page() -> Page:
    return Page("01_data_overview")


@pytest.fixture(scope="module")
def checkups() -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "checkups.parquet")


def test_it_can_be_published(page: Page) -> None:
    page.must_be_publishable()


def test_rows_and_people_of_every_table(page: Page) -> None:
    names = {"加入者": "members", "健診": "checkups", "レセプト": "claims", "時間外等の診療行為": "claim_fees"}
    names |= {
        "特定保健指導": "guidance",
        "通知": "mailings",
        "事業所": "workplaces",
        "全国・支部別の集計値": "national",
        "KPIの月別実績": "kpi_monthly",
    }
    rows = {row["表"]: row for row in page.table("取り込まれた表")}
    assert set(rows) == set(names)
    for label, name in names.items():
        if not (SAMPLE / f"{name}.parquet").exists():
            assert rows[label]["行数"] == "―"
            continue
        frame = pl.read_parquet(SAMPLE / f"{name}.parquet")
        assert rows[label]["行数"] == f"{len(frame):,}"
        if "person_id" in frame.columns:
            assert rows[label]["実人数"] == f"{frame['person_id'].n_unique():,}"
    assert (rows["レセプト"]["最初の月"], rows["レセプト"]["最後の受領月"]) == ("2021年4月", "2025年10月")


def test_missing_and_implausible_values(page: Page, checkups: pl.DataFrame) -> None:
    rows = {row["項目"]: row for row in page.table("健診の欠測と想定外の値")}
    for label, name in {
        "空腹時血糖": "fpg",
        "HbA1c(NGSP)": "hba1c",
        "喫煙": "smoking",
        "服薬(血糖)": "medication_glucose",
    }.items():
        missing = checkups[name].null_count()
        assert rows[label]["欠測"] == f"{missing:,}"
        assert rows[label]["欠測割合"] == f"{100 * missing / len(checkups):.1f}%"
    low = int((checkups["fpg"] < 20).sum())
    assert rows["空腹時血糖"]["想定外の値"] == f"{low:,}"
    assert (rows["空腹時血糖"]["最初の月"], rows["収縮期血圧"]["完全性"]) == ("2017年4月", "合格")
    found = {(row["列・様式"], row["内容"]): row["該当する行"] for row in page.table("不合格の点検項目")}
    assert found.get(("空腹時血糖(fpg)", "想定する範囲の外")) == (f"{low:,}" if low else None)


def test_the_clinic_that_reports_another_unit_is_named(page: Page, checkups: pl.DataFrame) -> None:
    """Whether its values stand in the table or were put aside by ingest."""
    months = checkups.select("institution", month=pl.col("checkup_date").dt.strftime("%Y%m").cast(pl.Int32), fpg="fpg")
    odd = [months.filter(pl.col("fpg") < 20).select("institution", "month")]
    if (SAMPLE / "quarantine.parquet").exists():
        aside = pl.read_parquet(SAMPLE / "quarantine.parquet").filter(rule="unit_suspected", item="fpg")
        odd.append(aside.select("institution", pl.col("month").cast(pl.Int32)))
    year = pl.col("month") // 100 - (pl.col("month") % 100 < 4).cast(pl.Int32)
    counts = pl.concat(odd).group_by("institution", year.alias("year")).len().filter(pl.col("len") >= 10)
    assert counts["len"].sum() > 900
    told = {(row["機関"], row["年度"], row["項目"]) for row in page.table("単位の違いが疑われる機関")}
    assert told == {(institution, f"{year}年度", "空腹時血糖") for institution, year, _ in counts.rows()}


def test_the_overview_counts_the_details(page: Page) -> None:
    summary = page.table("点検の状態(点検項目の数)")
    failed = page.table("不合格の点検項目")
    assert len(failed) == sum(int(row["不合格"]) for row in summary) > 0
    for row in summary:
        assert int(row["点検項目"]) == sum(int(row[state]) for state in ("合格", "不合格", "対象外", "未評価"))
        here = [line for line in failed if (line["表"], line["面"]) == (row["表"], row["面"])]
        assert int(row["不合格"]) == len(here)
    assert f"不合格{len(failed)}" in page.text("要約")


def test_the_hospitals_that_measure_no_hba1c_stand_out(page: Page, checkups: pl.DataFrame) -> None:
    shares = checkups.group_by("institution").agg(pl.col("hba1c").is_null().mean().alias("share"), pl.len())
    never = shares.filter(pl.col("share") == 1)
    told = {row["機関"]: row for row in page.table("欠測割合の外れた機関") if row["項目"] == "HbA1c(NGSP)"}
    assert set(told) == set(never["institution"]) and told
    for institution, _, rows in never.rows():
        assert (told[institution]["欠測"], told[institution]["この機関"]) == (f"{rows:,}", "100.0%")


def test_which_years_may_be_used(page: Page, checkups: pl.DataFrame) -> None:
    months = pl.col("checkup_date").dt.year() * 12 + pl.col("checkup_date").dt.month() - 1
    received = pl.col("received_month") // 100 * 12 + pl.col("received_month") % 100 - 1
    old = checkups.filter(months <= 2024 * 12 + 9)  # a year or more before October 2025
    lags = old.select((received - months).alias("lag"))["lag"].sort()
    run_out = next(lag for lag in range(24) if (lags <= lag).mean() >= 0.99)
    last = 2025 * 12 + 9 - run_out
    rows = {row["表"]: row for row in page.table("どの月まで届いているか")}
    assert rows["健診"]["到着の完了までの月数"] == f"{run_out}か月"
    assert rows["健診"]["完了している最後の月"] == f"{last // 12}年{last % 12 + 1}月"
    usable = {
        row["健診の年度"]: row["次回健診の評価(02)"] for row in page.table("健診の年度ごとの件数と、追跡に使えるか")
    }
    for year in range(2017, 2026):
        over = (year + 1) * 12 + 2 + 18 <= last  # March of the year, and 18 months
        assert usable[f"{year}年度"].startswith("使える") == over
    assert "次回健診の評価に使える健診の年度は2022年度までです" in page.text("要約")


def test_counts_by_month(page: Page, checkups: pl.DataFrame) -> None:
    by_month = checkups.group_by(pl.col("checkup_date").dt.strftime("%Y-%m").alias("month")).len()
    counts = dict(by_month.iter_rows())
    rows = [r for r in page.table("健診の月別件数（数値）") if "実施・診療の月" in r.values()]
    assert len(rows) == len(counts)
    for row in rows:
        year, month = row["月"].rstrip("月").split("年")
        assert row["行数"] == f"{counts[f'{year}-{int(month):02d}']:,}"


def number(text: str) -> int | None:
    return None if text in ("秘匿", "―") else int(text.replace(",", ""))


def test_rows_less_judged_rows_give_no_few_missing_back(page: Page) -> None:
    rows_of = {row["表"]: number(row["行数"]) for row in page.table("取り込まれた表")}
    for label in ("健診", "加入者", "レセプト", "通知"):
        for row in page.table(f"{label}の欠測と想定外の値"):
            missing, judged = number(row["欠測"]), number(row["値のある行"])
            if judged is not None:
                assert not 1 <= rows_of[label] - judged < 10, (label, row)
            assert missing is None or (not 1 <= missing < 10 and judged == rows_of[label] - missing)


def test_three_missing_of_a_thousand_rows_are_not_solved_for(page: Page) -> None:
    """The call of the page itself, on a column with three missing values and one with ten."""
    import kenpo_analytics as ka

    cell = next(cell.source for cell in page.code if "columns = ka.check(" in cell.source)
    lines = {"missing": [3, 10, 0], "judged": [997, 990, 1000], "out_of_range": [0, 0, None], "rows": [1000] * 3}
    months = ["first_month", "last_month"]
    found = pl.DataFrame({"table": ["checkups"] * 3, "column": ["a", "b", "c"], **lines})
    found = found.with_columns(missing_share=pl.col("missing") / pl.col("rows"))
    call = cell[cell.index("columns = ka.check(") : cell.index("coverage = ka.check(")]
    found = found.with_columns(pl.lit(202404).alias(name) for name in months)
    space = {"ka": ka, "values": list(lines)[:3], "months": months, "quality": type("Found", (), {"columns": found})}
    exec(call, space)
    table = space["columns"].table
    assert table.select("missing", "judged", "rows").rows() == [(None, None, 1000), (10, 990, 1000), (0, 1000, 1000)]
    assert table["missing_share"].to_list() == [None, 0.01, 0.0]


def test_the_months_carry_the_events_that_concern_them():
    page = Page("01_data_overview")
    listed = {row["できごと"]: row["区分"] for row in page.table("図に示したできごと")}
    assert listed["第4期の特定健診・特定保健指導の開始(令和6年度から)"] == "確認済"
    assert listed["令和4年度診療報酬改定の施行"] == "【仮定】" and len(listed) == 6
