"""A level adds rooms; it does not move walls."""

import pytest
from conftest import files, Generate, LEVELS

SEAMS = {"Makefile", "README.md", "pyproject.toml"}
RECORDS = {".cruft.json", "uv.lock"}
CLAIM = b"[tool.mlops-ladder]\nlevel = %b\n"
STEPS = list(zip(LEVELS, LEVELS[1:]))


@pytest.fixture(params=["both", "api", "batch"])
def serve(request: pytest.FixtureRequest) -> str:
    """How the predictions of a project are used: in each way a level only adds."""
    return str(request.param)


@pytest.mark.parametrize(("low", "high"), STEPS)
def test_no_file_disappears(generate: Generate, low: str, high: str, serve: str) -> None:
    """Every file of a level is there at the next one."""
    lower, higher = (files(generate(maturity_level=level, serve=serve)) for level in (low, high))
    assert lower.keys() <= higher.keys()


def test_a_level_that_is_built_adds_files(generate: Generate) -> None:
    """Level 1 holds more than level 0."""
    lower, higher = (files(generate(maturity_level=level)) for level in "01")
    assert lower.keys() < higher.keys()


@pytest.mark.parametrize(("low", "high"), STEPS)
def test_files_outside_the_seams_never_change(
    generate: Generate, low: str, high: str, serve: str
) -> None:
    """Only the seams, the record and the lock differ between a level and the next."""
    lower, higher = (files(generate(maturity_level=level, serve=serve)) for level in (low, high))
    changed = {path for path, content in lower.items() if higher[path] != content}
    assert changed <= SEAMS | RECORDS


@pytest.mark.parametrize(("low", "high"), STEPS)
@pytest.mark.parametrize("seam", sorted(SEAMS))
def test_seams_only_gain_lines(
    generate: Generate, low: str, high: str, seam: str, serve: str
) -> None:
    """Every line of a seam stands at the next level too, in the same order."""
    lower, higher = (
        files(generate(maturity_level=level, serve=serve))[seam] for level in (low, high)
    )
    lower = lower.replace(CLAIM % low.encode(), CLAIM % high.encode())  # what climbs is the claim
    later = iter(higher.splitlines())
    assert [line for line in lower.splitlines() if line not in later] == []
