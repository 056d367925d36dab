"""`make sample`: the sample world anew, and the ledgers that `kenpo ingest` writes of its raw files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from kenpo_analytics.ingest.deliver import deliver
from kenpo_analytics.sample import build

SAMPLE = Path(__file__).parents[1] / "data" / "sample"


def main() -> None:
    """Write data/sample whole; the test of the raw files says whether both ways agree."""
    build(SAMPLE)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        deliver(SAMPLE / "raw", data, key_file=SAMPLE / "raw" / "sample.key")
        for name in ("sources", "quarantine"):
            shutil.copyfile(data / f"{name}.parquet", SAMPLE / f"{name}.parquet")


if __name__ == "__main__":
    main()
