"""Access: keys, limits and headers, as a client of the service meets them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, UTC
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from library.serving.published import make_reloader
from library.serving.referenced import KINDS, refer, REFERENCE, ROW

from mlops_ladder import ProjectError
from mlops_ladder.serving import keys
from mlops_ladder.serving.access import create_guard, protect_service, TokenBuckets
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.command import describe_service
from mlops_ladder.serving.keys import add_key, read_keys, revoke_keys, write_keys
from mlops_ladder.settings import Settings

Made = Callable[..., Settings]
LIMIT = 2000


@pytest.fixture(name="made")
def _made(settings: Settings, tmp_path: Path) -> Made:
    """Settings with a file of keys in an empty folder, looked at before each request."""

    def made(host: str = "127.0.0.1", **access: Any) -> Settings:
        wanted = {"key_file": str(tmp_path / "keys.json"), "body_bytes": LIMIT} | access
        serving = settings.serving.model_copy(update={"host": host, "poll_seconds": 1e-9})
        changed = {"access": settings.access.model_copy(update=wanted), "serving": serving}
        return settings.model_copy(update=changed)

    return made


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def service(settings: Settings, folder: Path) -> FastAPI:
    """A service that these settings protect."""
    refer(folder, 1, REFERENCE)
    app = create_app(settings, make_reloader(folder, KINDS), (), create_guard(settings))
    protect_service(app, settings)
    return app


def key(path: Path, name: str, days: float | None = None, grace: float = 24) -> str:
    """A new key in this file."""
    secret, known = add_key(read_keys(path), name, days, grace)
    write_keys(path, known)
    return secret


def ask(client: TestClient, secret: str = "", row: Any = None) -> Response:
    """The answer to a row, asked with this key or without one."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    answer: Response = client.post("/predict", json=row or ROW, headers=headers)
    return answer


