"""Backends: a function on many items, in this process or on the workers of a Dask cluster.

The only file that imports distributed.  Results come in the order of the items.  Few items are
submitted at a time, so that neither they nor their results fill the memory.

A worker refuses a task unless it has the Python, packages, code and settings of this process.
"""

import logging
import os
import platform
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops_ladder import project, ProjectError
from mlops_ladder.data.provenance import list_requirements
from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.model.study import SerialExecutor
from mlops_ladder.settings import FOLDER, list_settings_files, Settings
from mlops_ladder.scaling.settings import Scale

PACKAGE = Path(__file__).resolve().parents[1]
CODE, SETTINGS = "code of the project", "settings (its *.toml)"
AHEAD = 2  # items for each worker: one in work, one that waits
SCHEDULER_TIMEOUT_S = 60  # until a scheduler answers
# After this time a worker is there again: on a busy machine imports take long.
RESTART_TIMEOUT_S = 300
PATIENT_CONFIG = {
    # Imports block a worker, on a busy machine for long.  It does them before it joins the
    # cluster, so that the scheduler does not count it as dead.
    "distributed.worker.preload": [f"{__package__}.command"],
    "distributed.comm.timeouts.connect": "120s",
    "distributed.comm.timeouts.tcp": "300s",
}
WAY_OUT = 'or set [scale] backend = "local" (config/scale.toml)'
OPEN: ContextVar["Cluster | None"] = ContextVar("OPEN", default=None)


@cache
def collect_worker_facts() -> dict[str, str]:
    """Return the versions and checksums on which the result of a task depends."""
    paths = {*Path().glob("*.toml"), *FOLDER.glob("*.toml"), *Path("governance").glob("*.toml")}
    paths -= {path for path in list_settings_files() if path.parent == FOLDER}  # sent with a task
    here = sorted(paths - {project.PYPROJECT})
    return {
        "Python": platform.python_version(),
        **dict(line.split("==", 1) for line in list_requirements()),
        CODE: compute_sha256(*sorted(PACKAGE.rglob("*.py")), *list_package_files()),
        SETTINGS: compute_sha256(*here) if here else "none",
    }


def list_package_files() -> list[Path]:
    """Return the files of the project's own package."""
    spec = find_spec(project.get_project().package)
    return sorted(Path(str(spec.origin)).parent.rglob("*.py")) if spec and spec.origin else []


def find_worker_differences(expected: dict[str, str], actual: dict[str, str]) -> list[str]:
    """Return a line for each fact that is not the same."""
    other = {name: value for name, value in expected.items() if actual.get(name) != value}
    plain = {name: f"{name} {actual.get(name)}, not {value}" for name, value in other.items()}
    return [f"other {name}" if name in (CODE, SETTINGS) else plain[name] for name in other]


def run_on_worker(
    item: Any, expected: dict[str, str], function: Callable[..., Any], *more: Any
) -> Any:
    """Return the function's result for an item.  Raise ProjectError if this worker differs."""
    if faults := find_worker_differences(expected, collect_worker_facts()):
        where = f"worker {platform.node()}, process {os.getpid()}, in {Path.cwd()}"
        raise ProjectError(f"[scale]: {where}: {'; '.join(faults)}; start it in a copy of this one")
    return function(item, *more)


class Cluster:
    """The workers of a cluster.  If a worker dies, another one repeats its task."""

    def __init__(self, client: Any, scale: Scale) -> None:
        self.client, self.batch_size = client, scale.at_once
        self.shared: dict[int, tuple[Any, Any]] = {}

    def map(self, function: Callable[..., Any], items: Iterable[Any], *more: Any) -> Iterator[Any]:
        """Yield the results by the order of the items; `more` are further arguments.

        Raises what the function raises; ProjectError if a worker is lost, or differs from this
        process.
        """
        shared = [self.share(value) for value in (collect_worker_facts(), function, *more)]
        waiting: deque[Any] = deque()
        most = AHEAD * self.count_threads()
        try:
            for item in items:
                waiting.append(self.client.submit(run_on_worker, item, *shared, pure=False))
                if len(waiting) >= most:
                    yield self.get_result(waiting.popleft())
            while waiting:
                yield self.get_result(waiting.popleft())
        finally:
            self.client.cancel(list(waiting))

    def share(self, value: Any) -> Any:
        """Return a task that holds a value; workers copy it, and compute a lost one again."""
        if id(value) not in self.shared:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # if it is large
                task = self.client.submit(lambda value: value, value, pure=False)
            self.shared[id(value)] = value, task
        return self.shared[id(value)][1]

    def count_threads(self) -> int:
        """Return the threads of all workers.  Raise ProjectError if no worker joins in minutes."""
        try:
            self.client.wait_for_workers(1, timeout=RESTART_TIMEOUT_S)
        except TimeoutError as error:
            raise ProjectError(f"[scale]: it has no worker; start one, {WAY_OUT}") from error
        return sum(self.client.nthreads().values())

    def get_result(self, future: Any) -> Any:
        """Wait for the result of a task.  Raise ProjectError if it cannot be had."""
        # pylint: disable-next=import-outside-toplevel  # the import takes a second
        from distributed import KilledWorker, wait

        try:
            while not future.done():
                try:
                    # distributed has no types there
                    wait(future, timeout=SCHEDULER_TIMEOUT_S)  # type: ignore[no-untyped-call]
                except TimeoutError:
                    self.count_threads()
            return future.result()
        except KilledWorker as error:
            died = f"{error.last_worker.address}, and {error.allowed_failures} before it"
            way_out = "give each worker more memory, or make the parts smaller"
            raise ProjectError(f"[scale]: a task killed its workers: {died}; {way_out}") from error
        except (CancelledError, OSError) as error:
            fault = f"[scale]: the cluster was lost: {error}; start it again, {WAY_OUT}"
            raise ProjectError(fault) from error
        except (ImportError, AttributeError) as error:
            way_out = "start workers in this project's environment"
            raise ProjectError(f"[scale]: a worker cannot run it: {error}; {way_out}") from error


@contextmanager
def create_executor(settings: Settings) -> Iterator[Any]:
    """Yield the executor that the settings name; nested contexts share a cluster.

    Raises ProjectError if a cluster cannot be reached, or its workers have other versions.
    """
    # connect_client closes what it opens: pylint: disable=contextmanager-generator-missing-cleanup
    scale = settings.scale
    if scale.backend == "local":
        yield SerialExecutor(scale.at_once)
    elif cluster := OPEN.get():
        yield cluster
    else:
        with connect_client(scale) as client:
            cluster = Cluster(client, scale)
            token = OPEN.set(cluster)
            try:
                yield cluster
            finally:
                OPEN.reset(token)


@contextmanager
def connect_client(scale: Scale) -> Iterator[Any]:
    """Yield a client; a cluster of this machine ends with it."""
    try:
        # The import takes a second, and other commands do without.
        dask, distributed = map(import_module, ("dask", "distributed"))
    except ImportError as error:
        raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
    if not scale.address:
        how = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
        with (
            dask.config.set(PATIENT_CONFIG),
            distributed.LocalCluster(scale.workers, threads_per_worker=1, **how) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(scale.address, timeout=SCHEDULER_TIMEOUT_S)
        client.wait_for_workers(1, timeout=SCHEDULER_TIMEOUT_S)
        client.get_versions(check=True)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise ProjectError(f"scale.address = {scale.address!r}: {reason}; {WAY_OUT}") from error
    with client:
        yield client
