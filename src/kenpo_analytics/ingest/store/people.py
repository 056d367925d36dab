"""Who is who? Stretches of all member lists become people: job changes bridged, twins and namesakes kept apart.

The evidence, in this order: the same 記号・番号・枝番 and birthday; the same 記号・番号 and birthday where nobody else
has them; the same name and birthday in spells that do not overlap. Everything is computed from all deliveries at once,
so neither their order nor that of the rows matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.identity import SEALED, Key
from kenpo_analytics.ingest.store.notices import nothing, say
from kenpo_analytics.tables import MEMBERS

IDS = list(SEALED)
LATER = ("made", "seq", "entry", "line")
"""Which of two rows is later: the day the file was made, then the order of ingestion, then the place in the file."""
_FAMILY = ["id_family", "id_birth"]
_NAME = ["id_birth", "id_kana"]
_DAYS = 1 << 23
"""More days than there are dates: a group's number times this, plus a day, sorts and compares as the two together."""


@dataclass(frozen=True)
class People:
    """The resolved members.

    `members` is the canonical table. `nodes` (person_id and the hashes) holds every identity a person was listed under.
    `fates` (seq, fate: accepted, duplicate or quarantined) has a row for each listed one. `said` lists the quarantined
    ones and the cases to look at. `unclear` (id_family, id_birth) are twins whose rows nobody can tell apart. `clipped`
    stretches ended where the next one began.
    """

    members: pl.DataFrame
    nodes: pl.DataFrame
    fates: pl.DataFrame
    said: pl.DataFrame
    unclear: pl.DataFrame
    clipped: int


def resolve(listed: pl.DataFrame, key: Key) -> People:
    """Which people do the member rows make? `listed` are those of `listed.listed`.

    A row of the same person and first day is a repetition: the later one (`LATER`) holds, so that a loss filled in
    later ends the stretch. A stretch that runs into the next one of its person is ended there. Stretches without a day
    are quarantined.

    Raises
    ------
    IngestError
        Two people got the same id (63 bits: never seen).
    """
    attributes = [name for name in MEMBERS.names if name in listed.columns and name not in ("valid_from", "valid_to")]
    rows = listed.drop(attributes).with_row_index("row")
    nameless = pl.col("id_birth").is_null() | (pl.col("id_family").is_null() & pl.col("id_kana").is_null())
    bad, live = rows.filter(nameless), _corrected(rows.filter(~nameless))
    live, unclear = _based(live)
    blurred, live = live.filter("unclear"), live.filter(~pl.col("unclear"))
    latest = live.sort(*LATER, nulls_last=False).unique(["base", "valid_from"], keep="last", maintain_order=True)
    ending = pl.col("valid_to") <= pl.col("valid_from")
    empty, kept = latest.filter(ending.fill_null(False)), latest.filter(~ending.fill_null(False))
    kept, namesakes = _bridged(kept)
    kept = _with_rules(_clip(kept, "person"))
    known = live.join(kept.select("base", "person").unique(), on="base")
    ids = _person_ids(known.filter(~ending.fill_null(False)), key)
    kept = kept.join(ids, on="person", maintain_order="left")
    nodes = known.join(ids, on="person").select("person_id", *IDS).unique()
    lost = {"no_identity": bad, "twin_ambiguous": blurred, "no_days": empty}
    said = [say(frame, "members", rule) for rule, frame in lost.items()]
    said += [_people_said(kept, namesakes), say(kept.filter("cut_short"), "members", "overlap", item="valid_to")]
    gone = pl.concat([frame["row"] for frame in lost.values()]).implode()
    held = pl.when(pl.col("row").is_in(kept["row"].implode())).then(pl.lit("accepted")).otherwise(pl.lit("duplicate"))
    fates = rows.select("seq", fate=pl.when(pl.col("row").is_in(gone)).then(pl.lit("quarantined")).otherwise(held))
    table = _table(kept.hstack(listed[kept["row"]].select(attributes)))
    return People(table, nodes, fates, pl.concat(said), unclear, int(kept["clipped"].sum()))


