"""Clips on disk: what is written is read, what is damaged is named, and released pickles are only ever plain data."""

import json
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumos1.data.clips import ClipDataset, read_released
from lumos.lumos1.data.shards import CLIPS, ClipShards, write_shard
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.sequence import Clip, sequence_of
from lumos.media.sets.data_yaml import Entry
from lumos.media.shards.parquet_rows import rows_metadata, write_rows_index
from lumos.tokenizer.vocab import Vocab


def make_clip(number: int, shape: tuple[int, int, int] = (3, 4, 8)) -> Clip:
    rng = np.random.default_rng(number)
    return Clip(
        prompt_ids=np.arange(5 + number % 7, dtype=np.int32),
        caption=f"clip {number}, naïve",
        codes=rng.integers(0, 64000, shape).astype(np.uint16),
        fps=6 + number % 2,
        duration=2,
        source=f"{number}.mp4",
    )


def assert_same(one: Clip, other: Clip) -> None:
    for name in ("prompt_ids", "codes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
    for name in ("caption", "fps", "duration", "source"):
        assert getattr(one, name) == getattr(other, name)


def tokens_of(clip: Clip) -> torch.Tensor:
    codes = torch.from_numpy(clip.codes.astype(np.int64))
    prompt_ids = torch.from_numpy(clip.prompt_ids.astype(np.int64))
    return sequence_of(prompt_ids, codes, vocab=Vocab(), fps=clip.fps, duration=clip.duration)


def write(folder: Path, clips: list[Clip], *, shard_size: int = 4) -> Path:
    with ClipWriter(folder, shard_size=shard_size) as writer:
        for clip in clips:
            writer.add(clip)
    return folder


def write_released(path: Path, clip: Clip) -> int:
    tokens = tokens_of(clip).tolist()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"token": tokens, "label": tokens, "id": 0}))
    return len(tokens)


