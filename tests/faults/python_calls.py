"""Calls of the Python interface with arguments of other types: `python -m tests.faults.python_calls WORLD SEED COUNT`.

Each ends, or is refused with a ValueError of one line; what no argument may be is refused. Prints what was neither,
as a JSON list.
"""

import json
import random
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumos import LuminaVideoConfig, LumosConfig, LumosPipeline, load_pipeline
from lumos.lumina_video.flow import sample_latents
from lumos.lumina_video.pipeline import LuminaVideoPipeline
from lumos.lumina_video.preset import FlowPreset
from lumos.lumos1.config import ARDFConfig, SamplerConfig
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.sampling.decode import generate_codes
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.media.reading import read_clip, read_image
from lumos.media.writing import write_image, write_video
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from tests.faults.attempt import MOST_CHARACTERS
from tests.faults.mutations import VALUES
from tests.faults.world import PRESET, World

NEVER: tuple[Any, ...] = (object(), b"x", 1j, {1, 2}, {"a": 1}, lambda: 0, Ellipsis)
"""What no argument may be, but those a call excepts."""
ODD: tuple[Any, ...] = (
    *VALUES, (), (1,), ("a", "b"), np.float32(0.5), np.int64(3), np.nan, np.zeros(3), np.zeros((0, 4, 3), np.uint8),
    np.full((8, 8, 3), np.nan), np.zeros((8, 8, 4), np.uint8), torch.zeros(()), torch.zeros(2, 3),
    torch.full((1, 2), float("nan")), Image.new("L", (1, 1)), Path("nowhere"), Path("/dev/zero"), [None, "x"],
    torch.float16, torch.device("meta"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Call:
    """Something that a user calls, with arguments as they should be."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    """By name."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that are left out, and what may stand in for them."""
    excepted: tuple[str, ...] = ()
    """Arguments that may be anything."""


def calls(world: World, folder: Path) -> dict[str, Call]:
    """Return the calls, by a name."""
    lumos1 = LumosPipeline.from_pretrained(world.model, "cpu")
    lumina = LuminaVideoPipeline.from_pretrained(world.lumina, "cpu", keep_encoders=True)
    return {
        **_pipelines(world, folder, lumos1=lumos1, lumina=lumina),
        **_settings(world),
        **_media(world, folder),
        **_parts(world, lumos1=lumos1, lumina=lumina),
    }


def _pipelines(world: World, folder: Path, *, lumos1: LumosPipeline, lumina: LuminaVideoPipeline) -> dict[str, Call]:
    picture = Image.new("RGB", (96, 64))
    return {
        "lumos1": Call(
            function=lumos1,
            arguments={"prompt": "a", "num_frames": 1, "num_inference_steps": 1, "seed": 1},
            others={
                "image": picture, "negative_prompt": "b", "duration": 1, "fps": 4, "width": 96, "height": 64,
                "guidance_scale": 2.0, "mask_history_ratio": 0.5, "generator": torch.Generator(), "callback": print,
                "temperature": 1.0, "top_k": 3, "entropy_bound": 0.1, "later_steps": 0.5, "nothing": 1,
                "confidence_temperature": "per_frame", "mask_given_frames": True, "output_type": "np",
                "num_images_per_prompt": 2, "return_dict": True, "latents": None,
            },
        ),
        "lumina": Call(
            function=lumina,
            arguments={"prompt": "a", "num_frames": 8, "num_inference_steps": 1, "seed": 1},
            others={
                "image": None, "negative_prompt": "b", "duration": 1, "fps": 4, "width": 64, "height": 96,
                "guidance_scale": 2.0, "preset": PRESET, "motion": 3.0, "generator": torch.Generator(),
                "callback": print, "system_prompt": "x", "nothing": 1, "output_type": "pt",
                "num_videos_per_prompt": 2, "return_dict": True, "prompt_embeds": None,
            },
        ),
        "load": Call(function=load_pipeline, arguments={"path_or_name": world.model},
                     others={"device": "cpu", "dtype": "fp32", "ckpts": folder, "lora": None, "weights": "int8",
                             "offload": False, "device_map": None, "max_memory": None,
                             "attention_backend": "auto", "nothing": 1, "torch_dtype": "fp32"}),
        "load lumina": Call(function=load_pipeline, arguments={"path_or_name": world.lumina},
                            others={"device": "cpu", "dtype": "fp32", "ckpts": folder, "keep_encoders": False,
                                    "tiled": True, "attention_backend": "auto", "nothing": 1}),
    }  # fmt: skip


def _settings(world: World) -> dict[str, Call]:
    sampler = {field: getattr(SamplerConfig(), field) for field in SamplerConfig.__dataclass_fields__}
    ardf = {field: getattr(ARDFConfig(), field) for field in ARDFConfig.__dataclass_fields__}
    return {
        "sampler": Call(function=SamplerConfig, arguments=sampler, others={"nothing": 1}),
        "ardf": Call(function=ARDFConfig, arguments=ardf, others={"nothing": 1}),
        "config": Call(function=LumosConfig, arguments={"hidden_size": 64, "num_attention_heads": 4},
                       others={"vocab": None, "rope_theta": 1e4, "dropout": 0.0, "rms_norm_eps": 1e-5,
                               "intermediate_size": 3, "num_hidden_layers": 2, "vocab_size": 65536,
                               "swin_norm": True, "initializer_range": 0.02, "hidden_act": "silu"}),
        "lumina config": Call(
            function=LuminaVideoConfig,
            arguments={"dim": 96, "n_heads": 6, "n_kv_heads": 2, "n_layers": 2},
            others={"qk_norm": True, "rope_theta": 256.0, "t_scale": 1.0, "all_patch_size": (2, 2, 4)},
        ),
        "preset": Call(function=lambda **values: FlowPreset.from_dict(values), arguments=PRESET, others={"nothing": 1}),
        "preset named": Call(function=FlowPreset.named, arguments={"name": "f24F96R960"}),
        "preset file": Call(function=FlowPreset.from_file, arguments={"path": world.folder / "p.json"}),
    }  # fmt: skip


def _media(world: World, folder: Path) -> dict[str, Call]:
    frames = np.zeros((4, 16, 24, 3), np.uint8)
    return {
        "read clip": Call(
            function=read_clip, arguments={"path": world.media / "c.mp4", "fps": 4, "duration": 2},
            others={"size": 64, "frame_choice": "time"},
        ),
        "read image": Call(function=read_image, arguments={"path": world.media / "a.png"}),
        "write video": Call(function=write_video, arguments={"path": folder / "a.mp4", "frames": frames, "fps": 4}),
        "write image": Call(function=write_image, arguments={"path": folder / "a.png", "image": frames[0]}),
    }  # fmt: skip


def _parts(world: World, *, lumos1: LumosPipeline, lumina: LuminaVideoPipeline) -> dict[str, Call]:
    texts = {"text": torch.zeros(1, 3, 24), "text_mask": torch.ones(1, 3, dtype=torch.bool)}
    preset = FlowPreset.from_dict(PRESET)
    ids = [torch.tensor(lumos1.text.encode("a red circle"))]
    return {
        "codes": Call(
            function=generate_codes,
            arguments={
                "model": lumos1.model, "prompt_ids": ids, "grid": (8, 12), "num_latent_frames": 1, "fps": 4,
                "duration": 2, "sampler": SamplerConfig(num_steps=1), "noise": [GeneratorNoise(1)],
            },
            others={"given": torch.zeros(1, 1, 8, 12, dtype=torch.long), "on_frame": print},
        ),
        "latents": Call(
            function=sample_latents,
            arguments={"model": lumina.model, "noise": torch.zeros(1, 4, 2, 12, 8), "preset": preset, **texts},
            others={"negative_text": texts["text"], "negative_mask": texts["text_mask"], "on_step": print},
        ),
        "clips": Call(function=ClipDataset, arguments={"path": world.clips}),
        "text": Call(function=TextTokenizer.from_file, arguments={"path": world.model / "text_tokenizer.json"}),
        "encode": Call(function=lumos1.text.encode, arguments={"text": "a"}),
        "visual": Call(
            function=VisualTokenizer.from_pretrained, arguments={"folder": world.model / "visual_tokenizer"}
        ),
        "decode": Call(function=lumos1.visual.decode, arguments={"codes": torch.zeros(1, 1, 4, 6, dtype=torch.long)}),
    }  # fmt: skip


def fault_of(call: Call, arguments: Mapping[str, Any], *, never: bool) -> str | None:
    """Return what is wrong with how a call ended; None where nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call.function(**arguments)
    except (ValueError, OSError) as error:
        said = str(error)
        for text in filter(lambda value: isinstance(value, str), arguments.values()):
            said = said.replace(text, "") if len(text) > 100 else said  # as the name of a file
        if "\n" in said.strip() or len(said) > MOST_CHARACTERS or not said:
            return f"said {said[:300]!r} ({len(said)} characters)"
        return None
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            return None
        return "".join(traceback.format_exception(error)[-3:])
    except Exception as error:
        return "".join(traceback.format_exception(error)[-3:])
    return "taken silently" if never else None


def main(words: Sequence[str] | None = None) -> int:
    """Print the faults."""
    place, seed, count = sys.argv[1:] if words is None else words
    rng, faults = random.Random(seed), []
    with tempfile.TemporaryDirectory() as folder:
        found = calls(World(folder=Path(place)), Path(folder))
        for name, call in found.items():
            if fault := fault_of(call, call.arguments, never=False):
                faults.append(f"{name} as it should be: {fault}")
        for number in range(int(count)):
            name = list(found)[number % len(found)]
            call = found[name]
            choices = {**call.others, **call.arguments}
            changed = rng.choice(list(choices))
            never = rng.random() < 0.3 and changed not in call.excepted
            value = rng.choice(NEVER if never else ODD)
            if fault := fault_of(call, {**call.arguments, changed: value}, never=never):
                faults.append(f"{name}({changed}={value!r:.200}): {fault}")
    sys.stdout.write(json.dumps(faults) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
