"""Following: a published model is served at once and whole, and a broken one never."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from library.serving.published import make_reloader, publish

from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import BUNDLE
from mlops_ladder.serving.model_reloader import ServedModel, ModelReloader, POINTER


@pytest.fixture(name="reloader")
def _reloader(tmp_path: Path, contract: Contract) -> ModelReloader:
    """A reloader that serves model 1."""
    publish(tmp_path, 1, contract)
    reloader = make_reloader(tmp_path, contract)
    reloader.refresh()
    return reloader


def served(reloader: ModelReloader) -> ServedModel:
    """The champion, which must be there."""
    assert reloader.current
    return reloader.current


def test_without_a_champion_nothing_is_served(tmp_path: Path, contract: Contract) -> None:
    """Before the first publication there is no model, and the words say what to do."""
    reloader = make_reloader(tmp_path, contract)
    reloader.refresh()
    assert reloader.current is None
    assert "no champion is published; run `make pipeline`" in str(reloader.last_error)


def test_a_promotion_and_a_rollback_are_followed(
    reloader: ModelReloader, contract: Contract
) -> None:
    """The next look serves what was published since; the pointer may go back."""
    for number in (2, 1):
        publish(reloader.folder, number, contract)
        reloader.refresh()
        champion = served(reloader)
        assert (champion.number, champion.run_id) == (f"{number}", f"run-{number}")
        assert reloader.last_error is None


def test_a_model_is_not_loaded_again(reloader: ModelReloader) -> None:
    """While the pointer stays, so does the model."""
    champion = served(reloader)
    reloader.refresh()
    assert served(reloader) is champion


@pytest.mark.parametrize("broken", ["", "{", "null", '{"version": "2"}'])
def test_a_broken_pointer_keeps_the_model(reloader: ModelReloader, broken: str) -> None:
    """A pointer that cannot be read is told, and model 1 serves on."""
    (reloader.folder / POINTER).write_text(broken, encoding="utf-8")
    reloader.refresh()
    assert served(reloader).number == "1" and reloader.last_error


def test_a_tampered_bundle_keeps_the_model(reloader: ModelReloader, contract: Contract) -> None:
    """A bundle that differs from what was published is refused by name, until it is whole again."""
    publish(reloader.folder, 2, contract)
    place = reloader.folder / "2" / BUNDLE
    whole = place.read_text(encoding="utf-8")
    place.write_text(whole + " ", encoding="utf-8")
    reloader.refresh()
    assert served(reloader).number == "1"
    assert f"{place}: sha256 is" in str(reloader.last_error)
    place.write_text(whole, encoding="utf-8")
    reloader.refresh()
    assert served(reloader).number == "2" and reloader.last_error is None


def test_a_model_that_cannot_answer_keeps_the_model(
    reloader: ModelReloader, contract: Contract
) -> None:
    """A model is asked once before it serves, and one that fails then is not served."""
    publish(reloader.folder, 3, contract)
    reloader.refresh()
    assert served(reloader).number == "1"
    assert reloader.last_error == "a model that cannot answer"


def test_no_request_meets_two_models(reloader: ModelReloader, contract: Contract) -> None:
    """While models change twenty times, number, version and answers of a champion agree."""

    def change() -> None:
        for turn in range(20):
            publish(reloader.folder, 1 + turn % 2, contract)
            reloader.refresh()

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        seen = set()
        while not changing.done():  # also where it has failed
            champion = served(reloader)
            time.sleep(0)  # lets the other thread have the interpreter
            rows, _ = champion.types.parse_rows(json.dumps(champion.types.example).encode())
            answer = champion.model.answers(rows)[0]
            best = list(answer["probability"].values()).index(1.0)
            seen.add((champion.number, champion.model.version, champion.run_id, best))
        changing.result()
    assert seen <= {("1", "model-1", "run-1", 1), ("2", "model-2", "run-2", 2)}
    assert json.loads((reloader.folder / POINTER).read_bytes())["version"] == "2"
