"""Did people see a doctor sooner because of a letter? Only from the letter's month on (ランドマーク解析)."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation.estimate import Estimate, Role, unavailable, wald
from kenpo_analytics.stats.incidence import CENSORED, COMPETING, EVENT, Incidence, cumulative_incidence, net_incidence

NAMES = (
    "landmark",
    "通知月からの受診の差(ランドマーク解析、調整なし)",
    "通知月に未受診で加入中の人に送ったことの、その後の受診割合(ポイント)への効果",
    "通知月に未受診で加入中の人の中では、送付されるかどうかはその後の受診と関係しない",
)
IMMORTAL = (
    "健診月を起点にした、通知の有無別の受診曲線は作りません: 通知はそれまで受診しなかった人に届くため、"
    "通知を受けた人は通知月まで必ず未受診で、比較が偏ります(immortal time)"
)
FEW = 20
_CAUSES = {"visited": EVENT, "left": COMPETING, "turned_75": CENSORED, "open": CENSORED, "not_visited": CENSORED}


@any_frame
def landmark(
    people: pl.DataFrame, *, months: int = 6, start: str = "letter", level: float = 0.95, role: Role = "secondary"
) -> Estimate:
    """How many more saw a doctor within `months` after the month of the letter, among people then unvisited?

    Parameters
    ----------
    people
        Columns of `first_visit` (checkup_date, state, months_to; its window long enough to hold letter month and
        `months`), `letter` (sent), and `begin`: the day of the letter, or the day on which it would have gone out.
    months
        Months followed after the letter's month (which is month 0).
    start
        "letter". "checkup" is refused (immortal time).

    Returns
    -------
    Estimate
        Difference of the cumulative incidence (leaving is a competing event), sent minus not sent, two independent
        samples. Diagnostics: `curves` (`letter`, `month`, at_risk, events, competing, censored, estimate, lower, upper
        and `net`: had nobody left, under the assumption that leavers are like those who stay) and `excluded` (who had
        visited or left before the letter's month, by letter).

    Raises
    ------
    EstimateError
        `start="checkup"`; missing columns.

    Notes
    -----
    Anderson, Cain, Gelber (1983) J Clin Oncol 1:710; Suissa (2008) Am J Epidemiol 167:492 (immortal time).
    """
    if start != "letter":
        raise EstimateError(IMMORTAL, hint='start="letter"(通知月、または通知を送るはずだった月)で比べてください。')
    needed = ("checkup_date", "state", "months_to", "letter", "begin")
    if missing := [name for name in needed if name not in people.columns]:
        raise EstimateError(
            f"解析する表に列がありません: {', '.join(missing)}", hint="first_visit の結果に通知を付けます。"
        )
    since = (pl.col("months_to") - (_month("begin") - _month("checkup_date"))).alias("since")
    frame = people.with_columns(since, cause=pl.col("state").replace_strict(_CAUSES, return_dtype=pl.Int64))
    kept = frame.filter(pl.col("since") >= 0)
    groups = {sent: kept.filter(pl.col("letter") == sent) for sent in (True, False)}
    excluded = frame.group_by("letter").agg(
        people=pl.len(),
        visited_before=((pl.col("since") < 0) & (pl.col("state") == "visited")).sum(),
        gone_before=((pl.col("since") < 0) & (pl.col("state") != "visited")).sum(),
    ).sort("letter")  # fmt: skip
    if min(part.height for part in groups.values()) < FEW:
        reason = f"通知月に未受診で加入中の人が、片方で{FEW}人に満たないため、推定しません"
        return unavailable(*NAMES, reason=reason, unit="ポイント", role=role, diagnostics={"excluded": excluded})
    curves = {sent: _curves(part, months, level) for sent, part in groups.items()}
    (one, _), (two, _) = curves[True], curves[False]
    value = float(one.estimate[-1] - two.estimate[-1])
    error = float((one.se[-1] ** 2 + two.se[-1] ** 2) ** 0.5)
    if value != value:
        reason = f"通知月から{months}か月まで追えた人がいないため、推定しません"
        return unavailable(*NAMES, reason=reason, unit="ポイント", role=role, diagnostics={"excluded": excluded})
    tables = [_rows(sent, *pair) for sent, pair in curves.items()]
    return wald(
        *NAMES, value=value, size=error, level=level, unit="ポイント", role=role,
        method="Aalen–Johansen、独立な2群の差", persons=groups[True].height, compared=groups[False].height,
        diagnostics={"curves": pl.concat(tables), "excluded": excluded},
    )  # fmt: skip


def _month(name: str) -> pl.Expr:
    return pl.col(name).dt.year().cast(pl.Int64) * 12 + pl.col(name).dt.month().cast(pl.Int64)


def _curves(part: pl.DataFrame, months: int, level: float) -> tuple[Incidence, Incidence]:
    time, cause = part["since"].to_numpy(), part["cause"].to_numpy()
    seen = cumulative_incidence(time, cause, horizon=months, level=level)
    return seen, net_incidence(time, cause, horizon=months, level=level)


def _rows(sent: bool, seen: Incidence, net: Incidence) -> pl.DataFrame:
    table = pl.DataFrame(seen.as_columns()).with_columns(letter=pl.lit(sent), net=pl.Series(net.estimate))
    return table.select("letter", pl.exclude("letter")).with_columns(
        level=pl.lit(seen.level), method=pl.lit(seen.method)
    )
