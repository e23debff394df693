"""Bring the rules of .gitlab/branch-rules to GitLab: `GITLAB_TOKEN=… make branch-rules`.

The project is the one that origin names; the token has the scope `api` and a maintainer's rights.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

RULES, FILES = Path(".gitlab/branch-rules"), ("main.json", "project.json")
TIMEOUT_S = 30


def parse_origin(origin: str) -> tuple[str, str]:
    """Return host and path of a repository, from its address in git."""
    if "://" not in origin:  # git@host:group/name.git
        origin = "ssh://" + origin.replace(":", "/", 1)
    parts = urlsplit(origin)
    return parts.hostname or "", parts.path.strip("/").removesuffix(".git")


def call_gitlab(method: str, url: str, token: str, body: object = None) -> None:
    """Send one request.  End the program with GitLab's message if it is refused.

    Nothing at the address to delete is no refusal.

    Args:
        method: The HTTP method.
        url: The address in GitLab's API.
        token: The access token.
        body: The content, sent as JSON.
    """
    headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method), timeout=TIMEOUT_S):
            pass
    except HTTPError as error:
        if (method, error.code) != ("DELETE", 404):
            sys.exit(f"{method} {url}: {error.code} {error.read().decode()}")
    except URLError as error:
        sys.exit(f"{method} {url}: {error.reason}")


def main() -> None:
    """Set how requests are merged, then replace the protection: GitLab cannot change a rule."""
    if not (token := os.environ.get("GITLAB_TOKEN", "")):
        way_out = "make one with the scope api (GitLab: Settings, Access tokens)"
        sys.exit(f"GITLAB_TOKEN: not set; {way_out}")
    command = ["git", "remote", "get-url", "origin"]
    origin = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    host, path = parse_origin(origin)
    api = os.environ.get("CI_API_V4_URL", f"https://{host}/api/v4")
    project = f"{api}/projects/{quote(path, safe='')}"
    branch, merging = (json.loads((RULES / name).read_text("utf-8")) for name in FILES)
    protected = f"{project}/protected_branches"
    call_gitlab("PUT", project, token, merging)
    call_gitlab("DELETE", f"{protected}/{quote(branch['name'], safe='')}", token)
    call_gitlab("POST", protected, token, branch)
    print(f"{host}/{path}: {branch['name']} is protected; merges wait for its pipeline")
