"""What is made in a cloud: infrastructure as code, and who judges it."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity import sign, Unknown
from mlops_ladder.maturity.repository import Repository

SECRET = re.compile(r'^\s*(?:\w*password|\w*secret_key|token)\s*=\s*"[^"$]+"', re.MULTILINE)
TOOL = "delivery/provision.py"
# What has to be said somewhere, and what is wrong where it is not.
SAID = {
    r"required_version\s*=": "no version of Terraform is asked for",
    r'resource "aws_s3_bucket_public_access_block"': "nothing keeps the bucket from being public",
    r"storage_encrypted\s*=\s*true": "the database is not encrypted",
    r"deletion_protection\s*=": "nothing keeps production's database from being deleted",
}


@sign("infra.iac", "infrastructure is code without a secret, and no plan is applied unjudged")
def coded(repository: Repository) -> Iterator[str]:
    """Read the files of Terraform, and what applies them."""
    files = repository.glob("*.tf", "deploy/infra", "infra", "terraform")
    texts = {name: repository.text(name) for name in files if name.endswith(".tf")}
    for name, text in texts.items():
        if found := SECRET.search(text):
            yield f"{name}: {found[0].split('=')[0].strip()} stands in the file"
    if not repository.ours:
        if not texts:
            raise Unknown("what other tools say is not read")
        return
    words = "\n".join(texts.values())
    yield from (f"infra: {why}" for wanted, why in SAID.items() if not re.search(wanted, words))
    if not re.search(r"hashes = \[\s*\"", repository.text("deploy/infra/.terraform.lock.hcl")):
        yield "deploy/infra/.terraform.lock.hcl: pins no provider"
    if not re.search(
        r"^run \"", repository.text("deploy/infra/tests/environments.tftest.hcl"), re.M
    ):
        yield "deploy/infra/tests: nothing is tested"
    tool = repository.library.get(TOOL, "")
    judged = tool.find("refuse(breaches(shown(plan, INFRA)")
    if judged < 0 or not judged < tool.find('terraform("apply"'):
        yield f"{TOOL}: a plan is applied that nobody has judged"
