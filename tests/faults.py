"""The faults that `make maturity` is tested with: what is planted, and the capability that falls.

`RECORDS` contradict what a project of level 2 has recorded, once its pipeline has run.  `MACHINES` break
what a project catches faults with: a deep run plants those faults, and sees that nobody catches them.
`PROMOTED`, `AGREED`, `PRIVATE` (by the files) and `FORGETTERS` (by a deep run) are of level 3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conftest import ok, plant, rewheel, ROOT

MLFLOW = "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); c = mlflow.MlflowClient();"
NEWEST = (
    "run = c.search_runs([e.experiment_id for e in c.search_experiments()],"
    " filter_string=\"tags.role = 'model'\", order_by=['attributes.start_time DESC'])[0];"
)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a project, and the capabilities that it lowers, no other."""

    name: str
    lowers: str  # ids, with a blank between two
    plant: Callable[[Path], object]


def asked(words: str) -> Callable[[Path], object]:
    """Have MLflow do something; `c` is its client, `run` the newest run of a model."""
    return lambda project: ok(".venv/bin/python", "-c", MLFLOW + NEWEST + words, at=project)


def artifact(project: Path, pattern: str) -> Path:
    """A file of the newest run that has one."""
    return max(project.glob(f"mlruns/*/*/artifacts/{pattern}"), key=lambda it: it.stat().st_mtime)


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file."""
    path.write_text("".join(change(path.read_text("utf-8").splitlines(keepends=True))), "utf-8")


def flipped(path: Path) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def first_data(project: Path) -> Path:
    """The first file of the sample."""
    return min((project / "data/sample").glob("*.csv"))


def turned(row: str) -> str:
    """A row of predictions with the other class."""
    cells = row.split(",")
    cells[-3] = {"True": "False", "False": "True"}[cells[-3]]
    return ",".join(cells)


def sql(database: str, words: str) -> Callable[[Path], object]:
    """Have SQLite do something."""
    script = f"import sqlite3; c = sqlite3.connect('{database}'); c.execute({words!r}); c.commit()"
    return lambda project: ok(".venv/bin/python", "-c", script, at=project)


RECORDS = [
    Fault(
        "an alias moved by hand",
        "registry.gate",
        asked("c.delete_registered_model_alias('flight_delays', 'champion')"),
    ),
    Fault(
        "a decision taken out of the log",
        "registry.gate",
        lambda project: lines(project / "promotions.jsonl", lambda them: them[1:]),
    ),
    Fault(
        "a decision rewritten in the log",
        "registry.gate",
        lambda project: plant(project / "promotions.jsonl", '"who": "', '"who": "not '),
    ),
    Fault(
        "a number of the model card edited",
        "doc.modelcard",
        lambda project: plant(project / "MODEL_CARD.md", "| roc_auc | 0.6", "| roc_auc | 0.9"),
    ),
    Fault(
        "a byte of the data flipped", "data.source", lambda project: flipped(first_data(project))
    ),
    Fault(
        "a tag of the newest run deleted",
        "tracking.runs",
        asked("c.delete_tag(run.info.run_id, 'seed')"),
    ),
    Fault(
        "the predictions of the newest run changed",
        "model.eval",
        lambda project: lines(
            artifact(project, "predictions.csv"), lambda them: [*them[:-1], turned(them[-1])]
        ),
    ),
    Fault(
        "a score below the baseline's",
        "model.baseline doc.modelcard",
        asked("c.log_metric(run.info.run_id, 'baseline.roc_auc', 0.99)"),
    ),
    Fault(
        "a row both learned from and held out",
        "data.split",
        lambda project: lines(
            artifact(project, "split/*.csv"),
            lambda them: [*them, them[-1].replace(",holdout", ",train")],
        ),
    ),
    Fault(
        "parameters that are not those of the best trial",
        "model.tune",
        asked(
            "c.set_tag(run.info.run_id, 'model.parameters',"
            " run.data.tags['model.parameters'].replace(': ', ': 7', 1))"
        ),
    ),
    Fault(
        "an input of the model that the contract lacks",
        "data.schema serving.api",
        lambda project: plant(project / "contract.toml", "[columns.carrier]", "[columns.carriers]"),
    ),
    Fault(
        "a prediction that names no model",
        "monitor.predlog",
        sql("predictions.db", "update predictions set model_version = ''"),
    ),
    Fault(
        "the run of the champion without its commit",
        "registry.versions",
        asked("c.set_tag(run.info.run_id, 'git.commit', 'unknown')"),
    ),
    Fault(
        "a secret in a commit that was taken back",
        "repo.hygiene",
        lambda project: [
            (project / "notes.txt").write_text("AKIA" + "ABCDEFGHIJKLMNOP\n", "utf-8"),
            ok("git", "add", "notes.txt", at=project),
            ok("git", "commit", "-qm", "Notes", at=project),
            ok("git", "rm", "-q", "notes.txt", at=project),
            ok("git", "commit", "-qm", "Gone", at=project),
        ],
    ),
    Fault(
        "a file of 6 MB that was taken back",
        "repo.hygiene",
        lambda project: [
            (project / "large.bin").write_bytes(bytes(6_000_000)),
            ok("git", "add", "--force", "large.bin", at=project),
            ok("git", "commit", "-qm", "Large", at=project),
            ok("git", "rm", "-q", "large.bin", at=project),
            ok("git", "commit", "-qm", "Gone", at=project),
        ],
    ),
    Fault(
        "secrets that git would take",
        "repo.hygiene",
        lambda project: plant(project / ".gitignore", "\n.env\n.env.*\n", "\n"),
    ),
    Fault(
        "a requirement that the lock lacks",
        "env.lock",
        lambda project: plant(
            project / "pyproject.toml", '    "mlops-ladder', '    "left-pad",\n    "mlops-ladder'
        ),
    ),
    Fault(
        "a source of which nobody knows the licence",
        "data.source",
        lambda project: plant(project / "data/sources.toml", '"CC0-1.0"', '"unknown"'),
    ),
    Fault(
        "a data version that names no bytes",
        "data.version",
        lambda project: (project / "data/own.csv.dvc").write_text(
            "outs: [{path: own.csv}]\n", "utf-8"
        ),
    ),
    Fault(
        "a path that the snapshot of the API lacks",
        "serving.api",
        lambda project: plant(project / "docs/openapi.json", '"/ready"', '"/redy"'),
    ),
    Fault(
        "a service that runs as root",
        "cd.deploy",
        lambda project: plant(project / "Dockerfile", "USER 10001", "USER root"),
    ),
    Fault(
        "a branch to which everybody may push",
        "ci.review",
        lambda project: plant(project / ".github/rulesets/main.json", "approv", "smil"),
    ),
    Fault(
        "a failing test that CI forgives",
        "ci.tests",
        lambda project: plant(
            project / ".github/workflows/ci.yml", "run: make test\n", "run: make test || true\n"
        ),
    ),
    Fault(
        "tests that assert nothing",
        "ci.tests repo.vcs data.split data.schema",
        lambda project: [
            path.write_text('"""Tests."""\n\n\ndef test_it() -> None:\n    assert True\n', "utf-8")
            for path in (project / "tests/data").glob("test_*.py")
        ],
    ),
]


def broken(path: str, old: str, new: str) -> Callable[[Path], object]:
    """Break a file of the library in the project's wheel; any other one is of the project."""
    if (ROOT / "src/mlops_ladder" / path).is_file():
        return lambda project: rewheel(project, path, old, new)
    return lambda project: plant(project / path, old, new)


