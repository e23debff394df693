"""A Docker engine of the tests' own, and stand-ins for the images that no registry gives offline.

Nothing here is skipped: where the machine lacks something, the test fails and says how to get it.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

DEBIAN = "catatonit containernetworking-plugins debootstrap docker-registry docker.io iptables podman runc"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlops-ladder-tests"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON_IMAGE = f"python:{VERSION}-slim"
RELEASE = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
UNNEEDED = ("site-packages", "test", "idlelib", "__pycache__", "*.a", "config-*")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# The limits of a container stay below those of the machine: where these are low, its own are refused.
PODMAN = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
CADDY = """
FROM {image}
COPY --chmod=755 caddy /usr/bin/caddy
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
"""
HOST = "172.17.0.1"  # this machine, as containers see it; else it would come from the pools
# Room for the networks of 4,096 projects: those of an engine that was killed stay on the machine.
POOLS = [{"base": "172.16.0.0/12", "size": 24}]
LIMIT = {"Name": "nofile", "Hard": 20000, "Soft": 20000}


def needed(*tools: str) -> None:
    """Fail, with the command that helps, where the tests are not root's or a tool is missing."""
    if os.geteuid() != 0:
        pytest.fail("an engine of their own needs root; run these tests as root, as CI does")
    if missing := [tool for tool in tools if not shutil.which(tool, path=system_path())]:
        pytest.fail(f"{', '.join(missing)}: not installed; run: apt-get install {DEBIAN}")


def system_path() -> str:
    """The PATH with Debian's programs first: another docker client may lack what is used here."""
    return f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ['PATH']}"


def beside(tool: str) -> str:
    """A program that the template's environment brings; fails where it does not."""
    if found := shutil.which(tool, path=str(Path(sys.executable).parent)):
        return found
    pytest.fail(f"{tool}: not in the template's environment; run: make setup")


@dataclass(frozen=True)
class Engine:
    """A running Docker engine; `environment` makes every client, make's too, talk to it."""

    environment: dict[str, str]

    def docker(self, *arguments: str, stdin: bytes = b"") -> str:
        """What the client prints; it must end well."""
        done = subprocess.run(
            ["/usr/bin/docker", *arguments],
            env=os.environ | self.environment,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"docker {arguments}\n{str(done.stderr, 'utf-8')}"
        return str(done.stdout, "utf-8").strip()

    def stand_in(self, tag: str, dockerfile: str, **files: Path) -> None:
        """Build an image under this tag from a Dockerfile's text, and files by their names."""
        context = Path(self.environment["DOCKER_CONFIG"]) / tag.replace("/", "-").replace(":", "-")
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        for name, path in files.items():
            shutil.copy2(path, context / name)
        self.docker("build", "--quiet", "--network", "host", "--tag", tag, str(context))


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other test of this machine has an engine: two of them share one bridge."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "engine.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Debian's dockerd with its socket, its images and its clients' settings in this folder.

    One at a time: another test that asks for an engine waits.
    """
    needed("dockerd", "docker", "containerd", "runc", "iptables")
    with alone(), dockerd(folder) as engine:
        yield engine


@contextmanager
def stocked_engine(folder: Path) -> Iterator[Engine]:
    """A `running_engine` with stand-ins for the images of Python and of the proxy."""
    with running_engine(folder) as engine:
        import_python(engine)
        import_caddy(engine)
        yield engine


@contextmanager
def dockerd(folder: Path) -> Iterator[Engine]:
    """The engine of `running_engine`, whoever else has one."""
    host = f"unix://{folder}/docker.sock"
    settings = {
        "hosts": [host],
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "docker.pid"),
        "storage-driver": "overlay2",
        "features": {"buildkit": True},
        "default-ulimits": {"nofile": LIMIT},
        "bip": f"{HOST}/24",
        "default-address-pools": POOLS,
    }
    (folder / "daemon.json").write_text(json.dumps(settings), encoding="utf-8")
    plugins = folder / "client" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(beside("docker-compose"))
    (plugins.parent / "config.json").write_text("{}", encoding="utf-8")
    engine = Engine(
        {
            "PATH": f"{Path(sys.executable).parent}:{system_path()}",
            "DOCKER_HOST": host,
            "DOCKER_CONFIG": str(folder / "client"),
            "DOCKER_BUILDKIT": "1",
        }
        | package_index()
    )
    with (folder / "dockerd.log").open("wb") as log:
        command = ["dockerd", "--config-file", str(folder / "daemon.json")]
        environment = os.environ | {"PATH": system_path()}
        daemon = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_for(engine, daemon, folder / "dockerd.log")
            yield engine
        finally:
            remove_networks(engine)
            daemon.terminate()
            daemon.wait(60)
            shutil.rmtree(folder / "data", ignore_errors=True)  # gigabytes of images


@dataclass(frozen=True)
class Podman:
    """Podman with its images and containers in a folder: runs what Kubernetes would."""

    folder: Path
    run: str

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> str:
        """What podman prints; it must end well."""
        places = ["--root", str(self.folder / "root"), "--runroot", self.run]
        done = subprocess.run(
            ["/usr/bin/podman", *places, *arguments],
            env=os.environ | {"CONTAINERS_CONF": str(self.folder / "containers.conf")},
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"podman {arguments}\n{str(done.stderr, 'utf-8')}"
        return str(done.stdout, "utf-8").strip()


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Podman in a folder of its own; its pods are gone at the end."""
    needed("podman", "runc", "catatonit")
    (folder / "containers.conf").write_text(PODMAN, encoding="utf-8")
    with TemporaryDirectory(prefix="pod-", dir="/run") as run:  # podman wants a short path
        client = Podman(folder, run)
        try:
            yield client
        finally:
            client("pod", "rm", "--force", "--all")
            shutil.rmtree(folder / "root", ignore_errors=True)


def wait_for(engine: Engine, daemon: subprocess.Popen[bytes], log: Path, seconds: int = 60) -> None:
    """Return once the engine answers; fail with the end of its log where it does not."""
    for _ in range(seconds * 5):
        told = subprocess.run(
            ["/usr/bin/docker", "info"],
            env=os.environ | engine.environment,
            capture_output=True,
            check=False,
        )
        if told.returncode == 0:
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.2)
    pytest.fail("dockerd does not start:\n" + log.read_text(encoding="utf-8")[-3000:])


