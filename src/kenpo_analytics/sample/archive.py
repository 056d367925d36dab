"""How are files packed so that the same world gives the same bytes? Fixed times, fixed order, no system marks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

STAMP = (2025, 10, 31, 0, 0, 0)


def pack(path: Path, entries: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> None:
    """Writes an archive of these (name, content) pairs. Bulk text goes smallest, and fast, through bzip2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    level = None if method == zipfile.ZIP_LZMA else 9
    with zipfile.ZipFile(path, "w", method, compresslevel=level) as file:
        for name, content in entries:
            info = zipfile.ZipInfo(name, STAMP)
            info.create_system, info.external_attr, info.compress_type = 3, 0o644 << 16, method
            file.writestr(info, content, compress_type=method, compresslevel=level)


def write(path: Path, content: bytes) -> None:
    """Writes a plain file, its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def cp932(rows: Iterable[str]) -> bytes:
    """Lines as Japanese offices write them: CP932, CRLF."""
    return ("\r\n".join(rows) + "\r\n").encode("cp932")
