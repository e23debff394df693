"""The register of risks: check that each control of a risk is there, and has run.

`ladder risks [--ran]`.  A test has run if it passed in reports/tests.xml, which `make test` writes.
An alert has run if a test of the rules fires it.  A gate has run if the log of promotions holds a
decision, and a question of it if one of these has its answer.  Ends with 1 if the register cannot
be read, a control is missing, or a high risk has none; with --ran also if a control of a high risk
has not run.
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

from mlops_ladder import read_text_if_exists

REGISTER, RULES = Path("governance/risk.toml"), Path("monitoring/alerts.yml")
CLASSES = ("minimal", "limited", "high", "unacceptable")
LEVELS = ("low", "medium", "high")
Risk = dict[str, Any]


def read_risk_file(path: Path) -> dict[str, Any]:
    """Return a TOML file.  End the program if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        sys.exit(f"{path}: cannot be read: {error}")


def control_exists(kind: str, name: str) -> bool:
    """Return whether there is this test, this rule of an alert, or this setting of a gate."""
    if kind == "test":
        path, _, function = name.partition("::")
        text, line = read_text_if_exists(Path(path)), rf"^def {re.escape(function)}\("
        return bool(re.search(line, text, re.MULTILINE))
    if kind == "alert":
        text, line = read_text_if_exists(RULES), rf"^\s*- alert: {re.escape(name)}$"
        return bool(re.search(line, text, re.MULTILINE))
    section, _, key = name.partition(".")
    if section != "questions":
        return key in read_risk_file(Path(f"config/{section}.toml")).get(section, {})
    library, settings = files("mlops_ladder") / "registry/checks", Path(f"config/{key}.toml")
    is_known = any(Path("src").glob(f"*/checks/{key}.py")) or (library / f"{key}.py").is_file()
    return is_known and settings.is_file() and bool(read_risk_file(settings))


def list_passed_tests() -> set[str]:
    """Return the tests that passed in the last run, as file::name."""
    if not (report := read_text_if_exists(Path("reports/tests.xml"))):
        return set()
    return {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').split('[')[0]}"
        for case in ElementTree.fromstring(report).iter("testcase")
        if not {child.tag for child in case} & {"failure", "error", "skipped"}
    }


def has_run(kind: str, name: str) -> bool:
    """Return whether the control has run here."""
    if kind == "test":
        return name in list_passed_tests()
    if kind == "alert":
        return f"alertname: {name}" in read_text_if_exists(Path("monitoring/alerts_test.yml"))
    lines = read_text_if_exists(Path("promotions.jsonl")).splitlines()
    verdicts = [json.loads(line).get("verdict") or {} for line in lines if line]
    if not name.startswith("questions."):
        return bool(verdicts)
    answers = [verdict.get("evidence", {}).get("questions", {}) for verdict in verdicts]
    return any(name.partition(".")[2] in answer for answer in answers)


def list_controls(risk: Risk) -> list[tuple[str, str]]:
    """Return the kind and the name of each control of a risk."""
    parts = (str(control).partition(":") for control in risk.get("controls", []))
    return [(kind.strip(), name.strip()) for kind, _, name in parts]


def find_control_faults(risk: Risk, strict: bool) -> Iterator[str]:
    """Yield the faults of a risk; `strict` also those controls that have not run."""
    what = str(risk.get("what", "")).strip() or "a risk without `what`"
    level = risk.get("level")
    if level not in LEVELS:
        yield f"{what}: level = {level!r}; may be {', '.join(LEVELS)}"
    if level == "high" and not risk.get("controls"):
        yield f"{what}: is high, and nothing stands against it"
    for kind, name in list_controls(risk):
        if kind not in ("test", "alert", "gate"):
            yield f"{what}: {kind!r} is no kind of control; there are test, alert and gate"
        elif not control_exists(kind, name):
            yield f"{what}: there is no {kind} {name}"
        elif level == "high" and strict and not has_run(kind, name):
            yield f"{what}: the {kind} {name} has not run here; run: make test alerts pipeline"


def find_register_faults(register: dict[str, Any]) -> Iterator[str]:
    """Yield the faults of the register outside of its risks."""
    if register.get("class") not in CLASSES:
        yield f"class = {register.get('class')!r}; may be {', '.join(CLASSES)}"
    if len(str(register.get("reason", "")).split()) < 3:
        yield "reason: say in a few words why it is of this class"
    if not register.get("misuse"):
        yield "misuse: name what it must not be used for"
    if not register.get("risk"):
        yield "no [[risk]]: name what could go wrong"


def main(arguments: list[str]) -> None:
    """Print each risk with its controls, and the faults."""
    register = read_risk_file(REGISTER)
    faults = list(find_register_faults(register))
    for risk in register.get("risk", []):
        print(f"{str(risk.get('level')):6}  {risk.get('what')}")
        for kind, name in list_controls(risk):
            state = "missing"
            if control_exists(kind, name):
                state = "ran" if has_run(kind, name) else "not run"
            print(f"          {state:9}  {kind} {name}")
        faults += find_control_faults(risk, "--ran" in arguments)
    if faults:
        sys.exit("\n".join(f"{REGISTER}: {fault}" for fault in faults))
    count, kind = len(register["risk"]), register["class"]
    print(f"{REGISTER}: {count} risks, class {kind}; every control is there")
