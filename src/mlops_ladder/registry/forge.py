"""The forge: who somebody is there, who made a request, and who has approved it."""

import json
import re
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError

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
