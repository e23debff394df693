"""What stands in for a cluster: a real registry, and a kubectl that remembers what was applied.

No API server is to be had here: what the stand-in takes was never applied to a cluster.  Its
`kustomize` and `annotate --local` are the real ones.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from engines import needed

REGISTRY = "127.0.0.1:18613"
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: {address}}}
"""
KUBECTL = '''#!{python}
"""Remembers what is applied in a namespace; `FAIL=namespace/command` names what fails there."""
import json, os, sys
from pathlib import Path
import yaml

said = sys.argv[1:]
if said[0] in ("kustomize", "annotate"):
    os.execv("{real}", ["kubectl", *said])
state = Path(os.environ["KUBECTL_STATE"])
assert said[0] == "--namespace", said
space, verb, *more = said[1:]
with (state / "calls").open("a") as calls:
    calls.write(" ".join([space, verb, *more]) + "\\n")
what = f"{{verb}} {{more[0]}}" if verb == "rollout" else verb
if f"{{space}}/{{what}}" == os.environ.get("FAIL"):
    sys.exit(f"planted: {{what}} fails in {{space}}")
held = state / f"{{space}}.json"
revisions = json.loads(held.read_text()) if held.exists() else []
live = revisions[-1] if revisions else None
if verb == "apply":
    applied = [it for it in yaml.safe_load_all(sys.stdin) if it["kind"] == "Deployment"]
    held.write_text(json.dumps([*revisions, *applied]))
elif verb == "rollout" and more[0] == "undo":
    number = int(more[-1].partition("=")[2])
    held.write_text(json.dumps([*revisions, revisions[number - 1]]))
elif verb == "get" and more[0] == "deployment" and live:
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(len(revisions))
    print(json.dumps(live))
elif verb == "get" and more[0] == "pods":
    pod = live["spec"]["template"]["spec"] if live else None
    old = {{"metadata": {{"name": "old", "deletionTimestamp": "now"}}, "spec": pod}}
    new = {{"metadata": {{"name": "new"}}, "spec": pod}}
    print(json.dumps({{"items": [old, new] if pod else []}}))
elif verb == "exec":
    (state / f"{{space}}.asked").write_text(sys.stdin.read())
elif verb == "delete":
    held.unlink()
'''


def kubectl(folder: Path) -> Path:
    """A folder for the PATH with the stand-in."""
    real = shutil.which("kubectl") or pytest.fail("kubectl: not installed")
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, real=real), encoding="utf-8")
    program.chmod(0o755)
    return folder


@contextmanager
def registry(folder: Path, address: str = REGISTRY) -> Iterator[str]:
    """The address of a registry of images; it gives each image that is pushed its digest."""
    needed("docker-registry")
    folder.mkdir()
    config = folder / "config.yml"
    config.write_text(CONFIG.format(folder=folder / "images", address=address), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            for _ in range(100):
                try:
                    HTTPConnection(address, timeout=5).request("GET", "/v2/")
                    break
                except OSError:
                    assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
                    time.sleep(0.1)
            yield f"{address}/"
        finally:
            process.terminate()
            process.wait(30)
