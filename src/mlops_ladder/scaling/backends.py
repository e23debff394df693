"""Backends: a function on many items, in this process or on the workers of a Dask cluster.

The only file that imports distributed.  Answers come in the order of the items, and few items are
under way at a time, so that neither they nor their answers fill the memory.

A worker does a task only where it has the Python, packages, code and settings of this process.
"""

import logging
import os
import platform
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
AHEAD = 2  # items for each worker: one that is worked on, one that waits
PATIENCE = 60  # seconds in which a scheduler answers
RESTART = 300  # seconds after which a worker is there again; on a busy machine imports take long
PATIENT = {
    # Imports take a worker's whole attention, on a busy machine for long: they come before it
    # joins, and nobody takes it for dead meanwhile.
    "distributed.worker.preload": [f"{__package__}.command"],
    "distributed.comm.timeouts.connect": "120s",
    "distributed.comm.timeouts.tcp": "300s",
}
WAY_OUT = 'or set [scale] backend = "local" (config/scale.toml)'
OPEN: ContextVar["Cluster | None"] = ContextVar("OPEN", default=None)


@cache
def facts() -> dict[str, str]:
    """What has to be the same wherever a task is done, for its result to be the same."""
    found = {*Path().glob("*.toml"), *FOLDER.glob("*.toml"), *Path("governance").glob("*.toml")}
    sent = {path for path in list_settings_files() if path.parent == FOLDER} | {
        project.PYPROJECT
    }  # with a task
    here = sorted(found - sent)
    return {
        "Python": platform.python_version(),
        **dict(line.split("==", 1) for line in list_requirements()),
        CODE: compute_sha256(*sorted(PACKAGE.rglob("*.py")), *own_files()),
        SETTINGS: compute_sha256(*here) if here else "none",
    }


def own_files() -> list[Path]:
    """The files of the project's own package."""
    spec = find_spec(project.get_project().package)
    return sorted(Path(str(spec.origin)).parent.rglob("*.py")) if spec and spec.origin else []


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is not the same, in words."""
    other = {name: value for name, value in wanted.items() if found.get(name) != value}
    plain = {name: f"{name} {found.get(name)}, not {value}" for name, value in other.items()}
    return [f"other {name}" if name in (CODE, SETTINGS) else plain[name] for name in other]


def asked(item: Any, wanted: dict[str, str], function: Callable[..., Any], *more: Any) -> Any:
    """What the function says of an item.  ProjectError where this worker is not as is wanted."""
    if found := differences(wanted, facts()):
        where = f"worker {platform.node()}, process {os.getpid()}, in {Path.cwd()}"
        raise ProjectError(f"[scale]: {where}: {'; '.join(found)}; start it in a copy of this one")
    return function(item, *more)


def itself(it: Any) -> Any:
    """What it is given."""
    return it


class Local(SerialExecutor):  # pylint: disable=too-few-public-methods  # as the class that it is
    """This process."""

    def __init__(self, wanted: Scale) -> None:
        self.at_once = wanted.at_once


class Cluster:
    """The workers of a cluster.  What one of them was at when it died, another one does again."""

    def __init__(self, client: Any, wanted: Scale) -> None:
        self.client, self.at_once = client, wanted.at_once
        self.sent: dict[int, tuple[Any, Any]] = {}

    def each(self, function: Callable[..., Any], items: Iterable[Any], *more: Any) -> Iterator[Any]:
        """What the function says of each item, in their order; `more` are further arguments.

        Raises what the function raises; ProjectError where a worker cannot be asked, or is not as
        this process is.
        """
        given = [self.send(it) for it in (facts(), function, *more)]
        waiting: deque[Any] = deque()
        most = AHEAD * len(self.threads())
        try:
            for item in items:
                waiting.append(self.client.submit(asked, item, *given, pure=False))
                if len(waiting) >= most:
                    yield self.answer(waiting.popleft())
            while waiting:
                yield self.answer(waiting.popleft())
        finally:
            self.client.cancel(list(waiting))

    def send(self, it: Any) -> Any:
        """A task that is this object: workers hand it on, and make it again where one is lost."""
        if id(it) not in self.sent:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # that it is large
                self.sent[id(it)] = it, self.client.submit(itself, it, pure=False)
        return self.sent[id(it)][1]

    def threads(self) -> list[str]:
        """The worker of each thread that can work.  ProjectError where none is there in minutes."""
        try:
            self.client.wait_for_workers(1, timeout=RESTART)
        except TimeoutError as error:
            told = f"[scale]: the cluster has no worker; start one, {WAY_OUT}"
            raise ProjectError(told) from error
        found = self.client.nthreads()
        return [name for name, number in found.items() for _ in range(number)]

    def answer(self, future: Any) -> Any:
        """The result of a task, once it is there.  ProjectError where it never will be."""
        from distributed import KilledWorker, wait  # pylint: disable=import-outside-toplevel  # 1 s

        try:
            while not ended(wait, future):
                self.threads()
            return future.result()
        except KilledWorker as error:
            died = f"{error.last_worker.address}, and {error.allowed_failures} before it"
            told = "more memory for each worker, or smaller parts, may help"
            raise ProjectError(f"[scale]: a task killed its workers: {died}; {told}") from error
        except (CancelledError, OSError) as error:
            said = f"[scale]: the cluster was lost: {error}; start it again, {WAY_OUT}"
            raise ProjectError(said) from error
        except (ImportError, AttributeError) as error:
            told = "workers have to be of this project's environment"
            raise ProjectError(f"[scale]: a worker cannot run the task: {error}; {told}") from error


def ended(wait: Callable[..., Any], future: Any) -> bool:
    """Has the task ended within a minute, however it did?"""
    try:
        wait(future, timeout=PATIENCE)
    except TimeoutError:
        return False
    return True


def create_executor(settings: Settings) -> AbstractContextManager[Any]:
    """Where the settings say that items are worked on; within this another one is the same.

    Raises ProjectError where a cluster cannot be had, or its workers have other versions.
    """
    if settings.scale.backend == "local":
        return nullcontext(Local(settings.scale))
    return nullcontext(OPEN.get()) if OPEN.get() else started(settings.scale)


@contextmanager
def started(wanted: Scale) -> Iterator[Any]:
    """A cluster that is used within this, also where it is asked for again."""
    # `connected` leaves all that it enters: pylint: disable=contextmanager-generator-missing-cleanup
    with connected(wanted) as client:
        token = OPEN.set(Cluster(client, wanted))
        try:
            yield OPEN.get()
        finally:
            OPEN.reset(token)


@contextmanager
def connected(wanted: Scale) -> Iterator[Any]:
    """A client of the cluster, which ends with it where it is of this machine."""
    try:
        # Other commands do not wait the second that it takes.
        dask, distributed = map(import_module, ("dask", "distributed"))
    except ImportError as error:
        raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
    if not wanted.address:
        how = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
        with (
            dask.config.set(PATIENT),
            distributed.LocalCluster(wanted.workers, threads_per_worker=1, **how) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(wanted.address, timeout=PATIENCE)
        client.wait_for_workers(1, timeout=PATIENCE)
        client.get_versions(check=True)
    except (OSError, ValueError, ImportError) as error:
        said = " ".join(str(error).split())
        raise ProjectError(f"scale.address = {wanted.address!r}: {said}; {WAY_OUT}") from error
    with client:
        yield client
