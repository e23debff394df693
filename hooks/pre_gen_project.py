"""Refuse answers that cannot work, before a file is written."""

import json
import keyword
import re
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ answers() | jsonify }}""")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TAKEN = sys.stdlib_module_names | {
    "src",
    "tests",
    "mlflow",
    "pandas",
    "sklearn",
    "lightgbm",
    "xgboost",
    "numpy",
}
RULES = {
    "project_name": (r".*[A-Za-z0-9].*", "at least one plain letter or digit"),
    "project_slug": (
        r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?",
        "lower-case letters, digits, '-', '_' and '.' only",
    ),
    "package_name": (r"[a-z][a-z0-9_]*", "lower-case letters, digits and '_', a letter first"),
    "description": (r".*\S.*", "one sentence"),
    "author_name": (r".*\S.*", "a name"),
    "author_email": (r"[^@\s<>\"]+@[^@\s<>\"]+", "name@example.com"),
    "python_version": ("|".join(map(re.escape, PYTHONS)), "one of " + ", ".join(PYTHONS)),
}


def breaches(answers):
    """A line for each answer that cannot work: the question, the answer, what it may be."""
    for question, answer in answers.items():
        if re.search(r"\{\{|\{%|\{#|[\x00-\x1f\x7f]", answer):
            yield f"{question}: {answer!r} holds a line break, a control character or template code; leave it out"
        elif question in RULES and not re.fullmatch(RULES[question][0], answer):
            yield f"{question}: {answer!r} will not do; allowed: {RULES[question][1]}"
    package = answers["package_name"]
    if package in TAKEN or keyword.iskeyword(package):
        yield f"package_name: {package!r} is taken by Python or by a library; choose another"


if Path(".cruft.json").exists():
    sys.exit("A project is here already. To change its level: make climb LEVEL=n (in the project)")
if FOUND := list(breaches(ANSWERS)):
    sys.exit("\n".join(FOUND))
