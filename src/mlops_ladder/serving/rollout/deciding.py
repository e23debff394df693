"""Rollouts: a person or the pipeline starts one; by evidence it waits, continues or ends."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, UTC
from typing import Annotated, Any

import typer

from mlops_ladder import ProjectError
from mlops_ladder.export.runtime import read_bundle
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import history, promotion, publishing, versions
from mlops_ladder.registry.decisions import get_actor, registry_lock
from mlops_ladder.registry.gate import Verdict
from mlops_ladder.registry.versions import Version
from mlops_ladder.serving.assignment import CANDIDATE, Plan
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.serving.rollout.analysis import analyse, Analysis, Truths
from mlops_ladder.serving.rollout.decisions import decide, Decision, make_next_decision
from mlops_ladder.serving.store import read_variants
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.serving.settings import Rollout
from mlops_ladder.tracking import runs

INPUTS = ("kind", "format", "timezone")
HEAD = f"{'':22} {'champion':>12} {'candidate':>12}"


def start_accepted(version: Version, verdict: Verdict) -> str:
    """Start the rollout of a version that the gate has accepted, if `rollout.enabled` is set.

    Return why the version is not promoted now; "" if it may be: there is no rollout for the first.
    """
    settings = load_settings()
    if not settings.rollout.enabled or not versions.read_state().champion:
        return ""
    again = f"make rollout VERSION={version.number}"
    with registry_lock(decisions.LOCK):
        now = decisions.finish_last_decision()
        if now and now.version != version.number:
            return f"The rollout of v{now.version} goes on; then: {again}"
        if now:
            return f"Its rollout goes on: {decisions.describe_decision(now)}.  Next: make rollout"
        ended = [line for line in decisions.read_rollout_log() if line.version == version.number]
        if aborted := [line for line in ended if line.action == "abort"]:
            why = "; ".join(aborted[-1].reasons)
            return f"Its rollout was aborted: {why}.  Again: {again}"
        begun = begin_rollout(version, verdict, settings.rollout)
        return f"{begun}.  Next: make serve, make rollout"


def start_rollout(
    number: str, wanted: Rollout, experiment: str = "", question: str = ""
) -> Decision:
    """Start the rollout of a version.

    Raises ProjectError if another rollout runs, or if the two models take different inputs.  Also
    if the version waits for an approval, or if the gate has not accepted it against this champion.
    """
    with registry_lock(decisions.LOCK):
        if now := decisions.finish_last_decision():
            text = f"the rollout of v{now.version} goes on; to end it: make rollout ABORT=yes"
            raise ProjectError(text)
        version = versions.get_version(number)
        return begin_rollout(version, read_verdict(version.run_id), wanted, experiment, question)


def read_verdict(run_id: str) -> Verdict:
    """Return the gate's verdict on the model of a run.  Raise ProjectError if there is none."""
    mlflow = runs.connect_mlflow()
    try:
        report = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/gate.json"))
    except mlflow.exceptions.MlflowException as error:
        raise ProjectError(f"run {run_id}: no gate has judged it; run: make pipeline") from error
    return Verdict(report["accepted"], tuple(report["reasons"]), report["evidence"])


def begin_rollout(
    version: Version, verdict: Verdict, wanted: Rollout, experiment: str = "", question: str = ""
) -> Decision:
    """Log the start of a rollout, and let the service start it.

    Raises ProjectError if it may not begin, or if an earlier rollout has its name.
    """
    champion = decisions.get_champion_entry()
    refuse_unfit(version, verdict, champion)
    sha256 = publishing.ensure_bundle(version)
    refuse_other_inputs(version.number, str(champion.version))
    name = experiment or f"v{version.number}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    if any(entry.rollout == name for entry in decisions.read_rollout_log()):
        raise ProjectError(f"{name}: it was begun before; an experiment is made once: name another")
    pair: Any = {"rollout": name, "version": version.number, "champion": str(champion.version)}
    about: Any = {"who": get_actor(), "experiment": experiment, "question": question}
    about |= {"verdict": asdict(verdict), "reasons": ["the gate has accepted it"]}
    plan = first_step(pair, version.run_id, sha256, wanted)
    begun = Decision(
        time=datetime.now(UTC), action="start", plan=plan, wanted=wanted, **pair, **about
    )
    get_hooks().before_rollout(begun=begun, settings=load_settings())
    return decide(begun)


