"""Which notebook is meant? By number, name or beginning; and which settings does each notebook get?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kenpo_analytics.errors import ParameterError
from kenpo_analytics.runs.values import Parameter

NEEDS = "needs"


def matching(paths: Sequence[Path], wanted: str) -> list[Path]:
    """Which notebooks are meant by a name, its number (`02`, `2`) or its beginning (`02_pre`)?"""
    stem = wanted.strip().removesuffix(".ipynb")
    if re.fullmatch(r"[0-9]+", stem):
        return [path for path in paths if int(path.stem.partition("_")[0]) == int(stem)]
    exact = [path for path in paths if path.stem == stem]
    return exact or [path for path in paths if stem and path.stem.startswith(stem)]


def distributed(
    settings: Mapping[str, object], declarations: Mapping[Path, Mapping[str, Parameter]]
) -> dict[Path, dict[str, object]]:
    """Which settings does each notebook get? Those of its own win over those of a plain name."""
    plain: dict[Path, dict[str, object]] = {path: {} for path in declarations}
    own: dict[Path, dict[str, object]] = {path: {} for path in declarations}
    for label, value in settings.items():
        wanted, dot, name = (part.strip() for part in label.rpartition("."))
        paths = matching(list(declarations), wanted) if dot else list(declarations)
        hits = _declaring(name, {path: declarations[path] for path in paths}, label if dot else "")
        into = own if dot else plain
        for path in hits:
            if name in into[path]:
                raise ParameterError(f"--set {label}: {path.stem} の {name} が二度指定されています。")
            into[path][name] = value
    return {path: plain[path] | own[path] for path in declarations}


def _declaring(name: str, notebooks: Mapping[Path, Mapping[str, Parameter]], label: str) -> list[Path]:
    if name in {"month", "branch"}:
        raise ParameterError(f"{name} は --set ではなく --{name} で指定してください。")
    if name == NEEDS:
        raise ParameterError("needs(必要な表)は --set で変えられません。")
    if label and not notebooks:
        raise ParameterError(f"--set {label} に当たるノートブックがありません。", hint="例: --set 03.fiscal_year=2024")
    hits = [path for path, names in notebooks.items() if name in names]
    if not hits:
        known = "、".join(sorted({n for names in notebooks.values() for n in names})) or "(なし)"
        where = "、".join(path.stem for path in notebooks) + " に" if label else ""
        what = f"{where}パラメータ {name} がありません。"
        if not label:
            what = f"パラメータ {name} を宣言しているノートブックがありません。"
        raise ParameterError(what, hint=f"あるもの: {known}")
    return hits
