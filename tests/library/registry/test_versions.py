"""The registry: what is champion was decided by the gate, and anything else is found."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from library.registry.candidates import accepted, candidate, made, promoted, refused

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.bundle import export_bundle, TOLERANCE
from mlops_ladder.model import training
from mlops_ladder.model.split import list_row_ids, Splits
from mlops_ladder.model.training import Trained
from mlops_ladder.registry import champion, decisions, history, promotion, publishing, versions
from mlops_ladder.registry.versions import Version
from mlops_ladder.tracking import runs


@pytest.fixture(name="empty", autouse=True)
def _empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is promoted, and a model of its own in the registry."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    return folder


def served_model(run: runs.Run, trained: Trained) -> Version:
    """A champion with the real bundle of the trained model, and a record of its rows."""
    run_id = made(run, trained.version)
    export_bundle(trained, Path("real"), run_id)
    versions.get_client().log_artifacts(run_id, "real", "serving")
    parted = Splits(trained.train, trained.train.head(0), trained.holdout)
    text = list_row_ids(parted, trained.contract).to_csv(index=False)
    versions.get_client().log_text(run_id, text, f"split/{run_id}.csv")
    version = promotion.register_version(run_id, trained.version, accepted())
    promotion.promote_version(version, accepted())
    return version


def assert_equal(found: pd.DataFrame | None, wanted: pd.DataFrame) -> None:
    """The same answers for the same rows, up to the precision of the export."""
    assert found is not None
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, atol=TOLERANCE)


def aliases() -> dict[str, str]:
    """The aliases of the model, and the version that each names."""
    return versions.read_state().aliases


def served() -> str:
    """The version that the service is told to serve."""
    return str(json.loads(publishing.POINTER.read_text(encoding="utf-8"))["version"])


def test_the_first_accepted_version_is_champion_and_served(run: runs.Run) -> None:
    """Without a champion the first accepted version becomes one, and its bundle is published."""
    version = promoted(run, "a")
    assert aliases() == {"candidate": version.number, "champion": version.number}
    assert (served(), decisions.verify_registry(versions.read_state())) == (version.number, [])
    assert (publishing.SERVING / version.number / "model.joblib").read_bytes() == b"a"


def test_the_champion_leads_to_its_run_and_scores(run: runs.Run, trained: Trained) -> None:
    """Champion, run, commit, data, parameters, lock and signature hang together; it predicts."""
    promoted(run, "a")
    mlflow = runs.connect_mlflow()
    address = f"models:/{versions.model_name()}@champion"
    version = versions.get_client().get_model_version_by_alias(versions.model_name(), "champion")
    data = versions.get_client().get_run(version.run_id).data
    rows = trained.holdout[trained.contract.inputs()].head(5)
    found = mlflow.sklearn.load_model(address).predict(rows)
    signature = mlflow.models.get_model_info(address).signature
    assert {"git.commit", "data.sha256", "env.lock_sha256"} <= data.tags.keys() and data.params
    assert signature.inputs.input_names() == list(rows)
    assert np.array_equal(found, trained.predictions["prediction"].head(5))


def test_the_champion_is_asked_about_the_rows_of_the_candidate(
    run: runs.Run, trained: Trained
) -> None:
    """The champion's predictions for the held-out rows stand beside those of the candidate."""
    name = f"champion v{served_model(run, trained).number}"
    judged, found, answers = champion.predict_for_gate(trained)
    assert_equal(found[name], trained.predictions)
    assert list(found) == ["candidate", "baseline", name]
    assert list(judged.holdout.index) == list(trained.holdout.index)
    assert [it.reason for it in answers] == [f"it is {name} itself: there is nothing to gain"]


