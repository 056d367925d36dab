"""How late do claims arrive? The lag triangle (診療月 × 受領までの月数), the run-out, and the last complete month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import DateError, EstimateError, TableError
from kenpo_analytics.months import (
    add_months,
    fiscal_months,
    fiscal_year_of,
    format_month,
    from_month_index,
    index_of,
    parse_month,
)
from kenpo_analytics.tables import CLAIMS

OLD = 12
"""A treatment month counts as complete for the estimate when it has been watched for this many months (or more)."""
MIN_MONTHS, MIN_CLAIMS = 6, 500
"""Fewer old months or claims than this say nothing about the last hundredth."""


@dataclass(frozen=True)
class Maturity:
    """Up to which treatment month are claims complete, and from what was this estimated?

    `run_out` is in months; `complete_through` = `through` - `run_out`. `observed` is the share that had arrived within
    the run-out among `claims` claims of `months` treatment months (`first` to `last`), all at least 12 months old.
    """

    run_out: int
    complete_through: int
    through: int
    share: float
    observed: float
    months: int
    claims: int
    first: int
    last: int

    def complete_year(self, fiscal_year: int) -> tuple[int, int]:
        """Which months make up this fiscal year, whose claims must all be complete? First and last month, YYYYMM.

        Raises
        ------
        DateError
            The fiscal year ends after `complete_through`.
        """
        months = fiscal_months(fiscal_year)
        if months[-1] > self.complete_through:
            raise DateError(
                f"{fiscal_year}年度のレセプトはまだ到着が完了していません"
                f"({format_month(self.complete_through)}診療分まで完了)",
                hint=f"完了している最新の年度は{self.latest_year()}年度です。",
            )
        return months[0], months[-1]

    def latest_year(self, after: int = 0) -> int:
        """Which is the latest fiscal year that is complete, with `after` months of follow-up beyond its March?"""
        return fiscal_year_of(add_months(self.complete_through, 1 - after)) - 1


def lag_triangle(claims: Any, *, through: int | str | None = None, kind: str | None = None) -> Any:
    """How many claims of each treatment month arrived after how many months?

    Returned claims (返戻) are left out: they count when they come back, at the later month (再請求).

    Parameters
    ----------
    claims
        Canonical claims: pandas, polars (eager, lazy) or DuckDB. Needs treatment_month, received_month, status, kind.
    through
        Only what was received up to this month (YYYYMM or "2024-10"); default everything.
    kind
        One kind of claim (入院外 …); default all kinds together.

    Returns
    -------
    Small eager frame, sorted: treatment_month, lag (months from treatment to receipt), n, share_cumulative (of those
    received so far in this treatment month: for recent months the denominator is not complete).

    Raises
    ------
    TableError
        A column is missing, or claims received before their treatment month.
    """
    columns = ("treatment_month", "received_month", "status", "kind")
    lazy = frames.enter(claims, CLAIMS, columns).filter(nw.col("status") != "returned")
    if through is not None:
        lazy = lazy.filter(nw.col("received_month") <= parse_month(through))
    if kind is not None:
        lazy = lazy.filter(nw.col("kind") == kind)
    lag = index_of(nw.col("received_month")) - index_of(nw.col("treatment_month"))
    counted = frames.collect(lazy.with_columns(lag=lag).group_by("treatment_month", "lag").agg(n=nw.len()))
    if early := counted.filter(pl.col("lag") < 0)["n"].sum():
        raise TableError(
            f"受領月が診療月より前のレセプトが{early:,}件あります", hint="kenpo check で行番号を見て、直してください。"
        )
    if lost := counted.filter(pl.any_horizontal(pl.col("treatment_month", "lag").is_null()))["n"].sum():
        raise TableError(f"診療月か受領月のないレセプトが{lost:,}件あります", hint="kenpo check で確かめてください。")
    month, n = pl.col("treatment_month"), pl.col("n").cast(pl.Int64)
    triangle = counted.select(month, pl.col("lag").cast(pl.Int32), n).sort("treatment_month", "lag")
    share = pl.col("n").cum_sum().over(month) / pl.col("n").sum().over(month)
    return frames.small(triangle.with_columns(share_cumulative=share), frames.source_of(claims))


def run_out(triangle: Any, share: float) -> int:
    """After how many months have at least `share` of the claims arrived?

    The smallest lag at which the pooled cumulative share of complete treatment months reaches `share`. Complete are
    those at least 12 months older than the last receipt and not older than the first (of earlier ones the data miss the
    early arrivals). Arrivals later than the oldest months have been watched are unknown to the data.

    Parameters
    ----------
    triangle
        From `lag_triangle`, as pandas or polars.
    share
        Above 0, up to 1; definition `runout.share`.

    Raises
    ------
    EstimateError
        Fewer than 6 complete months or 500 claims in them, or an impossible share.
    """
    if not 0 < share <= 1:
        raise EstimateError(f"到着割合は0より大きく1以下です: {share}", hint="定義 runout.share を見直してください。")
    return _first_reaching(_old(triangle), share)[0]


def last_complete_month(through: int | str, run_out: int) -> int:
    """Which is the last treatment month whose claims are complete, when data run through `through`?"""
    return add_months(parse_month(through), -run_out)


def mature_month(claims: Any, *, definitions: Definitions | None = None, through: int | str) -> Maturity:
    """Up to which treatment month are the claims complete, as known through a month?

    The lag at which the observed triangle reaches `runout.share` (0.99), among the kind of claims that count as a visit
    (`visit.kind`, 入院外), received up to `through`. If the claims end earlier, so does the `through` of the answer:
    what has not been delivered cannot be complete.

    Raises
    ------
    EstimateError
        Too little data to tell, see `run_out`.
    """
    used, month = definitions or define(), parse_month(through)
    share = used.number("runout.share")
    if not 0 < share <= 1:
        raise EstimateError(f"到着割合は0より大きく1以下です: {share}", hint="定義 runout.share を見直してください。")
    triangle = lag_triangle(claims, through=month, kind=used.text("visit.kind"))
    old = _old(triangle)
    month = from_month_index(_last_receipt(_polars(triangle)))
    lag, observed = _first_reaching(old, share)
    return Maturity(
        run_out=lag,
        complete_through=last_complete_month(month, lag),
        through=month,
        share=share,
        observed=observed,
        months=old["treatment_month"].n_unique(),
        claims=int(old["n"].sum()),
        first=int(old["treatment_month"].min()),  # type: ignore[arg-type]
        last=int(old["treatment_month"].max()),  # type: ignore[arg-type]
    )


def _polars(triangle: Any) -> pl.DataFrame:
    return triangle if isinstance(triangle, pl.DataFrame) else pl.from_pandas(triangle)


_INDEX = pl.col("treatment_month") // 100 * 12 + pl.col("treatment_month") % 100 - 1


def _last_receipt(triangle: pl.DataFrame) -> int:
    return int(triangle.select((_INDEX + pl.col("lag")).max()).item())


def _old(triangle: Any) -> pl.DataFrame:
    """The rows of complete treatment months, seen from the last receipt in the triangle."""
    held = _polars(triangle)
    if held.is_empty():
        raise _too_little(0, 0)
    first = int(held.select((_INDEX + pl.col("lag")).min()).item())
    old = held.filter(_INDEX.is_between(first, _last_receipt(held) - OLD))
    months, claims = old["treatment_month"].n_unique(), int(old["n"].sum())
    if months < MIN_MONTHS or claims < MIN_CLAIMS:
        raise _too_little(months, claims)
    return old


def _first_reaching(old: pl.DataFrame, share: float) -> tuple[int, float]:
    pooled = old.group_by("lag").agg(pl.col("n").sum()).sort("lag")
    shares = (pooled["n"].cum_sum() / pooled["n"].sum()).to_list()
    # 99 of 100 claims are 99 %, whatever the last bit of a division says
    found = next(number for number, reached in enumerate(shares) if reached >= share - 1e-12)
    return int(pooled["lag"][found]), float(shares[found])


def _too_little(months: int, claims: int) -> EstimateError:
    return EstimateError(
        f"レセプトの到着の遅れを推定できません: 12か月以上前の診療月が{months}か月、{claims:,}件しかありません",
        hint=f"古い診療月を{MIN_MONTHS}か月以上、{MIN_CLAIMS}件以上含むデータを渡してください。",
    )
