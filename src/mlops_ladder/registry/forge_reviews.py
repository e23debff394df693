"""Reviews on the forge: who made a pull or merge request, and who has approved which commit."""

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError

GITLAB = Path(".gitlab-ci.yml")
WRITERS = ("OWNER", "MEMBER", "COLLABORATOR")  # only their reviews count on GitHub
ROLES = ("author", "committer")
TIMEOUT_S = 60


@dataclass(frozen=True)
class Person:
    """A person by name and e-mail address; one of the two may be empty."""

    name: str
    email: str = ""

    @classmethod
    def parse(cls, text: str) -> "Person":
        """Return the person in `Name <address>`, a name, or an address."""
        name, _, email = text.partition("<")
        if not email and re.fullmatch(r"\S+@\S+", name.strip()):
            return cls("", name.strip())
        return cls(" ".join(name.split()), email.strip("> "))

    def is_same(self, other: "Person") -> bool:
        """Return whether name or address are equal, without case and without +suffix."""
        pairs = zip(self.normalized, other.normalized, strict=True)
        return any(mine and mine == theirs for mine, theirs in pairs)

    @property
    def normalized(self) -> tuple[str, str]:
        """Name and address in lower case; the address without what follows a +."""
        name, at, host = self.email.casefold().partition("@")
        return self.name.casefold(), name.partition("+")[0] + at + host

    def is_among(self, people: Iterable["Person"]) -> bool:
        """Return whether one of these people is the same."""
        return any(self.is_same(other) for other in people)

    def __str__(self) -> str:
        both = self.name and self.email
        return f"{self.name} <{self.email}>" if both else self.name or self.email


@dataclass(frozen=True)
class Request:
    """A pull or merge request: its authors, its address, and its approvals.

    An approval is all names of a person on the forge, the best one last, and the approved commit.
    """

    authors: list[Person]
    address: str
    approvals: list[tuple[list[Person], str]]


def read_github(number: str) -> Request:
    """Return a pull request.  Raise ProjectError if GitHub hides commits: it lists at most 250."""
    path = "repos/{owner}/{repo}/pulls/" + number
    pull, commits = call_forge("gh", path), call_all_pages("gh", f"{path}/commits")
    if len(commits) < pull["commits"]:
        message = f"GitHub lists {len(commits)} of its {pull['commits']} commits; make it smaller"
        raise ProjectError(f"REVIEW={number}: not all of its authors can be seen: {message}")
    accounts = [pull["user"], *(commit[role] for commit in commits for role in ROLES)]
    authors = [Person(account["login"]) for account in accounts if account]
    names = [commit["commit"][role] for commit in commits for role in ROLES]
    authors += [Person(name["name"], name["email"]) for name in names if name]
    reviews = call_all_pages("gh", f"{path}/reviews")
    decided = [review for review in reviews if review["state"] not in ("COMMENTED", "PENDING")]
    newest = {review["user"]["login"]: review for review in decided if review["user"]}
    approvals = []
    for login, review in newest.items():
        if review["state"] == "APPROVED" and review["author_association"] in WRITERS:
            name = call_forge("gh", f"users/{login}").get("name") or login
            approvals.append(([Person(login), Person(name)], review["commit_id"]))
    return Request(authors, pull["html_url"], approvals)


def read_gitlab(number: str) -> Request:
    """Return a merge request; its approvals are for its present commit."""
    path = f"projects/:fullpath/merge_requests/{number}"
    merge, approved = call_forge("glab", path), call_forge("glab", f"{path}/approvals")
    authors = [Person(merge["author"]["username"]), Person(merge["author"]["name"])]
    for commit in call_all_pages("glab", f"{path}/commits"):
        authors += [Person(commit[f"{role}_name"], commit[f"{role}_email"]) for role in ROLES]
    users = [entry["user"] for entry in approved["approved_by"] if entry["user"]]
    people = [[Person(user["username"]), Person(user["name"])] for user in users]
    return Request(authors, merge["web_url"], [(names, merge["sha"]) for names in people])


def call_all_pages(program: str, path: str) -> list[Any]:
    """Return all pages of a list on the forge."""
    items: list[Any] = []
    for page in count(1):
        if not (part := call_forge(program, f"{path}?per_page=100&page={page}")):
            break
        items += part
    return items


def call_forge(program: str, path: str) -> Any:
    """Return the answer of the forge.  Raise ProjectError if its program is missing or fails."""
    text = f"{program} api {path}"
    options: Any = {"capture_output": True, "text": True, "timeout": TIMEOUT_S}
    try:
        done = subprocess.run([program, "api", path], **options, check=False)
    except FileNotFoundError as error:
        raise ProjectError(f"{program}: not installed; it asks the forge") from error
    except subprocess.TimeoutExpired as error:
        raise ProjectError(f"{text}: no answer in {TIMEOUT_S} s") from error
    if done.returncode:
        raise ProjectError(f"{text}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def find_reviewers(
    number: str, report: str, holds_report: Callable[[str], bool]
) -> tuple[list[Person], str]:
    """Return the people who have approved a commit with a report, and the review's address.

    Args:
        number: The number of the pull or merge request.
        report: The file of the report, for messages.
        holds_report: Tells whether a commit holds this report.

    Raises:
        ProjectError: Nobody but the authors of the request or its commits has approved.
    """
    if not re.fullmatch("[0-9]+", number):
        raise ProjectError(f"REVIEW={number}: not a number of a pull or merge request")
    on_gitlab = GITLAB.exists()
    request = read_gitlab(number) if on_gitlab else read_github(number)
    reviewers = [
        names[-1]
        for names, commit in request.approvals
        if not any(name.is_among(request.authors) for name in names) and holds_report(commit)
    ]
    if reviewers:
        return reviewers, request.address
    authors = ", ".join(sorted({str(author) for author in request.authors}))
    approved = ", ".join(str(names[0]) for names, _ in request.approvals) or "nobody"
    wanted = f"somebody other than {authors}, and a commit that holds {report} as it is here"
    way_out = f"git fetch origin {'merge-requests' if on_gitlab else 'pull'}/{number}/head"
    message = f"approved by {approved}; wanted is {wanted}; to have the commit: {way_out}"
    raise ProjectError(f"REVIEW={number}: {message}")
