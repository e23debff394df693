"""The model card: what the run says, word for word."""

from dataclasses import replace
from types import SimpleNamespace

from library.fixture_project import ROOT
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.markdown import escape_text, format_code, split_page
from mlops_ladder.model.prediction import METRICS
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import card, runs


@pytest.fixture(name="text")
def _text(run: runs.Run, settings: Settings, contract: Contract) -> str:
    """The card of the run, with words of the user's own."""
    return card.render_model_card(run, settings, contract) + "\nMy own words.\n"


def test_a_fresh_card_says_what_its_run_says(
    text: str, run: runs.Run, settings: Settings, contract: Contract
) -> None:
    """A card passes its check as it was written, and holds the score of the run."""
    assert run.run_id in card.compare_card(text, run, settings, contract)
    name = next(name for name in METRICS[settings.problem] if name in run.metrics)
    assert f"| {name} | {run.metrics[name]:.4g} |" in text


MARKUP = "a|`<script>alert(1)</script>`\n](javascript:alert(1))"
AS_WORDS = "a&#124;&#96;&#60;script&#62;alert(1)&#60;/script&#62;&#96; &#93;(javascript:alert(1))"


def test_names_and_values_are_text_in_the_card(
    run: runs.Run, settings: Settings, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column, a file and a licence that hold markup are shown as they are written."""
    assert escape_text(MARKUP) == AS_WORDS == escape_text(AS_WORDS)
    assert (format_code("a_b c"), format_code(MARKUP)) == ("`a_b c`", AS_WORDS)
    source = {"files": ["data/x.csv"], "origin": MARKUP, "licence": MARKUP}
    monkeypatch.setattr(card, "read_sources", lambda: {MARKUP: source})
    column = contract.columns[contract.target]
    known = contract.model_copy(update={"columns": contract.columns | {MARKUP: column}})
    data = settings.data.model_copy(update={"path": "data/*.csv"})
    about = settings.about.model_copy(update={"limits": ["<b>none</b>"]})
    shown = card.render_model_card(
        run, settings.model_copy(update={"data": data, "about": about}), known
    )
    assert f"Source {AS_WORDS}: {AS_WORDS}. Licence {AS_WORDS}.\n" in shown
    assert f"- target: `{contract.target}`, {AS_WORDS}\n" in shown
    assert "- &lt;b>none&lt;/b>\n" in shown and "<" not in shown.replace(card.YOURS, "")


def test_an_edited_number_is_found(
    text: str, run: runs.Run, settings: Settings, contract: Contract
) -> None:
    """A number that is not the run's fails the check, and both lines are shown."""
    rows = f"{run.metrics['rows.holdout']:,.0f} rows"
    with pytest.raises(ProjectError, match="differs from its run") as found:
        card.compare_card(text.replace(rows, "99,999 rows"), run, settings, contract)
    assert "99,999 rows" in str(found.value) and rows in str(found.value)


def test_a_card_of_another_run_is_stale(
    text: str, run: runs.Run, settings: Settings, contract: Contract
) -> None:
    """A card of another run fails the check, and the right one is named."""
    older = text.replace(run.run_id, "0" * 32)
    with pytest.raises(
        ProjectError, match=f"describes run {'0' * 32}; it has to describe {run.run_id}"
    ):
        card.compare_card(older, run, settings, contract)


def test_the_card_describes_the_champion(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer run, as of a refused candidate, leaves the card as it is; without a champion not."""
    other = replace(run, run_id="1" * 32)
    for champion, wanted in ((other, other), (None, runs.find_newest_run())):
        hooks = SimpleNamespace(find_described_run=lambda found=champion: found)
        monkeypatch.setattr(card, "get_hooks", lambda known=hooks: known)
        assert card.find_card_run() == wanted


def test_a_run_of_another_project_is_not_the_newest(run: runs.Run) -> None:
    """Others record on the same server: their newer runs are not described as this project's."""
    client = runs.connect_mlflow().MlflowClient()
    newest = runs.find_newest_run()
    place = client.create_experiment(f"another-{run.run_id}")
    other = client.create_run(place, tags={"role": "model", "package": "another"})
    client.set_terminated(other.info.run_id)
    assert runs.find_newest_run() == newest


def test_a_card_of_no_run_is_stale_once_there_is_one(
    run: runs.Run, settings: Settings, contract: Contract
) -> None:
    """The card that comes with the project fails the check after the first training."""
    with pytest.raises(ProjectError, match="describes no run"):
        card.compare_card(card.YOURS, run, settings, contract)


def test_own_words_are_kept(text: str) -> None:
    """What stands below the line is kept as it is; without the line nothing is overwritten."""
    assert split_page(card.CARD, text, card.YOURS)[1] == "\n\nMy own words.\n".replace(
        "\n\n", "\n", 1
    )
    with pytest.raises(ProjectError, match="put it back above your own words"):
        split_page(card.CARD, text.replace(card.YOURS, ""), card.YOURS)


def test_every_column_stands_in_the_card(text: str, contract: Contract) -> None:
    """The card names each column of the contract."""
    assert [name for name in contract.columns if f"`{name}`" not in text] == []


def test_the_committed_card_keeps_its_line() -> None:
    """MODEL_CARD.md has the line below which words are kept."""
    root = ROOT
    assert card.YOURS in (root / card.CARD).read_text(encoding="utf-8")
