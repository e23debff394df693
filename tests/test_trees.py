"""Golden trees: these files at each level, which need no other.  `make docs` renews them."""

from pathlib import Path

import pytest
from conftest import files, Generate, LEVELS

TREES = Path(__file__).parent / "trees"


@pytest.mark.parametrize(("name", "answers"), [("level", {}), ("batch", {"serve": "batch"})])
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_holds_exactly_these_files(
    generate: Generate, level: str, name: str, answers: dict[str, str]
) -> None:
    """The files of a level are those of its golden tree, with a service and without one."""
    golden = (TREES / f"{name}-{level}.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(files(generate(maturity_level=level, **answers))) == golden


@pytest.mark.parametrize(
    "answers",
    [
        {"problem": "regression"},
        {"framework": "lightgbm"},
        {"framework": "xgboost"},
        {"ci": "gitlab"},
        {"deploy": "kubernetes"},
        {"serve": "batch"},
        {"cloud": "aws"},
        {"affects_people": "yes"},
        {"license": "Proprietary"},
    ],
    ids=lambda answers: "-".join(answers.values()),
)
def test_an_option_that_adds_no_file_keeps_the_tree(
    generate: Generate, answers: dict[str, str]
) -> None:
    """These answers change what files hold, not which there are."""
    plain, flipped = (generate(maturity_level="1", **more) for more in ({}, answers))
    assert sorted(files(flipped)) == sorted(files(plain))
