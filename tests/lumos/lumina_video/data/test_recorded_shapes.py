"""What is told of latents without torch is what training finds in them; of what is none of them nothing is told."""

import json
from pathlib import Path

import numpy as np
import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.recorded_shapes import recorded_shapes
from lumos.lumina_video.data.shards import LATENTS, LatentWriter
from lumos.media.shards import known_shards, parquet_rows
from tests.lumos.lumina_video.latents import VAE, latent_clip, write_latents
from tests.tiny_data import write_clips


def write_mixed(folder: Path) -> Path:
    """A folder of latents of three shapes in three shards."""
    with LatentWriter(folder, vae=VAE, shard_size=2) as writer:
        for index, shape in enumerate([(4, 8, 12), (2, 8, 4), (4, 8, 12), (1, 4, 4), (4, 8, 12)]):
            writer.add(latent_clip(index, shape=shape))
    return folder


@pytest.mark.parametrize("many", [False, True])
def test_shapes_are_those_of_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    if many:
        for module in (known_shards, parquet_rows):
            monkeypatch.setattr(module, "MANY_SHARDS", 1)
    folder = write_mixed(tmp_path / "mixed")
    assert (folder / "shapes.npz").is_file() == many
    latents = LatentSet(folder)
    for path in (folder, folder / "index.json"):
        found = recorded_shapes(path)
        assert found is not None
        assert (found.total, found.spatial, found.temporal) == (len(latents), VAE.spatial, VAE.temporal)
        assert found.shapes[found.first] == latents.kinds[0]
        assert set(found.shapes) == set(map(tuple, latents.shapes.tolist()))
    one = recorded_shapes(folder / "shard-00001.parquet")
    assert one is not None
    assert sorted(one.shapes) == sorted(map(tuple, np.unique(latents.shapes[2:4], axis=0).tolist()))


def test_shapes_of_many_shards_lie_beside_the_index_and_not_beside_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (known_shards, parquet_rows):
        monkeypatch.setattr(module, "MANY_SHARDS", 1)
    write_mixed(tmp_path / "set" / "1-in-1")
    parquet_rows.write_rows_index(
        tmp_path / "set" / "index.json",
        sorted((tmp_path / "set").rglob("*.parquet")),
        form=LATENTS,
        more={"vae": {"spatial": VAE.spatial, "temporal": VAE.temporal}},
    )
    (tmp_path / "set" / "1-in-1" / "shapes.npz").unlink()
    found = recorded_shapes(tmp_path / "set")
    assert found is not None
    assert found.total == 5


def test_of_other_things_nothing_is_told(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "latents", num=2)
    damaged = write_latents(tmp_path / "damaged", num=2)
    (damaged / "shard-00000.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("path,text\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    index = json.loads((folder / "index.json").read_text())
    index["shards"][0]["file"] = "../latents/shard-00000.parquet"
    (outside / "index.json").write_text(json.dumps(index))
    clips = write_clips(tmp_path / "clips", num_latent=1)
    for path in (damaged, tmp_path / "empty", tmp_path / "list.csv", outside, clips, tmp_path / "gone"):
        assert recorded_shapes(path) is None


def test_a_shard_of_more_rows_than_a_glance_takes_is_left_to_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_mixed(tmp_path / "mixed")
    assert recorded_shapes(folder) is not None
    monkeypatch.setattr("lumos.media.shards.recorded_rows._MOST_ROWS", 1)
    assert recorded_shapes(folder) is None
