"""Blocks over several devices: where each goes, and the same codes as from one device."""

import gc
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map

from lumos.lumos1.model.attention import frame_layout
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.device_map import device_map_of
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.placement import place
from lumos.lumos1.pipeline import LumosPipeline

CPU = torch.device("cpu")
SETTINGS = {"num_frames": 5, "num_inference_steps": 2, "seed": 3}


def tiny() -> LumosForCausalLM:
    return LumosForCausalLM.from_pretrained("ckpts/lumos-tiny", dtype=torch.float32)


def bytes_of(module: torch.nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


def room_for(model: LumosForCausalLM, *, blocks: float) -> int:
    """Of embedding, norm and head, and so many blocks."""
    return bytes_of(model) - bytes_of(model.model.layers) + int(blocks * bytes_of(model.model.layers[0]))


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_blocks_stay_whole_and_fill_the_places_in_order() -> None:
    model = tiny()
    block, num = bytes_of(model.model.layers[0]), len(model.model.layers)
    room = {0: room_for(model, blocks=3.5), 1: int(2.5 * block), "cpu": num * block}
    chosen = device_map_of(model, torch.device("cuda", 0), max_memory=room)
    assert {chosen.pop(name) for name in ("model.embed_tokens", "model.norm", "lm_head")} == {"cuda:0"}
    assert list(chosen) == [f"model.layers.{index}" for index in range(num)]
    places = list(chosen.values())
    assert places == sorted(places, key=["cuda:0", "cuda:1", "cpu"].index)
    # accelerate leaves the first GPU room for one block that comes from the host's memory for its turn
    assert (places.count("cuda:0"), places.count("cuda:1"), places.count("cpu")) == (2, 2, num - 4)


def test_blocks_on_disk_make_the_same_codes() -> None:
    plain, other = LumosPipeline.from_pretrained(), tiny()
    room: dict[int | str, int | str] = {"cpu": room_for(other, blocks=3.5), "disk": "1GiB"}
    spread = LumosPipeline.from_pretrained(device_map="auto", max_memory=room)
    waiting = [all(parameter.is_meta for parameter in block.parameters()) for block in spread.model.model.layers]
    assert 0 < sum(waiting) < len(waiting)
    assert not spread.model.lm_head.weight.is_meta
    made, expected = (pipeline("a red circle moves left", **SETTINGS).codes[0] for pipeline in (spread, plain))
    assert torch.equal(made, expected)


def test_what_lies_on_disk_goes_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = tiny()
    room: dict[int | str, int | str] = {"cpu": room_for(model, blocks=2.5), "disk": "1GiB"}
    place(model, CPU, device_map="auto", max_memory=room)
    assert list(tmp_path.rglob("*.dat"))
    del model
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_where_all_fits_one_device_nothing_is_spread() -> None:
    placed = place(tiny(), CPU, device_map="auto")
    ids = torch.arange(10, 42)[None] % 40
    with torch.inference_mode():
        assert torch.equal(placed(ids).logits, tiny()(ids).logits)
    assert set(placed.hf_device_map.values()) == {"cpu"}


@pytest.mark.usefixtures("two_gpus")
def test_two_devices_compute_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """`meta` is the second one: like a GPU it refuses tensors of two devices. Nothing but hidden states travels."""
    model = tiny()
    places = dict.fromkeys(("model.embed_tokens", "model.norm", "lm_head"), "cpu")
    for index in range(len(model.model.layers)):
        places[f"model.layers.{index}"] = "cpu" if index % 3 == 0 else "meta"
    travelled = []

    def sent(values: Any, device: Any, **_: Any) -> Any:
        def one(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or value.device == torch.device(device):
                return value
            travelled.append(tuple(value.shape))
            return torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value.to(device)

        return tree_map(one, values)

    monkeypatch.setattr("lumos.lumos1.model.device_map.device_map_of", lambda *_, **__: places)
    monkeypatch.setattr("accelerate.hooks.send_to_device", sent)
    placed = place(model, CPU, device_map="auto")
    cache = KVCache(model.config, batch_size=2, capacity=40)
    only = torch.zeros(2, 5, dtype=torch.long)
    with torch.inference_mode():
        hidden = placed.hidden(
            torch.full((2, 12), 9), positions=torch.zeros(2, 3, 12, dtype=torch.long),
            blocks=frame_layout(2, 12), cache=cache, only=only,
        )  # fmt: skip
    assert (hidden.shape, hidden.device) == (torch.Size([2, 5, model.config.hidden_size]), CPU)
    devices = [kv.device.type for kv in cache._kv if kv is not None]
    assert devices == [places[f"model.layers.{index}"] for index in range(len(devices))]
    assert set(devices) == {"cpu", "meta"}
    assert max(math.prod(shape) for shape in travelled) == 2 * 12 * model.config.hidden_size


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"device_map": "balanced"}, "device_map is 'balanced'; give auto"),
        ({"max_memory": {"cpu": "1GiB"}}, "it takes device_map auto beside it"),
        ({"device_map": "auto", "offload": True}, "device_map and offload are both asked for"),
        ({"device_map": "auto", "weights": "int8"}, "device_map and weights in 8 bits are both asked for"),
        ({"device_map": "auto", "max_memory": {"disk": 1}}, "max_memory says nothing of cpu"),
        ({"device_map": "auto", "max_memory": {"cpu": 100}}, "max_memory leaves cpu no room for one block"),
        ({"device_map": "auto", "max_memory": {"cpu": "1GiB", 0: "1GiB"}}, "names GPU 0, and this machine has 0"),
    ],
)
def test_what_cannot_be_placed_is_said(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        place(tiny(), CPU, **how)


def test_blocks_without_room_are_counted() -> None:
    model = tiny()
    with pytest.raises(ValueError, match=rf"leaves \d+ of {len(model.model.layers)} blocks without room \(cpu: "):
        place(model, CPU, device_map="auto", max_memory={"cpu": room_for(model, blocks=3.5)})
