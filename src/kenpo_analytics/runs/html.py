"""How does a person open it? Self-contained pages: a report as HTML, a month's index, and the root index."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kenpo_analytics.errors import RunError
from kenpo_analytics.runs import labels

TEMPLATES = Path(__file__).parent / "templates"
TITLE = "医療・健診データ分析 月次報告"
COUNTING = ("人", "件", "回", "人月", "人年", "施設")
_REQUESTS = (
    re.compile(r"""<(?!a\b)[a-z][^>]*?\s(?:src|srcset|href|data|poster|action)\s*=\s*["']?\s*(?:https?:)?//""", re.I),
    re.compile(r"""<img\b[^>]*?\ssrc\s*=\s*["']?\s*(?!data:)[^"'\s>]""", re.I),
    re.compile(r"""@import\s+(?:url\()?\s*["']?\s*(?:https?:)?//""", re.I),
    re.compile(r"""url\(\s*["']?\s*(?:https?:)?//""", re.I),
)


def month_label(month: str) -> str:
    """`2025-10` as 2025年10月."""
    year, _, number = month.partition("-")
    return f"{year}年{int(number)}月"


def external(page: str) -> list[str]:
    """What would a browser fetch on opening this page? A link to click on is no such request."""
    return [match.group(0)[:120] for pattern in _REQUESTS for match in pattern.finditer(page)]


@functools.cache
def css() -> str:
    """The style sheet of all pages."""
    return (TEMPLATES / "style.css.j2").read_text(encoding="utf-8")


@functools.cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter

    return HTMLExporter(template_name="kenpo", extra_template_basedirs=[str(TEMPLATES)], language_code="ja")


def report(notebook: Any, *, title: str, month: str, synthetic: bool, footer: str) -> str:
    """A verified notebook as one HTML page that needs nothing else.

    Raises
    ------
    RunError
        Exit code 1, if the page would fetch something on opening.
    """
    facts = {
        "title": title,
        "css": css(),
        "synthetic": synthetic,
        "month_label": month_label(month),
        "footer": footer,
        "labels": [("injected-parameters", "この実行の条件"), ("parameters", "条件の既定値")],
    }
    page, _ = _exporter().from_notebook_node(notebook, resources={"kenpo": facts, "metadata": {"name": title}})
    must_stand_alone(page, title)
    return page


def must_stand_alone(page: str, title: str) -> None:
    """Refuse (RunError, exit code 1) a page that would fetch something on opening."""
    if found := external(page):
        raise RunError(
            f"{title}: 開くと外部に接続するページになります({found[0]})。",
            exit_code=1,
            hint="画像やスクリプトは埋め込んでください。",
        )


def _number(value: object, digits: int | None, unit: str) -> str:
    if value is None or value != value:  # a NaN is no number to show
        return "—"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}{unit}"
    if not isinstance(value, float):
        return str(value)
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}{unit}"


def figure(record: Any, name: str) -> dict[str, str]:
    """A headline record as the index shows it: label, value, interval, counts.

    A record carries `estimate`, `lower`, `upper`, and counts as `numerator` (or `events`) and `denominator`; `label`,
    `unit`, `digits` and `scale` (100 for per cent) say how it is shown. `denominator_unit` (or `unit`, where it counts
    something: 人, 件) stands beside the counts. No counts for an `adjusted` value, which is not their quotient. A bare
    number or text is shown as it is.
    """
    if not isinstance(record, Mapping):
        return {"label": name, "value": _number(record, None, ""), "interval": "", "counts": ""}
    digits, scale = record.get("digits"), record.get("scale", 1)
    unit = record.get("unit") or ""

    def show(key: str) -> str:
        value = record.get(key)
        return _number(value * scale if isinstance(value, int | float) else value, digits, unit)

    has_interval = record.get("lower") is not None and record.get("upper") is not None
    events = record.get("numerator", record.get("events"))
    whole = record.get("denominator", record.get("persons"))  # a share of people has no other denominator
    counted = str(record.get("denominator_unit") or (unit if unit in COUNTING else ""))
    parts = [_number(value, 0, "") for value in (events, whole) if value is not None and not record.get("adjusted")]
    return {
        "label": str(record.get("label") or name),
        "value": show("estimate"),
        "interval": f"{show('lower')} 〜 {show('upper')}{_level(record)}" if has_interval else "",
        "counts": " / ".join(parts) + (f" {counted}" if parts and counted else ""),
    }


def _level(record: Mapping[str, Any]) -> str:
    level = record.get("level")
    return f" ({level * 100:g}%)" if isinstance(level, float) else ""


@functools.cache
def _pages() -> Any:
    import jinja2

    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {
        "month_label": month_label,
        "figure": figure,
        "label": labels.label,
        "given": labels.value,
        "moment": lambda text: str(text)[:16].replace("T", " "),
    }
    return pages


def _page(template: str, title: str, *, synthetic: bool, **facts: Any) -> str:
    from markupsafe import Markup

    return _pages().get_template(template).render(title=title, css=Markup(css()), synthetic=synthetic, **facts)


def month_index(manifest: Mapping[str, Any]) -> str:
    """The index page of one month, from its manifest."""
    title = f"{TITLE} {month_label(manifest['month'])}"
    return _page("month.html.j2", title, synthetic=bool(manifest.get("synthetic")), m=manifest)


def root_index(manifests: Sequence[Mapping[str, Any]]) -> str:
    """The index of all months, from their manifests."""
    synthetic = any(manifest.get("synthetic") for manifest in manifests)
    return _page("root.html.j2", TITLE, synthetic=synthetic, months=manifests)
