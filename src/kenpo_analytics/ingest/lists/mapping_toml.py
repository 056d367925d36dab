"""Which column is what? A mapping.toml says it for a list that nobody specified.

A mapping names the staged table, gives each header its key, and may add constants::

    name = "x_clinic"
    table = "checkups"                 # a staged table: members, checkups, mailings, guidance, workplaces, ...
    sheet = "結果"                     # Excel only, optional: otherwise every sheet whose headers fit
    encoding = "cp932"                 # CSV only, optional: otherwise found from the bytes
    [columns]
    "受診日" = "checkup_date"
    "喫煙" = { key = "smoking", codes = { "1" = "yes", "2" = "no" } }
    "生年月日" = { key = "birth", date = "%d/%m/%Y" }
    "血糖" = { key = "fpg", unit = "mg/dL", codes = { "検査なし" = "" } }
    [defaults]
    insurer = "01240019"

Headers are compared in NFKC, without spaces and capitals; repeated ones carry _2, _3 by order. Several headers of one
key are alternatives, taken in the order written. A default fills what no column does.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kenpo_analytics.definitions.toml_text import why_not_toml
from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.checkups.item_values import items, normal_unit
from kenpo_analytics.ingest.rules import IDENTITY_LABELS
from kenpo_analytics.ingest.values.text import header as normal_header
from kenpo_analytics.ingest.values.text import number
from kenpo_analytics.tables import KPI_MONTHLY, NATIONAL, TABLES

MAPPABLE = ("members", "checkups", "mailings", "guidance", "workplaces", "claim_status", "national", "kpi_monthly")
_EXTRA = {
    "members": {"address": "住所", "changed_from": "異動日"},
    "checkups": {"action": "登録・取消"},
    "mailings": {"checkup_date": "健診日"},
    "claim_status": {"claim_key": "検索番号", "status": "状態"},
}
_ASSIGNED = ("person_id", "record_id", "claim_id", "link_rule", "birth_month", "fy_age_base")  # made by ingest
_MEASURED = tuple(dict.fromkeys(name for item in items().values() if item.unit for name in (item.key, item.column)))
_WHO = ("number", "symbol_number", "kana", "name")
_REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "members": (
        ("insurer",),
        ("number", "symbol_number"),
        ("birth",),
        ("sex",),
        ("valid_from", "changed_from"),
        ("relationship", "branch_number"),
    ),
    "checkups": (("birth",), _WHO, ("checkup_date",), ("kind",), _MEASURED),
    "mailings": (("birth", "branch_number"), _WHO, ("programme",), ("planned_date", "sent_date")),
    "guidance": (
        ("birth", "branch_number"),
        _WHO,
        ("fiscal_year",),
        ("level", "first_interview", "completed"),
    ),
    "workplaces": (("workplace_id",), ("industry",)),
    "claim_status": (("claim_key",), ("status",)),
    "national": tuple((column.name,) for column in NATIONAL.columns if column.required),
    "kpi_monthly": tuple((column.name,) for column in KPI_MONTHLY.columns if column.required),
}
KIND = "生活習慣病予防健診、特定健診、事業者健診"
CHOOSE_KIND = f"3つ({KIND})のうちどれかを選び、# を外してください"
_SHAPE = "書き方は docs/ingest.md の「対応表(mapping.toml)」にあります。"
_WITH_UNIT = re.compile(r"(.+?)[(\[〔【]([^()]+)[)\]〕】]")
_DATE_PARTS = re.compile(r"%[YymdBbHMSj]")


@dataclass(frozen=True)
class Field:
    """What one header means: its key and, where given, the unit, the strptime form of dates and the code set."""

    key: str
    unit: str | None = None
    date: str | None = None
    codes: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mapping:
    """How is one list read? Its staged table, and the meaning of each normal header in the order of preference."""

    name: str
    table: str
    columns: Dict[str, Field]
    defaults: Dict[str, str] = field(default_factory=dict)
    sheet: str | None = None
    encoding: str | None = None

    @property
    def keys(self) -> set[str]:
        """Which keys do its headers give?"""
        return {meaning.key for meaning in self.columns.values()}

    def found(self, headers: Sequence[str]) -> dict[str, list[tuple[int, Field]]]:
        """Which columns of a header row give which key? Positions in the mapping's order of preference.

        A header may end in the key's own unit: 空腹時血糖(mg/dL) is 空腹時血糖, with (mmol/L) it is another.
        """
        places: dict[str, int] = {}
        for place, name in enumerate(normal_headers(headers)):
            places.setdefault(self._without_unit(name), place)
        keys: dict[str, list[tuple[int, Field]]] = {}
        for name, meaning in self.columns.items():
            if name in places:
                keys.setdefault(meaning.key, []).append((places[name], meaning))
        return keys

    def of_other_unit(self, name: str) -> bool:
        """Is this normal header one of the mapping's, but in a unit that is not the key's own?"""
        plain, unit, own = self._unit_in(name)
        return plain != name and normal_unit(unit) != normal_unit(own) and _is_unit(unit)

    def _without_unit(self, name: str) -> str:
        plain, unit, own = self._unit_in(name)
        return plain if normal_unit(unit) == normal_unit(own) else name

    def _unit_in(self, name: str) -> tuple[str, str, str]:
        """The mapping's header with which this one begins, what stands in brackets behind it, and the key's unit."""
        match = None if name in self.columns else _WITH_UNIT.fullmatch(name)
        meaning = self.columns.get(match[1]) if match else None
        own = _unit_of(meaning.key, self.table) if meaning else ""
        return (match[1], match[2], own) if match and own else (name, "", "")

    def known(self, headers: Sequence[str]) -> int:
        """How many of these headers does it know?"""
        return sum(map(len, self.found(headers).values()))

    def missing(self, headers: Sequence[str]) -> list[str]:
        """Which required contents has the header row not? Japanese labels; alternatives joined by または."""
        return [_label(keys, self.table) for keys in self._missing(headers)]

    def missing_headers(self, headers: Sequence[str]) -> list[str]:
        """The same by the mapping's own headers, as 「生年月日」; what no header gives, by its label."""
        return [
            "または".join(f"「{name}」" for name, meaning in self.columns.items() if meaning.key in keys)
            or f"{_label(keys, self.table)}(対応表にも書かれていません)"
            for keys in self._missing(headers)
        ]

    def _missing(self, headers: Sequence[str]) -> list[tuple[str, ...]]:
        have = {*self.found(headers), *self.defaults}
        return [keys for keys in _REQUIRED[self.table] if not have.intersection(keys)]


