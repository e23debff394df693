"""The report of an adoption: the facts, the new files, those left alone and why, the next steps."""

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
    """The result of an adoption: the merge, the findings of the hooks, and the commits."""

    merge: Merge
    findings: list[Finding] = field(default_factory=list)
    style: str = ""
    commit: str = ""
    trial: str = ""
    notes: list[str] = field(default_factory=list)


def format_table(rows: list[tuple[str, str]]) -> str:
    """Return two columns as text, the first as wide as its longest entry."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows)


def describe_facts(facts: Facts, forge: str, forge_by: str) -> str:
    """Return a table of the facts, each with its source."""
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


def describe_tool(tool: tuple[str, str], none: str) -> str:
    """Return one of their tools, with its source."""
    return f"{tool[0]} by {tool[1]}: stays" if tool[0] else none


def describe_offers(facts: Facts, offers: dict[str, Offer], before: list[str]) -> str:
    """Return a table of the capabilities: offered, adopted, or what they still need."""
    rows = []
    for offer in offers.values():
        text = offer.missing or f"offered: {offer.title}"
        rows.append((offer.id, "adopted" if offer.id in before else text, offer.here))
    parts = [(name, text + f" (here: {here})" * bool(here)) for name, text, here in rows]
    names = [offer.id for offer in offers.values() if not offer.missing and offer.id not in before]
    head = f"{facts.layout}.  Nothing is changed."
    return f'{head}\n\n{format_table(parts)}\n\nNext: CAPABILITIES="{" ".join(names)}"'


def describe_findings(findings: list[Finding]) -> list[tuple[str, str]]:
    """Return a row for each hook that changes a file or fails on one."""
    rows = []
    for finding in findings:
        if finding.changes:
            rows.append((finding.hook, f"would change {len(finding.changes)} files"))
        if finding.fails:
            what = "cannot read" if finding.hook in FIXERS else "finds fault with"
            names = ", ".join(finding.fails[:5]) + ", …" * (len(finding.fails) > 5)
            rows.append((finding.hook, f"{what} {names}"))
    return rows


def describe_result(result: Result, copy: Copy, offers: dict[str, Offer]) -> list[str]:
    """Return the parts of the report: new files, files left alone, missing offers, findings."""
    changed, parts = result.merge.changed, []
    if result.commit:
        kinds = {name: "merged" if copy.read_blob(name) is not None else "new" for name in changed}
        parts.append(format_table(sorted((kind, name) for name, kind in kinds.items())))
    if result.merge.alone:
        parts.append("Left alone:\n" + format_table(list(result.merge.alone.items())))
    if gaps := [offer for offer in offers.values() if offer.id in ADOPTED and offer.missing]:
        parts.append("Not offered:\n" + format_table([(offer.id, offer.missing) for offer in gaps]))
    if rows := describe_findings(result.findings):
        state = "formatted" if result.style else "nothing formatted"
        parts.append(f"First run of the hooks, {state}:\n" + format_table(rows))
    if any(name.endswith(BASELINE) for name in changed):
        parts.append(f"{BASELINE}: what pylint finds today; CI lets it only become less.")
    parts += ["\n".join(result.notes)] if result.notes else []
    if result.trial:
        parts.append(f"What CI will run, run here: {result.trial}")
    if waiting := copy.uncommitted:
        parts.append(f"Not committed, so not read, and left as they are: {len(waiting)} files.")
    return parts


def describe_nothing(names: list[str]) -> str:
    """Return the report of an adoption that changes nothing."""
    return f"Nothing to adopt of {', '.join(names)}: all that can come is here.  No branch is made."


def describe_ending(result: Result, theirs: Theirs, branch: str) -> list[str]:
    """Return the place of the commit, and the commands that show, merge and drop it."""
    at, on = f"git -C {theirs.top}", theirs.branch or theirs.head[:12]
    rows = [("made", f"{branch} {result.commit[:12]}, on {on}")]
    if result.style:
        text = f"{result.style[:12]}, listed in .git-blame-ignore-revs: merge it, do not squash it"
        rows.append(("format", text))
    rows.append(("look", f"{at} show --stat {branch}"))
    rows.append(("next", f"{at} merge {branch}"))
    rows.append(("back", f"{at} branch -D {branch}"))
    return [format_table(rows)]
