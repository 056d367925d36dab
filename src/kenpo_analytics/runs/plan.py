"""What will run, with which values? The suite's notebooks, their typed parameters, and the values given.

A parameter is an annotated assignment in the cell tagged `parameters`: `month: str = "2025-10"`. Names and types are
checked here, before anything starts: papermill itself takes an unknown name or a wrong type without failing. The name
`needs` is not one: `needs: list[str] = ["national"]` says which tables the notebook cannot do without.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.errors import DateError, ParameterError
from kenpo_analytics.months import format_month, parse_month
from kenpo_analytics.runs.choice import NEEDS, distributed, matching
from kenpo_analytics.runs.values import TYPES, Parameter, Value, setting, typed
from kenpo_analytics.tables import TABLES

SUITE = re.compile(r"\d+_.+\.ipynb")


@dataclass(frozen=True)
class Task:
    """One notebook to run: where it is, what it declares, and what it is given."""

    path: Path
    title: str
    declared: Mapping[str, Parameter]
    given: Mapping[str, Value]
    needs: tuple[str, ...] = ()

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
    """Which of the suite were asked for? All of them if none was named."""
    chosen: list[Path] = []
    for wanted in only:
        hits = matching(paths, wanted)
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


def injected(cell: Mapping[str, Any]) -> bool:
    """Was this cell put in by the run? It is not counted, since it is not in the notebook that a person edits."""
    return "injected-parameters" in cell.get("metadata", {}).get("tags", [])


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


def check_month(month: str) -> str:
    """A month as a person types it (any form of `parse_month`: 2025-10, 202510, 令和7年10月) as `2025-10`."""
    try:
        return format_month(parse_month(month))
    except DateError as error:
        raise ParameterError(
            f"月「{month}」を読めません({error.message})。",
            hint="YYYY-MM の形で書きます。例: 2025-10、令和7年10月",
        ) from error


def plan(
    paths: Sequence[Path], *, month: str, branch: str | None = None, settings: Mapping[str, object] | None = None
) -> list[Task]:
    """What will run with which values? Refused as a whole if one name is unknown or one value of the wrong type.

    `month` and `branch` go to each notebook that declares them; a setting to those that declare it, or to one notebook
    if its number or name comes first (`03.fiscal_year`), which wins over the plain name. A setting that is text is read
    as the declared type demands; any other value must already have that type.
    """
    common: dict[str, object] = {"month": check_month(month)}
    if branch is not None:
        common["branch"] = branch_code(branch)
    read = [(path, read_notebook(path)) for path in paths]
    declarations = {path: declared(notebook, path.name) for path, notebook in read}
    needs = {path: _needs(names, path.name) for path, names in declarations.items()}
    settings_of = distributed(settings or {}, declarations)
    tasks = []
    for path, notebook in read:
        names = declarations[path]
        given = {n: typed(v, names[n].type, n) for n, v in common.items() if n in names}
        given |= {n: setting(v, names[n]) for n, v in settings_of[path].items()}
        tasks.append(Task(path, title(notebook), names, given, needs[path]))
    return tasks


def _needs(names: dict[str, Parameter], notebook: str) -> tuple[str, ...]:
    """Take the needed tables out of the declarations: they are no parameter that anybody sets."""
    found = names.pop(NEEDS, None)
    if found is None:
        return ()
    form = 'needs: list[str] = ["national"] の形で書いてください。'
    if found.type != "list[str]" or not isinstance(found.default, list):
        raise ParameterError(f"{notebook}: needs の型は list[str] です。", hint=form)
    wanted = tuple(str(name) for name in found.default)
    if unknown := [name for name in wanted if name not in TABLES]:
        raise ParameterError(
            f"{notebook}: needs に知らない表があります: {'、'.join(unknown)}", hint=f"使える表: {', '.join(TABLES)}"
        )
    return wanted


def split(tasks: Sequence[Task], present: Collection[str]) -> tuple[list[Task], list[dict[str, Any]]]:
    """Which notebooks can run on the tables that are there, and which are left out for want of which?"""
    lacking = {task.name: [name for name in task.needs if name not in present] for task in tasks}
    skipped = [
        {"name": task.name, "title": task.title or task.name, "missing": lacking[task.name]}
        for task in tasks
        if lacking[task.name]
    ]
    return [task for task in tasks if not lacking[task.name]], skipped
