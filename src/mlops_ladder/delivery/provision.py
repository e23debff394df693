"""Plan the infrastructure, judge the plan, and apply that very plan: nothing else is ever applied.

`ladder provision check` formats, validates and tests infra/ without an account;
`judge` plans both environments offline, from nothing, and judges these plans;
`plan`, `apply` and `destroy` act on ENVIRONMENT (staging) in the account that its file names.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from pkgutil import get_data
from typing import Any

from mlops_ladder.delivery import policies

INFRA = Path("infra")
ENVIRONMENTS = ("staging", "production")
EXAMPLE = {
    "account": "123456789012",
    "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/example",
    "image": f"registry.example.com/service@sha256:{'0' * 64}",
    "repository": "organisation/name",
}  # so that everything there can be is judged


def terraform(*arguments: str, at: Path = INFRA, quiet: bool = False) -> str:
    """What terraform prints, shown as it comes unless it is `quiet`; else the program ends."""
    command = ["terraform", f"-chdir={at}", *arguments]
    command += ["-no-color"] if quiet and arguments[0] in ("init", "plan") else []
    try:
        done = subprocess.run(command, capture_output=quiet, text=True, check=False)
    except FileNotFoundError:
        sys.exit("terraform: not installed; https://developer.hashicorp.com/terraform/install")
    if done.returncode:
        sys.exit(f"{done.stderr or ''}\nterraform {arguments[0]}: failed".strip())
    return done.stdout or ""


def shown(plan: Path, at: Path) -> Any:
    """A plan as policies read it."""
    return json.loads(terraform("show", "-json", str(plan), at=at, quiet=True))


def refuse(found: list[str], what: str) -> None:
    """End the program where a plan breaks a policy."""
    if found:
        sys.exit("\n".join([*found, f"Refused: {what} breaks policies.  Nothing is made."]))


def check() -> None:
    """Format, syntax, and the tests of infra/tests, in a copy: no state is touched."""
    terraform("fmt", "-check", "-recursive", "-diff")
    with tempfile.TemporaryDirectory() as folder:
        at = copied(Path(folder))
        for step in (["init", "-backend=false", "-input=false"], ["validate"], ["test"]):
            terraform(*step, at=at, quiet=step[0] == "init")


def copied(folder: Path) -> Path:
    """A copy of infra/ without a state of its own, and without a backend."""
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "backend.tf")
    return Path(shutil.copytree(INFRA, folder / "infra", ignore=ignored))


def judge() -> None:
    """Plan both environments from nothing, with all there can be, and judge them."""
    os.environ.pop("AWS_ENDPOINT_URL", None)
    with tempfile.TemporaryDirectory() as folder:
        at = copied(Path(folder))
        provider = (get_data(__package__, "offline_provider.tf") or b"").decode()
        (at / "offline_override.tf").write_text(provider, encoding="utf-8")
        terraform("init", "-input=false", at=at, quiet=True)
        for name in ENVIRONMENTS:
            given = [f"-var-file=environments/{name}.tfvars", f"-out={name}.plan"]
            given += [f"-var={key}={value}" for key, value in EXAMPLE.items()]
            terraform("plan", "-input=false", *given, at=at, quiet=True)
            plan = shown(Path(f"{name}.plan"), at)
            refuse(policies.breaches(plan), name)
            print(f"{name}: {len(plan['resource_changes'])} resources keep every policy")


def planned(environment: str, *options: str) -> Path:
    """A plan for an environment that keeps every policy; else the program ends."""
    if environment not in ENVIRONMENTS:
        sys.exit(f"ENVIRONMENT={environment}: not one of {', '.join(ENVIRONMENTS)}")
    if environment == "production" and not (INFRA / "backend.tf").exists():
        sys.exit(
            "infra/backend.tf: missing: production's state would be here alone; see docs/cloud.md"
        )
    own = INFRA / "environments" / f"{environment}.tfbackend"
    backend = [f"-backend-config={own.resolve()}", "-reconfigure"] if own.exists() else []
    terraform("init", "-input=false", *backend, quiet=True)
    if not backend:  # a state for each, side by side
        terraform("workspace", "select", "-or-create", environment, quiet=True)
    plan = Path("build", f"{environment}.plan").resolve()
    plan.parent.mkdir(exist_ok=True)
    given = [f"-var-file=environments/{environment}.tfvars", f"-out={plan}", *options]
    terraform("plan", "-input=false", *given)
    loss = os.environ.get("LOSS") == "yes"
    refuse(policies.breaches(shown(plan, INFRA), loss), f"the plan for {environment}")
    print("The plan keeps every policy.")
    return plan


def main(arguments: list[str]) -> None:
    """What the command line asks for."""
    command = arguments[0] if arguments else "check"
    environment = os.environ.get("ENVIRONMENT") or "staging"
    if command in ("check", "judge"):
        {"check": check, "judge": judge}[command]()
    elif command in ("plan", "apply", "destroy"):
        plan = planned(environment, *(["-destroy"] if command == "destroy" else []))
        if command != "plan":
            terraform("apply", "-input=false", str(plan))
            plan.unlink()
    else:
        sys.exit(f"{command}: not one of check, judge, plan, apply, destroy")
