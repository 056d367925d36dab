"""Which branch (支部) is meant? Its JIS two-digit code, and nothing else: another text would find no row, silently."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from kenpo_analytics.errors import ParameterError

BRANCHES = tuple(f"{code:02d}" for code in range(1, 48))


def branch_code(branch: object) -> str:
    """The code of a branch, if it is one: "01" to "47".

    Raises
    ------
    ParameterError
        Anything else. Where a name (三重, 三重支部, 三重県) or a number (24) shows which branch is meant, the hint says
        its code.
    """
    if isinstance(branch, str) and branch in BRANCHES:
        return branch
    meant = _meant(str(branch))
    hint = f'"{meant}" と指定してください。' if meant else 'JIS の都道府県番号 2 桁("01"～"47")です。例: 三重 "24"'
    raise ParameterError(f"支部「{branch}」は JIS の都道府県番号 2 桁の文字列ではありません。", hint=hint)


def _meant(text: str) -> str | None:
    if re.fullmatch(r"[0-9]{1,2}", text) and 1 <= int(text) <= len(BRANCHES):
        return f"{int(text):02d}"
    held = (files("kenpo_analytics.definitions") / "geo" / "prefectures.geojson").read_text(encoding="utf-8")
    for place in (feature["properties"] for feature in json.loads(held)["features"]):
        short = place["name"] if place["prefecture"] == "01" else place["name"][:-1]
        if text.strip() in (place["name"], short, f"{short}支部"):
            return str(place["prefecture"])
    return None
