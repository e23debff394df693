"""Remove what belongs to capabilities, and to a forge, that were not asked for."""

from pathlib import Path

ASKED = "[[ cookiecutter.capabilities ]]".split()
JOBS = "[[ cookiecutter.jobs ]]".split()
KEPT = {
    ".gitignore": "repo.hygiene" in ASKED,
    ".pre-commit-config.yaml": "repo.vcs" in ASKED,
    "pyproject.toml": bool(Path("pyproject.toml").read_text(encoding="utf-8").strip()),
    ".pylintrc": "repo.vcs" in ASKED and "[[ cookiecutter.linter_settings ]]" == "file",
    "tools/pylint_baseline.py": "repo.vcs" in ASKED and "[[ cookiecutter.linter ]]" == "pylint",
    ".github/workflows/ci.yml": bool(JOBS) and "[[ cookiecutter.ci ]]" == "github",
    ".gitlab-ci.yml": bool(JOBS) and "[[ cookiecutter.ci ]]" == "gitlab",
    "renovate.json": "ci.review" in ASKED,
    ".github/pull_request_template.md": "ci.review" in ASKED and "[[ cookiecutter.ci ]]" == "github",
    ".github/rulesets/main.json": "ci.review" in ASKED and "[[ cookiecutter.ci ]]" == "github",
    ".gitlab/merge_request_templates/Default.md": "ci.review" in ASKED
    and "[[ cookiecutter.ci ]]" == "gitlab",
    ".gitlab/branch-rules/main.json": "ci.review" in ASKED and "[[ cookiecutter.ci ]]" == "gitlab",
    ".gitlab/branch-rules/project.json": "ci.review" in ASKED
    and "[[ cookiecutter.ci ]]" == "gitlab",
}
for name, kept in KEPT.items():
    if not kept:
        Path(name).unlink()
for folder in sorted((path for path in Path().rglob("*") if path.is_dir()), reverse=True):
    if not any(folder.iterdir()):
        folder.rmdir()
