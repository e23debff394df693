"""What an adoption says: what it has read, what came, what was left alone and why, what is next."""

from typing import Any

from adopt_facts import Facts
from adopt_hooks import BASELINE, FIXERS, Finding
from adopt_install import install
from adopt_merge import Merge
from adopt_offers import ADOPTED, Offer


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns, the first as wide as its longest word."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows)


def read(facts: Facts, forge: str, forge_by: str) -> list[tuple[str, str]]:
    """What was read, and what says so."""
    name = f" ({facts.package})" if facts.package else ""
    tests = f"{len(facts.test_files)} files" + (f" in {facts.test_folder}" if facts.test_folder else "")
    command, source = install(facts)
    length, length_by = facts.line_length
    return [
        ("layout", facts.layout + name),
        ("python", " by ".join(facts.python)),
        ("install", f"by {source}" if command else "nothing says how"),
        ("tests", tests if facts.test_files else "none"),
        ("formatter", by(facts.formatter, "none of yours: black comes")),
        ("linter", by(facts.linter, "none of yours: pylint comes, with a baseline")),
        ("lines", f"{length} by {length_by}" if length else "no length given"),
        ("forge", f"{forge or 'unknown'} by {forge_by}"),
    ]


def by(found: tuple[str, str], none: str) -> str:
    """A tool of theirs, and what says so."""
    return f"{found[0]} by {found[1]}: stays" if found[0] else none


def listed(facts: Facts, found: dict[str, Offer], record: dict[str, Any]) -> str:
    """What this repository can have, what it has adopted, and what the rest lacks."""
    before = record.get("context", {}).get("cookiecutter", {}).get("capabilities", "").split()
    rows = []
    for it in found.values():
        text = it.missing or f"offered: {it.title}"
        rows.append((it.id, "adopted" if it.id in before else text, it.here))
    parts = [(name, text + f" (here: {here})" * bool(here)) for name, text, here in rows]
    names = " ".join(it.id for it in found.values() if not it.missing and it.id not in before)
    return f'{facts.layout}.  Nothing is changed.\n\n{table(parts)}\n\nNext: CAPABILITIES="{names}"'


def said(found: list[Finding]) -> list[tuple[str, str]]:
    """What the hooks found in their code, a line a hook that found something."""
    rows = []
    for it in found:
        if it.changes:
            rows.append((it.hook, f"would change {len(it.changes)} files"))
        if it.fails:
            what = "cannot read" if it.hook in FIXERS else "finds fault with"
            rows.append((it.hook, f"{what} {', '.join(it.fails[:5])}" + ", …" * (len(it.fails) > 5)))
    return rows


def told(adoption: Any, names: list[str], found: Merge, commit: str, style: str) -> str:
    """All that there is to say of an adoption that went well."""
    parts = [table(read(adoption.facts, adoption.forge, adoption.forge_by))]
    top = adoption.theirs
    if commit:
        read_again = {name: adoption.copy.blob(name) is not None for name in found.changed}
        rows = [("merged" if there else "new", name) for name, there in read_again.items()]
        parts.append(table(sorted(rows)))
    alone = [(name, why) for name, why in found.alone.items()]
    if alone:
        parts.append("Left alone:\n" + table(alone))
    lacking = [(it.id, it.missing) for it in adoption.offers.values() if it.id in ADOPTED and it.missing]
    if lacking:
        parts.append("Not offered:\n" + table(lacking))
    if rows := said(adoption.findings):
        verb = "First run of the hooks, formatted:" if style else "First run of the hooks, nothing formatted:"
        parts.append(verb + "\n" + table(rows))
    if waiting := top.uncommitted:
        parts.append(f"{len(waiting)} files are not committed: they stay as they are, and were not read.")
    if not commit:
        return "\n\n".join([*parts, f"Nothing to adopt: {', '.join(names)}: all of it is here."])
    if any(name.endswith(BASELINE) for name in found.changed):
        parts.append(f"{BASELINE}: what pylint finds today; CI lets it only become less.")
    if adoption.trial:
        parts.append(f"What CI will run, run here: {adoption.trial}")
    at = f"git -C {top.top}"
    look = f"{at} show --stat {adoption.asked.branch}"
    back = f"{at} branch -D {adoption.asked.branch}"
    end = [("made", f"{adoption.asked.branch} {commit[:12]}, on {top.branch or top.head[:12]}")]
    end += [("format", f"{style[:12]}, in .git-blame-ignore-revs: merge it, do not squash")] if style else []
    parts.append(table([*end, ("look", look), ("next", f"{at} merge {adoption.asked.branch}"), ("back", back)]))
    return "\n\n".join(parts)
