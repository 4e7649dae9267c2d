"""Decoding runs ahead of the network, from one shard into the next, and its pace is what was measured."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.media.frames import to_tensor
from pre_tokenize import __main__ as program
from pre_tokenize.bookkeeping.ledger import Ledger, Skip
from pre_tokenize.engines import engine
from pre_tokenize.engines.pace import Pace
from pre_tokenize.lists.table import NOT_ALLOWED, read_table
from pre_tokenize.products import encode
from pre_tokenize.products.codes import ClipFrames, Target
from pre_tokenize.products.encode import on_device


def test_pixels_are_those_of_each_clip_alone() -> None:
    clips = list(np.random.RandomState(0).randint(0, 256, (2, 5, 8, 16, 3)).astype(np.uint8))
    assert on_device(clips, device="cpu").equal(torch.stack([to_tensor(clip) for clip in clips]))


def test_pace_counts_clips_and_the_time_of_the_network_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 11.0, 14.0, 15.0, 16.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    pace = Pace(_start=10.0)
    next(clock)
    for clips in (3, 2):
        with pace.network(clips):
            pass
    assert pace.report() == {"clips": 5, "seconds": 10.0, "clips_per_s": 0.5, "network_share": 0.4}


def test_workers_decode_into_the_next_shard(videos, tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    decode, write = engine.decode_item, Ledger.write

    def decoded(table, reader, item):
        events.append("decode")
        return decode(table, reader, item)

    def written(self, *args, **kwargs):
        deadline = time.monotonic() + 20  # the worker needs a moment, the first shard must not be written before
        while "write" not in events and events.count("decode") <= 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        events.append("write")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(engine, "decode_item", decoded)
    monkeypatch.setattr(Ledger, "write", written)
    assert program.main(command(videos.file, tmp_path, "--shard_rows", "3", "--num_workers", "1")) == 0
    assert events.count("write") == 5  # 14 rows
    assert events[: events.index("write")].count("decode") > 3


def test_pace_is_written_beside_the_report(videos, tmp_path: Path, command, capsys) -> None:
    assert program.main(command(videos.file, tmp_path)) == 0
    (file,) = tmp_path.rglob("pace.json")
    pace = json.loads(file.read_text())
    assert pace["clips"] == len(videos.kept)
    assert 0 < pace["network_share"] < 1
    assert f"{pace['clips_per_s']:.2f} clips/s" in capsys.readouterr().out


def test_keys_that_stand_in_a_list_do_not_stand_in_what_is_said_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,text\ns3://me:hidden@b/x.mp4,a\n")
    target = Target(modality="video", size=64, fps=4, duration=2)
    table = read_table(tmp_path / "a.csv")
    ((_, skip),) = encode.read_items(table, ClipFrames(target), [0], num_workers=1)
    assert isinstance(skip, Skip)
    assert (skip.path, skip.reason) == ("s3://b/x.mp4", NOT_ALLOWED)
    assert "hidden" not in repr(skip)
