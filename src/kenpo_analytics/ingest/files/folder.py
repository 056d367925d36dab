"""Which files lie in a raw folder, and what is each? Archives unfolded, everything unsafe refused before it is read."""

from __future__ import annotations

import fnmatch
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.archives import MAGIC, MAX_INNER_BYTES, Archive, archive, open_member, refuse_bomb
from kenpo_analytics.ingest.files.recognise import HEAD_BYTES, recognise

if TYPE_CHECKING:
    from kenpo_analytics.ingest.lists.mapping import Mapping

MAX_DOCUMENT_BYTES = 20 * 2**20
_IGNORED = (".*", "~$*", "thumbs.db", "desktop.ini", "readme*", "synthetic", "*.key", "mapping*.toml")
_IGNORED_FOLDERS = (".*", "__macosx")
_OF_ARCHIVES = ("DATA", "CLAIMS", "XSD")
_DOCUMENT = re.compile(r"(?:.*/)?DATA/h[^/]*\.xml", re.IGNORECASE)
_SIDE = re.compile(r"(?:.*/)?(?:DATA/g[^/]*|(?:CLAIMS|XSD)/.*)\.(?:xml|xsd)", re.IGNORECASE)
_BESIDE_CLAIMS = re.compile(r"(?:.*/)?[0-9]{2}_(?!REC)[A-Z0-9]+_(?:MED|DPC|DEN|PHA|NUR)\.CSV", re.IGNORECASE)


class Home(NamedTuple):
    """The folder or archive whose documents are one delivery: its path, its entry in an archive, and its name."""

    path: Path
    entry: str | None
    name: str


class File(NamedTuple):
    """A file on disk or in an archive; `name` is its path under the raw folder, `inside` its path in its home."""

    path: Path
    name: str
    entry: str | None
    size: int
    home: Home
    inside: str

    def open(self) -> BinaryIO:
        """A stream of its bytes; an IngestError where there is none."""
        return open_file(self.path, self.entry, self.name)


class Found(NamedTuple):
    """A file with its layout (see `recognise`), or "refused" and why."""

    file: File
    layout: str
    problem: str | None = None


def open_file(path: Path, entry: str | None, name: str) -> BinaryIO:
    """A stream of a file, or of an archive's entry. `name` is how a message calls it."""
    try:
        return path.open("rb") if entry is None else open_member(path, entry)
    except (OSError, KeyError):
        raise IngestError(f"ファイルを開けません: {name}", hint="移動、削除、権限を確かめてください。") from None


def files(raw: Path, mappings: Sequence[Mapping] = ()) -> Iterator[Found]:
    """Which files lie in this folder, or are this file? Members of archives each by itself, nothing twice."""
    root = raw if raw.is_dir() else raw.parent
    for path in sorted(_paths(raw)) if raw.is_dir() else [raw]:
        file = _on_disk(path, root)
        problem = _special(path, root)
        if problem:
            yield Found(file, "refused", problem)
        else:
            yield from _looked(file, mappings)


# --- on disk -------------------------------------------------------------------------------------------


def _paths(raw: Path) -> Iterator[Path]:
    """Files, and linked folders that lead out of `raw` (to be refused); links to its own folders are not followed."""
    for folder, folders, names in os.walk(raw):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not _matches(name, _IGNORED_FOLDERS)]
        yield from (here / name for name in links if not _within(here / name, raw))
        yield from (here / name for name in names if not _matches(name, _IGNORED))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _special(path: Path, root: Path) -> str | None:
    """Why a path must not be opened: opening a pipe hangs, a link may lead anywhere."""
    if path.is_symlink() and not _within(path, root):
        return "フォルダの外を指すリンクです。"
    if not path.is_file():
        return "通常のファイルではありません。"
    return "ファイル名の文字コードを読めません。" if _shown(path.name) != path.name else None


def _on_disk(path: Path, root: Path) -> File:
    folder = path.parent
    for parent in path.relative_to(root).parents:
        if parent.name.upper() in _OF_ARCHIVES:
            folder = root / parent.parent
    at = folder.relative_to(root).as_posix()
    home = Home(folder, None, _shown(root.resolve().name if at == "." else at))
    name, inside = _shown(path.relative_to(root).as_posix()), path.relative_to(folder).as_posix()
    return File(path, name, None, path.lstat().st_size, home, inside)


def _shown(name: str) -> str:
    """A name that can be written: bytes that are not in the system's encoding become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


# --- one file ------------------------------------------------------------------------------------------


def _looked(file: File, mappings: Sequence[Mapping], depth: int = 0) -> list[Found]:
    """The file with its layout, or, of an archive, its members with theirs."""
    try:
        layout = _layout(file, mappings)
        return _unfolded(file, mappings, depth) if layout == "archive" else [Found(file, layout)]
    except IngestError as error:
        return [Found(file, "refused", error.message + (error.hint or ""))]


def _layout(file: File, mappings: Sequence[Mapping]) -> str:
    """Documents in the folders of a checkup archive are known by these: nobody opens 10,000 files to be told so.

    A file of the standard name of those beside RECODEINFO (04_PECULIARTEXTINFO_PHA.CSV) goes by it, if by nothing else.
    """
    if _SIDE.fullmatch(file.inside):
        return "side_file"
    if _DOCUMENT.fullmatch(file.inside):
        layout = "checkup_xml"
    else:
        with file.open() as stream:
            head = stream.read(HEAD_BYTES)
        if head.startswith(MAGIC) and not _is_workbook(file):
            return "archive"
        layout = recognise(head, lambda: _whole(file), mappings)
    if layout == "unknown" and _BESIDE_CLAIMS.fullmatch(file.inside):
        return "side_file"
    if layout == "checkup_xml" and file.size > MAX_DOCUMENT_BYTES:
        raise IngestError(f"1件の健診XMLが大きすぎます({MAX_DOCUMENT_BYTES >> 20} MiBまで)。")
    return layout


def _is_workbook(file: File) -> bool:
    """Whether a zip is a document of an office suite."""
    opened = archive(file.path) if file.entry is None else Archive(io.BytesIO(_whole(file)))
    return "[Content_Types].xml" in opened.members


def _whole(file: File) -> bytes:
    if file.size > MAX_INNER_BYTES:
        raise IngestError(
            f"Excelか、zipの中のzipが大きすぎます({MAX_INNER_BYTES >> 20} MiBまで)。",
            hint="ExcelはCSVで保存し、外側のzipは展開して置いてください。",
        )
    with file.open() as stream:
        return stream.read()


def _unfolded(file: File, mappings: Sequence[Mapping], depth: int) -> list[Found]:
    """An archive's members. What all archives in it unfold to is limited, too."""
    if depth > 1:
        raise IngestError("zipの中のzipの中に、さらにzipがあります。", hint="1段展開して置いてください。")
    found: list[Found] = []
    total = 0
    for member in _members(file):
        for inner in _looked(member, mappings, depth + 1):
            found.append(inner)
            total += inner.file.size
        refuse_bomb(len(found), total, file.size)
    if not found:
        raise IngestError("zipの中に、取り込むファイルがありません。")
    return found


def _members(file: File) -> Iterator[File]:
    home = Home(file.path, file.entry, file.name)
    for name, info in sorted(archive(file.path, file.entry).members.items()):
        *folders, base = name.split("/")
        if not _matches(base, _IGNORED) and not any(_matches(folder, _IGNORED_FOLDERS) for folder in folders):
            entry = name if file.entry is None else f"{file.entry}!{name}"
            yield File(file.path, f"{file.name}!{name}", entry, info.file_size, home, name)
