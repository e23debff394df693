"""A project that is delivered by a real engine, for the tests: its commands, and its service asked."""

import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from conftest import commit, fails, ok, rewheel
from engines import Engine
from watchers import BUSY

PORT = 18610
POD_PORT = 18611
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PUBLISH = """
import json, sys
from hashlib import sha256
from pathlib import Path
from mlops_ladder.export import bundle
from mlops_ladder.data.contract import read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
from mlops_ladder.model.training import train_model

folder, number = Path("models/serving"), sys.argv[1]
settings, contract = load_settings(seed=int(number)), read_contract()
if sys.argv[2:] == ["native"]:
    bundle.convert_and_compare = lambda trained: (b"", None, "planted")
bundle.export_bundle(train_model(read_data(settings), contract, settings), folder / number)
found = sha256((folder / number / "bundle.json").read_bytes()).hexdigest()
pointer = {"version": number, "run_id": "", "sha256": found}
(folder / "next").write_text(json.dumps(pointer))
(folder / "next").replace(folder / "champion.json")
"""


class Delivered:
    """A project, and its commands against the engine."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        self.environment = engine.environment | {"ADDRESS": f"127.0.0.1:{PORT}"}

    def ok(self, *command: str, **environment: str) -> str:
        """What a command prints; it must end well."""
        return ok(*command, at=self.folder, **self.environment | environment)

    def fails(self, *command: str, **environment: str) -> str:
        """What a command prints; it must fail."""
        return fails(*command, at=self.folder, **self.environment | environment)

    @property
    def commit(self) -> str:
        """The commit that is checked out."""
        return self.ok("git", "rev-parse", "HEAD").strip()

    @property
    def image(self) -> str:
        """The name of its image."""
        return f"my-problem:{self.commit[:12]}"

    def change(self, path: str, more: str) -> None:
        """Commit a file with some more at its end."""
        with (self.folder / path).open("a", encoding="utf-8") as file:
            file.write(more)
        commit(self.folder, f"Change {path}")

    def spoil(self, module: str, old: str, new: str) -> None:
        """Commit a fault in the library's wheel."""
        rewheel(self.folder, module, old, new)
        commit(self.folder, f"Spoil {module}")

    def publish(self, number: int, *how: str) -> None:
        """Train and export a model, and make it the champion, past the gate; `native`: no ONNX."""
        self.ok(".venv/bin/python", "-c", PUBLISH, str(number), *how)

    def inside(self, image: str, code: str) -> Any:
        """What Python code prints in an image, as JSON."""
        return json.loads(self.engine.docker("run", "--rm", image, "python", "-c", code))


def ask(path: str, body: Any = None, port: int = PORT) -> tuple[int, Any]:
    """The status and the JSON that the service answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        data = json.dumps(body) if body else None
        kind = {"Content-Type": "application/json"}
        connection.request("POST" if body else "GET", path, data, kind)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def within(seconds: int, question: Callable[[], bool]) -> bool:
    """Whether the answer becomes yes in this time; no answer is a no."""
    for _ in range(4 * BUSY * seconds):
        try:
            if question():
                return True
        except OSError:
            pass
        time.sleep(0.25)
    return False


def example(port: int = PORT) -> Any:
    """The row that the service's own description shows."""
    operation = ask("/openapi.json", port=port)[1]["paths"]["/predict"]["post"]
    return operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
