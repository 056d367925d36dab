"""What is in this zip, and is it safe to read? Entries by readable names, streamed, never extracted to disk."""

from __future__ import annotations

import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from kenpo_analytics.errors import IngestError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
MAX_ENTRIES = 200_000
MAX_TOTAL_BYTES = 20 * 2**30
MAX_ENTRY_BYTES = 2 * 2**30
MAX_INNER_BYTES = 256 * 2**20
"""An archive in an archive, and a workbook, is held in memory while it is read."""
MAX_RATIO = 200
RATIO_FROM_BYTES = 100 * 2**20
"""A small archive may well be that dense (a table of zeros); one that unfolds to more is a bomb."""
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, struct.error),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, IndexError),
)
_UNSAFE_NAME = re.compile(r"(?:^|/)\.\.(?:/|$)|^/|^[A-Za-z]:|\x00")


class Archive:
    """A zip whose directory has been checked. `members` are its files by name, "/" between folders.

    Raises
    ------
    IngestError
        Damaged or cut short, encrypted, packed by a method we cannot unpack, larger than the limits, a bomb, links, or
        names that lead out of the folder.
    """

    def __init__(self, file: Path | BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except _DAMAGE:
            raise IngestError(
                "zipが壊れているか、途中で切れています。", hint="受け取ったzipを、もう一度コピーしてください。"
            ) from None
        self.members = _named(self._zip.infolist())
        _check(self.members)

    def open(self, name: str) -> BinaryIO:
        """A stream of one member's bytes; damage met while reading is an IngestError."""
        try:
            return cast(BinaryIO, io.BufferedReader(_Guarded(self._zip.open(self.members[name])), 2**16))
        except _DAMAGE:
            raise _damaged() from None

    def inner(self, name: str) -> Archive:
        """The archive that is a member of this one, read into memory."""
        with self.open(name) as stream:
            return Archive(io.BytesIO(stream.read()))


class _Guarded(io.RawIOBase):
    """A member's stream in which damage is an IngestError."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return cast(int, self._file.readinto(buffer))
        except _DAMAGE:
            raise _damaged() from None

    def close(self) -> None:
        self._file.close()
        super().close()


def _damaged() -> IngestError:
    return IngestError("zipの中のファイルが壊れています。", hint="受け取ったzipを、もう一度コピーしてください。")


def _named(infos: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Members by name; where a name comes twice both are kept, the second as `name#2`."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = own = _name(info)
        if own.endswith("/"):
            continue
        copies = 1
        while name in members:
            copies += 1
            name = f"{own}#{copies}"
        members[name] = info
    return members


def _name(info: zipfile.ZipInfo) -> str:
    """The name as the sender wrote it: without the UTF-8 flag Windows writes CP932, and macOS UTF-8 all the same."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        raw = name.encode("cp437")
        for encoding in ("utf-8", "cp932"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def _check(members: dict[str, zipfile.ZipInfo]) -> None:
    infos = members.values()
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if any(_UNSAFE_NAME.search(name) for name in members):
        raise IngestError("zipに、フォルダの外を指す名前のファイルがあります。", hint="送付元を確かめてください。")
    if any(stat.S_ISLNK(info.external_attr >> 16) for info in infos):
        raise IngestError("zipに、別の場所を指すリンクがあります。", hint="送付元を確かめてください。")
    if any(info.flag_bits & 0x1 for info in infos):
        raise IngestError(
            "zipにパスワードがかかっています。", hint="パスワードを外したzipか、展開したフォルダを置いてください。"
        )
    if any(info.compress_type not in _READABLE for info in infos):
        raise IngestError(
            "zipの圧縮方式を読めません。", hint="展開したフォルダを置くか、通常の方式で圧縮し直してください。"
        )
    refuse_bomb(len(members), total, packed)
    if any(info.file_size > MAX_ENTRY_BYTES for info in infos):
        raise _too_large()


def refuse_bomb(entries: int, total: int, packed: int) -> None:
    """Is it too much for `packed` bytes to unfold to `total` bytes in so many files? Raises IngestError if so."""
    if entries > MAX_ENTRIES or total > MAX_TOTAL_BYTES or (total > RATIO_FROM_BYTES and total > MAX_RATIO * packed):
        raise _too_large()


def _too_large() -> IngestError:
    return IngestError(
        "zipの展開後の大きさか、ファイルの数が限度を超えています。",
        hint=f"展開後{MAX_TOTAL_BYTES >> 30} GiB、1ファイル{MAX_ENTRY_BYTES >> 30} GiB、{MAX_ENTRIES:,}件、"
        f"圧縮率{MAX_RATIO}倍までです。送付元を確かめ、正しければ展開したフォルダを置いてください。",
    )


def archive(path: Path, inner: str | None = None) -> Archive:
    """The archive at a path, or the one that is its member `inner`; open ones are kept, so entries are read cheaply."""
    status = path.stat()
    return _open(os.getpid(), path, inner, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _open(process: int, path: Path, inner: str | None, changed: int, size: int) -> Archive:
    """Kept by process: file positions are shared over a fork."""
    return Archive(path) if inner is None else archive(path).inner(inner)


def open_member(path: Path, name: str) -> BinaryIO:
    """A stream of the member `name`, or `inner.zip!name` of an archive in the archive."""
    outer = archive(path)
    if name in outer.members:
        return outer.open(name)
    for place in (match.start() for match in re.finditer("!", name)):
        if name[:place] in outer.members:
            inside = archive(path, name[:place])
            if name[place + 1 :] in inside.members:
                return inside.open(name[place + 1 :])
    raise KeyError(name)
