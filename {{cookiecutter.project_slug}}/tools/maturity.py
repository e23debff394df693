# /// script
# requires-python = ">=3.11"
# dependencies = ["pyyaml>=6"]
# ///
"""How mature is a repository?  Judged by what is there, not by what it says of itself.

uv run --script tools/maturity.py [FOLDER] [--deep] [--json | --markdown | --html | --badge | …]
Ends with 0 where the claimed level is upheld or none is claimed, 1 where not, 2 where that cannot
be known, 3 where the repository cannot be judged.  Nothing of the repository is executed, but with
--deep: that asks first, unless the repository is the one of this tool.
"""

import argparse
import secrets
import sys
from pathlib import Path

from checks import deep, evidence, grading, page, report, Unknown
from checks.repository import Repository

FORMATS = {
    "json": report.as_json,
    "markdown": report.as_markdown,
    "html": page.as_html,
    "badge": page.as_badge,
    "next": report.as_next,
}


def options() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="maturity", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", default=".", help="the repository (default: this one)")
    ways = parser.add_mutually_exclusive_group()
    for name, form in FORMATS.items():
        ways.add_argument(
            f"--{name}", action="store_true", help=str(form.__doc__).split("\n", maxsplit=1)[0]
        )
    ways.add_argument("--explain", metavar="ID", help="all that is known about one capability")
    parser.add_argument("--deep", action="store_true", help="try it, and plant faults, in a copy")
    parser.add_argument(
        "--only", metavar="ID", nargs="+", default=[], help="with --deep: only these"
    )
    parser.add_argument("--yes", action="store_true", help="agree that its code is executed")
    parser.add_argument("--seed", type=int, help="with --deep: repeat a run that printed this seed")
    parser.add_argument("--out", type=Path, help="write it to a file; the text is printed then")
    parser.add_argument("--claim", type=int, choices=range(5), help="judge by this level")
    return parser.parse_args()


def agreed(folder: Path) -> bool:
    """Ask whether the code of a folder may be executed; where nobody can answer it may not."""
    print(f"{folder}: --deep executes its code: make, its tests, hooks, programs", file=sys.stderr)
    if sys.stdin.isatty():
        print("It can read and change all that you can.  Go on? [y/N] ", end="", file=sys.stderr)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("nobody is here to agree: add --yes if you trust it", file=sys.stderr)
    return False


def main() -> int:
    """Judge, print, and give the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    asked = options()
    folder = Path(asked.folder)
    if not folder.is_dir():
        print(f"{folder}: no such folder", file=sys.stderr)
        return 3
    trusted = asked.yes or folder.resolve() == Path(__file__).resolve().parents[1]
    if asked.deep and not trusted and not agreed(folder):
        return 3
    repository = Repository(folder, trusted=trusted or asked.deep)
    found = grading.assess(repository)
    if asked.claim is not None:
        found.claimed = asked.claim
    known = {it.id for it in found.capabilities}
    if wrong := sorted({*asked.only, *filter(None, [asked.explain])} - known):
        print(
            f"{wrong[0]}: no such capability; there are: {', '.join(sorted(known))}",
            file=sys.stderr,
        )
        return 3
    if asked.deep:
        seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
        try:
            deep.exercise(repository, found, seed, asked.only)
        except Unknown as reason:
            print(f"nothing could be tried: {reason}", file=sys.stderr)
            return 2
        evidence.keep(repository, found)
    else:
        evidence.recall(repository, found)
    form = next((form for name, form in FORMATS.items() if getattr(asked, name)), report.as_text)
    said = report.explained(found, asked.explain) if asked.explain else form(found)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(said + "\n", encoding="utf-8")
        said = report.as_text(found)
    print(said)
    return report.code(found)


if __name__ == "__main__":
    sys.exit(main())