@contextmanager
def no_room() -> Iterator[None]:
    """A limit on the size of files stands for a full disk: the write itself fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# --- shards -----------------------------------------------------------------------------------------------------------


def test_clips_come_back_in_any_order(tmp_path: Path) -> None:
    clips = [make_clip(number, (1 + number % 3, 4, 8)) for number in range(11)]
    write(tmp_path, clips)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.json",
        *[f"shard-0000{k}.parquet" for k in range(3)],
    ]
    dataset = ClipDataset(tmp_path)
    assert len(dataset) == 11
    for number in np.random.default_rng(0).permutation(11).tolist():
        assert_same(dataset[number], clips[number])
    assert_same(dataset[-1], clips[10])
    with pytest.raises(IndexError):
        dataset[11]


def test_row_groups_are_kept_up_to_their_share_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [make_clip(number) for number in range(6)]
    shards = ClipShards([write_shard_at(tmp_path / f"{number}.parquet", [clip]) for number, clip in enumerate(clips)])
    read = []
    monkeypatch.setattr(shards, "_file", lambda number: read.append(number) or ClipShards._file(shards, number))
    for index in (0, 1, 0, 1):
        assert_same(shards[index], clips[index])
    assert read == [0, 0, 1, 1]  # once for its row groups, and once for the one that is read
    monkeypatch.setattr("lumos.media.shards.parquet_rows._KEPT_BYTES", int(2.5 * shards._table(0, 0).nbytes))
    for index in (0, 2, 0, 1):  # 2 has taken the place of 1, the one longest unused
        assert_same(shards[index], clips[index])
    assert read == [0, 0, 1, 1, 2, 2, 1]


def write_shard_at(path: Path, clips: list[Clip]) -> Path:
    write_shard(path, clips)
    return path


def test_large_clips_are_spread_over_row_groups(tmp_path: Path) -> None:
    clips = [make_clip(number, (3, 100 + 4 * number, 124)) for number in range(9)]
    write_shard(tmp_path / "a.parquet", clips)
    shards = ClipShards([tmp_path / "a.parquet"])
    assert len(shards._groups_of(0)) > 3
    for number in (8, 0, 4, 3, 5):
        assert_same(shards[number], clips[number])


def test_lengths_are_those_of_the_packed_samples(tmp_path: Path) -> None:
    clips = [make_clip(number, (1 + number % 3, 4, 8 + 4 * (number % 2))) for number in range(7)]
    dataset = ClipDataset(write(tmp_path, clips))
    assert dataset.lengths == [len(tokens_of(clip)) for clip in clips]


def test_a_dataset_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    dataset = ClipDataset(write(tmp_path, [make_clip(number) for number in range(5)]))
    assert_same(dataset[3], make_clip(3))
    assert_same(pickle.loads(pickle.dumps(dataset))[4], make_clip(4))


def test_many_shards_are_not_all_kept_open(tmp_path: Path) -> None:
    dataset = ClipDataset(write(tmp_path, [make_clip(number) for number in range(40)], shard_size=1))
    for _ in range(2):
        for number in range(40):
            assert_same(dataset[number], make_clip(number))
    assert len(dataset._sets[0]._open) == 32


def test_no_clips_are_a_finished_set_too(tmp_path: Path) -> None:
    assert len(ClipDataset(write(tmp_path, []))) == 0


def test_a_failed_writing_leaves_no_index(tmp_path: Path) -> None:
    def stop_midway() -> None:
        with ClipWriter(tmp_path, shard_size=2) as writer:
            for number in range(5):
                writer.add(make_clip(number))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_midway()
    assert not (tmp_path / "index.json").exists()
    assert len(ClipDataset(write(tmp_path, [make_clip(0)], shard_size=2))) == 1


def test_a_finished_set_is_not_written_over(tmp_path: Path) -> None:
    write(tmp_path, [make_clip(0)])
    with pytest.raises(ValueError, match="already holds a finished set"):
        ClipWriter(tmp_path)


def test_metadata_is_kept_in_the_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", [], metadata={"rows": "7"})
    assert rows_metadata(tmp_path / "a.parquet", form=CLIPS)["rows"] == "7"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    clip = make_clip(0, (3, 40, 80))
    with pytest.raises(ValueError, match=r"cannot write .*a\.parquet: File too large; free some space"), no_room():
        write_shard(tmp_path / "a.parquet", [clip])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "text", "flipped", "gone"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, [make_clip(number, (3, 40, 80)) for number in range(4)])
    shard = tmp_path / "shard-00000.parquet"
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(content[:-100])
    elif damage == "text":
        shard.write_text("no shard")
    elif damage == "flipped":
        for position in range(1000, len(content) - 5000, 1000):
            content[position] ^= 0xFF
        shard.write_bytes(content)
    else:
        shard.unlink()
    with pytest.raises(ValueError, match=r"shard-00000\.parquet: not a readable shard"):
        ClipDataset(tmp_path)[0]


def test_an_index_that_is_out_of_date_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [make_clip(number) for number in range(4)])
    write_shard(tmp_path / "shard-00000.parquet", [make_clip(0)])
    with pytest.raises(ValueError, match=r"holds 1 clip, but .* says 4"):
        ClipDataset(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"format": "lumos-clips"}', '{"format": "other"}', "3", "[3]"])
def test_a_damaged_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index\.json"):
        ClipDataset(tmp_path)


def test_what_holds_no_clips_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no clips"):
        ClipDataset(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        ClipDataset(tmp_path / "none")
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match="cannot read clips from it"):
        ClipDataset(tmp_path / "a.txt")


# --- data YAML --------------------------------------------------------------------------------------------------------


def test_ratios_repeat_and_thin_out(tmp_path: Path) -> None:
    write(tmp_path / "a", [make_clip(number) for number in range(4)])
    write(tmp_path / "b", [make_clip(number) for number in range(10, 20)])
    (tmp_path / "data.yaml").write_text("META:\n  - {path: a, ratio: 2.5}\n  - {path: b/index.json, ratio: 0.5}\n")
    dataset = ClipDataset(tmp_path / "data.yaml")
    sources = [clip.source.removesuffix(".mp4") for clip in dataset]
    assert sources == ["0", "1", "2", "3", "0", "1", "2", "3", "0", "2", "10", "12", "14", "16", "18"]
    assert dataset.lengths == [len(tokens_of(clip)) for clip in dataset]


def test_paths_of_a_yaml_may_count_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data" / "a", [make_clip(0)])
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "data.yaml").write_text("META: [{path: data/a}]")
    monkeypatch.chdir(tmp_path)
    assert len(ClipDataset("configs/data.yaml")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("META: [{path: none}]", "there is no .*none"),
        ("META: [{path: a, ratoi: 1}]", "did you mean ratio"),
        ("META: [{ratio: 1}]", "has no path"),
        ("META: [{path: a, ratio: 0}]", "ratio is 0; it must be above 0"),
        ("META: [{path: a, ratio: 1.0e+12}]", r"ratio is 1e\+12; it must be above 0 .* and at most 10,000"),
        ("META: [{path: data.yaml}]", r"entry 'data.yaml' is a data YAML; name the sets that it lists"),
        ("META: [{path: a, ratio: many}]", "data.yaml"),
        ("{unclosed", "data.yaml"),
        ("- 1", "one list META"),
        ("META: 3", "one list META"),
    ],
)
def test_a_wrong_yaml_says_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path / "a", [make_clip(0)])
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        ClipDataset(tmp_path / "data.yaml")
    assert "\n" not in str(caught.value)


def test_the_example_yamls_name_what_pre_tokenisation_makes(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Lumina-Video name latents; tests/test_configs.py reads them."""
    yamls = sorted(path for path in (repo / "configs" / "data").glob("*.yaml") if not path.name.startswith("lumina"))
    assert yamls
    write(tmp_path / "set", [make_clip(number) for number in range(4)])
    place = "lumos.media.sets.data_yaml._entry"
    monkeypatch.setattr(place, lambda yaml, entry, drawn: Entry(path=tmp_path / "set", ratio=float(entry["ratio"])))
    for path in yamls:
        assert len(ClipDataset(path)) >= 4


