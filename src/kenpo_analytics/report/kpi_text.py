"""What do the KPIs of a month say in words? The summary of page 07, and why some cannot be judged."""

from __future__ import annotations

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.kpi.judging import UNKNOWN
from kenpo_analytics.kpi.standing import STATUSES
from kenpo_analytics.months import fiscal_year_ja
from kenpo_analytics.report._format import Col
from kenpo_analytics.report.tables import value, value_interval
from kenpo_analytics.report.texts import conclusion

_OWN = Col("値", "unit")  # %, yen …, as the row says
_HOW = "見込みは、過去の年度と同じように伸びた場合の値で、確定した月にもまだ届いていない実績があれば低めに出ます。"


def kpi_conclusion(plan: Checked, landing: Checked, *, fiscal_year: int) -> None:
    """The 要約 of the month: how many KPIs of the plan stand where, and where those with a target will land.

    `plan` is `Overview.plan`, `landing` `Overview.landing`, each after `check_kpi`. The landings with an interval from
    past years are the figures of the index.
    """
    counted = plan.table["status"].to_list()
    said = "、".join(f"{name}{counted.count(name)}" for name in STATUSES)
    projected = landing.where(method="development_factor").having("target")
    rows = {short: projected.where(short=short) for short in projected.table["short"]}
    text = f"{fiscal_year_ja(fiscal_year)}の計画のKPI {len(plan)}指標は、{said}です。"
    text += "".join(f"{_landing_text(one)}です。" for one in rows.values())
    headline = {
        f"{short}の年度末の見込み": (one, Col(f"{short}の年度末の見込み({fiscal_year_ja(fiscal_year)})", "unit"))
        for short, one in rows.items()
    }
    conclusion(text + (_HOW if rows else ""), headline=headline, adjusted=True)


def _landing_text(one: Checked) -> str:
    month, short, outlook = (value(one, *asked) for asked in (("month", "month"), ("short",), ("outlook",)))
    interval = value_interval(one, _OWN).replace("信頼区間", "予測区間")
    return f"{short}は{month}(確定)までの実績から年度末{interval}で、目標{value(one, 'target', _OWN)}に{outlook}"


def unknown_text(plan: Checked) -> str:
    """Which KPIs of the plan cannot be judged (判定不能), and why? A sentence, then a line per reason."""
    unknown = plan.where(status=UNKNOWN).table
    reasons = unknown.group_by("reason", maintain_order=True).agg("short").iter_rows()
    told = "\n".join(f"- {reason}: {'、'.join(names)}" for reason, names in reasons)
    return f"判定不能の計画のKPIは{len(unknown)}指標です。\n\n{told}"
