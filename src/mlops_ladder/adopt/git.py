"""A repository of others: it is read through a copy, and gets one branch, or nothing at all.

All work is done in a repository of its own in a temporary folder, which borrows the objects of
theirs.  Their checked-out files, index and configuration are never written, and no program that
their configuration names is run.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_ladder.adopt.tables import TABLES

SAFE = TABLES["safe_git"]
SILENT = {"GIT_LFS_SKIP_SMUDGE": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
# No command on their repository may fetch: an address, or its transport, can run a program.
LOCAL = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
# In the copy neither their configuration nor this machine's is read.
ALONE = LOCAL | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
# The variables that a child process gets.  All others, tokens and passwords among them, stay here.
PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TMPDIR|TEMP|TMP|SYSTEMROOT|XDG_\w+|PRE_COMMIT_HOME"
    r"|(?:https?|all|no)_proxy|SSL_CERT_\w+|\w+_CA_BUNDLE|UV_(?!PUBLISH)\w+|PIP_\w+"
    r"|GIT_CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM)|GIT_CEILING_DIRECTORIES|GIT_(?:AUTHOR|COMMITTER)_\w+",
    re.IGNORECASE,
)


class Refused(Exception):
    """Why nothing is adopted: one line for each reason, with the way out."""


def child_environment() -> dict[str, str]:
    """Return the variables of this process that a child process may see."""
    return {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}


def run_git(at: Path, *arguments: str, stdin: bytes = b"", **environment: str) -> bytes:
    """Return what git prints.  Raise Refused with git's words if it fails."""
    settings = [part for pair in SAFE.items() for part in ("-c", "=".join(pair))]
    result = subprocess.run(
        ["git", *settings, *arguments],
        cwd=at,
        env=child_environment() | SILENT | (environment or LOCAL),
        input=stdin,
        capture_output=True,
        check=False,
    )
    if result.returncode:
        words = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Refused(f"git {arguments[0]}: {words[-1] if words else 'failed without a word'}")
    return result.stdout


def ask_git(at: Path, *arguments: str) -> str:
    """Return what git prints, without the line end; an empty string if git fails."""
    try:
        return run_git(at, *arguments).decode("utf-8", "surrogateescape").strip()
    except Refused:
        return ""


def split_names(listed: bytes) -> list[str]:
    """Return the paths of a list in which each ends with a NUL."""
    return [name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name]


