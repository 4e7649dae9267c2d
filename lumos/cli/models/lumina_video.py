"""Lumina-Video on a command line: pictures and videos from text."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumos.cli.models.kind import AbsentFiles, ClipCost, Files, Memory, Model, ModelKind, Watch
from lumos.hub import models as hub

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from lumos.cli.jobs.pipeline import Pipeline, SettingsFor
    from lumos.cli.jobs.runner import Planned

_ASSUMED_TEXT_PARAMETERS = 2_614_341_888
"""Of the released text encoder, Gemma-2 2B, where it is not here."""


def _find_files(name: str | Path, ckpts: Path | None, how: Mapping[str, Any]) -> Files:
    from lumos.lumina_video.checkpoint.parts import find_parts

    found, lora = find_parts(hub.model_folder(name, ckpts), hub.ckpts_root(ckpts)), how.get("lora")
    return replace(found, name=hub.name_of(name, found.name), lora=None if lora is None else hub.adapter_folder(lora))


def _settings_of(model: Model) -> "SettingsFor":
    from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
    from lumos.lumina_video.checkpoint.weights import read_config
    from lumos.lumina_video.config import RELEASED_ARCHITECTURE, LuminaVideoConfig
    from lumos.lumina_video.settings import settings_for
    from lumos.lumina_video.sizes import Compression
    from lumos.lumina_video.vae import CogVideoXVAE

    files = model.files
    if isinstance(files, AbsentFiles):
        return partial(settings_for, files.defaults, config=LuminaVideoConfig.named(RELEASED_ARCHITECTURE))
    assert isinstance(files, LuminaVideoFiles)
    vae = CogVideoXVAE.without_weights(files.vae, tiled=bool(model.how.get("tiled")))
    seen = Compression(spatial=vae.spatial, temporal=vae.temporal)
    return partial(settings_for, files.defaults, config=read_config(files.model), vae=seen)


def _setting_names() -> tuple[str, ...]:
    from lumos.lumina_video.settings import SETTING_NAMES

    return SETTING_NAMES


def _fast_settings(defaults: Mapping[str, Any]) -> dict[str, Any]:
    from lumos.lumina_video.settings import fast_settings

    return fast_settings(defaults)


def _load(model: Model, todo: Sequence["Planned"]) -> "Pipeline":
    """The pipeline; it has read the texts of all jobs, so that the text encoder is loaded once."""
    from lumos.lumina_video.pipeline import LuminaVideoPipeline

    pipeline = LuminaVideoPipeline.from_pretrained(
        model.files.name, model.device, model.dtype, ckpts=model.ckpts, **dict(model.how)
    )
    if todo:
        texts = [text for one in todo for text in (one.job.prompt, one.job.negative_prompt or "")]
        pipeline.encode_prompts(texts, _settings(todo[0]))
    return pipeline


def _num_units(planned: "Planned") -> int:
    """Euler steps."""
    return int(_settings(planned).preset.num_steps)


def _watch(advance: Callable[[int], None]) -> Watch:
    def on_step(index: int, states: "torch.Tensor") -> None:
        advance(len(states))

    return Watch(callback=on_step)


def _settings(planned: "Planned") -> Any:
    return planned.settings


def _checks() -> Mapping[str, Callable[[Model], str]]:
    from lumos.cli.models.lumina_video_checks import CHECKS

    return CHECKS


class _Costs:
    """Passes, FLOPs and memory of Lumina-Video; prompts are counted in their own tokens.

    Where the tokenizer is not here they are taken to be as long as they may be.
    """

    def __init__(self, model: Model, dtype: "torch.dtype") -> None:
        from lumos.lumina_video import cost
        from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
        from lumos.lumina_video.checkpoint.tensor_files import TensorFiles
        from lumos.lumina_video.checkpoint.weights import read_config
        from lumos.lumina_video.config import RELEASED_ARCHITECTURE, LuminaVideoConfig
        from lumos.lumina_video.text import read_text_encoder
        from lumos.lumina_video.vae import CogVideoXVAE

        files, tiled = model.files, bool(model.how.get("tiled"))
        if isinstance(files, AbsentFiles):
            self._config = LuminaVideoConfig.named(RELEASED_ARCHITECTURE)
            self._tokenizer: Tokenizer | None = None
            self._vae = CogVideoXVAE.published(tiled=tiled)
            numbers = {"text encoder": _ASSUMED_TEXT_PARAMETERS, "VAE": self._vae.num_parameters}
            self.assumed = f"the published shape {RELEASED_ARCHITECTURE}, its VAE's, and Gemma-2 2B"
        else:
            assert isinstance(files, LuminaVideoFiles)
            self._config, self.assumed = read_config(files.model), ""
            self._vae = CogVideoXVAE.without_weights(files.vae, tiled=tiled)
            _, self._tokenizer = read_text_encoder(files.text_encoder, tokenizer=files.tokenizer)
            weights = {"text encoder": files.text_encoder_weights, "VAE": [files.vae_weights]}
            numbers = {part: sum(map(math.prod, TensorFiles(each).shapes.values())) for part, each in weights.items()}
        self._cost, self._dtype, self._known = cost, dtype, dict[tuple[int, int], ClipCost]()
        self._keep = bool(model.how.get("keep_encoders"))
        self.num_parameters = cost.num_parameters(self._config)
        self._network_bytes = self.num_parameters * dtype.itemsize
        self._encoder_bytes = {part: dtype.itemsize * number for part, number in numbers.items()}

    def of_clip(self, planned: "Planned") -> ClipCost:
        """Passes and FLOPs of a clip."""
        settings = _settings(planned)
        key = id(settings), self._text_tokens(planned)
        if key not in self._known:  # those of a list share their settings
            preset = settings.preset
            passes = sum(count.passes for count in preset.passes(self._dtype).values())
            flops = self._cost.run_flops(
                self._config, settings.latent_shape, preset=preset, dtype=self._dtype, text_tokens=key[1]
            )
            self._known[key] = ClipCost(passes=passes, flops=flops)
        return self._known[key]

    def _text_tokens(self, planned: "Planned") -> int:
        """Of the longer of both texts, to which the other is padded."""
        from lumos.lumina_video.text import num_text_tokens

        if self._tokenizer is None:
            return self._cost.TEXT_TOKENS
        before, texts = _settings(planned).system_prompt, (planned.job.prompt, planned.job.negative_prompt or "")
        return max(num_text_tokens(self._tokenizer, before + text) for text in texts)

    def of_batch(self, batch: Sequence["Planned"]) -> Memory:
        """Memory of clips that are made together: text encoder, sampling and VAE come one after the other."""
        sampling = sum(
            self._cost.activation_bytes(
                self._config, _settings(one).latent_shape, preset=_settings(one).preset, dtype=self._dtype
            )
            for one in batch
        )
        network = self._network_bytes
        text, vae = self._encoder_bytes.values()
        sizes = [(_settings(one).width, _settings(one).height) for one in batch]
        decoding = max(self._vae.decoding_bytes(*size, itemsize=self._dtype.itemsize) for size in sizes)
        kept = text + vae if self._keep else 0
        after = decoding if self._keep else vae + decoding
        peak = max(text, network + kept + max(sampling, after))
        parts = {"network": network, "largest pass": sampling, **self._encoder_bytes, "decoding": decoding}
        return Memory(parts=parts, peak=peak, not_counted="what the allocator keeps")


LUMINA_VIDEO = ModelKind(
    name=hub.LUMINA_VIDEO,
    title="Lumina-Video",
    tasks=("t2i", "t2v"),
    changes_prompts=False,
    how_options=("keep_encoders", "tiled", "lora"),
    how_recorded=("tiled", "lora"),
    unit="Euler step",
    empty_negative_is_none=True,
    find_files=_find_files,
    settings_of=_settings_of,
    setting_names=_setting_names,
    fast_settings=_fast_settings,
    load=_load,
    num_units=_num_units,
    watch=_watch,
    costs=_Costs,
    checks=_checks,
    less_memory="a smaller --resolution or fewer --num-frames, --tiled, and no --keep-encoders",
)