def refuse_unfit(version: Version, verdict: Verdict, champion: history.Entry) -> None:
    """Raise ProjectError if a version may not replace this champion."""
    about = f"v{version.number}"
    if not verdict.accepted:
        raise ProjectError("\n  ".join([f"{about}: the gate has refused it", *verdict.reasons]))
    if objections := promotion.find_blocking_reasons(version, verdict):
        raise ProjectError("\n  ".join([f"{about}: no client meets it yet", *objections]))
    compared, there = verdict.evidence["champion"], history.name_champion(champion)
    if champion.version == version.number or compared != there:
        text = f"it was compared with {compared or 'no champion'}; by now there is {there}"
        raise ProjectError(f"{about}: {text}; run `make pipeline` again")


def first_step(pair: dict[str, Any], run_id: str, sha256: str, wanted: Rollout) -> Plan:
    """Return the first plan of a rollout: the shadow, or the first share of the clients."""
    own: Any = {"run_id": run_id, "sha256": sha256, "key_header": wanted.key_header}
    share = 0 if wanted.shadow else wanted.shares[0]
    return Plan(step=0, share=share, shadow=wanted.shadow, **pair, **own)


def refuse_other_inputs(version: str, champion: str) -> None:
    """Raise ProjectError if two bundles do not take the same inputs of the same kinds."""
    bundles = (read_bundle(publishing.SERVING / number) for number in (version, champion))
    mine, theirs = map(describe_inputs, bundles)
    if mine != theirs:
        differing = sorted(name for name in mine | theirs if mine.get(name) != theirs.get(name))
        raise ProjectError(
            f"v{version}: its inputs differ from those of champion v{champion}: "
            f"{', '.join(differing)}; no client can ask both: set rollout.enabled = false, and"
            " promote it at once: make pipeline"
        )


