"""The official lists and the rewritten prompts: found by content, written apart, refused when anything lacks."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from eval.benchmarks import BENCHMARKS
from eval.geneval.prompts import LISTS
from eval.prompts import __main__ as prompts
from eval.prompts import sources as prompt_sources
from eval.prompts.lists import read_long
from tests.web_server import serving

OFFICIAL = "".join(
    json.dumps({"tag": "counting", "include": [], "exclude": [], "prompt": text}) + "\n" for text in ("a cat", "a dog")
).encode()
REWRITTEN = "".join(
    json.dumps({"prompt": text, "prompt_rewrite_qwen32b": f"{text}, at length"}) + "\n" for text in ("a cat", "a dog")
).encode()


def pin(monkeypatch: pytest.MonkeyPatch, official: bytes = OFFICIAL, rewritten: bytes = REWRITTEN) -> None:
    """Lets GenEval's lists be these contents."""
    pin_list(monkeypatch, "geneval", official=official, rewritten=rewritten)


def pin_list(monkeypatch: pytest.MonkeyPatch, name: str, **contents: bytes) -> None:
    lists = BENCHMARKS[name].lists
    for which, content in contents.items():
        pinned = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        lists = replace(lists, **{which: replace(getattr(lists, which), **pinned)})
    monkeypatch.setitem(BENCHMARKS, name, replace(BENCHMARKS[name], lists=lists))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A web server that answers with the contents put into this dict: path -> bytes."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b""))

        def log_message(self, *words: object) -> None:
            pass

    with serving(Handler) as url:
        monkeypatch.setattr(prompt_sources, "GITHUB_FILES", url)
        monkeypatch.setattr(prompt_sources, "GITHUB_ARCHIVES", url)
        yield pages


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_files_are_found_by_content_whatever_they_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch)
    (tmp_path / "from/deep").mkdir(parents=True)
    (tmp_path / "from/deep/list.jsonl").write_bytes(OFFICIAL)
    (tmp_path / "from/other.jsonl").write_bytes(REWRITTEN)
    words = ["geneval", "--from", str(tmp_path / "from"), "--offline", "--out", str(tmp_path / "o")]
    assert prompts.main(words) == 0
    assert LISTS.official_path(tmp_path / "o").read_bytes() == OFFICIAL
    long = read_long(LISTS.long_path(tmp_path / "o"))
    assert long == {"a cat": "a cat, at length", "a dog": "a dog, at length"}


def test_a_file_changed_by_one_byte_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pin(monkeypatch)
    (tmp_path / "evaluation_metadata.jsonl").write_bytes(OFFICIAL.replace(b"cat", b"rat"))
    words = ["geneval", "--from", str(tmp_path), "--offline", "--out", str(tmp_path / "o"), "--short"]
    assert prompts.main(words) == 2
    assert "evaluation_metadata.jsonl is another version of it" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_without_the_rewritten_prompts_nothing_is_written_unless_short_ones_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pin(monkeypatch)
    (tmp_path / "list.jsonl").write_bytes(OFFICIAL)
    words = ["geneval", "--from", str(tmp_path), "--offline", "--out", str(tmp_path / "o")]
    assert prompts.main(words) == 2
    assert "the rewritten prompts for geneval" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert prompts.main([*words, "--short"]) == 0
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["geneval_evaluation_metadata.jsonl"]


def test_a_prompt_without_a_rewritten_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = REWRITTEN.splitlines(keepends=True)[0]
    pin(monkeypatch, rewritten=short)
    (tmp_path / "list.jsonl").write_bytes(OFFICIAL)
    (tmp_path / "long.jsonl").write_bytes(short)
    with pytest.raises(ValueError, match="1 prompts of geneval have no rewritten one: a dog"):
        prompts.bring(["geneval"], places=[tmp_path], folder=tmp_path / "o", offline=True)
    assert not (tmp_path / "o").exists()


