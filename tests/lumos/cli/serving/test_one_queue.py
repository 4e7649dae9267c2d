"""Both models behind one server: one list of models, one queue."""

from pathlib import Path

from fastapi.testclient import TestClient

from lumos.cli.models.door import find_model
from lumos.cli.serving.loaded_models import loaded
from lumos.cli.serving.side_by_side import SideBySide
from lumos.serve.app import create_app
from lumos.serve.limits import Limits
from lumos.serve.serving import put_together
from tests.lumos.serve.standin import events


def test_a_job_of_lumina_video_is_made_beside_one_of_lumos_1(ckpts: Path, tmp_path: Path) -> None:
    names = ("lumos-tiny", "lumina-tiny")
    models = {name: loaded(name, find_model(name, ckpts, device="cpu")) for name in names}
    serving = put_together(models, SideBySide(models, at_once=2), data=tmp_path / "data", limits=Limits(at_once=2))
    asked = {"prompt": "a red circle", "num_inference_steps": 2, "seed": 1}
    longer = {"lumos-tiny": 9, "lumina-tiny": 8}
    with TestClient(create_app(serving)) as client:
        assert [one["id"] for one in client.get("/v1/models").json()["data"]] == list(names)
        made = {
            name: client.post("/v1/videos", json={**asked, "model": name, "num_frames": number}).json()
            for name, number in longer.items()
        }
        for name, video in made.items():
            seen = list(events(client, video["id"]))
            assert (seen[-1][0], seen[-1][1]["model"]) == ("video.completed", name)
            assert client.get(f"/v1/videos/{video['id']}/content").content[4:8] == b"ftyp"
        listed = client.get("/v1/videos", params={"order": "asc"}).json()["data"]
    assert [one["id"] for one in listed] == [video["id"] for video in made.values()]
