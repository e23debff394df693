"""Their CI: whether it runs the tests, and the statuses that it reports."""

import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from mlops_ladder.adopt.facts import Facts

DEPTH = 5  # of calls that are followed: a script that calls make, which calls a script
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
PLACEHOLDER = re.compile(r"\[[\[%#]|[\]%]\]|\$\{\{")  # of GitHub, or of our templates
GITHUB_APP = 15368  # the id of GitHub Actions: no other app may report these statuses
NOT_READY = ("system", "script", "unsupported", "unsupported_script", "docker", "docker_image")
Table = dict[Any, Any]


def find_test_runners(facts: Facts) -> list[str]:
    """Return the CI files that run the tests, also by make, tox, a task, a script or an action."""
    return [name for name, text in facts.pipelines.items() if runs_tests(facts, text, DEPTH)]


def runs_tests(facts: Facts, text: str, depth: int) -> bool:
    """Return whether these commands run tests, by themselves or by something that they call."""
    commands = "\n".join(find_commands(text))
    if RUNS_TESTS.search(commands):
        return True
    return depth > 0 and any(
        runs_tests(facts, script, depth - 1) for script in find_called_texts(facts, commands)
    )


def find_commands(text: str) -> Iterator[str]:
    """Yield the parts of commands, without comments, titles and installations."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.lstrip().startswith(("#", "//")) and not SAYS.match(line):
            parts = re.split(r"&&|\|\||;", re.sub(r"\s#.*", "", line))
            yield from (part for part in parts if not INSTALLS.match(part))


def find_called_texts(facts: Facts, commands: str) -> Iterator[str]:
    """Yield the texts of rules, tasks, scripts and actions that commands call."""
    for words in re.findall(r"\bmake\b([^\n|&]*)", commands):
        targets = [word for word in words.split() if re.fullmatch(r"[\w.][\w.-]*", word)]
        yield from (find_rule(read_either(facts, "Makefile"), target) for target in targets)
    commands = re.sub("[\"']", " ", commands)
    for words in re.findall(rf"\b(?:{TASKS})\b([^\n|&]*)", commands):
        yield from (text for name, text in read_tasks(facts).items() if name in words.split())
        justfile = read_either(facts, "justfile") or read_either(facts, "Justfile")
        yield from (find_rule(justfile, word) for word in words.split())
    for path in re.findall(r"(?:\./)?([\w./-]+)", commands):
        if path in facts.everything and not path.endswith((".txt", ".toml", ".cfg", "setup.py")):
            yield read_either(facts, path)
    for path in re.findall(r"uses: *['\"]?\./([\w./-]+)", commands):
        yield read_either(facts, f"{path}/action.yml") or read_either(facts, f"{path}/action.yaml")


def read_either(facts: Facts, name: str) -> str:
    """Return the text of a file in the folder, else of the one at the top."""
    return facts.text(name) or facts.text(name, top=True)


def find_rule(text: str, target: str) -> str:
    """Return the recipe of a rule, and its prerequisites as a call of make."""
    match = re.search(
        rf"^{re.escape(target)}\b[^\n:=]*:(?!=)([^\n]*)\n((?:[ \t]+.*\n|\n)*)", text, re.M
    )
    return f"make {match[1]}\n{match[2]}" if match else ""


def read_tasks(facts: Facts) -> dict[str, str]:
    """Return the tasks of pixi, poe, hatch, pdm and rye: the command of each by its name."""
    try:
        pixi = tomllib.loads(facts.text("pixi.toml"))
    except ValueError:
        pixi = {}
    tasks: dict[str, str] = {}
    stack: list[tuple[str, Any]] = [("pixi", pixi), *facts.tools.items()]
    while stack:
        name, table = stack.pop()
        if name in ("tasks", "scripts") and isinstance(table, dict):
            tasks |= {str(key): json.dumps(value) for key, value in table.items()}
        elif isinstance(table, dict):
            stack += table.items()
    return tasks


# ---- The statuses that branch rules can ask for


def find_statuses(workflows: Mapping[str, str], branch: str) -> list[str]:
    """Return the names of the checks that GitHub's workflows report on every pull request."""
    names: list[str] = []
    for text in workflows.values():
        config = load_workflow(text)
        if runs_on_every_pull_request(config, branch):
            names += list_checks(config, workflows)
    return [name for name in names if name.isprintable() and not PLACEHOLDER.search(name)]


def load_workflow(text: str) -> Table:
    """Return the content of a workflow; {} if it cannot be read."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return config if isinstance(config, dict) else {}


def runs_on_every_pull_request(config: Table, branch: str) -> bool:
    """Return whether a workflow starts for each pull request on this branch, without a filter."""
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
    """Return the checks of one workflow; only those of its gates if it has jobs that always run."""
    jobs = {name: job for name, job in (config.get("jobs") or {}).items() if isinstance(job, dict)}
    gates = {
        name: job
        for name, job in jobs.items()
        if job.get("needs") and re.fullmatch(r"(\$\{\{ *)?always\(\)( *\}\})?", str(job.get("if")))
    }
    jobs = gates or {name: job for name, job in jobs.items() if "if" not in job}
    return [check for name, job in jobs.items() for check in list_job_checks(name, job, workflows)]


def list_job_checks(name: str, job: Table, workflows: Mapping[str, str]) -> Iterable[str]:
    """Return the checks of a job: one for each cell of its matrix, or each job that it calls."""
    titles = expand_matrix(str(job.get("name", name)), (job.get("strategy") or {}).get("matrix"))
    if "uses" not in job:
        return titles
    inner = load_workflow(workflows.get(str(job["uses"]).removeprefix("./"), ""))
    return [f"{title} / {check}" for title in titles for check in list_checks(inner, workflows)]


def expand_matrix(title: str, matrix: Any) -> list[str]:
    """Return the titles of a job, one for each cell of its matrix; none if they cannot be known."""
    if matrix is None:
        return [title]
    if not isinstance(matrix, dict) or "include" in matrix:
        return []
    axes = {key: values for key, values in matrix.items() if key != "exclude"}
    if not all(isinstance(values, list) for values in axes.values()):
        return []
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    out = matrix.get("exclude") or []
    kept = [cell for cell in cells if not any(set(row.items()) <= set(cell.items()) for row in out)]
    return [format_title(title, cell) for cell in kept]


def format_title(title: str, cell: Table) -> str:
    """Return the title of a job for one cell of its matrix, as GitHub writes it."""
    words = {key: str(value) for key, value in cell.items()}
    words |= {key: json.dumps(value) for key, value in cell.items() if isinstance(value, bool)}
    if "matrix." not in title:
        return f"{title} ({', '.join(words.values())})"
    for key, word in words.items():
        pattern = rf"\$\{{\{{ *matrix\.{re.escape(key)} *\}}\}}"
        title = re.sub(pattern, word.replace("\\", r"\\"), title)
    return title


def format_required(names: Iterable[str]) -> str:
    """Return the checks as JSON objects for GitHub's branch rules, separated by commas."""
    return ", ".join(json.dumps({"context": name, "integration_id": GITHUB_APP}) for name in names)


def find_unready_hooks(config: str) -> list[str]:
    """Return the hooks that need tools which a job of CI does not have."""
    repos = load_workflow(config).get("repos") or []
    hooks = [hook for repo in repos if isinstance(repo, dict) for hook in repo.get("hooks") or []]
    names = [str(hook.get("id")) for hook in hooks if hook.get("language") in NOT_READY]
    return [name for name in names if re.fullmatch(r"[\w.-]+", name)]
