"""GitHub or GitLab: when CI passed, and when changes were approved.  Unknown without a token."""

import json
import re
from datetime import datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import build_opener, HTTPRedirectHandler, Request

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.safe_git import SafeGit

REMOTE = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|[^@/:]+@)([^/:]+)(?::\d+)?[/:](.+?)(?:\.git)?/?$"
)
TIMEOUT_S = 10
HOSTS = {  # the public one, and the variables by which a user names another
    "github": ("github.com", "GH_HOST", "GITHUB_SERVER_URL"),
    "gitlab": ("gitlab.com", "GITLAB_HOST", "CI_SERVER_HOST", "CI_SERVER_URL"),
}


class SameHost(HTTPRedirectHandler):
    """A handler that follows redirections only within a host, so that no other gets the token."""

    def redirect_request(self, req: Any, *details: Any) -> Request | None:
        """Raise HTTPError if a redirection leads to another host."""
        request = super().redirect_request(req, *details)
        if request and (request.host, request.type) != (req.host, req.type):
            raise HTTPError(
                req.full_url, details[1], "leads to another host", details[3], details[0]
            )
        return request


def find_kind(host: str, environment: dict[str, str]) -> str:
    """Return the kind of a forge, github or gitlab; "" if the user has not named the host."""
    for kind, (public, *variables) in HOSTS.items():
        values = [environment.get(name, "") for name in variables]
        hosts = {public, *(urlsplit(value).hostname or value.lower() for value in values)}
        if host.lower() in hosts - {""}:
            return kind
    return ""


class Forge:
    """The forge of a repository.  Raises Unknown if there is none, or no token for it.

    `origin` is what the repository says: a token is sent to a host only if the user names that.
    """

    def __init__(self, repository: Repository) -> None:
        environment = repository.environment
        try:
            origin = SafeGit(repository.root, environment).remote()
        except OSError as error:
            raise Unknown(f"the forge cannot be asked: {error}") from error
        if not origin:
            raise Unknown("no remote called origin: the forge cannot be asked")
        if not (parts := REMOTE.match(origin)):
            raise Unknown("origin is a folder, not a forge")
        self.host, path = parts.groups()
        kind = find_kind(self.host, environment)
        if not kind:
            names = "GH_HOST for a GitHub, GITLAB_HOST for a GitLab"
            raise Unknown(f"{self.host} is no forge that you have named: {names}")
        self.is_gitlab, name = kind == "gitlab", f"{kind.upper()}_TOKEN"
        self.token = environment.get(name, "")
        if not self.token:
            raise Unknown(f"{self.host} cannot be asked without {name}")
        self.address = self._find_api(path, environment)

    def _find_api(self, path: str, environment: dict[str, str]) -> str:
        """Return the address of the repository in the forge's API."""
        if self.is_gitlab:
            base = environment.get("CI_API_V4_URL", f"https://{self.host}/api/v4")
            return f"{base}/projects/{quote(path, safe='')}"
        own = f"https://{self.host}/api/v3"
        api = "https://api.github.com" if self.host == "github.com" else own
        return f"{environment.get('GITHUB_API_URL', api)}/repos/{quote(path)}"

    def ask(self, path: str) -> Any:
        """Return the answer of the API.  Raise Unknown if there is none."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        try:
            request = Request(self.address + path, headers=headers)
            with build_opener(SameHost).open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except (URLError, ValueError, TimeoutError) as error:
            raise Unknown(f"{self.host}: {error}") from error

    def passed(self) -> list[datetime]:
        """Return when CI passed on the main branch."""
        main = quote(self.ask("")["default_branch"])
        if self.is_gitlab:
            runs = self.ask(f"/pipelines?ref={main}&status=success&per_page=50")
        else:
            answer = self.ask(f"/actions/runs?branch={main}&status=success&per_page=50")
            runs = answer["workflow_runs"]
        return [parse_time(run["created_at"]) for run in runs]

    def approved(self) -> list[datetime]:
        """Return the times of merged requests; none if the main branch needs no approval."""
        main = quote(self.ask("")["default_branch"])
        if self.is_gitlab:
            counts = [rule.get("approvals_required", 0) for rule in self.ask("/approval_rules")]
            path = "/merge_requests?state=merged&per_page=50"
        else:
            rules = self.ask(f"/rules/branches/{main}")
            rules = [rule["parameters"] for rule in rules if rule["type"] == "pull_request"]
            counts = [rule["required_approving_review_count"] for rule in rules]
            path = "/pulls?state=closed&per_page=50"
        merges = self.ask(path) if any(counts) else []
        return [parse_time(merge["merged_at"]) for merge in merges if merge["merged_at"]]


def parse_time(text: str) -> datetime:
    """Return a time of an API as a datetime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def list_passed_runs(repository: Repository) -> list[datetime]:
    """Return when CI passed on the main branch."""
    return Forge(repository).passed()


def list_approved_merges(repository: Repository) -> list[datetime]:
    """Return the times when approved requests were merged."""
    return Forge(repository).approved()
