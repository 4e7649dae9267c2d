"""YAML of a stranger: plain values come out; what would look elsewhere or explode is refused."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from xllmx.safe.yaml_text import parse_yaml, read_yaml
from xllmx.settings.config import load_config
from xllmx.trainer_config import TrainerConfig

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD = {
    "environment": ("a: ${oc.env:HOME}", r"it holds '\$\{oc\.env:HOME\}': settings are not looked up"),
    "environment with a fallback": ("a: 'x ${oc.env:HOME,1} y'", "not looked up"),
    "another setting": ("a: 1\nb: ${a}", "not looked up"),
    "decoding": ("a: ${oc.decode:'[1]'}", "not looked up"),
    "in a name": ("${oc.env:HOME}: 1", "not looked up"),
    "in a list": ("a: [[{b: '${.c}'}]]", "not looked up"),
    "unfinished": ("a: '${'", "not looked up"),
    "many unfinished": ("a: '" + "${" * 10_000 + "'", "not looked up"),
    "aliases": (LAUGHS, "more than 100000 values"),
    "merged aliases": (LAUGHS.replace("[x,", "[{y: 1},") + "j:\n  <<: *i\n", "more than 100000 values"),
    "an alias of itself": ("a: &a [*a]", r"not valid YAML|found undefined"),
    "deep lists": ("a: " + "[" * 100_000, "more than 50 levels"),
    "deep objects": ("{a: " * 100_000, "more than 50 levels"),
    "deep lines": ("".join(f"{' ' * n}a{n}:\n" for n in range(60)) + " " * 60 + "b: 1", "more than 50 levels"),
    "python": ("a: !!python/object/apply:os.system ['true']", "a value of type tag:yaml.org,2002:python"),
    "binary": ("a: !!binary aGk=", "a value of type tag:yaml.org,2002:binary"),
    "own tag": ("a: !x 1", "a value of type !x"),
    "5000 digits": ("a: " + "9" * 5000, "a number of more than 60 digits"),
    "5000 hex digits": ("a: 0x" + "f" * 5000, "a number of more than 60 digits"),
    "no number": ("a: !!int x", "invalid literal"),
    "a name twice": ("a: 1\na: 2", "duplicate"),
    "half a character": ('a: "\\ud800"', "half a character"),
    "two documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "cut": ("a: [1", "not valid YAML"),
    "tabs": ("a:\n\t- b", "not valid YAML"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_is_said_in_one_line(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "hunter2")
    text, reason = BAD[case]
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_yaml(tmp_path / "a.yaml", remedy="bring it back")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'a.yaml'} is not valid YAML (")
    assert said.endswith("bring it back")
    assert "\n" not in said
    assert "hunter2" not in said


def test_what_is_plain_is_what_omegaconf_reads() -> None:
    text = "a: {b: [1, 2.5e-3, 1e-4, null, yes, 'x: y', \"\\n\"], 3: 4}\nb: &x [1]\nc: *x\nd: |\n  two\n  lines\n"
    assert parse_yaml(text, "x") == OmegaConf.to_container(OmegaConf.create(text))
    assert parse_yaml("", "x") == {}
    assert parse_yaml("[1, 2]", "x") == [1, 2]


def test_json_is_read_as_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1, "a": 2}')
    with pytest.raises(ValueError, match="stands twice in one object"):
        read_yaml(tmp_path / "a.json")


def test_the_environment_does_not_come_into_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "hunter2")
    config = tmp_path / "config.yaml"
    for text, words in (
        ("run_dir: ${oc.env:MY_SECRET}", []),
        ("run_dir: x", ["trackers=['${oc.env:MY_SECRET}']"]),
        ("run_dir: x", ["run_dir=${oc.env:MY_SECRET}"]),
        ("run_dir: x", ["run_dir=${oc.env:MY_SECRET,none}/x"]),
        ("run_dir: x\nbatch_size: {'${oc.env:MY_SECRET}': 1}", []),
        ("run_dir: x", ["batch_size.${oc.env:MY_SECRET}=1"]),
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match="write the value itself") as caught:
            load_config(TrainerConfig, config, words)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "word",
    [
        "run_dir=" + "[" * 100_000, "run_dir=" + "9" * 5000, "run_dir=!!python/none x", "run_dir=[&a 1, *b]",
        ".".join("a" * 2000) + "=1", "a[b[c=1", "[=1", "run_dir[0]=1", "run_dir='", "run_dir=\ud800", "run_dir=@",
    ],
    ids=range(11),
)  # fmt: skip
def test_words_that_are_no_settings_are_one_line(word: str) -> None:
    with pytest.raises(ValueError) as caught:
        load_config(TrainerConfig, None, ["max_steps=1", word])
    assert "\n" not in str(caught.value)