def test_long_prompts_of_ones_own_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch)
    (tmp_path / "geneval_evaluation_metadata.jsonl").write_bytes(OFFICIAL)
    own = LISTS.long_path(tmp_path)
    own.write_text('{"a cat": "mine", "a dog": "mine"}')
    assert own in prompts.bring(["geneval"], folder=tmp_path, offline=True)
    assert read_long(own)["a cat"] == "mine"


def test_lists_come_from_an_installed_vbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vbench").mkdir()
    (tmp_path / "vbench/__init__.py").write_text("raise RuntimeError('not to be imported')")
    content = b'[{"prompt_en": "a cat", "dimension": ["color"]}]'
    (tmp_path / "vbench/VBench_full_info.json").write_bytes(content)
    pin_list(monkeypatch, "vbench", official=content)
    monkeypatch.syspath_prepend(tmp_path)
    prompts.bring(["vbench"], folder=tmp_path / "o", short=True, offline=True)
    assert BENCHMARKS["vbench"].lists.official_path(tmp_path / "o").read_bytes() == content


def test_what_is_not_at_hand_is_downloaded_from_its_pinned_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: dict[str, bytes]
) -> None:
    pin(monkeypatch)
    source, rewritten = BENCHMARKS["geneval"].lists.official, BENCHMARKS["geneval"].lists.rewritten
    server[f"/{source.repository}/{source.revision}/{source.path}"] = OFFICIAL
    other = REWRITTEN.replace(b"cat", b"rat")  # as large, and not it
    server[f"/{rewritten.repository}/tar.gz/HEAD"] = archive({"a/one.jsonl": other, "a/two.jsonl": REWRITTEN})
    assert len(prompts.bring(["geneval"], folder=tmp_path)) == 2
    server.clear()
    assert len(prompts.bring(["geneval"], folder=tmp_path)) == 2  # all there: nothing is asked for


@pytest.mark.parametrize(
    ("answer", "message"), [(OFFICIAL + b" ", "is not the file it should be"), (None, "HTTP Error 404|Not Found")]
)
def test_a_wrong_answer_of_the_server_is_not_taken(
    answer: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: dict[str, bytes]
) -> None:
    pin(monkeypatch)
    source = BENCHMARKS["geneval"].lists.official
    if answer is not None:
        server[f"/{source.repository}/{source.revision}/{source.path}"] = answer
    with pytest.raises(ValueError, match=message):
        prompts.bring(["geneval"], folder=tmp_path / "o", short=True)
    assert not (tmp_path / "o").exists()


def test_an_archive_without_the_file_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: dict[str, bytes]
) -> None:
    pin(monkeypatch)
    (tmp_path / "list.jsonl").write_bytes(OFFICIAL)
    server[f"/{LISTS.rewritten.repository}/tar.gz/HEAD"] = archive({"a/one.jsonl": b"{}"})
    with pytest.raises(ValueError, match=r"does not hold the rewritten prompts for geneval .*--from"):
        prompts.bring(["geneval"], places=[tmp_path], folder=tmp_path / "o")


def test_an_unknown_benchmark_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert prompts.main(["vbench3"]) == 2
    assert capsys.readouterr().err == (
        "eval.prompts: error: there is no benchmark 'vbench3'; there are geneval, vbench, vbench_i2v\n"
    )


def test_the_public_files_are_the_pinned_ones(shared_data: Path, tmp_path: Path) -> None:
    prompts.bring(list(BENCHMARKS), places=[shared_data / "prompts"], folder=tmp_path, offline=True)
    metadata = [json.loads(line) for line in LISTS.official_path(tmp_path).read_text().splitlines()]
    assert sum("exclude" in record for record in metadata if record["tag"] == "counting") == 80
    counts = {name: len(read_long(one.lists.long_path(tmp_path))) for name, one in BENCHMARKS.items()}
    assert counts == {"geneval": 553, "vbench": 944, "vbench_i2v": 1118}
