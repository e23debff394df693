"""Bring this project to another maturity level, or change other answers, and keep every edit.

The template is rendered with the answers on record and with the new ones; the difference becomes
one commit, which git cherry-picks: a three-way merge with git's own conflicts, renames, --continue
and --abort.  ladder climb 3 cloud=aws, or: ladder climb --template-version v1.4
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

PROJECT = Path()
RENDERING = str(Path(__file__).with_name("rendering.py"))
RECORD, LEVEL, EDITED = ".cruft.json", "maturity_level", Path("vendor/mlops_ladder")
BUSY = "MERGE_HEAD REVERT_HEAD CHERRY_PICK_HEAD rebase-merge rebase-apply sequencer".split()
# Git sets these in its hooks and aliases; here they would lead it to another repository.
POINTERS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"}
# Settings of this machine's git that would change the template's files, or leave out rendered ones.
AS_IS = "-c core.autocrlf=false -c core.eol=lf -c core.hooksPath=/dev/null".split()
WHOLE = "-c core.safecrlf=false -c core.sparseCheckout=false -c core.fsmonitor=false".split()
CONFLICT = """In conflict, where you and the template changed the same lines:
  {}
On:    edit them, git add each (or git rm), then git cherry-pick --continue
Back:  git cherry-pick --abort"""
LOCK = "\nuv.lock:  git checkout --theirs uv.lock && uv lock && git add uv.lock"
Record = dict[str, Any]
Answers = dict[str, str]


class Refused(Exception):
    """Why the climb is not made: a line for each reason, with the way out."""


def run_or_refuse(
    *command: str, at: Path = PROJECT, stdin: str = "", refusal: str = "", **more: str
) -> str:
    """Return what a command prints.  Raise Refused with these words, or its own, if it fails."""
    env = {name: value for name, value in os.environ.items() if name not in POINTERS} | more
    text: Any = {"input": stdin, "encoding": "utf-8", "errors": "surrogateescape"}
    result = subprocess.run(command, cwd=at, env=env, check=False, capture_output=True, **text)
    if result.returncode:
        raise Refused(refusal or result.stderr.strip() or f"{command[:2]} failed without a word")
    return str(result.stdout.removesuffix("\n"))


def run_git(*arguments: str, **options: Any) -> str:
    """Return what git prints, in English; a list with -z ends in a NUL."""
    return run_or_refuse("git", *arguments, LC_ALL="C", **options)


def find_project_folder() -> Path:
    """Return this folder, or the nearest above it, that has a record; without one, this folder."""
    here = Path.cwd()
    folders = [folder for folder in (here, *here.parents) if (folder / RECORD).is_file()]
    return folders[0] if folders else here


def read_record() -> Record:
    """Return the record of the template and the answers.  Raise Refused if it is broken."""
    try:
        record: Record = json.loads((PROJECT / RECORD).read_text(encoding="utf-8"))
        "".join([record["template"], record["commit"], record["context"]["cookiecutter"][LEVEL]])
    except (OSError, KeyError, TypeError, ValueError) as error:
        way_out = f"git log --patch -- {RECORD} shows how it was"
        raise Refused(f"{RECORD} is missing or broken ({error!r}): {way_out}") from error
    return record


def check_repository() -> None:
    """Raise Refused if a cherry-pick would fail in the repository, or could lose something."""
    if not shutil.which("git"):
        raise Refused("git is not installed, or not on the PATH: https://git-scm.com/downloads")
    start = "git add --all && git commit"
    run_git("rev-parse", "--git-dir", refusal=f"No git repository here: git init && {start}")
    run_git("cat-file", "-e", f"HEAD:./{RECORD}", refusal=f"{RECORD} is not committed: {start}")
    if any(Path(run_git("rev-parse", "--absolute-git-dir"), name).exists() for name in BUSY):
        raise Refused("A merge, rebase, cherry-pick or revert is under way: end it, see git status")
    who = "git does not know who you are: git config user.name NAME; git config user.email ADDRESS"
    run_git("var", "GIT_COMMITTER_IDENT", refusal=who)
    top = run_git("rev-parse", "--show-toplevel")
    status = run_git("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
    names = [entry[3:] for entry in status.split("\0")[:-1]]
    if paths := [os.path.relpath(Path(top, name), PROJECT) for name in names]:
        raise Refused(f"Not committed: {', '.join(paths[:9])}. First git commit, or git stash")


def check_out_version(version: str, clone: Path, refusal: str) -> tuple[Path, str]:
    """Return the template's files at a tag, branch or commit, fetched if needed, and the commit."""
    commit = run_git("rev-parse", "--revs-only", f"{version}^{{commit}}", at=clone)
    if not commit:
        run_git("fetch", "--quiet", "origin", version, at=clone, refusal=refusal)
        commit = run_git("rev-parse", "FETCH_HEAD^{commit}", at=clone)
    folder = clone.with_name(commit)
    if not folder.exists():
        run_git(*AS_IS, "worktree", "add", "--detach", str(folder), commit, at=clone)
    return folder, commit


