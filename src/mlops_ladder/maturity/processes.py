"""Commands that leave no process behind."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

Done = subprocess.CompletedProcess[str]


def ended(command: tuple[str, ...], timeout: float, **options: Any) -> Done:
    """How a command ended; interrupted, or too slow, all that it has started ends with it.

    Raises what `subprocess.run` raises.
    """
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    text: Any = {"text": True, "errors": "replace", "start_new_session": True}
    with subprocess.Popen(command, **pipes, **text, **options) as process:
        try:
            said = process.communicate(timeout=timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Done(command, process.returncode, *said)


def place(kind: str) -> str:
    """Where uv keeps packages or Pythons for the user: a copy with another home shares them."""
    uv = os.environ.get("UV", "uv")  # set by `uv run`, which need not be on the PATH
    told = subprocess.run([uv, kind, "dir"], capture_output=True, text=True, check=False)
    return told.stdout.strip()
