"""The CSV and how it is shared out, as the released system does (tests/golden/data_utils.json)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lumos.media.media_error import MediaError
from pre_tokenize.lists.table import NOT_ALLOWED, Item, Table, part_of, read_table
from xllmx.store.address import Address


def test_parts_are_the_released_ones(golden: Path) -> None:
    cases = json.loads((golden / "data_utils.json").read_text())["get_part_of_dictionary"]
    assert len(cases) == 16
    for name, expected in cases.items():
        total, parts = (int(text) for text in name.removeprefix("n").split("_parts"))
        assert [list(part_of(range(total), parts, index=k)) for k in range(parts)] == [
            list(range(*(e or [0]))) for e in expected
        ]


def test_parts_of_parts_are_the_rows_in_order() -> None:
    rows = [
        row
        for task in range(3)
        for rank in range(4)
        for row in part_of(part_of(range(5, 34), 3, index=task), 4, index=rank)
    ]
    assert rows == list(range(5, 34))


def test_quotes_line_breaks_and_further_columns_are_read(tmp_path: Path) -> None:
    content = '\ufefftext,score,path\n"a ""b"",\nc\u2028d",3, x.mp4 \n e ,,y.mp4\n'
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    items = read_table(tmp_path / "a.csv").items
    assert [(item.row, item.path, item.text) for item in items] == [
        (0, "x.mp4", 'a "b",\nc\u2028d'),
        (1, "y.mp4", "e"),
    ]


def test_a_row_that_is_cut_has_no_caption(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,text\nx.mp4\ny.mp4,it flies,\n")
    assert [item.text for item in read_table(tmp_path / "a.csv").items] == ["", "it flies"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,text\na,b\n", r"lacks the column\(s\) path \(it has: file, text\)"),
        (b"a;b\n", r"lacks the column\(s\) path, text"),
        (b"", "it has: nothing"),
        (b"path,text\na,\xff\xfe\n", "not a CSV in UTF-8"),
        (b'path,text\na,"b\n', "not a CSV"),
        (
            b"path,text\na,b\nc,it flies, slowly\n",
            "row 1 has 3 fields, the header 2; put captions with commas in quotes",
        ),
        (b"path,text,text\na,b,c\n", "has the column text twice"),
        (b"path,text\n", "has no row below its header"),
        (b'path,text\na,b\nc,"d\ne,f\n', r"not a CSV .*row 1, which ends at line"),
        (b"path,text\na,b\nc,caf\xe9\n", "not a CSV in UTF-8 .* line 3.*save it as UTF-8"),
    ],
)
def test_a_file_that_is_no_such_csv_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(tmp_path / "a.csv")
    assert "a.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_csv_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")


def test_paths_count_from_the_csv_or_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "x.mp4").touch()
    (tmp_path / "csv" / "a.csv").write_text(f"path,text\nx.mp4,a\ny.mp4,b\n{tmp_path / 'z.mp4'},c\n")
    table = read_table(tmp_path / "csv" / "a.csv")
    assert [table.locate(item) for item in table.items] == [
        tmp_path / "csv" / "x.mp4",
        Path("y.mp4"),
        tmp_path / "z.mp4",
    ]


@pytest.mark.parametrize("name", ["n" * 300 + ".mp4", "null\0.mp4", "/".join(["folder"] * 900)])
def test_a_name_that_cannot_be_one_is_located_where_reading_will_say_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"path,text\n{name},a\n")
    table = read_table(tmp_path / "a.csv")
    assert table.locate(table.items[0]) == tmp_path / name


def test_a_file_in_a_closed_folder_is_not_sought_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.csv").write_text("path,text\nclosed/x.mp4,a\n")
    table = read_table(tmp_path / "a.csv")
    monkeypatch.setattr(Path, "stat", closed)
    assert table.locate(table.items[0]) == tmp_path / "closed" / "x.mp4"


def test_a_path_in_the_home_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("path,text\n~/x.png,a\n~x.png,b\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    table = read_table(tmp_path / "a.csv")
    assert [table.locate(item) for item in table.items] == [tmp_path / "home" / "x.png", Path("~x.png")]
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "x.png").touch()
    assert table.locate(table.items[0]) == tmp_path / "~" / "x.png"


def fate(table: Table, path: str) -> str:
    """The name of the file that a row's path leads to, or the reason why it leads nowhere."""
    try:
        with table.media(Item(row=0, path=path, text="")) as file:
            return file.read_text()
    except MediaError as error:
        return f"{error.reason}: {error.detail}"


