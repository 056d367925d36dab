"""What do the KPIs of a month say in words? The summary of page 07, and why some cannot be judged."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.disclosure import MASKED, Checked
from kenpo_analytics.kpi.judging import UNKNOWN
from kenpo_analytics.kpi.standing import STATUSES
from kenpo_analytics.months import fiscal_year_ja
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.tables import value, value_interval
from kenpo_analytics.report.texts import conclusion

_OWN = Col("値", "unit")  # %, yen …, as the row says
_HOW = "見込みは、過去の年度や月と同じように動いた場合の値で、確定した月にもまだ届いていない実績があれば低めに出ます。"
_OUTLOOKS = {
    "届く見込み": "{target}に届く見込みです。",
    "届かない見込み": "{target}に届かない見込みです。",
    "どちらともいえない": "{target}に届くかどうかは、どちらともいえません。",
}
_INTERVALS = ("development_factor", "ets")


def kpi_conclusion(plan: Checked, landing: Checked, *, fiscal_year: int) -> None:
    """The 要約 of the month: how many KPIs of the plan stand where, and where those with a target will land.

    `plan` is `Overview.plan`, `landing` `Overview.landing`, each after `check_kpi`. The landings of the plan's KPIs
    with an interval, whatever their method, are the figures of the index.
    """
    counted = plan.table["status"].to_list()
    said = "、".join(f"{name}{counted.count(name)}" for name in STATUSES)
    ours = landing.where(kpi_id=plan.table["kpi_id"].to_list(), method=_INTERVALS, outlook=list(_OUTLOOKS))
    rows = {short: ours.where(short=short) for short in ours.table["short"]}
    text = f"{fiscal_year_ja(fiscal_year)}の計画のKPI {len(plan)}指標は、{said}です。"
    text += "".join(_landing_text(one) for one in rows.values())
    headline = {
        f"{short}の年度末の見込み": (one, Col(f"{short}の年度末の見込み({fiscal_year_ja(fiscal_year)})", "unit"))
        for short, one in rows.items()
    }
    conclusion(text + (_HOW if rows else ""), headline=headline, adjusted=True)


def _landing_text(one: Checked) -> str:
    month, short, outlook = (value(one, *asked) for asked in (("month", "month"), ("short",), ("outlook",)))
    interval = value_interval(one, _OWN).replace("信頼区間", "予測区間")
    target = f"目標{value(one, 'target', _OWN)}"
    return f"{short}は{month}(確定)までの実績から年度末{interval}で、{_OUTLOOKS[outlook].format(target=target)}"


def needed_text(plan: Checked, landing: Checked) -> str:
    """For which KPIs of the plan is no あと何人 counted, and why? A sentence, then a line per reason; "" for none."""
    ours = landing.where(kpi_id=plan.table["kpi_id"].to_list())
    shown = ours.table.with_columns(masked=ours.states["at_most"].is_in(list(MASKED)))
    reason = pl.when("masked").then(pl.lit("人数が少ないため秘匿")).otherwise("needed_reason")
    lacking = shown.with_columns(why=reason).drop_nulls("why")
    if not len(lacking):
        return ""
    return f"目標まであと何人(何事業所)かを数えない計画のKPIは{len(lacking)}指標です。\n\n{_by_reason(lacking, 'why')}"


def _by_reason(rows: pl.DataFrame, reason: str) -> str:
    found = rows.group_by(reason, maintain_order=True).agg("short").iter_rows()
    return "\n".join(f"- {why}: {'、'.join(names)}" for why, names in found)


def unknown_text(plan: Checked) -> str:
    """Which KPIs of the plan cannot be judged (判定不能), and why? A sentence, then a line per reason."""
    unknown = plan.where(status=UNKNOWN).table
    return f"判定不能の計画のKPIは{len(unknown)}指標です。\n\n{_by_reason(unknown, 'reason')}"
