"""Is the target met? What a rule demands in a fiscal year, and the verdict on a month with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kenpo_analytics.definitions.kpi import Kpi, Target
from kenpo_analytics.kpi.readings import Reading

MET, MISSED, RUNNING, UNKNOWN = "達成", "未達", "進捗中", "判定不能"
YEAR_END = 3
_CLOSE = 1e-9
"""A printed 0.695 and 695 of 1,000 are the same number, whatever the last bit says."""


def goal(item: Kpi, demand: Target | None, held: list[Reading], year: int, official: str) -> tuple[float | None, str]:
    """What must the value be at the end of the year? The number, or None and why there is none."""
    if demand is None:
        return None, "計画に目標がない"
    if demand.version != official:
        return None, f"目標の定義の版が違う(目標は{demand.version}、この年度は{official})"
    if demand.rule not in ("ge_prev", "le_prev"):
        assert demand.target is not None
        return item.of_printed(demand.target), ""
    last = [r for r in held if r.month == year * 100 + YEAR_END]
    before = next((r for r in last if r.version == official), None)
    if before is not None:
        return before.value, ""
    if last:
        return None, f"前年度の値の定義の版が違う(前年度は{last[-1].version}、この年度は{official})"
    return None, "前年度末の値がない"


def source(demand: Target, year: int) -> str:
    """Where does the number of the target come from? The plan, or by the plan's rule the branch's own last year."""
    if demand.rule not in ("ge_prev", "le_prev"):
        return demand.source
    side = "以上" if demand.rule == "ge_prev" else "以下"
    return f"規則(前年度{side}): {demand.source}。値: 支部の{year - 1}年度末({year}年3月)の実績"


def verdict(
    item: Kpi,
    demand: Target | None,
    now: Reading,
    target: float | None,
    lacking: str,
    begun: list[Reading],
    measured: Mapping[str, Any],
) -> dict[str, Any]:
    """達成, 未達, 進捗中 or 判定不能, and why.

    `begun`: the months of the fiscal year up to `now`, of its version. `measured`: `lower` and `upper` of the value
    where it has an interval, and its `change` since the same month last year where there is one.
    """
    if target is None or demand is None:
        return _said(UNKNOWN, lacking)
    down, ended = demand.rule in ("le", "le_prev"), now.month % 100 == YEAR_END
    ahead = now.value <= target + _CLOSE if down else now.value >= target - _CLOSE
    if item.accumulates == "every":
        found = _every(now, target, begun)
    elif demand.rule == "done":
        found = _said(MET, "実施済み") if ahead else _said(MISSED if ended else RUNNING, "実施の報告がない")
    elif ended and item.timing == "window" and not now.final:
        found = _said(UNKNOWN, "10か月が過ぎた一部の人だけの値のため判定しない")
    elif ended:
        found = _said(MET if ahead else MISSED, "年度末の値による")
    elif item.accumulates == "base" and ahead and not down:
        found = _said(MET, "年度途中の累計で目標に届いた")
    elif item.accumulates == "base":
        found = _said(RUNNING, "年度途中の累計(年度末に判定)")
    elif item.timing == "later":
        beside = "。前年同月との差を見る" if measured.get("change") is not None else ""
        found = _said(RUNNING, f"年度途中の割合は、分子が遅れて増えるため、目標と比べない{beside}")
    else:
        part = "(今は10か月が過ぎた一部の人だけの値)" if item.timing == "window" else ""
        found = _said(RUNNING, f"年度末に判定{part}。今は{_level(target, ahead, measured)}水準")
    return found if now.final else found | {"reason": f"{found['reason']}(速報)"}


def _level(target: float, ahead: bool, measured: Mapping[str, Any]) -> str:
    """A target strictly inside the interval is not told from the value; 100% is never inside."""
    lower, upper = measured.get("lower"), measured.get("upper")
    if lower is not None and upper is not None and lower + _CLOSE < target < upper - _CLOSE:
        return "目標と区別できない"
    return "目標を満たす" if ahead else "目標に届かない"


def _every(now: Reading, target: float, begun: list[Reading]) -> dict[str, Any]:
    """A target for each month is missed with the first month that misses it."""
    below = sum(reading.value < target - _CLOSE for reading in begun)
    wanted = (now.month % 100 - 4) % 12 + 1
    if below:
        return _said(MISSED, f"目標に届かない月が{below}か月ある")
    if len(begun) < wanted:
        return _said(UNKNOWN, f"実績の届いていない月が{wanted - len(begun)}か月ある")
    return _said(MET if now.month % 100 == YEAR_END else RUNNING, f"{wanted}か月すべてで目標を満たす")


def _said(status: str, reason: str) -> dict[str, Any]:
    return {"status": status, "reason": reason}
