"""GitHub or GitLab, asked where a token is there; else what it would say is unknown."""

import json
import os
import re
from datetime import datetime
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from . import Unknown
from .repository import Repository

REMOTE = re.compile(
    r"(?:https?://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|[^@/:]+@)([^/:]+)(?::\d+)?[/:](.+?)(?:\.git)?/?$"
)
SECONDS = 10


class Forge:
    """The place that hosts a repository.  Unknown where there is none, or no token for it."""

    def __init__(self, repository: Repository) -> None:
        try:
            address = repository.git("remote", "get-url", "origin").strip()
        except Unknown as reason:
            raise Unknown("no remote called origin: the forge cannot be asked") from reason
        parts = REMOTE.match(address)
        if not parts:
            raise Unknown("origin is a folder, not a forge")
        self.host, self.path = parts.groups()
        self.gitlab = "gitlab" in self.host or ".gitlab-ci.yml" in repository.files
        name = "GITLAB_TOKEN" if self.gitlab else "GITHUB_TOKEN"
        self.token = os.environ.get(name, "")
        if not self.token:
            raise Unknown(f"{self.host} cannot be asked without {name}")

    def ask(self, path: str) -> Any:
        """What the API answers.  Unknown where it does not."""
        if self.gitlab:
            base = os.environ.get("CI_API_V4_URL", f"https://{self.host}/api/v4")
            place = f"{base}/projects/{quote(self.path, safe='')}"
        else:
            place = (
                f"{os.environ.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{self.path}"
            )
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        try:
            with urlopen(Request(place + path, headers=headers), timeout=SECONDS) as answer:
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
