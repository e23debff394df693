"""The register of risks: is there a control for each, and has it run?

`ladder risks [--ran]`.  A test has run where reports/tests.xml, which `make test` writes,
says that it passed; an alert where a test of the rules fires it; a gate where the log of promotions
holds a decision, and a question of it where one of them has its answer.  Ends with 1 where the
register cannot be read, a control is not there, or a high risk has none; with --ran also where a
control of a high risk has not run.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

REGISTER = Path("governance/risk.toml")
CLASSES = ("minimal", "limited", "high", "unacceptable")
LEVELS = ("low", "medium", "high")
Risk = dict[str, Any]


def toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.  SystemExit that names the file where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        sys.exit(f"{path}: cannot be read: {error}")


def text(path: str) -> str:
    """What a file says; nothing where there is none."""
    return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""


def there(kind: str, name: str) -> bool:
    """Is it there: the function of a test, an alert's rule, a setting or question of a gate?"""
    if kind == "test":
        path, _, function = name.partition("::")
        return bool(re.search(rf"^def {re.escape(function)}\(", text(path), re.MULTILINE))
    if kind == "alert":
        rule = rf"^\s*- alert: {re.escape(name)}$"
        return bool(re.search(rule, text("monitoring/alerts.yml"), re.MULTILINE))
    section, _, key = name.partition(".")
    if section == "questions":
        told = Path(f"config/{key}.toml")
        return question(key) and told.is_file() and bool(toml(told))
    return key in toml(Path(f"config/{section}.toml")).get(section, {})


def question(name: str) -> bool:
    """Is it one of the library's, or of the project's own?"""
    own = any(Path("src").glob(f"*/checks/{name}.py"))
    return own or files("mlops_ladder").joinpath("registry", "checks", f"{name}.py").is_file()


def passed() -> set[str]:
    """The tests that passed when they ran last, as file::name."""
    if not (report := text("reports/tests.xml")):
        return set()
    cases = ElementTree.fromstring(report).iter("testcase")
    good = [case for case in cases if not {it.tag for it in case} & {"failure", "error", "skipped"}]
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').split('[')[0]}"
        for case in good
    }


def ran(kind: str, name: str) -> bool:
    """Has the control run here?"""
    if kind == "test":
        return name in passed()
    if kind == "alert":
        return f"alertname: {name}" in text("monitoring/alerts_test.yml")
    decisions = [json.loads(line) for line in text("promotions.jsonl").splitlines() if line]
    if name.startswith("questions."):
        reports = [it.get("verdict") or {} for it in decisions]
        asked = [it.get("evidence", {}).get("questions", {}) for it in reports]
        return any(name.partition(".")[2] in it for it in asked)
    return bool(decisions)


def controls(risk: Risk) -> Iterator[tuple[str, str]]:
    """The kind and the name of each control of a risk."""
    for control in risk.get("controls", []):
        kind, _, name = str(control).partition(":")
        yield kind.strip(), name.strip()


def faults(risk: Risk, strict: bool) -> Iterator[str]:
    """What is wrong with an entry of the register."""
    what = str(risk.get("what", "")).strip() or "a risk without `what`"
    if risk.get("level") not in LEVELS:
        yield f"{what}: level = {risk.get('level')!r}; may be {', '.join(LEVELS)}"
    high = risk.get("level") == "high"
    if high and not risk.get("controls"):
        yield f"{what}: is high, and nothing stands against it"
    for kind, name in controls(risk):
        if kind not in ("test", "alert", "gate"):
            yield f"{what}: {kind!r} is no kind of control; there are test, alert and gate"
        elif not there(kind, name):
            yield f"{what}: there is no {kind} {name}"
        elif high and strict and not ran(kind, name):
            yield f"{what}: the {kind} {name} has not run here; run: make test alerts pipeline"


def judged(register: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the register beyond its risks."""
    if register.get("class") not in CLASSES:
        yield f"class = {register.get('class')!r}; may be {', '.join(CLASSES)}"
    if len(str(register.get("reason", "")).split()) < 3:
        yield "reason: say in a few words why it is of this class"
    if not register.get("misuse"):
        yield "misuse: name what it must not be used for"
    if not register.get("risk"):
        yield "no [[risk]]: nothing is thought of that could go wrong"


def main(arguments: list[str]) -> None:
    """Show each risk with its controls, and what is wrong."""
    register = toml(REGISTER)
    wrong = list(judged(register))
    for risk in register.get("risk", []):
        print(f"{str(risk.get('level')):6}  {risk.get('what')}")
        for kind, name in controls(risk):
            seen = ("ran" if ran(kind, name) else "not run") if there(kind, name) else "missing"
            print(f"          {seen:9}  {kind} {name}")
        wrong += faults(risk, "--ran" in arguments)
    if wrong:
        sys.exit("\n".join(f"{REGISTER}: {line}" for line in wrong))
    count, kind = len(register["risk"]), register["class"]
    print(f"{REGISTER}: {count} risks, class {kind}; every control is there")