def describe_inputs(bundle: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the kind and the format of each input of a bundle."""
    columns = bundle.get("contract", {}).get("columns", {})
    inputs = {name: spec for name, spec in columns.items() if spec["role"] in ("feature", "time")}
    return {name: tuple(spec.get(key) for key in INPUTS) for name, spec in inputs.items()}


@dataclass(frozen=True)
class Standing:
    """The state of a rollout: its newest decision, the comparison since, and what it waits for."""

    decision: Decision
    analysis: Analysis
    waits: str = ""


def measure_standing(now: Decision, settings: Settings) -> Standing:
    """Return the comparison of the variants since a decision, and what the step waits for."""
    assert now.plan
    bundle = read_bundle(publishing.SERVING / now.champion)
    rows = read_variants(settings.serving.prediction_log_url, now.rollout, now.plan.step)
    classes, truths = bundle.get("classes"), find_truths(settings, now)
    analysis = analyse(rows, classes, now.wanted, now.wanted.steps, truths)
    waits, wanted = [], now.wanted
    if analysis.fewer < wanted.units:
        few = CANDIDATE if analysis.candidate <= analysis.champion else "champion"
        waits.append(f"the {few} has answered {analysis.fewer} of {wanted.units} units")
    left = now.time + timedelta(minutes=wanted.minutes) - datetime.now(UTC)
    if left > timedelta():
        waits.append(f"{left.total_seconds() / 60:.1f} of {wanted.minutes:g} minutes are left")
    return Standing(now, analysis, "; ".join(waits))


def find_truths(settings: Settings, now: Decision) -> Truths:
    """Return the known outcomes of the requests since the start of a rollout, by request id.

    Plugins give them by the hook `find_outcomes`.
    """
    begun = next(line.time for line in decisions.read_rollout_log() if line.rollout == now.rollout)
    truths: dict[str, Any] = {}
    for labels in get_hooks().find_outcomes(settings=settings, since=begun):
        truths |= labels
    return truths


def step_rollout(settings: Settings) -> Standing | None:
    """Let a rollout wait, continue or end, and return its state; None if there is no rollout.

    It is aborted as soon as the candidate is worse.  It continues once the step has enough units
    and time.  An experiment does not continue by itself: people decide it.
    """
    with registry_lock(decisions.LOCK):
        now = decisions.finish_last_decision()
        if not now:
            return None
        standing = measure_standing(now, settings)
        analysis = standing.analysis
        if analysis.worse:
            decision = make_next_decision(now, "abort", analysis.worse, None, analysis.evidence)
        elif standing.waits or now.experiment:
            return standing
        else:
            decision = choose_next_step(now, analysis)
        return Standing(decide(decision), analysis)


def choose_next_step(now: Decision, analysis: Analysis) -> Decision:
    """Return the step after this one: a larger share, or after the last one all clients."""
    assert now.plan
    why = f"in {analysis.candidate} units no worse than the champion in {analysis.champion}"
    place = now.plan.step + 1
    if place == now.wanted.steps:
        return make_next_decision(now, "promote", [why], None, analysis.evidence)
    share = now.wanted.shares[place - now.wanted.shadow]
    plan = now.plan.model_copy(update={"step": place, "share": share, "shadow": False})
    return make_next_decision(now, "advance", [why], plan, analysis.evidence)


def stop_rollout(reason: str, promote: bool = False) -> Decision:
    """End the rollout by hand.  Raise ProjectError if there is none."""
    with registry_lock(decisions.LOCK):
        now = decisions.finish_last_decision()
        if not now:
            raise ProjectError("no rollout goes on; to begin one: make rollout VERSION=n")
        return decide(make_next_decision(now, "promote" if promote else "abort", [reason]))


def main(
    version: Annotated[str, typer.Option(metavar="N", help="begin its rollout")] = "",
    go: Annotated[bool, typer.Option("--step", help="go on, wait or abort, by evidence")] = False,
    seconds: Annotated[
        float, typer.Option("--watch", metavar="SECONDS", help="until it has ended")
    ] = 0,
    fetch: Annotated[str, typer.Option(metavar="N", help="only fetch its bundle")] = "",
    abort: Annotated[bool, typer.Option("--abort", help="end it: the champion stays")] = False,
) -> None:
    """Show the rollout, or start, step, watch or abort it."""
    settings = load_settings()
    if fetch:
        publishing.ensure_bundle(versions.get_version(fetch))
    elif version:
        print(start_rollout(version, settings.rollout))
        print("Next: make serve, make rollout STEP=yes")
    elif abort:
        print(stop_rollout("by hand"))
    elif seconds:
        watch_rollout(settings, seconds)
    else:
        print(format_standing(step_rollout(settings) if go else inspect_rollout(settings)))


def inspect_rollout(settings: Settings) -> Standing | None:
    """Return the state of the rollout without a decision; an interrupted one is finished first."""
    with registry_lock(decisions.LOCK):
        now = decisions.finish_last_decision()
    return measure_standing(now, settings) if now else None


def format_standing(standing: Standing | None) -> str:
    """Return the state for a person: the numbers of both variants, and the next command."""
    if not standing:
        ended = decisions.find_last_decision()
        before = f"  The last one: {ended}" if ended else ""
        return f"No rollout goes on.{before}\nNext: make rollout VERSION=n"
    analysis, decision = standing.analysis, standing.decision
    lines = [str(decision), HEAD, f"{'units':22} {analysis.champion:12} {analysis.candidate:12}"]
    lines += map(str, analysis.findings)
    if not decision.is_running:
        return "\n".join([*lines, "It has ended.  Next: make registry"])
    waits = f"Waits: {standing.waits}." if standing.waits else "The step has seen enough."
    return "\n".join([*lines, f"{waits}  Next: make rollout STEP=yes"])


def watch_rollout(settings: Settings, seconds: float) -> None:
    """Step again and again until the rollout has ended.  Raise ProjectError if it was aborted."""
    last = None
    while standing := step_rollout(settings):
        if standing.decision != last:
            print(format_standing(standing), flush=True)
        last = standing.decision
        if not last.is_running or last.experiment and not standing.waits:
            break
        time.sleep(seconds)
    ended = decisions.find_last_decision()
    if not ended or ended.action == "abort":
        reasons = "; ".join(ended.reasons) if ended else "no rollout goes on"
        raise ProjectError(f"no new champion: {reasons}")
