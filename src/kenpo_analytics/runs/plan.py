"""What will run, with which values? The suite's notebooks, their typed parameters, and the values given.

A parameter is an annotated assignment in the cell tagged `parameters`: `month: str = "2025-10"`. Names and types are
checked here, before anything starts: papermill itself takes an unknown name or a wrong type without failing.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kenpo_analytics.errors import ParameterError

SUITE = re.compile(r"\d+_.+\.ipynb")
MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
TYPES = ("str", "int", "float", "bool", "list[int]", "list[str]")

Value = str | int | float | bool | list[int] | list[str]


@dataclass(frozen=True)
class Parameter:
    """One declared parameter of a notebook: its type as written, and its default."""

    name: str
    type: str
    default: Value


@dataclass(frozen=True)
class Task:
    """One notebook to run: where it is, what it declares, and what it is given."""

    path: Path
    title: str
    declared: Mapping[str, Parameter]
    given: Mapping[str, Value]

    @property
    def name(self) -> str:
        """The notebook's name without folder and suffix."""
        return self.path.stem

    @property
    def parameters(self) -> dict[str, Value]:
        """Every declared parameter with the value it runs with."""
        return {name: self.given.get(name, p.default) for name, p in self.declared.items()}


def suite(notebooks: Path) -> list[Path]:
    """Which notebooks belong to the monthly run? Those named `NN_*.ipynb`, in that order."""
    if not notebooks.is_dir():
        raise ParameterError(
            f"ノートブックのフォルダがありません: {notebooks.name}",
            hint="--notebooks で場所を指定するか、notebooks フォルダのある所で実行してください。",
        )
    found = sorted(path for path in notebooks.glob("*.ipynb") if SUITE.fullmatch(path.name))
    if not found:
        raise ParameterError(
            f"実行するノートブックがありません: {notebooks.name}",
            hint="番号で始まる名前(01_….ipynb)のノートブックだけが月次実行の対象です。",
        )
    return found


def choose(paths: Sequence[Path], only: Sequence[str]) -> list[Path]:
    """Which of the suite were asked for? A name, its number (`02`) or its beginning (`02_pre`)."""
    chosen: list[Path] = []
    for wanted in only:
        stem = wanted.removesuffix(".ipynb")
        exact = [path for path in paths if path.stem == stem]
        hits = exact or [path for path in paths if stem and path.stem.startswith(stem)]
        if not hits:
            names = "、".join(path.stem for path in paths)
            raise ParameterError(f"--only {wanted} に当たるノートブックがありません。", hint=f"あるもの: {names}")
        chosen += hits
    return [path for path in paths if path in chosen] if only else list(paths)


def read_notebook(path: Path) -> dict[str, Any]:
    """The notebook as JSON."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParameterError(f"ノートブックとして読めません: {path.name}") from error
    return notebook | {"cells": cells}


def source(cell: Mapping[str, Any]) -> str:
    """A cell's text, however the file splits it."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def opening(text: str) -> str:
    """How a cell begins: enough to find it, whatever its number is."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    return first if len(first) <= 40 else first[:40] + "…"


def title(notebook: Mapping[str, Any]) -> str:
    """The first heading of the notebook's text; empty if it has none."""
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "markdown":
            for line in source(cell).splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return ""


def declared(notebook: Mapping[str, Any], name: str) -> dict[str, Parameter]:
    """Which parameters does a notebook declare? The annotated assignments of its cell tagged `parameters`.

    Raises
    ------
    ParameterError
        More than one such cell, an assignment without annotation, a type outside `TYPES`, a default that is not a
        literal of that type, or anything else that is no assignment.
    """
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) > 1:
        raise ParameterError(f"{name}: parameters の印のあるセルが {len(tagged)} 個あります。1 個だけにしてください。")
    found: dict[str, Parameter] = {}
    for cell in tagged:
        for node in _statements(source(cell), name):
            parameter = _parameter(node, name)
            if parameter.name in found:
                raise ParameterError(f"{name}: パラメータ {parameter.name} が二度宣言されています。")
            found[parameter.name] = parameter
    return found


def _statements(text: str, name: str) -> list[ast.stmt]:
    try:
        body = ast.parse(text).body
    except SyntaxError as error:
        raise ParameterError(f"{name}: parameters のセルが Python として読めません。") from error
    return [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]


