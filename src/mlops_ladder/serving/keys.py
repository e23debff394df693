"""API keys: several, each with a name, of which only hashes are kept.

A key is 256 random bits, so its plain sha256 gives nothing away: there are no likely keys to try.
A slow hash, as passwords need, would cost each request tens of milliseconds.
"""

import argparse
import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta, UTC
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from time import monotonic

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.settings import load_settings
from mlops_ladder.strict_model import StrictModel

LOG = logging.getLogger(__name__)
LONGEST = 36_500


class Key(StrictModel):
    """A key as it is kept: it is valid until `expires`, or always."""

    name: str
    sha256: str
    created: AwareDatetime
    expires: AwareDatetime | None = None

    def valid(self, now: datetime) -> bool:
        """May it still be used?"""
        return self.expires is None or now < self.expires


KEYS = TypeAdapter(list[Key])


def read(path: Path) -> list[Key]:
    """The keys of a file, none where there is no file.  ProjectError where it cannot be read."""
    try:
        return KEYS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        said = str(error).partition("\n")[0]
        raise ProjectError(
            f"{path}: no file of keys ({said}); move it away, then make new ones: make key NAME=…"
        ) from error


def write(path: Path, keys: Sequence[Key]) -> None:
    """Keep these keys, whole or not at all."""
    write_file_atomically(path, KEYS.dump_json(list(keys), indent=2, exclude_none=True) + b"\n")
    path.chmod(0o644)  # a service in a container is another user, and hashes give nothing away


def lock_of(path: Path) -> Path:
    """The lock of a file of keys.  It stays: where it is, there were keys once."""
    return path.with_name(f"{path.name}.lock")


def digest(key: str) -> str:
    """What is kept of a key."""
    return sha256(key.encode()).hexdigest()


def added(
    keys: Sequence[Key], name: str, days: float | None, grace: float
) -> tuple[str, list[Key]]:
    """A new key, and all keys with it; one that had the name ends after so many hours of grace."""
    now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
    end = now + timedelta(hours=grace)
    kept = [key for key in keys if key.valid(now)]
    for place, key in enumerate(kept):
        if key.name == name:
            kept[place] = key.model_copy(update={"expires": min(key.expires or end, end)})
    expires = now + timedelta(days=days) if days else None
    return secret, [*kept, Key(name=name, sha256=digest(secret), created=now, expires=expires)]


def revoked(keys: Sequence[Key], name: str) -> list[Key]:
    """The keys without those of this name.  ProjectError where there is none."""
    left = [key for key in keys if key.name != name]
    if len(left) == len(keys):
        known = ", ".join(sorted({key.name for key in keys})) or "none"
        raise ProjectError(f"REVOKE {name!r}: no such key; there are: {known}")
    return left


class Ring:
    """The keys of a file, looked at again as often as `seconds` say.

    `locked` from the first key on: when the last one is taken away, or the file is lost, nobody is
    let in, after a start either, for its lock is still there.  A file that cannot be read any more
    changes nothing until it can.  Raises ProjectError where it cannot at the start.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._stamp = self._stamped()
        self._keys = read(path)
        self.locked = path.exists() or lock_of(path).exists()
        self._due = monotonic() + seconds

    def _stamped(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)

    def look(self) -> None:
        """Know the keys that are in the file now, if it is time."""
        if monotonic() < self._due:
            return
        self._due = monotonic() + self._seconds
        if (stamp := self._stamped()) == self._stamp:
            return
        try:
            self._keys, self._stamp = read(self._path), stamp
        except ProjectError as error:
            LOG.error("the keys stay as they were: %s", error)
        self.locked = self.locked or bool(self._keys)

    def owner(self, given: str) -> str | None:
        """The name of a key, None of one that is not valid; as slow for any that is wrong."""
        wanted, found = digest(given), None
        for key in self._keys:
            if compare_digest(wanted, key.sha256) and key.valid(datetime.now(UTC)):
                found = key.name
        return found


def span(text: str) -> float:
    """A length of time, as a number from 0 to LONGEST."""
    value = float(text)
    if not 0 <= value <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text}: from 0 to {LONGEST:,}")
    return value


def main(arguments: list[str]) -> None:
    """Add a key and print it, once; or take keys away; or list them."""
    parser = argparse.ArgumentParser(prog="key", description=main.__doc__)
    parser.add_argument("--name", help="of who asks; a key that had it ends after the grace")
    parser.add_argument("--days", type=span, help="the new key ends after so many")
    parser.add_argument("--grace", type=span, default=24, help="hours that an old key gets (24)")
    parser.add_argument("--revoke", help="take all keys of this name away, at once")
    asked = parser.parse_args(arguments)
    # pylint: disable-next=import-outside-toplevel  # the service reads keys, and needs no lock
    from filelock import FileLock

    if asked.days == 0 or (asked.name and asked.revoke):
        raise ProjectError("DAYS=0: such a key is none.  NAME and REVOKE: only one is wanted")
    path = Path(load_settings().access.key_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(path)):  # two at once would lose a key, or bring one back
        change(path, asked)


def change(path: Path, asked: argparse.Namespace) -> None:
    """Do to a file of keys what was asked."""
    keys = read(path)
    if asked.revoke:
        write(path, revoked(keys, asked.revoke))
        print(f"{asked.revoke}: its keys are not valid any more")
    elif asked.name:
        secret, keys = added(keys, asked.name, asked.days, asked.grace)
        write(path, keys)
        print(f"{secret}\nThis is shown once.  Send it as: Authorization: Bearer KEY")
    else:
        now = datetime.now(UTC)
        for key in keys:
            end = f"until {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "without end"
            print(f"{key.name:20} {end if key.valid(now) else 'expired'}")
        print("To add one: make key NAME=…")