STAGED = (
    '{"environment": "staging", "image": "sha256:a", "result": "deployed", "time": "2026-01-01"}\n'
)
PAST = STAGED.replace("staging", "production").replace("sha256:a", "sha256:b")
# Of a project of level 3 for Kubernetes.
PROMOTED = [
    Fault(
        "production is made from other files than staging",
        "cd.promote",
        lambda project: plant(
            project / "deploy/kubernetes/overlays/production/kustomization.yaml",
            "components: [../hardened]\n",
            "",
        ),
    ),
    Fault(
        "overlays that name an image",
        "cd.promote",
        lambda project: [
            plant(path, "resources:", "images: [{name: flight-delays, newTag: v1}]\nresources:")
            for path in project.glob("deploy/kubernetes/overlays/*/kustomization.yaml")
            if "hardened" not in path.parts
        ],
    ),
    Fault(
        "an image that nobody asks in staging",
        "cd.promote",
        broken("delivery/release.py", "targets.check_running(", "print("),
    ),
    Fault(
        "an image that got to production past staging",
        "cd.promote",
        lambda project: (project / "deployments.jsonl").write_text(STAGED + PAST, "utf-8"),
    ),
]

# Of a project of level 4 for Kubernetes, with a cloud.
OPTIMIZED = [
    Fault(name, lowers, broken(path, old, new))
    for name, lowers, path, old, new in [
        (
            "nobody tells the audit log",
            "gov.audit",
            "registry/decisions.py",
            ".after_decision(",
            ".after_training(",
        ),
        (
            "the audit log is not compared with its copies",
            "gov.audit",
            "governance/audit.py",
            "*find_chain_faults(",
            "*find_break(",
        ),
        (
            "no hook to the audit log",
            "gov.audit",
            "plugins.toml",
            "after_decision.audit",
            "before_decision.audit",
        ),
        (
            "the service asks for no signature",
            "gov.supply",
            "plugins.toml",
            "before_bundle_load.signing",
            "after_bundle_load.signing",
        ),
        (
            "an image is brought unverified",
            "gov.supply",
            "delivery/release.py",
            "raise self._targets.Refused",
            "print",
        ),
        (
            "stage does not ask for a signature",
            "gov.supply",
            "delivery/release.py",
            "return SignedTargets(targets) if",
            "return targets if",
        ),
        (
            "an action by its tag",
            "gov.supply",
            ".github/workflows/ci.yml",
            "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
            "actions/checkout@v7",
        ),
        (
            "it is not said whether signatures are required",
            "gov.supply",
            "config/signing.toml",
            "required = false",
            "key = ''",
        ),
        (
            "chance takes models back",
            "serving.canary",
            "config/rollout.toml",
            "false_aborts = 0.05",
            "false_aborts = 0.5",
        ),
        (
            "a rollout without a margin",
            "serving.canary",
            "config/rollout.toml",
            "latency = 1.5\n",
            "",
        ),
        (
            "a candidate that nobody covers",
            "serving.canary",
            "serving/canary.py",
            "attempt = ModelWithBackup(",
            "attempt = Loaded(",
        ),
        (
            "an experiment that never ends",
            "serving.abtest",
            "experiments/example.toml",
            "horizon = 5000",
            "horizon = 0   ",
        ),
        (
            "features that are not left out",
            "feature.review",
            "governance/feature_review.py",
            "value = estimate_loss(",
            "value = max(",
        ),
        (
            "documentation that claims",
            "gov.techdoc",
            "TECHNICAL.md",
            "Nothing is described yet",
            "It is compliant, and nothing is described yet",
        ),
        (
            "a statement without its source",
            "gov.techdoc",
            "TECHNICAL.md",
            "Nothing is described yet",
            "- It is good [said somebody]",
        ),
        (
            "documentation that nobody checks",
            "gov.techdoc",
            "Makefile",
            "check: techdoc-checked",
            "never: techdoc-checked",
        ),
        (
            "a post-mortem that asks for no cause",
            "gov.incident",
            "incidents/template.md",
            "## Why",
            "## Who",
        ),
        (
            "a retirement that nobody can try",
            "gov.incident",
            "docs/runbooks/retirement.md",
            "```sh\n",
            "```text\n",
        ),
        (
            "a password in a file of Terraform",
            "infra.iac",
            "deploy/infra/database/main.tf",
            "  manage_master_user_password         = true\n",
            '  password = "hunter2"\n',
        ),
        (
            "a database that is not encrypted",
            "infra.iac",
            "deploy/infra/database/main.tf",
            "storage_encrypted = true",
            "storage_encrypted = false",
        ),
        (
            "a plan that is applied unjudged",
            "infra.iac",
            "delivery/provision.py",
            "    refuse_plan(find_breaches(read_plan(plan, INFRA), loss),",
            "    print(",
        ),
        (
            "an autoscaler of something else",
            "serving.scale",
            "deploy/kubernetes/overlays/scaled/cpu/autoscaler.yaml",
            'kind: Deployment, name: "flight-delays"',
            'kind: Deployment, name: "another"',
        ),
        (
            "one pod, and none where it dies",
            "serving.scale",
            "deploy/kubernetes/overlays/scaled/requests/scaled.yaml",
            "minReplicaCount: 2",
            "minReplicaCount: 1",
        ),
        (
            "production without an autoscaler",
            "serving.scale",
            "deploy/kubernetes/overlays/scaled/production/kustomization.yaml",
            "components: [../cpu, ",
            "components: [",
        ),
        (
            "pods that follow no plan",
            "serving.canary",
            "deploy/kubernetes/overlays/scaled/production/kustomization.yaml",
            ", ../../rollout]",
            "]",
        ),
        (
            "a backend that nobody knows",
            "pipeline.scaleout",
            "config/scale.toml",
            'backend = "local"',
            'backend = "moon"',
        ),
        (
            "a search that stays in one process",
            "pipeline.scaleout",
            "pipeline/tuning.py",
            "executor.map(evaluate_params,",
            "map(evaluate_params,",
        ),
        (
            "a worker of any version",
            "pipeline.scaleout",
            "scaling/backends.py",
            "if faults := find_worker_differences(expected, collect_worker_facts()):",
            "if faults := []:",
        ),
    ]
]


