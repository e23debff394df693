"""The questions of signs.toml, asked of a repository.  That file describes each kind of rule."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import datetime, UTC
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import Check, CHECKS, Unknown, USES
from mlops_ladder.maturity.code import find_lacking_targets, find_missing_library
from mlops_ladder.maturity.data import has_metric, list_own_runs
from mlops_ladder.maturity.delivery import list_decision_times
from mlops_ladder.maturity.monitoring import find_alert_faults, list_alerts
from mlops_ladder.maturity.repo import list_change_times
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.runbook import read_blocks
from mlops_ladder.maturity.serving import list_rollout_ends
from mlops_ladder.maturity.trials.table import read_checks

HERE = Path(__file__).resolve().parent

Rule = dict[str, Any]


def load_checks() -> None:
    """Register every check and use of signs.toml, and the trials; once in a process."""
    if USES:
        return
    table = tomllib.loads((HERE / "signs.toml").read_text("utf-8"))
    for kind in ("sign", "record"):
        for entry in table[kind]:
            find = partial(find_problems, entry)
            CHECKS.append(Check(entry["capability"], kind, entry["promise"], find))
    USES.update({name: partial(list_uses, source) for name, source in table["uses"].items()})
    CHECKS.extend(read_checks())


def find_problems(entry: Rule, repository: Repository) -> Iterator[str]:
    """Yield what breaks the rules of an entry, in their order.  Raise Unknown as the entry says."""
    if not repository.ours and "unknown_elsewhere" in entry:
        raise Unknown(entry["unknown_elsewhere"])
    for rule in entry["rules"]:
        ours = rule.get("ours", entry.get("ours") or "module" in rule or repository.ours)
        beside = "beside" not in rule or list_matching(repository, [rule["beside"]])
        if ours == repository.ours and beside:
            kind, *_ = [kind for kind in QUESTIONS if kind in rule]
            yield from QUESTIONS[kind](repository, rule | {"capability": entry["capability"]})


def list_matching(repository: Repository, patterns: list[str]) -> list[str]:
    """Return the files that fit one of these patterns, in which `*` also stands for slashes."""
    return [
        name for name in repository.files if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def find_function(name: str) -> Callable[[Repository], Any]:
    """Return the function "module:name" of this package."""
    module, _, function = name.partition(":")
    named: Callable[[Repository], Any] = getattr(import_module(f"{__package__}.{module}"), function)
    return named


def ask_function(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield what a function finds."""
    yield from find_function(rule["function"])(repository)


def ask_imports(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield a problem if no code of the capability imports one of its libraries."""
    yield from find_missing_library(repository, rule["capability"])


def ask_targets(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield each target that the Makefile lacks."""
    yield from find_lacking_targets(repository, *rule["targets"])


def ask_calls(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield each call that a module of the library lacks."""
    text = repository.library.get(rule["module"], "")
    for call in rule["calls"]:
        if f"{call}(" not in text:
            yield f"{rule['module']}: calls no {call}"


def ask_alerts(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield what is wrong with the alerts of a file; or a problem if none asks for a pattern."""
    if "pattern" not in rule:
        yield from find_alert_faults(repository, rule["alerts"])
    elif not any(
        rule["pattern"] in str(alert["expr"]) for alert in list_alerts(repository, rule["alerts"])
    ):
        yield rule["problem"]


def ask_table(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield each key of a table that is missing, empty, or not one of the allowed values."""
    table = repository.table(rule["table"], *rule.get("at", ()))
    if "allowed" in rule:
        table = {rule["key"]: rule.get("default")} | table
        wrong = [rule["key"]] if table[rule["key"]] not in rule["allowed"] else []
    elif "keys" in rule:
        filled = rule.get("filled", False)
        wrong = [key for key in rule["keys"] if not (table.get(key) if filled else key in table)]
    else:
        wrong = [] if table else [""]
    for key in wrong:
        yield rule["problem"].format(key=key, value=table.get(key))


def ask_readable(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield a problem if none of these files holds a table."""
    names = list_matching(repository, rule["readable"])
    if not any(isinstance(repository.parsed(name), dict) for name in names):
        yield rule["problem"]


def ask_runbook(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield a problem if a drill can run no commands of a page."""
    try:
        read_blocks(rule["runbook"], repository.text(rule["runbook"]))
    except Unknown as reason:
        yield str(reason)


def ask_pattern(repository: Repository, rule: Rule) -> Iterator[str]:
    """Yield a problem if a pattern is in none of these texts."""
    if "target" in rule:
        texts = [repository.targets.get(rule["target"], "")]
    elif "module" in rule:
        texts = [repository.library.get(rule["module"], "")]
    else:
        names = [rule["file"]] if "file" in rule else list_matching(repository, rule["files"])
        texts = [repository.text(name) for name in names]
    if not any(re.search(rule["pattern"], text) for text in texts):
        yield rule["problem"]


# The first of these keys in a rule names its kind.
QUESTIONS: dict[str, Callable[[Repository, Rule], Iterator[str]]] = {
    "function": ask_function,
    "imports": ask_imports,
    "targets": ask_targets,
    "calls": ask_calls,
    "alerts": ask_alerts,
    "table": ask_table,
    "readable": ask_readable,
    "runbook": ask_runbook,
    "pattern": ask_pattern,
}


ENDS: dict[str, Callable[[Repository, Any], list[datetime]]] = {
    "decisions": list_decision_times,
    "rollouts": list_rollout_ends,
}


def list_uses(source: Rule, repository: Repository) -> list[datetime]:
    """Return when the team has used a capability.  Raise Unknown if that cannot be seen here."""
    if "commits" in source:
        return list_change_times(repository, *source["commits"])
    if "runs" in source:
        return list_own_runs(repository, lambda run: source["runs"] in run["tags"])
    if "metric" in source:
        return list_own_runs(repository, lambda run: has_metric(run, source["metric"]))
    for name in ENDS.keys() & source.keys():
        return ENDS[name](repository, source[name])
    if "log" in source:
        lines = map(json.loads, repository.log_lines(source["log"], source["command"]))
        times = [line["time"] for line in lines if source["where"].items() <= line.items()]
        return [datetime.fromisoformat(time).astimezone(UTC) for time in times]
    times_of: list[datetime] = find_function(source["function"])(repository)
    return times_of
