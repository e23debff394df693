"""Tried and planted: the bill of materials, signatures, pinned actions."""

import json
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.delivery import registered
from mlops_ladder.maturity.gov import WORKFLOWS
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import serving

SIGNER = "maturity@localhost"
IMAGE = f"sha256:{'0' * 64}"
# Staging in memory: `bring` is what would start an image.
PLACES = """
import subprocess, sys
from mlops_ladder.delivery import release
commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
class Places:
    class Refused(Exception): pass
    pinned = staticmethod(lambda image: image)
    bring = staticmethod(lambda *words: print("BROUGHT"))
if sys.argv[1] == "sign":
    release.perform(Places, release.sign, sys.argv[2], commit)
else:
    release.perform(release.Attested(Places), release.stage, sys.argv[2], commit)
"""


def key(copy: Copy, name: str) -> str:
    """A new key outside the files of the copy.  Unknown where no key can be made here."""
    path = copy.root / ".git" / name
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    copy.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    return str(path)


def needing(copy: Copy) -> dict[str, str]:
    """The environment in which everything has to be signed, by the key `own`."""
    own = key(copy, "own")
    public = (copy.root / ".git/own.pub").read_text(encoding="utf-8")
    (copy.root / ".signers").write_text(f"{SIGNER} {public}", encoding="utf-8")
    prefix = f"{copy.package.name.upper()}_SIGNING__"
    return {f"{prefix}REQUIRED": "true", f"{prefix}SIGNERS": ".signers", f"{prefix}KEY": own}


def champion(copy: Copy) -> tuple[str, str]:
    """The champion of `make rehearse`, and the sha256 of its bundle."""
    number = registered(copy.need("rehearse"))["aliases"].get("champion")
    if number is None:
        raise Unknown("no version is champion after make rehearse")
    pointer = json.loads((copy.root / "models/serving/champion.json").read_text(encoding="utf-8"))
    return str(number), str(pointer["sha256"])


def ready(copy: Copy, wanted: dict[str, str]) -> Any:
    """The status of /ready where everything has to be signed."""
    copy.environment.update(wanted)
    try:
        with serving(copy) as service:
            return service.ask("/ready")[0]
    finally:
        for name in wanted:
            copy.environment.pop(name, None)


@trial(
    "gov.supply", "a signed champion serves, a signed image is brought, and a bill names the model"
)
def vouched(copy: Copy) -> Iterator[str]:
    """Sign both, have them served, and read the bill."""
    number, sha256 = champion(copy)
    wanted = needing(copy)
    for target in (("sign", f"VERSION={number}"), ("sbom",), ("pinned",)):
        if (done := copy.run("make", *target, **wanted)).returncode:
            yield f"make {target[0]}: {last(done)}"
            return
    bill = json.loads((copy.root / "reports/sbom.json").read_text(encoding="utf-8"))
    kinds = {it["type"] for it in bill["components"]}
    models = [it for it in bill["components"] if it["type"] == "machine-learning-model"]
    if [it["hashes"][0]["content"] for it in models] != [sha256]:
        yield "reports/sbom.json: does not name the model that serves"
    for kind in {"library", "data"} - kinds:
        yield f"reports/sbom.json: names no {kind}"
    if (status := ready(copy, wanted)) != 200:
        yield f"/ready: {status}, though the champion is signed"
    for command in ("sign", "stage"):
        done = copy.python(PLACES, command, IMAGE, **wanted)
    if "BROUGHT" not in done.stdout:
        yield f"make stage: refuses a signed image: {last(done)}"


@fault("gov.supply", "a model that nobody of .signers has signed is not served")
def stranger(copy: Copy) -> Iterator[str]:
    """Ask for signatures where there is none, and then where somebody else has signed."""
    number, _ = champion(copy)
    wanted = needing(copy)
    if ready(copy, wanted) == 200:
        yield "/ready: serves a model that nobody has signed"
    stolen = wanted | {name: key(copy, "stranger") for name in wanted if name.endswith("__KEY")}
    if copy.run("make", "sign", f"VERSION={number}", **stolen).returncode == 0:
        yield "make sign: takes the signature of somebody whom .signers does not name"


@fault("gov.supply", "an image that is not signed gets nowhere")
def unsigned(copy: Copy) -> Iterator[str]:
    """Have an image brought to staging that nobody has signed."""
    done = copy.python(PLACES, "stage", IMAGE, **needing(copy))
    if done.returncode == 0 or "BROUGHT" in done.stdout or "not signed" not in done.stderr:
        yield f"make stage: brings an image that nobody has signed: {last(done)}"


@fault("gov.supply", "an action that is not pinned to its content is named")
def loose(copy: Copy) -> Iterator[str]:
    """Take the commit of one action away."""
    names = [
        name
        for name in copy.repository.glob(*WORKFLOWS)
        if "uses: actions/checkout@" in copy.repository.text(name)
    ]
    if not names:
        raise Unknown("no workflow uses an action")
    text = (copy.root / names[0]).read_text(encoding="utf-8")
    commit = text.partition("uses: actions/checkout@")[2].split()[0]
    copy.plant(names[0], f"actions/checkout@{commit}", "actions/checkout@v4")
    done = copy.run("make", "--silent", "pinned")
    if done.returncode == 0 or "actions/checkout@v4" not in done.stdout + done.stderr:
        yield f"make pinned: {names[0]} uses a tag, and it does not say so"
