"""What CI of theirs does: whether it runs the tests, and the statuses that it reports."""

import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from mlops_ladder.adopt.facts import Facts

DEPTH = 5  # a script that calls make that calls a script …
TASKS = r"make|just|pixi|hatch|pdm|poe|rye|task|invoke|inv|npm|doit"
RUNS_TESTS = re.compile(
    rf"\b(?:{TASKS})\b[^\n|&;]*\btests?\b|\bpytest\b|\bpy\.test\b|\btox\b|\bnox\b|\bunittest\b"
    r"|\bnose2\b|\bnosetests\b|\bsetup\.py test\b|python\d? +\S*\btest_\w+\.py"
    r"|uses: *['\"]?[\w.-]+/[\w.-]+/\.github/workflows/\S*(?:test|tox|ci|python)\S*"
)
INSTALLS = re.compile(
    r"^[\s>-]*(?:run: *)?(?:sudo +)?(?:python\d? -m +)?"
    r"(?:uv )?(?:pip\d?|conda|mamba|micromamba|apt|apt-get|brew|pipx|poetry|pdm|uv|tool)"
    r" +(?:tool +)?(?:install|add|update|upgrade)\b"
)
SAYS = re.compile(r"^\s*(?:- *)?(?:name|description|key|if|id): ")
GITHUB_APP = 15368  # the id of GitHub Actions, which alone may report these statuses
NOT_READY = ("system", "script", "unsupported", "unsupported_script", "docker", "docker_image")
Table = dict[Any, Any]


def find_test_runners(facts: Facts) -> list[str]:
    """Return the CI files that run the tests, also by make, tox, a task, a script or an action."""
    return [name for name, text in facts.pipelines.items() if runs_tests(facts, text, DEPTH)]


def runs_tests(facts: Facts, text: str, depth: int) -> bool:
    """Do these commands run tests, or does something that they call?"""
    commands = "\n".join(find_commands(text))
    if RUNS_TESTS.search(commands):
        return True
    return depth > 0 and any(
        runs_tests(facts, it, depth - 1) for it in find_called_texts(facts, commands)
    )


def find_commands(text: str) -> Iterator[str]:
    """Yield the parts of commands, without comments, titles and what only installs."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.lstrip().startswith(("#", "//")) and not SAYS.match(line):
            parts = re.split(r"&&|\|\||;", re.sub(r"\s#.*", "", line))
            yield from (part for part in parts if not INSTALLS.match(part))


def find_called_texts(facts: Facts, commands: str) -> Iterator[str]:
    """Yield the texts of rules, tasks, scripts and actions that commands call."""
    for words in re.findall(r"\bmake\b([^\n|&]*)", commands):
        targets = [it for it in words.split() if re.fullmatch(r"[\w.-]+", it) and it[0] != "-"]
        yield from (find_rule(read_either(facts, "Makefile"), it) for it in targets)
    commands = re.sub("[\"']", " ", commands)
    for words in re.findall(rf"\b(?:{TASKS})\b([^\n|&]*)", commands):
        yield from (text for name, text in read_tasks(facts).items() if name in words.split())
        justfile = read_either(facts, "justfile") or read_either(facts, "Justfile")
        yield from (find_rule(justfile, it) for it in words.split())
    for path in re.findall(r"(?:\./)?([\w./-]+)", commands):
        if path in facts.everything and not path.endswith((".txt", ".toml", ".cfg", "setup.py")):
            yield read_either(facts, path)
    for path in re.findall(r"uses: *['\"]?\./([\w./-]+)", commands):
        yield read_either(facts, f"{path}/action.yml") or read_either(facts, f"{path}/action.yaml")


def read_either(facts: Facts, name: str) -> str:
    """Return the text of a file of the folder, else of the top."""
    return facts.text(name) or facts.text(name, top=True)


def find_rule(text: str, target: str) -> str:
    """Return the recipe of a rule, and what it needs as calls of make."""
    found = re.search(
        rf"^{re.escape(target)}\b[^\n:=]*:(?!=)([^\n]*)\n((?:[ \t]+.*\n|\n)*)", text, re.M
    )
    return f"make {found[1]}\n{found[2]}" if found else ""


def read_tasks(facts: Facts) -> dict[str, str]:
    """Return the tasks of pixi, poe, hatch, pdm and rye: the command of each by its name."""
    try:
        pixi = tomllib.loads(facts.text("pixi.toml"))
    except ValueError:
        pixi = {}
    found: dict[str, str] = {}
    stack: list[tuple[str, Any]] = [("pixi", pixi), *facts.tools.items()]
    while stack:
        name, table = stack.pop()
        if name in ("tasks", "scripts") and isinstance(table, dict):
            found |= {str(key): json.dumps(value) for key, value in table.items()}
        elif isinstance(table, dict):
            stack += table.items()
    return found


# ---- The statuses that branch rules can ask for


def find_statuses(workflows: Mapping[str, str], branch: str) -> list[str]:
    """Return the names of the checks that GitHub's workflows report on every pull request."""
    found: list[str] = []
    for text in workflows.values():
        config = load_workflow(text)
        if runs_on_every_pull_request(config, branch):
            found += list_checks(config, workflows)
    return [
        it for it in found if it.isprintable() and not re.search(r"\[[\[%#]|[\]%]\]|\$\{\{", it)
    ]