# Of any project of level 3.
AGREED = [
    Fault(
        "a guide that does not say who decides",
        "data.labels",
        lambda project: plant(project / "docs/labelling.md", "## Who decides", "## Else"),
    ),
    Fault(
        "labels of which nobody knows who gave them",
        "data.labels",
        lambda project: plant(project / "data/sources.toml", 'annotator = "', 'nobody = "'),
    ),
    Fault(
        "agreement that is not measured",
        "data.labels",
        broken("labelling/labels.py", "cohen_kappa_score(first", "max(first"),
    ),
    Fault(
        "data of others without a contract",
        "data.contract",
        lambda project: plant(
            project / "governance/contracts/sample.toml", 'source = "sample"', 'source = "other"'
        ),
    ),
    Fault(
        "a contract that promises no age",
        "data.contract",
        lambda project: plant(
            project / "governance/contracts/sample.toml", "max_age_days", "min_age_days"
        ),
    ),
    Fault(
        "a version of a contract that nobody has accepted",
        "data.contract",
        lambda project: plant(project / "governance/contracts/sample.toml", '"0.0.3"', '"0.0.4"'),
    ),
    Fault(
        "aged data of which nobody is told",
        "data.contract",
        broken(
            "governance/data_agreements.py",
            "post_to_webhook(settings.schedule",
            "print(settings.schedule",
        ),
    ),
]


