"""A repository of others: read through a copy, and given one branch, or nothing at all.

All work is done in a repository of its own in a temporary folder, which borrows the objects of
theirs.  Their checked-out files, their index and their configuration are never written.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Set in git's hooks and aliases; here they would point git at another repository.
POINTERS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY"}
# Settings of a machine that would change the bytes, or run what is not ours.
AS_IS = {
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "core.fsmonitor": "false",
    "core.symlinks": "true",
    "gc.auto": "0",
    "commit.gpgSign": "false",
    "protocol.file.allow": "always",
}
SILENT = {"GIT_LFS_SKIP_SMUDGE": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


class Refused(Exception):
    """Why nothing is adopted: one line for each reason, with the way out."""


def git(at: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> bytes:
    """What git prints.  Refused in git's own words where it fails."""
    env = {name: value for name, value in os.environ.items() if name not in POINTERS}
    settings = [part for pair in AS_IS.items() for part in ("-c", "=".join(pair))]
    done = subprocess.run(
        ["git", *settings, *arguments],
        cwd=at,
        env=env | SILENT | environment,
        input=stdin,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Refused(f"git {arguments[0]}: {words[-1] if words else 'failed without a word'}")
    return done.stdout


def answer(at: Path, *arguments: str) -> str:
    """What git answers in one line, or nothing where it has no answer."""
    try:
        return git(at, *arguments).decode("utf-8", "surrogateescape").strip()
    except Refused:
        return ""


def names(listed: bytes) -> list[str]:
    """The paths of a list that ends each with a NUL."""
    return [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name]


@dataclass(frozen=True)
class Theirs:
    """A repository as it was found: its top, the folder that was named, its commit, who commits."""

    top: Path
    prefix: str  # "" at the top, else "packages/one/"
    head: str
    branch: str  # "" where the head is detached
    identity: Mapping[str, str]

    @property
    def uncommitted(self) -> list[str]:
        """What is changed and not committed, or not known to git: it stays as it is, unseen."""
        listed = git(self.top, "--no-optional-locks", "status", "--porcelain", "-z", "--no-renames")
        return [line[3:] for line in names(listed)]

    @property
    def remote(self) -> str:
        """The address of origin, or of the only other remote; empty without one."""
        remotes = answer(self.top, "remote").split()
        chosen = "origin" if "origin" in remotes else (remotes or [""])[0]
        return answer(self.top, "remote", "get-url", chosen) if chosen else ""

    @property
    def main(self) -> str:
        """The branch that others merge into."""
        default = answer(self.top, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        known = answer(self.top, "for-each-ref", "--format=%(refname:lstrip=-1)", "refs").split()
        usual = next((name for name in ("main", "master") if name in known), "")
        return default.partition("/")[2] or usual or self.branch or "main"


def opened(folder: Path) -> Theirs:
    """The repository that holds a folder.  Refused where a commit on it cannot be made."""
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder")
    if answer(folder, "rev-parse", "--is-inside-work-tree") != "true":
        raise Refused(f"{folder}: no git repository with files: git init, or a clone of it")
    top = Path(answer(folder, "rev-parse", "--show-toplevel"))
    head = answer(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        raise Refused(f"{folder}: no commit yet: git add --all && git commit")
    prefix = answer(folder, "rev-parse", "--show-prefix")
    if prefix and not answer(top, "ls-tree", "HEAD", "--", prefix.rstrip("/")):
        raise Refused(f"{folder}: nothing in it is committed: git add --all && git commit")
    return Theirs(top, prefix, head, answer(top, "symbolic-ref", "--short", "HEAD"), who(top))


def who(top: Path) -> dict[str, str]:
    """Name and address of who commits, as their repository says.  Refused where it does not."""
    found = answer(top, "var", "GIT_COMMITTER_IDENT")
    name, _, rest = found.partition(" <")
    if not name:
        way = "git config user.name NAME; git config user.email ADDRESS"
        raise Refused(f"{top}: git does not know who you are: {way}")
    address = rest.partition(">")[0]
    roles = ("AUTHOR", "COMMITTER")
    return {f"GIT_{role}_NAME": name for role in roles} | {
        f"GIT_{role}_EMAIL": address for role in roles
    }


@dataclass(frozen=True)
class Copy:
    """Their commit, checked out in a repository of its own that may be written."""

    root: Path
    theirs: Theirs

    def listed(self) -> list[str]:
        """The paths that the commit holds, submodules left out."""
        staged = names(git(self.root, "ls-files", "--stage", "-z"))
        return [line.partition("\t")[2] for line in staged if not line.startswith("160000")]

    def submodules(self) -> bool:
        """Does the commit name commits of other repositories?"""
        return b"160000 " in git(self.root, "ls-files", "--stage")

    def mode(self, name: str) -> str:
        """What a path is in their commit, as git writes it; empty where it is nothing."""
        listed = git(self.root, "ls-tree", "-z", self.theirs.head, "--", name)
        return listed.decode("utf-8", "replace").partition(" ")[0]

    def blob(self, name: str) -> bytes | None:
        """The bytes of a path as their commit has them, not as they would be checked out."""
        listed = git(self.root, "ls-tree", "-z", self.theirs.head, "--", name)
        kind = listed.split()[1:3]
        return (
            git(self.root, "cat-file", *map(bytes.decode, kind)) if kind[:1] == [b"blob"] else None
        )

    def stage(self, changes: Mapping[str, bytes]) -> None:
        """Put these bytes into files and index as they are, with no filter between."""
        for name, content in changes.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
            blob = git(self.root, "hash-object", "-w", "--stdin", stdin=content).decode().strip()
            git(self.root, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{name}")

    def commit(self, message: str) -> str:
        """Commit what is staged, as whoever owns the repository; gives the new commit."""
        tree = git(self.root, "write-tree").decode().strip()
        parent = answer(self.root, "rev-parse", "HEAD")
        made = ["commit-tree", tree, "-p", parent, "-F", "-"]
        commit = git(self.root, *made, stdin=message.encode(), **self.theirs.identity)
        git(self.root, "update-ref", "HEAD", commit.decode().strip())
        return commit.decode().strip()

    def deliver(self, branch: str) -> None:
        """Give them the commits as a branch, in one step: the only thing that they notice."""
        git(self.root, "update-ref", "refs/heads/adopted", "HEAD")
        quiet = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
        there = f"refs/heads/adopted:refs/heads/{branch}"
        git(self.theirs.top, "fetch", *quiet, "--no-auto-maintenance", str(self.root), there)


@contextmanager
def copied(theirs: Theirs) -> Iterator[Copy]:
    """Their commit in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="adopt-", ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / (theirs.top.name or "repository")
        form = answer(theirs.top, "rev-parse", "--show-object-format") or "sha1"
        git(Path(folder), "init", "--quiet", "--template=", f"--object-format={form}", str(root))
        git_folder = root / ".git"
        objects = Path(theirs.top, answer(theirs.top, "rev-parse", "--git-path", "objects"))
        (git_folder / "objects/info").mkdir(parents=True, exist_ok=True)
        (git_folder / "objects/info/alternates").write_text(f"{objects.resolve()}\n", "utf-8")
        shallow = Path(theirs.top, answer(theirs.top, "rev-parse", "--git-path", "shallow"))
        if shallow.is_file():
            (git_folder / "shallow").write_bytes(shallow.read_bytes())
        tags = git(
            theirs.top, "for-each-ref", "--format=create %(refname) %(objectname)", "refs/tags"
        )
        git(root, "update-ref", "--stdin", stdin=tags)
        git(root, "checkout", "--quiet", "--detach", theirs.head)
        yield Copy(root, theirs)
