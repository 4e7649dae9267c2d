"""Which flash-attn is taken, and what is said where none is there."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch
from huggingface_hub import constants

from tests import stand_in_flash
from xllmx.kernels import flash
from xllmx.kernels.flash import find_flash


@pytest.fixture(autouse=True)
def _no_flash(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stand_in_flash.uninstall(monkeypatch)
    yield
    flash._installed.cache_clear()


def provide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, stand_in_flash.module_noting([], name=name))
    flash._installed.cache_clear()


def provide_on_the_hub(monkeypatch: pytest.MonkeyPatch, *, name: str, offline: bool) -> list[tuple[str, int]]:
    """Makes the package `kernels` find `name` alone; returns the list that its calls are noted in."""
    asked: list[tuple[str, int]] = []

    def get_kernel(repo_id: str, *, version: int) -> ModuleType:
        asked.append((repo_id, version))
        if repo_id != name:
            raise FileNotFoundError(f"{repo_id} is not in the cache")
        return stand_in_flash.module_noting([])

    monkeypatch.setitem(sys.modules, "kernels", SimpleNamespace(get_kernel=get_kernel))  # type: ignore[arg-type]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    flash._installed.cache_clear()
    return asked


def name_found() -> str:
    found = find_flash()
    assert not isinstance(found, str), found
    return found.name


def test_torch_comes_first_then_the_newer_package_then_the_older_then_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    provide_on_the_hub(monkeypatch, name="kernels-community/flash-attn2", offline=True)
    assert name_found() == "kernels-community/flash-attn2"
    provide("flash_attn", monkeypatch)
    assert name_found() == "flash_attn"
    provide("flash_attn_interface", monkeypatch)
    assert name_found() == "flash_attn_interface"
    monkeypatch.setattr(flash, "current_flash_attention_impl", lambda: "FA4")
    assert name_found() == "PyTorch's FA4"


def test_nothing_is_asked_of_the_hub_where_it_might_download(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = provide_on_the_hub(monkeypatch, name="kernels-community/flash-attn3", offline=False)
    assert "HF_HUB_OFFLINE=1" in str(find_flash())
    assert asked == []


def test_each_that_is_missing_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))  # a folder of that name
    provide_on_the_hub(monkeypatch, name="none", offline=True)
    reasons = str(find_flash())
    names = [f"{name}: " for name in (*flash._MODULES, *flash._HUB_KERNELS)]
    assert len(names) == 4
    assert sorted(names, key=reasons.index) == names
    assert "has no attribute 'flash_attn_func'" in reasons
    assert "is not in the cache" in reasons


def test_a_logsumexp_beside_the_output_is_left() -> None:
    output = torch.randn(2, 3)
    assert flash._output_alone(lambda: (output, torch.randn(4)))() is output
    assert flash._output_alone(lambda: output)() is output
