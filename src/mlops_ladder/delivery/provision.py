"""Plan the infrastructure, judge the plan, and apply that very plan: nothing else is ever applied.

`ladder provision check` formats, validates and tests deploy/infra/ without an account;
`judge` plans both environments offline, from nothing, and judges these plans;
`plan`, `apply` and `destroy` act on ENVIRONMENT (staging) in the account that its file names.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import get_data
from typing import Any

from mlops_ladder.delivery.policies import find_breaches, refuse_plan

INFRA = Path("deploy/infra")
ENVIRONMENTS = ("staging", "production")
OFFLINE = ("offline_override.tf", "example.tfvars")  # beside this module


def run_terraform(*arguments: str, at: Path = INFRA, quiet: bool = False) -> str:
    """Run terraform; print its output, or return it if `quiet`.  End the program if it fails."""
    command = ["terraform", f"-chdir={at}", *arguments]
    command += ["-no-color"] if quiet and arguments[0] in ("init", "plan") else []
    try:
        done = subprocess.run(command, capture_output=quiet, text=True, check=False)
    except FileNotFoundError:
        sys.exit("terraform: not installed; https://developer.hashicorp.com/terraform/install")
    if done.returncode:
        sys.exit(f"{done.stderr or ''}\nterraform {arguments[0]}: failed".strip())
    return done.stdout or ""


def read_plan(plan: Path, at: Path) -> Any:
    """Return a plan as policies read it."""
    return json.loads(run_terraform("show", "-json", str(plan), at=at, quiet=True))


@contextmanager
def copy_infra() -> Iterator[Path]:
    """Yield a temporary copy of deploy/infra/ without its state and backend."""
    ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "backend.tf")
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(INFRA, Path(folder, "infra"), ignore=ignored))


def check_infra() -> None:
    """Check the format and the syntax, and run deploy/infra/tests, in a copy."""
    run_terraform("fmt", "-check", "-recursive", "-diff")
    with copy_infra() as at:
        for step in (["init", "-backend=false", "-input=false"], ["validate"], ["test"]):
            run_terraform(*step, at=at, quiet=step[0] == "init")


def judge_offline() -> None:
    """Plan both environments from nothing, with every resource, and judge the plans."""
    os.environ.pop("AWS_ENDPOINT_URL", None)
    with copy_infra() as at:
        for file in OFFLINE:
            (at / file).write_bytes(get_data(__package__, file) or b"")
        run_terraform("init", "-input=false", at=at, quiet=True)
        for name in ENVIRONMENTS:
            options = [f"-var-file=environments/{name}.tfvars", f"-var-file={OFFLINE[1]}"]
            options += [f"-out={name}.plan", "-input=false"]
            run_terraform("plan", *options, at=at, quiet=True)
            plan = read_plan(Path(f"{name}.plan"), at)
            refuse_plan(find_breaches(plan), name)
            print(f"{name}: {len(plan['resource_changes'])} resources keep every policy")


def make_plan(environment: str, *options: str) -> Path:
    """Return the path of a plan that keeps every policy; end the program if it does not."""
    if environment not in ENVIRONMENTS:
        sys.exit(f"ENVIRONMENT={environment}: not one of {', '.join(ENVIRONMENTS)}")
    if environment == "production" and not (INFRA / "backend.tf").exists():
        reason = "missing: production's state would be here alone; see docs/cloud.md"
        sys.exit(f"{INFRA}/backend.tf: {reason}")
    own = INFRA / "environments" / f"{environment}.tfbackend"
    backend = [f"-backend-config={own.resolve()}", "-reconfigure"] if own.exists() else []
    run_terraform("init", "-input=false", *backend, quiet=True)
    if not backend:  # a state for each, side by side
        run_terraform("workspace", "select", "-or-create", environment, quiet=True)
    plan = Path("build", f"{environment}.plan").resolve()
    plan.parent.mkdir(exist_ok=True)
    variables = f"-var-file=environments/{environment}.tfvars"
    run_terraform("plan", "-input=false", variables, f"-out={plan}", *options)
    loss = os.environ.get("LOSS") == "yes"
    refuse_plan(find_breaches(read_plan(plan, INFRA), loss), f"the plan for {environment}")
    print("The plan keeps every policy.")
    return plan


def main(arguments: list[str]) -> None:
    """Do what the first argument names: check, judge, plan, apply or destroy."""
    command = arguments[0] if arguments else "check"
    if command in ("check", "judge"):
        {"check": check_infra, "judge": judge_offline}[command]()
    elif command in ("plan", "apply", "destroy"):
        options = ["-destroy"] if command == "destroy" else []
        plan = make_plan(os.environ.get("ENVIRONMENT") or "staging", *options)
        if command != "plan":
            run_terraform("apply", "-input=false", str(plan))
            plan.unlink()
    else:
        sys.exit(f"{command}: not one of check, judge, plan, apply, destroy")