# --- released samples -------------------------------------------------------------------------------------------------


def test_a_released_sample_becomes_its_clip(tmp_path: Path) -> None:
    clip = make_clip(3)
    write_released(tmp_path / "0.pkl", clip)
    read = read_released(tmp_path / "0.pkl", Vocab())
    np.testing.assert_array_equal(read.codes, clip.codes, strict=True)
    np.testing.assert_array_equal(read.prompt_ids, clip.prompt_ids, strict=True)
    assert (read.fps, read.duration, read.caption) == (7, 2, "")


def test_released_records_are_read_wherever_the_set_was_moved(tmp_path: Path) -> None:
    records = []
    for number in range(3):
        length = write_released(tmp_path / "1-in-1" / "files" / f"{number}.pkl", make_clip(number))
        records.append({"file": f"/elsewhere/1-in-1/files/{number}.pkl", "len": length, "id": number})
    records.append(records[1])  # resuming doubled records
    (tmp_path / "1-in-1" / "merge-record.json").write_text(json.dumps(records))
    (tmp_path / "1-in-1" / "0-of-1-record.jsonl").write_text("\n".join(json.dumps(record) for record in records))
    for path in ("", "merge-record.json", "0-of-1-record.jsonl", "files"):
        dataset = ClipDataset(tmp_path / "1-in-1" / path)
        assert dataset.lengths == [len(tokens_of(make_clip(number))) for number in range(3)]
        np.testing.assert_array_equal(dataset[2].codes, make_clip(2).codes)


