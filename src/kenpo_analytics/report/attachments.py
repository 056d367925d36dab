"""What goes out beside a page? Files made from checked results, named in a stamped output with their digest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

from kenpo_analytics.disclosure.stamp import ATTACHMENTS
from kenpo_analytics.errors import DisclosureError
from kenpo_analytics.report._emit import emit_html

_TOKEN = object()


@dataclass(frozen=True)
class Attachment:
    """One file for the month's folder. Made by the functions of this room only, from checked results."""

    name: str
    title: str
    content: bytes
    token: object = None

    def __post_init__(self) -> None:
        if self.token is not _TOKEN:
            raise DisclosureError(
                "添付ファイルは直接作れません。", hint="report.meeting_page か report.workbook で作ってください。"
            )


def made(name: str, title: str, content: bytes) -> Attachment:
    """Close a file of this room; not exported, so that only what was made from checked results is handed out."""
    return Attachment(name, title, content, _TOKEN)


def attach(*files: Attachment) -> None:
    """Hand files to the monthly run, which publishes them beside the page; elsewhere only their names are shown.

    The stamped output names every file with its sha256: the run refuses a file that no output names, and one that was
    changed after it was handed over.
    """
    handed: dict[str, dict[str, str]] = {}
    if folder := os.environ.get(ATTACHMENTS):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in files:
            (Path(folder) / file.name).write_bytes(file.content)
            handed[file.name] = {"title": file.title, "sha256": hashlib.sha256(file.content).hexdigest()}
    rows = "".join(f'<li><a href="{escape(file.name)}">{escape(file.title)}</a></li>' for file in files)
    plain = "添付: " + "、".join(f"{file.title}({file.name})" for file in files)
    emit_html(
        f'<div lang="ja"><p>添付(月次実行 kenpo run が、この報告の隣に置きます)</p><ul>{rows}</ul></div>',
        plain,
        attachments=handed,
    )
