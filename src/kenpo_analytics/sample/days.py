"""When is it, in whole arrays? Days since 1970, month indices (year * 12 + month - 1) and fiscal years."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k

Ints = NDArray[np.int64]
EPOCH = dt.date(1970, 1, 1)


def day(year: int, month: int, day_of_month: int) -> int:
    """Which day number is this date?"""
    return (dt.date(year, month, day_of_month) - EPOCH).days


def month_index(days: Ints) -> Ints:
    """In which month index do these days lie?"""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) + 1970 * 12


def month_start(index: Ints) -> Ints:
    """Which day is the first of these month indices?"""
    return (index - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def yyyymm(index: Ints) -> Ints:
    """How is a month index written as YYYYMM?"""
    return index // 12 * 100 + index % 12 + 1


def fiscal_year(index: Ints) -> Ints:
    """Which fiscal year (April-March) holds these month indices?"""
    return (index - 3) // 12


def anniversary(days: Ints, years: int) -> Ints:
    """On which day does someone born on these days have the birthday number `years`? 29 February moves to 1 March."""
    index = month_index(days)
    offset = days - month_start(index)
    moved = month_start(index + 12 * years)
    length = month_start(index + 12 * years + 1) - moved
    return moved + np.where(offset >= length, length, offset)


def fy_age_base(birth: Ints) -> Ints:
    """Which base gives the age at fiscal-year end? Born on or before 1 April: the year before the birth year."""
    index = month_index(birth)
    early = (index % 12 < 3) | ((index % 12 == 3) & (birth == month_start(index)))
    return index // 12 - early


def to_date(days: Ints) -> pl.Series:
    """How do day numbers look as a Date column?"""
    return pl.Series(values=days.astype(np.int32)).cast(pl.Date)


def day_numbers(dates: pl.Series) -> Ints:
    """Which day numbers has a Date column without gaps?"""
    return dates.cast(pl.Int32).to_numpy().astype(np.int64)


SNAPSHOT_END = int(month_start(np.array([k.SNAPSHOT + 1]))[0])
"""First day after the snapshot month; nobody's loss after it is known."""
FIRST_DAY = day(k.FIRST_FY, 4, 1)
