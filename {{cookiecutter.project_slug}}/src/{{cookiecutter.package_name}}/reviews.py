"""Reviews: who somebody is, when their approval counts, and what git and the forge say of it."""

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from . import ProjectError, tracking
from .operations import Approval

GITLAB = Path(".gitlab-ci.yml")
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
    return any(
        first and first == second
        for first, second in (
            (one.name.casefold(), other.name.casefold()),
            (plain(one.email), plain(other.email)),
        )
    )


def plain(email: str) -> str:
    """An address in lower case, without what follows a + in its name."""
    name, at, host = email.casefold().partition("@")
    return name.partition("+")[0] + at + host


class Approved(BaseModel):
    """An approval: of which report, by whom, in which way, and where that can be seen.

    `proof` is the sha256 of the verdict; `evidence` a commit, or the address of a review.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        found.append("is not among the approvers of operations.toml")
    if wanted.way not in ("named", it.way):
        found.append(f"approved as {it.way}; operations.toml wants {wanted.way}")
    return found


def unsound(it: Approved, proof: str, made: list[Person], wanted: Approval) -> list[str]:
    """The same, and whether the commit of a signed one says so."""
    fault = unsigned(it.evidence, it.approver, it.proof) if it.way == "signed" else ""
    return wrong(it, proof, made, wanted) + ([fault] if fault else [])


def signed(path: Path, message: str) -> str:
    """The commit, signed, of this file alone.  ProjectError where git cannot sign."""
    where = ["--", str(path)]
    for command in (["add", "--force", *where], ["commit", "-S", "-m", message, *where]):
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            told = (done.stderr or done.stdout).strip()
            raise ProjectError(f"{path}: not signed: {told}\nSee docs/approval.md: to sign")
    return str(tracking.git("rev-parse", "HEAD"))


def unsigned(commit: str, by: str, proof: str) -> str:
    """Why a commit is no approval of a report by somebody; empty where it is."""
    if not commit or tracking.git("cat-file", "-e", commit) is None:
        return f"commit {commit[:12] or 'none'} is not in this repository; git fetch"
    if tracking.git("verify-commit", commit) is None:
        return f"commit {commit[:12]}: its signature does not verify (git verify-commit says why)"
    signer = Person.of(str(tracking.git("show", "--no-patch", "--format=%GS", commit)))
    if not same(signer, Person.of(by)):
        return f"commit {commit[:12]}: signed by {signer}, not by {by}"
    held = tracking.git("grep", "--fixed-strings", f'"proof": "{proof}"', commit, "--", "approvals")
    return "" if held else f"commit {commit[:12]}: of another report"


def reviewed(number: str, path: Path) -> tuple[Person, str]:
    """Who has approved, on the forge, a commit with this report; and the address of the review.

    Raises ProjectError where nobody has but those who made the request or its commits.
    """
    asked = gitlab if GITLAB.exists() else github
    authors, address, found = asked(number)
    for login, who, commit in found:
        held = tracking.git("show", f"{commit}:{path.as_posix()}")
        if login not in authors and held and reported(held) == reported(path.read_text("utf-8")):
            return who, address
    whom, named = ", ".join(sorted(authors)), ", ".join(login for login, *_ in found) or "nobody"
    raise ProjectError(
        f"REVIEW={number}: approved by {named}; wanted is somebody other than {whom}, and a commit"
        f" that holds {path} as it is here (git fetch brings it)"
    )


def reported(text: str) -> str:
    """The sha256 that a file of a report names."""
    return str(json.loads(text).get("proof"))


Found = tuple[set[str], str, list[tuple[str, Person, str]]]


def github(number: str) -> Found:
    """Who made a pull request, where it is, and who has approved which commit of it."""
    place = "repos/{owner}/{repo}/pulls/" + number
    pull, reviews = ask("gh", place), ask("gh", f"{place}/reviews?per_page=100")
    commits = ask("gh", f"{place}/commits?per_page=100")
    authors = {pull["user"]["login"]} | {
        it[role]["login"] for it in commits for role in ("author", "committer") if it[role]
    }
    last = {it["user"]["login"]: it for it in reviews if it["state"] != "COMMENTED"}
    approved = {login: it for login, it in last.items() if it["state"] == "APPROVED"}
    found = [(login, person(login), it["commit_id"]) for login, it in approved.items()]
    return authors, pull["html_url"], found


def person(login: str) -> Person:
    """Somebody on GitHub by name, or by login where they give none."""
    return Person(ask("gh", f"users/{login}").get("name") or login)


def gitlab(number: str) -> Found:
    """Who made a merge request, where it is, and who has approved it as it is now."""
    place = f"projects/:fullpath/merge_requests/{number}"
    asked, said = ask("glab", place), ask("glab", f"{place}/approvals")
    people = [it["user"] for it in said["approved_by"]]
    found = [(it["username"], Person(it["name"]), asked["sha"]) for it in people]
    return {asked["author"]["username"]}, asked["web_url"], found


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
