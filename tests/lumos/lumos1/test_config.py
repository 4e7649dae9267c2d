"""The released config.json is read as it is; settings no Lumos model has are refused."""

import json
import re

import pytest

from lumos.lumos1.config import ARDFConfig, LumosConfig, SamplerConfig
from lumos.tokenizer.vocab import Vocab


@pytest.fixture
def released(golden) -> dict:
    """The fields of a config.json, from the golden numbers."""
    return json.loads((golden / "configs.json").read_text())["A"]["config"]


def write(folder, fields) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "chameleon", **fields}))


def test_released_config_json_is_read(tmp_path, released):
    write(
        tmp_path,
        {**released, "rope_theta": 5000.0, "vq_config": {"embed_dim": 256}, "torch_dtype": "bfloat16", "head_dim": 32},
    )
    config = LumosConfig.from_pretrained(tmp_path)
    assert (config.hidden_size, config.num_attention_heads, config.head_dim) == (64, 2, 32)
    assert config.rope_theta == 5000.0
    assert config.vq_config == {"embed_dim": 256}
    assert config.vocabulary == Vocab()


def test_save_and_load_keep_every_field(tmp_path, released):
    config = LumosConfig(**{**released, "rope_theta": 5000.0, "swin_norm": True, "vocab": {"mask": 9010}})
    config.save_pretrained(tmp_path)
    again = LumosConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert again.rope_theta == 5000.0
    assert again.vocabulary.mask == 9010
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "chameleon"


def test_rope_parameters_of_transformers_5_are_read():
    assert LumosConfig(rope_parameters={"rope_theta": 500.0, "rope_type": "default"}).rope_theta == 500.0


def test_vocab_round_trips_through_the_config():
    vocab = Vocab(mask=31, code_base=400, num_codes=50, size=20000)
    assert LumosConfig(vocab_size=20000, vocab=vocab.to_dict()).vocabulary == vocab


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"mm_rope": False}, "mm_rope"),
        ({"rope_scaling": {"factor": 2.0}}, "rope_scaling"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings"),
        ({"hidden_size": 100, "num_attention_heads": 8}, "hidden_size is 100"),
        ({"num_attention_heads": 32, "num_key_value_heads": 5}, "multiple of 5"),
        ({"num_key_value_heads": 2, "model_parallel_size": 4}, "num_key_value_heads is 2"),
        ({"hidden_size": 64, "num_attention_heads": 2, "head_dim": 64}, "head_dim is 64; Lumos models have .* 32"),
        ({"vocab": {"size": 129600}}, "vocab.size is 129600"),
    ],
)
def test_settings_no_lumos_model_has_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LumosConfig(**fields)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "holds a JSON list, not an object"),
        ("hello", "is not valid JSON"),
        ('{"hidden_size": "abc"}', "setting hidden_size is 'abc'; it must be a whole number"),
        ('{"num_attention_heads": 0}', "num_attention_heads is 0; it must be a whole number of at least 1"),
        ('{"rms_norm_eps": "tiny"}', "setting rms_norm_eps is 'tiny'; it must be a number"),
        ('{"vocab": "x"}', "setting vocab is 'x'; it must be a mapping"),
        ('{"vocab": {"bos": "x"}}', "vocab.bos is 'x'; it must be a whole number"),
        ('{"vocab": {"code_table": 5}}', "vocab.code_table is 5; it must be a list of ids"),
        ('{"id2label": 3}', "is no config of a Lumos model (AttributeError"),
    ],
)
def test_a_config_json_that_is_none_is_one_line_that_names_it(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        LumosConfig.from_pretrained(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'config.json'}")
    assert "\n" not in str(error.value)


def test_a_subfolder_is_read_and_named(tmp_path, released):
    (tmp_path / "model").mkdir()
    (tmp_path / "config.json").write_text("hello")  # another's
    write(tmp_path / "model", released)
    assert LumosConfig.from_pretrained(pretrained_model_name_or_path=tmp_path, subfolder="model").hidden_size == 64
    write(tmp_path / "model", {"num_attention_heads": 0})
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'model' / 'config.json'}: num_attention_heads is 0")):
        LumosConfig.from_pretrained(tmp_path, subfolder="model")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SamplerConfig(num_steps=0), "num_steps is 0"),
        (lambda: SamplerConfig(guidance_scale=-1.0), "guidance_scale"),
        (lambda: SamplerConfig(mask_history_ratio=1.5), "mask_history_ratio"),
        (lambda: SamplerConfig(confidence_temperature="warm"), "one of released, per_frame"),
        (lambda: SamplerConfig(temperature=0.0), "temperature"),
        (lambda: SamplerConfig(top_k=0), "top_k"),
        (lambda: ARDFConfig(mask_type="tub"), "one of tube"),
        (lambda: ARDFConfig(schedule="square"), "one of cosine"),
        (lambda: ARDFConfig(min_mask_ratio=-0.1), "min_mask_ratio"),
        (lambda: ARDFConfig(cfg_drop=2.0), "cfg_drop"),
        (lambda: ARDFConfig(modes=()), "at least one"),
        (lambda: ARDFConfig(modes=("text_to_video", "video_prediction_2")), "video_prediction_2"),
    ],
)
def test_sampling_and_training_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_defaults_are_the_published_settings():
    sampler, task = SamplerConfig(), ARDFConfig(modes=("text_to_video", "video_next_frame", "video_prediction_0.5"))
    assert (sampler.num_steps, sampler.mask_history_ratio, sampler.confidence_temperature) == (50, 0.7, "released")
    assert (task.mask_type, task.schedule, task.min_mask_ratio, task.cfg_drop) == ("tube", "cosine", 0.7, 0.1)
