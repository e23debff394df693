"""Versions: reads and writes MLflow's Model Registry for this project's model."""

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
MISSING = "RESOURCE_DOES_NOT_EXIST"  # MLflow's error code


def model_name() -> str:
    """Return the name of the registered model: the name of the project's package."""
    return project.get_project().package


@dataclass(frozen=True)
class Version:
    """A version of the registered model, its run, and the hash of the trained model."""

    number: str
    run_id: str
    model_version: str


@dataclass(frozen=True)
class RegistryState:
    """The state of the registry: the version of each alias, and the decisions by number.

    All decisions up to `concluded` are applied.
    """

    aliases: dict[str, str]
    copies: dict[int, str]
    concluded: int

    @property
    def entries(self) -> list[history.Entry]:
        """The decisions in their order, without unreadable ones."""
        entries = (history.parse_entry(self.copies[number]) for number in sorted(self.copies))
        return [entry for entry in entries if entry]

    @property
    def champion(self) -> history.Entry | None:
        """The decision that made the current champion, or None if there is no champion."""
        return history.find_champion_entry(self.entries)


def get_client() -> Any:
    """Return MLflow's client."""
    return runs.connect_mlflow().MlflowClient()


def find_registered_model() -> Any:
    """Return MLflow's record of the registered model, or None if there is none.

    Raises ProjectError if the registry does not answer.
    """
    mlflow = runs.connect_mlflow()
    try:
        return get_client().get_registered_model(model_name())  # a search takes twice as long
    except mlflow.exceptions.MlflowException as error:
        if error.error_code == MISSING:
            return None
        raise ProjectError(f"{mlflow.get_registry_uri()}: no registry answers: {error}") from error


def read_state() -> RegistryState:
    """Return the present state of the registry.  Raise ProjectError if it does not answer."""
    if not (model := find_registered_model()):
        return RegistryState({}, {}, 0)
    tags = model.tags
    copies = {int(k.rpartition(".")[2]): v for k, v in tags.items() if DECISION.fullmatch(k)}
    aliases = {name: str(number) for name, number in model.aliases.items()}
    return RegistryState(aliases, copies, int(tags.get(CONCLUDED, 0)))


def require_champion() -> history.Entry:
    """Return the decision that made the champion.  Raise ProjectError if there is no champion."""
    if not (entry := read_state().champion):
        raise ProjectError("no version is champion yet; run `make pipeline`")
    return entry


def read_version_tags(number: str) -> dict[str, str]:
    """Return the tags of a version in the registry."""
    return dict(get_client().get_model_version(model_name(), number).tags)


def set_version_tag(number: str, name: str, value: str) -> None:
    """Set a tag of a version in the registry."""
    get_client().set_model_version_tag(model_name(), number, name, value)


def find_champion_run() -> runs.Run | None:
    """Return the run of the champion, or None if there is no champion."""
    last = read_state().champion
    return runs.convert_run(get_client().get_run(last.run_id)) if last else None


def search_versions(condition: str = "") -> list[Any]:
    """Return MLflow's records of the model's versions, those that meet a further condition."""
    query = f"name = '{model_name()}'{condition}"
    return list(get_client().search_model_versions(query, max_results=10_000))


def list_versions() -> dict[str, Version]:
    """Return every version of the model, by its number."""
    every = [
        Version(str(record.version), record.run_id, record.tags.get("model_version", ""))
        for record in search_versions()
    ]
    return {version.number: version for version in every}


def get_version(number: str) -> Version:
    """Return the version of this number.  Raise ProjectError that lists the versions if none is."""
    versions = list_versions()
    if number not in versions:
        numbers = ", ".join(sorted(versions, key=int)) or "none"
        raise ProjectError(f"v{number}: no such version; there are: {numbers}")
    return versions[number]


def get_author() -> str:
    """Return the author of a new version: `Name <address>` as in git, else the system's user."""
    signature = provenance.run_git("var", "GIT_AUTHOR_IDENT")
    return f"{signature.rpartition('>')[0]}>" if signature else get_system_user()


def get_system_user() -> str:
    """Return the user of the system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container the user may have no name
        return provenance.UNKNOWN


def find_logged_model(run_id: str) -> str:
    """Return the id of the model that a run has logged.  Raise ProjectError if there is none."""
    outputs = get_client().get_run(run_id).outputs
    if not outputs or not outputs.model_outputs:
        raise ProjectError(f"run {run_id}: no logged model; `make pipeline` records one")
    return str(outputs.model_outputs[-1].model_id)


def create_version(run_id: str, model_version: str) -> Version:
    """Register the model that a run has logged as a new version."""
    client, model_id = get_client(), find_logged_model(run_id)
    if not find_registered_model():
        client.create_registered_model(model_name())
    tags = {"model_version": model_version, "author": get_author()}
    record = client.create_model_version(
        model_name(), f"models:/{model_id}", run_id, tags=tags, model_id=model_id
    )
    return Version(str(record.version), run_id, model_version)


def version_from_entry(entry: history.Entry) -> Version:
    """Return the version that a decision is about."""
    return Version(str(entry.version), entry.run_id, entry.model_version)


def set_alias(name: str, number: str | None) -> None:
    """Point the alias at this version, or delete it."""
    if number:
        get_client().set_registered_model_alias(model_name(), name, number)
    else:
        get_client().delete_registered_model_alias(model_name(), name)


def read_origin(version: Version | None) -> dict[str, str]:
    """Return the commit and the data of a version's run, by the field names of an entry."""
    tags = get_client().get_run(version.run_id).data.tags if version else {}
    names = {"commit": "git.commit", "data_sha256": "data.sha256"}
    return {name: tags.get(tag, provenance.UNKNOWN) for name, tag in names.items()}


def decision_tag(number: int) -> str:
    """Return the tag that holds the decision of this number."""
    return f"promotion.{number:06}"


def write_decision(entry: history.Entry) -> None:
    """Write the decision into the registry: the verdict to the version, the rest to the model."""
    if entry.version and entry.verdict:
        set_version_tag(entry.version, f"verdict.{entry.number:06}", json.dumps(entry.verdict))
    get_client().set_registered_model_tag(model_name(), decision_tag(entry.number), entry.short)


def with_verdict(entry: history.Entry) -> history.Entry:
    """Return a decision with its verdict, if its version still exists and holds it."""
    condition = f" and version_number = {entry.version}"
    records = search_versions(condition) if entry.version else []
    verdict = records[0].tags.get(f"verdict.{entry.number:06}") if records else None
    return entry.model_copy(update={"verdict": json.loads(verdict) if verdict else None})


def find_acceptance(entry: history.Entry) -> history.Entry:
    """Return the decision that accepted this version, with its report: a rollback has none."""
    promotions = history.list_promotions(read_state().entries)
    own = [promotion for promotion in promotions if promotion.version == entry.version]
    return with_verdict([entry, *own][-1])


def mark_applied(number: int) -> None:
    """Record in the registry that all decisions up to this one are applied."""
    get_client().set_registered_model_tag(model_name(), CONCLUDED, str(number))


def delete_decision(number: int) -> None:
    """Delete an unreadable decision from the registry."""
    get_client().delete_registered_model_tag(model_name(), decision_tag(number))
