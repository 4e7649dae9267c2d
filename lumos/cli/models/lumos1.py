"""Lumos-1 on a command line: images, videos, and videos that begin with a picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumos.cli.models.kind import AbsentFiles, ClipCost, Files, Memory, Model, ModelKind, Watch
from lumos.hub import models as hub

if TYPE_CHECKING:
    import torch

    from lumos.cli.jobs.pipeline import Pipeline, SettingsFor
    from lumos.cli.jobs.runner import Planned
    from lumos.lumos1.sampling.cost import Generation

_ASSUMED_PROMPT_IDS = 160
"""Of a prompt whose tokenizer is not here: the fixed text and a caption of some 100 tokens."""
_ASSUMED_TOKENIZER_BYTES = 2 * 105_000_000
"""Of a visual tokenizer that is not here: the released pair, 105 million numbers in bf16."""
_HEADER_TOKENS = 3
"""Between the text and the first frame, in the branch without text too."""


def _find_files(name: str | Path, ckpts: Path | None, how: Mapping[str, Any]) -> Files:
    found, lora = hub.resolve(name, ckpts), how.get("lora")
    return replace(found, lora=None if lora is None else hub.adapter_folder(lora))


def _check_how(how: Mapping[str, Any]) -> None:
    from lumos.lumos1.model.placement import check_together

    check_together(**{name: value for name, value in how.items() if name != "lora"})


def _settings_of(model: Model) -> "SettingsFor":
    from lumos.lumos1.sampling.settings import settings_for

    return partial(settings_for, model.files.defaults)


def _setting_names() -> tuple[str, ...]:
    from lumos.lumos1.sampling.settings import SETTING_NAMES

    return SETTING_NAMES


def _fast_settings(defaults: Mapping[str, Any]) -> dict[str, Any]:
    from lumos.lumos1.sampling.settings import fast_settings

    return fast_settings(defaults)


def _load(model: Model, todo: Sequence["Planned"]) -> "Pipeline":
    from lumos.lumos1.pipeline import LumosPipeline

    return LumosPipeline.from_pretrained(
        model.files.name, model.device, model.dtype, ckpts=model.ckpts, **dict(model.how)
    )


def _num_units(planned: "Planned") -> int:
    """Refinements of the latent frames that are generated: all but the given ones."""
    settings = _settings(planned)
    num_later = settings.num_latent_frames - settings.num_given - 1
    return int(settings.sampler.steps_of(first=True) + num_later * settings.sampler.steps_of(first=False))


def _watch(advance: Callable[[int], None]) -> Watch:
    def prepare(pipeline: Any) -> None:
        pipeline.on_refinement = lambda number, clips: advance(number * clips)

    return Watch(prepare=prepare)


def _settings(planned: "Planned") -> Any:
    return planned.settings


def _checks() -> Mapping[str, Callable[[Model], str]]:
    from lumos.cli.models.lumos1_checks import CHECKS

    return CHECKS


class _Costs:
    """Passes, FLOPs and memory of Lumos-1; prompts are counted in their own tokens."""

    def __init__(self, model: Model, dtype: "torch.dtype") -> None:
        from lumos.lumos1.architectures import architecture_of
        from lumos.lumos1.config import LumosConfig
        from lumos.lumos1.sampling import cost
        from lumos.tokenizer.text import TextTokenizer

        files = model.files
        self._cost, self._dtype, self._known = cost, dtype, dict[Any, ClipCost]()
        if isinstance(files, AbsentFiles):
            self._config = LumosConfig(**(architecture_of(files.name) or {}))
            self._text, self._tokenizer_bytes = None, _ASSUMED_TOKENIZER_BYTES
            self.assumed = (
                f"the published shape, prompts of {_ASSUMED_PROMPT_IDS} tokens, a visual tokenizer of "
                f"{_ASSUMED_TOKENIZER_BYTES / 2**30:.2f} GiB"
            )
        else:
            assert isinstance(files, hub.ModelFiles)
            self._config, self.assumed = LumosConfig.from_pretrained(files.model), ""
            self._text = TextTokenizer.from_file(files.text_tokenizer)
            self._tokenizer_bytes = sum((files.visual_tokenizer / name).stat().st_size for name in hub.VISUAL_PAIR)
        linear, rest = cost.num_parameters(self._config)
        self.num_parameters = linear + rest
        self._weight_bytes = cost.weight_bytes(self._config, dtype, eight_bits=bool(model.how.get("weights")))
        if model.how.get("offload"):  # a block at work and the next one
            self._weight_bytes = dtype.itemsize * (rest + 2 * linear // self._config.num_hidden_layers)

    def of_clip(self, planned: "Planned") -> ClipCost:
        """Passes and FLOPs of a clip."""
        clip, sampler = self._generation(planned), _settings(planned).sampler
        key = (
            id(clip.settings),
            *clip.num_text_tokens,
            clip.num_given,
            clip.changes,
        )  # of thousands of clips few differ
        if key not in self._known:
            is_adaptive = sampler.entropy_bound is not None or sampler.guidance_tolerance is not None
            flops = self._cost.generation_flops(self._config, clip)
            self._known[key] = ClipCost(passes=clip.num_passes, flops=flops, at_most=is_adaptive)
        return self._known[key]

    def of_batch(self, batch: Sequence["Planned"]) -> Memory:
        """Memory of clips that are made together: weights, keys and values, one pass; then the decoding of one."""
        from lumos.tokenizer.visual import decoding_bytes

        clips = [self._generation(planned) for planned in batch]
        largest = max(clips, key=lambda clip: clip.frame_tokens)
        parts = {
            "weights": self._weight_bytes,
            "visual tokenizer": self._tokenizer_bytes,
            "keys and values": sum(self._cost.cache_bytes(self._config, clip, self._dtype) for clip in clips),
            "largest pass": self._cost.activation_bytes(self._config, largest, self._dtype, batch_size=len(batch)),
        }
        decoding = max(decoding_bytes(clip.settings.num_latent_frames, *clip.settings.grid) for clip in clips)
        sampling = parts["keys and values"] + parts["largest pass"]
        peak = sum(parts.values()) + max(0, decoding - sampling)
        return Memory(parts={**parts, "decoding": decoding}, peak=peak, not_counted="what the allocator keeps")

    def _generation(self, planned: "Planned") -> "Generation":
        from lumos.conventions.script import Script
        from lumos.lumos1.generation.prompt_changes import latent_changes

        settings, job = _settings(planned), planned.job
        texts = [self._num_tokens(job.prompt, settings)]
        if settings.sampler.guidance_scale != 1:
            negative = job.negative_prompt
            texts.append(_HEADER_TOKENS if negative is None else self._num_tokens(negative, settings))
        changes = latent_changes(
            Script(text=job.prompt, changes=tuple((frame, text) for frame, text in job.then or ())), settings
        )
        return self._cost.Generation(
            settings=settings, num_text_tokens=texts, num_given=settings.num_given, changes=tuple(changes)
        )

    def _num_tokens(self, prompt: str, settings: Any) -> int:
        clip = {name: getattr(settings, name) for name in ("width", "height", "fps")}
        if self._text is None:
            return _ASSUMED_PROMPT_IDS + 1 + _HEADER_TOKENS
        return len(self._text.prompt_ids(prompt, num_frames=settings.prompt_frames, **clip)) + 1 + _HEADER_TOKENS


LUMOS1 = ModelKind(
    name=hub.LUMOS1,
    title="Lumos-1",
    tasks=("t2i", "t2v", "i2v"),
    changes_prompts=True,
    how_options=("lora", "weights", "offload", "device_map", "max_memory"),
    how_recorded=("lora", "weights"),
    unit="refinement",
    empty_negative_is_none=False,
    check_how=_check_how,
    find_files=_find_files,
    settings_of=_settings_of,
    setting_names=_setting_names,
    fast_settings=_fast_settings,
    load=_load,
    num_units=_num_units,
    watch=_watch,
    costs=_Costs,
    checks=_checks,
    less_memory="a smaller --resolution, fewer --num-frames, --weights int8, or --offload",
)
