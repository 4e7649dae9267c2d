"""What `/openapi.json` says of bodies, which the routes read themselves."""

from typing import Any

from pydantic import BaseModel


def takes(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the entry of a route that takes these fields, as JSON or as a form."""
    schema = {"schema": kind.model_json_schema()}
    return {"requestBody": {"required": True, "content": {"application/json": schema, "multipart/form-data": schema}}}