def test_a_champion_whose_code_is_gone_is_asked_by_its_bundle(
    run: runs.Run, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's copy needs the project's code as it was; what is served does not."""
    name = f"champion v{served_model(run, trained).number}"

    def gone(*_: object) -> None:
        raise AttributeError("module 'problem' has no attribute 'calendar'")

    monkeypatch.setattr(runs.connect_mlflow().sklearn, "load_model", gone)
    found, answers = champion.predict_for_gate(trained)[1:]
    assert_equal(found[name], trained.predictions)
    assert len(answers) == 1


@pytest.mark.parametrize("fault", ["serving/bundle.json", "split"])
def test_a_champion_that_cannot_be_asked_refuses(
    run: runs.Run, trained: Trained, fault: str
) -> None:
    """A damaged bundle, or no record of what it has learned from: no, and the reason is said."""
    version = served_model(run, trained)
    shutil.rmtree(publishing.SERVING)
    file = f"split/{version.run_id}.csv" if fault == "split" else fault
    versions.get_client().log_text(version.run_id, "row,part\n1,train\n", file)
    found, answers = champion.predict_for_gate(trained)[1:]
    assert found[f"champion v{version.number}"] is None
    told = f"champion v{version.number} cannot predict these rows: "
    assert [it.is_passed for it in answers if it.reason.startswith(told)] == [False]


def test_rows_that_the_champion_has_learned_from_are_left_out(
    run: runs.Run, trained: Trained
) -> None:
    """A candidate that is held out other rows is compared on those that are new to both."""
    version, count = served_model(run, trained), len(trained.holdout)
    name = f"champion v{version.number}"
    seen = trained.train.head(count // 2)
    held = pd.concat([trained.holdout, seen])
    other = training.fit_model(
        trained.train.drop(seen.index), held, trained.contract, trained.settings
    )
    judged, found, answers = champion.predict_for_gate(other)
    assert list(judged.holdout.index) == list(trained.holdout.index)
    assert_equal(found[name], trained.predictions)
    assert len(judged.predictions) == len(judged.baseline) == len(judged.truth) == count
    told = f"{name} has learned from {len(seen)} of {len(held)} held-out rows, now left out"
    assert told in [it.reason for it in answers]


def test_a_champion_is_asked_about_each_row_once(run: runs.Run, trained: Trained) -> None:
    """Also if the candidate has learned from held-out rows, and from some of them twice."""
    name = f"champion v{served_model(run, trained).number}"
    twice = replace(trained, train=pd.concat([trained.train, trained.holdout, trained.holdout]))
    judged, found, answers = champion.predict_for_gate(
        twice, pd.concat([trained.train, trained.holdout])
    )
    assert_equal(found[name], trained.predictions)
    assert (len(judged.truth), len(answers)) == (len(trained.truth), 1)


def test_a_champion_that_has_learned_from_all_rows_refuses(run: runs.Run, trained: Trained) -> None:
    """No score is compared on rows that one of the two knows: the answer is no."""
    version = served_model(run, trained)
    other = training.fit_model(trained.holdout, trained.train, trained.contract, trained.settings)
    found, answers = champion.predict_for_gate(other)[1:]
    assert (found[f"champion v{version.number}"], [it.is_passed for it in answers]) == (
        None,
        [False],
    )
    assert f"all but 0 of the {len(trained.train)} held-out rows" in answers[0].reason


def test_a_champion_is_asked_with_a_column_that_the_candidate_ignores(
    run: runs.Run, trained: Trained
) -> None:
    """Whoever leaves out a column does not get rid of the champion that uses it."""
    first = served_model(run, trained)
    lost = trained.contract.inputs()[0]
    frame = pd.concat([trained.train, trained.holdout])
    without = replace(trained, holdout=trained.holdout.drop(columns=lost))
    found, answers = champion.predict_for_gate(without, frame)[1:]
    assert_equal(found[f"champion v{first.number}"], trained.predictions)
    assert len(answers) == 1


def test_a_champion_of_another_contract_is_told_and_not_asked(
    run: runs.Run, trained: Trained
) -> None:
    """If the rows lack what the champion needs, the answer is no, and the reason is said."""
    first = served_model(run, trained)
    lost = trained.contract.inputs()[0]
    less = {name: getattr(trained, name).drop(columns=lost) for name in ("train", "holdout")}
    found, answers = champion.predict_for_gate(replace(trained, **less))[1:]
    assert found[f"champion v{first.number}"] is None
    assert [answer.is_passed for answer in answers] == [False, False]
    assert f"{lost}: column is missing" in answers[1].reason


def test_another_question_refuses(run: runs.Run, trained: Trained) -> None:
    """A champion that answers another question is not replaced without a word of a person."""
    served_model(run, trained)
    other = "regression" if trained.settings.problem == "classification" else "classification"
    asked = trained.settings.model_copy(update={"problem": other})
    answers = champion.predict_for_gate(replace(trained, settings=asked))[2]
    assert (
        not answers[-1].is_passed
        and f"it predicts {trained.settings.problem}" in answers[-1].reason
    )


def test_a_champion_whose_classes_have_other_names_is_not_compared(
    run: runs.Run, trained: Trained
) -> None:
    """All that it says would count as wrong, and any candidate would beat it."""
    if trained.settings.problem == "regression":
        return
    first, target = served_model(run, trained), trained.contract.target
    parts = trained.train, trained.holdout
    train, holdout = (it.assign(**{target: it[target].astype("str") + "!"}) for it in parts)
    found, answers = champion.predict_for_gate(replace(trained, train=train, holdout=holdout))[1:]
    assert found[f"champion v{first.number}"] is None
    assert not answers[-1].is_passed and "but the data have" in answers[-1].reason
    fewer = replace(trained, train=trained.train[trained.train[target] == trained.truth.iloc[0]])
    assert champion.predict_for_gate(fewer)[1][f"champion v{first.number}"] is not None


def test_the_log_says_who_promoted_what_when_and_why(run: runs.Run) -> None:
    """A promotion is a line with its author, commit, data and the evidence of the verdict."""
    first, second = promoted(run, "a"), promoted(run, "b")
    entry = json.loads(history.LOG.read_text(encoding="utf-8").splitlines()[1])
    assert (entry["version"], entry["previous"]) == (second.number, first.number)
    assert (entry["action"], entry["run_id"]) == ("promote", second.run_id)
    assert (entry["commit"], entry["data_sha256"]) == (
        run.tags["git.commit"],
        run.tags["data.sha256"],
    )
    assert entry["verdict"]["evidence"] == {"champion": f"champion v{first.number}", "rows": 30}
    assert entry["who"] and entry["time"].endswith("Z")


def test_an_equal_model_gets_no_second_version(run: runs.Run) -> None:
    """The same model from another run is the version that is there, and is not promoted again."""
    first = promoted(run, "a")
    again = promotion.register_version(candidate(run, "a"), "a", accepted())
    promotion.promote_version(again, accepted())
    assert (again, len(versions.list_versions()), len(history.read_log_lines())) == (first, 1, 1)


def test_the_same_model_with_more_beside_it_renews_the_champion(run: runs.Run) -> None:
    """A version with the verdict of the one before it; a rollback leads to another model."""
    first, second = promoted(run, "a"), promoted(run, "b")
    run_id, verdict = made(run, "b", ("reference.json",)), history.read_log()[2].verdict
    entry = versions.read_state().champion
    assert entry and publishing.find_missing_files(entry, run_id) == ["reference.json"]
    third = promotion.renew_champion(run_id)
    assert aliases() == {"candidate": "3", "champion": "3", "previous": first.number}
    assert (third.number, third.model_version, served()) == ("3", second.model_version, "3")
    entry = history.read_log()[3]
    assert (entry.action, entry.verdict) == ("renew", verdict)
    assert (
        decisions.verify_registry(versions.read_state())
        == publishing.find_missing_files(entry, run_id)
        == []
    )
    assert promotion.roll_back().version == first.number
    assert promotion.roll_back().version == third.number


def test_the_same_model_with_another_contract_renews_the_champion(
    run: runs.Run, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed `enforce` reaches the service with the next pipeline run."""
    promoted(run, "a")
    name = contract.inputs()[0]
    changed = contract.columns[name].model_copy(update={"enforce": True})
    stricter = contract.model_copy(update={"columns": contract.columns | {name: changed}})
    monkeypatch.setattr("library.registry.candidates.read_contract", lambda: stricter)
    run_id, entry = made(run, "a"), versions.read_state().champion
    assert entry and publishing.find_missing_files(entry, run_id) == ["contract.toml"]
    assert promotion.renew_champion(run_id).number == served() == "2"


def test_another_model_renews_nothing(run: runs.Run) -> None:
    """What is brought beside a model must be of that model."""
    promoted(run, "a")
    with pytest.raises(ProjectError, match="it made model b; there is a"):
        promotion.renew_champion(candidate(run, "b"))
    assert (len(versions.list_versions()), len(history.read_log_lines())) == (1, 1)


def test_a_refused_candidate_is_logged_and_changes_nothing(run: runs.Run) -> None:
    """A refusal leaves champion and service as they are, and says why in the log."""
    first = promoted(run, "a")
    worse = promotion.register_version(candidate(run, "b"), "b", refused())
    assert aliases() == {"candidate": worse.number, "champion": first.number}
    entry = history.read_log()[2]
    assert (entry.action, entry.verdict["reasons"]) == ("refuse", ["worse: no"])
    with pytest.raises(ProjectError, match="the gate has refused it\n  worse: no"):
        promotion.promote_version(worse, refused())
    assert (served(), decisions.verify_registry(versions.read_state())) == (first.number, [])


def test_a_verdict_about_another_champion_is_refused(run: runs.Run) -> None:
    """Where another run has promoted meanwhile, the comparison no longer holds."""
    verdict = accepted()
    late = promotion.register_version(candidate(run, "a"), "a", verdict)
    promoted(run, "b")
    with pytest.raises(ProjectError, match="compared with no champion; by now there is champion"):
        promotion.promote_version(late, verdict)


def test_a_run_without_a_sound_bundle_is_not_promoted(run: runs.Run) -> None:
    """No bundle, a damaged one or one of another model: refused, and nothing is written."""
    without = promotion.register_version(run.run_id, "none", accepted())
    other = promotion.register_version(candidate(run, "a"), "b", accepted())
    damaged = promotion.register_version(candidate(run, "damaged"), "damaged", accepted())
    versions.get_client().log_text(damaged.run_id, "changed", "serving/model.joblib")
    for version, told in ((without, "no bundle"), (other, "of model a"), (damaged, "joblib: chan")):
        with pytest.raises(ProjectError, match=told):
            promotion.promote_version(version, accepted())
    assert ("champion" not in aliases(), history.read_log_lines()) == (True, [])


def alias_moved(first: str, _second: str) -> None:
    """The champion is changed in MLflow, by hand."""
    versions.get_client().set_registered_model_alias(versions.model_name(), "champion", first)


def alias_removed(_first: str, _second: str) -> None:
    """The previous champion is taken away in MLflow, by hand."""
    versions.get_client().delete_registered_model_alias(versions.model_name(), "previous")


def version_renamed(_first: str, second: str) -> None:
    """The champion is said to be of another model."""
    versions.get_client().set_model_version_tag(versions.model_name(), second, "model_version", "x")


def version_deleted(_first: str, second: str) -> None:
    """The champion is deleted in MLflow."""
    versions.get_client().delete_model_version(versions.model_name(), second)


def line_edited(_first: str, _second: str) -> None:
    """Another author is written into the log."""
    text = history.LOG.read_text(encoding="utf-8")
    history.LOG.write_text(text.replace('"who": "', '"who": "not ', 1), encoding="utf-8")


def evidence_edited(_first: str, _second: str) -> None:
    """Another number is written into the evidence of the log."""
    text = history.LOG.read_text(encoding="utf-8")
    history.LOG.write_text(text.replace('"rows": 30', '"rows": 3000', 1), encoding="utf-8")


def line_added(first: str, _second: str) -> None:
    """A promotion that never was is written into the log."""
    entry = history.read_log()[2].model_copy(update={"number": 3, "version": first})
    history.append_entry(entry)


def pointer_edited(first: str, _second: str) -> None:
    """The service is told to serve another version."""
    said = json.loads(publishing.POINTER.read_text(encoding="utf-8")) | {"version": first}
    publishing.POINTER.write_text(json.dumps(said), encoding="utf-8")


def bundle_edited(_first: str, second: str) -> None:
    """The model that is served is another one."""
    (publishing.SERVING / second / "model.joblib").write_bytes(b"another")


FAULTS = {
    alias_moved: "alias champion: it names version 1; the gate decided on 2",
    alias_removed: "alias previous: it names version None; the gate decided on 1",
    version_renamed: "v2: promoted was",
    version_deleted: "v2: promoted was",
    line_edited: "decision 1 was changed",
    evidence_edited: "decision 1 was changed",
    line_added: "decision 3 is not the gate's",
    pointer_edited: "champion.json: it says",
    bundle_edited: "model.joblib: changed",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_the_gate_did_not_do_is_found_refused_and_put_back(
    run: runs.Run,
    fault: Callable[[str, str], None],
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each change by hand is named, stops the gate, and a repair brings a logged champion back."""
    first, second = promoted(run, "a"), promoted(run, "b")
    fault(first.number, second.number)
    assert command("registry") == 1
    assert FAULTS[fault] in capsys.readouterr().err
    with pytest.raises(ProjectError, match="REPAIR=yes"):
        promotion.register_version(run.run_id, "c", accepted())
    assert command("registry", "--repair") == 0
    sound = fault not in (version_renamed, version_deleted)
    champion = second.number if sound else first.number
    assert (aliases()["champion"], served()) == (champion, champion)
    actions = [entry.action for entry in history.read_log().values()]
    assert (decisions.verify_registry(versions.read_state()), actions[-1]) == ([], "repair")


def test_the_log_comes_back_on_a_machine_that_has_none(run: runs.Run) -> None:
    """Where only the registry is known, the log and what is served come from there, unchanged."""
    promoted(run, "a")
    second = promoted(run, "b")
    log = history.LOG.read_bytes()
    history.LOG.unlink()
    shutil.rmtree(publishing.SERVING)
    promotion.publish_champion()
    assert (history.LOG.read_bytes(), served()) == (log, second.number)
    assert decisions.verify_registry(versions.read_state()) == []


def test_two_machines_on_one_registry_both_decide(
    run: runs.Run, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each decision of the other every command works, and both know the same decisions."""
    here, there = Path("here").resolve(), Path("there").resolve()
    promoted(run, "a")
    for place in (here, there):
        shutil.copytree(publishing.SERVING, place / publishing.SERVING)
        shutil.copy(history.LOG, place)
        for name in ("config.toml", "contract.toml"):
            shutil.copy(name, place)
    for place, decide, champion in (
        (here, lambda: promoted(run, "b"), "2"),
        (there, lambda: promoted(run, "c"), "3"),
        (here, promotion.roll_back, "2"),
        (there, promotion.roll_back, "3"),
    ):
        monkeypatch.chdir(place)
        decide()
        for other in (here, there):
            monkeypatch.chdir(other)
            assert command("registry") == 0
            assert (aliases()["champion"], decisions.verify_registry(versions.read_state())) == (
                champion,
                [],
            )
            assert command("registry", "--repair") == 0
    assert (here / history.LOG).read_bytes() == (there / history.LOG).read_bytes()
    monkeypatch.chdir(here)
    assert (served(), [command("publish") for _ in range(2)], served()) == ("2", [0, 0], "3")


def test_two_decisions_at_the_same_moment_are_one(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another machine decides while this one does, this one stops before it writes."""
    first, late = promoted(run, "a"), candidate(run, "b")

    def meanwhile(version: Version) -> dict[str, str]:
        entry = history.read_log()[1].model_copy(update={"number": 2, "action": "repair"})
        versions.write_decision(entry)
        versions.mark_applied(2)
        return {"commit": version.number, "data_sha256": ""}

    version = promotion.register_version(late, "b", accepted())
    monkeypatch.setattr(versions, "read_origin", meanwhile)
    with pytest.raises(ProjectError, match="another machine has decided meanwhile"):
        promotion.promote_version(version, accepted())
    assert (aliases()["champion"], len(history.read_log_lines())) == (first.number, 1)


def test_a_lost_line_comes_back_from_the_registry(
    run: runs.Run, command: Callable[..., int]
) -> None:
    """The log is an export: what it lacks is no fault, and is written again."""
    promoted(run, "a")
    promoted(run, "b")
    lines = history.read_log_lines()
    history.LOG.write_text(lines[0], encoding="utf-8")
    assert (command("registry"), history.read_log_lines()) == (0, lines)


def test_a_second_promotion_waits_for_the_first(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one process promotes another waits, and says so when it has waited long enough."""
    monkeypatch.setattr("mlops_ladder.registry.decisions.LOCK_TIMEOUT_S", 0.1)
    with (
        decisions.locked_registry(),
        pytest.raises(ProjectError, match="another decision has held it"),
    ):
        promotion.register_version(run.run_id, "a", accepted())
