"""Features of prompts: the encoder's own, made once, and the same whatever else is encoded."""

import pytest
import torch

from lumos.lumina_video.on_demand import OnDemand
from lumos.lumina_video.prompt_features import _KEPT, PromptFeatures
from lumos.lumina_video.text import GemmaTextEncoder
from tests.lumos.lumina_video.tiny import TEXT_WIDTH, tiny_text_encoder_folder

CPU = torch.device("cpu")
SHORT, LONG = "a red circle", "a much longer prompt of a blue square that moves to the left"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> GemmaTextEncoder:
    return GemmaTextEncoder.from_pretrained(tiny_text_encoder_folder(tmp_path_factory.mktemp("text")))


class Counted:
    """The features of an encoder that counts how often it is loaded."""

    def __init__(self, encoder: GemmaTextEncoder) -> None:
        self.loads = 0

        def load() -> GemmaTextEncoder:
            self.loads += 1
            return encoder

        self.features = PromptFeatures(OnDemand(load))


@pytest.fixture
def counted(encoder: GemmaTextEncoder) -> Counted:
    return Counted(encoder)


def test_features_are_the_encoder_s_padded_on_the_right(counted: Counted, encoder: GemmaTextEncoder) -> None:
    made, mask = counted.features.of([SHORT, LONG], system_prompt="", device=CPU)
    encoder.system_prompt = ""
    for text, row, valid in zip((SHORT, LONG), made, mask, strict=True):
        alone, alone_mask = encoder.encode([text])
        assert torch.equal(row[valid], alone[alone_mask])
        assert not row[~valid].any()
    assert made.shape == (2, int(mask.sum(1).max()), TEXT_WIDTH)
    assert mask[0].tolist() == sorted(mask[0].tolist(), reverse=True)


def test_a_text_is_encoded_once_whatever_call_wants_it(counted: Counted) -> None:
    counted.features.encode([SHORT, LONG, SHORT, ""], system_prompt="")
    first, _ = counted.features.of([LONG], system_prompt="", device=CPU)
    again, mask = counted.features.of(["", LONG], system_prompt="", device=CPU)
    assert counted.loads == 1
    assert torch.equal(first[0], again[1][mask[1]])


def test_another_system_prompt_makes_other_features(counted: Counted) -> None:
    plain, _ = counted.features.of([SHORT], system_prompt="", device=CPU)
    _, mask = counted.features.of([SHORT], system_prompt="Draw this: ", device=CPU)
    assert counted.loads == 2
    assert mask.shape[1] > plain.shape[1]
    assert torch.equal(counted.features.of([SHORT], system_prompt="", device=CPU)[0], plain)


def test_the_latest_texts_are_kept_and_all_of_a_run(counted: Counted) -> None:
    run = [f"{number}" for number in range(_KEPT + 3)]
    counted.features.encode(run, system_prompt="")
    counted.features.encode(run, system_prompt="")
    assert counted.loads == 1
    counted.features.encode(run[:1], system_prompt="")
    counted.features.encode(run[:1] + run[5:], system_prompt="")
    assert counted.loads == 1
    counted.features.encode(run[1:2], system_prompt="")
    assert counted.loads == 2