def _label(keys: tuple[str, ...], table: str) -> str:
    labels = keys_of(table)
    return "検査値の列" if keys is _MEASURED else "または".join(labels[key] for key in keys)


@cache
def item_codes() -> dict[str, str]:
    """Which JLAC10 code stands for a checkup column or item (sbp, sbp_1, …)? The preferred one."""
    codes: dict[str, str] = {}
    for item in items().values():
        codes.setdefault(item.key, item.code)
        codes.setdefault(item.column, item.code)
    return codes


def keys_of(table: str) -> dict[str, str]:
    """Which keys may a mapping of this staged table use, and what are they called in Japanese?"""
    declared = TABLES[table].columns if table in TABLES else ()
    own = {column.name: column.label for column in declared if column.name not in _ASSIGNED}
    people = IDENTITY_LABELS if table in TABLES and "person_id" in TABLES[table].names else {}
    parts = {item.key: item.name for item in items().values()} if table == "checkups" else {}
    return {**people, **parts, **own, **_EXTRA.get(table, {}), "filed": "作成日"}


def normal_headers(headers: Iterable[object]) -> list[str]:
    """How are a row's headers compared? As `text.header`; the second of a repeated one gets _2, the third _3."""
    counts: dict[str, int] = {}
    names = []
    for header in headers:
        name = normal_header(header)
        counts[name] = counts.get(name, 0) + 1
        names.append(name if counts[name] == 1 or not name else f"{name}_{counts[name]}")
    return names


def load_mapping(path: Path) -> Mapping:
    """Which mapping does this TOML file hold?

    Raises
    ------
    IngestError
        Not readable, not TOML, with an unknown key, table, unit, date form or code, a constant that no cell could
        be, or checkups of no kind; the message says which.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise IngestError(
            f"列の対応表を読めません: {path}", hint="UTF-8で保存したTOMLファイルを渡してください。"
        ) from None
    return parse_mapping(text, str(path))


def parse_mapping(text: str, where: str) -> Mapping:
    """Which mapping does this TOML text hold? `where` names it in messages; errors as in `load_mapping`."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason, hint = why_not_toml(text.encode(), error)
        raise IngestError(f"列の対応表がTOMLとして読めません: {where}({reason})", hint=f"{hint}{_SHAPE}") from None
    _refuse_unknown(data, ("name", "table", "sheet", "encoding", "columns", "defaults"), where)
    name, table = (_text(data.get(key), key, where) for key in ("name", "table"))
    if table not in MAPPABLE:
        raise IngestError(f"{where}: table「{table}」はありません。", hint=f"使える表: {'、'.join(MAPPABLE)}")
    columns: dict[str, Field] = {}
    for header, value in _table(data.get("columns"), "columns", where).items():
        meaning, plain = _field(value, header, table, where), normal_header(header)
        if columns.setdefault(plain, meaning) != meaning or not plain:
            raise IngestError(f"{where}: 見出し「{header}」が2通りに書かれています。", hint=_SHAPE)
    defaults = _defaults(_table(data.get("defaults", {}), "defaults", where), table, where)
    if not columns:
        raise IngestError(f"{where}: [columns] が空です。", hint=_SHAPE)
    if table == "checkups" and "kind" not in {*defaults, *(meaning.key for meaning in columns.values())}:
        raise IngestError(
            f"{where}: 健診の種類(kind)がありません。", hint=f"[defaults] の kind の行で、{CHOOSE_KIND}。"
        )
    sheet, encoding = (_text(data[key], key, where) if key in data else None for key in ("sheet", "encoding"))
    if encoding not in (None, "cp932", "utf-8"):
        raise IngestError(f"{where}: encoding「{encoding}」は使えません。", hint="cp932 か utf-8 です。")
    return Mapping(name, table, columns, defaults, sheet, encoding)


