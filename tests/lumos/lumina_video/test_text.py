"""The text encoder against the whole Gemma-2 of the library, and what it says about texts and folders it cannot use."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Gemma2Config, Gemma2Model

from lumos.lumina_video.encoding.protocols import TextEncoder
from lumos.lumina_video.text import (
    MAX_TOKENS,
    SYSTEM_PROMPT,
    GemmaTextEncoder,
    PromptCutWarning,
    num_text_tokens,
    read_text_encoder,
)
from tests.lumos.lumina_video.tiny import BOS, TEXT_WIDTH, tiny_text_encoder_folder, tiny_tokenizer

TEXTS = ["a red circle", "a blue square moves to the left of a red circle, slowly"]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_text_encoder_folder(tmp_path_factory.mktemp("text_encoder"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> GemmaTextEncoder:
    return GemmaTextEncoder.from_pretrained(folder, system_prompt="")


def hidden_states(folder: Path, text: str, **settings: object) -> tuple[torch.Tensor, ...]:
    """All of them, by the whole model, of one text without padding."""
    config = Gemma2Config.from_pretrained(folder, **settings)
    model = Gemma2Model.from_pretrained(folder, config=config, attn_implementation="eager").eval()
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    with torch.no_grad():
        return model(torch.tensor([ids]), output_hidden_states=True).hidden_states


# --- features ---------------------------------------------------------------------------------------------------------


def test_features_are_those_before_the_last_layer_and_the_norm(folder: Path, encoder: GemmaTextEncoder) -> None:
    features, mask = encoder.encode(TEXTS)
    for row, text in enumerate(TEXTS):
        expected = hidden_states(folder, text, attn_logit_softcapping=None)[-2][0]
        torch.testing.assert_close(features[row, mask[row]], expected, atol=2e-5, rtol=1e-5)


def test_the_cap_of_the_logits_is_not_applied(folder: Path, encoder: GemmaTextEncoder) -> None:
    features, mask = encoder.encode(TEXTS[:1])
    capped = hidden_states(folder, TEXTS[0])[-2][0]
    assert (features[0, mask[0]] - capped).abs().max() > 1e-2


def test_the_last_layer_is_not_loaded(folder: Path, encoder: GemmaTextEncoder) -> None:
    stored = {int(name.split(".")[2]) for name in load_file(folder / WEIGHTS) if "layers." in name}
    assert len(stored) == 4
    assert len(encoder.model.layers) == 3
    assert not any(name.startswith("norm") for name in encoder.model.state_dict())


def test_a_folder_without_a_head_gives_the_same_features(encoder: GemmaTextEncoder, tmp_path: Path) -> None:
    tiny_text_encoder_folder(tmp_path, causal_lm=False)
    assert "embed_tokens.weight" in load_file(tmp_path / WEIGHTS)
    headless = GemmaTextEncoder.from_pretrained(tmp_path, system_prompt="")
    assert torch.equal(headless.encode(TEXTS)[0], encoder.encode(TEXTS)[0])


def test_shards_give_the_same_features(folder: Path, encoder: GemmaTextEncoder, tmp_path: Path) -> None:
    sharded = copytree(folder, tmp_path / "sharded")
    weights = load_file(sharded / WEIGHTS)
    (sharded / WEIGHTS).unlink()
    parts = {"a.safetensors": list(weights)[::2], "b.safetensors": list(weights)[1::2]}
    for name, names in parts.items():
        save_file({n: weights[n] for n in names}, sharded / name)
    index = {"weight_map": {n: name for name, names in parts.items() for n in names}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    again = GemmaTextEncoder.from_pretrained(sharded, system_prompt="")
    assert torch.equal(again.encode(TEXTS)[0], encoder.encode(TEXTS)[0])


def test_a_text_has_the_same_features_alone_and_beside_a_longer_one(encoder: GemmaTextEncoder) -> None:
    alone, alone_mask = encoder.encode(TEXTS[:1])
    both, both_mask = encoder.encode(TEXTS)
    assert both.shape[1] > alone.shape[1]
    torch.testing.assert_close(both[0, both_mask[0]], alone[0, alone_mask[0]], atol=2e-5, rtol=1e-5)


def test_a_layer_can_be_trained_on_the_features(encoder: GemmaTextEncoder) -> None:
    layer = torch.nn.Linear(encoder.width, 2)
    layer(encoder.encode(TEXTS)[0]).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0


def test_features_have_the_dtype_asked_for(folder: Path, encoder: GemmaTextEncoder) -> None:
    half = GemmaTextEncoder.from_pretrained(folder, system_prompt="", dtype=torch.bfloat16)
    features, mask = half.encode(TEXTS)
    assert features.dtype == torch.bfloat16
    reference = encoder.encode(TEXTS)[0][mask]
    assert (features[mask].float() - reference).abs().max() < 0.1 * reference.abs().max()


def test_it_is_a_text_encoder(encoder: GemmaTextEncoder) -> None:
    assert isinstance(encoder, TextEncoder)
    assert encoder.width == TEXT_WIDTH == encoder.encode(["x"])[0].shape[2]


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_texts_are_padded_on_the_right_to_a_multiple_of_8(encoder: GemmaTextEncoder) -> None:
    mask = encoder.encode([*TEXTS, ""])[1]
    lengths = [len(tiny_tokenizer().encode(text).ids) for text in [*TEXTS, ""]]
    assert mask.shape[1] % 8 == 0
    assert 0 <= mask.shape[1] - max(lengths) < 8
    assert mask.tolist() == [[True] * n + [False] * (mask.shape[1] - n) for n in lengths]


def test_tokens_are_counted_without_the_weights_as_the_network_sees_them(
    folder: Path, encoder: GemmaTextEncoder
) -> None:
    _, tokenizer = read_text_encoder(folder)
    for text in (*TEXTS, "", "circle " * 40):
        assert num_text_tokens(tokenizer, text) == encoder.encode([text])[0].shape[1]
    assert num_text_tokens(tokenizer, "circle " * 1000) == MAX_TOKENS


def test_every_text_begins_with_bos_whether_the_tokenizer_adds_it_or_not(folder: Path, tmp_path: Path) -> None:
    bare = json.loads((folder / "tokenizer.json").read_text()) | {"post_processor": None}
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    assert Tokenizer.from_file(str(tmp_path / "bare.json")).encode("a").ids[:1] != [BOS]
    encoders = [
        GemmaTextEncoder.from_pretrained(folder, tokenizer=tokenizer, system_prompt="")
        for tokenizer in (None, tmp_path / "bare.json")
    ]
    (own, own_mask), (added, added_mask) = (encoder.encode(TEXTS) for encoder in encoders)
    assert torch.equal(own_mask, added_mask)
    assert torch.equal(own, added)


def test_padding_and_cuts_of_the_tokenizer_file_are_ignored(folder: Path, encoder: GemmaTextEncoder) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(direction="left", length=50)
    assert torch.equal(
        GemmaTextEncoder(encoder.model, tokenizer, system_prompt="").encode(TEXTS)[0], encoder.encode(TEXTS)[0]
    )


def test_the_system_prompt_stands_before_every_text(folder: Path, encoder: GemmaTextEncoder) -> None:
    prefixed = GemmaTextEncoder.from_pretrained(folder, system_prompt="a red ")
    given, expected = prefixed.encode(["circle", ""])[0], encoder.encode(["a red circle", "a red "])[0]
    assert torch.equal(given, expected)


def test_the_system_prompt_is_that_of_training_to_the_letter(folder: Path) -> None:
    assert SYSTEM_PROMPT == (
        "You are an assistant designed to generate high-quality videos with the highest degree of "
        "image-text alignment based on user prompts. <Prompt Start> "
    )
    assert GemmaTextEncoder.from_pretrained(folder).system_prompt == SYSTEM_PROMPT


def test_a_long_prompt_is_cut_at_256_tokens_and_says_so(encoder: GemmaTextEncoder) -> None:
    long = "zq" * 200
    with pytest.warns(PromptCutWarning, match=r"'zqzq.*\.\.\.' is 401 tokens.*last 145 are dropped.*256.*shorten it"):
        features, mask = encoder.encode([long])
    assert mask.shape == (1, 256)
    assert mask.all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = encoder.encode([long[:255]])[0]  # and BOS
    assert torch.equal(features, kept)


def test_half_of_a_surrogate_pair_is_no_error(encoder: GemmaTextEncoder) -> None:
    assert torch.equal(encoder.encode(["a \ud83d b"])[0], encoder.encode(["a ? b"])[0])


def test_no_texts_is_an_error(encoder: GemmaTextEncoder) -> None:
    with pytest.raises(ValueError, match="no texts"):
        encoder.encode([])


def test_a_text_without_any_token_is_an_error(folder: Path, encoder: GemmaTextEncoder, tmp_path: Path) -> None:
    copy = copytree(folder, tmp_path / "copy")
    edit_json(copy / "config.json", bos_token_id=None)
    edit_json(copy / "tokenizer.json", post_processor=None)
    with pytest.raises(ValueError, match="give it a word"):
        GemmaTextEncoder.from_pretrained(copy, system_prompt="").encode([""])


# --- folders ----------------------------------------------------------------------------------------------------------


def edit_json(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    change(weights)
    save_file(weights, folder / WEIGHTS)


UP = "model.layers.1.mlp.up_proj.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing; run: lumos download"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "copy or download it again"),
    "tokenizer of another model": (lambda f: edit_json(f / "config.json", vocab_size=100), "use the tokenizer.json"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json; run: lumos download google/gemma-2-2b"),
    "no Gemma-2": (lambda f: edit_json(f / "config.json", model_type="llama"), "type 'llama'.*run: lumos download"),
    "no number": (lambda f: edit_json(f / "config.json", hidden_size="wide"), "is not a config of Gemma-2"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "has no weights"),
    "pointer": (lambda f: (f / WEIGHTS).write_text("version https:" + "//git-lfs"), "git lfs pull"),
    "cut short": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-8]), "copy it again"),
    "missing": (lambda f: edit_weights(f, lambda w: w.pop(UP)), r"1 missing: layers\.1\.mlp\.up_proj\.weight"),
    "width": (lambda f: edit_json(f / "config.json", hidden_size=48), r"of another shape: .* 24\] where the config"),
    "not finite": (lambda f: edit_weights(f, lambda w: w[UP].view(-1)[3].fill_(torch.nan)), "not finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_be_used_is_explained_in_one_line(folder: Path, tmp_path: Path, fault: str) -> None:
    broken = copytree(folder, tmp_path / "broken")
    spoil, message = FAULTS[fault]
    spoil(broken)
    with pytest.raises(ValueError, match=message) as caught:
        GemmaTextEncoder.from_pretrained(broken)
    assert "\n" not in str(caught.value)
    assert str(broken) in str(caught.value)
