"""Run the runbooks: every block of docs/runbooks, in a temporary copy of the project.

A block marked `sh` is run.  One marked `sh docker` is run if that program is here, and is counted
as not drilled if not.  Others are only shown.  The copy has a champion and the one before it.
SERVICE is the address of a service in it, if the project has one.  Each page adds a line to
docs/runbooks/drills.jsonl.

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

from mlops_ladder.append_only_log import append_line
from mlops_ladder.errors import ProjectError
from mlops_ladder.maturity import deep, Unknown
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.runbook import Block, read_blocks
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.service import run_service
from mlops_ladder.maturity.trials.approval import approve_champion
from mlops_ladder.maturity.trials.deploy import own_deployment

PAGES, LOG = Path("docs/runbooks"), Path("docs/runbooks/drills.jsonl")
BLOCK_TIMEOUT_S = 900
LAST_LINES = 15  # printed of the output of a block that fails
# The champion is promoted once more, so that there is a version to roll back to.
SCENE = """from mlops_ladder.registry import history, promotion, versions
from mlops_ladder.registry.gate import Verdict
last = versions.read_state().champion
again = versions.create_version(last.run_id, last.model_version)
why = ("there is a way back to drill: yes",)
promotion.promote_version(again, Verdict(True, why, dict(champion=history.name_champion(last))))
"""


def read_runbooks(only: str) -> dict[Path, list[Block]]:
    """Return the blocks of every page, or of the page of this name."""
    pages = sorted(PAGES.glob("*.md"))
    if not (chosen := [page for page in pages if only in ("", page.stem)]):
        names = ", ".join(page.stem for page in pages) or "none"
        raise Unknown(f"{PAGES}/{only or '*'}.md: no such page; there are: {names}")
    return {page: read_blocks(str(page), page.read_text(encoding="utf-8")) for page in chosen}


def drill_page(
    copy: Any, page_blocks: list[Block], has_program: Callable[[str], Any]
) -> dict[str, Any]:
    """Run the blocks of a page up to the first that fails, and return the result.

    Args:
        copy: Runs a command in the copy of the project.
        page_blocks: The blocks of the page, in order.
        has_program: Returns whether a program is on this machine.
    """
    start, lacking = time.monotonic(), {}
    result: dict[str, Any] = {"result": "passed", "blocks": 0}
    for block in page_blocks:
        if missing := [program for program in block.needs if not has_program(program)]:
            lacking[block.name] = f"needs {missing[0]}"
            continue
        result["blocks"] += 1
        if output := run_block(copy, block):
            result |= {"result": "failed", "failed": block.name, "said": output}
            break
    if not result["blocks"]:
        result["result"] = "not drilled"
    return result | {"not_drilled": lacking, "seconds": round(time.monotonic() - start, 1)}


def run_block(copy: Any, block: Block) -> list[str]:
    """Run a block, and return the end of its output if it fails."""
    try:
        done = copy.run("sh", "-euc", f"exec 2>&1\n{block.text}", timeout=BLOCK_TIMEOUT_S)
    except Unknown as reason:
        return [str(reason)]
    if not done.returncode:
        return []
    end = done.stdout.splitlines()[-LAST_LINES:]
    return [f"ended with {done.returncode}:", *block.text.splitlines(), "and said:", *end]


@contextmanager
def copy_with_service(repository: Repository, docker: bool) -> Iterator[Copy]:
    """Yield a copy in which a service runs; it reads the project's environment."""
    package = str(repository.answers["package_name"])
    with TemporaryDirectory(prefix="drill-", ignore_cleanup_errors=True) as name, ExitStack() as on:
        copy = Copy(repository, Path(name).resolve(), 0)
        (copy.root / ".venv").symlink_to(repository.root / ".venv")
        (copy.root / ".git/info/exclude").write_text("/.venv\n", encoding="utf-8")
        copy.environment.pop("KEY", None)
        copy.environment |= {
            "PYTHONPATH": str(copy.package.parent),  # before the package that is installed
            "MAKEFLAGS": " -- INSTALL=true MOVED=",  # no block installs anything
            "KUBECONFIG": os.devnull,  # drills must not reach a cluster
            f"{package.upper()}_TUNING__TRIALS": "1",
            f"{package.upper()}_DRIFT__PUSHGATEWAY": "",
        }
        set_scene(copy, on, docker)
        yield copy


