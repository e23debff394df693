"""Run the runbooks: every block of docs/runbooks, in a copy of the project that is thrown away.

A block marked `sh` is run; one marked `sh docker` where that program is here, else it is counted as
not drilled; any other is only shown.  SERVICE is the address of a service in the copy, which has a
champion and the one before it.  How each page ended is a line of docs/runbooks/drills.jsonl.

ladder drill [PAGE]
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from datetime import datetime, UTC
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import Any

from mlops_ladder.errors import ProjectError
from mlops_ladder.maturity import deep, Unknown
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.runbook import Block, read_blocks
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.service import serving
from mlops_ladder.maturity.trials.deploy import consent, place

PAGES, LOG = Path("docs/runbooks"), Path("docs/runbooks/drills.jsonl")
PATIENCE = 900  # seconds that a block may take
LAST = 15  # lines of what a block said that are shown where it fails
SCENE = """from mlops_ladder.registry import history, promotion, versions
from mlops_ladder.registry.gate import Verdict
last = versions.held().champion
again = versions.create(last.run_id, last.model_version)
why = ("there is a way back to drill: yes",)
promotion.promote(again, Verdict(True, why, dict(champion=history.title(last))))
"""


def runbooks(only: str) -> dict[Path, list[Block]]:
    """The blocks of every page, or of the one of this name."""
    known = sorted(PAGES.glob("*.md"))
    if not (chosen := [page for page in known if only in ("", page.stem)]):
        names = ", ".join(page.stem for page in known) or "none"
        raise Unknown(f"{PAGES}/{only or '*'}.md: no such page; there are: {names}")
    return {page: read_blocks(str(page), page.read_text(encoding="utf-8")) for page in chosen}


def drilled(copy: Any, found: list[Block], have: Callable[[str], Any]) -> dict[str, Any]:
    """Run the blocks of a page up to the first that fails: how it ended, and what was left out."""
    began, lacking = time.monotonic(), {}
    result: dict[str, Any] = {"result": "passed", "blocks": 0}
    for block in found:
        if missing := [program for program in block.needs if not have(program)]:
            lacking[block.name] = f"needs {missing[0]}"
            continue
        result["blocks"] += 1
        if said := trouble(copy, block):
            result |= {"result": "failed", "failed": block.name, "said": said}
            break
    if not result["blocks"]:
        result["result"] = "not drilled"
    return result | {"not_drilled": lacking, "seconds": round(time.monotonic() - began, 1)}


def trouble(copy: Any, block: Block) -> list[str]:
    """How a block that fails ended, and its last words; nothing where it did not fail."""
    try:
        done = copy.run("sh", "-euc", f"exec 2>&1\n{block.text}", timeout=PATIENCE)
    except Unknown as reason:
        return [str(reason)]
    if not done.returncode:
        return []
    end = done.stdout.splitlines()[-LAST:]
    return [f"ended with {done.returncode}:", *block.text.splitlines(), "and said:", *end]


@contextmanager
def staged(repository: Repository, docker: bool) -> Iterator[Copy]:
    """A copy in which a service runs; it shares the project's environment, and only reads it."""
    package = str(repository.answers["package_name"])
    with TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True) as name, ExitStack() as on:
        copy = Copy(repository, Path(name).resolve(), 0)
        (copy.root / ".venv").symlink_to(repository.root / ".venv")
        (copy.root / ".git/info/exclude").write_text("/.venv\n", encoding="utf-8")
        copy.environment.pop("KEY", None)
        copy.environment |= {
            "PYTHONPATH": str(copy.package.parent),  # before the package that is installed
            "MAKEFLAGS": " -- INSTALL=true MOVED=",  # whatever a block does: nothing is installed
            "KUBECONFIG": os.devnull,  # no cluster is for drills
            f"{package.upper()}_TUNING__TRIALS": "1",
            f"{package.upper()}_DRIFT__PUSHGATEWAY": "",
        }
        set_scene(copy, on, docker)
        yield copy


def set_scene(copy: Copy, on: ExitStack, docker: bool) -> None:
    """Have a champion, the one before it, and a service in the copy, until the stack ends."""
    copy.must("make", "pipeline")
    copy.must(".venv/bin/python", "-c", SCENE)
    if docker:
        if why := consent(copy):
            raise Unknown(f"nobody can approve the champion of the copy: {why}")
        there = on.enter_context(place(copy))
        copy.environment |= there.more | {"REGISTRY": f"{there.own}/"}
    service = on.enter_context(serving(copy))
    if (said := service.ask("/ready"))[0] != 200:
        raise Unknown(f"the service of the copy is not ready: {said[1]}")
    copy.environment["SERVICE"] = f"http://127.0.0.1:{service.port}"


def told(page: str, result: str, seconds: float, **more: Any) -> str:
    """How a page ended, for a person: the block that failed, and those that were left out."""
    lines = [f"{page}: {result}, {more['blocks']} blocks in {seconds} s"]
    lines += [f"  {name}: {why}: not drilled" for name, why in more["not_drilled"].items()]
    if "failed" in more:
        first, *rest = more["said"]
        lines += [f"  {more['failed']} {first}", indent("\n".join(rest), "    ")]
    return "\n".join(lines)


def author(repository: Repository) -> str:
    """Who drills, as git knows them here.  Unknown where it does not."""
    done = repository.run("git", "var", "GIT_AUTHOR_IDENT")
    if done.returncode:
        raise Unknown((done.stderr.strip() or "git knows no author").splitlines()[0])
    return done.stdout.rsplit(" ", 2)[0]


def main(arguments: list[str]) -> None:
    """Drill the pages, or the one named.  Raise ProjectError where nothing can be drilled."""
    try:
        sys.exit(drill(*arguments))
    except Unknown as reason:
        raise ProjectError(f"no drill: {reason}") from reason


def drill(only: str = "") -> int:
    """Drill, tell, and write it down.  1 where a block failed."""
    pages, repository = runbooks(only), Repository(Path())
    who = author(repository)
    commit = repository.git("rev-parse", "HEAD").strip()
    changed = repository.git("status", "--short", ".", f":!{LOG}")
    signal.signal(signal.SIGTERM, deep.interrupted)
    docker = bool(which("docker")) and repository.run("docker", "info").returncode == 0
    print(f"{len(pages)} pages, {commit[:8]}, {who}; a champion and a service ...", flush=True)
    ends = []
    with staged(repository, docker) as copy:
        for page, found in pages.items():
            now = datetime.now(UTC).isoformat(timespec="seconds")
            line: dict[str, Any] = {"time": now, "who": who, "commit": commit}
            line |= {"dirty": bool(changed), "page": page.as_posix()}
            line |= drilled(copy, found, lambda it: docker if it == "docker" else which(it))
            print(told(**line), flush=True)
            line.pop("said", None)
            with LOG.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line, ensure_ascii=False) + "\n")
            ends.append(line)
    return summarise(ends)


def summarise(ends: list[dict[str, Any]]) -> int:
    """Tell how all pages ended, and what is next.  1 where a block failed."""
    left = sum(len(line["not_drilled"]) for line in ends)
    bad = [line["page"] for line in ends if line["result"] == "failed"]
    run = sum(line["blocks"] for line in ends)
    print(f"{run} blocks run, {left} not drilled; in {LOG}.", end="")
    print(f"  Failed: {', '.join(bad)}" if bad else f"  Next: git add {LOG}")
    return int(bool(bad))
