"""May this executed notebook be published? Every cell executed, no error, and nothing shown without a stamp."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from kenpo_analytics.disclosure.stamp import KEY, is_stamped
from kenpo_analytics.errors import DisclosureError, RunError
from kenpo_analytics.runs.execute import attachments_of
from kenpo_analytics.runs.html import must_stand_alone
from kenpo_analytics.runs.manifest import sha256
from kenpo_analytics.runs.plan import injected, opening, source

HEADING = re.compile(r"<h1\b[^>]*>(.*?)</h1>", re.I | re.S)
COUNTED = ("masked", "primary", "secondary", "events_masked", "rates_masked", "merged_steps")
"""What of a disclosure check's log is a count that adds up over outputs; the rest (thresholds, rules) is not."""
SHOWN = ("display_data", "execute_result")
ATTACHED = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]*\.(html|xlsx)")


@dataclass
class Verified:
    """An executed notebook fit to be published, and what its stamped outputs tell."""

    notebook: Any
    headline: dict[str, Any] = field(default_factory=dict)
    masking: dict[str, int] = field(default_factory=dict)
    outputs: int = 0
    rules: set[str] = field(default_factory=set)
    stderr: str = ""
    page: str = ""
    title: str = ""
    named: dict[str, Mapping[str, str]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    @property
    def public(self) -> bool:
        """Does it show official published figures only? Then nothing of it is made from the branch's data."""
        return self.rules == {"public"}


def verify(path: Path) -> Verified:
    """May this executed notebook be published?

    Returns the notebook as it is published: without what went to stderr and without metadata that is volatile or
    lies (papermill calls the cells of a dead kernel completed), with the injected parameters.

    The files that it put beside itself (`attachments_of`) are those that its stamped outputs name, byte for byte.

    Raises
    ------
    RunError
        Exit code 1: not a valid notebook, a cell without execution count, an error output, nothing shown, or a file
        that is named but not there or would fetch something on opening.
    DisclosureError
        A table, figure or text without a stamp that fits, printed text, or a widget; a file that no stamped output
        names, or that was changed since. Names notebook and cell.
    """
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except OSError:
        raise
    except Exception as error:
        raise RunError(f"{path.name}: 出力がノートブックとして正しくありません。", exit_code=1) from error
    found = Verified(notebook)
    if notebook.metadata.get("widgets"):
        raise _unchecked(f"{path.name}: ウィジェットがあります。")
    number = 0
    for cell in notebook.cells:
        if injected(cell):
            cell.id = "injected-parameters"  # papermill draws one by lot: equal runs must give equal files
        if cell.cell_type == "code":
            number += not injected(cell)
            _cell(cell, f"{path.name} の {number} 番目のコードセル「{opening(source(cell))}」", found)
        cell.metadata = nbformat.from_dict(_kept(cell.metadata, ("tags",)))
    if found.outputs == 0:
        raise RunError(f"{path.name}: 秘匿処理済みの表や図が 1 つも表示されていません。", exit_code=1)
    notebook.metadata = nbformat.from_dict(_clean(notebook.metadata))
    _attached(path, found)
    return found


def _attached(path: Path, found: Verified) -> None:
    folder = attachments_of(path)
    found.files = sorted(folder.rglob("*")) if folder.is_dir() else []
    for file in found.files:
        known = found.named.get(file.name, {}).get("sha256")
        if not ATTACHED.fullmatch(file.name) or not file.is_file() or file.parent != folder or known != sha256(file):
            raise DisclosureError(
                f"{path.name} の 添付ファイル {file.name} に秘匿処理の印がありません。",
                hint="report.meeting_page か report.workbook で作り、report.attach で渡してください。",
            )
        if file.suffix == ".html":
            must_stand_alone(file.read_text(encoding="utf-8"), file.name)
    if lost := [name for name in found.named if name not in {file.name for file in found.files}]:
        raise RunError(f"{path.name} の 添付ファイルがありません({'、'.join(lost)})。", exit_code=1)


def _cell(cell: Any, where: str, found: Verified) -> None:
    if source(cell).strip() and cell.get("execution_count") is None:
        raise RunError(f"{where}が実行されていません。", exit_code=1)
    kept = []
    for output in cell.outputs:
        kind = output.output_type
        if kind == "error":
            raise RunError(f"{where}にエラーが残っています({output.get('ename')})。", exit_code=1)
        if kind == "stream" and output.get("name") == "stderr":
            found.stderr += f"[{where}]\n{source({'source': output.text})}\n"
            continue
        if kind == "stream":
            raise _unchecked(f"{where}が文字を直接出力(print)しています。")
        if kind not in SHOWN or not is_stamped(output):
            raise _unchecked(f"{where}に秘匿処理の印が無い出力があります。")
        _harvest(output, found)
        output.metadata = {k: v for k, v in output.metadata.items() if k == KEY or k.startswith("image/")}
        kept.append(output)
    cell.outputs = kept


def _unchecked(message: str) -> DisclosureError:
    return DisclosureError(
        message,
        hint="disclosure.check を通した結果を report の関数で表示してください。式の値や print は公開できません。",
    )


def _harvest(output: Mapping[str, Any], found: Verified) -> None:
    mark = output["metadata"][KEY]
    found.outputs += 1
    if not found.title and (first := HEADING.search(source({"source": output["data"].get("text/html", "")}))):
        found.title = unescape(re.sub(r"<[^>]*>", "", first.group(1))).strip()
    records = mark.get("headline") or {}
    found.headline |= dict(sorted(records.items(), key=lambda item: item[1].get("order", 0)))
    found.named |= mark.get("attachments") or {}
    log = mark.get("log") or {}
    if "rule" in log:
        found.rules.add(log["rule"])
    for name, count in log.items():
        if name in COUNTED:
            found.masking[name] = found.masking.get(name, 0) + count


def _kept(metadata: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: metadata[name] for name in names if metadata.get(name)}


def _clean(metadata: Mapping[str, Any]) -> dict[str, Any]:
    language = {k: v for k, v in metadata.get("language_info", {}).items() if k != "version"}
    spec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"kernelspec": spec, "language_info": language or {"name": "python"}}
