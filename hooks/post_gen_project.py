"""Remove what the answers leave out, and the folders that are empty then; say what is next.

A file `name.batch.ext` takes the place of `name.ext` if predictions are made only in batches.

The targets that stay, a file a capability in `make/`, become parts of the Makefile, by domain.

Jinja does not read `monitoring/`, which is full of braces that mean something else: the name that its
namespaces begin with is put into it here.
"""

import json
import shutil
import subprocess
from pathlib import Path

DOMAINS = (
    "checks",
    "data",
    "tracking",
    "model",
    "pipeline",
    "registry",
    "serving",
    "monitoring",
    "delivery",
    "governance",
    "CI",
)

for variant in list(Path().rglob("*.batch.*")):
    if "{{ cookiecutter.serve }}" == "batch":
        variant.replace(variant.with_name(variant.name.replace(".batch.", ".")))
    else:
        variant.unlink()
for pattern in json.loads(r"""{{ left_out() | jsonify }}"""):
    for path in list(Path().glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
# Later parts set anew what earlier ones set: within a domain in the order of the names.
PARTS = []
for domain in DOMAINS:
    parts = [
        path.read_text(encoding="utf-8").strip()
        for path in sorted(Path("make", domain.lower()).glob("*.mk"))
    ]
    if parts:
        PARTS += [f"##@ {domain[0].upper()}{domain[1:]}", *parts]
MAKEFILE = Path("Makefile").read_text(encoding="utf-8")
MARKER = "#@ make/: the tasks of each domain come here\n\n"
Path("Makefile").write_text(
    MAKEFILE.replace(MARKER, "".join(f"{part}\n\n" for part in PARTS)),
    encoding="utf-8",
    newline="\n",
)
shutil.rmtree("make")
for folder in sorted((path for path in Path().rglob("*") if path.is_dir()), reverse=True):
    if not any(folder.iterdir()):
        folder.rmdir()
for path in Path("monitoring").rglob("*.*"):
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace(
            "the-project-", "{{ cookiecutter.package_name | replace('_', '-') | trim('-') }}-"
        ),
        encoding="utf-8",
        newline="\n",
    )
try:
    DONE = subprocess.run(
        ["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
    )
    INSIDE = DONE.stdout.strip()
except OSError:  # no git
    INSIDE = ""
print("Made {{ cookiecutter.project_slug }}, level {{ cookiecutter.maturity_level }}.  Next:")
print("  cd {{ cookiecutter.project_slug }} && git init && git add . && git commit -m Start")
print("  make train")
if INSIDE:
    print(f"This folder is part of the repository {INSIDE}:")
    print("  - skip `git init`; commit there.")
    print("  - CI reads workflows only at the top.  From level 2 on: make ci-at-top")
