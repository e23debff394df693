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
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.quotepath=off",
    "diff.external=",
    "diff.submodule=short",
    "log.showSignature=false",
    "protocol.allow=never",
    "submodule.recurse=false",
)
LOGS = ("--no-textconv", "--no-ext-diff", "--no-color", "--ignore-submodules=all")
PLACES = re.compile(r"GIT_(?!CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM)$)")  # variables that redirect git


def find_git_folder(folder: Path) -> Path | None:
    """Return the `.git` of the working tree in which a folder lies, or None."""
    places = [place / ".git" for place in (folder, *folder.parents)]
    return next((place for place in places if place.exists()), None)


def resolve_links(place: Path) -> tuple[Path, Path]:
    """Return the folder of a working tree's own files of git, and that of the shared ones."""
    if place.is_file() and place.stat().st_size < 10_000:
        target = place.read_text("utf-8", "replace").removeprefix("gitdir:").strip()
        place = place.parent / target
    common = place / "commondir"
    shared = place / common.read_text("utf-8").strip() if common.is_file() else place
    return place, shared


def clean_environment(variables: dict[str, str]) -> dict[str, str]:
    """Return variables without those that lead git to other folders, programs or settings."""
    kept = {name: value for name, value in variables.items() if not PLACES.match(name)}
    fixed = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    return kept | fixed | {"LC_ALL": "C"}


def read_git_settings(shared: Path, variables: dict[str, str]) -> dict[str, str]:
    """Return the settings of a repository's own `config`, without the files that it includes."""
    command = ["git", "config", "--file", str(shared / "config"), "--no-includes", "-z", "--list"]
    listed = subprocess.run(
        command, env=clean_environment(variables), capture_output=True, check=False
    )
    pairs = listed.stdout.decode("utf-8", "replace").split("\0")
    return {key: value for key, _, value in (pair.partition("\n") for pair in pairs) if key}


class SafeGit:
    """Git that reads a folder.  It leaves nothing behind, and executes nothing of it."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        """Raise FileNotFoundError if the folder lies in no working tree."""
        place = find_git_folder(folder)
        if place is None:
            raise FileNotFoundError("no git repository: git init")
        self.top = place.parent
        own, shared = resolve_links(place)
        self.settings = read_git_settings(shared, variables)
        # The folder lives as long as this object, so no `with` block can end it.
        self._folder = TemporaryDirectory(prefix="git-")  # pylint: disable=consider-using-with
        links = Path(self._folder.name)
        for source in (shared, own):
            for entry in source.iterdir():
                if entry.name not in LEFT_OUT:
                    (links / entry.name).unlink(missing_ok=True)  # own files win over shared ones
                    (links / entry.name).symlink_to(os.path.abspath(entry))
        head = own / "HEAD"
        (links / "HEAD").write_bytes(head.read_bytes()[:1000] if head.is_file() else b"")
        kept = {key: value for key, value in self.settings.items() if key in KEPT}
        lines = [
            f"[{key.partition('.')[0]}]\n{key.partition('.')[2]} = {value}\n"
            for key, value in kept.items()
            if re.fullmatch(r"\w+", value)
        ]
        (links / "config").write_text("".join(lines), encoding="utf-8")
        self.environment = clean_environment(variables)
        self.environment |= {"GIT_DIR": str(links), "GIT_WORK_TREE": str(self.top)}

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return a command of git, to be run with `environment`."""
        options = [word for option in OPTIONS for word in ("-c", option)]
        first, *rest = arguments
        shows = LOGS if first in ("log", "show", "diff") else LOGS[-1:] * (first == "status")
        return ("git", "--no-pager", *options, first, *shows, *rest)

    def remote(self, name: str = "origin") -> str:
        """Return the address of a remote, as it is written; an empty text without one."""
        return self.settings.get(f"remote.{name}.url", "")
