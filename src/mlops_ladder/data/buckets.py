"""Buckets: objects that open like files, and uploads.  The only file that uses fsspec."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import fsspec

from mlops_ladder import ProjectError
from mlops_ladder.data.formats import Stream
from mlops_ladder.data.remote import BUCKET_WAY_OUT, mask_secrets, NoSource


@contextmanager
def explain_errors(fault: str) -> Iterator[None]:
    """Turn every error of a store into a ProjectError without secrets."""
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:  # pylint: disable=broad-exception-caught  # each store has its own
        reason = mask_secrets(str(error) or type(error).__name__)
        raise ProjectError(f"{fault}: {reason}; {BUCKET_WAY_OUT}") from None


def list_objects(source: str) -> list[Stream]:
    """Return the objects that match an address or a pattern, sorted; they are read as they arrive.

    Raises ProjectError if there is none, or if the bucket cannot be read.
    """
    scheme = source.partition("://")[0]
    with explain_errors(f"{source}: cannot be read"):
        system, pattern = fsspec.core.url_to_fs(source, use_listings_cache=False)
        keys = sorted(system.glob(pattern)) if set("*?[") & set(pattern) else [pattern]
        if not keys or not all(map(system.isfile, keys)):
            raise NoSource(f"{source}: no such object; several are named by a pattern with *")
    return [Stream(f"{scheme}://{key}", partial(system.open, key, "rb")) for key in keys]


def save_objects(source: str, folder: Path) -> None:
    """Write the objects, byte by byte, to files in this folder."""
    parts = list_objects(source)
    names = [str(part).rpartition("/")[2] for part in parts]
    if len(set(names)) < len(names):
        names = [str(part).partition("://")[2].replace("/", "-") for part in parts]
    with explain_errors(f"{source}: cannot be read"):
        for part, name in zip(parts, names, strict=True):
            with part.open("rb") as content, (folder / name).open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)


def put_object(path: Path | None, target: str) -> None:
    """Replace an object by this file, in one step; without a file, delete the object."""
    with explain_errors(f"{target}: cannot be written"):
        system, key = fsspec.core.url_to_fs(target, use_listings_cache=False)
        if path:
            system.put_file(str(path), key)
        elif system.exists(key):
            system.rm_file(key)


OPEN, SAVE = list_objects, save_objects
