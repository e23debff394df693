"""How mature is a repository?  Judged by what is there, not by what it says of itself.

ladder maturity [FOLDER] [--deep] [--json | --markdown | --html | --badge | …] [--out FILE]
Exit code 0: the claimed level is upheld, or none is claimed; 1: it is not; 2: that cannot be known;
3: the repository cannot be judged.  Nothing of the repository is executed without --deep.  That
asks first, unless the repository is the project of this environment.
"""

import argparse
import secrets
import sys
from pathlib import Path

from mlops_ladder.maturity import deep, evidence, grading, page, report, Unknown
from mlops_ladder.maturity.repository import Repository

FORMATS = {
    "json": (report.render_json, "reports/maturity.json"),
    "markdown": (report.render_markdown, "reports/maturity.md"),
    "html": (page.render_page, "reports/maturity.html"),
    "badge": (page.render_badge, "reports/maturity.svg"),
    "next": (report.render_next_actions, "-"),
}
READY = Path(sys.prefix, "bin", ".ready")  # `make setup` writes the project's folder there


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Return the options of a command line."""
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


def is_own_project(folder: Path) -> bool:
    """Return whether this environment was made for the project."""
    try:
        return READY.read_text(encoding="utf-8").strip() == str(folder.resolve())
    except (OSError, UnicodeDecodeError):
        return False


def ask_consent(folder: Path) -> bool:
    """Return whether the user lets the code of a folder run; without a terminal, False."""
    print(f"{folder}: --deep executes its code: make, its tests, hooks, programs", file=sys.stderr)
    if sys.stdin.isatty():
        print("It can read and change all that you can.  Go on? [y/N] ", end="", file=sys.stderr)
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("nobody is here to agree: add --yes if you trust it", file=sys.stderr)
    return False


def find_unknown_name(options: argparse.Namespace, assessment: grading.Assessment) -> str:
    """Return a message if an option names no capability, else nothing."""
    ids = {one.id for one in assessment.capabilities}
    unknown = sorted({*options.only, *filter(None, [options.explain])} - ids)
    listed = ", ".join(sorted(ids))
    return f"{unknown[0]}: no such capability; there are: {listed}" if unknown else ""


def show_report(options: argparse.Namespace, assessment: grading.Assessment) -> None:
    """Print the report; write a report for programs to its file, and print the text as well."""
    name = next((name for name in FORMATS if getattr(options, name)), "")
    form, place = FORMATS.get(name, (report.render_text, "-"))
    if options.explain:
        text = report.explain_capability(assessment, options.explain)
    else:
        text = form(assessment)
    place = options.out or place
    if place != "-":
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
        text = f"{report.render_text(assessment)}\n\nWritten to {place}"
    print(text)


def judge_folder(options: argparse.Namespace) -> int:
    """Judge a repository, print the report, and return the exit code."""
    # A stream of a terminal or a pipe has this method, but its declared type lacks it.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    folder = Path(options.folder)
    if not folder.is_dir():
        print(f"{folder}: no such folder", file=sys.stderr)
        return 3
    is_trusted = options.yes or is_own_project(folder)
    if options.deep and not is_trusted and not ask_consent(folder):
        return 3
    repository = Repository(folder, trusted=is_trusted or options.deep)
    assessment = grading.assess(repository)
    assessment.claimed = assessment.claimed if options.claim is None else options.claim
    if message := find_unknown_name(options, assessment):
        print(message, file=sys.stderr)
        return 3
    if not options.deep:
        evidence.apply_evidence(repository, assessment)
    elif reason := run_deep(repository, assessment, options):
        print(f"nothing could be tried: {reason}", file=sys.stderr)
        return 2
    show_report(options, assessment)
    return report.get_exit_code(assessment)


def run_deep(
    repository: Repository, assessment: grading.Assessment, options: argparse.Namespace
) -> str:
    """Make the deep run and keep its results; return why nothing could be tried, or "".

    Args:
        repository: The repository, tried in a copy.
        assessment: The grades, which the run changes.
        options: The seed, and the capabilities to try.

    Returns:
        A reason, or an empty string.
    """
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    try:
        deep.exercise(repository, assessment, seed, options.only)
    except Unknown as reason:
        return str(reason) or "unknown"
    evidence.write_evidence(repository, assessment)
    return ""


def main(arguments: list[str]) -> None:
    """Judge a repository, and end with the exit code."""
    sys.exit(judge_folder(read_options(arguments)))