def test_a_record_above_the_tasks_finds_them_and_one_of_other_tasks_takes_no_strangers(tmp_path: Path) -> None:
    records = []
    for task in ("1-in-2", "2-in-2"):
        length = write_released(tmp_path / task / "files" / "0.pkl", make_clip(len(records)))
        records.append({"file": f"/old/{task}/files/0.pkl", "len": length, "id": 0})
    above, inside = tmp_path / "merge-record.json", tmp_path / "1-in-2" / "merge-record.json"
    for place in (above, inside):
        place.write_text(json.dumps(records))
    np.testing.assert_array_equal(ClipDataset(above)[1].codes, make_clip(1).codes)
    with pytest.raises(ValueError, match="two of its samples would be one file"):
        ClipDataset(inside)


def test_a_record_that_a_kill_cut_is_read_up_to_there(tmp_path: Path) -> None:
    length = write_released(tmp_path / "files" / "0.pkl", make_clip(0))
    line = json.dumps({"file": "files/0.pkl", "len": length, "id": 0})
    record = tmp_path / "0-of-1-record.jsonl"
    record.write_text(f"{line}\n\n{line[:20]}")
    assert len(ClipDataset(record)) == 1
    record.write_text(f"{line[:20]}\n{line}\n")
    assert ClipDataset(record)[1].codes.shape == make_clip(0).codes.shape
    with pytest.raises(ValueError, match="damaged index of clips: it, line 1 is not valid JSON"):
        ClipDataset(record)[0]


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def _cycle() -> list:
    content: list = []
    content.append(content)
    return content


@pytest.mark.parametrize(
    "content",
    [
        {"token": [1.0]},
        {"token": (1,)},
        {"token": [True]},
        {"token": [None]},
        {"token": [b"a"]},
        {"token": [1], "other": {1, 2}},
        {"token": [np.int64(3)]},
        {"token": [1], "other": {"a": [{"b": 1.5}]}},
        {"label": [1]},
        {"token": _cycle()},
        {"token": [10**30]},
        {"token": [0, 1, 2]},
        [1],
        3,
    ],
)
def test_a_pickle_of_anything_else_is_refused(tmp_path: Path, content: object) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"a\.pkl") as caught:
        read_released(tmp_path / "a.pkl", Vocab())
    assert "\n" not in str(caught.value)


def test_a_pickle_that_runs_code_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"token": [_Touch(tmp_path / "touched")]}))
    with pytest.raises(ValueError, match=r"it asks for .*getattr|it asks for .*Path"):
        read_released(tmp_path / "a.pkl", Vocab())
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "content", [b"", b"junk", pickle.dumps({"token": [1] * 50})[:40], b"cos\nsystem\n(S'true'\ntR."]
)
def test_bytes_that_are_no_pickle_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pkl: not a released sample"):
        read_released(tmp_path / "a.pkl", Vocab())


def test_released_shards_load(shared_data: Path, tmp_path: Path) -> None:
    dataset = ClipDataset(shared_data / "released_shards")
    assert dataset.lengths == [4084, 4100, 4107, 4111, 90119, 90132]
    assert [clip.codes.shape for clip in dataset] == [(1, 52, 72)] * 4 + [(22, 48, 84)] * 2
    assert [(clip.fps, clip.duration) for clip in dataset] == [(1, 1)] * 4 + [(12, 7)] * 2
    video = dataset[4]
    with (shared_data / "released_shards" / "video_0.pkl").open("rb") as file:
        assert tokens_of(video).tolist() == pickle.load(file)["token"]
    copied = ClipDataset(write(tmp_path, list(dataset)))
    assert copied.lengths == dataset.lengths
    assert_same(copied[4], video)


def test_an_index_counts_its_clips(tmp_path: Path) -> None:
    write_shard(tmp_path / "a" / "1.parquet", [make_clip(0)])
    write_shard(tmp_path / "b" / "2.parquet", [make_clip(1), make_clip(2)])
    files = [tmp_path / "a" / "1.parquet", tmp_path / "b" / "2.parquet"]
    assert write_rows_index(tmp_path / "all.json", files, form=CLIPS) == 3
    assert [clip.source for clip in ClipDataset(tmp_path / "all.json")] == ["0.mp4", "1.mp4", "2.mp4"]
