"""Fixtures: every kind of frame the library takes, and what nbval needs to compare notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

KINDS = ("pandas", "polars", "polars-lazy", "duckdb")


@dataclass
class Engine:
    """Builds a frame of one kind from columns, and reads one back as a list of tuples."""

    name: str
    connection: duckdb.DuckDBPyConnection

    def __call__(self, data: dict[str, list] | pl.DataFrame, schema: dict | None = None) -> Any:
        frame = data if isinstance(data, pl.DataFrame) else pl.DataFrame(data, schema_overrides=schema, strict=False)
        if self.name == "pandas":
            return frame.to_pandas()
        if self.name == "polars":
            return frame
        if self.name == "polars-lazy":
            return frame.lazy()
        return self.connection.from_arrow(frame.to_arrow())

    def frame(self, native: Any) -> pl.DataFrame:
        """Any result as an eager polars frame."""
        if isinstance(native, pl.LazyFrame):
            return native.collect()
        if isinstance(native, pd.DataFrame):
            return pl.from_pandas(native, nan_to_null=True)
        return native if isinstance(native, pl.DataFrame) else native.pl()

    def rows(self, native: Any) -> list[tuple]:
        return self.frame(native).rows()

    def kind(self, native: Any) -> str:
        from kenpo_analytics import frames

        return frames.kind_of(native)


@pytest.fixture(params=KINDS)
def engine(request) -> Engine:
    """One kind of frame after the other."""
    return Engine(request.param, duckdb.connect())
