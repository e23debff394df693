"""Git for reading a repository of others: nothing that the repository configures is executed.

A repository can have git run programs: `core.fsmonitor`, `textconv`, filters, hooks, a remote that
is asked for missing objects, and the same in submodules.  A list of all of them is never complete.
So git is pointed at a folder of links to the repository's objects, refs and index.  The folder's
`config` is written here: it holds a few settings of the repository that can only be words.
"""

import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

LEFT_OUT = {"config", "config.worktree", "hooks", "HEAD", "commondir", "gitdir", "modules"}
FORMAT = {"core.repositoryformatversion", "extensions.objectformat", "extensions.refstorage"}
HARMLESS = {"filemode", "ignorecase", "precomposeunicode", "symlinks", "autocrlf", "eol"}
KEPT = FORMAT | {f"core.{name}" for name in HARMLESS}
OPTIONS = (
    "core.fsmonitor=false core.hooksPath=/dev/null core.pager=cat core.quotepath=off "
    "diff.external= diff.submodule=short log.showSignature=false protocol.allow=never "
    "submodule.recurse=false"
).split()
LOGS = ("--no-textconv", "--no-ext-diff", "--no-color", "--ignore-submodules=all")
PLACES = re.compile(r"GIT_(?!CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM)$)")  # variables that lead elsewhere


def git_folder(folder: Path) -> Path | None:
    """The `.git` of the working tree in which a folder lies; None where it lies in none."""
    return next((it / ".git" for it in (folder, *folder.parents) if (it / ".git").exists()), None)


def linked(place: Path) -> tuple[Path, Path]:
    """The folder of a working tree's own files of git, and that of the files shared by all."""
    if place.is_file() and place.stat().st_size < 10_000:
        named = place.read_text("utf-8", "replace").removeprefix("gitdir:").strip()
        place = place.parent / named
    common = place / "commondir"
    shared = place / common.read_text("utf-8").strip() if common.is_file() else place
    return place, shared


def environment(given: dict[str, str]) -> dict[str, str]:
    """These variables without those that point git at other folders, programs or settings."""
    kept = {name: value for name, value in given.items() if not PLACES.match(name)}
    fixed = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    return kept | fixed | {"LC_ALL": "C"}


def settings(shared: Path, given: dict[str, str]) -> dict[str, str]:
    """The settings in a repository's own `config`, read without what that includes."""
    command = ["git", "config", "--file", str(shared / "config"), "--no-includes", "-z", "--list"]
    listed = subprocess.run(command, env=environment(given), capture_output=True, check=False)
    pairs = listed.stdout.decode("utf-8", "replace").split("\0")
    return {key: value for key, _, value in (pair.partition("\n") for pair in pairs) if key}


class SafeGit:
    """The git of a folder, for reading.  It leaves nothing behind, and executes nothing."""

    def __init__(self, folder: Path, given: dict[str, str]) -> None:
        """Raise FileNotFoundError where the folder lies in no working tree."""
        place = git_folder(folder)
        if place is None:
            raise FileNotFoundError("no git repository: git init")
        self.top = place.parent
        own, shared = linked(place)
        self.settings = settings(shared, given)
        self._folder = TemporaryDirectory(prefix="git-")  # pylint: disable=consider-using-with
        made = Path(self._folder.name)
        for source in (shared, own):
            for entry in source.iterdir():
                if entry.name not in LEFT_OUT:
                    (made / entry.name).unlink(missing_ok=True)  # its own come before shared ones
                    (made / entry.name).symlink_to(os.path.abspath(entry))
        head = own / "HEAD"
        (made / "HEAD").write_bytes(head.read_bytes()[:1000] if head.is_file() else b"")
        known = {key: value for key, value in self.settings.items() if key in KEPT}
        lines = [
            f"[{key.partition('.')[0]}]\n{key.partition('.')[2]} = {value}\n"
            for key, value in known.items()
            if re.fullmatch(r"\w+", value)
        ]
        (made / "config").write_text("".join(lines), encoding="utf-8")
        self.environment = environment(given)
        self.environment |= {"GIT_DIR": str(made), "GIT_WORK_TREE": str(self.top)}

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The command that asks git, to be run with `environment`."""
        options = [word for option in OPTIONS for word in ("-c", option)]
        first, *rest = arguments
        shows = LOGS if first in ("log", "show", "diff") else LOGS[-1:] * (first == "status")
        return ("git", "--no-pager", *options, first, *shows, *rest)

    def remote(self, name: str = "origin") -> str:
        """The address of a remote, as it is written; empty where there is none."""
        return self.settings.get(f"remote.{name}.url", "")
