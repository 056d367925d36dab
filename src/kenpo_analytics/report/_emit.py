"""The one way out: every output of a report is stamped here, and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from kenpo_analytics.disclosure import Checked, stamp
from kenpo_analytics.errors import DisclosureError

SYNTHETIC = "合成データ"
_CSS = (  # one line without spaces: it stands once in a page, under its heading
    ".kenpo.kenpo.kenpo table{border-collapse:collapse;font-size:14px;margin:4px 0;width:auto}"
    ".kenpo.kenpo.kenpo caption{caption-side:top;text-align:left;font-weight:bold;padding:4px 0;color:inherit}"
    ".kenpo.kenpo.kenpo :is(th,td){padding:3px 10px;border-bottom:1px solid #d0d0d0;vertical-align:top}"
    ".kenpo.kenpo.kenpo thead th{border-top:2px solid #555;border-bottom:2px solid #555;vertical-align:bottom}"
    ".kenpo.kenpo.kenpo th{font-weight:600;text-align:left}"
    ".kenpo.kenpo.kenpo tbody th{font-weight:normal;min-width:7.5em}"
    ".kenpo.kenpo.kenpo td{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".kenpo.kenpo.kenpo .gt_left{text-align:left;white-space:normal;min-width:5.6em}"
    ".kenpo.kenpo.kenpo thead .gt_right{text-align:right;white-space:nowrap}"
    ".kenpo.kenpo.kenpo tfoot td{border:0;font-size:12px;text-align:left;white-space:normal;color:#444;padding:1px 2px}"
)


@dataclass
class Context:
    """What holds for the whole page: is the data synthetic, is the style of tables there? Set by `heading`."""

    synthetic: bool = False
    styled: bool = False


CONTEXT = Context()


def emit(
    data: Mapping[str, str],
    *,
    log: dict[str, Any] | None = None,
    headline: Mapping[str, Any] | None = None,
    alt: str | None = None,
    attachments: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Show one mimebundle with its stamp; `alt` is the text alternative of an image.

    `attachments` are files handed to the run beside the page: name to title and sha256.
    """
    from IPython.display import display

    metadata = stamp(data, log=log)
    if headline:
        metadata["kenpo"]["headline"] = dict(headline)
    if attachments:
        metadata["kenpo"]["attachments"] = dict(attachments)
    if alt is not None:
        metadata["image/png"] = {"alt": alt}
    display(dict(data), raw=True, metadata=metadata)


def emit_html(html: str, plain: str, **more: Any) -> None:
    """Show a piece of HTML, with a line of text for readers that cannot."""
    emit({"text/html": html, "text/plain": plain}, **more)


def table_style() -> str:
    """The style sheet of tables, unless the page's heading has brought it: fifty copies are a seventh of a notebook."""
    return "" if CONTEXT.styled else f"<style>{_CSS}</style>"


def must_be_checked(value: object) -> Checked:
    """Refuse whatever has not been through the check."""
    if isinstance(value, Checked):
        return value
    raise DisclosureError(
        f"秘匿処理を通っていない結果は表示できません({type(value).__name__})。",
        hint="disclosure.check(表, counts=…) の結果を渡してください。公表値はcheck_publicです。",
    )


def fixed_id(title: str) -> str:
    """An id that is the same in every run (a random one would make each page differ)."""
    return "kenpo-" + hashlib.sha256(title.encode()).hexdigest()[:10]


def lines(text: str) -> str:
    """Escape text for HTML; blank lines part paragraphs, lines that begin with "- " become a list."""
    parts = []
    for block in text.strip().split("\n\n"):
        rows = [row.strip() for row in block.splitlines()]
        if rows and all(row.startswith("- ") for row in rows):
            items = "".join(f"<li>{escape(row[2:])}</li>" for row in rows)
            parts.append(f"<ul>{items}</ul>")
        else:
            parts.append("<p>" + "<br>".join(escape(row) for row in rows) + "</p>")
    return "".join(parts)
