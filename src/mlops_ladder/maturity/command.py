"""How mature is a repository?  Judged by what is there, not by what it says of itself.

ladder maturity [FOLDER] [--deep] [--json | --markdown | --html | --badge | …] [--out FILE]
Ends with 0 where the claimed level is upheld or none is claimed, 1 where not, 2 where that cannot
be known, 3 where the repository cannot be judged.  Nothing of the repository is executed, but with
--deep: that asks first, unless the repository is the project of this environment.
"""

import argparse
import secrets
import sys
from pathlib import Path

from mlops_ladder.maturity import deep, evidence, grading, page, report, Unknown
from mlops_ladder.maturity.repository import Repository

FORMATS = {
    "json": (report.as_json, "reports/maturity.json"),
    "markdown": (report.as_markdown, "reports/maturity.md"),
    "html": (page.as_html, "reports/maturity.html"),
    "badge": (page.as_badge, "reports/maturity.svg"),
    "next": (report.as_next, "-"),
}
READY = Path(sys.prefix, "bin", ".ready")  # `make setup` writes there whose environment it is


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return what is asked for on the command line."""
    parser = argparse.ArgumentParser(
        prog="maturity", description=str(__doc__).split("\n", maxsplit=1)[0]
    )
    parser.add_argument("folder", nargs="?", default=".", help="the repository (default: this one)")
    ways = parser.add_mutually_exclusive_group()
    for name, (form, place) in FORMATS.items():
        words = str(form.__doc__).split("\n", maxsplit=1)[0]
        words += f" Goes to {place}." * (place != "-")
        ways.add_argument(f"--{name}", action="store_true", help=words)
    ways.add_argument("--explain", metavar="ID", help="all that is known about one capability")
    parser.add_argument("--deep", action="store_true", help="try it, and plant faults, in a copy")
    parser.add_argument(
        "--only", metavar="ID", nargs="+", default=[], help="with --deep: only these"
    )
    parser.add_argument("--yes", action="store_true", help="agree that its code is executed")
    parser.add_argument("--seed", type=int, help="with --deep: repeat a run that printed this seed")
    parser.add_argument("--out", metavar="FILE", help="the file for it; - is standard output")
    parser.add_argument("--claim", type=int, choices=range(5), help="judge by this level")
    return parser.parse_args(arguments)


def is_own(folder: Path) -> bool:
    """Is it the project that this environment was made for?"""
    try:
        return READY.read_text(encoding="utf-8").strip() == str(folder.resolve())
    except (OSError, UnicodeDecodeError):
        return False


def agreed(folder: Path) -> bool:
    """Ask whether the code of a folder may be executed; where nobody can answer it may not."""
    print(f"{folder}: --deep executes its code: make, its tests, hooks, programs", file=sys.stderr)
    if sys.stdin.isatty():
        print("It can read and change all that you can.  Go on? [y/N] ", end="", file=sys.stderr)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("nobody is here to agree: add --yes if you trust it", file=sys.stderr)
    return False


def unknown_name(asked: argparse.Namespace, found: grading.Assessment) -> str:
    """Return what is wrong with the capabilities that are named, or nothing."""
    known = {it.id for it in found.capabilities}
    wrong = sorted({*asked.only, *filter(None, [asked.explain])} - known)
    listed = ", ".join(sorted(known))
    return f"{wrong[0]}: no such capability; there are: {listed}" if wrong else ""


def show(asked: argparse.Namespace, found: grading.Assessment) -> None:
    """Print what was found; a form for programs goes to its file, and the text is printed."""
    name = next((name for name in FORMATS if getattr(asked, name)), "")
    form, place = FORMATS.get(name, (report.as_text, "-"))
    text = report.explained(found, asked.explain) if asked.explain else form(found)
    place = asked.out or place
    if place != "-":
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        text = f"{report.as_text(found)}\n\nWritten to {place}"
    print(text)


def main(arguments: list[str]) -> None:
    """Judge, print, and end with the exit code."""
    sys.exit(judge(read_options(arguments)))


def judge(asked: argparse.Namespace) -> int:
    """Judge and print; the exit code."""
    # The stream of a terminal or pipe has this method; its declared type has it not.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    folder = Path(asked.folder)
    if not folder.is_dir():
        print(f"{folder}: no such folder", file=sys.stderr)
        return 3
    trusted = asked.yes or is_own(folder)
    if asked.deep and not trusted and not agreed(folder):
        return 3
    repository = Repository(folder, trusted=trusted or asked.deep)
    found = grading.assess(repository)
    found.claimed = found.claimed if asked.claim is None else asked.claim
    if wrong := unknown_name(asked, found):
        print(wrong, file=sys.stderr)
        return 3
    if not asked.deep:
        evidence.recall(repository, found)
    elif reason := exercise(repository, found, asked):
        print(f"nothing could be tried: {reason}", file=sys.stderr)
        return 2
    show(asked, found)
    return report.code(found)


def exercise(repository: Repository, found: grading.Assessment, asked: argparse.Namespace) -> str:
    """Make the deep run and keep what it shows; why nothing could be tried, or nothing."""
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    try:
        deep.exercise(repository, found, seed, asked.only)
    except Unknown as reason:
        return str(reason) or "unknown"
    evidence.keep(repository, found)
    return ""
