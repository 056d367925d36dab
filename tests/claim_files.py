"""Claims files for tests: records in the order of the specification, as UKE or as the insurer's copy (RECODEINFO)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kenpo_analytics.ingest.files.sources import Source

INSURER = "01240019"
AMLODIPINE, VOGLIBOSE, CADUET, ROSUVASTATIN = "620007819", "610406390", "621932701", "622537301"
HYPERTENSION, DIABETES = "8833421", "2500013"


@dataclass(frozen=True)
class BytesSource(Source):
    """A source whose bytes are in memory."""

    data: bytes = b""

    def open(self, entry: str | None = None) -> AbstractContextManager[BinaryIO]:
        return io.BytesIO(self.data)


def source(data: bytes, layout: str = "recodeinfo") -> BytesSource:
    return BytesSource(path=Path("x"), name="x", digest="0", layout=layout, size=len(data), data=data)


def record(kind: str, size: int, /, **fields: object) -> list[str]:
    """A record of `size` fields; keywords `f3=...` give field 3."""
    row = [kind, *[""] * (size - 1)]
    for name, value in fields.items():
        row[int(name[1:])] = str(value)
    return row


@dataclass
class Claim:
    """One claim. `month` and `birth` as written: 202406 and 19700101, or 50606 and 3450101."""

    number: int = 1
    kind: str = "1112"
    month: str = "202406"
    claimed: str = "202407"
    birth: str = "19700101"
    sex: str = "1"
    name: str = "健保　太郎"
    kana: str = "ケンポタロウ"
    insurer: str = INSURER
    symbol: str = "１２３４"
    person: str = "５６"
    branch: str = "01"
    points: int | str = 1234
    days: int | str = 2
    code: str = "1234567"
    confirmed: str = "01"
    dpc: bool = False
    public_only: bool = False
    diseases: Sequence[tuple[str, ...]] = ()  # code, modifiers, text
    drugs: Sequence[str] = ()
    fees: Sequence[tuple[str, dict[int, int]]] = ()  # code, count by day
    extra: list[list[str]] = field(default_factory=list)

    @property
    def table(self) -> str:
        return self.kind[0]

    @property
    def key(self) -> str:
        return f"134506079400{self.number:06d}"

    def header(self) -> list[str]:
        if self.table == "4":
            return record("YK", 9, f1=1, f2=24, f3=4, f4=self.code, f5="試験薬局", f6=self.claimed, f7="00")
        if self.table == "3":
            return record("IR", 9, f1=1, f2=24, f3=3, f4=self.code, f6=self.claimed)
        return record("IR", 10, f1=1, f2=24, f3=self.table, f4=self.code, f6="試験病院", f7=self.claimed, f8="00")

    def common(self) -> list[str]:
        size, kana = {"3": (27, 25), "4": (42, 41)}.get(self.table, (40, 38) if self.dpc else (38, 36))
        fields = {
            "f1": self.number,
            "f2": self.kind,
            "f3": self.month,
            "f4": self.name,
            "f5": self.sex,
            "f6": self.birth,
        }
        return record("RE", size, **fields, **{f"f{kana}": self.kana}, **({"f18": "0"} if self.dpc else {}))

    def records(self) -> list[list[str]]:
        rows = [self.common()]
        if self.public_only:
            rows.append(record("KO", 12, f1="21246010", f2="1234567", f4=self.days, f5=self.points))
        else:
            fields = {"f1": self.insurer, "f2": self.symbol, "f3": self.person, "f4": self.days, "f5": self.points}
            rows.append(record("HO", 15, **fields))
        if self.branch or self.confirmed:
            rows.append(record("SN", 9, f1=1, f2=self.confirmed, f6=self.branch))
        if self.dpc:
            rows.append(record("BU", 7, f1="010060xx99x20x", f2="20240601"))
        for code, *rest in self.diseases:
            modifiers, text = (*rest, "", "")[:2]
            rows.append(record("SY", 8, f1=code, f2="20240401", f3=1, f4=modifiers, f5=text))
        for code, days in self.fees:
            at = {f"f{12 + day}": count for day, count in days.items()}
            rows.append(record("SI", 44, f1=11, f2=1, f3=code, f6=sum(days.values()) or 1, **at))
        for code in self.drugs:
            dispensed = record("IY", 10, f1=1, f2=code, f3=1)
            rows.append(dispensed if self.table == "4" else record("IY", 44, f1=21, f2=1, f3=code, f4=1, f6=14))
        return [*rows, *self.extra]


def recodeinfo(claims: Iterable[Claim], *, end: str = "\r\n", encoding: str = "cp932") -> bytes:
    """The insurer's copy: MN, header, claim, EX and RC for every claim."""
    lines = []
    for claim in claims:
        rows = [claim.header(), *claim.records()]
        key = ["試験病院", "三重県津市", claim.key] if claim.table == "3" else ["三重県津市", claim.key, ""]
        lines.append(["2", "1", "0", "MN", f"94{claim.number:07d}", *key, "", ""])
        lines += [["1", str(at), "0", *row] for at, row in enumerate(rows, start=2)]
        after = len(rows) + 2
        lines.append(["2", str(after), "1", "EX", *[""] * 11, "1:202407:"])
        lines.append(["2", str(after + 1), "0", "RC", "Ver0001"])
    return "".join(",".join(line) + end for line in lines).encode(encoding)


def uke(claims: Sequence[Claim], *, end: str = "\r\n", encoding: str = "cp932", eof: bytes = b"\x1a") -> bytes:
    """What a clinic files: one header, its claims, GO, 0x1A."""
    rows = [claims[0].header(), *(row for claim in claims for row in claim.records())]
    rows.append(["GO", str(len(claims)), str(sum(int(claim.points) for claim in claims)), "99"])
    return "".join(",".join(row) + end for row in rows).encode(encoding) + eof
