"""Tried and planted: owners and risks."""

from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.gov import split, there
from mlops_ladder.maturity.sandbox import Copy, last


@trial("gov.ownership", "each file that git tracks has an owner")
def owned(copy: Copy) -> Iterator[str]:
    """Ask the project's own command."""
    done = copy.run("make", "--silent", "owned")
    if done.returncode:
        yield f"make owned: {last(done)}"
    if "ladder owners" not in copy.must("make", "--dry-run", "check"):
        yield "make check: does not look at the owners"


@fault("gov.ownership", "a file that nobody owns is named")
def unowned(copy: Copy) -> Iterator[str]:
    """Take the owner of one file away."""
    name = copy.random.choice(sorted(copy.repository.files))
    with (copy.root / "CODEOWNERS").open("a", encoding="utf-8") as file:
        file.write(f"\n/{name}\n")
    done = copy.run("make", "--silent", "owned")
    if not done.returncode or name not in done.stdout + done.stderr:
        yield f"CODEOWNERS: {name} has no owner now, and `make owned` does not say so"


@trial("gov.risk", "each high risk has a control that is there")
def controlled(copy: Copy) -> Iterator[str]:
    """Ask the project's own command."""
    done = copy.run("make", "--silent", "risks")
    if done.returncode:
        yield f"make risks: {last(done)}"


@fault("gov.risk", "a control that is gone is named")
def uncontrolled(copy: Copy) -> Iterator[str]:
    """Rename one test that stands against a risk."""
    register = copy.repository.parsed("governance/risk.toml") or {}
    known = [str(it) for risk in register.get("risk", []) for it in risk.get("controls", [])]
    tests = [it for it in known if it.startswith("test:") and there(copy.repository, *split(it))]
    if not tests:
        raise Unknown("governance/risk.toml: no test stands against any risk")
    path, _, function = split(copy.random.choice(tests))[1].partition("::")
    copy.plant(path, f"def {function}(", f"def other_{function}(")
    done = copy.run("make", "--silent", "risks")
    if not done.returncode or function not in done.stdout + done.stderr:
        yield f"governance/risk.toml: {function} is gone, and `make risks` does not say so"
