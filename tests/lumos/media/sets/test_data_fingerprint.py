"""A set is the same wherever it lies; one made anew, of as many clips, is another."""

import shutil
from pathlib import Path

from lumos.media.sets.data_fingerprint import fingerprint_of
from tests.lumos.lumina_video.latents import write_latents
from tests.tiny_data import write_clips


def test_a_set_is_known_again_and_another_one_is_not(tmp_path: Path) -> None:
    first = write_clips(tmp_path / "first", num_latent=1)
    shutil.copytree(first, tmp_path / "moved")
    same = {
        fingerprint_of(str(place)) for place in (first, tmp_path / "moved", write_clips(tmp_path / "b", num_latent=1))
    }
    assert len(same) == 1
    write_clips(tmp_path / "other", num_latent=3)
    write_latents(tmp_path / "latents", num=9)
    yaml = tmp_path / "data.yaml"
    yaml.write_text("META: [{path: first, ratio: 2}]")
    others = {fingerprint_of(str(tmp_path / name)) for name in ("other", "latents", "data.yaml")}
    assert len(others) == 3
    assert not others & same
    assert fingerprint_of(str(tmp_path / "gone.yaml")) == ""
