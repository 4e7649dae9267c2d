"""What comes with the code is found in a checkout and in an installed wheel alike, and a user's own files win."""

from pathlib import Path

import pytest

from lumos.hub import bundled, models
from tests.lumos.hub.test_models import fake_model


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the package in an installation without a checkout, a bundled model in it; the user is elsewhere."""
    package = tmp_path / "site-packages" / "lumos"
    fake_model(package / "bundled" / "ckpts" / "lumos-tiny")
    (package / "bundled" / "configs").mkdir()
    (package / "bundled" / "configs" / "a.yaml").write_text("bundled: true\n")
    monkeypatch.setattr(bundled, "_PACKAGE", package)
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    return package


def test_a_checkout_is_told_from_an_installation(repo: Path, installed: Path) -> None:
    assert bundled.checkout() is None
    assert bundled.bundled() == installed / "bundled"
    assert models.ckpts_root() == Path.cwd() / "ckpts"


def test_a_pyproject_that_another_package_left_makes_no_checkout(installed: Path) -> None:
    (installed.parent / "pyproject.toml").touch()
    assert bundled.checkout() is None
    assert bundled.bundled_folder("lumos-tiny") == installed / "bundled" / "ckpts" / "lumos-tiny"


def test_the_code_under_test_runs_from_a_checkout(repo: Path) -> None:
    assert bundled.checkout() == bundled.bundled() == repo
    assert models.ckpts_root() == repo / "ckpts"


@pytest.mark.parametrize("name", [*bundled.BUNDLED_MODELS, *bundled.BUNDLED_TOKENIZERS])
def test_the_bundled_models_are_in_the_repository(name: str, repo: Path) -> None:
    assert bundled.bundled_folder(name) == repo / "ckpts" / name


@pytest.mark.parametrize("ckpts", [None, "elsewhere"])
def test_a_bundled_model_is_found_by_its_name_wherever_checkpoints_lie(installed: Path, ckpts: str | None) -> None:
    files = models.resolve("lumos-tiny", ckpts)
    assert files.model == installed / "bundled" / "ckpts" / "lumos-tiny"
    assert files.name == "lumos-tiny"


def test_a_model_of_that_name_among_the_checkpoints_wins(installed: Path) -> None:
    own = fake_model(Path("ckpts/lumos-tiny").absolute())
    assert models.resolve("lumos-tiny").model == own


def test_only_a_bundled_name_leads_into_the_package(installed: Path) -> None:
    for name in ("../ckpts/lumos-tiny", "lumos-tiny/visual_tokenizer", "configs", ""):
        assert bundled.bundled_folder(name) is None


def test_a_config_that_is_not_there_is_the_bundled_one(installed: Path) -> None:
    assert bundled.file_or_bundled("configs/a.yaml") == installed / "bundled" / "configs" / "a.yaml"
    assert bundled.file_or_bundled("configs/b.yaml") == Path("configs/b.yaml")
    assert bundled.file_or_bundled("configs/../configs/a.yaml") == Path("configs/../configs/a.yaml")
    Path("configs").mkdir()
    Path("configs/a.yaml").touch()
    assert bundled.file_or_bundled("configs/a.yaml") == Path("configs/a.yaml")


def test_a_bundled_model_that_is_gone_is_said_with_both_places(installed: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'lumina-tiny', which comes with the code, is neither in .*ckpts nor in .*bundled.ckpts; "
    ):
        models.model_folder("lumina-tiny")
