"""What of a data set is used: clips within the limit, of one aspect a batch, of this model's tokenizer."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.data.released_writing import write_released
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.sequence import Clip
from lumos.lumos1.training.items.clip_stream import ClipStream
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from xllmx.data.broken import BrokenSampleError, Replacing
from xllmx.data.streams import Streams
from xllmx.subset import Subset


def clip(index: int = 0, *, frames: int = 4, prompt_length: int = 6, grid: tuple[int, int] = (8, 4)) -> Clip:
    rng = np.random.default_rng(index)
    return Clip(
        prompt_ids=np.array([256, *rng.integers(65, 90, prompt_length - 3), 313, 314], dtype=np.int32),
        caption="",
        codes=rng.integers(0, 50, (frames, *grid)).astype(np.uint16),
        fps=6,
        duration=2,
        source=str(index),
    )


def stream_of(folder: Path, config: LumosConfig, **settings: object) -> ClipStream:
    task = LumosTask(LumosTaskConfig(model=config.to_dict(), data={"clips": str(folder)}, **settings))
    return task.build_dataset("train")["clips"]


def test_what_is_too_long_is_cut_or_left_out_and_counted(
    tmp_path: Path, tiny_config: LumosConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with ClipWriter(tmp_path / "clips") as writer:
        for index, frames in enumerate((1, 4, 2, 3)):  # 55, 187, 99 and 143 tokens
            writer.add(clip(index, frames=frames))
    folder = tmp_path / "clips"
    dropped = stream_of(folder, tiny_config, max_length=100, too_long="drop")
    assert [dropped[index].clip.source for index in range(len(dropped))] == ["0", "2"]
    assert dropped.lengths == [56, 100]
    cut = stream_of(folder, tiny_config, max_length=143, too_long="cut")
    assert [len(cut[index].clip.codes) for index in range(len(cut))] == [1, 2, 2, 2]
    assert "of 4 clips over task.max_length=100 tokens: 2 left out" in caplog.text
    assert "of 4 clips over task.max_length=143 tokens: 2 cut" in caplog.text
    with pytest.raises(ValueError, match="no clip of 4 is within"):
        stream_of(folder, tiny_config, max_length=50, too_long="cut")
    with pytest.raises(ValueError, match="too_long is 'crop'; it must be one of error, cut, drop"):
        stream_of(folder, tiny_config, too_long="crop")


def test_a_yaml_says_what_shares_batches_and_of_what_an_epoch_sees_a_part(
    tmp_path: Path, tiny_config: LumosConfig
) -> None:
    """Of the second set a half is drawn anew; one of its clips is too long, and not among those that are drawn from."""
    for name, number in (("a", 3), ("b", 9)):
        with ClipWriter(tmp_path / name) as writer:
            for index in range(number):
                writer.add(clip(index, frames=4 if (name, index) == ("b", 2) else 1))
    entries = ["{path: a, type: one}", "{path: b, type: two, ratio: 0.5, drawn: each_epoch}"]
    (tmp_path / "data.yaml").write_text(f"META: [{', '.join(entries)}]")
    stream = stream_of(tmp_path / "data.yaml", tiny_config, max_length=100, too_long="drop")
    assert stream.subsets == [Subset(start=3, stop=11, share=0.5)]
    order = Streams({"clips": stream}, batch_size={"clips": 1}).orders["clips"]
    epochs = [[order.batch(epoch * 7 + number)[0] for number in range(7)] for epoch in range(6)]
    assert order.batches_per_epoch == 7
    assert all({0, 1, 2} < set(epoch) and len(set(epoch)) == 7 for epoch in epochs)
    assert {index for epoch in epochs for index in epoch} == set(range(11))
    pairs = Streams({"clips": stream}, batch_size={"clips": 2}).orders["clips"]
    assert all(max(batch) < 3 or min(batch) >= 3 for batch in map(pairs.batch, range(12)))


def test_batches_have_one_aspect(tmp_path: Path, tiny_config: LumosConfig) -> None:
    with ClipWriter(tmp_path / "clips") as writer:
        for index in range(12):
            writer.add(clip(index, frames=1, grid=((8, 4), (4, 12))[index % 2]))
    stream = stream_of(tmp_path / "clips", tiny_config)
    batches = Streams({"clips": stream}, batch_size={"clips": 3}).orders["clips"]
    grids = [{stream[index].clip.codes.shape for index in batches.batch(number)} for number in range(4)]
    assert all(len(one) == 1 for one in grids)
    assert set.union(*grids) == {(1, 8, 4), (1, 4, 12)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": np.full((2, 8, 4), 50, dtype=np.uint16)}, "holds code 50, this model has 50 codes"),
        (
            {"prompt_ids": np.array([3, 70, 71], dtype=np.int32)},
            "a prompt of ids 3..71 from 3 on; here it begins with 256",
        ),
        (
            {"prompt_ids": np.array([256, 400], dtype=np.int32)},
            "ids 256..400 from 256 on; here it begins with 256, of 360",
        ),
    ],
)
def test_shards_of_another_tokenizer_are_refused_at_once(
    tmp_path: Path, tiny_config: LumosConfig, changes: dict[str, object], message: str
) -> None:
    with ClipWriter(tmp_path / "clips") as writer:
        for index in range(3):
            writer.add(dataclasses.replace(clip(index), **changes))
    with pytest.raises(ValueError, match=rf"clips was made with another tokenizer than this model's: .*{message}"):
        stream_of(tmp_path / "clips", tiny_config)


def test_a_broken_shard_is_a_broken_sample(tmp_path: Path, tiny_config: LumosConfig) -> None:
    with ClipWriter(tmp_path / "clips", shard_size=4) as writer:
        for index in range(12):
            writer.add(clip(index))
    shard = tmp_path / "clips" / "shard-00001.parquet"
    content = shard.read_bytes()
    shard.write_bytes(content[:300] + bytes(700) + content[1000:])
    stream = stream_of(tmp_path / "clips", tiny_config)
    with pytest.raises(BrokenSampleError, match=r"shard-00001\.parquet: not a readable shard"):
        stream[5]
    assert Replacing(stream, stream="video")[5].content.clip.source == "8"


def test_of_a_record_that_is_cut_a_clip_is_refused_when_it_is_drawn(tmp_path: Path, tiny_config: LumosConfig) -> None:
    """A record says the whole length of a clip, not that of its first second."""
    (tmp_path / "clips").mkdir()
    record = tmp_path / "clips" / "merge-record.json"
    write_released(record, map(clip, range(2)), tiny_config.vocabulary)
    assert len(stream_of(record, tiny_config, max_length=144, duration_s=1)[0].clip.codes) == 3
    stream = stream_of(record, tiny_config, max_length=100, duration_s=1)
    with pytest.raises(ValueError, match=r"\(3 latent frames\) is 144 tokens long, over task\.max_length=100"):
        stream[0]
    with pytest.raises(ValueError, match=r"2 of 2 clips are over task\.max_length=144"):
        stream_of(record, tiny_config, max_length=144)
