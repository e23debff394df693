"""API keys: several, each with a name; only their hashes are stored.

A key is 256 random bits, so a plain sha256 is enough: nobody can try likely keys.  A slow hash, as
passwords need, would cost each request tens of milliseconds.
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
MAX_DURATION = 36_500


class Key(StrictModel):
    """A stored key: it is valid until `expires`, or without end."""

    name: str
    sha256: str
    created: AwareDatetime
    expires: AwareDatetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key may still be used."""
        return self.expires is None or now < self.expires


KEYS = TypeAdapter(list[Key])


def read_keys(path: Path) -> list[Key]:
    """Return the keys of a file; none if there is no file.  Raise ProjectError if it is broken."""
    try:
        return KEYS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ProjectError(
            f"{path}: no file of keys ({reason}); move it away, then make new ones: make key NAME=…"
        ) from error


def write_keys(path: Path, keys: Sequence[Key]) -> None:
    """Write a file of keys, whole or not at all."""
    write_file_atomically(path, KEYS.dump_json(list(keys), indent=2, exclude_none=True) + b"\n")
    path.chmod(0o644)  # the service in a container is another user; hashes are no secret


def lock_path(path: Path) -> Path:
    """Return the lock of a file of keys.  It is never deleted: it shows that there were keys."""
    return path.with_name(f"{path.name}.lock")


def hash_key(key: str) -> str:
    """Return the stored form of a key."""
    return sha256(key.encode()).hexdigest()


def add_key(
    keys: Sequence[Key], name: str, days: float | None, grace: float
) -> tuple[str, list[Key]]:
    """Return a new key, and all keys with it.

    Args:
        keys: The keys so far; expired ones are left out.
        name: The name of the client; an older key of this name ends after the grace.
        days: The new key ends after so many days; None for never.
        grace: Hours that an older key of this name stays valid.
    """
    now, secret = datetime.now(UTC), secrets.token_urlsafe(32)
    end = now + timedelta(hours=grace)
    valid = [key for key in keys if key.is_valid(now)]
    for place, key in enumerate(valid):
        if key.name == name:
            valid[place] = key.model_copy(update={"expires": min(key.expires or end, end)})
    expires = now + timedelta(days=days) if days else None
    return secret, [*valid, Key(name=name, sha256=hash_key(secret), created=now, expires=expires)]


def revoke_keys(keys: Sequence[Key], name: str) -> list[Key]:
    """Return the keys without those of this name.  Raise ProjectError if it has none."""
    rest = [key for key in keys if key.name != name]
    if len(rest) == len(keys):
        names = ", ".join(sorted({key.name for key in keys})) or "none"
        raise ProjectError(f"REVOKE {name!r}: no such key; there are: {names}")
    return rest


class KeyRing:
    """The keys of a file, which is read again as often as `seconds` say.

    The ring is locked from the first key on.  If the last key is revoked or the file is lost, no
    client gets in, even after a restart: the lock file is still there.  A file that breaks while
    the service runs changes nothing until it is repaired.  Raises ProjectError if it is broken at
    the start.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._stamp = self._read_stamp()
        self._keys = read_keys(path)
        self.is_locked = path.exists() or lock_path(path).exists()
        self._due = monotonic() + seconds

    def _read_stamp(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_ino)

    def refresh(self) -> None:
        """Read the file again if it is time and the file has changed."""
        if monotonic() < self._due:
            return
        self._due = monotonic() + self._seconds
        if (stamp := self._read_stamp()) == self._stamp:
            return
        try:
            self._keys, self._stamp = read_keys(self._path), stamp
        except ProjectError as error:
            LOG.error("the keys stay as they were: %s", error)
        self.is_locked = self.is_locked or bool(self._keys)

    def find_owner(self, key: str) -> str | None:
        """Return the name of a valid key, else None; the time does not depend on the key."""
        digest, owner = hash_key(key), None
        for entry in self._keys:
            if compare_digest(digest, entry.sha256) and entry.is_valid(datetime.now(UTC)):
                owner = entry.name
        return owner


def parse_duration(text: str) -> float:
    """Return a number from 0 to MAX_DURATION.  Raise ArgumentTypeError for another."""
    value = float(text)
    if not 0 <= value <= MAX_DURATION:
        raise argparse.ArgumentTypeError(f"{text}: from 0 to {MAX_DURATION:,}")
    return value


def main(arguments: list[str]) -> None:
    """Add a key and print it, once; or revoke keys; or list them."""
    parser = argparse.ArgumentParser(prog="key", description=main.__doc__)
    parser.add_argument("--name", help="of the client; its older key ends after the grace")
    parser.add_argument("--days", type=parse_duration, help="the new key ends after so many")
    parser.add_argument(
        "--grace", type=parse_duration, default=24, help="hours that an older key gets (24)"
    )
    parser.add_argument("--revoke", help="revoke all keys of this name, at once")
    options = parser.parse_args(arguments)
    # pylint: disable-next=import-outside-toplevel  # the service reads keys, and needs no lock
    from filelock import FileLock

    if options.days == 0 or (options.name and options.revoke):
        raise ProjectError("DAYS=0 makes no key, and NAME and REVOKE exclude each other: use one")
    path = Path(load_settings().access.key_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_path(path)):  # two commands at once would lose a key, or bring one back
        change_keys(path, options)


def change_keys(path: Path, options: argparse.Namespace) -> None:
    """Add or revoke a key of a file, or list its keys, as the options say."""
    keys = read_keys(path)
    if options.revoke:
        write_keys(path, revoke_keys(keys, options.revoke))
        print(f"{options.revoke}: its keys are not valid any more")
    elif options.name:
        secret, keys = add_key(keys, options.name, options.days, options.grace)
        write_keys(path, keys)
        print(f"{secret}\nThis is shown once.  Send it as: Authorization: Bearer KEY")
    else:
        now = datetime.now(UTC)
        for key in keys:
            end = f"until {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else "without end"
            print(f"{key.name:20} {end if key.is_valid(now) else 'expired'}")
        print("To add one: make key NAME=…")