def set_scene(copy: Copy, on: ExitStack, docker: bool) -> None:
    """Make a champion, the one before it, and a service in the copy, until the stack ends.

    A project whose predictions are made only in batches has no service.
    """
    copy.must("make", "pipeline")
    copy.must(".venv/bin/python", "-c", SCENE)
    if copy.original.answers.get("serve") == "batch":
        return
    if docker:
        if why := approve_champion(copy):
            raise Unknown(f"nobody can approve the champion of the copy: {why}")
        deployment = on.enter_context(own_deployment(copy))
        copy.environment |= deployment.environment | {"REGISTRY": f"{deployment.name}/"}
    service = on.enter_context(run_service(copy))
    if (answer := service.ask("/ready"))[0] != 200:
        raise Unknown(f"the service of the copy is not ready: {answer[1]}")
    copy.environment["SERVICE"] = f"http://127.0.0.1:{service.port}"


def format_result(line: dict[str, Any]) -> str:
    """Return the result of a page: the block that failed, and those that were left out."""
    lines = [f"{line['page']}: {line['result']}, {line['blocks']} blocks in {line['seconds']} s"]
    lines += [f"  {name}: {why}: not drilled" for name, why in line["not_drilled"].items()]
    if "failed" in line:
        first, *rest = line["said"]
        lines += [f"  {line['failed']} {first}", indent("\n".join(rest), "    ")]
    return "\n".join(lines)


def read_git_author(repository: Repository) -> str:
    """Return the author as git knows them here.  Raise Unknown if it does not."""
    done = repository.run("git", "var", "GIT_AUTHOR_IDENT")
    if done.returncode:
        raise Unknown((done.stderr.strip() or "git knows no author").splitlines()[0])
    return done.stdout.rsplit(" ", 2)[0]


def main(arguments: list[str]) -> None:
    """Drill all pages, or the named one.  Raise ProjectError if nothing can be drilled."""
    try:
        sys.exit(drill_runbooks(*arguments))
    except Unknown as reason:
        raise ProjectError(f"no drill: {reason}") from reason


def drill_runbooks(only: str = "") -> int:
    """Drill the pages, print and log the results.  Return 1 if a block failed."""
    pages, repository = read_runbooks(only), Repository(Path())
    author = read_git_author(repository)
    commit = repository.git("rev-parse", "HEAD").strip()
    is_dirty = bool(repository.git("status", "--short", ".", f":!{LOG}"))
    signal.signal(signal.SIGTERM, deep.end_interrupted)
    docker = bool(which("docker")) and repository.run("docker", "info").returncode == 0
    print(f"{len(pages)} pages, {commit[:8]}, {author}; a champion and its answers ...", flush=True)
    results = []
    with copy_with_service(repository, docker) as copy:
        for page, page_blocks in pages.items():
            now = datetime.now(UTC).isoformat(timespec="seconds")
            line: dict[str, Any] = {"time": now, "who": author, "commit": commit}
            line |= {"dirty": is_dirty, "page": page.as_posix()}
            line |= drill_page(
                copy, page_blocks, lambda name: docker if name == "docker" else which(name)
            )
            print(format_result(line), flush=True)
            line.pop("said", None)
            append_line(LOG, json.dumps(line, ensure_ascii=False))
            results.append(line)
    return summarize_drills(results)


def summarize_drills(results: list[dict[str, Any]]) -> int:
    """Print how all pages ended, and the next step.  Return 1 if a block failed."""
    left = sum(len(line["not_drilled"]) for line in results)
    failed = [line["page"] for line in results if line["result"] == "failed"]
    run = sum(line["blocks"] for line in results)
    next_step = f"Failed: {', '.join(failed)}" if failed else f"Next: git add {LOG}"
    print(f"{run} blocks run, {left} not drilled; in {LOG}.  {next_step}")
    return int(bool(failed))