def fetch_templates(record: Record, version: str, folder: Path) -> tuple[Path, Path, str]:
    """Return the recorded template, the requested one, and the commit of the latter."""
    source, commit, clone = record["template"], record["commit"], folder / "clone"
    if not commit and version:
        raise Refused(f"The template {source} is recorded without a commit: it has no versions")
    if not commit:
        return PROJECT / source, PROJECT / source, ""
    cheap = ["--quiet", "--shared", "--filter=blob:none", "--no-checkout", "--template="]
    mend = f'The template {source} cannot be cloned: mend "template" in {RECORD}, or the network'
    run_git("clone", *cheap, "--origin=origin", "--", source, str(clone), refusal=mend)
    tags = run_git("tag", "--sort=-creatordate", at=clone).split()[:9]
    unknown = f"The template {source} has no version {{}}; its tags: {' '.join(tags) or 'none'}"
    old, _ = check_out_version(commit, clone, unknown.format(commit))
    return old, *check_out_version(version or commit, clone, unknown.format(version))


def check_answers(template: Path, source: str, answers: Answers, changes: Answers) -> None:
    """Raise Refused if the template has no such question, or does not offer an answer."""
    if not (template / "cookiecutter.json").exists():
        raise Refused(f'No template (cookiecutter.json) in {source}: mend "template" in {RECORD}')
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    names = [name for name in questions if not name.startswith("_")]
    unknown = sorted(changes.keys() - set(names))
    wrong = [f"{name}: no such question. There are: {', '.join(names)}" for name in unknown]
    for name, choices in questions.items():
        if isinstance(choices, list) and answers.get(name, choices[0]) not in choices:
            wrong += [f"{name}: {answers[name]!r} is not one of {', '.join(sorted(choices))}"]
    if wrong:
        raise Refused("\n".join(wrong))


def find_renderer() -> tuple[str, ...]:
    """Return the command for a script with cookiecutter: this Python if it has it, else uv."""
    try:
        if version_of("cookiecutter").startswith("2."):
            return (sys.executable,)
    except PackageNotFoundError:
        pass
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    uv = os.environ.get("UV") or shutil.which("uv") or beside
    if not uv:
        raise Refused("uv is not installed, or not on the PATH: https://docs.astral.sh/uv")
    return uv, "run", "--quiet", "--script"


