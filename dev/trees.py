"""Renew the golden trees under tests/trees: `make docs`."""

import tempfile

from rendering import render, TEMPLATE


def main() -> None:
    """Write the sorted paths of each level's project into a file, with a service and without."""
    for name, serve in (("level", "both"), ("batch", "batch")):
        for level in "01234":
            with tempfile.TemporaryDirectory() as folder:
                project = render(folder, maturity_level=level, serve=serve)
                found = (path for path in project.rglob("*") if path.is_file())
                names = sorted(path.relative_to(project).as_posix() for path in found)
            tree = TEMPLATE / "tests" / "trees" / f"{name}-{level}.txt"
            tree.parent.mkdir(exist_ok=True)
            tree.write_text("\n".join(names) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
