"""The place among the 47 in the KPI table: never without its interval, never under another version, else why not."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from kenpo_analytics import disclosure, kpi, report
from kenpo_analytics.kpi.places import NONE
from kenpo_analytics.report._emit import CONTEXT
from tests.test_kpi_branches import put, whole
from tests.test_kpi_status import NEW, OLD, rows, table

ID = "checkup_rate_insured"


def placed(folder, text: str, *, month: int = 202510) -> pl.DataFrame:
    put(folder, text)
    published = kpi.published(folder)
    held = table(rows(ID, {month: (300, 1000)}), rows("untreated_visit_rate", {month: (300, 1000)}))
    status = kpi.status(held, month=month, branch="24", nation=published)
    return kpi.with_ranks(status, published, month=month, branch="24")


def one(found: pl.DataFrame, id: str = ID) -> dict:
    return found.filter(pl.col("kpi_id") == id).row(0, named=True)


def test_the_place_is_that_of_ranked_with_interval_and_its_own_month(tmp_path):
    found = placed(tmp_path, whole())  # branch 24 is the 24th from below and from above
    row, ranked = one(found), kpi.ranked(kpi.published(tmp_path), month=202510, branch="24").row(0, named=True)
    assert row["rank"] == 24 and (row["rank_lower"], row["rank_upper"]) == (ranked["rank_lower"], ranked["rank_upper"])
    assert row["rank_lower"] <= 24 <= row["rank_upper"] and row["rank_month"] == 202503 and row["rank_reason"] is None
    assert found.height == kpi.status(table(rows(ID, {202510: (3, 10)})), month=202510, branch="24").height


def test_where_there_is_no_rank_the_cell_says_why(tmp_path):
    found = placed(tmp_path, whole(46) + whole(id="untreated_visit_rate", month="2024-03", version=OLD))
    assert one(found)["rank"] is None and one(found)["rank_reason"] == "47支部のうち46支部の値しかない"
    old = one(found, "untreated_visit_rate")
    assert (old["rank"], old["rank_month"]) == (None, None)
    assert old["rank_reason"] == f"47支部の値は定義の版が違う({OLD})" and old["definition_version"] == NEW
    assert one(found, "sns_posts")["rank_reason"] == NONE
    assert found.filter(pl.col("rank").is_null() == pl.col("rank_reason").is_null()).height == 0


def test_the_page_and_the_sheet_write_place_interval_or_reason(tmp_path):
    held = table(rows(ID, {202510: (300, 1000)}))
    put(tmp_path, whole(47) + whole(46, id="single_bid_rate"))
    published = kpi.published(tmp_path)
    asked = {"month": 202510, "branch": "24"}
    status = kpi.with_ranks(kpi.status(held, nation=published, **asked), published, **asked)
    checked = disclosure.check_kpi(status)
    columns = {"short": "指標", "rank": report.Col("順位", "count", unit="位", why="rank_reason")}
    html = report.table_html(checked, title="x", columns=columns)
    assert ">24位</td>" in html and ">47支部のうち46支部の値しかない</td>" in html and f">{NONE}</td>" in html
    CONTEXT.synthetic = False
    page = report.meeting_page(
        checked,
        landing=disclosure.check_kpi(kpi.landing(held, **asked).rows),
        series=disclosure.check_kpi(kpi.monthly_series(held, **asked), by=("kpi_id", "month", "definition_version")),
        title="x",
        name="x.html",
        **asked,
    ).content.decode()
    row = one(status)
    assert f"24位({row['rank_lower']}～{row['rank_upper']}位、2025年3月)" in page
    assert page.count("位(") == 1


def test_pandas_in_pandas_out(tmp_path):
    put(tmp_path, whole())
    published = kpi.published(tmp_path)
    status = kpi.status(table(rows(ID, {202510: (300, 1000)})), month=202510, branch="24", nation=published)
    found = kpi.with_ranks(status.to_pandas(), published, month=202510, branch="24")
    assert isinstance(found, pd.DataFrame)
    assert found.set_index("kpi_id").loc[ID, "rank"] == pytest.approx(24)


BEFORE = pytest.approx(0.577)
"""FY2023, printed: the last one before that document."""


def dated_nation(folder) -> pl.DataFrame:
    """The nation's value of March, in a document of 29 August."""
    head = "kpi_id,version,month,area,value,numerator,denominator,source,as_of\n"
    row = f"{ID},{NEW},2025-03,全国,61.0,,,本部の資料,2025-08-29\n"
    (folder / "kpi_published.csv").write_text(head + row, encoding="utf-8")
    return kpi.published(folder)


def test_the_nation_s_value_is_used_from_the_month_in_which_it_was_known(tmp_path):
    held = table(rows(ID, {202503: (600, 1000), 202505: (100, 1000), 202509: (300, 1000)}))
    published = dated_nation(tmp_path)
    found = {}
    for month in (202505, 202507, 202508, 202509):
        asked = {"month": month, "branch": "24", "nation": published}
        row, land = one(kpi.status(held, **asked)), one(kpi.landing(held, **asked).rows)
        assert row["national"] == land["national"] and row["national_month"] == land["national_month"]
        found[month] = row["national"]
    assert found[202505] == found[202507] == BEFORE and found[202508] == found[202509] == 0.61
    march = {"month": 202503, "branch": "24", "nation": published}
    assert one(kpi.status(held, **march))["national"] != 0.61
    assert one(kpi.status(held, **march, known_at=202510))["national"] == 0.61  # on a page of October
    assert one(kpi.status(held, **march, known_at="2025-07"))["national"] != 0.61
