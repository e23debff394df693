"""Objectives: what is promised over 30 days, as rules of Prometheus that say how fast it is spent.

An error budget is what may go wrong in 30 days.  A burn rate of 1 spends it in just that time.
Who is told when is chapter 5 of The Site Reliability Workbook (Google, 2018), "Multiwindow,
Multi-Burn-Rate Alerts": at once where 2 % is gone within an hour (14.4) or 5 % within six (6), with
a ticket where 10 % is gone within three days (1); a window of a twelfth says that it still goes on.
"""

from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import project, ProjectError, write_file_atomically
from mlops_ladder.serving.metrics import LATENCY_BOUNDS
from mlops_ladder.settings import load_settings
from mlops_ladder.monitoring.settings import Objectives

RULES = Path("monitoring/slo_rules.yml")
SHORT, LONG = ("5m", "30m", "1h"), ("6h", "3d", "30d")
HEAD = """\
# Written by `make objectives` from config/objectives.toml: change that, not this.
groups:
  - name: objectives now
    rules:
      - record: slo:bad:now
        labels: {slo: quality}
        expr: max by (namespace) (quality_degraded{%s})
      - record: slo:bad:now
        labels: {slo: freshness}
        expr: |
          time() - max by (namespace) (serving_model_trained_timestamp_seconds{%s})
            > bool max by (namespace) (serving_model_max_age_seconds{%s})
"""
QUICK = """\
  - name: burn rates
    rules:
"""
SLOW = """\
  - name: burn rates of many samples
    interval: 5m
    rules:
"""
RULE = """\
      - record: slo:burn:%s
        labels: {slo: %s}
        expr: |
          (%s) / %.6g
"""
LEFT = """\
  - name: budgets
    rules:
      - record: slo:budget:left
        expr: 1 - slo:burn:30d{%s}
"""
RATE = "sum by (namespace) (rate(%s{%s}[%s]))"
TIME = 'avg_over_time(slo:bad:now{%s, slo="%s"}[%s])'


def namespaces() -> str:
    """Which series are ours; each namespace is judged by itself."""
    return f'namespace=~"{project.get_project().namespace}-(production|staging)"'


def missed(slo: str, window: str, wanted: Objectives) -> str:
    """The share of requests, or of the time, in which an objective was missed in a window."""

    def rate(metric: str, label: str = "") -> str:
        return RATE % (metric, namespaces() + label, window)

    if slo == "availability":
        everything = rate("serving_requests_total")
        failed = rate("serving_requests_total", ', status=~"5.."')
        return f"({failed} or 0 * {everything}) / {everything}"
    if slo == "latency":
        edge = f"{wanted.latency_ms / 1000:g}"
        either = edge if "." in edge else f"{edge}|{edge}.0"  # as an older Prometheus writes it
        quick = rate("serving_request_seconds_bucket", f', le=~"{either}"')
        return f"1 - {quick} / {rate('serving_request_seconds_count')}"
    return TIME % (namespaces(), slo, window)


def rules(wanted: Objectives) -> str:
    """The text of the rules."""
    shares, text = wanted.model_dump(exclude={"latency_ms"}), HEAD % ((namespaces(),) * 3)
    for group, windows in ((QUICK, SHORT), (SLOW, LONG)):
        text += group
        for window in windows:
            for slo, share in shares.items():
                text += RULE % (window, slo, missed(slo, window, wanted), 1 - share)
    return text + LEFT % namespaces()


def checked(wanted: Objectives) -> Objectives:
    """The same.  ProjectError where the service counts no requests up to that time."""
    edges = [1000 * it for it in LATENCY_BOUNDS]
    if wanted.latency_ms not in edges:
        known = ", ".join(f"{it:g}" for it in edges)
        told = "is no edge of the service's histogram; there are"
        raise ProjectError(f"objectives.latency_ms = {wanted.latency_ms:g} {told} {known}")
    return wanted


def main(check: Annotated[bool, typer.Option("--check", help="only compare")] = False) -> None:
    """Write the rules of the objectives, or say whether they are those that are written."""
    text = rules(checked(load_settings().objectives))
    if check:
        if not RULES.exists() or RULES.read_text(encoding="utf-8") != text:
            message = f"{RULES}: not those of config/objectives.toml; run: make objectives"
            raise ProjectError(message)
        print(f"{RULES}: as config/objectives.toml says")
        return
    write_file_atomically(RULES, text)
    print(f"Wrote {RULES}.  Next: make alerts")
