"""Which deliveries lie in a folder? Files, archives and folders of documents as `Source`s; unsafe archives refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from kenpo_analytics.ingest.records import Batch


@dataclass(frozen=True)
class Source:
    """One delivery: a file, a file in an archive, or all checkup documents of an archive or folder.

    `name` is its path under the raw folder (`a.zip!b.csv` inside an archive), `digest` its content's fingerprint,
    `layout` what `recognise` found ("checkup_xml", "cc2x", "fkac522", "fkac167", "recodeinfo", "uke", "fee_master",
    "mapped:<mapping name>", "unknown"). `entries` are the documents of a "checkup_xml" source.
    """

    path: Path
    name: str
    digest: str
    layout: str
    size: int
    entry: str | None = None
    entries: tuple[str, ...] = ()

    def open(self, entry: str | None = None) -> AbstractContextManager[BinaryIO]:
        """A stream of the bytes of the file, of the archive's `entry`, or of one of its `entries`."""
        raise NotImplementedError


class Reader(Protocol):
    """How is one layout read? Batch by batch, in bounded memory; damaged content becomes rejections, not exceptions."""

    def __call__(self, source: Source) -> Iterator[Batch]:
        """The records of a source."""
        ...
