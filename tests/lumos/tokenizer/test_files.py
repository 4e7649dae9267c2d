"""The two tokenizers by name: a folder, a released name, a model's; what is not there is said with what brings it."""

from pathlib import Path

import pytest

from lumos.hub.bundled import BUNDLED_TOKENIZERS, bundled
from lumos.hub.models import check_weights, kind_of, model_folder, repository_of
from lumos.tokenizer.files import has_released, tokenizer_files


def released(ckpts: Path) -> tuple[Path, Path]:
    folder = ckpts / "cosmos" / "Cosmos-Tokenizer-DV4x8x8"
    folder.mkdir(parents=True)
    for name in ("encoder.jit", "decoder.jit"):
        (folder / name).write_text("")
    text = ckpts / "cosmos" / "tokenizer" / "text_tokenizer.json"
    text.parent.mkdir()
    text.write_text("{}")
    return folder, text


@pytest.mark.parametrize("name", ["Cosmos-Tokenizer-DV4x8x8", "cosmos", "nvidia/Cosmos-Tokenizer-DV4x8x8"])
def test_the_released_pair_is_found_by_its_names(tmp_path: Path, name: str) -> None:
    assert not has_released(tmp_path)
    with pytest.raises(ValueError, match=r"are not in .*Cosmos-Tokenizer-DV4x8x8; run: lumos download cosmos"):
        tokenizer_files(name, root=tmp_path)
    folder, text = released(tmp_path)
    assert tokenizer_files(name, root=tmp_path) == (folder, text)
    assert tokenizer_files(str(folder), root=tmp_path) == (folder, text)
    assert has_released(tmp_path)


def test_a_missing_text_tokenizer_is_one_download(tmp_path: Path) -> None:
    _, text = released(tmp_path)
    text.unlink()
    with pytest.raises(ValueError, match="no such file; run: lumos download cosmos"):
        tokenizer_files("cosmos", root=tmp_path)
    with pytest.raises(ValueError, match=r"mine\.json: no such file; give the text_tokenizer\.json of the same model"):
        tokenizer_files("cosmos", "mine.json", root=tmp_path)


def test_chameleon_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"8192 codes of its own.*; give Cosmos-Tokenizer-DV4x8x8"):
        tokenizer_files("Chameleon", root=tmp_path)


def test_tokenizers_that_come_with_the_code_are_found_wherever_checkpoints_lie(tmp_path: Path) -> None:
    for name in BUNDLED_TOKENIZERS:
        folder, text = tokenizer_files(name, root=tmp_path)
        assert folder.is_relative_to(bundled() / "ckpts" / name)
        assert text == bundled() / "ckpts" / name / "text_tokenizer.json"
        with pytest.raises(ValueError, match=f"{name!r} is not downloaded: .*; give it as --visual_tokenizer {name}"):
            repository_of(name)
        for refused in (kind_of, check_weights):
            with pytest.raises(ValueError, match=f"{name} holds tokenizers without a model; train a model"):
                refused(model_folder(name))
    with pytest.raises(ValueError, match="did you mean tiny-visual"):
        tokenizer_files("tiny_visual", root=tmp_path)


def test_another_name_is_that_of_a_model(tmp_path: Path) -> None:
    model = tmp_path / "mine"
    (model / "visual_tokenizer").mkdir(parents=True)
    for name in ("visual_tokenizer/encoder.jit", "visual_tokenizer/decoder.jit", "text_tokenizer.json"):
        (model / name).write_text("{}")
    assert tokenizer_files("mine", root=tmp_path) == (model / "visual_tokenizer", model / "text_tokenizer.json")
    with pytest.raises(ValueError, match="there is no model 'nothing'"):
        tokenizer_files("nothing", root=tmp_path)
