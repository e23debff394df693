"""What an adoption says: what it has read, what came, what was left alone and why, what is next."""

from dataclasses import dataclass, field

from mlops_ladder.adopt.facts import Facts
from mlops_ladder.adopt.git import Copy, Theirs
from mlops_ladder.adopt.hooks import BASELINE, FIXERS, Finding
from mlops_ladder.adopt.install import find_install_command
from mlops_ladder.adopt.merge import Merge
from mlops_ladder.adopt.offers import ADOPTED, Offer
from mlops_ladder.adopt.python import choose_python
from mlops_ladder.adopt.style import find_formatter, find_line_length, find_linter


@dataclass(frozen=True)
class Result:
    """What an adoption has made: the merge, what the hooks said, and the commits."""

    merge: Merge
    findings: list[Finding] = field(default_factory=list)
    style: str = ""
    commit: str = ""
    trial: str = ""
    notes: list[str] = field(default_factory=list)


def format_table(rows: list[tuple[str, str]]) -> str:
    """Two columns, the first as wide as its longest word."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows)


def describe_facts(facts: Facts, forge: str, forge_by: str) -> str:
    """What was read, and what says so."""
    name = f" ({facts.package})" if facts.package else ""
    folder = f" in {facts.test_folder}" if facts.test_folder else ""
    tests = f"{len(facts.test_files)} files{folder}" if facts.test_files else "none"
    command, source = find_install_command(facts)
    linter, no_linter = find_linter(facts), "none of yours: pylint comes, with a baseline"
    beside_ruff = "none: ruff lints here, so no other tool comes"
    no_formatter = beside_ruff if linter[0] == "ruff" else "none of yours: black comes"
    length, length_by = find_line_length(facts)
    rows = [
        ("layout", facts.layout + name),
        ("python", " by ".join(choose_python(facts))),
        ("install", f"by {source}" if command else "nothing says how"),
        ("tests", tests),
        ("formatter", describe_tool(find_formatter(facts), no_formatter)),
        ("linter", describe_tool(linter, no_linter)),
        ("lines", f"{length} by {length_by}" if length else "no length given"),
        ("forge", f"{forge or 'unknown'} by {forge_by}"),
    ]
    return format_table(rows)


def describe_tool(found: tuple[str, str], none: str) -> str:
    """A tool of theirs, and what says so."""
    return f"{found[0]} by {found[1]}: stays" if found[0] else none


def describe_offers(facts: Facts, found: dict[str, Offer], before: list[str]) -> str:
    """What this repository can have, what it has adopted, and what the rest lacks."""
    rows = []
    for it in found.values():
        text = it.missing or f"offered: {it.title}"
        rows.append((it.id, "adopted" if it.id in before else text, it.here))
    parts = [(name, text + f" (here: {here})" * bool(here)) for name, text, here in rows]
    names = " ".join(it.id for it in found.values() if not it.missing and it.id not in before)
    head = f"{facts.layout}.  Nothing is changed."
    return f'{head}\n\n{format_table(parts)}\n\nNext: CAPABILITIES="{names}"'


def describe_findings(found: list[Finding]) -> list[tuple[str, str]]:
    """What the hooks found in their code, a line a hook that found something."""
    rows = []
    for it in found:
        if it.changes:
            rows.append((it.hook, f"would change {len(it.changes)} files"))
        if it.fails:
            what = "cannot read" if it.hook in FIXERS else "finds fault with"
            rows.append(
                (it.hook, f"{what} {', '.join(it.fails[:5])}" + ", …" * (len(it.fails) > 5))
            )
    return rows


def describe_result(result: Result, copy: Copy, found: dict[str, Offer]) -> list[str]:
    """What came, what was left alone, what is not offered here, and what the hooks found."""
    changed, parts = result.merge.changed, []
    if result.commit:
        kinds = {name: "merged" if copy.read_blob(name) is not None else "new" for name in changed}
        parts.append(format_table(sorted((kind, name) for name, kind in kinds.items())))
    if result.merge.alone:
        parts.append("Left alone:\n" + format_table(list(result.merge.alone.items())))
    if lacking := [(it.id, it.missing) for it in found.values() if it.id in ADOPTED and it.missing]:
        parts.append("Not offered:\n" + format_table(lacking))
    if rows := describe_findings(result.findings):
        done = "formatted" if result.style else "nothing formatted"
        parts.append(f"First run of the hooks, {done}:\n" + format_table(rows))
    if any(name.endswith(BASELINE) for name in changed):
        parts.append(f"{BASELINE}: what pylint finds today; CI lets it only become less.")
    parts += ["\n".join(result.notes)] if result.notes else []
    if result.trial:
        parts.append(f"What CI will run, run here: {result.trial}")
    if waiting := copy.uncommitted:
        parts.append(f"Not committed, so not read, and left as they are: {len(waiting)} files.")
    return parts


def describe_nothing(names: list[str]) -> str:
    """What is said where nothing changes."""
    return f"Nothing to adopt of {', '.join(names)}: all that can come is here.  No branch is made."


def describe_ending(result: Result, theirs: Theirs, branch: str) -> list[str]:
    """Where the commit is, and the commands that look at it, take it and drop it."""
    at, on = f"git -C {theirs.top}", theirs.branch or theirs.head[:12]
    rows = [("made", f"{branch} {result.commit[:12]}, on {on}")]
    if result.style:
        text = f"{result.style[:12]}, listed in .git-blame-ignore-revs: merge it, do not squash it"
        rows.append(("format", text))
    rows.append(("look", f"{at} show --stat {branch}"))
    rows.append(("next", f"{at} merge {branch}"))
    rows.append(("back", f"{at} branch -D {branch}"))
    return [format_table(rows)]