@pytest.fixture(name="client")
def _client(made: Made, tmp_path: Path, path: Path) -> Iterator[TestClient]:
    """A client of a service that asks for a key."""
    key(path, "first")
    app = service(made(), tmp_path)

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("inside")

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", "Basic {key}", "{key}", "Bearer {key}x", "Bearer é"]
)
def test_without_a_valid_key_there_is_no_answer(
    client: TestClient, path: Path, header: str
) -> None:
    """No key, a wrong one, or one sent in another way: 401, which says what is wanted."""
    sent = header.replace("{key}", key(path, "second")).encode("latin-1")
    answer = client.post("/predict", json=ROW, headers={b"Authorization": sent})
    assert answer.status_code == 401 and "Bearer KEY" in answer.json()["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_new_key_opens_without_a_restart(client: TestClient, path: Path) -> None:
    """A key that is added while the service runs is valid at once."""
    assert ask(client, key(path, "second")).status_code == 200


def test_a_revoked_key_opens_nothing_even_if_it_was_the_last(
    client: TestClient, path: Path
) -> None:
    """Revoking needs no restart; taking the last key away lets nobody in."""
    secret = key(path, "second")
    assert ask(client, secret).status_code == 200
    write_keys(path, revoke_keys(read_keys(path), "second"))
    assert ask(client, secret).status_code == 401
    path.unlink()
    assert [ask(client, secret).status_code, ask(client).status_code] == [401, 401]


def test_nobody_is_let_in_by_a_start_after_the_last_key_was_taken(
    made: Made, tmp_path: Path, path: Path
) -> None:
    """A service that starts where there were keys once wants one."""
    secret = key(path, "only")
    write_keys(path, revoke_keys(read_keys(path), "only"))
    with TestClient(service(made(), tmp_path)) as client:
        assert [ask(client, secret).status_code, ask(client).status_code] == [401, 401]


def test_an_expired_key_opens_nothing(client: TestClient, path: Path) -> None:
    """A key is valid until it expires."""
    secret = key(path, "second", days=1)
    assert ask(client, secret).status_code == 200
    ended = {"expires": datetime.now(UTC) - timedelta(seconds=1)}
    write_keys(path, [kept.model_copy(update=ended) for kept in read_keys(path)])
    assert ask(client, secret).status_code == 401


def test_a_key_is_rotated_with_grace_or_without(client: TestClient, path: Path) -> None:
    """A second key of a name ends the first one after the grace."""
    old = key(path, "second")
    new = key(path, "second")
    assert [ask(client, secret).status_code for secret in (old, new)] == [200, 200]
    newest = key(path, "second", grace=0)
    assert [ask(client, secret).status_code for secret in (old, new, newest)] == [401, 401, 200]


def test_a_broken_file_of_keys_changes_nothing(client: TestClient, path: Path) -> None:
    """Keys that were valid stay so, and nobody else is let in."""
    secret = key(path, "second")
    assert ask(client, secret).status_code == 200
    path.write_text("{", encoding="utf-8")
    assert [ask(client, secret).status_code, ask(client).status_code] == [200, 401]
    stamp = path.stat()
    write_keys(kept := path.with_name("kept.json"), [])
    assert kept.stat().st_mode & 0o044 == 0o044  # the user of a container reads it
    path.write_bytes(kept.read_bytes())  # it can be read again, and looks as old as before
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert ask(client, secret).status_code == 401


def test_no_key_is_kept(path: Path) -> None:
    """The file holds a hash, from which the key cannot be had."""
    secret = key(path, "first")
    assert secret not in path.read_text(encoding="utf-8") and len(secret) == 43


@pytest.mark.parametrize("place", ["/health", "/ready", "/version", "/docs"])
def test_what_watches_the_service_needs_no_key(client: TestClient, place: str) -> None:
    """Probes and the description are open; they tell nothing about a row."""
    assert client.get(place).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_a_service_that_others_reach_does_not_start_without_a_key(
    made: Made, path: Path, host: str
) -> None:
    """The error names the host, the file, and both ways out."""
    with pytest.raises(ProjectError, match=r"make key NAME=…  To let .* access.open = true"):
        create_guard(made(host, open=False))
    assert create_guard(made(host))
    key(path, "first")
    assert create_guard(made(host, open=False))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_on_its_own_machine_it_needs_no_key(made: Made, tmp_path: Path, host: str) -> None:
    """Before the first key whoever is on the machine may ask."""
    with TestClient(service(made(host), tmp_path)) as client:
        assert ask(client).status_code == 200


def test_a_file_of_keys_that_cannot_be_read_stops_the_start(made: Made, path: Path) -> None:
    """What is no list of keys is named."""
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ProjectError, match="keys.json: no file of keys"):
        create_guard(made())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(made: Made, tmp_path: Path, chunked: bool) -> None:
    """413, after a part of it at most; one that just fits is read."""
    parts = [b" " * 1000] * 1000
    with TestClient(service(made(), tmp_path)) as client:
        headers = {"Content-Type": "application/json"}
        large = iter(parts) if chunked else b"".join(parts)
        answer = client.post("/predict", content=large, headers=headers)
        assert answer.status_code == 413 and f"{LIMIT:,} bytes" in answer.json()["detail"]
        fits = client.post("/predict", content=b" " * LIMIT, headers=headers)
        over = client.post("/predict", content=b" " * (LIMIT + 1), headers=headers)
    assert [fits.status_code, over.status_code] == [422, 413]


def test_who_asks_too_often_has_to_wait(made: Made, tmp_path: Path, path: Path) -> None:
    """429 says for how long; another key is not held up, and a wrong one uses up nothing."""
    one, other = key(path, "one"), key(path, "other")
    with TestClient(service(made(requests_per_minute=2), tmp_path)) as client:
        found = [ask(client, one) for _ in range(3)]
        assert [answer.status_code for answer in found] == [200, 200, 429]
        assert 0 < int(found[2].headers["retry-after"]) <= 30
        assert [ask(client, secret).status_code for secret in (other, "wrong")] == [200, 401]


def test_the_description_lists_each_status_that_access_gives(
    made: Made, tmp_path: Path, path: Path
) -> None:
    """No key, too large a body, and too many requests, where they are limited."""
    secret = key(path, "one")
    with TestClient(service(made(requests_per_minute=2), tmp_path)) as client:
        found = {ask(client).status_code, ask(client, secret).status_code}
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        found.add(client.post("/predict", content=b" " * (LIMIT + 1), headers=headers).status_code)
        found.add(ask(client, secret).status_code)
        listed = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    assert found == {200, 401, 413, 429}
    assert listed.keys() == {"200", "401", "413", "415", "422", "429", "500", "503"}
    unlimited = service(made(), tmp_path).openapi()["paths"]["/predict"]["post"]["responses"]
    assert listed.keys() - unlimited.keys() == {"429"}