def load_workflow(text: str) -> Table:
    """Return what a workflow says; nothing if it cannot be read."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return config if isinstance(config, dict) else {}


def runs_on_every_pull_request(config: Table, branch: str) -> bool:
    """Does a workflow start for each pull request on this branch, whatever it changes?"""
    events = config.get("on", config.get(True))  # YAML 1.1 reads `on` as true
    if not isinstance(events, dict):
        return "pull_request" in ([events] if isinstance(events, str) else events or [])
    if "pull_request" not in events:
        return False
    limits = events["pull_request"] or {}
    branches = limits.get("branches") or [branch]
    wide = {branch, "*", "**"} & set([branches] if isinstance(branches, str) else branches)
    return bool(wide) and not {"paths", "paths-ignore", "branches-ignore", "types"} & set(limits)


def list_checks(config: Table, workflows: Mapping[str, str]) -> list[str]:
    """Return the checks of one workflow: of its gate alone if it has one that always runs."""
    jobs = {name: job for name, job in (config.get("jobs") or {}).items() if isinstance(job, dict)}
    gates = {
        name: job
        for name, job in jobs.items()
        if job.get("needs") and re.fullmatch(r"(\$\{\{ *)?always\(\)( *\}\})?", str(job.get("if")))
    }
    steady = gates or {name: job for name, job in jobs.items() if "if" not in job}
    return [it for name, job in steady.items() for it in list_job_checks(str(name), job, workflows)]


def list_job_checks(name: str, job: Table, workflows: Mapping[str, str]) -> Iterable[str]:
    """Return the checks of a job: one for each cell of its matrix, or each job that it calls."""
    titles = expand_matrix(str(job.get("name", name)), (job.get("strategy") or {}).get("matrix"))
    if "uses" not in job:
        return titles
    inner = load_workflow(workflows.get(str(job["uses"]).removeprefix("./"), ""))
    return [f"{title} / {it}" for title in titles for it in list_checks(inner, workflows)]


def expand_matrix(title: str, matrix: Any) -> list[str]:
    """Return the titles of a job for each cell of its matrix; none if they cannot be known."""
    if matrix is None:
        return [title]
    if not isinstance(matrix, dict) or "include" in matrix:
        return []
    axes = {key: values for key, values in matrix.items() if key != "exclude"}
    if not all(isinstance(values, list) for values in axes.values()):
        return []
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    out = matrix.get("exclude") or []
    kept = [cell for cell in cells if not any(set(it.items()) <= set(cell.items()) for it in out)]
    return [format_title(title, cell) for cell in kept]


def format_title(title: str, cell: Table) -> str:
    """Return the title of a job for one cell of its matrix, as GitHub writes it."""
    words = {key: json.dumps(it) if isinstance(it, bool) else str(it) for key, it in cell.items()}
    if "matrix." not in title:
        return f"{title} ({', '.join(words.values())})"
    for key, word in words.items():
        wanted = rf"\$\{{\{{ *matrix\.{re.escape(key)} *\}}\}}"
        title = re.sub(wanted, word.replace("\\", r"\\"), title)
    return title


def format_required(statuses: Iterable[str]) -> str:
    """Return the statuses as a list of GitHub's branch rules holds them, without its brackets."""
    return ", ".join(json.dumps({"context": it, "integration_id": GITHUB_APP}) for it in statuses)


def find_unready_hooks(config: str) -> list[str]:
    """Return the hooks that need what is not installed in a job of hooks: tools of a machine."""
    repos = load_workflow(config).get("repos") or []
    hooks = [it for repo in repos if isinstance(repo, dict) for it in repo.get("hooks") or []]
    found = [str(it.get("id")) for it in hooks if it.get("language") in NOT_READY]
    return [it for it in found if re.fullmatch(r"[\w.-]+", it)]