def _parameter(node: ast.stmt, name: str) -> Parameter:
    form = 'month: str = "2025-10" の形(型を添えた代入)で書いてください。'
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
        raise ParameterError(f"{name}: parameters のセルに代入以外があります: {ast.unparse(node)}", hint=form)
    kind = ast.unparse(node.annotation)
    if kind not in TYPES:
        raise ParameterError(
            f"{name}: パラメータ {node.target.id} の型 {kind} は使えません。", hint="使える型: " + ", ".join(TYPES)
        )
    try:
        default = ast.literal_eval(node.value)
    except ValueError as error:
        raise ParameterError(f"{name}: パラメータ {node.target.id} の既定値が定数ではありません。") from error
    return Parameter(node.target.id, kind, typed(default, kind, node.target.id))


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    return {"str": isinstance(value, str), "int": isinstance(value, int)}.get(kind, False)


def typed(value: object, kind: str, name: str) -> Value:
    """The value, if it is of the declared type; an int also counts as a float. Never converted from text."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("list[") and isinstance(value, list) and all(_is(v, kind[5:-1]) for v in value):
        return value
    if _is(value, kind):
        return value  # type: ignore[return-value]
    found = type(value).__name__
    raise ParameterError(f"パラメータ {name} は {kind} 型ですが、{found} 型の値 {value!r} が渡されました。")


def parse(text: str, kind: str, name: str) -> Value:
    """A value typed on the command line (`--set name=value`), read as the declared type demands."""
    value: object = text
    if kind in {"int", "float"}:
        value = _number(text, kind)
    elif kind == "bool":
        value = {"true": True, "false": False}.get(text.lower(), text)
    elif kind.startswith("list["):
        parts = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
        value = [_number(part, "int") for part in parts] if kind == "list[int]" else parts
    return typed(value, kind, name)


def _number(text: str, kind: str) -> object:
    pattern = r"[+-]?[0-9]+" if kind == "int" else r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
    if not re.fullmatch(pattern, text.strip()):
        return text
    return int(text) if kind == "int" else float(text)


def check_month(month: str) -> str:
    """A month as a person types it, `2025-10`."""
    if not MONTH.fullmatch(month):
        raise ParameterError(f"月 {month} は YYYY-MM の形ではありません。", hint="例: --month 2025-10")
    return month


def check_branch(branch: str) -> str:
    """A branch as its two-digit JIS prefecture code, 01 to 47."""
    if not re.fullmatch(r"[0-9]{2}", branch) or not 1 <= int(branch) <= 47:
        raise ParameterError(f"支部 {branch} は 01〜47 ではありません。", hint="JIS の都道府県番号 2 桁。例: 三重 24")
    return branch


def plan(
    paths: Sequence[Path], *, month: str, branch: str | None = None, settings: Mapping[str, object] | None = None
) -> list[Task]:
    """What will run with which values? Refused as a whole if one name is unknown or one value of the wrong type.

    `month` and `branch` go to each notebook that declares them; a setting to those that declare it. A setting that is
    text is read as the declared type demands; any other value must already have that type.
    """
    common: dict[str, object] = {"month": check_month(month)}
    if branch is not None:
        common["branch"] = check_branch(branch)
    settings = settings or {}
    read = [(path, read_notebook(path)) for path in paths]
    declarations = {path: declared(notebook, path.name) for path, notebook in read}
    known = {name for names in declarations.values() for name in names}
    for name in settings:
        if name in {"month", "branch"}:
            raise ParameterError(f"{name} は --set ではなく --{name} で指定してください。")
        if name not in known:
            hint = "あるもの: " + ("、".join(sorted(known)) or "(なし)")
            raise ParameterError(f"パラメータ {name} を宣言しているノートブックがありません。", hint=hint)
    tasks = []
    for path, notebook in read:
        names = declarations[path]
        given = {n: typed(v, names[n].type, n) for n, v in common.items() if n in names}
        given |= {n: _setting(v, names[n]) for n, v in settings.items() if n in names}
        tasks.append(Task(path, title(notebook), names, given))
    return tasks


def _setting(value: object, parameter: Parameter) -> Value:
    if isinstance(value, str):
        return parse(value, parameter.type, parameter.name)
    return typed(value, parameter.type, parameter.name)
