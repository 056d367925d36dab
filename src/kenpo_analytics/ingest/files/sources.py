"""Which deliveries lie in a folder? Files, archives and folders of documents as `Source`s; unsafe archives refused."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.folder import File, Found, Home, files, open_file

if TYPE_CHECKING:
    from kenpo_analytics.ingest.lists.mapping import Mapping

DAMAGE = (IngestError, OSError, EOFError)
"""What a source that cannot be read (any further) raises."""
_INDEX = re.compile(r"(?:.*/)?ix08[^/]*\.xml", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One delivery: a file, a file in an archive, or all checkup documents of an archive or folder.

    `name` is its path under the raw folder (`a.zip!b.csv` inside an archive), `digest` its content's fingerprint (16
    hex digits of SHA-256), `layout` what `recognise` found ("checkup_xml", "cc2x", "fkac522", "fkac167", "recodeinfo",
    "uke", "fee_master", "mapped:<mapping name>", "unknown"), "side_file" (known, not read: its `entries` are the index,
    schemas, settlement and guidance of a checkup archive), or "refused" (must not or cannot be read, see `problem`).
    `entries` are the documents of a "checkup_xml" source, `index` its 交換用基本情報 (ix08) where there is just one.
    """

    path: Path
    name: str
    digest: str
    layout: str
    size: int
    entry: str | None = None
    entries: tuple[str, ...] = ()
    index: str | None = None
    problem: str | None = None

    def open(self, entry: str | None = None) -> AbstractContextManager[BinaryIO]:
        """A stream of the bytes of the file, of the archive's `entry`, or of one of its `entries` (or its `index`).

        Raises
        ------
        IngestError
            The file is gone or damaged; for a file in an archive also while it is read.
        """
        if entry is None:
            return open_file(self.path, self.entry, self.name)
        if self.path.is_dir():
            return open_file(self.path / entry, None, self.name)
        return open_file(self.path, entry if self.entry is None else f"{self.entry}!{entry}", self.name)


def find(raw: Path, mappings: Sequence[Mapping] = ()) -> list[Source]:
    """Which deliveries lie in this folder (or are this file), in the order of their names?

    Every file is a source, or one of the `entries` of one: the documents of an archive, of a DATA folder, or beside
    each other are one source of layout "checkup_xml". Zips are looked into, also zips in a zip (one level). Hidden and
    lock files, README, SYNTHETIC, *.key and mapping*.toml are no deliveries.

    Parameters
    ----------
    mappings
        The user's own mappings: a table they fit is theirs.

    Raises
    ------
    IngestError
        The folder does not exist. What is wrong with one file is told by its source ("refused").
    """
    if not raw.exists():
        raise IngestError(f"フォルダがありません: {raw}", hint="受領したファイルを置いたフォルダを指定してください。")
    sources: list[Source] = []
    homes: dict[Home, list[Found]] = {}
    for found in files(raw, mappings):
        if found.layout in ("checkup_xml", "side_file"):
            homes.setdefault(found.file.home, []).append(found)
        else:
            sources.append(_single(found))
    for home, members in homes.items():
        sources.extend(_grouped(home, members))
    return sorted(sources, key=lambda source: source.name)


def _single(found: Found) -> Source:
    file, layout, problem = found
    try:
        digest = _unread_digest(file) if layout == "refused" and not _regular(file.path) else _digest(file)
    except IngestError as error:
        layout, problem, digest = "refused", problem or error.message, _unread_digest(file)
    return Source(file.path, file.name, digest, layout, file.size, file.entry, problem=problem)


def _regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _unread_digest(file: File) -> str:
    return _text_digest(f"{file.name}|{file.size}")


def _grouped(home: Home, members: list[Found]) -> Iterator[Source]:
    """The documents of a folder or archive as one source, and what came with them as another."""
    indices = [found.file.inside for found in members if _INDEX.fullmatch(found.file.inside)]
    index = indices[0] if len(indices) == 1 else None
    for layout, suffix in (("checkup_xml", ""), ("side_file", " (付属ファイル)")):
        own = sorted((found.file for found in members if found.layout == layout), key=lambda file: file.inside)
        if own:
            entries, size = tuple(file.inside for file in own), sum(file.size for file in own)
            name, digest = home.name + suffix, _group_digest(home, own, layout)
            yield Source(home.path, name, digest, layout, size, home.entry, entries, index)


def _group_digest(home: Home, own: list[File], layout: str) -> str:
    """An archive's own bytes, or, of a folder, the names and bytes of its files; the index counts for neither.

    Raises
    ------
    IngestError
        A file that was there a moment ago is gone.
    """
    if home.path.is_dir():
        return _text_digest("|".join(f"{file.inside}={_digest(file)}" for file in own))
    whole = _digest(File(home.path, home.name, home.entry, 0, home, ""))
    return whole if layout == "checkup_xml" else _text_digest(f"{layout}|{whole}")


def _digest(file: File) -> str:
    """A file's bytes; of one in an archive the archive's bytes and its name there: nothing is unpacked to be hashed."""
    if file.entry is not None:
        return _text_digest(f"{_bytes_digest(file.path)}|{file.entry}")
    return _bytes_digest(file.path)


def _bytes_digest(path: Path) -> str:
    try:
        held = path.stat()
        return _hashed(path, held.st_mtime_ns, held.st_size)
    except OSError:
        hint = "移動や削除をしていないか、確かめてください。"
        raise IngestError(f"ファイルを開けません: {path.name}", hint=hint) from None


@lru_cache(maxsize=64)
def _hashed(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
