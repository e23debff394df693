"""The documents of the template: the modules that they name, and the files that they link to, are there."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import MANIFEST, ROOT

LIBRARY = ROOT / "src/mlops_ladder"
DOMAINS = "|".join(path.name for path in LIBRARY.iterdir() if path.is_dir())
MODULE = re.compile(rf"`(?:src/)?(?:mlops_ladder/)?((?:{DOMAINS})/[\w/]+\.py)`")
DOTTED = re.compile(r"\bmlops_ladder((?:\.\w+)+)")
LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)[^)\s]*\)")
# Decision records and benchmarks may name what was; of the other documents every word holds today.
TODAY = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL = [
    *TODAY,
    ROOT / "CHANGELOG.md",
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "docs/adr").glob("*.md")),
]
STATUS = re.compile(r"^# .+\n\nStatus: (accepted|superseded by \[\d{4}\]\()", re.MULTILINE)


def is_there(dotted: str) -> bool:
    """Is there a module or package of this name in the library, or a name that one defines?"""
    *parents, last = dotted.strip(".").split(".")
    folder = LIBRARY.joinpath(*parents)
    if (folder / last).is_dir() or (folder / f"{last}.py").is_file():
        return True
    paths = [folder / "__init__.py", folder.with_suffix(".py")]
    (path,) = [path for path in paths if path.is_file()] or [None]
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path else ()
    return last in {getattr(node, "name", getattr(node, "id", None)) for node in nodes}


def find_missing(document: Path) -> list[str]:
    """The modules of the library that a document names, and that are not there."""
    text = document.read_text(encoding="utf-8")
    paths = [name for name in MODULE.findall(text) if not (LIBRARY / name).is_file()]
    return paths + [name for name in DOTTED.findall(text) if not is_there(name)]


@pytest.mark.parametrize("document", TODAY, ids=lambda path: path.name)
def test_every_module_that_a_document_names_exists(document: Path) -> None:
    """By its path in the library, or by its dotted name."""
    assert find_missing(document) == []


def test_how_it_works_names_many_modules() -> None:
    """Its tables name a module for each step, and a module that is not there is noticed."""
    text = (ROOT / "docs/how-it-works.md").read_text(encoding="utf-8")
    assert len(set(MODULE.findall(text))) > 20
    assert not is_there(".monitoring.drifted") and not is_there(".monitoring.drift.nothing")
    assert is_there(".monitoring.drift") and is_there(".monitoring.drift.main")


@pytest.mark.parametrize("document", ALL, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    """Links between documents, and to pictures."""
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "document", sorted((ROOT / "docs/adr").glob("*.md")), ids=lambda path: path.name
)
def test_a_decision_says_whether_it_holds(document: Path) -> None:
    """Accepted, or superseded by another one, below its title."""
    assert STATUS.match(document.read_text(encoding="utf-8"))


def test_the_picture_of_the_ladder_shows_every_level() -> None:
    """A step for each level, by number and name."""
    drawing = ElementTree.parse(ROOT / "docs/images/ladder.svg")
    words = {text.strip() for text in drawing.getroot().itertext()}
    assert {f"{level} {it['name']}" for level, it in MANIFEST["levels"].items()} <= words
