"""Which Python runs the notebooks? This one, in kernels of its own that can be ended at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

KERNEL = "python3"


class _OwnPython(KernelSpecManager):
    """Knows one kernel: this interpreter. A kernel of that name left by somebody's conda must not be taken."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python", resource_dir="")


class Kernel(AsyncKernelManager):
    """A kernel of this interpreter with its own environment, whose process group can be killed.

    Subclassed per notebook by `bound`, since nbclient makes its kernel manager from a class.
    """

    environment: Mapping[str, str]
    folder: Path
    process: int | None = None

    async def _async_start_kernel(self, **options: Any) -> None:
        options["env"] = dict(self.environment)
        options["cwd"] = str(self.folder)
        await super()._async_start_kernel(**options)
        self.process = getattr(self.provisioner, "pid", None)

    start_kernel = _async_start_kernel

    def kill(self) -> None:
        """End the kernel and whatever it started, at once."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self.process, signal.SIGKILL)  # jupyter starts each kernel as a group of its own
            else:
                os.kill(self.process, signal.SIGTERM)


def bound(home: Path, env: Mapping[str, str], folder: Path, started: list[Kernel]) -> type[Kernel]:
    """A kernel class with its sockets in `home`; each kernel made from it is appended to `started`."""

    class Bound(Kernel):
        environment = env

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.folder = folder
            self.kernel_spec_manager = _OwnPython(parent=self)
            mark = uuid.uuid4().hex[:8]
            if os.name == "posix":  # sockets instead of ports: no race, and nobody else can connect
                self.transport = "ipc"
                self.ip = str(home / mark)
            self.connection_file = str(home / f"{mark}.json")
            started.append(self)

    return Bound


def home_of(run_id: str) -> Path:
    """The folder of a run's sockets: short, since a socket's path may have about 100 characters only."""
    user = os.getuid() if hasattr(os, "getuid") else "u"
    return Path(tempfile.gettempdir()) / f"kenpo-{user}-{run_id}"


def environment(home: Path, *, month: str, data: Path, jobs: int) -> dict[str, str]:
    """What a kernel's environment is: ours, the month and data of the run, and threads shared fairly."""
    threads = max(1, (os.cpu_count() or 1) // max(1, jobs))
    return dict(os.environ) | {
        "KENPO_DATA": str(data),
        "KENPO_MONTH": month,
        "POLARS_MAX_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "IPYTHONDIR": str(home / "ipython"),  # a person's start-up files must not change a report
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
    }
