"""Files of tensors: read one by one, refused when broken, and put into a network only where they fit."""

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lumos.lumina_video.checkpoint.tensor_files import TensorFiles, fill

STORED = {
    "0.weight": torch.randn(3, 5),
    "0.bias": torch.randn(3),
    "1.weight": torch.randn(2, 3),
    "1.bias": torch.randn(2),
}


def network() -> nn.Sequential:
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2))


def save(tensors: dict[str, Tensor], file: Path) -> Path:
    if file.suffix == ".safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file)
    return file


def filled(file: Path, **settings: object) -> nn.Module:
    model = network()
    fill(model, TensorFiles([file]), **settings)
    return model


@pytest.mark.parametrize("ending", ["safetensors", "pth", "bin"])
def test_tensors_of_both_kinds_of_file_go_into_the_network(tmp_path: Path, ending: str) -> None:
    model = filled(save(STORED, tmp_path / f"a.{ending}"))
    assert {name: tensor.tolist() for name, tensor in model.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in STORED.items()
    }


def test_an_old_torch_file_that_is_no_zip_is_read(tmp_path: Path) -> None:
    torch.save(STORED, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(filled(tmp_path / "a.pth").state_dict()["1.weight"], STORED["1.weight"])


def test_a_tensor_is_gone_before_the_next_but_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights cast on the way in are held in the wanted dtype alone."""
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    read = TensorFiles.read

    def watched(self: TensorFiles, name: str) -> Tensor:
        nonlocal most
        most = max(most, sum(reference() is not None for reference in alive))
        tensor = read(self, name)
        alive.append(weakref.ref(tensor))
        return tensor

    monkeypatch.setattr(TensorFiles, "read", watched)
    model = filled(save(STORED, tmp_path / "a.safetensors"), dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.bfloat16}
    assert len(alive) == 4
    assert most <= 1


def test_names_are_changed_on_the_way(tmp_path: Path) -> None:
    file = save({f"part.{name}": tensor for name, tensor in STORED.items()}, tmp_path / "a.safetensors")
    tensors = TensorFiles([file], rename=lambda name: name.removeprefix("part."))
    assert tensors.shapes == {name: tuple(tensor.shape) for name, tensor in STORED.items()}
    assert torch.equal(tensors.read("0.bias"), STORED["0.bias"])


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    files = [save(STORED, tmp_path / "a.safetensors"), save(STORED, tmp_path / "b.safetensors")]
    with pytest.raises(ValueError, match=r"b\.safetensors holds .* a second time: .* merge them"):
        TensorFiles(files)


def test_more_tensors_than_the_network_has_are_refused_unless_allowed(tmp_path: Path) -> None:
    file = save({**STORED, "2.weight": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"1 unexpected: 2\.weight"):
        filled(file)
    assert torch.equal(filled(file, allow_more=True).state_dict()["0.bias"], STORED["0.bias"])


def test_what_does_not_fit_is_counted_and_named_in_one_line(tmp_path: Path) -> None:
    wrong = {"0.weight": torch.randn(3, 7), **{f"x{i}": torch.ones(1) for i in range(5)}}
    expected = (
        r"do not fit the model \(3 missing: 0\.bias, 1\.bias, 1\.weight; 5 unexpected: x0, x1, x2, \.\.\. \(2 more\); "
        r"1 of another shape: 0\.weight \[3, 7\] where the config says \[3, 5\]\); check"
    )
    with pytest.raises(ValueError, match=expected) as caught:
        filled(save(wrong, tmp_path / "a.safetensors"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    bad = {**STORED, "1.bias": torch.tensor([0.5, value])}
    with pytest.raises(ValueError, match=r"1\.bias in .* not finite as float32; .*download it again"):
        filled(save(bad, tmp_path / "a.safetensors"))


def test_a_dtype_too_narrow_for_the_weights_is_refused(tmp_path: Path) -> None:
    file = save({**STORED, "1.bias": torch.tensor([0.5, 1e6])}, tmp_path / "a.safetensors")
    assert filled(file, dtype=torch.bfloat16).state_dict()["1.bias"].isfinite().all()
    with pytest.raises(ValueError, match=r"not finite as float16; .*load it as float32"):
        filled(file, dtype=torch.float16)


class Evil:
    """What a pickle can do: creates a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    file, marker = tmp_path / "a.pth", tmp_path / "marker"
    torch.save({**STORED, "evil": Evil(marker)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"a\.pth is no file of plain weights") as caught:
        TensorFiles([file])
    assert not marker.exists()
    assert "\n" not in str(caught.value)
    torch.load(file, weights_only=False)["evil"].close()
    assert marker.exists()  # the trap works


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda f: f.unlink(), "is missing; copy or download it again"),
    "pointer": (
        lambda f: f.write_text("version https:" + "//git-lfs.x/spec/v1\noid sha256:0"),
        "git LFS pointer.*pull",
    ),
    "cut short": (lambda f: f.write_bytes(f.read_bytes()[:-7]), "again"),
    "empty": (lambda f: f.write_bytes(b""), "again"),
    "text": (lambda f: f.write_text("<html>404</html>" * 99), "again"),
}


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_file_is_explained_in_one_line(tmp_path: Path, fault: str, ending: str) -> None:
    file = save(STORED, tmp_path / f"a.{ending}")
    spoil, message = FAULTS[fault]
    spoil(file)
    with pytest.raises(ValueError, match=message) as caught:
        TensorFiles([file])
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_kind_of_number_nobody_knows_is_said(tmp_path: Path) -> None:
    file = save(STORED, tmp_path / "a.safetensors")
    file.write_bytes(file.read_bytes().replace(b'"F32"', b'"X32"'))
    with pytest.raises(ValueError, match=r"a\.safetensors cannot be read .*copy or download it again"):
        TensorFiles([file])


@pytest.mark.parametrize("content", [{"model": STORED}, [torch.ones(1)], {"step": 3}])
def test_a_torch_file_of_something_else_than_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="does not map names to tensors"):
        TensorFiles([tmp_path / "a.pth"])