def render_project(template: Path, answers: Answers, folder: Path) -> Path:
    """Return the project that the template makes of these answers; it may refuse them."""
    output = folder / "made"
    output.mkdir(parents=True)
    task = {"template": str(template.resolve()), "extra_context": answers, "no_input": True}
    task |= {"output_dir": str(output), "default_config": {"replay_dir": str(folder / "replay")}}
    env: Any = {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"}
    run_or_refuse(*find_renderer(), RENDERING, stdin=json.dumps(task), **env)
    return next(output.iterdir())


def renew_record(record: Record, project: Path, changes: Answers, commit: str) -> str:
    """Return the record of the new rendering, with the template's true address and commit."""
    old = record["context"]["cookiecutter"]
    new = json.loads((project / RECORD).read_text(encoding="utf-8"))["context"]["cookiecutter"]
    for name in changes:
        if new[name] != changes[name]:
            raise Refused(f"{name}: {changes[name]!r} would become {new[name]!r}: no Jinja here")
    context = {"cookiecutter": new | {"_template": old.get("_template", record["template"])}}
    return json.dumps(record | {"commit": commit, "context": context}, indent=2, ensure_ascii=False)


def write_tree(project: Path, folder: Path) -> str:
    """Write HEAD's tree with these files, and no others, in the project's place; return its id."""
    prefix, root = run_git("rev-parse", "--show-prefix"), folder / "tree"
    (root / prefix).parent.mkdir(parents=True, exist_ok=True)
    project.rename(root / prefix)
    place = ["--git-dir", run_git("rev-parse", "--absolute-git-dir"), "--work-tree", str(root)]
    index = {"at": root, "GIT_INDEX_FILE": str(folder / "index")}
    run_git(*place, "read-tree", "HEAD", **index)
    run_git(
        *WHOLE, *place, "--literal-pathspecs", "add", "-f", "--all", "--", prefix or ".", **index
    )
    return run_git(*place, "write-tree", **index)


def write_both_trees(
    record: Record, changes: Answers, version: str, folder: Path
) -> tuple[str, str]:
    """Return two git trees: the project as the template made it, and as it would make it now."""
    *both, commit = fetch_templates(record, version, folder)
    answers = {k: v for k, v in record["context"]["cookiecutter"].items() if k[0] != "_"}
    check_answers(both[1], record["template"], answers | changes, changes)
    places = folder / "old", folder / "new"
    with ThreadPoolExecutor() as pool:
        old, new = pool.map(render_project, both, (answers, answers | changes), places)
    text = renew_record(record, new, changes, commit) + "\n"
    (new / RECORD).write_text(text, encoding="utf-8", newline="\n")
    shutil.copyfile(PROJECT / RECORD, old / RECORD)  # as it is, so that it never conflicts
    return write_tree(old, places[0]), write_tree(new, places[1])


def refuse_blocked_paths(before: str, after: str) -> None:
    """Raise Refused if untracked files are in the way, as git would overwrite ignored ones."""
    kept = set(run_git("ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0"))
    options = ["-r", "-z", "--no-renames", "--relative", "--name-only", "--diff-filter=d"]
    blocked = set()
    for path in map(Path, run_git("diff-tree", *options, before, after).split("\0")[:-1]):
        for place in (path, *path.parents):
            folder = (PROJECT / place).is_dir() and not (PROJECT / place).is_symlink()
            if os.path.lexists(PROJECT / place) and (not folder or place == path):
                blocked |= {place.as_posix()} - kept
    if blocked:
        names = ", ".join(sorted(blocked))
        raise Refused(f"In the way, and not committed: {names}. First move, commit or delete them")


def cherry_pick(before: str, after: str, message: str) -> None:
    """Commit the change to the branch.  Raise Refused, with the ways on and back, on a conflict."""
    base = run_git("commit-tree", before, "-m", "The project as the template made it")
    change = run_git("commit-tree", after, "-p", base, "-m", message)
    try:
        run_git("-c", "merge.renames=true", "cherry-pick", change, GIT_EDITOR="true")
    except Refused as refusal:
        names = run_git("diff", "--name-only", "--diff-filter=U", "-z", "--relative")
        paths = names.split("\0")[:-1]
        advice = CONFLICT.format("\n  ".join(paths)) + LOCK * ("uv.lock" in paths)
        raise Refused(advice if paths else f"{refusal}\nBack: git cherry-pick --abort") from refusal


def print_steps(steps: dict[str, str]) -> None:
    """Print the result of the climb, and the next commands, in two columns."""
    options = ["-r", "-z", "--no-renames", "--name-status", "HEAD^", "HEAD"]
    kinds = run_git("diff-tree", *options).split("\0")[:-1:2]
    came, went = kinds.count("A"), kinds.count("D")
    rows = steps | {"files": f"{came} came, {len(kinds) - came - went} changed, {went} went"}
    rows |= {"look": "git show --stat HEAD", "next": "make setup, then make help"}
    for name, text in (rows | {"back": "git revert HEAD"}).items():
        line = f"{name:<{max(map(len, rows))}}  {text}".encode(
            sys.stdout.encoding, "backslashreplace"
        )
        print(line.decode(sys.stdout.encoding))


def climb_project(changes: Answers, version: str) -> None:
    """Make one commit that changes the answers, or the template's version."""
    record = read_record()
    answers = record["context"]["cookiecutter"]
    steps = {k: f"{answers.get(k)} -> {v}" for k, v in changes.items() if v != answers.get(k)}
    if version:
        steps["template"] = f"{record['commit'][:12]} -> {version}"
    before = after = ""
    if steps:
        check_repository()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            before, after = write_both_trees(record, changes, version, Path(folder).resolve())
    if before == after:
        print(f"Already at level {answers[LEVEL]}: nothing to change.")
        return
    refuse_blocked_paths(before, after)
    if EDITED.exists():
        print(f"The library is edited in {EDITED}: it stays as it is.", flush=True)
    level = f"Climb to maturity level {changes[LEVEL]}" if LEVEL in steps else ""
    title = level or f"Change {', '.join(steps)}"
    cherry_pick(before, after, "\n".join([title, "", *(f"{k}: {v}" for k, v in steps.items())]))
    print_steps(steps)


def main(arguments: list[str]) -> None:
    """Climb as the command line says.  A refusal goes to standard error; the exit code is 1."""
    parser = argparse.ArgumentParser(
        prog="climb", description=str(__doc__).split("\n", maxsplit=1)[0]
    )
    parser.add_argument("changes", nargs="*", metavar="LEVEL | NAME=ANSWER")
    parser.add_argument("--template-version", default="", help="a tag, branch or commit")
    options = parser.parse_args(arguments)
    os.chdir(find_project_folder())
    pairs = [change if "=" in change else f"{LEVEL}={change}" for change in options.changes]
    changes = dict(pair.split("=", 1) for pair in pairs)
    if not pairs and not options.template_version or len(changes) < len(pairs):
        parser.error("name one level, or answers, or a version: climb 3 cloud=aws")
    try:
        climb_project(changes, options.template_version)
    except Refused as refusal:
        sys.exit(str(refusal))
