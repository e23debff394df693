"""The forge: who made a request there, who has approved it, and when an approval counts."""

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal

from mlops_ladder import ProjectError
from mlops_ladder.data import provenance
from mlops_ladder.registry import history
from mlops_ladder.registry.settings import Approval
from mlops_ladder.strict_model import StrictModel

GITLAB = Path(".gitlab-ci.yml")
WRITERS = ("OWNER", "MEMBER", "COLLABORATOR")  # of whom GitHub counts a review
MAKERS = ("author", "committer")  # of a commit
MINUTE = 60  # seconds in which a forge answers


@dataclass(frozen=True)
class Person:
    """Somebody by name and address, either of which may be empty."""

    name: str
    email: str = ""

    @classmethod
    def of(cls, text: str) -> "Person":
        """From `Name <address>`, a name, or an address."""
        name, _, email = text.partition("<")
        if not email and re.fullmatch(r"\S+@\S+", name.strip()):
            return cls("", name.strip())
        return cls(" ".join(name.split()), email.strip("> "))

    def __str__(self) -> str:
        both = self.name and self.email
        return f"{self.name} <{self.email}>" if both else self.name or self.email


def same(one: Person, other: Person) -> bool:
    """Are they the same by name, or by address?  Case and what follows a + do not matter."""
    mine, theirs = ((it.name.casefold(), plain(it.email)) for it in (one, other))
    return any(first and first == second for first, second in zip(mine, theirs, strict=True))


def plain(email: str) -> str:
    """An address in lower case, without what follows a + in its name."""
    name, at, host = email.casefold().partition("@")
    return name.partition("+")[0] + at + host


Found = tuple[list[Person], str, list[tuple[Person, list[Person], str]]]


def github(number: str) -> Found:
    """Who made a pull request, where it is, and who has approved which commit of it.

    Raises ProjectError where not all of its commits can be seen: GitHub lists no more than 250.
    """
    place = "repos/{owner}/{repo}/pulls/" + number
    pull, commits = ask("gh", place), every("gh", f"{place}/commits")
    if len(commits) < pull["commits"]:
        told = f"GitHub lists {len(commits)} of its {pull['commits']} commits; make it smaller"
        raise ProjectError(f"REVIEW={number}: not all of its authors can be seen: {told}")
    logins = [it[role] for it in commits for role in MAKERS]
    authors = [Person(it["login"]) for it in (pull["user"], *logins) if it]
    written = [it["commit"][role] for it in commits for role in MAKERS]
    authors += [Person(it["name"], it["email"]) for it in written if it]
    last = {
        it["user"]["login"]: it
        for it in every("gh", f"{place}/reviews")
        if it["user"] and it["state"] not in ("COMMENTED", "PENDING")
    }
    found = []
    for login, it in last.items():
        if it["state"] == "APPROVED" and it["author_association"] in WRITERS:
            known = Person(ask("gh", f"users/{login}").get("name") or login)
            found.append((known, [Person(login), known], it["commit_id"]))
    return authors, pull["html_url"], found


def gitlab(number: str) -> Found:
    """Who made a merge request, where it is, and who has approved it as it is now."""
    place = f"projects/:fullpath/merge_requests/{number}"
    asked, said = ask("glab", place), ask("glab", f"{place}/approvals")
    authors = [Person(asked["author"]["username"]), Person(asked["author"]["name"])]
    for it in every("glab", f"{place}/commits"):
        authors += [Person(it[f"{role}_name"], it[f"{role}_email"]) for role in MAKERS]
    found = []
    for it in (it["user"] for it in said["approved_by"] if it["user"]):
        known = Person(it["name"])
        found.append((known, [Person(it["username"]), known], asked["sha"]))
    return authors, asked["web_url"], found


def every(program: str, path: str) -> list[Any]:
    """What the forge lists, all pages of it."""
    found: list[Any] = []
    for page in count(1):
        if not (part := ask(program, f"{path}?per_page=100&page={page}")):
            break
        found += part
    return found


def ask(program: str, path: str) -> Any:
    """What the forge answers.  ProjectError where its program is not here, or it refuses."""
    command = [program, "api", path]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MINUTE)
    except FileNotFoundError as error:
        raise ProjectError(f"{program}: not installed; it asks the forge") from error
    except subprocess.TimeoutExpired as error:
        raise ProjectError(f"{' '.join(command)}: no answer in {MINUTE} s") from error
    if done.returncode:
        raise ProjectError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