def from_records(identities: pl.DataFrame, key: Key) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which people are there where no list of members was delivered? Made of the records: (nodes, unclear).

    `identities` has the hashes and `valid_from`, the first day each was seen on. Records that share 記号・番号・枝番,
    or 記号・番号, or the name, each with the birthday, are one person's.
    """
    rows = identities.filter(pl.col("id_birth").is_not_null()).filter(
        pl.col("id_family").is_not_null() | pl.col("id_kana").is_not_null()
    )
    rows = rows.with_columns(made=pl.lit(0, pl.Int32), seq=pl.row_index().cast(pl.Int32))
    rows, unclear = _based(rows)
    rows = rows.filter(~pl.col("unclear"))
    rows = rows.with_columns(person=_components(rows, "base", [_anchored(rows, "base", _NAME)]))
    ids = _person_ids(rows, key)
    return rows.join(ids, on="person").select("person_id", *IDS).unique(), unclear


def _corrected(rows: pl.DataFrame) -> pl.DataFrame:
    """Without rows whose birthday or sex a later delivery corrects: same number, name and first day."""
    keys = ["id_number", "id_kana", "valid_from"]
    last = rows.drop_nulls(keys).sort("made", "seq").group_by(keys).agg(pl.col("id_birth", "made", "seq").last())
    both = rows.join(last, on=keys, how="left", suffix="_last", maintain_order="left")
    earlier = (pl.col("made") != pl.col("made_last")) | (pl.col("seq") != pl.col("seq_last"))
    corrected = (pl.col("id_birth") != pl.col("id_birth_last")) & earlier
    return both.filter(~corrected.fill_null(False)).select(rows.columns)


def _based(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows with `base` (one person, by numbers alone) and `unclear` (no 枝番, no name, several people it may be)."""
    node = pl.struct(
        "id_family",
        "id_birth",
        "id_kana",
        number=pl.when(pl.col("id_kana").is_null()).then("id_number"),
    )
    rows = rows.with_columns(node=node.rank("dense").cast(pl.Int64) - 1)
    seen = rows.select("node", *IDS).unique()
    alone = ~_several("id_kana") & ~_several("id_number") & pl.col("id_family").is_not_null()
    seen = seen.with_columns(alone=alone)
    edges = [_anchored(seen, "node", ["id_number", "id_birth"]), _anchored(seen.filter("alone"), "node", _FAMILY)]
    numbered = pl.col("id_number").max().over(_FAMILY).is_not_null()
    rows = rows.with_columns(base=_components(rows, "node", edges), numbered=numbered)
    bare = pl.col("id_kana").is_null() & pl.col("id_number").is_null()
    pairs = rows.filter(bare).with_columns(copies=pl.len().over("seq", "made", "valid_from", *_FAMILY))
    doubt = pl.concat(
        [seen.filter(~pl.col("alone")).filter(bare).select(_FAMILY), pairs.filter(pl.col("copies") > 1).select(_FAMILY)]
    ).unique()
    rows = rows.join(doubt.with_columns(unclear=pl.lit(True)), on=_FAMILY, how="left", maintain_order="left")
    return rows.with_columns(unclear=pl.col("unclear").fill_null(False) & bare), doubt


def _several(name: str) -> pl.Expr:
    """Are there two values among those of the same 記号・番号 and birthday?"""
    return (pl.col(name).min().over(_FAMILY) != pl.col(name).max().over(_FAMILY)).fill_null(False)


def _anchored(rows: pl.DataFrame, name: str, keys: list[str]) -> pl.DataFrame:
    """Edges from each group's first label to the others': those that share the keys are one."""
    return rows.drop_nulls(keys).select(pl.col(name).alias("a"), pl.col(name).min().over(keys).alias("b")).unique()


def _components(rows: pl.DataFrame, name: str, edges: list[pl.DataFrame]) -> pl.Series:
    """For each row the label of its connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = int(rows[name].max() or 0) + 1  # type: ignore[arg-type]
    a, b = (np.concatenate([edge[end].to_numpy() for edge in edges]) for end in ("a", "b"))
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    return pl.Series(labels[rows[name].to_numpy()], dtype=pl.Int64)


def _clip(rows: pl.DataFrame, who: str) -> pl.DataFrame:
    """End each stretch where the next one of `who` begins; `cut_short` marks a written end that was later."""
    after = pl.when(pl.col(who) == pl.col(who).shift(-1)).then(pl.col("valid_from").shift(-1))
    late = (pl.col("valid_to") > after).fill_null(False)
    rows = rows.sort(who, "valid_from").with_columns(after=after)
    rows = rows.with_columns(cut=late, opened=pl.col("valid_to").is_null() & pl.col("after").is_not_null())
    before = [pl.col(name) for name in ("cut_short", "clipped") if name in rows.columns] or [pl.lit(False)] * 2
    return rows.with_columns(
        valid_to=pl.when(pl.col("cut") | pl.col("opened")).then("after").otherwise("valid_to"),
        cut_short=before[0] | pl.col("cut"),
        clipped=before[1] | pl.col("cut") | pl.col("opened"),
    ).drop("after", "cut", "opened")


def _bridged(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Rows with `person`: bases of one name and birthday are one where no two overlap. And the persons that do.

    A stretch without an end is known to last until its list was made (`listed_until` at least): a later list with a
    new number and without the old one shows a change of job, not a namesake. Among namesakes, one spell that begins on
    the very day on which exactly one other ends goes on from it.
    """
    rows = _clip(rows, "base")
    day = (pl.col("made") + (pl.col("made") % 100 == 0)).cast(pl.String).str.to_date("%Y%m%d", strict=False)
    known = pl.max_horizontal(day, "listed_until")
    rows = rows.with_columns(until=pl.col("valid_to").fill_null(known))
    rows = rows.with_columns(name=_components(rows, "base", [_anchored(rows, "base", _NAME)]))
    rows = _overlapping(rows, "name")
    rows = rows.with_columns(chain=_components(rows, "base", [_adjoining(rows.filter("name_overlaps"))]))
    rows = _overlapping(rows, "chain")
    chain = pl.when("chain_overlaps").then(pl.col("base") * 3).otherwise(pl.col("chain") * 3 + 1)
    rows = rows.with_columns(person=pl.when("name_overlaps").then(chain).otherwise(pl.col("name") * 3 + 2))
    namesakes = rows.filter("name_overlaps")["person"].unique()
    return rows.drop("until", "name", "name_overlaps", "chain", "chain_overlaps"), namesakes