# Whose signs read the files of another capability: they fall with it, as what they promise does.
LEANING = {
    "data.privacy": {"gov.risk"},
    "data.split": {"gov.risk"},
    "model.behaviour": {"gov.risk"},
    "model.slices": {"gov.risk"},
    "monitor.alerts": {"gov.risk", "monitor.staleness"},
    "monitor.quality": {"pipeline.triggers"},
    "registry.approval": {"gov.risk"},
    "registry.gate": {"gov.risk"},
    "repo.entrypoint": {  # without the Makefile their targets are missing
        "cd.promote",
        "doc.runbook",
        "gov.audit",
        "gov.techdoc",
        "registry.approval",
        "serving.scale",
    },
    "repo.vcs": {"gov.techdoc"},  # `make check` asks for it
    "serving.api": {"gov.risk"},
    "serving.fallback": {"gov.risk"},
    "serving.security": {"gov.risk"},
}
HOOK = (
    "      - {id: private-key, name: private keys, entry: uv run --frozen --quiet"
    " detect-private-key, language: system, types: [text]}\n"
)
MACHINES = [
    Fault(name, lowers, broken(path, old, new))
    for name, lowers, path, old, new in [
        ("no hook looks for keys", "repo.hygiene", ".pre-commit-config.yaml", HOOK, ""),
        (
            "`make predict` loses rows",
            "repo.entrypoint",
            "batch/sinks.py",
            "frame.to_csv(stream",
            "frame.iloc[1:].to_csv(stream",
        ),
        (
            "the wheel lacks a module",
            "repo.vcs",
            "pyproject.toml",
            "[tool.uv.build-backend]\n",
            '[tool.uv.build-backend]\nwheel-exclude = ["problem.py"]\n',
        ),
        (
            "a lock that was edited passes in a fresh clone",
            "env.lock",
            "Makefile",
            "check: export UV_LOCKED = 1\n",
            "",
        ),
        (
            "a sha256 is compared with itself",
            "data.source",
            "data/sources.py",
            'elif (now := compute_sha256(path)) != declared["sha256"]:',
            'elif (now := compute_sha256(path)) == "":',
        ),
        (
            "ranges are not enforced",
            "data.schema",
            "data/validation.py",
            "if column.range and",
            "if False and",
        ),
        (
            "ids may come twice",
            "data.schema",
            "data/validation.py",
            'if column.role == "id":',
            "if False:",
        ),
        (
            "categories are not enforced",
            "data.schema",
            "data/validation.py",
            "if column.categories and",
            "if False and",
        ),
        (
            "any share may be missing",
            "data.schema",
            "data/validation.py",
            "max_share=column.missing if name == MISSING_SHARE else None,",
            "max_share=1.0 if name == MISSING_SHARE else None,",
        ),
        (
            "gaps pass where none may be",
            "data.schema",
            "data/validation.py",
            "if not column.nullable:",
            "if False:",
        ),
        (
            "a word among numbers is a gap",
            "data.schema",
            "data/reading.py",
            'frame[name] = numbers.astype("object").where(numbers.notna(), frame[name])',
            "frame[name] = numbers",
        ),
        (
            "a stored version is not renewed",
            "data.version",
            "data/versioning.py",
            "if keeper in changed or keeper not in tracked:",
            "if keeper not in tracked:",
        ),
        (
            "versions stay on this machine",
            "data.version",
            "data/versioning.py",
            '        run_dvc("push", *map(pointer_path, own))\n',
            "",
        ),
        (
            "no column gives the target away",
            "data.split",
            "model/split.py",
            "if share >= settings.leaks.threshold and",
            "if share > 1 and",
        ),
        (
            "tests are collected and not run",
            "ci.tests",
            "pyproject.toml",
            'addopts = "-ra --strict-markers"',
            'addopts = "-ra --strict-markers --collect-only"',
        ),
        (
            "the card is not compared",
            "doc.modelcard",
            "tracking/card.py",
            ", page, render_model_card(run, settings, contract))",
            ", page, page)",
        ),
        (
            "every tree is clean",
            "tracking.runs",
            "data/provenance.py",
            '"git.dirty": UNKNOWN if changes is None else str(bool(changes)).lower(),',
            '"git.dirty": "false",',
        ),
        (
            "scores are logged a little higher",
            "model.eval",
            "model/evaluation.py",
            "    metrics = trained.scores\n",
            "    metrics = {name: value + 0.01 for name, value in trained.scores.items()}\n",
        ),
        (
            "predictions name no model",
            "serving.batch",
            "batch/scoring.py",
            '.assign(model_version=saved["version"])',
            "",
        ),
        (
            "every export is like its model",
            "feature.shared",
            "export/bundle.py",
            "return self.largest <= TOLERANCE and not self.mismatched",
            "return True",
        ),
        (
            "two trainings are always alike",
            "model.repro",
            "pipeline/reproduction.py",
            "return sorted(name for name in seeds if params[name] is None)",
            "return []",
        ),
        (
            "the search chooses on rows held out",
            "model.tune",
            "pipeline/tuning.py",
            "data = parts.train, parts.validation,",
            "data = parts.train, parts.holdout,",
        ),
        (
            "a step that raises is forgiven",
            "pipeline.flow",
            "pipeline/command.py",
            "    except KeyboardInterrupt as error:\n"
            '        raise ProjectError("interrupted; run `make pipeline` again") from error\n',
            "    except (KeyboardInterrupt, RuntimeError):\n        return\n",
        ),
        (
            "the gate accepts a worse model",
            "registry.gate",
            "registry/gate.py",
            "return Verdict(accepted, ",
            "return Verdict(True, ",
        ),
        (
            "the gate refuses a better model",
            "registry.gate",
            "registry/gate.py",
            "gain.value > least",
            "gain.value > least + 9",
        ),
        (
            "nobody looks at the aliases",
            "registry.gate",
            "registry/decisions.py",
            "if names != right:",
            "if False:",
        ),
        (
            "the service does not follow",
            "registry.rollback",
            "serving/model_reloader.py",
            "if pointer != self._pointer:",
            "if not self._pointer:",
        ),
        (
            "a bad payload is answered with 200",
            "serving.api",
            "serving/predict_route.py",
            "Reply(orjson.dumps(violations), 422)",
            "Reply(orjson.dumps(violations), 200)",
        ),
        (
            "ready without a model",
            "serving.api",
            "serving/app.py",
            "            raise HTTPException(503, self.reloader.last_error)\n        return Ready(",
            '            return Ready(model_version="none")\n        return Ready(',
        ),
        (
            "a seventh of the requests is not logged",
            "monitor.predlog",
            "serving/prediction_log.py",
            "        self._queue.append(record)",
            "        if self._queued.requests % 7:\n            self._queue.append(record)",
        ),
        (
            "what the contract lacks is kept",
            "monitor.predlog",
            "serving/schemas.py",
            "if not all(row.keys() <= self.names for row in rows):",
            "if False:",
        ),
    ]
]

