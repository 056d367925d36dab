"""How is a table shown? Only checked tables, with every state told apart, as accessible HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report._emit import CONTEXT, SYNTHETIC, emit_html, fixed_id, must_be_checked, table_style
from kenpo_analytics.report._format import Col, cells, columns_of, footnotes, number, of_row, write
from kenpo_analytics.report.texts import paragraph


def show(
    checked: Checked | None,
    *,
    title: str,
    columns: Mapping[str, Col | str] | None = None,
    note: str | None = None,
    empty: str | None = None,
) -> None:
    """Show a checked table: caption, heading scopes, masks as 秘匿, and what the marks mean.

    Parameters
    ----------
    checked
        The result of `disclosure.check`, `check_flow` or `check_public`; anything else is refused.
    title
        The caption; the table's id follows from it.
    columns
        Which columns, in this order: name -> heading, or a `Col` with the way numbers are written.
    note
        A line under the table.
    empty
        What is said instead of a table without rows, or of none at all; "" says nothing.
    """
    if empty is not None and (checked is None or len(checked) == 0):
        paragraph(empty)
        return
    checked = must_be_checked(checked)
    emit_html(table_html(checked, title=title, columns=columns, note=note), f"<表: {title}>", log=checked.log)


def table_html(
    checked: Checked,
    *,
    title: str,
    columns: Mapping[str, Col | str] | None = None,
    note: str | None = None,
) -> str:
    """The HTML of a checked table, without showing it."""
    from great_tables import GT

    cols = {name: col for name, col in columns_of(checked, columns).items() if not _says_nothing(checked, name)}
    notes = [*([note] if note else []), *footnotes(checked, cols)]
    if CONTEXT.synthetic and not checked.public:
        notes.append(f"{SYNTHETIC}(実在の加入者ではない)")
    right = [name for name, col in cols.items() if col.style != "text" or col.upper]
    first = next(iter(cols))
    stub = first if first not in right else None
    identity = fixed_id(title)
    table = GT(cells(checked, cols), id=identity, rowname_col=stub)
    table = table.cols_label({name: col.label for name, col in cols.items() if name != stub})
    table = table.cols_align("left", [name for name in cols if name not in right and name != stub])
    table = table.cols_align("right", right) if right else table
    if stub:
        table = table.tab_stubhead(cols[stub].label)
    for line in notes:
        table = table.tab_source_note(line)
    return _accessible(table.as_raw_html(), title)


def _says_nothing(checked: Checked, name: str) -> bool:
    """Is this the 評価 column of a flow in which every step could be judged?"""
    return name == "status" and set(checked.table[name]) == {"評価"}


def _accessible(html: str, title: str) -> str:
    """A caption instead of a heading row, a short style sheet instead of great-tables' ten kilobytes."""
    html = re.sub(r"<style>.*?</style>", table_style(), html, count=1, flags=re.S)
    html = re.sub(
        r'<div id="([^"]+)" style="[^"]*">',
        r'<div id="\1" class="kenpo" lang="ja" style="overflow-x:auto;">',
        html,
        count=1,
    )
    html = re.sub(r' headers="[^"]*"| (?:row|col)span="1"', "", html)  # scope says it
    html = re.sub(r'(?<=<th)([^>]*) id="[^"]*"', r"\1", html)
    html = re.sub(r' data-quarto-[a-z-]+="false"| class="gt_(?:sourcenotes?|table_body|col_headings|table)"', "", html)
    html = re.sub(r'<span class="gt_from_md">(.*?)</span>', r"\1", html)
    html = html.replace("gt_col_heading gt_columns_bottom_border ", "").replace("gt_row ", "")
    html = html.replace('<td class="gt_right">', "<td>").replace(' class="gt_left gt_stub"', "")
    html = re.sub(r"\n\s*(?=<t[dh]\b|</tr>|\n)", "", html)  # a row a line: less than half the size in a notebook
    return re.sub(r"(<table[^>]*>)", rf"\1\n<caption>{escape(title)}</caption>", html, count=1)


def value(checked: Checked, column: str, style: Col | str = "auto", **where: object) -> str:
    """One checked number as text for a sentence: `value(kpi, "estimate", "percent", area="24")`.

    The mark of its state stands where it may not be shown. The filter must leave exactly one row.
    """
    row, states, col = _one(checked, column, style, where)
    return write(row[column], states[column], col)


def value_interval(
    checked: Checked,
    style: Col | str = "auto",
    *,
    estimate: str = "estimate",
    lower: str = "lower",
    upper: str = "upper",
    **where: object,
) -> str:
    """One checked estimate with its interval as text: "12.3%(95%信頼区間 11.0% ～ 13.6%)"."""
    row, states, col = _one(checked, estimate, style, where)
    text = write(row[estimate], states[estimate], col)
    if any(states[name] != "shown" for name in (estimate, lower, upper)):
        return text
    low, high = (number(float(row[name]), col.style, col.digits) for name in (lower, upper))
    level = row.get("level") or 0.95
    return f"{text}({100 * level:g}%信頼区間 {low} ～ {high})"


def _one(checked: Checked, column: str, style: Col | str, where: Mapping[str, object]) -> tuple[dict, dict, Col]:
    part = must_be_checked(checked).where(**where)
    if len(part) != 1:
        raise ParameterError(f"1行に決まりません({len(part)}行)。", hint=f"条件: {dict(where)}")
    asked = style if isinstance(style, Col) else Col(column, style)  # type: ignore[arg-type]
    row = part.table.to_dicts()[0]
    return row, part.states.to_dicts()[0], of_row(columns_of(part, {column: asked})[column], row)
