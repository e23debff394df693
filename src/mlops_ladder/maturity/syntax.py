"""What a Python text imports, defines and tests, by its syntax; it is never run."""

import ast
import doctest
import re
from functools import cache
from typing import Any

MAGIC = re.compile(r"^(\s*)(?:[%!?]|\w+ *= *[%!]).*|.*\?$", re.MULTILINE)  # no Python in a notebook
OTHERS = re.compile(r"\s*%%(?!time|capture|prun)")  # cells in another language, or a file
RAISING = ("raises", "warns", "fail", "raises_regex")
MOCKS = re.compile("assert_(?:called|any_call|has_calls|not_called|await|any_await|has_await)")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def parse_python(text: str) -> ast.Module | None:
    """Return the syntax of a text, or None if it is no Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@cache
def list_nodes(text: str) -> tuple[ast.AST, ...]:
    """Return all of the syntax of a Python text; nothing if it is no Python."""
    return tuple(ast.walk(parsed)) if (parsed := parse_python(text)) else ()


@cache
def list_imports(text: str) -> frozenset[str]:
    """Return the modules that a Python text imports, and the packages above them; not its own."""
    names: set[str] = set()
    for node in list_nodes(text):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = [name.split(".") for name in names]
    return frozenset(".".join(path[:end]) for path in parts for end in range(1, len(path) + 1))


@cache
def list_definitions(text: str) -> frozenset[str]:
    """Return the names that a Python text defines: functions, classes, variables, imports."""
    names: set[str] = set()
    for node in list_nodes(text):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return frozenset(names)


def is_idle(node: ast.AST) -> bool:
    """Return whether a body does nothing: a docstring, `pass`, `...`, a constant as answer."""
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        or (isinstance(statement, ast.Return) and isinstance(statement.value, ast.Constant | None))
        for statement in getattr(node, "body", [])
    )


def read_notebook_code(notebook: Any) -> str:
    """Return the Python in the cells of a notebook, without magics and commands for a shell."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    code = []
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            text = "".join(map(str, source)) if isinstance(source, list) else str(source)
            python = MAGIC.sub(r"\1pass", text)
            if not OTHERS.match(text) and parse_python(python):
                code.append(python)
    return "\n".join(code)


def has_variable(node: ast.AST) -> bool:
    """Return whether there is a call or a name in a part of the syntax: it is no constant."""
    return any(isinstance(part, ast.Call | ast.Name) for part in ast.walk(node))


def get_called_name(call: ast.Call) -> str:
    """Return the name of the function or method that a call names."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def is_assertion(call: ast.Call) -> bool:
    """Return whether a call asserts something, as in unittest, numpy, pandas, pytest or a helper.

    One whose arguments are constants compares nothing.
    """
    name = get_called_name(call)
    if name.endswith(RAISING) or MOCKS.match(name):
        return True
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(map(has_variable, arguments)) and name.lower().lstrip("_").startswith("assert")


def has_assertion(function: ast.AST, helpers: frozenset[str] = frozenset()) -> bool:
    """Return whether a function compares something, itself or by one of these helpers."""
    return any(
        (isinstance(node, ast.Assert) and has_variable(node.test))
        or (isinstance(node, ast.Call) and (is_assertion(node) or get_called_name(node) in helpers))
        for node in ast.walk(function)
    )


def list_tests(text: str) -> list[Function]:
    """Return the test functions of a Python text that compare something."""
    functions = [node for node in list_nodes(text) if isinstance(node, FUNCTIONS)]
    tests = [function for function in functions if function.name.startswith("test")]
    others = [function for function in functions if not function.name.startswith("test")]
    helpers = frozenset(function.name for function in others if has_assertion(function))
    return [test for test in tests if has_assertion(test, helpers)]


def has_examples(text: str) -> bool:
    """Return whether a docstring has an example with its answer, as doctest runs them."""
    holders = (ast.Module, ast.ClassDef, *FUNCTIONS)
    for node in list_nodes(text) if ">>>" in text else ():
        docstring = ast.get_docstring(node) if isinstance(node, holders) else None
        try:
            examples = doctest.DocTestParser().get_examples(docstring or "")
        except ValueError:
            continue
        if any(example.want for example in examples):
            return True
    return False
