"""Tried and planted: infrastructure as code, without an account."""

from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.sandbox import Copy, Done, last, reached

# What is planted in which file, and what has to be said of it.
PLANTED = [
    ("registry", "block_public_policy     = true", "block_public_policy     = false", "opens"),
    ("database", "publicly_accessible    = false", "publicly_accessible    = true", "internet"),
    ("database", "storage_encrypted = true", "storage_encrypted = false", "not encrypted"),
    ("deployer", '"ecr:BatchCheckLayerAvailability"', '"ecr:*"', "allows ecr:*"),
    ("deployer", "repo:${var.repository}:environment:${var.branch}", "repo:*", "other people"),
    ("deployer", "project_path:${var.repository}:", "project_path:*:", "other people"),
]


def made(copy: Copy, target: str) -> Done:
    """How a target ended.  Unknown where Terraform, or the provider that it needs, is not here."""
    done = copy.run("make", target)
    if "terraform: not installed" in done.stderr:
        raise Unknown("terraform: not installed")
    return reached(done)


@trial("infra.iac", "it is formatted and valid, passes its tests, and its plans keep every policy")
def planned(copy: Copy) -> Iterator[str]:
    """`make infra policies`, which needs no account."""
    for target in ("infra", "policies"):
        done = made(copy, target)
        if done.returncode:
            yield f"make {target}: {last(done)}"


@fault("infra.iac", "a plan that breaks a policy is refused, and the breach is named")
def breaking(copy: Copy) -> Iterator[str]:
    """Plant one of the breaches, taken at random, of the forge that is used."""
    forge = str(copy.original.answers.get("ci"))
    other = {"github": "project_path", "gitlab": "repo:"}.get(forge, "none")
    module, old, new, told = copy.random.choice([it for it in PLANTED if other not in it[1]])
    copy.plant(f"deploy/infra/{module}/main.tf", old, new)
    done = made(copy, "policies")
    if done.returncode == 0:
        yield f"make policies: passes, with {new} in deploy/infra/{module}"
    elif told not in done.stderr:
        yield f"make policies: does not name {new} in deploy/infra/{module}: {last(done)}"
