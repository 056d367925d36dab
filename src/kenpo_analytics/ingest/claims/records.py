"""Which records make one claim? Rows cut into claims, corrected by JY, and never mixed with a neighbour's.

RECODEINFO: a claim begins at MN. Where damage ate an MN, 行番号 falls back at the next IR, YK, RE or HO: a claim of its
own then, which is rejected for want of its MN. UKE: a claim begins at RE; an HO, KO or SN after details, or a
second HO or SN, shows a lost RE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.claims.corrections import corrected
from kenpo_analytics.ingest.claims.lines import Block, LastLine
from kenpo_analytics.ingest.claims.widths import Widest
from kenpo_analytics.ingest.files.recognise import CLAIM_RECORDS

HEADERS = ("IR", "YK")
READ = ("MN", *HEADERS, "RE", "HO", "KO", "SN", "SY", "SI", "IY", "JY", "BU", "GO", "RC")
_DETAILS = ("SY", "SI", "IY")
_DAMAGED = {"line": pl.Int64, "rule": pl.String}
_MOST_ROWS = 1_000_000
_TYPE = pl.col("u0")


@dataclass(frozen=True)
class Claims:
    """Whole claims: `rows` with the claim's number `g`; `damaged` lines with the rule they break; `wide` by row.

    `header` holds the row of IR or YK by claim; `removed` are claims taken back by JY, `broken` those whose correction
    is lost, `idle` the orders (g, line) that find nothing to correct, `cut` the last one if the file breaks off in it,
    `gaps` the lines at which 行番号 jumps, the first of each claim.
    """

    rows: pl.DataFrame
    wide: pl.DataFrame
    header: pl.DataFrame
    damaged: pl.DataFrame
    removed: pl.Series
    broken: pl.Series
    idle: pl.DataFrame
    cut: pl.Series
    gaps: pl.Series


def insurer_claims(blocks: Iterable[Block], end: LastLine) -> Iterator[Claims]:
    """Which claims does a RECODEINFO file hold? Corrections (JY) done.

    It breaks off in the last claim where that alone has no RC, or where its last record is not whole.
    """
    widest = Widest()
    prefixed = pl.col("p0").is_in(["1", "2"])
    ended: bool | None = None
    for rows, wide, damaged, last in _whole(widest.seen(blocks), _insurer_start(), prefixed):
        done = corrected(rows)
        header = done.rows.filter(_TYPE.is_in(HEADERS)).unique("g", keep="first", maintain_order=True)
        ends = rows.group_by("g", maintain_order=True).agg((_TYPE == "RC").any())
        before = ends[:-1] if last else ends
        if not before.is_empty():
            ended = ended is not False and bool(before["u0"].all())
        unclosed = bool(ended) and not ends["u0"][-1] if last and not ends.is_empty() else False
        broken_off = unclosed or (last and widest.breaks_off(end, _table(rows)))
        cut = ends["g"][-1:] if broken_off else ends["g"].clear()
        yield Claims(done.rows, wide, header, damaged, done.removed, done.broken, done.idle, cut, _gaps(rows))


def _gaps(rows: pl.DataFrame) -> pl.Series:
    """The first line of each claim before which 行番号 are missing, but for those JY names."""
    jumps = rows.filter(pl.col("after").is_not_null()).select("g", "line", "line_number", "after")
    if jumps.is_empty():
        return jumps["line"]
    named = rows.filter(_TYPE == "JY").select("g", at=pl.concat_list(pl.col("u2", "u6").cast(pl.Int64, strict=False)))
    inside = jumps.join(named.explode("at").drop_nulls().unique(), on="g")
    inside = inside.filter(pl.col("at") > pl.col("after"), pl.col("at") < pl.col("line_number"))
    jumps = jumps.join(inside.group_by("line").len(), on="line", how="left")
    missing = jumps.filter(pl.col("line_number") - pl.col("after") - 1 > pl.col("len").fill_null(0))
    return missing.group_by("g").agg(pl.col("line").min()).sort("line")["line"]


def _table(rows: pl.DataFrame) -> str | None:
    """The first digit of the last レセプト種別."""
    kinds = rows.filter(_TYPE == "RE")["u2"][-1:].drop_nulls()
    return None if kinds.is_empty() else str(kinds[0])[:1]


def uke_claims(blocks: Iterable[Block], end: LastLine) -> Iterator[Claims]:
    """Which claims does a UKE file hold? Those after GO have no header until the next IR or YK.

    A file with neither GO nor 0x1A at its end breaks off in its last claim.
    """
    none = pl.Series(dtype=pl.UInt32)
    idle = pl.DataFrame(schema={"g": pl.UInt32, "line": pl.Int64})
    totals = _Totals()
    for rows, wide, damaged, last in _whole(totals.counted(blocks), _uke_start(), pl.lit(True)):
        rows = rows.with_columns(part=_TYPE.is_in([*HEADERS, "GO"]).cum_sum())
        header = rows.filter(_TYPE.is_in(HEADERS)).select("part", "u2", "u3", "u4", "u6", "u7", "u8")
        claims = rows.filter(~_TYPE.is_in([*HEADERS, "GO", "MN"]))
        header = claims.select("g", "part").unique("g", keep="first", maintain_order=True).join(header, on="part")
        cut = claims["g"][-1:] if last and not end.marked and rows["u0"][-1:].to_list() != ["GO"] else none
        yield Claims(claims, wide, header, pl.concat([damaged, totals.wrong()]), none, none, idle, cut, none)


class _Totals:
    """Does each clinic's part of a UKE file end in GO, with as many claims as GO says?"""

    def __init__(self) -> None:
        self._count = dict.fromkeys(("headers", "claims", "ends", "said", "line"), 0)
        self._done = False

    def counted(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, while they are counted."""
        for block in blocks:
            said = pl.col("u1").filter(_TYPE == "GO").cast(pl.Int64, strict=False).sum()
            found = block.rows.select(
                headers=_TYPE.is_in(HEADERS).sum(),
                claims=(_TYPE == "RE").sum(),
                ends=(_TYPE == "GO").sum(),
                said=said,
            ).row(0, named=True)
            self._count = {name: self._count[name] + (found.get(name) or 0) for name in self._count}
            self._count["line"] = int(block.rows["line"][-1])
            yield block
        self._done = True

    def wrong(self) -> pl.DataFrame:
        """The last line under the rule that the whole file breaks, once all is read."""
        count = self._count
        rule = "trailer" if count["ends"] != count["headers"] else "total" if count["said"] != count["claims"] else None
        rows = [(count["line"], rule)] if self._done and rule and count["line"] else []
        return pl.DataFrame(rows, schema=_DAMAGED, orient="row")


def _insurer_start() -> pl.Expr:
    """Does a claim start here? MN, or 行番号 falling back at a record that begins a claim."""
    given = pl.when(_TYPE == "MN").then(0).when(pl.col("p0") == "1").then(pl.col("line_number"))
    fallen = (pl.col("p0") == "1") & (pl.col("line_number") < given.forward_fill().shift(1))
    return (_TYPE == "MN") | (_TYPE.is_in([*HEADERS, "RE", "HO"]) & fallen).fill_null(False)


def _uke_start() -> pl.Expr:
    """Does a claim start here? RE (and what stands between claims), or a sign that an RE is lost."""
    opens = _TYPE.is_in(["RE", *HEADERS, "GO"])
    behind = _TYPE.is_in(["HO", "KO", "SN"]) & _TYPE.shift(1).is_in(_DETAILS)
    starts = (opens | behind).fill_null(False)
    starts = starts | _again(_TYPE == "HO", starts)
    return starts | _again(((_TYPE == "SN") & (pl.col("u1") == "1")).fill_null(False), starts)


def _again(once: pl.Expr, opens: pl.Expr) -> pl.Expr:
    """Is this the second record of a kind of which a claim has one?"""
    count = once.cast(pl.Int64).cum_sum()
    return once & (count - pl.when(opens).then(count).forward_fill().fill_null(0) > 1)


def _whole(
    blocks: Iterable[Block], start: pl.Expr, prefixed: pl.Expr
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, bool]]:
    """Rows of whole claims with their number, block by block; the last claim of a block waits for the next one.

    True stands beside the last of them.
    """
    rest: pl.DataFrame | None = None
    held: pl.DataFrame | None = None
    numbers = (0, 0)
    for (narrow, wide), last in _marked(blocks):
        block = _numbered(narrow, numbers)
        numbers = _last_numbers(block, numbers)
        wide = wide if held is None else pl.concat([held, wide])
        known = _TYPE.is_in(list(CLAIM_RECORDS)).fill_null(False) & prefixed
        damaged = block.filter(~known | (pl.col("bad") & ~_TYPE.is_in(["RE", "HO", "SN"])))
        rows = block.filter(known, _TYPE.is_in(READ) | pl.col("after").is_not_null())
        rows = (rows if rest is None else pl.concat([rest, rows])).with_columns(start=start)
        starts = rows["start"].arg_true()
        cut = rows.height if last else int(starts[-1]) if len(starts) else 0
        rest = rows[:0] if last else pl.concat([_header_before(rows, cut), rows[cut:]])
        rest = rest.drop("start")
        if rest.height > _MOST_ROWS:
            raise IngestError("1件のレセプトが大きすぎます。", hint="ファイルが壊れていないか確かめてください。")
        rule = pl.when("bad").then(pl.lit("encoding")).otherwise(pl.lit("record"))
        held = wide.filter(pl.col("row") >= int(rows["row"][cut])) if cut < rows.height else wide
        yield _with_number(rows[:cut]), wide, damaged.select("line", rule=rule), last


def _marked(blocks: Iterable[Block]) -> Iterator[tuple[Block, bool]]:
    """Each block, and whether it is the last."""
    waiting: Block | None = None
    for block in blocks:
        if waiting is not None:
            yield waiting, False
        waiting = block
    if waiting is not None:
        yield waiting, True


def _numbered(block: pl.DataFrame, last: tuple[int, int]) -> pl.DataFrame:
    """With 行番号 and 枝番号 and, where 行番号 of a claimed record jumps, `after`: the number it jumps from.

    `last` are the numbers of the last claimed row and of the last row of the block before.
    """
    if "p1" not in block.columns:
        return block.with_columns(after=pl.lit(None, pl.Int64))
    number = pl.col("p1").cast(pl.Int64, strict=False)
    claimed = pl.when(pl.col("p0") == "1").then(number)
    before = pl.max_horizontal(
        claimed.forward_fill().shift(1).fill_null(last[0]), number.shift(1).fill_null(last[1]).fill_null(0)
    )
    return block.with_columns(
        line_number=number,
        branch=pl.col("p2").fill_null("0").cast(pl.Int64, strict=False),
        after=pl.when(claimed > before + 1).then(before),
    )


def _last_numbers(block: pl.DataFrame, last: tuple[int, int]) -> tuple[int, int]:
    if "line_number" not in block.columns:
        return last
    claimed = block.filter(pl.col("p0") == "1")["line_number"].drop_nulls()
    return (last[0] if claimed.is_empty() else claimed[-1], block["line_number"][-1] or 0)


def _header_before(rows: pl.DataFrame, cut: int) -> pl.DataFrame:
    """In a UKE file, the header that still holds for the claims that wait."""
    if "p0" in rows.columns:
        return rows[:0]
    last = rows[:cut].filter(_TYPE.is_in([*HEADERS, "GO"])).tail(1)
    held = not last.is_empty() and last["u0"][0] != "GO" and rows["u0"][cut] not in (*HEADERS, "GO")
    return last if held else rows[:0]


def _with_number(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(g=pl.col("start").cum_sum()).drop("start")