FORGOTTEN = (
    '{"ids": {"flight_id": "%s"}, "files": {"data/sample/flights-2013-01.csv": {"before": "%s"}}}\n'
)
FIRST = "7800c153eea07431bf28e46b64bef0b99f801ed6152066553c7e83a70145644c"
# Of a project of level 3: what privacy promises is not so.
PRIVATE = [
    Fault(
        "a banned column among the features",
        "data.privacy",
        lambda project: plant(
            project / "governance/privacy.toml", "names = [", 'names = ["Carrier", '
        ),
    ),
    Fault(
        "nothing is banned",
        "data.privacy",
        lambda project: plant(
            project / "governance/privacy.toml", "words = [", "words = []\nothers = ["
        ),
    ),
    Fault(
        "requests are kept for ever",
        "data.privacy",
        lambda project: plant(project / "governance/privacy.toml", "log_days = 90", ""),
    ),
    Fault(
        "a record that names who was forgotten",
        "data.privacy",
        lambda project: (project / "forgotten.jsonl").write_text(FORGOTTEN % ("Ada", "0"), "utf-8"),
    ),
    Fault(
        "a file that is as it was before somebody was forgotten",
        "data.privacy",
        lambda project: (project / "forgotten.jsonl").write_text(
            FORGOTTEN % ("0" * 64, FIRST), "utf-8"
        ),
    ),
]
FORGETTERS = [
    Fault(name, "data.privacy", broken(path, old, new))
    for name, path, old, new in [
        ("a banned column passes", "privacy/rules.py", "elif rule and name", "elif False and name"),
        ("no value looks personal", "privacy/rules.py", "if len(personal):", "if False:"),
        (
            "who was forgotten may come back",
            "privacy/erasure_log.py",
            "if make_mark(secret, name, normalize_id(hit, column)) in marks",
            "if False",
        ),
        (
            "what was logged of somebody stays",
            "privacy/erasure.py",
            "if archive:",
            "if False:",
        ),
        (
            "somebody is nowhere, and that is no error",
            "privacy/erasure.py",
            "if not parts and not changes and not ERASURE_MARKER.exists():",
            "if False:",
        ),
        ("`make check` asks nothing", "Makefile", "check: privacy-checked", "# check:"),
    ]
]