def test_a_bucket_fills_again() -> None:
    """After a while there is a request again, and never more than a minute allows."""
    now = [0.0]
    buckets = TokenBuckets(60, lambda: now[0])
    assert [buckets.take("a") for _ in range(61)] == [0.0] * 60 + [1.0]
    now[0] = 1.0
    assert buckets.take("a") == 0 < buckets.take("a")
    now[0] = 1000.0
    assert [bool(buckets.take("a")) for _ in range(61)] == [False] * 60 + [True]


@pytest.mark.parametrize("place", ["/docs", "/health", "/predict", "/nowhere", "/broken"])
def test_every_answer_has_safe_headers(client: TestClient, place: str) -> None:
    """Of a page, a probe, a refusal and a failure: no sniffing, no framing, no referrer."""
    headers = client.get(place).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "server" not in headers


def test_the_pages_may_load_what_they_need(client: TestClient) -> None:
    """Scripts and styles of the service itself, and no other."""
    policy = client.get("/docs").headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-inline'" in policy and "http" not in policy
    assert "default-src 'none'" in client.get("/health").headers["content-security-policy"]


def test_a_failure_tells_nothing_of_the_inside(client: TestClient) -> None:
    """What nobody has caught is answered without its words."""
    answer = client.get("/broken")
    assert (answer.status_code, answer.json()) == (500, {"detail": "the service failed"})


def test_the_description_shows_the_key_and_the_file_of_it_does_not(
    client: TestClient, made: Made, folder: Path
) -> None:
    """`/docs` lets one enter a key; `docs/openapi.json` is as it was without keys."""
    shown = client.get("/openapi.json").json()
    assert shown["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert shown["paths"]["/predict"]["post"]["security"] == [{"key": []}, {}]
    assert (
        folder.exists() and "securitySchemes" not in describe_service(KINDS, made())["components"]
    )


def test_the_command_adds_lists_and_revokes(
    command: Callable[..., int],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A key is shown once; the list has names alone; an unknown name is refused with the known."""
    assert command("key", "--name", "Zoë", "--days", "30") == 0
    secret = capsys.readouterr().out.splitlines()[0]
    assert command("key") == 0
    told = capsys.readouterr().out
    assert "Zoë" in told and "until" in told and secret not in told
    assert command("key", "--revoke", "nobody") == 1
    assert "there are: Zoë" in capsys.readouterr().err
    assert command("key", "--revoke", "Zoë") == 0
    assert read_keys(folder / "models/serving/keys.json") == []


def test_keys_that_are_added_at_once_are_all_kept(
    made: Made, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight at the same time, and one taken away meanwhile: nothing is lost or comes back."""
    key(path, "old")
    monkeypatch.setattr(keys, "load_settings", made)
    add = keys.add_key

    def slowly(*given: Any) -> Any:
        sleep(0.05)
        return add(*given)

    monkeypatch.setattr(keys, "add_key", slowly)
    asked = [["--revoke=old"], *([f"--name={number}"] for number in range(8))]
    with ThreadPoolExecutor(len(asked)) as pool:
        list(pool.map(keys.main, asked))
    assert sorted(kept.name for kept in read_keys(path)) == [str(number) for number in range(8)]


def test_nobody_is_let_in_by_a_start_without_the_file_of_keys(
    made: Made, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where keys were made once, a lost file of them opens the service to nobody."""
    monkeypatch.setattr(keys, "load_settings", made)
    keys.main(["--name=only"])
    path.unlink()
    with TestClient(service(made("0.0.0.0"), tmp_path)) as client:
        assert ask(client).status_code == 401


@pytest.mark.parametrize(
    "wrong", ["--days=-1", "--days=0", "--days=nan", "--days=1e9", "--grace=inf", "--revoke=first"]
)
def test_a_key_that_would_be_none_is_refused(
    made: Made, path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """The keys stay as they are."""
    key(path, "first")
    before = path.read_bytes()
    monkeypatch.setattr(keys, "load_settings", made)
    with pytest.raises((ProjectError, SystemExit)):
        keys.main(["--name=second", wrong])
    assert path.read_bytes() == before
