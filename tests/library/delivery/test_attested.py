"""Images: what nobody has signed gets neither to staging nor to production."""

import json
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from library.delivery.test_promote import Places

from mlops_ladder.delivery import release
from mlops_ladder.governance import pinned_actions
from mlops_ladder.project import get_project

SIGNER = "ada@example.com"


class Pinned(Places):
    """Places whose images have digests."""

    def pin_image(self, image: str) -> str:
        """The digest of an image."""
        return f"sha256:{sha256(image.encode()).hexdigest()}"

    def check_running(self, environment: str, image: str, commit: str) -> None:
        """They all answer."""

    def find_running(self, environment: str) -> tuple[str, str]:
        """What runs there, of the only commit."""
        return super().find_running(environment)[0], head()


def head() -> str:
    """The commit."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(name="tool", autouse=True)
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that signs images, in a repository where everything has to be signed, by the key `own`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__REQUIRED", "true")
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__KEY", "own")
    known = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for name in ("own", "stranger"):
        asked = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name]
        subprocess.run(asked, check=True)
    public = Path("own.pub").read_text(encoding="utf-8")
    Path(".signers").write_text(f"{SIGNER} {public}", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], check=True)
    empty = ["commit", "--quiet", "--allow-empty", "--message", "Start"]
    subprocess.run(["git", *known, *empty], check=True)
    return release


def test_a_signed_image_gets_to_production(tool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """And `verify` says who has signed what runs."""
    places = Pinned()
    tool.perform(places, tool.sign_image, "tried", "HEAD")
    release.perform(tool.SignedTargets(places), release.stage, "tried", head())
    release.perform(tool.SignedTargets(places), release.promote_image)
    assert places.runs == dict.fromkeys(("staging", "production"), places.pin_image("tried"))
    capsys.readouterr()
    tool.perform(places, tool.verify_environments)
    said = capsys.readouterr().out.splitlines()
    assert [line.endswith(f"signed by {SIGNER}") for line in said] == [True, True]


def test_an_unsigned_image_is_refused(tool: Any) -> None:
    """By staging, and by production where something else put it into staging."""
    places = Pinned()
    with pytest.raises(SystemExit, match="Not done: sha256:.*: not signed; .*make sign-image"):
        release.perform(tool.SignedTargets(places), release.stage, "tried", head())
    assert not places.runs
    places.runs.update(staging=places.pin_image("tried"), production="sha256:serving")
    with pytest.raises(SystemExit, match="not signed"):
        release.perform(tool.SignedTargets(places), release.promote_image)
    assert places.runs["production"] == "sha256:serving"
    with pytest.raises(SystemExit, match="not signed"):
        tool.perform(places, tool.verify_environments)


def test_what_need_not_be_signed_is_brought(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said that nobody has signed it."""
    monkeypatch.setenv(f"{get_project().prefix}SIGNING__REQUIRED", "false")
    places = Pinned()
    release.perform(tool.SignedTargets(places), release.stage, "tried", head())
    assert places.runs == {"staging": places.pin_image("tried")}


@pytest.mark.parametrize("name", ["another digest", "another commit", "a stranger"])
def test_a_signature_of_something_else_does_not_count(
    tool: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another image, of another commit, or by somebody whom nobody has named."""
    places = Pinned()
    if name == "a stranger":
        monkeypatch.setenv(f"{get_project().prefix}SIGNING__KEY", "stranger")
        with pytest.raises(SystemExit, match="its signer is not in .signers"):
            tool.perform(places, tool.sign_image, "tried", "HEAD")
        return
    tool.perform(places, tool.sign_image, "tried", "HEAD")
    digest = tool.parse_digest(places.pin_image("other" if name == "another digest" else "tried"))
    made = tool.run_git(
        "cat-file", "blob", f"{tool.REFS}/{tool.parse_digest(places.pin_image('tried'))}"
    )
    blob = tool.run_git("hash-object", "-w", "--stdin", stdin=made)
    tool.run_git("update-ref", f"{tool.REFS}/{digest}", blob)
    assert json.loads(made)["signature"].startswith("-----BEGIN SSH SIGNATURE-----")
    image, commit = ("other", head()) if name == "another digest" else ("tried", "0" * 40)
    with pytest.raises(SystemExit, match="has signed (another digest|it as commit)"):
        release.perform(tool.SignedTargets(places), release.stage, image, commit)


@pytest.mark.parametrize(
    ("line", "loose"),
    [
        ("- uses: actions/checkout@v4", ["actions/checkout@v4"]),
        ("- uses: actions/checkout@3d3c42e5", ["actions/checkout@3d3c42e5"]),
        (f"- uses: actions/checkout@{'0' * 40} # v4", []),
        ("- uses: ./.github/actions/setup", []),
        ("- uses: docker://alpine:3", ["docker://alpine:3"]),
        (f"  uses: docker://alpine@sha256:{'0' * 64}", []),
    ],
)
def test_an_action_that_is_not_pinned_is_named(line: str, loose: list[str]) -> None:
    """A tag, or a short commit, may mean other code tomorrow."""
    assert list(pinned_actions.find_unpinned(line)) == loose
