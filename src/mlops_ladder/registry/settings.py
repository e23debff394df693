"""Settings of the registry: the gate, approval and signatures."""

from typing import Literal

from pydantic import Field

from mlops_ladder.strict_model import StrictModel


class Gate(StrictModel):
    """What a candidate has to reach: a gain over the champion, and a floor for each metric.

    `replace_uncompared`: the version that may be replaced though it cannot be compared.
    """

    min_gain: float = Field(default=0, ge=0)
    replace_uncompared: int | None = None
    floors: dict[str, float] = {}


class Approval(StrictModel):
    """Who else has to approve an accepted version before it becomes champion.

    `needed`: in a registry that others use too, in any, or in none.  `way`: by name, or by a
    signed commit.  `approvers`: names or addresses; without any, anybody.
    """

    needed: Literal["shared", "always", "never"] = "shared"
    way: Literal["named", "signed"] = "named"
    approvers: list[str] = []


class Signing(StrictModel):
    """Whether served bundles must be signed, by which key, and by whom (docs/supply.md).

    `key`: the key of the pipeline; it is set in the environment.  `signers`: a file
    with a line for each signer, as git's `gpg.ssh.allowedSignersFile`.
    """

    required: bool = False
    key: str = ""
    signers: str = ".signers"
