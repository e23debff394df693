"""Write the workflows and hooks of a project to the top of the larger repository it lies in.

A forge reads its workflows, and git its hooks, only there.  They run in the project's folder.
"""

import re
import subprocess
from pathlib import Path

from mlops_ladder.errors import ProjectError
from mlops_ladder.files import write_file_atomically

MARK = "# Written by `make ci-at-top` in {}: change the file there, and run it again.\n"
GITLAB, HOOKS = Path(".gitlab-ci.yml"), Path(".pre-commit-config.yaml")
PLACES = re.compile(r"(\b(?:paths|files|exists|junit|local):)( \S.*)")
LISTED = re.compile(r"(?<=[\[ ])(?=[\w.])")  # before each item of a list in brackets


def enter_folder(workflow: str, folder: str, own: str) -> str:
    """Return a workflow of GitHub that starts on changes of a folder and runs in it.

    A job without a checkout has no folder: it stays as it is.
    """
    head, _, body = workflow.partition("\njobs:\n")
    paths = f'    paths: ["{folder}/**", "{own}"]'
    head = re.sub(r"^  (push|pull_request):$", rf"  \1:\n{paths}", head, flags=re.MULTILINE)
    jobs = re.split(r"(?m)^(?=  [\w-]+:$)", body)
    inside = f"    defaults: {{run: {{shell: bash, working-directory: {folder}}}}}\n"
    place = re.compile(r"\b(version-file|cache-dependency-glob|path): ")
    for number, job in enumerate(jobs):
        if "uses: actions/checkout@" in job:
            first, _, rest = job.partition("\n")
            jobs[number] = f"{first}\n{inside}" + place.sub(rf"\g<0>{folder}/", rest)
    text = f"{head}\njobs:\n{''.join(jobs)}".replace("group: ", f"group: {Path(own).stem}-")
    return re.sub("^name: .*", rf"\g<0> of {folder}", text, count=1, flags=re.MULTILINE)


def enter_child(pipeline: str, folder: str) -> str:
    """Return a pipeline of GitLab as the child of another, whose jobs run in a folder."""
    text = pipeline.replace("$CI_PROJECT_DIR/", f"$CI_PROJECT_DIR/{folder}/")
    text = PLACES.sub(lambda match: match[1] + LISTED.sub(f"{folder}/", match[2]), text)
    text = text.replace("\n  before_script:\n", f"\n  before_script:\n    - cd {folder}\n")
    text = text.replace("\ndefault:\n", f"\ndefault:\n  before_script: [cd {folder}]\n", 1)
    parent = '\n  rules:\n    - if: $CI_PIPELINE_SOURCE == "parent_pipeline"\n'
    return text.replace("\n  rules:\n", parent, 1)


def enter_hooks(hooks: str, folder: str) -> str:
    """Return a configuration of pre-commit that looks at the files of a folder alone."""
    text = hooks.replace(": uv run ", f": uv run --project {folder} ")
    text = text.replace("quiet pylint,", f"quiet pylint --rcfile {folder}/pyproject.toml,")
    return text.replace("repos:\n", f"files: ^{re.escape(folder)}/\nrepos:\n", 1)


def find_files(folder: str, top: Path) -> dict[Path, str]:
    """Return what belongs at the top of the repository, by its path there."""
    name, files = folder.replace("/", "-"), {HOOKS: enter_hooks(HOOKS.read_text("utf-8"), folder)}
    for path in sorted(Path(".github/workflows").glob("*.yml")):
        own = f".github/workflows/{name}-{path.name}"
        files[Path(own)] = enter_folder(path.read_text("utf-8"), folder, own)
    if GITLAB.exists():
        child = Path(f".gitlab/{name}-ci.yml")
        files[child] = enter_child(GITLAB.read_text("utf-8"), folder)
        job = f'{name}:\n  trigger: {{include: "{child}", strategy: depend}}\n'
        job += f'  rules: [{{changes: ["{folder}/**/*", "{child}"]}}]\n'
        text = (top / GITLAB).read_text("utf-8") if (top / GITLAB).exists() else ""
        files[GITLAB] = text.partition("\n")[2].replace(job, "") + job
    return files


def main(_: list[str]) -> None:
    """Write them, and say which.  Raise ProjectError if a workflow there is another's."""
    shown = ("git", "rev-parse", "--show-toplevel", "--show-prefix")
    done = subprocess.run(shown, capture_output=True, text=True, check=False)
    top, _newline, folder = done.stdout.rstrip("/\n").partition("\n")
    if not re.fullmatch(r"[\w./-]+", folder):
        raise ProjectError("no folder of a larger repository, or one with a special character")
    files, mark = find_files(folder, Path(top)), MARK.format(folder)
    for path, text in files.items():
        place, ours = Path(top, path), mark[:27] if path == GITLAB else mark
        if place.exists() and not place.read_text("utf-8").startswith(ours):
            if path != HOOKS:
                raise ProjectError(f"{place}: is not from `make ci-at-top` of {folder}; move it")
            print(f"left {place} as it is: add hooks of {folder} as in {folder}/{HOOKS}")
            continue
        write_file_atomically(place, mark + text)
        print(f"wrote {place}")
