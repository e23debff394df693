"""The rows of a logged request, each with its answer."""

from typing import Any

import orjson

from .. import ProjectError


def pairs(request_id: str, inputs: str, output: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each row and what was answered, in their order.  ProjectError where they are damaged."""
    try:
        return list(zip(orjson.loads(inputs), orjson.loads(output), strict=True))
    except (ValueError, TypeError) as error:
        told = f"request {request_id} is damaged ({error})"
        way_out = "to delete it: docs/runbooks/deletion.md, A request"
        raise ProjectError(f"the prediction log: {told}; {way_out}") from error
