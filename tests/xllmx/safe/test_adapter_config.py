"""What stands in an `adapter_config.json` of a stranger: plain fields are taken, everything else is said in a line."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from xllmx.safe.adapter_config import read_adapter_config

PLAIN = {"peft_type": "LORA", "r": 3, "lora_alpha": 5.0, "target_modules": ["q_proj", "layers.0.mlp.up_proj"]}


def test_what_peft_writes_is_read(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    peft.LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj"], rank_pattern={"up_proj": 2}).save_pretrained(tmp_path)
    assert read_adapter_config(tmp_path / "adapter_config.json") == {
        "r": 3,
        "lora_alpha": 5,
        "target_modules": ["q_proj"],
        "rank_pattern": {"up_proj": 2},
        "alpha_pattern": {},
        "use_rslora": False,
        "use_dora": False,
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "only LoRA is read"),
        ({"peft_type": None}, "only LoRA is read"),
        ({"r": 0}, "r is 0; it must be a whole number from 1"),
        ({"r": 10**12}, "r is 1000000000000"),
        ({"r": True}, "r is True"),
        ({"r": "3"}, "r is '3'"),
        ({"lora_alpha": -1}, "lora_alpha is -1"),
        ({"lora_alpha": [1]}, r"lora_alpha is \[1\]"),
        ({"target_modules": "(a+)+$"}, "target_modules is '.*no patterns"),
        ({"target_modules": ["(a+)+$"]}, "no patterns"),
        ({"target_modules": []}, "target_modules is"),
        ({"target_modules": [7]}, "target_modules is"),
        ({"target_modules": ["x" * 5000]}, "target_modules is"),
        ({"rank_pattern": {"(.*)*x": 2}}, "rank_pattern is .*no patterns"),
        ({"rank_pattern": {"q_proj": 10**9}}, "rank_pattern is"),
        ({"alpha_pattern": {"q_proj": "x"}}, "alpha_pattern is"),
        ({"layers_pattern": "(a+)+"}, "'layers_pattern' is '.*is not read"),
        ({"layers_to_transform": [0]}, "'layers_to_transform' is"),
        ({"exclude_modules": "(a+)+"}, "'exclude_modules' is"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "'megatron_config' is"),
        ({"modules_to_save": ["lm_head"]}, "'modules_to_save' is"),
        ({"target_parameters": ["x"]}, "'target_parameters' is"),
        ({"layer_replication": [[0, 10**9]]}, "'layer_replication' is"),
        ({"trainable_token_indices": [1]}, "'trainable_token_indices' is"),
        ({"bias": "all"}, "'bias' is 'all'"),
        ({"fan_in_fan_out": True}, "'fan_in_fan_out' is True"),
        ({"use_dora": 1}, "use_dora is 1"),
        ({"unknown": {"a": [1] * 500}}, "'unknown' is .{80}\\.\\.\\.,"),
    ],
)
def test_what_is_not_plain_lora_is_refused_in_a_line(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(PLAIN | changed))
    with pytest.raises(ValueError, match=message) as caught:
        read_adapter_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[" * 200_000, "[]", "{", '{"r": 1, "r": 2}', '{"lora_alpha": NaN}', ""])
def test_what_is_no_json_object_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter_config.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"adapter_config\.json"):
        read_adapter_config(path)


@pytest.mark.parametrize("absent", ["r", "target_modules"])
def test_a_field_that_is_needed_is_named(absent: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({name: value for name, value in PLAIN.items() if name != absent}))
    with pytest.raises(ValueError, match=f"lacks {absent}"):
        read_adapter_config(path)


def test_no_module_that_a_file_names_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named_by_a_file.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "adapter_config.json"
    mapping = {"base_model_class": "X", "parent_library": "named_by_a_file"}
    path.write_text(json.dumps(PLAIN | {"megatron_core": "named_by_a_file", "auto_mapping": mapping}))
    assert read_adapter_config(path) == {name: value for name, value in PLAIN.items() if name != "peft_type"}
    assert "named_by_a_file" not in sys.modules
