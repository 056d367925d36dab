"""What nbval needs to compare the committed notebooks: sample data, one thread, no warnings on stderr."""

import os
from pathlib import Path

os.environ.setdefault("KENPO_DATA", str(Path(__file__).parent / "data" / "sample"))
os.environ.setdefault("POLARS_MAX_THREADS", "1")  # sums of floats in one order
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_collectstart(collector):
    """A kernel's start-up warnings are not a result."""
    if collector.path.suffix == ".ipynb" and hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)


collect_ignore = ["tests/runs_fixtures"]  # notebooks that fail on purpose
