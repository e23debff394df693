"""The checks of trials.toml: each plants something, runs a command, and judges the outcome."""

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from typing import Any

from mlops_ladder.maturity import Check, CHECKS, Unknown
from mlops_ladder.maturity.sandbox import Copy, Done, last_line, require_network, TIMEOUT_S
from mlops_ladder.maturity.service import exchange_json, run_service, Service
from mlops_ladder.maturity.trials.project import ask_project, example_row, read_table

EVERY_STEP = ("env", "at")  # keys that a check may set for all of its steps
PATTERNS = ("matches", "holds")  # in these, words are inserted literally, not as patterns

Facts = dict[str, Any]
Words = dict[str, str]


def read_checks() -> Iterator[Check]:
    """Yield the checks of the table.  Raise AttributeError if one names no function."""
    for entry in read_table()["check"]:
        shared = {key: entry[key] for key in EVERY_STEP if key in entry}
        steps = [shared | step for step in entry.get("step", [entry])]
        for step in steps:
            step |= {key: find_function(step[key]) for key in ("first", "by") if key in step}
        kind = "trial" if "trial" in entry else "fault"
        yield Check(entry["of"], kind, entry[kind], partial(run_steps, steps=steps))


def find_function(call: str | list[str]) -> list[Any]:
    """Return the function that is named `module.function`, and its arguments."""
    name, *arguments = [call] if isinstance(call, str) else call
    module, _, function = name.partition(".")
    return [getattr(import_module(f"{__package__}.{module}"), function), *arguments]


def run_steps(copy: Copy, steps: list[Facts]) -> Iterator[str]:
    """Run the steps of a check up to the first with a problem, and yield its problems."""
    name = copy.package.name
    words = {"prefix": f"{name.upper()}_", "package": name, "root": str(copy.root)}
    words |= {"source": copy.original.package, "number": str(copy.random.randrange(10**6))}
    words |= read_table()["texts"]
    for step in steps:
        problems = [*run_step(copy, step, words)]
        yield from problems
        if problems:
            return


def run_step(copy: Copy, step: Facts, words: Words) -> Iterator[str]:
    """Prepare a step, run its command, and yield the problems."""
    prepare_step(copy, step, words)
    step = fill_in(step, words)
    if "run" in step:
        yield from judge_command(copy, step)
    if "serve" in step:
        yield from judge_service(copy, step, words)
    yield from check_files(copy, step)
    if "ask" in step and (answer := ask_project(copy, *step["ask"])) != step["answer"]:
        yield step["wrong"].replace("{found}", str(answer))
    if "by" in step:
        check, *arguments = step["by"]
        yield from check(copy, *arguments)


def prepare_step(copy: Copy, step: Facts, words: Words) -> None:
    """Prepare the copy for the command of a step."""
    if "need" in step:
        copy.need(step["need"])
    prepare_files(copy, fill_in(step, words))
    for command in fill_in(step.get("must", []), words):
        copy.must(*split_command(command), **command_options(copy, fill_in(step, words)))
    for name, command in step.get("prints", {}).items():
        words[name] = copy.must(*split_command(command)).splitlines()[0]
    if "first" in step:
        prepare, *arguments = fill_in(step["first"], words)
        words |= {name: str(word) for name, word in (prepare(copy, *arguments) or {}).items()}
    if "sql" in step:
        name, statement = fill_in(step["sql"], words)
        with closing(sqlite3.connect(copy.root / name)) as store:
            store.execute(statement)
            store.commit()


