"""The options of generate stand for settings that their models take."""

from lumos.cli.commands import parser
from lumos.cli.generation.options import SETTINGS, settings_of, take_resolution
from lumos.lumina_video.settings import SETTING_NAMES as LUMINA_VIDEO_NAMES
from lumos.lumos1.sampling.settings import SETTING_NAMES as LUMOS1_NAMES


def test_every_setting_of_an_option_is_known_to_the_models_that_have_it() -> None:
    only = parser().parse_args(["generate"]).only
    lumos1, lumina_video = ({name for name in SETTINGS if name in only[kind]} for kind in ("lumos1", "lumina_video"))
    both = set(SETTINGS) - lumos1 - lumina_video
    assert lumos1 | both <= set(LUMOS1_NAMES)
    assert lumina_video | both <= set(LUMINA_VIDEO_NAMES)
    assert lumos1.isdisjoint(LUMINA_VIDEO_NAMES)
    assert lumina_video.isdisjoint(LUMOS1_NAMES)


def test_the_spellings_of_the_release_mean_the_same() -> None:
    words = "--ckpt F --resolution 1248x704 --frames 96 --neg_prompt x --sample_config P --precision fp32"
    ours = "--model F --width 1248 --height 704 --num-frames 96 --negative-prompt x --preset P --dtype fp32"
    one, other = (parser().parse_args(["generate", "--prompt", "a", *text.split()]) for text in (words, ours))
    take_resolution(one)
    assert settings_of(one) == settings_of(other)
    names = ("model", "negative_prompt", "dtype", "width", "height")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    assert settings_of(one)["width"] == 1248
