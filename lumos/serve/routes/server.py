"""The server itself: `/v1/models`, `/health`, `/metrics`."""

import time
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from lumos.serve.generation.models import ServedModel, find_model
from lumos.serve.serving import Serving


def router_of(serving: Serving) -> APIRouter:
    """Return the routes of the server."""
    router = APIRouter(tags=["server"])
    began = int(time.time())

    @router.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [_shown(model, began) for model in serving.models.values()]}

    @router.get("/v1/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        return _shown(find_model(serving.models, name), began)

    @router.get("/health")
    def health(response: Response) -> dict[str, Any]:
        state = "draining" if serving.draining.is_set() else "ok" if serving.worker.is_alive else "dead"
        response.status_code = 200 if state == "ok" else 503
        queue = {"queued": serving.store.count("queued"), "in_progress": serving.store.count("in_progress")}
        return {"status": state, **queue}

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(serving.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def _shown(model: ServedModel, began: int) -> dict[str, Any]:
    usual = model.pipeline.settings_for({})
    return {
        "id": model.name,
        "object": "model",
        "created": began,
        "owned_by": "lumos",
        "title": model.title,
        "tasks": list(model.tasks),
        "size": f"{usual.width}x{usual.height}",
        "num_frames": usual.num_output_frames,
        "fps": usual.fps,
        "settings": list(model.setting_names),
        "presets": list(model.presets),
    }