@dataclass(frozen=True)
class Theirs:
    """A repository as it is: its top, the adopted folder, its commit, and its committer."""

    top: Path
    prefix: str  # "" at the top, else "packages/one/"
    head: str
    branch: str  # "" if the head is detached
    identity: Mapping[str, str]

    @property
    def remote(self) -> str:
        """Return the address of origin, or of the first other remote; empty without one."""
        remotes = ask_git(self.top, "remote").split()
        chosen = "origin" if "origin" in remotes else (remotes or [""])[0]
        return ask_git(self.top, "config", "--get", f"remote.{chosen}.url") if chosen else ""

    @property
    def main(self) -> str:
        """Return the branch that pull requests are merged into."""
        default = ask_git(self.top, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        refs = ask_git(self.top, "for-each-ref", "--format=%(refname:lstrip=-1)", "refs").split()
        usual = next((name for name in ("main", "master") if name in refs), "")
        return default.partition("/")[2] or usual or self.branch or "main"


def open_repository(folder: Path) -> Theirs:
    """Return the repository of a folder.  Raise Refused if no commit can be made on it."""
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder")
    if ask_git(folder, "rev-parse", "--is-inside-work-tree") != "true":
        raise Refused(f"{folder}: no git repository with files: git init, or a clone of it")
    top = Path(ask_git(folder, "rev-parse", "--show-toplevel"))
    if not (top / ".git").exists():
        raise Refused(f"{folder}: its files are elsewhere (core.worktree is {top}): name a clone")
    head = ask_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not head:
        raise Refused(f"{folder}: no commit yet: git add --all && git commit")
    prefix = ask_git(folder, "rev-parse", "--show-prefix")
    branch = ask_git(top, "symbolic-ref", "--short", "HEAD")
    return Theirs(top, prefix, head, branch, find_identity(top))


def find_identity(top: Path) -> dict[str, str]:
    """Return git's variables with name and address of the committer.  Raise Refused without one."""
    ident = ask_git(top, "var", "GIT_COMMITTER_IDENT")
    name, _, rest = ident.partition(" <")
    if not name:
        way = "git config user.name NAME; git config user.email ADDRESS"
        raise Refused(f"{top}: git does not know who you are: {way}")
    address = rest.partition(">")[0]
    roles = ("AUTHOR", "COMMITTER")
    names = {f"GIT_{role}_NAME": name for role in roles}
    return names | {f"GIT_{role}_EMAIL": address for role in roles}


@dataclass(frozen=True)
class Copy:
    """Their commit, checked out in a repository of its own that may be written."""

    root: Path
    theirs: Theirs
    uncommitted: tuple[str, ...] = ()

    def git(self, *arguments: str, stdin: bytes = b"", **environment: str) -> bytes:
        """Return what git prints in the copy, by no configuration but the copy's own."""
        return run_git(self.root, *arguments, stdin=stdin, **ALONE | environment)

    def list_files(self) -> list[str]:
        """Return the paths in the commit, without submodules."""
        staged = split_names(self.git("ls-files", "--stage", "-z"))
        return [line.partition("\t")[2] for line in staged if not line.startswith("160000")]

    def has_submodules(self) -> bool:
        """Return whether the commit has submodules."""
        return b"160000 " in self.git("ls-files", "--stage")

    def read_mode(self, name: str) -> str:
        """Return git's mode of a path in their commit; empty if the path is not in it."""
        listed = self.git("ls-tree", "-z", self.theirs.head, "--", name)
        return listed.decode("utf-8", "replace").partition(" ")[0]

    def read_blob(self, name: str) -> bytes | None:
        """Return the bytes of a path in their commit, without any filter of a checkout."""
        listed = self.git("ls-tree", "-z", self.theirs.head, "--", name)
        kind = listed.split()[1:3]
        return self.git("cat-file", *map(bytes.decode, kind)) if kind[:1] == [b"blob"] else None

    def stage(self, changes: Mapping[str, bytes]) -> None:
        """Write these bytes into files and index, without any filter of git."""
        for name, content in changes.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
            blob = self.git("hash-object", "-w", "--stdin", stdin=content).decode().strip()
            self.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{name}")

    def commit(self, message: str) -> str:
        """Commit what is staged, by the committer of the repository; return the new commit."""
        tree = self.git("write-tree").decode().strip()
        parent = self.git("rev-parse", "HEAD").decode().strip()
        command = ["commit-tree", tree, "-p", parent, "-F", "-"]
        commit = self.git(*command, stdin=message.encode(), **self.theirs.identity)
        self.git("update-ref", "HEAD", commit.decode().strip())
        return commit.decode().strip()

    def find_uncommitted(self) -> list[str]:
        """Return the paths with uncommitted changes, and those that git does not track.

        The index is read as a copy: git in their repository would run the filters it names.
        """
        there, ours = find_git_path(self.theirs, "index"), self.root / ".git"
        for path in [there, *there.parent.glob("sharedindex.*")]:
            if path.is_file():
                shutil.copy(path, ours / (f"their-{path.name}" if path == there else path.name))
        if (excluded := find_git_path(self.theirs, "info/exclude")).is_file():
            (ours / "info").mkdir(exist_ok=True)
            shutil.copy(excluded, ours / "info/exclude")
        place = ("--git-dir", str(ours), "--work-tree", str(self.theirs.top))
        status = ("status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all")
        listed = self.git(*place, *status, GIT_INDEX_FILE=str(ours / "their-index"))
        return [line[3:] for line in split_names(listed)]

    def deliver(self, branch: str) -> None:
        """Write the commits into their repository as a branch: the only change to it."""
        commit = self.git("rev-parse", "HEAD").decode().strip()
        revisions = f"{commit}\n^{self.theirs.head}\n".encode()
        pack = self.git("pack-objects", "--quiet", "--stdout", "--revs", stdin=revisions)
        objects = str(find_git_path(self.theirs, "objects"))
        self.git("unpack-objects", "-q", stdin=pack, GIT_OBJECT_DIRECTORY=objects)
        run_git(self.theirs.top, "update-ref", f"refs/heads/{branch}", commit, "")


def find_git_path(theirs: Theirs, name: str) -> Path:
    """Return the path of a file or folder of their .git, wherever git keeps it."""
    return Path(theirs.top, ask_git(theirs.top, "rev-parse", "--git-path", name)).resolve()


@contextmanager
def copy_repository(theirs: Theirs) -> Iterator[Copy]:
    """Yield a copy of their commit in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="adopt-", ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / (theirs.top.name or "repository")
        form = ask_git(theirs.top, "rev-parse", "--show-object-format") or "sha1"
        start = ("init", "--quiet", "--template=", f"--object-format={form}", str(root))
        run_git(Path(folder), *start, stdin=b"", **ALONE)
        git_folder = root / ".git"
        objects = find_git_path(theirs, "objects")
        (git_folder / "objects/info").mkdir(parents=True, exist_ok=True)
        (git_folder / "objects/info/alternates").write_text(f"{objects}\n", "utf-8")
        shallow = find_git_path(theirs, "shallow")
        if shallow.is_file():
            (git_folder / "shallow").write_bytes(shallow.read_bytes())
        tags = run_git(
            theirs.top, "for-each-ref", "--format=create %(refname) %(objectname)", "refs/tags"
        )
        copy = Copy(root, theirs)
        copy.git("update-ref", "--stdin", stdin=tags)
        copy.git("checkout", "--quiet", "--detach", theirs.head)
        if theirs.prefix and not copy.read_mode(theirs.prefix.rstrip("/")):
            way = "git add --all && git commit"
            raise Refused(f"{theirs.prefix}: nothing in it is committed: {way}")
        yield replace(copy, uncommitted=tuple(copy.find_uncommitted()))