def remove_networks(engine: Engine) -> None:
    """Remove the containers of an engine and their networks, whose bridges would outlive it."""
    environment = os.environ | engine.environment
    listed = subprocess.run(
        ["/usr/bin/docker", "ps", "--all", "--quiet"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    for command in (["rm", "--force", *listed.stdout.split()], ["network", "prune", "--force"]):
        subprocess.run(
            ["/usr/bin/docker", *command], env=environment, capture_output=True, check=False
        )


def import_caddy(engine: Engine) -> None:
    """Give the engine a stand-in for the proxy's image: the real program, on another base."""
    folder = Path(sysconfig.get_path("purelib"))
    programs = [folder.parents[2] / "bin" / "caddy", folder / ".data" / "scripts" / "caddy"]
    for program in programs:
        if program.is_file():
            engine.stand_in("caddy:2-alpine", CADDY.format(image=PYTHON_IMAGE), caddy=program)
            return
    pytest.fail("caddy: not in the template's environment; run: make setup")


def package_index() -> dict[str, str]:
    """Where this machine's pip gets packages, if not from the usual place."""
    if set_here := os.environ.get("PIP_INDEX_URL"):
        return {"PIP_INDEX_URL": set_here}
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return {"PIP_INDEX_URL": told.stdout.strip()} if told.returncode == 0 else {}


def import_python(engine: Engine) -> None:
    """Give the engine a stand-in for the official image of this Python, under the same tag."""
    archive = base_archive()
    changes = [f"ENV SSL_CERT_FILE={AUTHORITIES}", f"ENV PIP_CERT={AUTHORITIES}"]
    changes += ["ENV LANG=C.UTF-8", 'CMD ["python3"]']
    options = [option for change in changes for option in ("--change", change)]
    engine.docker("import", *options, str(archive), PYTHON_IMAGE)


def base_archive() -> Path:
    """The stand-in's files as a tar, made once on a machine (a minute): Debian and this CPython."""
    needed("debootstrap", "tar")
    recipe = f"{sys.version}{RELEASE}{UNNEEDED}{Path(AUTHORITIES).stat().st_size}".encode()
    archive = CACHE / f"python-{VERSION}-{hashlib.sha256(recipe).hexdigest()[:12]}.tar"
    if archive.exists():
        return archive
    root = CACHE / f"root-{os.getpid()}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    include = "--include=ca-certificates,netbase,tzdata"
    command = ["debootstrap", "--variant=minbase", include, RELEASE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    copy_python(root)
    unfinished = archive.with_suffix(f".{os.getpid()}")
    subprocess.run(["tar", "-C", str(root), "-cf", str(unfinished), "."], check=True)
    unfinished.rename(archive)
    shutil.rmtree(root)
    return archive


def copy_python(root: Path) -> None:
    """Put the Python that runs the tests, pip and the machine's authorities into a root."""
    local = root / "usr" / "local"
    library = f"python{VERSION}"
    ignored = shutil.ignore_patterns(*UNNEEDED)
    stdlib = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(stdlib, local / "lib" / library, ignore=ignored, symlinks=True)
    (local / "lib" / library / "site-packages").mkdir()
    shared = Path(sysconfig.get_config_var("LIBDIR"))
    for path in shared.glob(f"libpython{VERSION}.so*"):
        shutil.copy2(path, local / "lib" / path.name, follow_symlinks=False)
    copy_libraries(root)
    program = Path(sys.base_prefix) / "bin" / library
    shutil.copy2(program.resolve(), local / "bin" / library)
    for name in ("python", "python3"):
        (local / "bin" / name).symlink_to(library)
    shutil.copy2(AUTHORITIES, root / AUTHORITIES.lstrip("/"))
    for folder in ("cache/apt/archives", "lib/apt/lists"):
        shutil.rmtree(root / "var" / folder)
        (root / "var" / folder / "partial").mkdir(parents=True)
    for command in (["ldconfig"], ["/usr/local/bin/python3", "-m", "ensurepip", "--upgrade"]):
        subprocess.run(["chroot", str(root), *command], check=True, capture_output=True)
    (local / "bin" / "pip").symlink_to("pip3")


def copy_libraries(root: Path) -> None:
    """Put the libraries that this Python's modules are linked with into a root that lacks them."""
    modules = [str(path) for path in Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")]
    told = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=False).stdout
    there = {path.name for path in root.glob("usr/lib/*/*.so*")}
    for found in map(Path, set(re.findall(r"=> (/\S+)", told))):
        if found.name not in there and not found.name.startswith("libpython"):
            shutil.copy2(found, root / "usr" / "local" / "lib" / found.name)
