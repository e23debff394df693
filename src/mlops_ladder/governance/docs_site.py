"""Gather the pages of the documentation site, and build it: `ladder site`.

Every page that git holds, or would add, becomes one of the site, at the same place, so that its
links lead where they lead in the repository; the level of maturity and the reports of the last runs
come as pages of their own.  A link to nowhere fails.
"""

import shutil
import subprocess
import sys
from pathlib import Path

PAGES, SITE = Path("build/pages"), Path("build/site")
REPORTS = ("drift.html", "watch.html")
PICTURES = ("load.png", "staleness.png", "explanation.png", "importance.png")
SHOWN = (".md", ".png", ".svg")
LEFT_OUT = ("build/", "tests/", ".github/", ".gitlab/")


def listed() -> list[Path]:
    """The pages and pictures of the repository.  SystemExit where git does not answer."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"git cannot list the pages: {done.stderr.strip()}; run: git init")
    found = (Path(name) for name in done.stdout.split("\0") if name.endswith(SHOWN))
    return [it for it in found if it.is_file() and not it.as_posix().startswith(LEFT_OUT)]


def maturity() -> str:
    """The page on the level, as `make maturity` says it."""
    command = ["make", "--silent", "maturity", "ARGS=--markdown"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        sys.exit(f"make maturity says nothing: {done.stderr.strip()}")
    return f"# Maturity\n\nFor everyone who asks how far this project is.\n\n{done.stdout}"


def reports() -> str:
    """The page that shows what the last runs have reported."""
    lines = ["# Reports", "", "For the person who watches the model: what the last runs found."]
    for name in (*REPORTS, *PICTURES):
        if (path := Path("reports") / name).exists():
            (PAGES / "reports").mkdir(exist_ok=True)
            shutil.copy(path, PAGES / "reports" / name)
            sign = "!" if name in PICTURES else ""
            lines += ["", f"## {path.stem.capitalize()}", "", f"{sign}[{name}](reports/{name})"]
    return "\n".join(lines if len(lines) > 3 else [*lines, "", "Nothing yet: `make drift watch`."])


def build_site() -> None:
    """Gather the pages anew, build, and say where the site is."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for path in listed():
        (PAGES / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, PAGES / path)
    (PAGES / "maturity.md").write_text(maturity() + "\n", encoding="utf-8")
    (PAGES / "reports.md").write_text(reports() + "\n", encoding="utf-8")
    program = str(Path(sys.executable).with_name("mkdocs"))
    command = [program, "build", "--strict"]  # with --quiet it would count no warning
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr.strip()}\n{SITE}: not built")
    count = len(list(SITE.rglob("*.html")))
    print(f"{SITE}: {count} pages.  To read and search it: make site OPEN=yes")
