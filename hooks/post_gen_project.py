"""Remove what the answers leave out, and the folders that are empty then."""

import json
import shutil
from pathlib import Path

for pattern in json.loads(r"""{{ left_out() | jsonify }}"""):
    for path in list(Path().glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
for folder in sorted((path for path in Path().rglob("*") if path.is_dir()), reverse=True):
    if not any(folder.iterdir()):
        folder.rmdir()
