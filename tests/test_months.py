"""Time: every written form met in files, month arithmetic, ages."""

import datetime as dt

import narwhals as nw
import pandas as pd
import pytest

from kenpo_analytics import months
from kenpo_analytics.errors import DateError

DATES = [
    ("2024-10-01", dt.date(2024, 10, 1)),
    ("2024/10/1", dt.date(2024, 10, 1)),
    ("20241001", dt.date(2024, 10, 1)),
    ("令和6年10月1日", dt.date(2024, 10, 1)),
    ("令和６年１０月１日", dt.date(2024, 10, 1)),
    ("令和元年5月1日", dt.date(2019, 5, 1)),
    ("R6.10.1", dt.date(2024, 10, 1)),
    ("r06.04.10", dt.date(2024, 4, 10)),
    ("S48.06.01", dt.date(1973, 6, 1)),
    ("H31/4/30", dt.date(2019, 4, 30)),
    ("5061001", dt.date(2024, 10, 1)),
    (5061001, dt.date(2024, 10, 1)),
    ("4310430", dt.date(2019, 4, 30)),
    ("S64.1.7", dt.date(1989, 1, 7)),
    (dt.datetime(2024, 10, 1, 9), dt.date(2024, 10, 1)),
    (pd.Timestamp("2024-10-01 09:00"), dt.date(2024, 10, 1)),
    ("2024\u221210\u22121", dt.date(2024, 10, 1)),  # minus sign
    ("2024\u201010\u20131", dt.date(2024, 10, 1)),  # hyphen, en dash
    ("2024ー10ー1", dt.date(2024, 10, 1)),  # the long vowel mark, as an input method gives it
    ("2024－10－1", dt.date(2024, 10, 1)),
    ("R6ｰ10ｰ1", dt.date(2024, 10, 1)),
]
MONTHS = [
    ("2024-10", 202410),
    ("202410", 202410),
    (202410, 202410),
    ("2024年10月", 202410),
    ("令和6年10月", 202410),
    ("R6.10", 202410),
    ("50610", 202410),
    ("43104", 201904),
    ("令和元年5月", 201905),
    ("平成元年1月", 198901),
    ("昭和64年1月", 198901),
    ("R6.10.1", 202410),
    (dt.date(2024, 10, 31), 202410),
]
IMPOSSIBLE = [
    "2024-02-30",
    "2023-02-29",
    "令和6年13月1日",
    "平成31年5月1日",
    "昭和64年1月8日",
    "令和0年5月1日",
    "5061032",
    "R6.10",
    "45566",
    "昨日",
    "",
    None,
    2024.5,
    True,
    pd.NaT,
]


@pytest.mark.parametrize(("written", "day"), DATES)
def test_dates_in_every_written_form(written, day):
    assert months.parse_date(written) == day


@pytest.mark.parametrize(("written", "month"), MONTHS)
def test_months_in_every_written_form(written, month):
    assert months.parse_month(written) == month


@pytest.mark.parametrize("written", IMPOSSIBLE)
def test_impossible_dates_are_errors_that_quote_the_value(written):
    with pytest.raises(DateError, match=f"「{written}」"):
        months.parse_date(written)


@pytest.mark.parametrize("written", ["2024-13", "平成31年5月", "令和元年4月", "202400", "5061", "昭和64年2月", pd.NaT])
def test_impossible_months_are_errors(written):
    with pytest.raises(DateError, match=f"「{written}」"):
        months.parse_month(written)


@pytest.mark.parametrize(
    ("written", "year"),
    [
        (2024, 2024),
        ("2024", 2024),
        ("2024年度", 2024),
        ("令和6年度", 2024),
        ("R7年度", 2025),
        ("令和元年度", 2019),
        ("平成31年度", 2019),  # April 2019 was still in it
        ("昭和元年度", 1926),  # its first day lies in December 1926
        ("大正15年度", 1926),
        ("令和82年度", 2100),
    ],
)
def test_fiscal_years(written, year):
    assert months.parse_fiscal_year(written) == year


