"""What was recognised in this file, and what not? For the engineer who has to write a mapping; never shows a value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.checkups.headers import FKAC167, PEOPLE, plain
from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.files.lines import decode
from kenpo_analytics.ingest.files.recognise import CLAIM_RECORDS, HEAD_BYTES, LAYOUTS, codes, look
from kenpo_analytics.ingest.files.sources import Source, find
from kenpo_analytics.ingest.lists.mapping import HEADER_ROWS, find_header, named
from kenpo_analytics.ingest.lists.mapping_toml import Mapping, keys_of
from kenpo_analytics.ingest.lists.propose import propose, toml
from kenpo_analytics.ingest.values import text

_TITLES = {
    "side_file": "付属ファイル(健診XMLの索引など、RECODEINFOに添えられたもの。取り込みません)",
    "unknown": "知らない様式です。対応表(mapping.toml)が要ります",
}
_DOCUMENTS = 20
_RECORDS = {"recodeinfo": 3, "uke": 0}
_ENCODINGS = {"cp932": "CP932(Shift_JIS)", "utf-8": "UTF-8", "ascii": "ASCII(半角のみ)", "xlsx": "Excel"}
_CODE = re.compile(rb'<(?:\w+:)?code\s[^>]*\bcode="(\d[A-Z]\d{15})"')
_KANA = re.compile(r"[ァ-ヺー\s・ｦ-ﾟ]+")
_DAY = re.compile(r".*[-/年].*|[0-9]{7,8}|.*\..*\..*")
_MEASURED = ("数値", "日付", "1桁の数字")
_RULE_KINDS = {"censored": "H・L・未満など", "not_measurable": "測定不能", "": "未実施"}


def explain(path: Path, mappings: Sequence[Mapping] = ()) -> str:
    """What would ingest make of this file, archive or folder?

    In Japanese: layout, encoding, header row, number of rows, each column's meaning and the types of its first values,
    and, for an unknown table, what is missing and a proposed mapping. All but the proposal are comments (#): the output
    for one unknown file, saved as mapping.toml, can be passed with --mapping (of checkups once their kind is chosen).
    Values are never shown; in a table without a header row no cell is.

    Raises
    ------
    IngestError
        The path does not exist.
    """
    found = find(path, mappings)
    if not found:
        return f"# {path}: 取り込むファイルがありません(隠しファイル、README、鍵、対応表は数えません)。\n"
    return "\n".join(_source(source, mappings) for source in found)


def _source(source: Source, mappings: Sequence[Mapping]) -> str:
    layout, _, name = source.layout.partition(":")
    title = _TITLES.get(layout) or LAYOUTS.get(layout) or f"対応表「{name}」で読む表({named(name, mappings).table})"
    lines = [f"ファイル   {source.name}({source.size:,}バイト)", f"様式       {title}"]
    proposal = ""
    try:
        if source.problem:
            lines.append(f"理由       {source.problem}")
        elif source.entries:
            lines += [f"文書       {len(source.entries):,}件", *(_documents(source) if layout == "checkup_xml" else ())]
        else:
            described, proposal = _table(source, layout, mappings)
            lines += described
    except IngestError as error:
        lines.append(f"理由       {error.message}")
    return "".join(f"# {line}\n" for line in lines) + proposal


# --- documents -----------------------------------------------------------------------------------------


def _documents(source: Source) -> list[str]:
    """Item codes of the first documents: codes are public, values are not looked at."""
    found: Counter[str] = Counter()
    for entry in source.entries[:_DOCUMENTS]:
        with source.open(entry) as stream:
            found.update({code.decode() for code in _CODE.findall(stream.read())})
    known = {code: f"{item.name} → {item.column}" for code, item in items().items() if code in found}
    lines = [f"項目       初めの{min(_DOCUMENTS, len(source.entries))}件に現れたもの"]
    lines += [f"  {code}  {meaning}({found[code]}件)" for code, meaning in known.items()]
    other = sorted(found.keys() - known)
    return [*lines, f"  使わない項目 {len(other)}種類: {'、'.join(other) or 'なし'}"]


# --- tables --------------------------------------------------------------------------------------------


def _table(source: Source, layout: str, mappings: Sequence[Mapping]) -> tuple[list[str], str]:
    with source.open() as stream:
        head = stream.read(HEAD_BYTES)
    seen = look(head, lambda: _whole(source), mappings)
    height = _rows(source) if seen.height is None else seen.height
    lines = [f"文字コード {_ENCODINGS.get(seen.encoding, '不明')}", f"行数       {height:,}行"]
    if layout in _RECORDS:
        return [*lines, _records(seen.rows, _RECORDS[layout])], ""
    if layout == "fee_master" or not seen.rows:
        return lines, ""
    place = _header_row(layout, seen.rows, mappings)
    if place is None:
        return [*lines, "見出し行   初めの20行に見つかりません。1行を見出しにした表として、保存し直してください。"], ""
    headers, below = seen.rows[place], seen.rows[place + 1 :]
    kinds = [_kinds([row[at] for row in below if at < len(row)]) for at in range(len(headers))]
    lines.append(f"見出し行   {place + 1}行目(空行は数えません)" + (f"、シート「{seen.sheet}」" if seen.sheet else ""))
    if layout == "unknown":
        return _proposed(lines, headers, kinds, Path(source.name.split("!")[-1]).stem)
    meanings = _meanings(layout, headers, mappings)
    return [*lines, *_columns(headers, kinds, meanings, only_codes=layout == "fkac522")], ""


def _whole(source: Source) -> bytes:
    with source.open() as stream:
        return stream.read()


def _rows(source: Source) -> int:
    with source.open() as stream:
        return sum(block.text.count("\n") for block in decode(stream)[1])


def _records(rows: list[list[str]], place: int) -> str:
    counts = Counter(row[place] for row in rows if len(row) > place and row[place] in CLAIM_RECORDS)
    return f"レコード   初めの{len(rows)}行: {'、'.join(f'{kind} {count}' for kind, count in sorted(counts.items()))}"


def _header_row(layout: str, rows: list[list[str]], mappings: Sequence[Mapping]) -> int | None:
    """The row with most item codes, known names or proposed keys; else words above columns of numbers or days.

    A row with a day or a long number is no header row: it may be about a person.
    """
    top = range(min(HEADER_ROWS, len(rows)))
    if layout in ("cc2x", "fkac522"):
        return max(top, key=lambda place: len(codes(rows[place])))
    if layout == "fkac167":
        return max(top, key=lambda place: sum(map(bool, _meanings(layout, rows[place], ()))))
    matched = find_header(rows, mappings)
    if matched is not None:
        return matched.row
    wordy = [place for place in top if not any(_tells(cell) for cell in rows[place])]
    proposals = {place: proposal for place in wordy if (proposal := propose(rows[place]))}
    if proposals:
        return max(proposals, key=lambda place: len(set(proposals[place].keys)))
    return next((place for place in wordy if _heads(rows[place], rows[place + 1 :])), None)


def _tells(cell: str) -> bool:
    return _kind(cell) == "日付" or (_kind(cell) == "数値" and len(cell.strip()) > 2)


def _heads(row: list[str], below: list[list[str]]) -> bool:
    """Whether at least two columns hold numbers or days below a word: no row of data looks like that."""
    words = [at for at, cell in enumerate(row) if _kind(cell) in ("文字", "カナ")]
    columns = [Counter(_kind(line[at]) for line in below if at < len(line) and line[at].strip()) for at in words]
    return sum(2 * sum(kinds[kind] for kind in _MEASURED) > kinds.total() for kinds in columns) >= 2


def _meanings(layout: str, headers: list[str], mappings: Sequence[Mapping]) -> list[str | None]:
    """What each column is read as; None where it is not."""
    if layout == "mapped":
        matched = find_header([headers], mappings)
        if matched is None:
            return [None] * len(headers)
        labels, found = keys_of(matched.mapping.table), matched.mapping.found(headers)
        at = {place: f"{labels[key]}({key})" for key, places in found.items() for place, _ in places}
        return [at.get(place) for place in range(len(headers))]
    return [_of_checkup(layout, plain(header)) for header in headers]


def _of_checkup(layout: str, header: str) -> str | None:
    item = items().get(FKAC167.get(header, "") if layout == "fkac167" else header.upper())
    if item is not None:
        return f"{item.name}({item.column})"
    return next((f"{names[-1]}({key})" for key, names in PEOPLE.items() if header in names), None)


def _columns(headers: list[str], kinds: list[str], meanings: list[str | None], only_codes: bool = False) -> list[str]:
    """A line a column. With `only_codes` (FKAC522) the row of codes holds a date and a name as well: not shown."""
    lines = [f"列         {len(headers)}列のうち{sum(map(bool, meanings))}列を使います"]
    for place, (header, meaning, kind) in enumerate(zip(headers, meanings, kinds, strict=True), 1):
        shown = "(項目コードでない欄)" if only_codes and not codes([header]) else f"「{' '.join(header.split())}」"
        lines.append(f"  {place:>3} {shown} → {meaning or '使いません'} [{kind}]")
    return lines


def _proposed(lines: list[str], headers: list[str], kinds: list[str], stem: str) -> tuple[list[str], str]:
    proposal = propose(headers)
    if proposal is None:
        lines.append("対応表     知っている見出しが2つもないため、案を作れません。列の見出しと型は次のとおりです。")
        return [*lines, *_columns(headers, kinds, [None] * len(headers))], ""
    known, guessed = sum(key is not None for key in proposal.keys), len(proposal.guessed)
    lines.append(f"対応表の案 {proposal.table} の表として、{len(headers)}列のうち{known}列(推定{guessed}列)")
    if proposal.table == "checkups" and "kind" not in proposal.keys:
        lines.append("健診の種類 どの列にもありません。終わりの # kind の行で選んでください(選ぶまで取り込めません)。")
    if proposal.missing:
        lines.append(f"不足       {'、'.join(proposal.missing)}。列に対応を書くか、[defaults] に書いてください。")
    lines.append("使い方     このまま mapping.toml に保存し、注記を確かめてから、--mapping mapping.toml で渡します。")
    return lines, "\n" + toml(proposal, headers, kinds, stem or "list")


# --- types, never values -------------------------------------------------------------------------------


def _kinds(cells: Sequence[str]) -> str:
    return "、".join(f"{kind} {count}" for kind, count in Counter(map(_kind, cells)).most_common()) or "行がありません"


def _kind(cell: str) -> str:
    reading = text.number(cell)
    if not cell.strip():
        return "空"
    if reading.value is not None and not _DAY.fullmatch(cell.strip()):
        return "1桁の数字" if len(cell.strip()) == 1 else "数値"
    if text.date(cell)[0] is not None:
        return "日付"
    if reading.value is not None:
        return "数値"
    return _RULE_KINDS.get(reading.rule or "", "カナ" if _KANA.fullmatch(cell) else "文字")
