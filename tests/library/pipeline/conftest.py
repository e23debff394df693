"""The flow beside a Prefect server of the tests' own, for all tests of this folder."""

import shutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from library.fixture_project import ROOT
import pytest

from mlops_ladder.pipeline import server
from mlops_ladder.project import get_project


@pytest.fixture(name="flows", scope="package")
def _flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The flow, beside a Prefect server of the tests' own."""
    home = tmp_path_factory.mktemp("prefect") / "home"
    if (ROOT / server.HOME).exists():
        shutil.copytree(ROOT / server.HOME, home)  # saves the seconds in which a database is made
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        patch.setenv("PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL", "1")
        patch.setenv("PREFECT_API_URL", "")
        wait_until_ready = server.start_server()
        found = import_module(f"{get_project().package}.pipeline")
        wait_until_ready()
        yield found
