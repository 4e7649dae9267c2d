"""A look at clips of codes: counts, codes used, sources beside what is decoded."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lumos.hub.hashes import sha256_of
from lumos.look.clips.code_clips import look_at_code_clips
from lumos.look.clips.tokenizer_choice import choose_tokenizer, tokenizers_here
from lumos.look.report import LookRequest
from lumos.lumos1.data.released_writing import sample_of
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.sequence import Clip
from lumos.tokenizer.text import TextTokenizer
from pre_tokenize import __main__ as pre_tokenize
from tests.lumos.lumos1.data.test_clips import make_clip


def look(path: Path, ckpts: Path, **more: object) -> str:
    return "\n".join(look_at_code_clips(path, LookRequest(ckpts=ckpts, **more)).lines)


def clip_of(codes: np.ndarray, *, source: str = "a", caption: str = "") -> Clip:
    ids = np.array([1, 2], np.int32)
    return Clip(prompt_ids=ids, caption=caption, codes=codes.astype(np.uint16), fps=4, duration=2, source=source)


def test_a_set_is_counted_decoded_and_put_beside_its_sources(coded: Path, ckpts: Path) -> None:
    report = look_at_code_clips(coded, LookRequest(ckpts=ckpts))
    said = "\n".join(report.lines)
    assert said.startswith(f"{coded}: 3 clips of codes, for Lumos-1\n")
    assert ["64x32", "8", "4", "2", "3"] in [line.split() for line in report.lines]
    assert "captions    9 to 10 letters, median 9 (3 words); 2 different" in said
    assert "skipped     1 row gave no clip: missing file 1" in said
    assert "tokenizer   lumos-tiny, which made the codes" in said
    assert " of 60 (" in said
    assert " dB, mean of 3 clips beside their sources; lowest " in said
    assert "below 22 dB: blotches come back" in said  # blocks of one colour, of edges that lie between them
    assert [[strip.label for strip in card.strips] for card in report.cards] == [["source", "decoded"]] * 3
    assert [card.text for card in report.cards] == ["a red box", "a blue box", "a red box"]
    assert "64x32 · 8 frames · 4 fps · " in report.cards[0].note


def test_a_video_of_one_frame_is_read_as_a_video(table: Path, ckpts: Path, tmp_path: Path) -> None:
    fixed = ["--modality", "video", "--target_size", "64", "--target_fps", "1", "--target_duration", "1"]
    words = ["--input_file", str(table), "--output_dir", str(tmp_path / "coded"), *fixed]
    assert pre_tokenize.main([*words, "--visual_tokenizer", str(ckpts / "lumos-tiny")]) == 0
    assert " dB, mean of 3 clips beside their sources" in look(tmp_path / "coded", ckpts)


def test_a_set_that_is_not_finished_is_looked_at_too(coded: Path, ckpts: Path) -> None:
    (coded / "index.json").unlink()
    assert "3 clips of codes, for Lumos-1 (no index yet" in look(coded, ckpts)


def test_sources_are_sought_where_they_may_be_and_their_absence_is_said(
    coded: Path, table: Path, ckpts: Path, tmp_path: Path
) -> None:
    report = next(coded.rglob("0-of-1/report.json"))
    report.write_text(json.dumps({**json.loads(report.read_text()), "input_file": "/nowhere/a.csv"}))
    said = look(coded, ckpts)
    assert "PSNR        not known: no source was found; --media says where they are" in said
    assert "[source not found]" in said
    assert "mean of 3 clips beside their sources" in look(coded, ckpts, media=table.parent)


def test_a_source_that_is_another_file_now_is_said(coded: Path, table: Path, ckpts: Path, tmp_path: Path) -> None:
    shutil.copytree(table.parent, tmp_path / "media")
    (tmp_path / "media" / "0.mp4").write_bytes(b"no video")
    said = look(coded, ckpts, media=tmp_path / "media")
    assert "[source: undecodable]" in said
    assert "mean of 2 clips" in said


def test_codes_of_a_tokenizer_that_is_not_here_are_not_decoded(coded: Path, ckpts: Path) -> None:
    manifest = next(coded.rglob("manifest.json"))
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "visual_tokenizer": "ab" * 32}))
    report = look_at_code_clips(coded, LookRequest(ckpts=ckpts))
    said = "\n".join(report.lines)
    assert "tokenizer   another one made the codes (sha256 abababababab...); give its folder" in said
    assert "not known: nothing was decoded" in said
    assert [[strip.label for strip in card.strips] for card in report.cards] == [["source"]] * 3
    assert "lumos-tiny, as asked" in look(coded, ckpts, model="lumos-tiny")


def test_what_no_record_tells_is_taken_for_the_likeliest_and_said(tmp_path: Path, ckpts: Path) -> None:
    with ClipWriter(tmp_path / "set") as writer:
        writer.add(clip_of(np.full((3, 8, 12), 59), caption="a"))
    assert "taken for lumos-tiny's: no record says which made the codes" in look(tmp_path / "set", ckpts)
    with ClipWriter(tmp_path / "other") as writer:
        writer.add(clip_of(np.full((3, 8, 12), 60), caption="a"))
    assert "none that is here has code 60; lumos download cosmos" in look(tmp_path / "other", ckpts)


def test_tokenizers_that_come_with_the_code_are_found_by_a_record_and_never_guessed(ckpts: Path) -> None:
    """tiny-visual has as many codes as the released tokenizer, whose codes it would turn into noise."""
    request = LookRequest(ckpts=ckpts)
    here = {one.name: one for one in tokenizers_here(request)}
    ours = here["tiny-visual"]
    recorded = sha256_of(ours.visual / "encoder.jit")
    known = choose_tokenizer([*here.values()], request=request, recorded=recorded, most_code=63999)
    assert (known.tokenizer, known.said) == (ours, "tiny-visual, which made the codes")
    unknown = choose_tokenizer([*here.values()], request=request, recorded=None, most_code=63999)
    assert unknown.tokenizer is None


def test_only_some_clips_are_read_and_shown_where_there_are_many(tmp_path: Path, ckpts: Path) -> None:
    with ClipWriter(tmp_path / "set") as writer:
        for number in range(9):
            writer.add(clip_of(np.full((3, 4, 8), number), source=str(number), caption="a"))
    report = look_at_code_clips(tmp_path / "set", LookRequest(ckpts=ckpts, num=2, read=3))
    said = "\n".join(report.lines)
    assert "3 clips spread over all stand for the rest below; --read N reads more" in said
    assert "codes       3 of 60 (5%) used, perplexity 3" in said
    assert ["64x32", "8", "4", "2", "9"] in [line.split() for line in report.lines]
    assert [line.split()[1] for line in report.lines[-2:]] == ["0", "8"]
    assert not look_at_code_clips(tmp_path / "set", LookRequest(ckpts=ckpts, num=0)).cards


def test_released_samples_are_read_with_the_ids_that_fit(tmp_path: Path, ckpts: Path) -> None:
    vocab = TextTokenizer.from_file(ckpts / "lumos-tiny" / "text_tokenizer.json").vocab
    clip = clip_of(np.arange(3 * 4 * 8).reshape(3, 4, 8) % 60)
    (tmp_path / "0.pkl").write_bytes(pickle.dumps(sample_of(clip, vocab, number=0)))
    said = look(tmp_path / "0.pkl", ckpts)
    assert "1 clip of codes" in said
    assert "captions    all empty: nothing says what the clips show" in said
    assert "[no record names its source]" in said
    assert "PSNR        not known: no source can be compared; below stands why" in said
    assert "codes       60 of 60 (100%) used" in said


def test_an_empty_set_is_said_to_be_one(tmp_path: Path, ckpts: Path) -> None:
    with ClipWriter(tmp_path / "set"):
        pass
    assert look(tmp_path / "set", ckpts).splitlines()[0] == f"{tmp_path / 'set'}: 0 clips of codes, for Lumos-1"


@pytest.mark.parametrize(("column", "value", "message"), [
    ("codes", b"12", "cannot reshape"),
    ("caption", None, "row 1 has nothing in caption"),
    ("fps", 0, "without codes, rate, duration or texts"),
])  # fmt: skip
def test_a_damaged_clip_is_counted_and_the_others_are_looked_at(
    column: str, value: object, message: str, tmp_path: Path, ckpts: Path
) -> None:
    with ClipWriter(tmp_path / "set") as writer:
        for number in range(3):
            writer.add(clip_of(np.full((2, 4, 8), number), source=str(number), caption="a"))
    (shard,) = (tmp_path / "set").glob("*.parquet")
    content = pq.read_table(shard)
    rows = content.to_pylist()
    rows[1][column] = value
    pq.write_table(type(content).from_pylist(rows, schema=content.schema), shard)
    said = look(tmp_path / "set", ckpts)
    assert "3 clips of codes" in said
    assert "damaged     1 clip could not be read: " in said
    assert message in said


def test_names_of_a_stranger_obey_nothing(tmp_path: Path, ckpts: Path) -> None:
    clip = make_clip(0)
    for number, source in enumerate(("a\0b", "../" * 40 + "etc/passwd", "\x1b[2J", "/dev/zero", "file:/etc/passwd")):
        with ClipWriter(tmp_path / str(number)) as writer:
            writer.add(clip_of(np.full((3, 4, 8), 1), source=source, caption="\x1b]0;hi\x07" + clip.caption))
        said = look(tmp_path / str(number), ckpts)
        assert "\x1b" not in said
        assert "PSNR        not known" in said
