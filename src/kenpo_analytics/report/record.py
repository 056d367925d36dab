"""Could somebody repeat it? Definitions in force, parameters and versions, masking log, STROBE/RECORD checklist."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kenpo_analytics.disclosure import Checked
from kenpo_analytics.errors import ParameterError
from kenpo_analytics.report._emit import emit_html, fixed_id, must_be_checked, table_style
from kenpo_analytics.report.texts import paragraph

PACKAGES = ("kenpo-analytics", "polars", "pandas", "narwhals", "numpy", "scipy", "statsmodels", "matplotlib")
EMPTY = "未記入"
_FILL_IN = {"ethics": "倫理審査", "funding": "資金", "conflicts": "利益相反"}
_CLOCKS = {"checkup": "健診日", "letter": "通知日", "kpi": "KPIの年度"}
_LOG = {
    "people_cells": "人数のセル",
    "masked": "秘匿した人数",
    "events_masked": "秘匿した件数",
    "rates_masked": "秘匿した率",
    "merged_steps": "統合したフローの段",
}
# von Elm et al. 2007 (STROBE, cohort items), Benchimol et al. 2015 (RECORD, PLoS Med 12:e1001885); wording is ours
STROBE_RECORD = {
    "STROBE 1": "題名・要旨に研究デザインと要約",
    "RECORD 1.1": "題名・要旨にデータの種類とデータベース名",
    "RECORD 1.2": "題名・要旨に地域と期間",
    "RECORD 1.3": "データ連結の有無を題名・要旨に明記",
    "STROBE 2": "背景と根拠",
    "STROBE 3": "目的(事前に定めた仮説を含む)",
    "STROBE 4": "研究デザイン",
    "STROBE 5": "場所・期間(対象期間、追跡、データ収集)",
    "STROBE 6": "適格基準、抽出方法、追跡方法",
    "RECORD 6.1": "対象者の選定方法(コード・アルゴリズム)",
    "RECORD 6.2": "コード・アルゴリズムの妥当性の検証",
    "RECORD 6.3": "データ連結の流れ図",
    "STROBE 7": "アウトカム、曝露、交絡因子の定義",
    "RECORD 7.1": "曝露・アウトカム等の全コード一覧",
    "STROBE 8": "データの出所と測定方法",
    "STROBE 9": "バイアスへの対処",
    "STROBE 10": "対象者数の決め方",
    "STROBE 11": "量的な変数の扱い(区分と理由)",
    "STROBE 12": "統計方法(交絡の調整、欠測、脱落、感度分析)",
    "RECORD 12.1": "研究者がデータベースに接した範囲",
    "RECORD 12.2": "データ清掃の方法",
    "RECORD 12.3": "連結の水準・方法・質の評価",
    "STROBE 13": "各段階の人数と除外理由",
    "RECORD 13.1": "対象者の選定の詳細(データの質・有無・連結による除外、流れ図)",
    "STROBE 14": "対象者の特性と欠測、追跡期間",
    "STROBE 15": "アウトカムの件数・要約値",
    "STROBE 16": "粗い推定値と調整後の推定値、信頼区間",
    "STROBE 17": "その他の解析(層別、感度分析)",
    "STROBE 18": "主な結果の要約",
    "STROBE 19": "限界(バイアス、精度の不足)",
    "RECORD 19.1": "研究目的で集めたデータでないことの影響(誤分類、未測定の交絡、欠測、適格性の変化)",
    "STROBE 20": "結果の解釈",
    "STROBE 21": "一般化可能性",
    "STROBE 22": "資金",
    "RECORD 22.1": "計画書・元データ・プログラムの入手方法",
}


def definitions_table(
    rows: Iterable[Any],
    *,
    title: str = "用いた定義",
    used: Mapping[str, str] | None = None,
    note: str = "",
    empty: str | None = None,
) -> None:
    """Which definitions were in force? Assumptions (仮定) and a branch's own values (支部設定) are marked.

    `rows` are `Definition` records (`ka.define().family("prediabetes")`, `.assumptions()`, `.overrides()`).
    `used` tells by id where a page works with another value than today's definition (an evaluation follows the rule of
    its time): it stands beside the value, and `note` under the table says why. `empty` is said instead of no rows.
    """
    body = [
        (
            row.label or row.id,
            f"{row.item} {row.op} {_plain(row.value)} {row.unit}".strip() + _beside((used or {}).get(row.id)),
            row.validity,
            _CLOCKS.get(row.clock, str(row.clock)),
            f"【{row.status}】" if row.status in ("仮定", "支部設定") else str(row.status),
            row.source,
        )
        for row in rows
    ]
    if not body and empty is not None:
        return paragraph(empty)
    headings = ("定義", "値", "有効期間", "時計", "状態", "出典")
    notes = "【仮定】は出典で確認できていない値、【支部設定】は支部が変えた値(kenpo.toml など)。"
    emit_html(_table(title, headings, body, notes + note), f"<表: {title}>")


def _beside(text: str | None) -> str:
    return "" if text is None else f" → この報告では {text}"


def reproduction(
    parameters: Mapping[str, Any],
    *,
    definitions: Any = None,
    checked: Iterable[Checked | None] = (),
    fingerprints: Mapping[str, str] | None = None,
    ethics: str = EMPTY,
    funding: str = EMPTY,
    conflicts: str = EMPTY,
) -> None:
    """Could somebody run it again? Parameters, data fingerprints, definition and package versions, masking log.

    The output changes with the environment: mark the cell `# NBVAL_IGNORE_OUTPUT`.
    """
    rows = [("パラメータ", name, _plain(item)) for name, item in parameters.items()]
    rows += [("データの指紋", name, item) for name, item in (fingerprints or {}).items()]
    if definitions is not None:
        rows.append(("定義の版", "version", definitions.version))
        own = (("定義の支部設定", row.id, _plain(row.value)) for row in definitions.overrides())
        rows += dict.fromkeys(own)  # a value with several validity periods has a row for each
        rows.append(("定義の仮定", "件数", str(len(definitions.assumptions()))))
    rows += [("秘匿処理", name, item) for name, item in masking(checked).items()]
    rows.append(("環境", "Python", platform.python_version()))
    rows += [("環境", name, _version(name)) for name in PACKAGES]
    rows += [("倫理", "倫理審査", ethics), ("倫理", "資金", funding), ("倫理", "利益相反", conflicts)]
    title = "再現情報"
    told = {"ethics": ethics, "funding": funding, "conflicts": conflicts}
    note = _fill_in([name for name, text in told.items() if text == EMPTY])
    emit_html(_table(title, ("区分", "項目", "値"), rows, note), f"<表: {title}>")


def _fill_in(empty: Sequence[str]) -> str:
    """How is what is still empty filled in? Nothing to say of what is there."""
    if not empty:
        return ""
    words, names = "・".join(_FILL_IN[name] for name in empty), ", ".join(f'{name}="…"' for name in empty)
    return f"{words}は、この表を出すセルの report.reproduction(…) に {names} を書き足すと表示される。"


def masking(checked: Iterable[Checked | None]) -> dict[str, str]:
    """How much was masked on this page? Sums of the logs of all its checked results; None for what is not shown."""
    logs = [must_be_checked(item).log for item in checked if item is not None]
    if not logs:
        return {}
    own = [log for log in logs if log["rule"] != "public"]
    text = {"秘匿処理した表": str(len(own)), "公表値の表(対象外)": str(len(logs) - len(own))}
    text |= {label: f"{sum(log[name] for log in own):,}" for name, label in _LOG.items()}
    if own:
        text["最小集計単位"] = f"{min(log['min_cell'] for log in own)}人(0は表示)"
    return text


def strobe_record(done: Mapping[str, str], *, title: str = "STROBE／RECORD チェックリスト") -> None:
    """Where does this report answer each reporting item? `{"RECORD 6.1": "2 抽出条件"}`; the rest reads 未記載.

    An item that does not apply is said so, with the reason: `{"RECORD 6.3": "該当しない(データの連結なし)"}`.

    Raises
    ------
    ParameterError
        An item that is not on the list.
    """
    if unknown := [item for item in done if item not in STROBE_RECORD]:
        raise ParameterError(
            f"チェックリストにない項目です: {', '.join(unknown)}", hint=f"項目: {', '.join(STROBE_RECORD)}"
        )
    body = [(item, text, done.get(item, "未記載")) for item, text in STROBE_RECORD.items()]
    emit_html(_table(title, ("項目", "内容", "報告書での箇所"), body), f"<表: {title}>")


def _table(title: str, headings: tuple[str, ...], body: Iterable[tuple[str, ...]], note: str = "") -> str:
    """A table of texts: caption, scopes, no numbers of people in it."""
    identity = fixed_id(title)
    head = "".join(f'<th scope="col" class="gt_left">{escape(text)}</th>' for text in headings)
    rows = "".join(
        f'<tr><th scope="row" class="gt_left">{escape(str(first))}</th>'
        + "".join(f'<td class="gt_left">{escape(str(text))}</td>' for text in rest)
        + "</tr>"
        for first, *rest in body
    )
    foot = f'<tfoot><tr><td colspan="{len(headings)}">{escape(note)}</td></tr></tfoot>' if note else ""
    return (
        f'<div id="{identity}" class="kenpo" lang="ja" style="overflow-x:auto;">{table_style()}<table>'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>{foot}</table></div>"
    )


def _plain(item: object) -> str:
    if isinstance(item, bool):
        return "はい" if item else "いいえ"
    return f"{item:g}" if isinstance(item, float) else str(item)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "なし"
