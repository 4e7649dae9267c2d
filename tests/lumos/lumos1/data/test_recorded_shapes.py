"""What is told of clips of codes without torch is what training finds in them."""

from pathlib import Path

import numpy as np
import pytest

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.recorded_shapes import recorded_clips
from lumos.lumos1.sequence_lengths import sequence_lengths
from lumos.media.shards import known_shards, parquet_rows
from tests.lumos.lumina_video.latents import write_latents
from tests.tiny_data import write_clips


@pytest.mark.parametrize("many", [False, True])
def test_shapes_and_lengths_are_those_of_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    if many:
        for module in (known_shards, parquet_rows):
            monkeypatch.setattr(module, "MANY_SHARDS", 0)
    folder = write_clips(tmp_path / "clips", num_latent=3)
    assert (folder / "shapes.npz").is_file() == many
    clips = ClipDataset(folder)
    found = recorded_clips(folder)
    assert found is not None
    assert np.array_equal(found.shapes[found.which], clips.shapes)
    assert sequence_lengths(found.shapes)[found.which].tolist() == list(clips.lengths)


def test_of_other_things_nothing_is_told(tmp_path: Path) -> None:
    damaged = write_clips(tmp_path / "damaged", num_latent=1)
    (damaged / "shard-00000.parquet").write_bytes(b"PAR1")
    for path in (damaged, write_latents(tmp_path / "latents", num=1), tmp_path / "gone"):
        assert recorded_clips(path) is None