def test_a_list_in_a_store_leads_to_what_lies_below_it_alone(bucket: Address, tmp_path: Path) -> None:
    (bucket / "lists" / "a.csv").write_bytes(b"path,text\nx.mp4,a\n")
    (bucket / "lists" / "clips" / "x.mp4").write_bytes(b"below")
    (bucket / "other" / "x.mp4").write_bytes(b"elsewhere")
    (tmp_path / "x.mp4").write_text("here")
    table = read_table(str(bucket / "lists" / "a.csv"))
    assert [fate(table, path) for path in ("clips/x.mp4", f"{bucket}/lists/clips/x.mp4")] == ["below", "below"]
    assert fate(table, "none.mp4").startswith("missing file")
    outside = [f"{bucket}/other/x.mp4", f"file://{tmp_path}/x.mp4", str(tmp_path / "x.mp4"), "../other/x.mp4", "~/x"]
    never = ["http" + "://169.254.169.254/latest", "gs://b/x", "s3://me:hidden@b/x", "data:x://y", "ftp://h/x"]
    for path in (*outside, *never):
        assert fate(table, path).startswith(f"{NOT_ALLOWED}: "), path
    assert f"give --media_from {bucket}/other if the list may name it" in fate(table, outside[0])
    allowed = replace(table, allowed=[bucket / "other", tmp_path])
    assert [fate(allowed, path) for path in outside[:2]] == ["elsewhere", "here"]
    for path in (*outside[2:], *never, f"file://{tmp_path}/../{tmp_path.name}x/x.mp4"):
        assert fate(allowed, path).startswith(f"{NOT_ALLOWED}: "), path


def test_a_link_out_of_an_allowed_folder_is_not_followed(bucket: Address, tmp_path: Path) -> None:
    (bucket / "a.csv").write_bytes(b"path,text\nx.mp4,a\n")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "x.mp4").symlink_to(tmp_path / "secret.txt")
    table = read_table(str(bucket / "a.csv"), allowed=[tmp_path / "open"])
    assert fate(table, f"file://{tmp_path}/open/x.mp4").startswith(NOT_ALLOWED)


def test_a_list_on_this_disk_names_a_store_only_where_it_may(bucket: Address, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,text\nx.mp4,a\n")
    (tmp_path / "x.mp4").write_text("here")
    (bucket / "x.mp4").write_bytes(b"there")
    table = read_table(tmp_path / "a.csv")
    assert [fate(table, path) for path in ("x.mp4", f"file://{tmp_path}/x.mp4")] == ["here", "here"]
    assert fate(table, f"{bucket}/x.mp4").startswith(NOT_ALLOWED)
    assert fate(replace(table, allowed=[bucket]), f"{bucket}/x.mp4") == "there"


def test_a_list_that_is_not_in_its_store_is_named(bucket: Address) -> None:
    with pytest.raises(ValueError, match=r"--input_file s3://.*/none.csv: no such object; give a CSV"):
        read_table(str(bucket / "none.csv"))


def test_an_address_that_is_never_read_says_what_to_do(tmp_path: Path) -> None:
    signed = f"https://localhost/a.mp4?{'0' * 300}"
    (tmp_path / "a.csv").write_text(f"path,text\n{signed},it flies\nab://x.mp4,there\n")
    (tmp_path / "ab:").mkdir()
    (tmp_path / "ab:" / "x.mp4").touch()
    table = read_table(tmp_path / "a.csv")
    with pytest.raises(
        MediaError, match="https:// is not read here, s3, gs, hf and file are; download the file"
    ) as caught:
        table.media(table.items[0]).__enter__()
    assert caught.value.reason == NOT_ALLOWED
    with table.media(table.items[1]) as file:
        assert file == tmp_path / "ab:" / "x.mp4"


def test_an_accent_may_be_stored_otherwise_than_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,text\ncaf\u00e9.mp4,a\n", encoding="utf-8")
    (tmp_path / "cafe\u0301.mp4").touch()
    table = read_table(tmp_path / "a.csv")
    assert table.locate(table.items[0]) == tmp_path / "cafe\u0301.mp4"
