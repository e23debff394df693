"""Doors: what adds a command.

The library's own are in `doors.toml`, each from its level on; a project's are entry points in its
`pyproject.toml`.
"""

import tomllib
from functools import cache
from importlib.metadata import entry_points, EntryPoint
from pathlib import Path

from mlops_ladder import project


def doors(name: str) -> dict[str, EntryPoint]:
    """What is registered under this door, by name; nothing is imported yet.

    Of the library what the project's level brings; of the project its entry points of the group
    `PACKAGE.NAME`, which also replace the library's of the same name.
    """
    here, found = project.current(), dict[str, EntryPoint]()
    for section, table in own_doors().items():
        kind, _, level = section.partition("-")
        if kind in ("level", here.deploy) and int(level) <= here.level:
            for key, target in table.get(name, {}).items():
                found[key] = EntryPoint(key, f"{__package__}.{target}", name)
    found |= {point.name: point for point in entry_points(group=f"{here.package}.{name}")}
    return dict(sorted(found.items()))


@cache
def own_doors() -> dict[str, dict[str, dict[str, str]]]:
    """The library's doors: section, door, name, and the function behind it."""
    text = (Path(__file__).parent / "doors.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
