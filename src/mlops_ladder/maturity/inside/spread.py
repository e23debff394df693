"""Of a cluster of two workers: is what one of them was at done again when it is killed?"""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from mlops_ladder.maturity.inside import part

ITEMS = 8


def fragile(item: int, folder: str) -> int:
    """The item; who has the third one first is killed."""
    if item == 3 and not (mark := Path(folder, "killed")).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def killed() -> Any:
    """The answers of the workers, one of which was killed, and those that are wanted."""
    settings = part("settings").load_settings()
    scale = settings.scale.model_copy(update={"backend": "dask", "workers": 2, "address": ""})
    wanted = settings.model_copy(update={"scale": scale})
    with (
        tempfile.TemporaryDirectory() as folder,
        part("scaling.backends").create_executor(wanted) as place,
    ):
        found = list(place.each(fragile, range(ITEMS), folder))
        if not Path(folder, "killed").exists():
            found = ["no worker was killed"]
    return {"answers": found, "wanted": list(range(ITEMS))}