class Approved(StrictModel):
    """An approval: of which report, by whom, in which way, and where that can be seen.

    `proof` is the sha256 of the verdict; `evidence` a commit, or the address of a review.
    """

    version: str
    model_version: str
    proof: str
    approver: str
    authors: list[str]
    way: Literal["named", "signed", "reviewed"]
    evidence: str
    time: datetime


def wrong(it: Approved, proof: str, made: list[Person], wanted: Approval) -> list[str]:
    """Why an approval does not count, in words."""
    by, found = Person.of(it.approver), []
    if it.proof != proof:
        found.append("it is of another report of the gate")
    if any(same(by, author) for author in made):
        found.append("nobody approves what they made")
    if wanted.approvers and not any(same(by, Person.of(one)) for one in wanted.approvers):
        found.append("is not among the approvers of config/approval.toml")
    if wanted.way not in ("named", it.way):
        found.append(f"approved as {it.way}; config/approval.toml wants {wanted.way}")
    return found


def unsound(it: Approved, proof: str, made: list[Person], wanted: Approval) -> list[str]:
    """The same; then what the commit of a signed one says, or the forge of a reviewed one."""
    if (found := wrong(it, proof, made, wanted)) or it.way == "named":
        return found
    fault = unsigned(it.evidence, it.approver, proof) if it.way == "signed" else unreviewed(it)
    return [fault] if fault else []


def signed(path: Path, message: str) -> str:
    """The commit, signed, of this file alone.  ProjectError where git cannot sign."""
    where = ["--", str(path)]
    for command in (["add", "--force", *where], ["commit", "-S", "-m", message, *where]):
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            told = (done.stderr or done.stdout).strip()
            raise ProjectError(f"{path}: not signed: {told}\nSee docs/approval.md: to sign")
    return str(provenance.git("rev-parse", "HEAD"))


def unsigned(commit: str, by: str, proof: str) -> str:
    """Why a commit is no approval of a report by somebody; empty where it is."""
    if not commit or provenance.git("cat-file", "-e", commit) is None:
        return f"commit {commit[:12] or 'none'} is not in this repository; git fetch"
    if provenance.git("verify-commit", commit) is None:
        return f"commit {commit[:12]}: its signature does not verify (git verify-commit says why)"
    signer = Person.of(str(provenance.git("show", "--no-patch", "--format=%GS", commit)))
    if not same(signer, Person.of(by)):
        return f"commit {commit[:12]}: signed by {signer}, not by {by}"
    wanted = f'"proof": "{proof}"'
    held = provenance.git("grep", "--fixed-strings", wanted, commit, "--", "approvals")
    return "" if held else f"commit {commit[:12]}: of another report"


def unreviewed(it: Approved) -> str:
    """Why the forge, asked now, knows no such review; empty where it does."""
    try:
        found, address = reviewed(it.evidence.rpartition("/")[2], it.version, it.proof)
    except ProjectError as error:
        way_out = "sign in with gh or glab (GH_TOKEN, GITLAB_TOKEN); see docs/approval.md"
        return f"review {it.evidence}: not confirmed by the forge: {error}; {way_out}"
    if address != it.evidence or it.approver not in map(str, found):
        named = ", ".join(map(str, found))
        return f"review {it.evidence}: the forge knows {address}, approved by {named}"
    return ""


def reviewed(number: str, version: str, proof: str) -> tuple[list[Person], str]:
    """Who has approved, on the forge, a commit with this report; and the address of the review.

    Raises ProjectError where nobody has but those who made the request or its commits.
    """
    if not re.fullmatch("[0-9]+", number):
        raise ProjectError(f"REVIEW={number}: is no number of a pull or merge request")
    asked = gitlab if GITLAB.exists() else github
    authors, address, found = asked(number)
    fits = [
        who
        for who, names, commit in found
        if not any(same(name, author) for name in names for author in authors)
        and holds(commit, version, proof)
    ]
    if fits:
        return fits, address
    whom = ", ".join(sorted({str(it) for it in authors}))
    named = ", ".join(str(names[0]) for _, names, _ in found) or "nobody"
    wanted = f"somebody other than {whom}, and a commit that holds approvals/v{version}.json"
    way_out = f"git fetch origin {'merge-requests' if GITLAB.exists() else 'pull'}/{number}/head"
    told = f"approved by {named}; wanted is {wanted} as it is here; to have the commit: {way_out}"
    raise ProjectError(f"REVIEW={number}: {told}")


def holds(commit: str, version: str, proof: str) -> bool:
    """Does the commit hold this report of the gate, whole?"""
    text = provenance.git("show", f"{commit}:approvals/v{version}.json")
    try:
        return bool(text) and history.digest(json.loads(str(text))["report"]) == proof
    except (ValueError, KeyError, TypeError):
        return False
