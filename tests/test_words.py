"""Plain words: names are the field's and unique, sentences are short.  Each number may only be lowered."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from conftest import PROJECT, ROOT, run

LIBRARY = ROOT / "src/mlops_ladder"
VAGUE = {"it", "found", "said", "told", "held"}
VAGUE_NAMES = 3
REPEATED_FUNCTIONS = 72
HABITS = re.compile(
    r"\b(whoever|none that|of which|whichever|whatever|which is why|as ever)\b", re.I
)
TURNS_OF_PHRASE = 23
LONG_SENTENCE = 30  # words
LONG_SENTENCES = 27
# Names that a protocol or the command line requires.
BY_PROTOCOL = {"main", "options"}
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*|#>]|\d+\.) ?)")
SENTENCE = re.compile(r"(?<=[.!?:;])\s+|\|")


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Each module of the library by its path, parsed."""
    for path in sorted(LIBRARY.rglob("*.py")):
        yield path.relative_to(LIBRARY).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def count_vague_names(tree: ast.Module) -> int:
    """Return the number of variables and parameters with a vague name."""
    names = [
        node.id if isinstance(node, ast.Name) else node.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arg)
        or isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Store)
    ]
    return sum(name in VAGUE for name in names)


def find_repeated_functions() -> dict[str, list[str]]:
    """Return the public functions at the top of two or more modules, by name."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                is_hook = any("hookimpl" in ast.unparse(mark) for mark in node.decorator_list)
                if node.name not in BY_PROTOCOL and not is_hook:
                    places[node.name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def docstrings(text: str) -> str:
    """Return the docstrings of a Python text as paragraphs."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, holders))
    return "\n\n".join(filter(None, map(ast.get_docstring, nodes)))


def comments(text: str) -> str:
    """Return the comments of a TOML or YAML text: lines that follow each other are one paragraph."""
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(line.lstrip("# ") if line.startswith("#") else "" for line in lines)


def prose() -> dict[str, str]:
    """Return the prose of each file: documents, docstrings, comments of configuration."""
    texts = {}
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", at=ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or name.startswith("CHANGELOG"):
            continue
        if path.suffix in (".md", ".toml", ".yml", ".yaml") and "/locks/" not in name:
            text = path.read_text(encoding="utf-8")
            texts[name] = FENCE.sub("", text) if path.suffix == ".md" else comments(text)
        elif path.suffix == ".py" and path.is_relative_to(LIBRARY):
            texts[name] = docstrings(path.read_text(encoding="utf-8"))
    assert len(texts) > 300 and any(name.startswith(PROJECT.name) for name in texts)
    return texts


def find_long_sentences(text: str) -> list[str]:
    """Return the sentences of more than 30 words; a cell of a table counts as one."""
    sentences = [part for block in BLOCK.split(text) for part in SENTENCE.split(block)]
    return [part for part in sentences if len(re.findall(r"[A-Za-z][\w'-]*", part)) > LONG_SENTENCE]


def test_variables_say_what_they_hold() -> None:
    """No variable of the library is called `it`, `found`, `said`, `told` or `held`."""
    counts = Counter({path: count_vague_names(tree) for path, tree in modules()})
    assert counts.total() <= VAGUE_NAMES, counts.most_common(20)
    assert count_vague_names(ast.parse("def f(told): found = [it for it in told]")) == 3


def test_a_function_has_a_name_of_its_own() -> None:
    """Public functions of the library have unique names, so that a search finds one place."""
    repeated = find_repeated_functions()
    assert len(repeated) <= REPEATED_FUNCTIONS, repeated


def test_sentences_are_short() -> None:
    """Documents, docstrings and comments of configuration keep to 30 words a sentence."""
    texts = prose()
    long = {name: part for name, text in texts.items() if (part := find_long_sentences(text))}
    assert sum(map(len, long.values())) <= LONG_SENTENCES, long
    assert find_long_sentences("word " * 31) and not find_long_sentences("word " * 30)


@pytest.mark.parametrize("habit", ["whoever asks", "none that count", "rows of which two"])
def test_a_turn_of_phrase_is_recognised(habit: str) -> None:
    """The habits are noticed in a sentence."""
    assert HABITS.search(f"It is {habit}.")


def test_sentences_are_plain() -> None:
    """Turns of phrase stay few."""
    habits = {name: part for name, text in prose().items() if (part := HABITS.findall(text))}
    assert sum(map(len, habits.values())) <= TURNS_OF_PHRASE, habits
