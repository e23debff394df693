"""Remove what the answers leave out, and the folders that are empty then; say what is next.

Jinja does not read `monitoring/`, which is full of braces that mean something else: the name that its
namespaces begin with is put into it here.
"""

import json
import shutil
from pathlib import Path

for pattern in json.loads(r"""{{ left_out() | jsonify }}"""):
    for path in list(Path().glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
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
print("Made {{ cookiecutter.project_slug }}, level {{ cookiecutter.maturity_level }}.  Next:")
print("  cd {{ cookiecutter.project_slug }} && git init && git add . && git commit -m Start")
print("  make train")
