"""Previews of a model in training: clips of the same prompts and seeds every so many steps, as files people can open.

RUN/samples/step-00000500/00-a-red-circle-grows.mp4
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import nn

from lumos.cli.jobs.prompts import name_of
from lumos.cli.training.preview_config import PreviewConfig as PreviewConfig
from lumos.hub.models import resolve
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling.settings import settings_for
from lumos.media.writing import write_image, write_video
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer


class PromptPreview:
    """The engine's `Preview` of a Lumos run; missing tokenizers are an error when it is made."""

    def __init__(self, config: PreviewConfig, folder: Path, *, init_from: str | None) -> None:
        source = config.tokenizers or init_from
        if source is None:
            raise ValueError(
                "samples need tokenizers: set samples.tokenizers to a model with the vocabulary of this one"
            )
        self.every = config.every
        self._config, self._folder = config, folder
        self._files = resolve(source, weights=False)
        settings_for(self._files.defaults, config.settings)  # refused now rather than at the first preview
        self._text = TextTokenizer.from_file(self._files.text_tokenizer)
        self._visual: VisualTokenizer | None = None  # read by the rank that makes clips, where its model is

    def __call__(self, model: nn.Module, step: int) -> Mapping[Path, np.ndarray]:
        """Return the clips of this step, uint8 [F, H, W, 3], by the files they were written to."""
        assert isinstance(model, LumosForCausalLM)
        training, vocab = model.training, model.vocab
        if self._visual is None:
            self._visual = VisualTokenizer.from_pretrained(self._files.visual_tokenizer, device=model.device)
        model.eval()
        try:
            pipeline = LumosPipeline(
                model=model, text=self._text, visual=self._visual, defaults=self._files.defaults, files=self._files
            )
            made: dict[Path, np.ndarray] = {}
            for index, prompt in enumerate(self._config.prompts):
                output = pipeline(prompt, seed=self._config.seed + index, **self._config.settings)
                frames = np.stack([np.asarray(frame) for frame in output.frames[0]])
                made[self._write(frames, f"{index:02d}-{name_of(prompt)}", step, fps=output.settings[0].fps)] = frames
            return made
        finally:  # the pipeline takes the codes in the order its tokenizer names them, training in its own
            model.vocab = vocab
            model.train(training)

    def _write(self, frames: np.ndarray, name: str, step: int, *, fps: int) -> Path:
        path = self._folder / f"step-{step:08d}" / f"{name}.{'mp4' if len(frames) > 1 else 'png'}"
        if len(frames) > 1:
            write_video(path, frames, fps=fps)
        else:
            write_image(path, frames[0])
        return path
