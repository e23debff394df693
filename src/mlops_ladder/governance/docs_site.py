"""Collect the pages of the documentation site, and build it: `ladder site`.

Every page that git holds, or would add, is copied to the same path, so that its links stay right.
The level of maturity gets a page of its own.  A dead link fails.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from mlops_ladder.governance.owners import list_repository_files

PAGES, SITE = Path("build/pages"), Path("build/site")
SHOWN = (".md", ".png", ".svg")
LEFT_OUT = ("build/", "tests/", ".github/", ".gitlab/")


def list_pages() -> list[Path]:
    """Return the pages and pictures of the repository.  End the program if git fails."""
    names = list_repository_files("--cached", "--others", "--exclude-standard")
    shown = (name for name in names if name.endswith(SHOWN) and not name.startswith(LEFT_OUT))
    return [Path(name) for name in shown if Path(name).is_file()]


def render_maturity_page() -> str:
    """Return the page with the output of `make maturity`."""
    command = ["make", "--silent", "maturity", "ARGS=--markdown"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        sys.exit(f"make maturity says nothing: {done.stderr.strip()}")
    return f"# Maturity\n\nFor everyone who asks for the level of this project.\n\n{done.stdout}"


def build_site() -> None:
    """Collect the pages, build the site, and print its place."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for path in list_pages():
        (PAGES / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, PAGES / path)
    (PAGES / "maturity.md").write_text(render_maturity_page() + "\n", encoding="utf-8")
    program = str(Path(sys.executable).with_name("mkdocs"))
    command = [program, "build", "--strict"]  # with --quiet it would count no warning
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr.strip()}\n{SITE}: not built")
    count = len(list(SITE.rglob("*.html")))
    print(f"{SITE}: {count} pages.  To read and search it: make site OPEN=yes")
