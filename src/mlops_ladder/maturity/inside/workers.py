"""Questions about a cluster of two workers if one is killed."""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from mlops_ladder.maturity.inside import part

ITEMS = 8


def fragile(item: int, folder: str) -> int:
    """Return the item; kill the first worker that gets item 3."""
    if item == 3 and not (mark := Path(folder, "killed")).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def kill_worker() -> Any:
    """Return the answers of the workers after one was killed."""
    settings = part("settings").load_settings()
    scale = settings.scale.model_copy(update={"backend": "dask", "workers": 2, "address": ""})
    settings = settings.model_copy(update={"scale": scale})
    create_executor = part("scaling.backends").create_executor
    with tempfile.TemporaryDirectory() as folder, create_executor(settings) as executor:
        answers = list(executor.map(fragile, range(ITEMS), folder))
        return answers if Path(folder, "killed").exists() else ["no worker was killed"]
