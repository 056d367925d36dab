"""What does the page say? Title block, summary sentence, paragraphs; every one stamped like the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kenpo_analytics.definitions.branch_codes import branch_code
from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, emit_html, must_be_checked, table_style
from kenpo_analytics.report._emit import lines as as_html
from kenpo_analytics.report._format import DIGITS, Col, columns_of, of_row
from kenpo_analytics.report.areas import branch_names

_BANNER = f"{SYNTHETIC}：実在の加入者・事業所の情報ではありません"
_BOX = "border-left:6px solid {colour};background:{back};padding:8px 14px;margin:8px 0;color:#111;"


def heading(
    title: str,
    *,
    synthetic: bool | None = None,
    tables: Any = None,
    month: str | int | None = None,
    branch: str | None = None,
    fiscal_years: Sequence[int] = (),
    used_months: str = "",
    purpose: str = "",
) -> None:
    """Open a report: title, as-of month, branch, which fiscal years and months are used, and the 合成データ banner.

    Whether the data are synthetic comes from `synthetic`, else from `tables.synthetic`; one of them must be given,
    since every figure and table below says so too. A page of public figures only passes `synthetic=False`.

    Raises
    ------
    ParameterError
        Nobody says whether the data are synthetic, or `branch` is no code of a branch.
    """
    known = synthetic if synthetic is not None else getattr(tables, "synthetic", None)
    if known is None:
        raise ParameterError(
            "合成データかどうかが分かりません。",
            hint="tables=ka.load()の結果、または synthetic=True / False を渡してください。",
        )
    CONTEXT.synthetic, CONTEXT.styled = bool(known), False
    facts = [
        ("基準月", _month(month)),
        ("支部", f"{branch_names()[branch_code(branch)]}支部" if branch else ""),
        ("用いた年度", "、".join(f"{year}年度" for year in fiscal_years)),
        ("用いた月", used_months),
        ("目的", purpose),
    ]
    rows = "".join(f'<p style="margin:2px 0"><b>{name}</b>：{escape(text)}</p>' for name, text in facts if text)
    banner = _box(f"<b>{_BANNER}</b>", "#D55E00", "#fdeee4") if CONTEXT.synthetic else ""
    banner = f'<div class="kenpo-synthetic">{banner}</div>' if banner else ""  # the page has one of its own
    html = f'<header lang="ja" aria-label="{escape(title)}">{table_style()}{banner}{rows}</header>'
    CONTEXT.styled = True
    plain = "\n".join([title, *([_BANNER] if banner else []), *(f"{name}: {text}" for name, text in facts if text)])
    emit_html(html, plain)


def conclusion(text: str, *, headline: Mapping[str, tuple[Checked, Col]] | None = None, adjusted: bool = False) -> None:
    """The 要約 box: one sentence with the estimate and its interval.

    Parameters
    ----------
    text
        The sentence; take its numbers from checked results with `value` and `value_interval`.
    headline
        Figures for the run's manifest and index: name -> (a checked result of one row with `estimate`, `lower`,
        `upper` and counts, how it is shown). Masked ones travel as null.
    adjusted
        The figures are standardised: the index then shows no counts beside them, which do not give the estimate.
    """
    html = _box(f"<b>要約</b>{as_html(text)}", "#0072B2", "#e9f2f9")
    given = enumerate((headline or {}).items())
    marks = {"adjusted": True} if adjusted else {}
    records = {
        name: _record(*shown) | marks | {"order": i} for i, (name, shown) in given
    }  # notebooks sort keys when saved
    emit_html(f'<section lang="ja" aria-label="要約">{html}</section>', f"要約: {text}", headline=records)


def paragraph(text: str) -> None:
    """A paragraph, or with lines that begin with "- " a list; an empty text shows nothing."""
    if not text:
        return
    emit_html(f'<div lang="ja">{as_html(text)}</div>', text)


def _record(checked: Checked, col: Col) -> dict[str, Any]:
    if len(must_be_checked(checked)) != 1:
        raise ParameterError(
            f"見出しの数値は1行の表から作ります({len(checked)}行)。", hint="checked.where(…) で絞ってください。"
        )
    row = checked.table.to_dicts()[0]
    shown = of_row(columns_of(checked, {"estimate": col})["estimate"], row)
    scaled = {"percent": "%", "points": "ポイント"}
    digits = shown.digits if shown.digits is not None else DIGITS.get(shown.style, 0)
    record = {
        name: row[name]
        for name in ("estimate", "lower", "upper", "level", "method", "numerator", "events", "persons", "denominator")
        if name in row
    }
    unit = shown.unit or scaled.get(shown.style, "")
    return record | {"label": col.label, "unit": unit, "digits": digits, "scale": 100 if shown.style in scaled else 1}


def _month(month: str | int | None) -> str:
    if month is None:
        return ""
    digits = str(month).replace("-", "")
    return f"{digits[:4]}年{int(digits[4:6])}月"


def _box(html: str, colour: str, back: str) -> str:
    return f'<div style="{_BOX.format(colour=colour, back=back)}">{html}</div>'
