"""A PostgreSQL server of the tests' own: down until it is started, stopped, crashed, asked."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest

DEBIAN = "postgresql"
PASSWORD = "s3cr3t:/@ word"  # what a URL has to quote
LISTEN = "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"


def programs() -> Path:
    """The folder of PostgreSQL's programs, the newest version's; the test fails without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda at: int(at.parent.name))
    if not found:
        pytest.fail(f"PostgreSQL: not installed; run: apt-get install {DEBIAN}")
    return found[-1]


class Postgres:
    """A server with a user `log` and a password, in a folder that its process may write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:  # the server refuses to be root's
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        self.run(
            "initdb", "--pgdata=data", "--username=log", "--pwfile=password", "--no-sync",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs."""
        command = [str(programs() / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        log = self.folder / f"{program}.txt"
        with log.open("ab") as said:  # no pipe: the server would keep it open
            done = subprocess.run(command, cwd=self.folder, stdout=said, stderr=said, check=False)
        assert done.returncode == 0, log.read_text(encoding="utf-8")

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        listen = LISTEN.format(port=self.port, folder=self.folder)
        self.run("pg_ctl", "start", "--wait", "--pgdata=data", "--log=server.txt", "-o", listen)

    def stop(self, mode: str = "fast") -> None:
        """Stop, `fast` by ending its sessions, `immediate` by a crash."""
        self.run("pg_ctl", "stop", "--wait", "--pgdata=data", f"--mode={mode}")

    def url(self, driver: str = "postgresql+psycopg", password: str = PASSWORD) -> str:
        """Where it is found."""
        return f"{driver}://log:{quote(password, safe='')}@127.0.0.1:{self.port}/postgres"

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What a table holds, in the order of its ids."""
        asked = f"select coalesce(json_agg(t order by t.id), '[]') from {table} t"
        command = [programs() / "psql", self.url("postgresql"), "--no-psqlrc", "-qtAc", asked]
        found: list[dict[str, Any]] = json.loads(subprocess.check_output(command))
        return found


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that is not started yet; ended and deleted afterwards."""
    # Not in pytest's folder: that one is closed to the user that the server runs as.
    with TemporaryDirectory(prefix="postgres-") as name:
        server = Postgres(Path(name))
        try:
            yield server
        finally:
            if (server.folder / "data/postmaster.pid").exists():
                server.stop("immediate")
