"""Prompts in, videos out: the whole of Lumina-Video behind one call, with the words of `lumos.lumos1.pipeline`.

pipeline = LuminaVideoPipeline.from_pretrained("path/of/a/model")
output = pipeline("a red circle moves to the right", seed=1)
output.frames[0][0].save("first.png")

The text encoder is there only while it works, then the network comes, and stays; so the largest of them decides how
much memory is needed, not their sum (`lumos.lumina_video.loading`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from lumos.conventions.call import CallWords, StepEnd, with_return_dict
from lumos.conventions.output import Frames, OutputType, PipelineOutput, in_form, together_in_form
from lumos.conventions.pipeline import PipelineWords, loading_dtype, with_index
from lumos.hub.models import ckpts_root, local_folder, model_folder, name_of
from lumos.lumina_video.checkpoint.model_folder import write_model_folder
from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles, find_parts
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.encoding.prompt_features import PromptFeatures
from lumos.lumina_video.encoding.protocols import VideoVAE
from lumos.lumina_video.flow import OnStep, noise_for, sample_latents, time_grid
from lumos.lumina_video.generation.frame_stream import LateFrames
from lumos.lumina_video.loading import LuminaVideoParts, open_parts
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.schedule import Schedule
from lumos.lumina_video.settings import LuminaVideoSettings, settings_for
from lumos.media.inputs import choose_device, choose_dtype, choose_seeds, together
from xllmx.full_memory import said_when_full
from xllmx.lora import load_lora
from xllmx.settings.argument_types import checked_types
from xllmx.settings.setting import SettingError
from xllmx.store.said import naming_addresses

_LUMOS1_WORDS = ("weights", "offload", "device_map", "max_memory")


@dataclass(frozen=True, kw_only=True, repr=False)
class LuminaVideoOutput(PipelineOutput):
    """What a call made, one entry a clip in every list."""

    latents: list[Tensor]
    """Scaled latents of each clip, fp32 [C, T, H, W], on the CPU."""
    settings: list[LuminaVideoSettings]
    """The settings each clip was made with: the same for all."""


class LuminaVideoPipeline(PipelineWords):
    """A network with its text encoder and VAE, ready to generate.

    Diffusers' words, and what they mean here: `lumos.conventions`.
    """

    def __init__(
        self,
        parts: LuminaVideoParts,
        *,
        defaults: Mapping[str, Any] | None = None,
        files: LuminaVideoFiles | None = None,
    ) -> None:
        """Put the parts together; none of them is loaded yet."""
        self.defaults = dict(defaults or {})
        self.files = files
        self.weights: str | None = None
        """What weights were rounded to beyond the model's dtype: nothing."""
        self._parts = parts
        self._features = PromptFeatures(parts.text_encoder)
        self._open: Callable[..., LuminaVideoParts] | None = None

    @classmethod
    @naming_addresses()
    @checked_types
    def from_pretrained(
        cls,
        path_or_name: str | Path,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        ckpts: str | Path | None = None,
        keep_encoders: bool = False,
        tiled: bool = False,
        lora: str | Path | None = None,
        attention_backend: str = "auto",
        **words: Any,
    ) -> "LuminaVideoPipeline":
        """The pipeline of a folder, released or ours, or of a name under `ckpts/`; see `checkpoint.parts`.

        All files are looked at; weights are read when there is work for them, in the first call or in `encode_prompts`.

        Args:
            path_or_name: the folder, or its name.
            device: where all parts work; None: the GPU where there is one, else the CPU.
            dtype: of all parts; None: bf16 on a GPU and fp32 on a CPU.
            ckpts: the folder of checkpoints; None: that of the checkout.
            keep_encoders: keep text encoder and VAE in memory from their first use on, for calls one after another.
            tiled: decode in overlapping tiles: a few times less memory, slightly other pixels.
            lora: a folder of adapters to merge into the network (`lumos export --adapter`).
            attention_backend: of the network, see `xllmx.kernels.attention`.
            **words: `torch_dtype`, which says dtype.

        Raises:
            ValueError: a part is missing or does not fit its config, parts do not belong together, or device, dtype or
                backend cannot be had.
        """
        if other := next((name for name in _LUMOS1_WORDS if words.pop(name, None)), None):
            raise SettingError(other, "is for Lumos-1, and this is Lumina-Video; leave it out")
        chosen_device = choose_device(device)
        known = ("device", "dtype", "ckpts", "keep_encoders", "tiled", "lora", "attention_backend")
        chosen_dtype = choose_dtype(loading_dtype(dtype, words, known=known), chosen_device)
        found = find_parts(model_folder(path_or_name, ckpts), ckpts_root(ckpts))
        adapters = None if lora is None else local_folder(lora)
        files = replace(found, name=name_of(path_or_name, found.name), lora=adapters)
        opened = partial(open_parts, keep_encoders=keep_encoders, tiled=tiled, attention_backend=attention_backend)
        pipeline = cls(opened(files, device=chosen_device, dtype=chosen_dtype), defaults=files.defaults, files=files)
        pipeline._open = opened
        return pipeline

    @property
    def model(self) -> MultiScaleNextDiT:
        """The network, loaded the first time it is asked for."""
        return self._parts.network.keep()

    @property
    def device(self) -> torch.device:
        """Where all parts work."""
        return self._parts.device

    @property
    def dtype(self) -> torch.dtype:
        """What all parts compute in."""
        return self._parts.dtype

    @with_return_dict
    @checked_types
    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str | None] | None = "",
        width: int | None = None,
        height: int | None = None,
        num_frames: int | None = None,
        fps: int | None = None,
        preset: str | Path | Mapping[str, Any] | FlowPreset | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: Schedule | None = None,
        motion: Schedule | None = None,
        seed: int | Sequence[int] | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        callback: Callable[[int, Tensor], object] | None = None,
        image: Any = None,
        **settings: Any,
    ) -> LuminaVideoOutput:
        """Frames, seeds and latents of one clip a prompt; they go through the network together.

        Whatever is None has the model's default, else that of the preset. A clip of its own seed is the same alone and
        in any batch, up to floating point.

        Args:
            prompt: a text, or one a clip.
            negative_prompt: what guidance leads away from; one, or one a clip. Not asked where nothing guides.
            width: pixels, a multiple of 16, and of 32 where the preset runs at a scale of 4 pixels.
            height: likewise.
            num_frames: exactly so many frames come back; a multiple of 4, and of 8 at scales of 2 frames. 1: a picture.
            fps: of the file; the network knows no frame rate.
            preset: a name of `lumos.lumina_video.preset.PRESETS`, its keys, a JSON or YAML file of them, or a preset.
            num_inference_steps: Euler steps. The `step` of a preset counts points of the grid, which is one more.
            guidance_scale: in place of the preset's `cfg`, and the same number: s of v_pos + s (v_pos - v_neg), where
                the usual guidance weight is s + 1. A number guides at every step, a schedule such as (7, (0.2, 0)) as
                it says; 0 leaves the negative branch out.
            motion: in place of the preset's score of the positive branch, how much moves; negative: unspecified.
            seed: of the first clip, the next ones count on; or one a clip. None: from the operating system.
            generator: draws the seeds; one, or one a clip.
            callback: called after every Euler step, `(index, state [n, C, T, H, W])`.
            image: refused: no clip begins with a picture in the training of this model.
            **settings: `system_prompt`, and `duration` in seconds in place of `num_frames`; of diffusers' words
                `num_videos_per_prompt`, `output_type`, `return_dict` and `callback_on_step_end`.

        Raises:
            ValueError: a value outside its rule, before anything is computed; numbers not finite; too little memory.
        """
        clip = {"width": width, "height": height, "num_frames": num_frames, "fps": fps, "preset": preset}
        steps = {"num_inference_steps": num_inference_steps, "guidance_scale": guidance_scale, "motion": motion}
        words, settings = CallWords.taken_from(settings)
        prompts, images, negatives = words.repeated(together(prompt, image, negative_prompt))
        first = next((one for one in images if one is not None), None)
        chosen = self.settings_for({**clip, **steps, **settings}, image=first)
        for text in dict.fromkeys(prompts):
            self.check(text, chosen)
        seeds = choose_seeds(len(prompts), seed=seed, generator=generator)
        step_end = StepEnd(self, words)
        on_step = _on_step(step_end, callback, preset=chosen.preset)
        latents = self._sample(prompts, [text or "" for text in negatives], seeds, settings=chosen, on_step=on_step)
        moments = chosen.preset.moments(self.dtype)[: step_end.step]
        passes = sum(1 + len(moment.guided_by) for moment in moments)
        length = chosen.num_output_frames
        return LuminaVideoOutput(
            frames=latents if words.output_type == "latent" else self._decoded(latents, length, words.output_type),
            seeds=seeds,
            latents=list(latents.cpu()),
            settings=[chosen] * len(prompts),
            model_calls=[passes] * len(prompts),
            output_type=words.output_type,
        )

    @checked_types
    def stream(
        self,
        prompt: str,
        *,
        image: Any = None,
        negative_prompt: str | None = "",
        seed: int | None = None,
        generator: torch.Generator | None = None,
        callback: Callable[[int, Tensor], object] | None = None,
        **settings: Any,
    ) -> LateFrames:
        """The frames of one clip, an iterator; of this model they come all at once, at the end.

        Every step of its sampling changes every frame, so none is finished before the others. The words are those of a
        call, and of `LumosPipeline.stream`.

        Raises:
            ValueError: as a call, before anything is computed.
        """
        chosen = self.settings_for(settings, image=image)
        self.check(prompt, chosen)
        own = choose_seeds(1, seed=seed, generator=generator)[0]

        def make() -> LuminaVideoOutput:
            return self(prompt, negative_prompt=negative_prompt, seed=own, callback=callback, **settings)

        return LateFrames(make, settings=chosen, seed=own)

    def settings_for(self, given: Mapping[str, Any], *, image: Any = None) -> LuminaVideoSettings:
        """The settings a call with these would have.

        Raises:
            ValueError: it would be refused.
        """
        return settings_for(self.defaults, given, config=self._parts.config, vae=self._parts.compression, image=image)

    def check(self, prompt: str, settings: LuminaVideoSettings) -> None:
        """Check that a clip of this prompt can be made with these settings.

        One that is too long is cut where it is encoded, with a `PromptCutWarning`.

        Raises:
            ValueError: the prompt is empty, or the settings are not of this model.
        """
        if not prompt.strip():
            raise ValueError("the prompt is empty; describe what is to be seen")
        settings.check(self._parts.config)

    @torch.inference_mode()
    def encode_prompts(self, prompts: Sequence[str], settings: LuminaVideoSettings | None = None) -> None:
        """Encode all prompts of a run, negative ones too, before its calls: the text encoder is then loaded once.

        Their features stay until those of other prompts are made. Of the settings the system prompt counts.
        """
        system_prompt = (settings or self.settings_for({})).system_prompt
        self._features.encode(prompts, system_prompt=system_prompt)

    @torch.inference_mode()
    def decode(self, latents: Float[Tensor, "n C T H W"], *, num_frames: int | None = None) -> list[list[Image.Image]]:
        """The frames of each clip, 4 a latent frame; with `num_frames` 1 the one of a picture's only latent frame.

        Raises:
            ValueError: latents that are not finite, or not those of `num_frames`; memory that does not suffice.
        """
        whole = latents.shape[2] * self._parts.compression.temporal
        frames: list[list[Image.Image]] = self._decoded(latents, num_frames or whole, "pil")
        return frames

    def _decoded(self, latents: Tensor, num_frames: int, output_type: OutputType) -> Frames:
        """The frames of all clips in a form."""
        if not latents.isfinite().all():
            raise ValueError("the latents hold numbers that are not finite; look for what made them")

        def work(vae: VideoVAE) -> Frames:
            videos = (vae.decode(clip, num_frames)[0] for clip in latents.split(1))
            return together_in_form([in_form(video, output_type) for video in videos], output_type)

        remedy = "decode in tiles (tiled=True, or --tiled), or ask for a smaller or shorter clip"
        with said_when_full("decoding", remedy):
            return self._parts.vae.use(work)

    def _sample(
        self,
        prompts: Sequence[str],
        negatives: Sequence[str],
        seeds: Sequence[int],
        *,
        settings: LuminaVideoSettings,
        on_step: OnStep,
    ) -> Tensor:
        """The latents of all clips, [n, C, T, H, W]."""
        self._interrupt, self._num_timesteps = False, settings.preset.num_steps
        (text, mask), *negative = self._texts(prompts, negatives, settings)
        self._parts.network.keep()  # not before the texts are encoded, and the encoder is gone
        shape = (self._parts.config.in_channels, *settings.latent_shape)

        def work(model: MultiScaleNextDiT) -> Tensor:
            return sample_latents(
                model,
                torch.stack([noise_for(seed, shape, device=self.device) for seed in seeds]),
                preset=settings.preset,
                text=text,
                text_mask=mask,
                negative_text=[features for features, _ in negative],
                negative_mask=[valid for _, valid in negative],
                on_step=on_step,
                interrupted=lambda: self._interrupt,
            )

        remedy = "ask for fewer clips at once, or for smaller or shorter ones"
        with said_when_full("sampling", remedy):
            return self._parts.network.use(work)

    def _texts(
        self, prompts: Sequence[str], negatives: Sequence[str], settings: LuminaVideoSettings
    ) -> list[tuple[Tensor, Tensor]]:
        """Features and mask of the prompts, and of the negatives where the preset guides."""
        guided = any(moment.guided_by for moment in settings.preset.moments(self.dtype))
        branches = [prompts, list(negatives) if len(set(negatives)) > 1 else negatives[:1]] if guided else [prompts]
        where: dict[str, Any] = {"system_prompt": settings.system_prompt, "device": self.device}
        with said_when_full("reading the prompts", "free some memory of the device"):
            self._features.encode([text for texts in branches for text in texts], system_prompt=settings.system_prompt)
        return [self._features.of(texts, **where) for texts in branches]

    def _move(self, device: torch.device, dtype: torch.dtype) -> None:
        """Open the parts anew there; a network that is in memory stays so, unless its numbers would be others."""
        if self._open is None:
            raise ValueError("a pipeline made of parts stays where they are; load it by from_pretrained to move it")
        before, self._parts = self._parts, self._open(self.files, device=device, dtype=dtype)
        self._features = PromptFeatures(self._parts.text_encoder)
        if before.network.kept is not None and before.dtype == dtype:
            self._parts.network.replace_with(before.network.kept.to(device))

    def _offload(self, device: torch.device) -> None:
        if device != with_index(self.device):
            self._move(device, self.dtype)
        for part in (self._parts.network, self._parts.text_encoder, self._parts.vae):
            part.rest_between(partial(_place, device=device))

    def _merge_lora(self, folder: Path) -> None:
        load_lora(self.model, folder)
        if self.files is not None:
            self.files = replace(self.files, lora=folder)

    def _check_whole(self, what: str) -> None:
        """They are always whole."""

    def _write(self, folder: Path) -> None:
        assert self.files is not None
        write_model_folder(self.model, folder, self.files)


def _on_step(step_end: StepEnd, callback: Callable[[int, Tensor], object] | None, *, preset: FlowPreset) -> OnStep:
    """What is called after each Euler step: first who may change the state, then who looks at it."""
    times = time_grid(preset.num_points, preset.shift)

    def on_step(index: int, state: Tensor) -> Tensor:
        state = step_end(times[index], state)
        if callback is not None:
            callback(index, state)
        return state

    return on_step


def _place(part: Any, at_work: bool, *, device: torch.device) -> None:
    """Bring a part to the device, or back into the host's memory."""
    module = part if isinstance(part, nn.Module) else part.model
    module.to(device if at_work else "cpu")