def _defaults(data: dict[str, Any], table: str, where: str) -> dict[str, str]:
    from kenpo_analytics.ingest.lists.defaults import why_refused  # it reads them by the readers, which read mappings

    place = f"{where} [defaults]"
    defaults = {_key(key, table, place): _text(value, key, where) for key, value in data.items()}
    for key, value in defaults.items():
        if why := why_refused(table, key, value):
            hint = f"{CHOOSE_KIND}。" if key == "kind" else "全ての行に入る値です。書き直すか、この行を消してください。"
            raise IngestError(f"{place}: {key} に書かれた値は使えません。{why}", hint=hint)
    return defaults


def _field(value: object, header: str, table: str, where: str) -> Field:
    place = f"{where} 「{header}」"
    if isinstance(value, str):
        return Field(_key(value, table, place))
    data = _table(value, header, where)
    _refuse_unknown(data, ("key", "unit", "date", "codes"), place)
    key = _key(_text(data.get("key"), "key", place), table, place)
    unit, date = (_text(data[name], name, place) if name in data else None for name in ("unit", "date"))
    codes = {
        unicodedata.normalize("NFKC", code).strip(): meaning if meaning == "" else _text(meaning, code, place)
        for code, meaning in _table(data.get("codes", {}), "codes", place).items()
    }
    _check_unit(unit, key, table, place)
    _check_date(date, place)
    return Field(key, unit, date, codes)


def _is_unit(said: str) -> bool:
    return number(f"1{said}").rule == "unit_suspected"


def _check_unit(unit: str | None, key: str, table: str, place: str) -> None:
    expected = _unit_of(key, table)
    if unit is not None and normal_unit(unit) != normal_unit(expected):
        hint = f"{key} の単位は{expected or 'なし'}です。別の単位の値は取り込めません(換算はしません)。"
        raise IngestError(f"{place}: 単位「{unit}」は使えません。", hint=hint)


def _unit_of(key: str, table: str) -> str:
    if table == "checkups" and key in item_codes():
        return items()[item_codes()[key]].unit
    units = {column.name: column.unit for column in TABLES[table].columns} if table in TABLES else {}
    return units.get(key, "")


def _check_date(form: str | None, place: str) -> None:
    if form is None:
        return
    try:
        again = dt.datetime.strptime(dt.date(2024, 11, 23).strftime(form), form).date()
    except (ValueError, re.error):
        again = None
    if again not in (dt.date(2024, 11, 23), dt.date(2024, 11, 1)) or not _DATE_PARTS.search(form):
        hint = "省略すれば西暦・和暦のふつうの書き方を全て読みます。ほかは %d/%m/%Y のように書きます。"
        raise IngestError(f"{place}: date「{form}」は日付の書き方ではありません。", hint=hint)


def _key(key: object, table: str, place: str) -> str:
    text = _text(key, "key", place)
    if text not in keys_of(table):
        raise IngestError(
            f"{place}: キー「{text}」は {table} にありません。", hint=f"使えるキー: {'、'.join(keys_of(table))}"
        )
    return text


def _text(value: object, name: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise IngestError(f"{where}: {name} を文字列で書いてください。", hint=_SHAPE)
    return value.strip()


def _table(value: object, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise IngestError(f"{where}: {name} の書き方が違います。", hint=_SHAPE)
    return value


def _refuse_unknown(data: dict[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [key for key in data if key not in known]
    if unknown:
        raise IngestError(
            f"{where}: 知らない項目があります: {'、'.join(unknown)}", hint=f"使える項目: {'、'.join(known)}"
        )
