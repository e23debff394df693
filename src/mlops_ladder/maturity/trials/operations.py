"""Tried and planted: who may ask, what answers without a model, load."""

from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.service import asked, Service, serving

BEARER = "Authorization"
SLOW = "        found, shares = self.scores(rows)"
BRIEF = {"SECONDS": "2", "CONNECTIONS": "2"}


def brief(copy: Copy) -> dict[str, str]:
    """Settings of a load that takes seconds."""
    return {f"{copy.package.name.upper()}_LOAD__{key}": value for key, value in BRIEF.items()}


@trial("serving.security", "from the first key on nobody is answered without one")
def locked(copy: Copy) -> Iterator[str]:
    """Make a key, and ask with it, without it, and with another one."""
    copy.need("rehearse")
    key = copy.must("make", "--silent", "key", "NAME=trial").splitlines()[0]
    with serving(copy) as service:
        row = service.example()
        for words, sent, wanted in (
            ("no key", {}, 401),
            ("a wrong key", {BEARER: f"Bearer {key[:-1]}"}, 401),
            ("the key", {BEARER: f"Bearer {key}"}, 200),
        ):
            status, _ = asked(service.connect(), "/predict", row, **sent)
            if status != wanted:
                yield f"/predict: {status} with {words}, {wanted} is right"


@fault("serving.security", "a body that is too large, and too many requests, are refused")
def flooded(copy: Copy) -> Iterator[str]:
    """Send more bytes than are allowed; then more requests than a minute allows."""
    copy.need("rehearse")
    own = f"{copy.package.name.upper()}_ACCESS__"
    limits = {f"{own}BODY_BYTES": "1000", f"{own}REQUESTS_PER_MINUTE": "5"}
    copy.environment.update(limits)
    try:
        with serving(copy) as service:
            status, _ = service.ask("/predict", ["x" * 2000])
            if status != 413:
                yield f"/predict: {status} for a body of 2,000 bytes where 1,000 may be, not 413"
            seen = [service.ask("/predict", {})[0] for _ in range(8)]
            if 429 not in seen:
                yield f"/predict: {seen} for eight requests where five are allowed, no 429"
    finally:
        for name in limits:
            del copy.environment[name]


def marked(service: Service, flag: str, row: Any) -> bool:
    """Does the answer to a row carry this flag?"""
    _, said = service.ask("/predict", row)
    return bool(isinstance(said, dict) and said.get(flag))


@trial("serving.fallback", "a stand-in answers while the model is switched off, then the model")
def switched(copy: Copy) -> Iterator[str]:
    """`make off`, ask, `make on`, ask."""
    copy.need("rehearse")
    copy.must("make", "off")
    with serving(copy) as service:
        if not marked(service, "fallback", service.example()):
            yield "make off: the answer is not marked as a stand-in's"
    copy.must("make", "on")
    with serving(copy) as service:
        if marked(service, "fallback", service.example()):
            yield "make on: a stand-in answers still"


@fault("serving.fallback", "a model that is gone is stood in for")
def gone(copy: Copy) -> Iterator[str]:
    """Damage the file of the model, and start the service."""
    copy.need("rehearse")
    models = [it for it in copy.root.glob("models/serving/*/model.*") if it.is_file()]
    if not models:
        raise Unknown("models/serving: no model is published")
    for path in models:
        path.write_bytes(b"no model")
    with serving(copy) as service:
        if not marked(service, "fallback", service.example()):
            yield "/predict: nothing stands in for a model that cannot be loaded"


@trial("serving.load", "the service carries load within its budgets")
def carried(copy: Copy) -> Iterator[str]:
    """A brief load, with a p95 that a busy machine reaches too."""
    copy.need("rehearse")
    own = f"{copy.package.name.upper()}_LOAD__P95_MS"
    done = copy.run("make", "load", **(brief(copy) | {own: "2000"}))
    if done.returncode:
        yield f"make load: {(done.stderr or done.stdout).strip().splitlines()[-1]}"


@fault("serving.load", "a delay in the model breaks a budget")
def delayed(copy: Copy) -> Iterator[str]:
    """Let each answer take 0.3 s longer."""
    copy.need("rehearse")
    copy.spoil(
        "export/runtime.py",
        SLOW,
        SLOW.replace("found", "__import__('time').sleep(0.3)\n        found", 1),
    )
    if copy.run("make", "load", **brief(copy)).returncode == 0:
        yield "make load: a model that takes 0.3 s longer breaks no budget"
