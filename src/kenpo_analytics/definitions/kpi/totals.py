"""Can these two totals of a KPI be? One judge of numerator and denominator, whoever reported or published them."""

from __future__ import annotations

from kenpo_analytics.definitions.kpi.registry import Kpi


def why_impossible(item: Kpi, numerator: float | None, denominator: float | None, *, empty: bool = False) -> str | None:
    """Why can numerator and denominator not be those of the KPI? In Japanese; None where they can.

    Refused: a negative one; a denominator of 0, unless `empty` (a month in which nothing happened); a share (%) with
    more above than below; a share of people or cases that are not whole. What is None is not judged.
    """
    if numerator is not None and numerator < 0:
        return "numerator が範囲の外です(分子は0以上)"
    if denominator is not None and (denominator < 0 or (denominator == 0 and not empty)):
        return f"denominator が範囲の外です(分母は{'0以上' if empty else '0より大きい'})"
    if item.unit != "%" or numerator is None or not denominator:
        return None
    if numerator > denominator:
        return "numerator が denominator を超えます"
    if item.interval == "wilson" and (numerator % 1 or denominator % 1):
        return "numerator・denominator が整数ではありません(人・件の割合)"
    return None
