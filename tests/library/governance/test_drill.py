"""The drill: every block of a runbook is run, and one that fails is named."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from library.fixture_project import ROOT

from mlops_ladder.delivery import drill as tool

PAGE = """# In trouble

```sh
echo one >> done
```

## Look

Only shown:

```text
exit 1
```

1. In a list, indented:

   ```sh docker
   echo two >> done
   ```

   ```sh
   test -s done
   ```
"""


@pytest.fixture(name="drill")
def _drill() -> Any:
    return tool


class Here:  # pylint: disable=too-few-public-methods  # what a copy is to a drill
    """Commands that run in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """How a command ended there."""
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False
        )


def drilled(drill: Any, folder: Path, page: str, *programs: str) -> Any:
    """How a page ended where these programs are."""
    return drill.drill_page(Here(folder), drill.read_blocks("page.md", page), programs.__contains__)


def test_the_blocks_of_a_page_are_run_in_their_order(drill: Any, tmp_path: Path) -> None:
    """All of them where what they need is here, and nothing that is only shown."""
    found = drilled(drill, tmp_path, PAGE, "docker")
    assert (found["result"], found["blocks"], found["not_drilled"]) == ("passed", 3, {})
    assert (tmp_path / "done").read_text(encoding="utf-8") == "one\ntwo\n"


def test_what_lacks_a_program_is_counted(drill: Any, tmp_path: Path) -> None:
    """Blocks that need Docker are named where there is none; a page of such is not drilled."""
    found = drilled(drill, tmp_path, PAGE)
    assert (found["blocks"], found["not_drilled"]) == (2, {"Look, block 2": "needs docker"})
    found = drilled(drill, tmp_path, PAGE.replace("```sh\n", "```sh docker\n"))
    assert (found["result"], len(found["not_drilled"])) == ("not drilled", 3)


@pytest.mark.parametrize("words", ["false", "false\ntrue", "true | false", "echo $UNKNOWN"])
def test_a_block_that_fails_ends_its_page(drill: Any, tmp_path: Path, words: str) -> None:
    """It is named with its heading, its words and what it said; nothing after it is run."""
    text = "\n   ".join(["echo before", *words.splitlines()])
    page = PAGE.replace("echo two >> done", text)
    found = drilled(drill, tmp_path, page, "docker")
    assert (found["result"], found["failed"], found["blocks"]) == ("failed", "Look, block 2", 2)
    assert found["said"][0] in ("ended with 1:", "ended with 2:") and "before" in found["said"]


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("# Talk\n\nDo the right thing.\n", "page.md: no block that is run"),
        (PAGE.replace("```sh", "```bash"), "page.md: no block that is run"),
        (PAGE.rstrip().removesuffix("```"), "page.md: the last block, under Look, does not end"),
    ],
)
def test_a_page_that_cannot_be_drilled_is_refused(drill: Any, page: str, told: str) -> None:
    """Without a block, or with one that does not end, there is no drill."""
    with pytest.raises(Exception, match=told):
        drill.read_blocks("page.md", page)


def test_every_runbook_can_be_drilled(drill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page of this project has a block; a page that is not there is refused by name."""
    monkeypatch.chdir(ROOT)
    pages = sorted(Path("docs/runbooks").glob("*.md"))
    assert list(drill.read_runbooks("")) == pages and len(drill.read_runbooks("rollback")) == 1
    with pytest.raises(Exception, match="nothing.md: no such page; there are: .*rollback"):
        drill.read_runbooks("nothing")
