"""Which mapping reads this list? The user's own and the shipped ones, chosen by the headers they know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.lists.mapping_toml import MAPPABLE, Field, Mapping, keys_of, parse_mapping
from kenpo_analytics.ingest.values.text import header as normal_header

HEADER_ROWS = 20
"""The header row is one of the first so many: titles and notes may stand above it."""

_NEAR = 2  # headers that a mapping has to know to be called near


@dataclass(frozen=True)
class Match:
    """Where a list's header row is (0-based), and which mapping reads it."""

    row: int
    mapping: Mapping


@cache
def shipped() -> tuple[Mapping, ...]:
    """Which mappings come with the suite? Those of mappings/*.toml, then one per table from its declaration."""
    folder = resources.files("kenpo_analytics.ingest.lists").joinpath("mappings")
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    read = [parse_mapping(folder.joinpath(file).read_text(encoding="utf-8"), file) for file in files]
    return (*read, *(_declared(table) for table in MAPPABLE))


def _declared(table: str) -> Mapping:
    """The mapping of a list whose headers are our own: each key's English name or Japanese label."""
    columns = {}
    for key, label in keys_of(table).items():
        columns[normal_header(key)] = columns[normal_header(label)] = Field(key)
    return Mapping(f"canonical_{table}", table, columns)


def match(headers: Sequence[str], extra: Sequence[Mapping] = ()) -> Mapping | None:
    """Which mapping reads a list with these headers? None where no mapping finds all it requires.

    One of the user's own (`extra`), all of whose keys are there, comes before all others. Then the mapping that knows
    most of the headers, of those the one with fewest headers; the user's own and earlier ones first.
    """
    fitting = [mapping for mapping in (*extra, *shipped()) if not mapping.missing(headers)]
    whole = [mapping for mapping in extra if mapping in fitting and mapping.keys <= mapping.found(headers).keys()]
    return max(whole or fitting, key=lambda m: (m.known(headers), -len(m.columns)), default=None)


def find_header(rows: Sequence[Sequence[str]], extra: Sequence[Mapping] = ()) -> Match | None:
    """In which of the first rows are the headers, and which mapping reads them? The row with most known names."""
    best: tuple[int, Match] | None = None
    for place, row in enumerate(rows[:HEADER_ROWS]):
        mapping = match(row, extra)
        if mapping is not None:
            known = mapping.known(row)
            if best is None or known > best[0]:
                best = known, Match(place, mapping)
    return best[1] if best else None


def why_not(headers: Sequence[str], extra: Sequence[Mapping] = ()) -> str | None:
    """Which of the user's own mappings nearly reads a list with these headers, and which headers does it miss?

    One Japanese sentence, of names that stand in the mapping. None where one of them fits, or none knows two headers.
    """
    near = [mapping for mapping in extra if mapping.known(headers) >= _NEAR]
    if not near or any(not mapping.missing(headers) for mapping in near):
        return None
    best = max(near, key=lambda mapping: mapping.known(headers))
    lacks = "、".join(best.missing_headers(headers))
    return f"対応表「{best.name}」に近い表ですが、なくてはならない見出しがありません: {lacks}。"


def why_none(rows: Sequence[Sequence[str]], extra: Sequence[Mapping] = ()) -> str | None:
    """The same for the first rows of a file, of which none has to be the header row: told of the most fitting one."""
    known = [
        (max((mapping.known(row) for mapping in extra), default=0), -at) for at, row in enumerate(rows[:HEADER_ROWS])
    ]
    return why_not(rows[-max(known)[1]], extra) if known else None


def named(name: str, extra: Sequence[Mapping] = ()) -> Mapping:
    """Which mapping bears this name ("mapped:<name>" without its prefix)? The user's own first.

    Raises
    ------
    IngestError
        None bears it.
    """
    for mapping in (*extra, *shipped()):
        if mapping.name == name:
            return mapping
    raise IngestError(f"対応表「{name}」がありません。", hint="--mapping に渡したファイルの name を確かめてください。")


def synonyms(table: str) -> dict[str, str]:
    """Which normal headers are known for this staged table, and which key do they give? For proposing a mapping."""
    own = [mapping for mapping in shipped() if mapping.table == table]
    return {name: meaning.key for mapping in reversed(own) for name, meaning in mapping.columns.items()}