@pytest.mark.parametrize(
    "written",
    [
        "大正99年度",
        "昭和64年度",
        "平成32年度",
        "H0年度",
        "R00",
        "令和83年度",
        "0000",
        "1867",
        "2101年度",
        9999,
        True,
        pd.NaT,
    ],
)
def test_impossible_fiscal_years_are_errors(written):
    with pytest.raises(DateError, match=f"「{written}」"):
        months.parse_fiscal_year(written)


@pytest.mark.parametrize("call", [months.wareki, months.last_day, months.format_month, months.month_index])
def test_a_month_that_is_none_is_refused_wherever_it_goes(call):
    with pytest.raises(DateError, match="存在しない月です: 「202413」"):
        call(202413)


def test_months_before_the_eras_have_no_japanese_name():
    assert months.wareki(186801) == "明治元年1月"
    with pytest.raises(DateError, match="「186712」"):
        months.wareki(186712)
    with pytest.raises(DateError, match="存在しない月です: 「12」"):
        months.last_day(12)  # the year 0 has no days


def test_excel_serials():
    assert months.from_excel_serial(45566) == dt.date(2024, 10, 1)
    assert months.from_excel_serial(45566.75) == dt.date(2024, 10, 1)
    with pytest.raises(DateError, match="「0」"):
        months.from_excel_serial(0)


def test_month_arithmetic():
    assert months.add_months(202411, 3) == 202502
    assert months.add_months(202501, -1) == 202412
    assert months.months_between(202404, 202502) == 10
    assert months.fiscal_year_of(202403) == 2023
    assert months.fiscal_year_of(202404) == 2024
    assert months.fiscal_months(2024)[0] == 202404
    assert months.fiscal_months(2024)[-1] == 202503
    assert months.last_day(202402) == dt.date(2024, 2, 29)
    for month in months.month_range(198812, 202601):
        assert months.from_month_index(months.month_index(month)) == month
        assert months.parse_month(months.wareki(month)) == month
        assert months.parse_month(months.format_month(month)) == month


def test_wareki_and_fiscal_year_labels():
    assert months.wareki(202410) == "令和6年10月"
    assert months.wareki(201905) == "令和元年5月"
    assert months.fiscal_year_ja(2025) == "令和7年度"
    assert months.fiscal_year_ja(2019) == "令和元年度"
    assert months.fiscal_year_ja(2018) == "平成30年度"


@pytest.mark.parametrize(
    ("birth", "age_fy2024"),
    [
        (dt.date(1980, 4, 1), 45),  # attains 45 on 31 March 2025, inside FY2024
        (dt.date(1980, 4, 2), 44),
        (dt.date(1980, 3, 31), 45),
        (dt.date(1981, 1, 1), 44),
        (dt.date(1980, 12, 31), 44),
    ],
)
def test_the_first_of_april_belongs_to_the_year_before(birth, age_fy2024):
    assert 2024 - months.fy_age_base(birth) == age_fy2024


def test_expressions_agree_with_scalars_on_every_engine(engine):
    days = [
        dt.date(1999, 12, 31),
        dt.date(2000, 2, 29),
        dt.date(2024, 3, 31),
        dt.date(2024, 4, 1),
        dt.date(2026, 1, 1),
    ]
    frame = (
        nw.from_native(engine({"k": [1, 2, 3, 4, 5], "d": days})).lazy()
        if engine.name == "pandas"
        else nw.from_native(engine({"k": [1, 2, 3, 4, 5], "d": days}))
    )
    d = nw.col("d")
    result = frame.select(
        "k",
        month=months.month_of(d),
        index=months.index_of(months.month_of(d)),
        index_d=months.index_of_date(d),
        fy=months.fiscal_year_of_date(d),
        n=months.day_number(d),
    )
    rows = {row[0]: row[1:] for row in engine.rows(result.to_native())}
    for k, day in enumerate(days, start=1):
        month = day.year * 100 + day.month
        index = months.month_index(month)
        assert rows[k] == (
            month,
            index,
            index,
            months.fiscal_year_of(month),
            (day - dt.date(1970, 1, 1)).days,
        )
