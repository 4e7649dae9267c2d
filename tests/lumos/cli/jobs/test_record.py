"""Records: the hash of a model's files."""

import shutil
from pathlib import Path

import pytest

from lumos.cli.jobs import record
from lumos.cli.jobs.record import differences, model_hash
from lumos.hub.models import resolve


@pytest.mark.parametrize("whole_bytes", [2**26, 2**17])
def test_a_hash_of_weights_tells_a_model_from_its_sister(
    ckpts: Path, tmp_path: Path, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_WHOLE_BYTES", whole_bytes)
    sister = shutil.copytree(ckpts / "lumos-tiny", tmp_path / "lumos-tiny")
    assert model_hash(resolve(root=ckpts)) == model_hash(resolve(root=tmp_path))
    content = bytearray((sister / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (sister / "model.safetensors").write_bytes(bytes(content))
    assert model_hash(resolve(root=ckpts)) != model_hash(resolve(root=tmp_path))


def test_an_output_of_another_model_is_told_by_its_name_and_not_by_every_setting() -> None:
    made = {"prompt": "a", "seed": 1, "model": "lumos-tiny", "model_hash": "x", "settings": {"fps": 8, "top_k": 3}}
    wanted = {"prompt": "b", "seed": None, "model": "lumina-tiny", "model_hash": "y", "settings": {"preset": "1x2"}}
    assert differences(made, wanted) == ["model: lumos-tiny -> lumina-tiny", "prompt: a -> b"]
    assert differences(made, {**made, "model": "a/lumos-tiny"}) == []
    assert differences(made, {**made, "model_hash": "y"}) == ["model_hash: x -> y"]


def test_a_picture_that_changed_is_told_without_its_hash() -> None:
    made = {"prompt": "a", "seed": 1, "model": "m", "model_hash": "x", "image_hash": "5" * 64, "settings": {}}
    others = {"image_hash": None}, {"image_hash": "6" * 64}
    assert [differences(made, {**made, **other}) for other in others] == [
        ["image: one -> none"],
        ["image: one -> another"],
    ]
    assert differences({**made, "image_hash": None}, made) == ["image: none -> one"]
