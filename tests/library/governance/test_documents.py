"""The technical documentation: each statement with its source, and no claim."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from library.fixture_project import ROOT

from mlops_ladder import ProjectError
from mlops_ladder.governance.documents import document, evidence
from mlops_ladder.governance.documents.statements import (
    CITED,
    find_statement_faults,
    format_statement,
)
from mlops_ladder.markdown import list_as_code
from mlops_ladder.registry import versions
from mlops_ladder.tracking import runs

FILES = (
    "governance/risk.toml",
    "pyproject.toml",
    *(f"config/{path.name}" for path in (ROOT / "config").glob("*.toml")),
)


@pytest.fixture(name="here")
def _here(folder: Path, run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing is served, with the settings of this one."""
    for name in (*FILES, "data/sources.toml", "monitoring/alerts.yml"):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    monkeypatch.setattr(versions, "read_state", lambda: versions.RegistryState({}, {}, 0))
    monkeypatch.setattr(runs, "find_newest_run", lambda: run)  # other tests have recorded runs too
    return folder


def statements(text: str) -> list[str]:
    """The lines that state something."""
    return [line for line in text.splitlines() if line.startswith("- ")]


@pytest.mark.usefixtures("here")
def test_every_statement_cites_and_the_numbers_are_those_of_the_run(run: runs.Run) -> None:
    """Also where nothing is served: the run is there, the points without evidence say so."""
    told = document.write_document()
    text = document.DOCUMENT.read_text(encoding="utf-8")
    lines = statements(text)
    assert lines and all(CITED.search(line) for line in lines)
    assert f"{len(lines)} statements" in told
    metric = run.params["metric"]
    scores = [line for line in lines if line.startswith(f"- {metric} ")]
    assert len(scores) == 1 and f"{run.metrics[metric]:.4g}" in scores[0]
    assert f"run `{run.run_id}`" in scores[0]
    assert f"{document.NOTHING}`make outcomes" not in text, "settings say what happens afterwards"
    assert text.count(document.NOTHING) >= 2
    assert "each with its source" in document.check_document(text)


@pytest.mark.usefixtures("here", "run")
def test_a_changed_source_an_edit_and_a_statement_without_source_are_named() -> None:
    """Each by its line."""
    document.write_document()
    text = document.DOCUMENT.read_text(encoding="utf-8")
    with pytest.raises(ProjectError, match="differs from its evidence"):
        document.check_document(text.replace("rows to learn from", "rows to earn from"))
    with pytest.raises(ProjectError, match="line .*: a statement without its source: - It is good"):
        document.check_document(text.replace("\n- ", "\n- It is good\n- ", 1))
    settings = Path("config.toml")
    before = settings.read_text(encoding="utf-8")
    settings.write_text(f"{before}# other\n", encoding="utf-8")
    with pytest.raises(ProjectError, match="line .*: config.toml has changed since it was cited"):
        document.check_document(text)
    settings.write_text(before, encoding="utf-8")
    (evidence.FOLDER / "run.json").unlink()
    with pytest.raises(ProjectError, match="run.json is cited, and is not there"):
        document.check_document(text)


@pytest.mark.usefixtures("here")
def test_evidence_that_is_not_what_the_run_says_is_named(run: runs.Run) -> None:
    """A file of evidence is forged, and the document with it."""
    document.write_document()
    path = evidence.FOLDER / "run.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    known["metrics"][run.params["metric"]] = 0.987
    path.write_text(evidence.to_evidence_text(known), encoding="utf-8")
    forged = document.render_document()
    assert "0.987" in forged and not list(find_statement_faults(forged))
    with pytest.raises(ProjectError, match="run.json: is not what the run"):
        document.check_document(forged)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("claim", ["It is fully compliant", "In conformity with the Act"])
def test_a_claim_is_refused_wherever_it_comes_from(here: Path, claim: str) -> None:
    """Nothing is written; a column may be called so."""
    register = here / "governance/risk.toml"
    text = register.read_text(encoding="utf-8")
    register.write_text(text.replace('reason = "', f'reason = "{claim}. '), encoding="utf-8")
    with pytest.raises(ProjectError, match=f"not written(?s:.*)says '{claim.split()[-1][:4]}|con"):
        document.write_document()
    assert not document.DOCUMENT.exists()


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("- A conformal interval [run `0123456789abcdef0123456789abcdef`]", 0),
        ("- Columns: `compliant`, `конформ` [run `0123456789abcdef0123456789abcdef`]", 0),
        ("It complies with the law", 1),
        ("The certificate is there", 1),
        ("- Good [see the wiki]", 1),
        ("- Good [`nowhere.md` sha256 `0123456789ab`]", 1),
    ],
)
def test_what_is_a_fault_and_what_is_none(line: str, wrong: int) -> None:
    """Names in code claim nothing, and a method of statistics is none."""
    assert len(list(find_statement_faults(line))) == wrong


def test_a_statement_is_one_line_whatever_it_is_told(folder: Path) -> None:
    """With line breaks, brackets, markup and any letters in it; code stays code."""
    (folder / "größe.toml").write_text("", encoding="utf-8")
    line = format_statement("a\n- b]  [c\t«d»", "größe.toml")
    assert line == "- a - b&#93; &#91;c «d» [`größe.toml` sha256 `e3b0c44298fc`]"
    assert not list(find_statement_faults(line))
    words = format_statement(f"<b>x</b> of {list_as_code(['a', '`<i>'])}", "größe.toml")
    assert words.startswith("- &#60;b&#62;x&#60;/b&#62; of `a`, &#96;&#60;i&#62; [`größe")


@pytest.mark.usefixtures("here")
def test_the_command_writes_and_checks(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], run: runs.Run
) -> None:
    """A document of nothing passes; once it is written it is checked."""
    assert run.run_id and command("techdoc", "--check") == 0
    assert "describes nothing yet" in capsys.readouterr().out
    assert command("techdoc") == 0 and command("techdoc", "--check") == 0
    with document.DOCUMENT.open("a", encoding="utf-8") as file:
        file.write("- It is the best\n")
    assert command("techdoc", "--check") == 1
    assert "a statement without its source" in capsys.readouterr().err
