"""Renew the locks under templates/locks: `make locks`.

A project gets its uv.lock from here, because generating is offline and writes the same bytes each
time.  There is one lock for each level that brings dependencies of its own (`locks:` in
capabilities.yml) and each framework; only the name of the project differs between projects.
"""

import json
import os
import subprocess
import sys
import tempfile
from itertools import product

import yaml
from rendering import render, TEMPLATE

LOCKS = TEMPLATE / "templates" / "locks"
NAME = "the-name-of-the-project"


def lock(level: int, framework: str) -> str:
    """Resolve one project afresh and keep its lock; say where."""
    kept = LOCKS / f"{framework}-{level}.lock"
    kept.touch()
    with tempfile.TemporaryDirectory() as folder:
        project = render(folder, project_slug=NAME, maturity_level=str(level), framework=framework)
        found = project / "uv.lock"
        old = kept.read_text(encoding="utf-8")
        found.write_text(old, encoding="utf-8")
        if not old:
            found.unlink()
        upgrade = ["--upgrade"] if "--upgrade" in sys.argv else []
        subprocess.run(
            [os.environ.get("UV", "uv"), "lock", "--quiet", *upgrade], cwd=project, check=True
        )
        kept.write_text(found.read_text(encoding="utf-8"), encoding="utf-8")
    return str(kept.relative_to(TEMPLATE))


def main() -> None:
    """Renew every lock, and say which."""
    manifest = yaml.safe_load((TEMPLATE / "capabilities.yml").read_text(encoding="utf-8"))
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    for level, framework in product(manifest["locks"], questions["framework"]):
        print(lock(level, framework), flush=True)


if __name__ == "__main__":
    main()
