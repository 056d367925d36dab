"""What is this area called, and where does it lie? Names and simplified outlines of prefectures and municipalities."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from kenpo_analytics.definitions.branch_codes import branch_names
from kenpo_analytics.disclosure.rules import municipal_names

GEO_CREDIT = "「国土数値情報（行政区域データ）」（国土交通省）を加工して作成"
Ring = list[tuple[float, float]]


@cache
def _features(name: str) -> list[dict[str, Any]]:
    text = (files("kenpo_analytics.definitions") / "geo" / f"{name}.geojson").read_text(encoding="utf-8")
    return json.loads(text)["features"]


@cache
def municipality_names() -> dict[str, str]:
    """JIS five-digit code to the municipality's name without its 郡: "24303" is 木曽岬町."""
    return {code: re.sub(r"^.+?郡", "", name) for code, name in municipal_names().items()}


def area_names() -> dict[str, str]:
    """Both together: what an `area` column may hold."""
    return branch_names() | municipality_names()


def outlines(name: str, key: str) -> dict[str, list[Ring]]:
    """The outer rings of each area, in degrees: `outlines("prefectures", "prefecture")`."""
    found = {}
    for item in _features(name):
        geometry = item["geometry"]
        polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        found[item["properties"][key]] = [[(x, y) for x, y in polygon[0]] for polygon in polygons]
    return found