def _overlapping(rows: pl.DataFrame, who: str) -> pl.DataFrame:
    """Rows with `<who>_overlaps`: does any stretch of the group begin before an earlier one has ended?"""
    start, end = (
        pl.col(who) * _DAYS + pl.col(name).cast(pl.Int32).cast(pl.Int64) + _DAYS // 2
        for name in ("valid_from", "until")
    )
    early = rows.sort(who, "valid_from").filter(end.cum_max().shift(1) > start)[who].unique()
    return rows.with_columns(pl.col(who).is_in(early.implode()).alias(f"{who}_overlaps"))


def _adjoining(rows: pl.DataFrame) -> pl.DataFrame:
    """Edges from a base that ends to the one that begins on that day, where there is exactly one of each."""
    ends = rows.select("name", pl.col("valid_to").alias("day"), pl.col("base").alias("a")).drop_nulls()
    starts = rows.select("name", pl.col("valid_from").alias("day"), pl.col("base").alias("b"))
    ends, starts = (each.filter(pl.len().over("name", "day") == 1) for each in (ends, starts))
    return ends.join(starts, on=["name", "day"]).select("a", "b")


def _with_rules(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `link_rule`: how the number they stand under was joined to the person."""
    rows = rows.sort("person", "valid_from")
    first = pl.col("person").ne_missing(pl.col("person").shift(1))
    change = pl.col("id_family").ne_missing(pl.col("id_family").shift(1))
    adjoins = (pl.col("valid_to").shift(1) == pl.col("valid_from")).fill_null(False)
    joined = pl.when(adjoins).then(pl.lit("number_change")).otherwise(pl.lit("rejoined"))
    rule = pl.when(first).then(pl.lit("exact")).when(change).then(joined)
    rows = rows.with_columns(link_rule=rule).with_columns(pl.col("link_rule").forward_fill())
    twins = _several("person") & pl.col("id_family").is_not_null() & ~pl.col("numbered")
    twin = pl.col("person").is_in(rows.filter(twins)["person"].unique().implode())
    return rows.with_columns(link_rule=pl.when(twin).then(pl.lit("twin_unresolved")).otherwise("link_rule"))


def _person_ids(rows: pl.DataFrame, key: Key) -> pl.DataFrame:
    """The id of each person, from the earliest day and how the first list wrote it: later lists do not change it."""
    first = rows.sort(
        "valid_from", "id_family", pl.col("id_kana").is_null(), "made", "id_kana", "id_number", nulls_last=True
    ).unique("person", keep="first", maintain_order=True)
    ids = [
        key.seal(_identity(*row)) for row in first.select("id_family", "id_birth", "id_kana", "id_number").iter_rows()
    ]
    made = first.select("person", person_id=pl.Series(ids, dtype=pl.Int64))
    if made["person_id"].n_unique() != made.height:
        raise IngestError(
            "違う人に同じ個人IDが付きました",
            hint="鍵を新しく作り、別のフォルダに取り込み直してください(起こる確率はごく僅か)。",
        )
    return made


def _identity(family: int | None, birth: int, kana: int | None, number: int | None) -> str:
    known = "" if family is None else family
    return f"person|{known}|{birth}|{kana}" if kana is not None else f"person|{known}|{birth}||{number or ''}"


def _people_said(rows: pl.DataFrame, namesakes: pl.Series) -> pl.DataFrame:
    """Cases to look at, one row a person, at their first stretch."""
    first = rows.unique("person", keep="first", maintain_order=True)
    shared = (
        rows.drop_nulls("id_number").group_by("id_number").agg("person", pl.col("id_birth").n_unique().alias("births"))
    )
    conflicting = shared.filter(pl.col("births") > 1).explode("person")["person"].unique()
    cases: dict[str, Any] = {
        "twin_unresolved": pl.col("link_rule") == "twin_unresolved",
        "same_name_and_birth": pl.col("person").is_in(namesakes.implode()),
        "number_shared": pl.col("person").is_in(conflicting.implode()),
    }
    found = [say(first.filter(case), "members", rule, item="link_rule") for rule, case in cases.items()]
    return pl.concat([nothing(), *found])


def _table(rows: pl.DataFrame) -> pl.DataFrame:
    """The canonical table: adjoining stretches whose attributes are all the same are one."""
    rows = rows.sort("person_id", "valid_from").select(MEMBERS.names)
    fixed = [name for name in MEMBERS.names if name not in ("valid_from", "valid_to")]
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in fixed)
    on = same & (pl.col("valid_from") == pl.col("valid_to").shift(1))
    runs = rows.with_columns(run=(~on.fill_null(False)).cum_sum())
    ends = [pl.col(name).last() if name == "valid_to" else pl.col(name).first() for name in MEMBERS.names]
    return runs.group_by("run", maintain_order=True).agg(ends).drop("run")
