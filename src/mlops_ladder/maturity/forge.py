"""GitHub or GitLab, asked where a token is there; else what it would say is unknown."""

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
SECONDS = 10
HOSTS = {  # the public one, and the variables by which a user names another
    "github": ("github.com", "GH_HOST", "GITHUB_SERVER_URL"),
    "gitlab": ("gitlab.com", "GITLAB_HOST", "CI_SERVER_HOST", "CI_SERVER_URL"),
}


class SameHost(HTTPRedirectHandler):
    """Follows a redirection within a host: a token is shown to no other one."""

    def redirect_request(self, req: Any, *given: Any) -> Request | None:
        """Refuse what leads to another host."""
        found = super().redirect_request(req, *given)
        if found and (found.host, found.type) != (req.host, req.type):
            raise HTTPError(req.full_url, given[1], "leads to another host", given[3], given[0])
        return found


def kind_of(host: str, environment: dict[str, str]) -> str:
    """What forge a host is: github, gitlab, or nothing where the user has not named it."""
    for kind, (public, *variables) in HOSTS.items():
        named = [environment.get(name, "") for name in variables]
        if host.lower() in {public, *(urlsplit(it).hostname or it.lower() for it in named)} - {""}:
            return kind
    return ""


class Forge:
    """The place that hosts a repository.  Unknown where there is none, or no token for it.

    `origin` is what the repository says: a token is sent to a host only if the user trusts that.
    """

    def __init__(self, repository: Repository) -> None:
        known = repository.environment
        try:
            address = SafeGit(repository.root, known).remote()
        except OSError as error:
            raise Unknown(f"the forge cannot be asked: {error}") from error
        if not address:
            raise Unknown("no remote called origin: the forge cannot be asked")
        parts = REMOTE.match(address)
        if not parts:
            raise Unknown("origin is a folder, not a forge")
        self.host, self.path = parts.groups()
        kind = kind_of(self.host, known)
        if not kind:
            names = "GH_HOST for a GitHub, GITLAB_HOST for a GitLab"
            raise Unknown(f"{self.host} is no forge that you have named: {names}")
        self.gitlab, name = kind == "gitlab", f"{kind.upper()}_TOKEN"
        self.token = known.get(name, "")
        if not self.token:
            raise Unknown(f"{self.host} cannot be asked without {name}")
        self.address = self._api(known)

    def _api(self, known: dict[str, str]) -> str:
        """Return the address of the repository in the forge's API."""
        if self.gitlab:
            base = known.get("CI_API_V4_URL", f"https://{self.host}/api/v4")
            return f"{base}/projects/{quote(self.path, safe='')}"
        api = "https://api.github.com" if self.host == "github.com" else ""
        api = api or f"https://{self.host}/api/v3"
        return f"{known.get('GITHUB_API_URL', api)}/repos/{quote(self.path)}"

    def ask(self, path: str) -> Any:
        """What the API answers.  Unknown where it does not."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        try:
            request = Request(self.address + path, headers=headers)
            with build_opener(SameHost).open(request, timeout=SECONDS) as answer:
                return json.load(answer)
        except (URLError, ValueError, TimeoutError) as error:
            raise Unknown(f"{self.host}: {error}") from error

    def passed(self) -> list[datetime]:
        """When CI passed on the main branch."""
        main = quote(self.ask("")["default_branch"])
        if self.gitlab:
            found = self.ask(f"/pipelines?ref={main}&status=success&per_page=50")
        else:
            listed = self.ask(f"/actions/runs?branch={main}&status=success&per_page=50")
            found = listed["workflow_runs"]
        return [moment(it["created_at"]) for it in found]

    def approved(self) -> list[datetime]:
        """When requests were merged, as long as the main branch asks for an approval."""
        main = quote(self.ask("")["default_branch"])
        if self.gitlab:
            asks = any(it.get("approvals_required", 0) for it in self.ask("/approval_rules"))
            found = self.ask("/merge_requests?state=merged&per_page=50") if asks else []
            return [moment(it["merged_at"]) for it in found]
        rules = [it for it in self.ask(f"/rules/branches/{main}") if it["type"] == "pull_request"]
        asked = [it["parameters"]["required_approving_review_count"] for it in rules]
        found = self.ask("/pulls?state=closed&per_page=50") if max(asked, default=0) else []
        return [moment(it["merged_at"]) for it in found if it["merged_at"]]


def moment(text: str) -> datetime:
    """A time of an API."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def list_passed_runs(repository: Repository) -> list[datetime]:
    """Return when CI passed on the main branch."""
    return Forge(repository).passed()


def list_approved_merges(repository: Repository) -> list[datetime]:
    """Return when changes came in by an approved request."""
    return Forge(repository).approved()