def fill_in(value: Any, words: Words) -> Any:
    """Return a value of the table with the words put in for their {names}; others stay."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda name: words.get(name[1], name[0]), value)
    if isinstance(value, list):
        return [fill_in(part, words) for part in value]
    if isinstance(value, dict):
        literal = {name: re.escape(word) for name, word in words.items()}
        return {
            fill_in(key, words): fill_in(part, literal if key in PATTERNS else words)
            for key, part in value.items()
        }
    return value


def prepare_files(copy: Copy, step: Facts) -> None:
    """Write, extend, change and damage the files of a step."""
    for name, text in step.get("write", {}).items():
        copy.write(name, text)
    for name, text in step.get("append", {}).items():
        copy.append(name, text)
    if "plant" in step:
        copy.plant(*step["plant"])
    if "library" in step:
        copy.plant_in_library(*step["library"])
    for name, text in step.get("library_append", {}).items():
        module = copy.unpack_library() / name
        module.write_text(module.read_text(encoding="utf-8") + text, encoding="utf-8")
    if "damage" in step:
        paths = [path for path in copy.root.glob(step["damage"]) if path.is_file()]
        if not paths:
            raise Unknown(f"{step['damage']}: there is no such file")
        for path in paths:
            path.write_bytes(b"damaged")


def split_command(command: str | list[str]) -> list[str]:
    """Return the words of a command."""
    return shlex.split(command) if isinstance(command, str) else command


def command_options(copy: Copy, step: Facts) -> Facts:
    """Return the folder, the timeout and the environment of the commands of a step."""
    folder = str(copy.root / step["at"]) if "at" in step else ""
    return {"at": folder, "timeout": step.get("timeout", TIMEOUT_S), **step.get("env", {})}


def judge_command(copy: Copy, step: Facts) -> Iterator[str]:
    """Run the command of a step, and yield the problem if it does not do as it should."""
    done = copy.run(*split_command(step["run"]), **command_options(copy, step))
    output = done.stdout + done.stderr
    if step.get("network"):
        require_network(done)
    if bool(done.returncode) != step.get("fails", False) or not is_as_said(step, output):
        raise_if_unknown(step.get("unknown", {}), output)
        yield describe_problem(step, done)
    else:
        raise_if_unknown(step.get("incomplete", {}), output)


def raise_if_unknown(reasons: dict[str, str], output: str) -> None:
    """Raise Unknown if the output of a command matches a pattern that says so."""
    for pattern, reason in reasons.items():
        if match := re.search(pattern, output):
            raise Unknown(reason.replace("{found}", match[0]))


def describe_problem(step: Facts, done: Done) -> str:
    """Return the problem of a step, with the last line of its command or a named one."""
    command = step["run"] if isinstance(step["run"], str) else " ".join(step["run"][:3])
    named = re.search(step["named"], done.stdout) if "named" in step else None
    words = {"last": named[1] if named else last_line(done)}
    return str(fill_in(step.get("wrong", f"{command}: {{last}}"), words))


def is_as_said(step: Facts, output: str) -> bool:
    """Return whether an output has all required texts, and no forbidden one."""
    return (
        all(text in output for text in step.get("says", []))
        and all(re.search(pattern, output) for pattern in step.get("matches", []))
        and not any(text in output for text in step.get("silent", []))
    )


def judge_service(copy: Copy, step: Facts, words: Words) -> Iterator[str]:
    """Start the service, send the requests of a step, and yield the answers that are wrong."""
    with copy.with_environment(**step.get("env", {})), run_service(copy) as service:
        for request in step["serve"]:
            for _ in range(request.get("times", 1)):
                status, reply = send_request(service, request)
                if status == request.get("status"):
                    break
            right, text = request.get("status", status), json.dumps(reply, ensure_ascii=False)
            if status != right or not is_as_said(fill_in(request, words), text):
                case = request.get("case", "")
                yield f"{request['path']}: {status} {case}, {right} is right: {text}"
            if isinstance(reply, dict):
                words |= {name: str(value) for name, value in reply.items()}


def send_request(service: Service, request: Facts) -> tuple[int, Any]:
    """Send a request of the table; return the status and the answer."""
    body = request.get("body")
    if body == "example":
        body = example_row(service) | request.get("more", {})
    headers = request.get("headers", {})
    status, reply = exchange_json(service.connect(), request["path"], body, **headers)
    return status, reply


def check_files(copy: Copy, step: Facts) -> Iterator[str]:
    """Yield the files without what they have to hold, and what is recorded otherwise."""
    for name, pattern in step.get("holds", {}).items():
        if not re.search(pattern, copy.text(name)):
            yield f"{name}: is not there, or does not hold {pattern!r}"
    for pattern, text in step.get("lacks", {}).items():
        for path in copy.root.glob(pattern):
            if text.encode() in path.read_bytes():
                yield f"{path.name}: holds {text!r}"
    for check in CHECKS:
        if check.capability == step.get("agrees") and check.kind in ("sign", "record"):
            yield from check.find(copy.repository)
