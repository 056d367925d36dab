"""Which values, assumptions, KPIs and columns does the suite use? Writes the generated pages of docs/.

Run `python -m kenpo_analytics.definitions.pages` after changing a definition or a table; a test compares the pages.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kenpo_analytics.definitions.allowed import told
from kenpo_analytics.definitions.calendar import ALL, Event, events
from kenpo_analytics.definitions.kpi import timings
from kenpo_analytics.definitions.kpi.page import TIMINGS, kpi_page
from kenpo_analytics.definitions.markdown import NOTE, grid, page
from kenpo_analytics.definitions.registry import Definition, Definitions, define, read
from kenpo_analytics.months import format_month, parse_month
from kenpo_analytics.tables import TABLES, Column, Table

DOCS = Path(__file__).parents[3] / "docs"
FAMILIES = {
    "prediabetes": "糖尿病予備群",
    "diabetes": "糖尿病域",
    "untreated": "未治療者",
    "judgement": "判定値(標準的な健診・保健指導プログラム)",
    "risk": "リスク保有者",
    "guidance": "特定保健指導の階層化",
    "population": "対象集団",
    "checkup": "健診の選び方",
    "fasting": "採血時間",
    "visit": "受診",
    "followup": "受診の追跡",
    "runout": "レセプトの到着",
    "next_checkup": "次回健診",
    "out_of_hours": "時間外受診",
    "quality": "データの質",
    "incentive": "インセンティブ制度",
}
CLOCKS = {"checkup": "健診月・診療月", "letter": "勧奨月", "kpi": "KPI年度(4月)"}
VISITS = {"first": "初診", "return": "再診"}
HOURS = {
    "after_hours": "時間外",
    "after_hours_special": "時間外特例",
    "holiday": "休日",
    "late_night": "深夜",
    "ped_evening": "小児夜間",
    "evening_early_in_hours": "夜間・早朝等(診療時間内)",
}
KINDS = {"int": "整数", "float": "小数", "str": "文字列", "bool": "真偽", "date": "日付", "month": "年月(YYYYMM)"}
SIGNS = {">=": "≧", "<=": "≦", "<": "＜", ">": "＞", "=": ""}


def pages(used: Definitions | None = None) -> dict[str, str]:
    """What does each page say? File name in docs/ to its text."""
    used = used or define()
    return {
        "definitions.md": _definitions(used),
        "assumptions.md": _assumptions(used),
        "kpi.md": kpi_page() + calendar_page(),
        "tables.md": _tables(TABLES.values()),
    }


def write(folder: Path = DOCS) -> list[Path]:
    """Write the pages into a folder; gives back their paths."""
    written = []
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
        written.append(folder / name)
    return written


def calendar_page() -> str:
    """The events that trends show, as the last part of the page of KPIs."""
    head = ("id", "時期", "できごと", "関わる指標・主題", "区分", "出典")
    rows = [
        (
            f"`{e.id}`",
            e.date.isoformat() + (f"～{e.until.isoformat()}" if e.until else ""),
            e.label,
            "すべて" if ALL in e.affects else "、".join(f"`{name}`" for name in e.affects),
            e.status,
            e.source,
        )
        for e in events()
    ]
    text = (
        "推移の図に、関わる指標だけ番号の線で示します。一覧は `src/kenpo_analytics/definitions/events.csv`"
        "(定義の変更は上の表から)。"
    )
    return "\n" + page(["## できごと(推移の図に示す)", text, grid(head, rows)])


# --- definitions ----------------------------------------------------------------------------------------


def _definitions(used: Definitions) -> str:
    families: dict[str, list[Definition]] = {}
    for row in used.rows:
        families.setdefault(row.id.split(".")[0], []).append(row)
    head = ("id", "内容", "値", "使える値", "有効期間", "時計", "区分", "出典")
    parts = [
        "# 定義一覧",
        NOTE,
        "集計に使う値はすべてここにあり、プログラムの中には書かれていません。有効期間は「時計」の月で判定します"
        "(健診月・診療月、勧奨通知の月、KPI年度の4月)。期間の終わりは含みません。"
        "区分「仮定」は出典で確かめられていない値で、[assumptions.md](assumptions.md) にまとめています。",
        _override_help(),
    ]
    for family, rows in families.items():
        parts += [
            f"## {FAMILIES.get(family, family)} (`{family}`)",
            grid(head, (_definition_row(row) for row in rows)),
        ]
    return page([*parts, "## 時間外加算の診療行為コード", *_fees()])


def _definition_row(row: Definition) -> tuple[str, ...]:
    return (f"`{row.id}`", row.label, _value(row), told(row), row.validity, CLOCKS[row.clock], row.status, row.source)


def _value(row: Definition) -> str:
    value = row.value if isinstance(row.value, str) else f"{row.value:.1f}" if row.unit == "%" else f"{row.value:g}"
    return f"{SIGNS[row.op]}{value}{' ' + row.unit if row.unit else ''}"


def _override_help() -> str:
    return "\n".join(
        [
            "## 支部で値を変えるには",
            "",
            "作業フォルダ(またはその上のフォルダ)の `kenpo.toml` に id と値を書きます。",
            "値はすべての版に適用され、区分は「支部設定」となり、報告に印字されます。",
            "一覧にない id、型の違う値、「使える値」にない値(負の月数、1を超える割合など)、",
            "上限以上の下限は、計算の前に拒まれます。",
            "",
            "```toml",
            "[definitions]",
            '"prediabetes.rule" = "and"',
            '"next_checkup.dead_band.fpg" = 8',
            "```",
        ]
    )


def _fees() -> list[str]:
    rows = list(read("fee_codes"))
    classes = Counter(
        (r["visit_type"], r["out_of_hours"], r["inpatient"], r["valid_from"], r["valid_to"]) for r in rows
    )
    lines = [
        (VISITS[visit], HOURS[hours], "入院" if inpatient == "1" else "入院外", _span(first, end), f"{count}")
        for (visit, hours, inpatient, first, end), count in classes.items()
    ]
    sources = "、".join(dict.fromkeys(r["source"] for r in rows))
    assumed = sum(r["status"] == "仮定" for r in rows)
    return [
        f"全{len(rows)}コード(うち仮定{assumed})。出典: {sources}。"
        "一覧は `src/kenpo_analytics/definitions/fee_codes.csv`。",
        "夜間・早朝等加算は診療時間内の加算のため、`out_of_hours.evening_early` を1にしない限り数えません。",
        grid(("初診・再診", "時間の区分", "入院・入院外", "有効期間", "コード数"), sorted(lines)),
    ]


def _span(first: str, end: str) -> str:
    until = f"{format_month(parse_month(end))}(未満)" if end else ""
    return f"{format_month(parse_month(first)) if first else ''}～{until}" if first or end else "全期間"


# --- assumptions ----------------------------------------------------------------------------------------


def _assumptions(used: Definitions) -> str:
    rows = used.assumptions()
    head = ("id", "内容", "値", "有効期間", "時計", "仮定とした理由・参考")
    lines = ((f"`{r.id}`", r.label, _value(r), r.validity, CLOCKS[r.clock], r.source) for r in rows)
    return page(
        [
            "# 仮定一覧",
            NOTE,
            f"公表資料などの出典で確かめられず、仮に置いた値です({len(rows)}件)。"
            "支部や本部の取扱いが分かれば、`kenpo.toml` の `[definitions]` で変えてください"
            "(書き方は [definitions.md](definitions.md))。",
            grid(head, lines),
            "## できごとの日付",
            "推移の図に示すできごとのうち、日付を出典で確かめられていないものです。一覧は [kpi.md](kpi.md)。",
            grid(("id", "できごと", "日付", "仮定とした理由・参考"), map(_event, _assumed_events())),
            "## KPIの年度途中の割合",
            "分子と分母がともに年度累計のKPIの、年度途中の割合の読み方のうち、出典のないものです。"
            "読み方は [kpi.md](kpi.md)、元は `src/kenpo_analytics/definitions/kpi/timing.csv`。",
            grid(("id", "年度途中の割合", "理由", "仮定とした理由・参考"), map(_timing, _assumed_timings())),
            "## 決めたこと (D1–D9)",
            "計画や公表資料の間で食い違うこと、書かれていないことを、この分析ではこう決めました。"
            "出典や説明の中の「D1」などは、この表を指します。",
            grid(("番号", "問い", "決めたこと"), (tuple(row.values()) for row in read("decisions"))),
        ]
    )


def _assumed_timings() -> list[dict[str, str]]:
    return [row for row in timings() if row["status"] == "仮定"]


def _timing(row: dict[str, str]) -> tuple[str, ...]:
    return f"`{row['kpi_id']}`", TIMINGS[row["timing"]], row["why"], row["source"]


def _assumed_events() -> list[Event]:
    return [event for event in events() if event.status == "仮定"]


def _event(event: Event) -> tuple[str, ...]:
    return (f"`{event.id}`", event.label, event.date.isoformat(), event.source)


# --- tables ---------------------------------------------------------------------------------------------


def _tables(tables: Iterable[Table]) -> str:
    parts = [
        "# 表の一覧",
        NOTE,
        "データのフォルダに `<表の名前>.parquet`(または `<表の名前>/` の中のParquetファイル)を置きます。"
        "`kenpo check フォルダ` で、ここに書かれた型・必須・範囲・値・キーを点検できます。"
        "範囲の外、全く同じ行の繰り返し、ほかの表にないIDは注意(範囲の外とほかの表にないIDは、半数の行を超えれば誤り)、それ以外は誤りです。個人IDとレセプトIDは整数でも文字列でもかまいません(表の間でそろえます)。",
    ]
    head = ("列", "内容", "型", "単位", "必須", "範囲", "値", "キー")
    for table in tables:
        needed = "なくてもよい表" if table.optional else "必要な表"
        intro = f"1行は{table.row}。キー: {', '.join(f'`{name}`' for name in table.key)}。{needed}。"
        parts += [f"## {table.name}", intro, grid(head, (_column_row(table, column) for column in table.columns))]
    return page(parts)


def _column_row(table: Table, column: Column) -> tuple[str, ...]:
    low, high = (f"{bound:.10g}" if bound is not None else "" for bound in (column.low, column.high))
    return (
        f"`{column.name}`",
        column.label,
        KINDS[column.kind],
        column.unit,
        "○" if column.required else "",
        f"{low}～{high}" if low or high else "",
        " / ".join(column.values),
        "○" if column.name in table.key else "",
    )


if __name__ == "__main__":
    sys.stdout.write("\n".join(str(path) for path in write()) + "\n")
