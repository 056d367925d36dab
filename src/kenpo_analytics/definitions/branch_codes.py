"""Which branch (支部) is meant? Its JIS two-digit code, and nothing else: another text would find no row, silently."""

from __future__ import annotations

import json
from functools import cache
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
    meant = spellings().get(str(branch).strip())
    hint = f'"{meant}" と指定してください。' if meant else 'JIS の都道府県番号 2 桁("01"～"47")です。例: 三重 "24"'
    raise ParameterError(f"支部「{branch}」は JIS の都道府県番号 2 桁の文字列ではありません。", hint=hint)


@cache
def branch_names() -> dict[str, str]:
    """The code of each branch or prefecture to its short name: "24" is 三重, "01" 北海道."""
    return {code: name if code == "01" else name[:-1] for code, name in _prefectures().items()}


@cache
def spellings() -> dict[str, str]:
    """What a person writes for a branch, to its code: with or without the zero, the name with or without 支部 or 県."""
    found = {str(int(code)): code for code in BRANCHES} | {code: code for code in BRANCHES}
    for code, name in branch_names().items():
        found |= dict.fromkeys((name, _prefectures()[code], f"{name}支部", f"{_prefectures()[code]}支部"), code)
    return found


@cache
def _prefectures() -> dict[str, str]:
    text = (files("kenpo_analytics.definitions") / "geo" / "prefectures.geojson").read_text(encoding="utf-8")
    told = (feature["properties"] for feature in json.loads(text)["features"])
    return {each["prefecture"]: each["name"] for each in told}
