"""Prompts and pictures in, frames out: the whole of Lumos-1 behind one call, with diffusers' conventions.

pipeline = LumosPipeline.from_pretrained("lumos-tiny")
output = pipeline("a red circle moves to the right", seed=1)
output.frames[0][0].save("first.png")
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from lumos.conventions.call import CallWords, StepEnd, with_return_dict
from lumos.conventions.output import Frames, OutputType, check_one_size, in_form, together_in_form
from lumos.conventions.pipeline import PipelineWords, loading_dtype
from lumos.conventions.script import Prompts, Script, TimedPrompt, scripts_of
from lumos.hub.models import DEFAULT_MODEL, ModelFiles, local_folder, resolve
from lumos.lumos1.generation.clip_groups import ClipAsked, generate_groups, num_steps, request_of
from lumos.lumos1.generation.frame_stream import LumosStream
from lumos.lumos1.generation.going_on import coded_part, first_of, in_form_behind, new_part
from lumos.lumos1.generation.prompt_changes import latent_changes
from lumos.lumos1.model.model_folder import write_model_folder
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.placement import check_placement, place, put
from lumos.lumos1.output import LumosOutput
from lumos.lumos1.prompt_ids import prompt_ids
from lumos.lumos1.sampling.decode import finished_frames
from lumos.lumos1.sampling.request import OnFrame
from lumos.lumos1.sampling.settings import Settings, settings_for
from lumos.media.clip_pixels import ClipInput
from lumos.media.crop import crop_to_bucket
from lumos.media.first_frames import FirstFrames, FirstInput, first_frames_of
from lumos.media.frames import to_tensor
from lumos.media.inputs import ImageInput, choose_device, choose_dtype, choose_seeds, pixels_of, together
from lumos.tokenizer.answers import check_codebook
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from lumos.tokenizer.vocab import agreed_vocabulary
from xllmx.full_memory import said_when_full
from xllmx.kernels.attention import resolve_backend
from xllmx.lora import load_lora
from xllmx.settings.argument_types import checked_types
from xllmx.store.said import naming_addresses

_PLACEMENT = ("weights", "offload", "device_map", "max_memory")
_LOADED_WITH = ("device", "dtype", "ckpts", "lora", *_PLACEMENT, "attention_backend")
_SMALLER = (
    "ask for fewer clips at once, or for smaller or shorter ones, or take weights in 8 bits (weights='int8', "
    "--weights int8) or offload=True (--offload)"
)
"""What to do where sampling takes more memory than there is."""


class LumosPipeline(PipelineWords):
    """A model with its two tokenizers, ready to generate.

    Diffusers' words, and what they mean here: `lumos.conventions`.
    """

    def __init__(
        self,
        *,
        model: LumosForCausalLM,
        text: TextTokenizer,
        visual: VisualTokenizer,
        defaults: Mapping[str, Any] | None = None,
        files: ModelFiles | None = None,
    ) -> None:
        self.model, self.text, self.visual = model, text, visual
        self.defaults = dict(defaults or {})
        self.files = files
        self.cuda_graphs = False
        """Whether refinements run as CUDA graphs; on a GPU only."""
        self.weights: str | None = None
        """What the blocks' weights were rounded to (`placement.WEIGHTS`); None is what the model's dtype is."""
        self._in_turn: torch.device | None = None
        """Where the parts work, if each lies in the host's memory until its turn."""
        self._placed: str | None = None
        """What placed the blocks where they cannot be moved from."""
        self.on_refinement: Callable[[int, int], object] | None = None
        """Called after each refinement as `OnRefinement` is, for who shows how far it is; its answer is let be."""
        self.vocab = agreed_vocabulary(model.vocab, text.vocab)
        model.vocab = self.vocab

    @classmethod
    @naming_addresses()
    @checked_types
    def from_pretrained(
        cls,
        path_or_name: str | Path = DEFAULT_MODEL,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        ckpts: str | Path | None = None,
        lora: str | Path | None = None,
        weights: str | None = None,
        offload: bool = False,
        device_map: str | None = None,
        max_memory: Mapping[int | str, int | str] | None = None,
        attention_backend: str = "auto",
        **words: Any,
    ) -> "LumosPipeline":
        """The pipeline of a bundled or released name, a hub id or a folder; see `lumos.hub.models.resolve`.

        `device` is the GPU where there is one, else the CPU; `dtype` is bf16 on a GPU and fp32 on a CPU; `lora` is a
        folder of adapters, which are merged into the weights. For small cards: `weights` (int8, fp8), `offload`, or
        `device_map` "auto" with `max_memory`, see `lumos.lumos1.model.placement.place`. `attention_backend` is one of
        `xllmx.kernels.attention`: auto, sdpa, cudnn or flash. Of other words `torch_dtype` is taken, which says dtype.
        Raises ValueError that says what is missing, or that device, dtype, weights or backend cannot be had.
        """
        chosen_device = choose_device(device)
        chosen_dtype = choose_dtype(loading_dtype(dtype, words, known=_LOADED_WITH), chosen_device)
        how: dict[str, Any] = dict(zip(_PLACEMENT, (weights, offload, device_map, max_memory), strict=True))
        check_placement(chosen_device, **how)
        resolve_backend(attention_backend, device=chosen_device, dtype=chosen_dtype)
        files = replace(resolve(path_or_name, ckpts), lora=None if lora is None else local_folder(lora))
        model = LumosForCausalLM.from_pretrained(files.model, dtype=chosen_dtype)
        model = model if files.lora is None else load_lora(model, files.lora)
        pipeline = cls(
            model=place(model, chosen_device, **how),
            text=TextTokenizer.from_file(files.text_tokenizer),
            visual=VisualTokenizer.from_pretrained(files.visual_tokenizer, device=chosen_device),
            defaults=files.defaults,
            files=files,
        )
        pipeline.weights = weights
        pipeline._placed = next((name for name in ("offload", "device_map", "weights") if how[name]), None)
        pipeline.model.attention_backend = attention_backend
        return pipeline

    @property
    def device(self) -> torch.device:
        """Where the model works."""
        return self._in_turn or self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.model.dtype

    @with_return_dict
    @checked_types
    @torch.inference_mode()
    def __call__(
        self,
        prompt: Prompts,
        *,
        image: ImageInput | Sequence[ImageInput | ClipInput | None] | None = None,
        given: ClipInput | str | Path | None = None,
        negative_prompt: str | Sequence[str | None] | None = None,
        num_frames: int | None = None,
        duration: int | None = None,
        fps: int | None = None,
        width: int | None = None,
        height: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | int | None = None,
        mask_history_ratio: float | int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        seed: int | Sequence[int] | None = None,
        callback: OnFrame | None = None,
        **sampler: Any,
    ) -> LumosOutput:
        """Frames, seeds and codes of one clip a prompt.

        Whatever is None has the model's default, else the released value: 672x384, 12 fps, 2 seconds, 50 steps,
        guidance 15 (images 448x256, 16), history mask ratio 0.7. One prompt, or one image, is repeated for several.

        Args:
            prompt: a text, or one a clip. One that changes: [(0, text), (frame, text), ...].
            image: the first frame, cropped to the model's nearest size, or to width x height; or a clip, as `given`.
            given: a clip to go on from, a video file or frames, of the size and rate that is made. Its frames come
                first, as they are; num_frames counts them (`lumos.lumos1.generation.going_on`).
            negative_prompt: text the guidance leads away from; without it, the branch without text, as released.
            num_frames: exactly so many frames come back; 1 makes an image. None: fps * duration are named in the
                prompt, and all that are decoded come back (25 for 24, as released).
            duration: whole seconds.
            fps: frames per second.
            width: pixels, a multiple of 32.
            height: pixels, a multiple of 32.
            num_inference_steps: refinements a latent frame.
            guidance_scale: 1 leaves the branch without text out.
            mask_history_ratio: share of finished frames hidden from later ones.
            generator: draws the seeds; one, or one a clip.
            seed: of the first clip, the next ones count on; or one a clip. None: from the operating system.
            callback: called with each finished latent frame, `(index, codes [B, H, W])`.
            **sampler: `seconds`, fields of `SamplerConfig`, diffusers' words of a call (`lumos.conventions.call`).

        Raises:
            ValueError: a value outside its rule, a prompt too long for the model, a picture that is none.
        """
        words, sampler = CallWords.taken_from(sampler)
        size = {"num_frames": num_frames, "duration": duration, "fps": fps, "width": width, "height": height}
        steps = {"num_inference_steps": num_inference_steps, "guidance_scale": guidance_scale}
        settings = {**size, **steps, "mask_history_ratio": mask_history_ratio, **sampler}
        asked = together(scripts_of(prompt), first_of(image, given), negative_prompt)
        scripts, images, negatives = words.repeated(asked)
        seeds = choose_seeds(len(scripts), seed=seed, generator=generator)
        clips = [
            self._clip(index, scripts[index], images[index], negatives[index], seed=seeds[index], given=settings)
            for index in range(len(scripts))
        ]
        sizes = [(one.settings.num_output_frames, one.settings.width, one.settings.height) for one in clips]
        check_one_size(sizes, words.output_type)
        codes, calls = self._sample(clips, StepEnd(self, words), on_frame=callback)
        return LumosOutput(
            frames=self._decoded(codes, clips, words.output_type),
            seeds=seeds,
            codes=[grid.cpu() for grid in codes],
            settings=[clip.settings for clip in clips],
            model_calls=calls,
            output_type=words.output_type,
        )

    @checked_types
    def stream(
        self,
        prompt: str | TimedPrompt,
        *,
        image: ImageInput | None = None,
        given: ClipInput | str | Path | None = None,
        negative_prompt: str | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        callback: OnFrame | None = None,
        decode_window: int | None = None,
        **settings: Any,
    ) -> LumosStream:
        """The frames of one clip, an iterator: each is handed out once its latent frame is finished.

        They are those of a call with the same words and seed. `settings` are those of a call; `decode_window` is for
        visual tokenizers that cannot carry their state, see `VisualTokenizer.stream`.

        Raises:
            ValueError: as a call, before anything is generated; where the parts take turns on the device.
        """
        if self._in_turn is not None:
            rule = "model and visual tokenizer on the device at once, and enable_model_cpu_offload was called"
            raise ValueError(f"streaming needs {rule}; load the pipeline again without it")
        chosen = choose_seeds(1, seed=seed, generator=generator)[0]
        script, first = scripts_of(prompt)[0], first_of(image, given)
        clip = self._clip(0, script, first, negative_prompt, seed=chosen, given=settings)
        finished = finished_frames(self.model, request_of([clip]), on_refinement=self._tell, graphs=self.cuda_graphs)
        decode = self.visual.stream(window=decode_window)
        return LumosStream(finished, decode, settings=clip.settings, seed=chosen, frames=clip.frames, callback=callback)

    def _sample(
        self, clips: Sequence[ClipAsked], step_end: StepEnd, *, on_frame: OnFrame | None
    ) -> tuple[list[Tensor], list[int]]:
        """The codes and the model calls of every clip."""
        self._interrupt, self._num_timesteps = False, num_steps(clips)
        how: dict[str, Any] = {"on_frame": on_frame, "on_refinement": self.on_refinement, "graphs": self.cuda_graphs}
        with said_when_full("sampling", _SMALLER), self._at_work(self.model):
            return generate_groups(self.model, clips, step_end=step_end, **how)

    def _tell(self, number: int, num_clips: int) -> None:
        if self.on_refinement is not None:
            self.on_refinement(number, num_clips)

    def _decoded(self, codes: Sequence[Tensor], clips: Sequence[ClipAsked], output_type: OutputType) -> Frames:
        """The frames of all clips in a form; those of a clip that was interrupted may be none."""
        if output_type == "latent":
            return together_in_form(codes, output_type)
        each = [self._frames(grid, clip, output_type) for grid, clip in zip(codes, clips, strict=True)]
        return together_in_form(each, output_type)

    def _frames(self, codes: Tensor, clip: ClipAsked, output_type: OutputType) -> Frames:
        """The frames of one clip, behind those that it goes on from."""
        if clip.frames is None or not len(codes):
            return in_form(self._pixels(codes, clip.settings), output_type)
        return in_form_behind(clip.frames, new_part(self._pixels(codes, None), clip.settings), output_type)

    def _pixels(self, codes: Tensor, settings: Settings | None) -> Tensor:
        """Pixels [3, F, Hpx, Wpx] in about [-1, 1]."""
        if not len(codes):
            return torch.zeros(3, 0, *(8 * side for side in codes.shape[1:]))
        with said_when_full("decoding", "ask for a smaller or shorter clip"), self._at_work(self.visual):
            video = self.visual.decode(codes[None].to(self.device))[0].float()
        return video[:, : settings.num_output_frames if settings else None]

    def decode(self, codes: Int[Tensor, "T H W"], settings: Settings | None = None) -> list[Image.Image]:
        """The frames of one clip's codes, as many as `settings` asks for, else all."""
        return cast(list[Image.Image], in_form(self._pixels(codes, settings), "pil"))

    def encode_image(self, image: ImageInput, size: tuple[int, int]) -> Int[Tensor, "1 H W"]:
        """The codes of a picture cropped to `size` (width, height), as one latent frame."""
        return self._codes(to_tensor(crop_to_bucket(pixels_of(image)[None], size))[None])

    def _codes(self, pixels: Tensor) -> Tensor:
        with self._at_work(self.visual):
            codes = self.visual.encode(pixels.to(self.device))[0]
        check_codebook(codes, self.vocab.num_codes)
        return codes

    def settings_for(self, given: Mapping[str, Any], *, image: FirstInput | None = None) -> Settings:
        """The settings a call with these would have; ValueError if it would be refused.

        A first frame or clip sets the size, the nearest of the model's, unless width or height is given.
        """
        (settings := settings_for(self.defaults, given, image=image)).check(self.vocab)
        return settings

    def check(self, prompt: str | TimedPrompt, settings: Settings) -> None:
        """Raises ValueError if a call with this prompt and these settings would be refused, or the model has no video.

        Whether the visual tokenizer decodes video is tried once: one of images alone is found before time is spent.
        """
        settings.check(self.vocab)
        for script in scripts_of(prompt):
            for text in (script.text, *latent_changes(script, settings).values()):
                self.prompt_ids(text, settings)
        if settings.num_latent_frames > 1:
            with self._at_work(self.visual):
                self.visual.check_video(settings.grid)

    def prompt_ids(self, prompt: str, settings: Settings) -> Int[Tensor, " L"]:
        """The ids of a prompt, from `<s>` up to the separator; ValueError when the sequence outgrows the model."""
        if not prompt.strip():
            raise ValueError("the prompt is empty; describe what is to be seen")
        return self._ids(prompt, settings)

    def _ids(self, text: str, settings: Settings) -> Tensor:
        return prompt_ids(self.text, text, settings, config=self.model.config)

    def _clip(
        self,
        index: int,
        script: Script,
        image: FirstInput | None,
        negative: str | None,
        *,
        seed: int,
        given: dict[str, Any],
    ) -> ClipAsked:
        """One clip, checked and coded."""
        first = None if image is None else first_frames_of(image)
        settings = self.settings_for(given, image=first)
        ids = {at: self.prompt_ids(text, settings) for at, text in latent_changes(script, settings).items()}
        return ClipAsked(
            index=index,
            prompt_ids=self.prompt_ids(script.text, settings),
            negative_ids=None if negative is None else self._ids(negative, settings),
            given=None if first is None else self._encode(first, settings),
            seed=seed,
            settings=settings,
            changes=ids,
            frames=first.pixels if first is not None and first.is_clip else None,
        )

    def _encode(self, first: FirstFrames, settings: Settings) -> Tensor:
        """The codes [G, H, W] of a picture, or of the end of a clip."""
        if first.is_clip:
            return self._codes(coded_part(first.pixels, settings))
        return self.encode_image(first.pixels[0], (settings.width, settings.height))

    @contextmanager
    def _at_work(self, part: LumosForCausalLM | VisualTokenizer) -> Iterator[None]:
        """A context in which a part is where it works; it goes back where it lies between."""
        if self._in_turn is None:
            yield
            return
        try:
            put(part, self._in_turn)
            yield
        finally:
            put(part, torch.device("cpu"))
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    def _move(self, device: torch.device, dtype: torch.dtype) -> None:
        self._check_whole("to")
        self.model.to(device=device, dtype=dtype)  # type: ignore[call-arg]
        self.visual, self._in_turn = self.visual.loaded_on(device), None

    def _offload(self, device: torch.device) -> None:
        self._check_whole("enable_model_cpu_offload")
        self.visual, self._in_turn = self.visual.loaded_on(device), device
        for part in (self.model, self.visual):
            put(part, torch.device("cpu"))

    def _merge_lora(self, folder: Path) -> None:
        self._check_whole("load_lora_weights", " with lora=FOLDER")
        load_lora(self.model, folder)
        self.files = self.files and replace(self.files, lora=folder)

    def _check_whole(self, what: str, remedy: str = "") -> None:
        if self._placed is not None:
            rule = f"{what} takes weights as they were stored, in one place"
            without = f"load it by from_pretrained{remedy or f' without {self._placed}'}"
            raise ValueError(f"{rule}, and this pipeline has {self._placed}; {without}")

    def _write(self, folder: Path) -> None:
        assert self.files is not None
        write_model_folder(self.model, folder, self.files, shared=True)
