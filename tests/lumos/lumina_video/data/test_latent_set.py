"""What names latents: folders, indices, shards and data YAMLs of them; of one VAE each."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.data.latent_set import LatentSet
from tests.lumos.lumina_video.latents import VAE, write_latents
from xllmx.subset import Subset


def test_a_set_is_named_by_folder_index_shard_or_yaml(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "a", num=20)
    write_latents(tmp_path / "b", num=3, shape=(1, 4, 4))
    (tmp_path / "both.yaml").write_text(
        "META: [{path: a, type: video, ratio: 0.5, drawn: once}, {path: b/index.json, type: image, ratio: 2}]"
    )
    (folder / "index.json").rename(tmp_path / "aside.json")
    assert len(LatentSet(folder)) == 20
    (tmp_path / "aside.json").rename(folder / "index.json")
    assert len(LatentSet(folder)) == len(LatentSet(folder / "index.json")) == 20
    assert len(LatentSet(folder / "shard-00000.parquet")) == 16
    both = LatentSet(tmp_path / "both.yaml")
    assert both.shapes[:, 1].tolist() == [4] * 10 + [1] * 6
    assert [both[index].source for index in (0, 1, 10, 13)] == ["0.mp4", "2.mp4", "0.mp4", "0.mp4"]
    assert both.vae == VAE
    assert both.types is not None
    assert list(both.types) == ["video"] * 10 + ["image"] * 6
    assert LatentSet(folder).types is None


def test_of_a_set_that_each_epoch_draws_anew_all_is_there(tmp_path: Path) -> None:
    for name, num in (("a", 3), ("b", 4)):
        write_latents(tmp_path / name, num=num)
    (tmp_path / "c.yaml").write_text("META: [{path: a}, {path: b, ratio: 0.5}]")
    latents = LatentSet(tmp_path / "c.yaml")
    assert (len(latents), latents.subsets) == (7, [Subset(start=3, stop=7, share=0.5)])


@pytest.mark.parametrize("name", ["record.jsonl", "record.json", "record.pkl", "record.pth"])
def test_a_released_record_is_read_with_its_lead_left_out(tmp_path: Path, name: str) -> None:
    latent = torch.arange(4 * 5 * 2 * 2).reshape(4, 5, 2, 2).bfloat16()
    (tmp_path / "0.pkl").write_bytes(pickle.dumps({"latent": latent, "id": 0}))
    row = {"path": "a.mp4", "prompt": "a", "pkl": "s3://bucket/0.pkl", "pkl_shape": "[4, 5, 2, 2]", "seconds": 2.1}
    if name.endswith(".pth"):
        torch.save([row], tmp_path / name)
    else:
        written = {".jsonl": json.dumps(row) + "\n", ".json": json.dumps([row]), ".pkl": pickle.dumps([row])}
        text = written[Path(name).suffix]
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    clips = LatentSet(tmp_path / name)
    assert clips.shapes.tolist() == [[4, 5, 2, 2, 1]]
    assert clips.vae is None
    assert clips[0].motion == -1
    assert torch.equal(clips[0].kept, latent[:, 1:])


def test_latents_of_two_vaes_are_refused(tmp_path: Path) -> None:
    write_latents(tmp_path / "a", num=2)
    write_latents(tmp_path / "b", num=2, vae=replace(VAE, scale=0.5))
    (tmp_path / "both.yaml").write_text("META: [{path: a}, {path: b}]")
    with pytest.raises(ValueError, match=r"b: its latents are of another VAE \(scale of the latents 0.5, not 1\)"):
        LatentSet(tmp_path / "both.yaml")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "no such file or folder; give a folder of shards"),
        ("words.txt", "a", "cannot read latents from it"),
        ("index.json", '{"format": "lumos-clips"}', "is no index of latents"),
        (
            "index.json",
            '{"format": "lumos-clips", "shards": []}',
            "it holds 'lumos-clips', and 'lumina-latents' are read here; name others, or train the other model",
        ),
        ("index.json", '{"format": "lumina-latents"}', "damaged index of latents"),
        ("set.yaml", "META: [{path: a, kind: video}]", "unknown key 'kind'"),
        ("set.yaml", "META: [{path: a, type: video}]", "pre-tokenise first or correct the path"),
    ],
)
def test_what_names_no_latents_is_said(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        LatentSet(tmp_path / name)


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no latents"):
        LatentSet(tmp_path)
