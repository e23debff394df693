"""Versions: what MLflow's Model Registry holds of this model, read and written."""

import getpass
import json
import re
from dataclasses import dataclass
from typing import Any

from mlops_ladder import project, ProjectError
from mlops_ladder.data import provenance
from mlops_ladder.registry import history
from mlops_ladder.tracking import runs

DECISION = re.compile(r"promotion\.\d{6}")
CONCLUDED = "promotions.concluded"
MISSING = "RESOURCE_DOES_NOT_EXIST"  # what MLflow calls it


def model_name() -> str:
    """The name of the registered model: that of the project's package."""
    return project.get_project().package


@dataclass(frozen=True)
class Version:
    """A version of the registered model, the run that made it, and the name of what it learned."""

    number: str
    run_id: str
    model_version: str


@dataclass(frozen=True)
class Held:
    """What the registry holds: the version of each alias, and the decisions by their numbers.

    All decisions up to `concluded` have been carried out.
    """

    aliases: dict[str, str]
    copies: dict[int, str]
    concluded: int

    @property
    def entries(self) -> list[history.Entry]:
        """The decisions in their order, without those that cannot be read."""
        found = (history.parse(self.copies[number]) for number in sorted(self.copies))
        return [entry for entry in found if entry]

    @property
    def champion(self) -> history.Entry | None:
        """The decision that made the champion what it is, or None where there is no champion."""
        return history.champion(self.entries)


def client() -> Any:
    """MLflow's client."""
    return runs.connect_mlflow().MlflowClient()


def held() -> Held:
    """What the registry holds now.  ProjectError where it does not answer."""
    mlflow = runs.connect_mlflow()
    try:
        found = client().get_registered_model(model_name())  # a search takes twice as long
    except mlflow.exceptions.MlflowException as error:
        if error.error_code == MISSING:
            return Held({}, {}, 0)
        raise ProjectError(f"{mlflow.get_registry_uri()}: no registry answers: {error}") from error
    tags = found.tags
    copies = {int(k.rpartition(".")[2]): v for k, v in tags.items() if DECISION.fullmatch(k)}
    aliases = {name: str(number) for name, number in found.aliases.items()}
    return Held(aliases, copies, int(tags.get(CONCLUDED, 0)))


def champion_run() -> runs.Run | None:
    """The run that made the champion, or None where there is no champion."""
    last = held().champion
    return runs.convert_run(client().get_run(last.run_id)) if last else None


def versions() -> dict[str, Version]:
    """Every version of the model, by its number."""
    found = client().search_model_versions(f"name = '{model_name()}'", max_results=10_000)
    known = [Version(str(it.version), it.run_id, it.tags.get("model_version", "")) for it in found]
    return {version.number: version for version in known}


def numbered(number: str) -> Version:
    """The version of this number.  ProjectError, with those that there are, where there is none."""
    known = versions()
    if number not in known:
        told = ", ".join(sorted(known, key=int)) or "none"
        raise ProjectError(f"v{number}: no such version; there are: {told}")
    return known[number]


def author() -> str:
    """Who makes a version: `Name <address>`, as git would sign; else the user of the system."""
    said = provenance.git("var", "GIT_AUTHOR_IDENT")
    return f"{said.rpartition('>')[0]}>" if said else system_user()


def system_user() -> str:
    """The user of the system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container the user may have no name
        return provenance.UNKNOWN


def logged(run_id: str) -> str:
    """The id of the model that a run has logged.  ProjectError where it has logged none."""
    outputs = client().get_run(run_id).outputs
    if not outputs or not outputs.model_outputs:
        raise ProjectError(f"run {run_id}: it has logged no model; `make pipeline` records one")
    return str(outputs.model_outputs[-1].model_id)


def create(run_id: str, model_version: str) -> Version:
    """A new version: the model that the run logged, with its signature."""
    mlclient, model_id = client(), logged(run_id)
    if not mlclient.search_registered_models(f"name = '{model_name()}'"):
        mlclient.create_registered_model(model_name())
    tags = {"model_version": model_version, "author": author()}
    given = {"tags": tags, "model_id": model_id}
    made = mlclient.create_model_version(model_name(), f"models:/{model_id}", run_id, **given)
    return Version(str(made.version), run_id, model_version)


def of(entry: history.Entry) -> Version:
    """The version that a decision is about."""
    return Version(str(entry.version), entry.run_id, entry.model_version)


def alias(name: str, number: str | None) -> None:
    """Have the alias name this version, or none."""
    if number:
        client().set_registered_model_alias(model_name(), name, number)
    else:
        client().delete_registered_model_alias(model_name(), name)


def origin(version: Version | None) -> dict[str, str]:
    """The commit and the data that a version was made from, by the names of an entry."""
    tags = client().get_run(version.run_id).data.tags if version else {}
    known = {"commit": "git.commit", "data_sha256": "data.sha256"}
    return {name: tags.get(tag, provenance.UNKNOWN) for name, tag in known.items()}


def key(number: int) -> str:
    """The tag that holds the decision of this number."""
    return f"promotion.{number:06}"


def write(entry: history.Entry) -> None:
    """Have the decision in the registry: its verdict with the version, the rest with the model."""
    if entry.version and entry.verdict:
        verdict = json.dumps(entry.verdict)
        tag = f"verdict.{entry.number:06}"
        client().set_model_version_tag(model_name(), entry.version, tag, verdict)
    client().set_registered_model_tag(model_name(), key(entry.number), entry.short)


def whole(entry: history.Entry) -> history.Entry:
    """A decision with its verdict, where its version is still there to hold it."""
    query = f"name = '{model_name()}' and version_number = {entry.version}"
    found = client().search_model_versions(query) if entry.version else []
    verdict = found[0].tags.get(f"verdict.{entry.number:06}") if found else None
    return entry.model_copy(update={"verdict": json.loads(verdict) if verdict else None})


def accepting(entry: history.Entry) -> history.Entry:
    """The decision by which the gate accepted a model, with its report: a rollback has none."""
    for it in reversed(history.promoted(held().entries)):
        if it.model_version == entry.model_version:
            return whole(it)
    return whole(entry)


def conclude(number: int) -> None:
    """Have the registry know that all decisions up to this one are carried out."""
    client().set_registered_model_tag(model_name(), CONCLUDED, str(number))


def erase(number: int) -> None:
    """Take a decision that cannot be read out of the registry."""
    client().delete_registered_model_tag(model_name(), key(number))
