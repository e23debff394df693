"""Access: from the first key on, nobody is answered without one."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from mlops_ladder.serving.app import create_service
from mlops_ladder.serving.keys import add_key, write_keys
from mlops_ladder.settings import load_settings


def test_without_a_valid_key_there_is_no_answer(place: Path, rows: list[dict[str, Any]]) -> None:
    """No key and a wrong one get 401; the right one gets an answer."""
    secret, known = add_key([], "test", None, 0)
    write_keys(place / load_settings().access.key_file, known)
    with TestClient(create_service()) as client:
        answers = [
            client.post("/predict", json=rows[0], headers=headers).status_code
            for headers in (
                {},
                {"Authorization": f"Bearer {secret}x"},
                {"Authorization": f"Bearer {secret}"},
            )
        ]
    assert answers == [401, 401, 200]
