"""AR-DF training as a task of the engine: clips in, masked sequences and the loss over masked codes out (SPEC §8)."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lumos.ardf import draw_mask
from lumos.clips import ClipDataset
from lumos.config import ARDFConfig, LumosConfig
from lumos.model.modeling import LumosForCausalLM
from lumos.sequence import (
    Clip,
    blocks_of,
    content_index_of,
    fill_placeholders,
    frame_index_of,
    num_latent_frames,
    pack,
    packed_length,
    positions_of,
)
from lumos.vocab import Vocab
from xllmx.loss import LossOutput, chunked_cross_entropy
from xllmx.rng import generator_for, sample_generator
from xllmx.task import Prepared


@dataclass(frozen=True, kw_only=True)
class LumosTaskConfig:
    """What is trained, on what, and with which loss.

    Raises:
        ValueError: a value outside its range.
    """

    data: dict[str, str] = field(default_factory=dict)
    """Stream name -> data YAML (or index) of the training clips; usually `image` and `video`."""
    eval_data: dict[str, str] = field(default_factory=dict)
    """Stream name -> data YAML of held-out clips; empty = no evaluation."""
    eval_modes: tuple[str, ...] = ("text_to_video",)
    """Every evaluation stream is evaluated once in each of these modes (`ardf.modes` lists what there is)."""
    model_config: str | None = None
    """YAML or JSON file with the fields of LumosConfig."""
    model: dict[str, Any] = field(default_factory=dict)
    """Fields of LumosConfig given here; they win over the file's."""
    init_from: str | None = None
    """Folder of the checkpoint to start from, its config included; None starts from fresh weights."""
    ardf: ARDFConfig = field(default_factory=ARDFConfig)
    """How clips are masked."""
    duration_s: int | None = None
    """Clips longer than this are cut to it; None trains on whole clips."""
    max_length: int = 65536
    """Longest sequence in tokens; a clip that stays longer after the cut is an error."""
    z_loss_weight: float = 0.0
    """Weight of mean(logsumexp^2) over the visual logits."""
    focal_gamma: float = 0.0
    """Exponent of the focal loss (an ablation, 2 in the paper); 0 is cross entropy."""
    frame_decay: float = 1.0
    """Codes of frame f weigh frame_decay^f in the loss (an ablation); 1 weighs all alike."""
    loss_chunk: int | None = None
    """Rows of logits in memory at a time; None chooses by device."""

    def __post_init__(self) -> None:
        if self.duration_s is not None and self.duration_s < 1:
            raise ValueError(f"duration_s is {self.duration_s}; give whole seconds, 1 or more, or leave it unset")
        if not 0 < self.frame_decay <= 1:
            raise ValueError(f"frame_decay is {self.frame_decay}; it must lie in (0, 1], and 1 switches it off")
        ARDFConfig(modes=self.eval_modes)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip, cut to the training length, and how it may be used."""

    clip: Clip
    """The clip."""
    modes: tuple[str, ...]
    """One of these is drawn."""
    cfg_drop: float
    """Probability that the text is dropped."""


class ClipStream:
    """The clips of one stream as the engine's dataset; `lengths` are those of the whole clips, in tokens."""

    def __init__(
        self, clips: ClipDataset, *, modes: tuple[str, ...], cfg_drop: float, duration_s: int | None, max_length: int
    ) -> None:
        self.lengths = clips.lengths
        self._clips, self._modes, self._cfg_drop = clips, modes, cfg_drop
        self._duration_s, self._max_length = duration_s, max_length

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Sample:
        """Returns the clip, cut to the training length; ValueError where it is longer than the longest sequence."""
        clip = cut_clip(self._clips[index], self._duration_s)
        length = packed_length(len(clip.prompt_ids), clip.codes.shape)
        if length > self._max_length:
            raise ValueError(
                f"clip {clip.source} ({len(clip.codes)} latent frames) is {length} tokens long, over "
                f"task.max_length={self._max_length}: lower task.duration_s, leave the clip out, or raise max_length"
            )
        return Sample(clip=clip, modes=self._modes, cfg_drop=self._cfg_drop)


def cut_clip(clip: Clip, duration_s: int | None) -> Clip:
    """Returns the first `duration_s` seconds of the clip: frames past them dropped, duration set (SPEC §8.1)."""
    if duration_s is None or clip.duration <= duration_s:
        return clip
    codes = clip.codes[: num_latent_frames(clip.fps * duration_s)]
    return dataclasses.replace(clip, codes=codes, duration=duration_s)


class LumosTask:
    """The `TrainTask` of Lumos-1: AR-DF on clips."""

    def __init__(self, config: LumosTaskConfig) -> None:
        self.config = config
        self.model_config = read_model_config(config)
        self.vocab = self.model_config.vocabulary

    def build_model(self) -> LumosForCausalLM:
        """Returns the model on the meta device."""
        with torch.device("meta"):
            return LumosForCausalLM(self.model_config)

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Returns nothing; fills the model from `init_from`, or afresh: N(0, initializer_range), norms 1 and 0."""
        model.to_empty(device=device)
        model.reset_buffers()
        if self.config.init_from is None:
            fresh_weights(model, std=self.model_config.initializer_range, seed=seed)
        else:
            start = LumosForCausalLM.from_pretrained(self.config.init_from)
            if start.config.vocab_size < self.model_config.vocab_size:
                start.grow_vocabulary(self.model_config.vocab_size, generator=generator_for(seed, stream="vocabulary"))
            model.load_state_dict(start.state_dict())

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Returns the transformer blocks."""
        return list(model.model.layers)

    def build_dataset(self, split: str) -> Mapping[str, ClipStream]:
        """Returns the training streams by name, or for `eval` every held-out stream in every mode, `stream/mode`."""
        config = self.config
        if split == "train":
            return {
                name: self._stream(path, config.ardf.modes, config.ardf.cfg_drop) for name, path in config.data.items()
            }
        return {
            f"{name}/{mode}": self._stream(path, (mode,), 0.0)
            for name, path in config.eval_data.items()
            for mode in config.eval_modes
        }

    def _stream(self, path: str, modes: tuple[str, ...], cfg_drop: float) -> ClipStream:
        return ClipStream(
            ClipDataset(path, vocab=self.vocab),
            modes=modes,
            cfg_drop=cfg_drop,
            duration_s=self.config.duration_s,
            max_length=self.config.max_length,
        )

    def collate(self, samples: list[Sample]) -> list[Sample]:
        """Returns the samples: what is drawn from them is drawn in `prepare`."""
        return samples

    def prepare(self, batch: list[Sample], generator: torch.Generator) -> Prepared:
        """Returns the left-padded batch with its masks drawn.

        Inputs: `input_ids`, `positions`, `blocks`; `rows`, the flat indices of the masked codes; `frames`, the latent
        frame of each. Targets: the row of each masked code in the visual part of the head.
        """
        drawn = [
            draw_sample(sample, self.vocab, ardf=self.config.ardf, generator=sample_generator(generator, place))
            for place, sample in enumerate(batch)
        ]
        ids = pad_sequence(
            [ids for ids, _ in drawn], batch_first=True, padding_value=self.vocab.pad, padding_side="left"
        )
        masks = torch.zeros(
            len(drawn), *(max(sizes) for sizes in zip(*(m.shape for _, m in drawn), strict=True)), dtype=torch.bool
        )
        for mask, (_, own) in zip(masks, drawn, strict=True):
            mask[: own.shape[0], : own.shape[1]] = own
        return prepare_masked(ids, masks, vocab=self.vocab)

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Returns the cross entropy summed over the masked codes, among visual logits; beside it that of every frame."""
        inputs, config = prepared.inputs, self.config
        hidden = model.hidden(inputs["input_ids"], positions=inputs["positions"], blocks=inputs["blocks"])
        frames = inputs["frames"]
        output = chunked_cross_entropy(
            hidden.flatten(0, 1)[inputs["rows"]],
            model.visual_weight,
            prepared.targets,
            chunk=config.loss_chunk,
            z_loss=config.z_loss_weight,
            focal_gamma=config.focal_gamma,
            row_weights=None if config.frame_decay == 1 else config.frame_decay**frames,
        )
        return dataclasses.replace(
            output, metrics={**output.metrics, **frame_losses(output.row_losses, frames, inputs["num_frames"])}
        )

    def export(self, model: nn.Module, folder: Path) -> None:
        """Returns nothing; writes the model as a folder that `LumosForCausalLM.from_pretrained` reads."""
        model.save_pretrained(folder)


def draw_sample(
    sample: Sample, vocab: Vocab, *, ardf: ARDFConfig, generator: torch.Generator
) -> tuple[Int[Tensor, "L"], Bool[Tensor, "T P"]]:
    """Returns the ids of a sample, its text perhaps dropped, and the mask (True = to be masked) drawn for them.

    Placeholders in the prompt are written with the frames (fps * duration) and the fps of the clip.
    """
    clip = sample.clip
    num_frames, height, width = clip.codes.shape
    prompt = fill_placeholders(
        torch.from_numpy(clip.prompt_ids), vocab=vocab, frames=clip.fps * clip.duration, fps=clip.fps
    )
    codes = torch.from_numpy(clip.codes.astype("int64"))
    ids = pack(prompt, codes, vocab=vocab, fps=clip.fps, duration=clip.duration)
    drop, choice, given = torch.rand(3, generator=generator).tolist()
    if drop < sample.cfg_drop:
        ids = drop_text(ids, vocab)
    mode = sample.modes[min(int(choice * len(sample.modes)), len(sample.modes) - 1)]
    mask = draw_mask(ardf, num_frames, positions_per_frame=height * (width + 1), generator=generator)
    mask[: given_frames(mode, num_frames, given)] = False
    return ids, mask


def drop_text(ids: Int[Tensor, "L"], vocab: Vocab) -> Int[Tensor, "L1"]:
    """Returns the ids from the video start on, so that positions count from there (SPEC §8.2, `text_only`)."""
    return ids[int((ids == vocab.video_start).int().argmax()) :]


def given_frames(mode: str, num_frames: int, u: float) -> int:
    """Returns how many leading frames are given, i.e. neither masked nor predicted (SPEC §8.5); u in [0, 1) decides.

    `text_to_video`: none; `video_next_frame`: 1..T-1, alike likely; `video_prediction_{r}`: int(r * T). An image: none.
    """
    if mode == "text_to_video" or num_frames == 1:
        return 0
    if mode == "video_next_frame":
        return 1 + min(int(u * (num_frames - 1)), num_frames - 2)
    return int(float(mode.removeprefix("video_prediction_")) * num_frames)


def prepare_masked(ids: Int[Tensor, "B L"], masks: Bool[Tensor, "B T P"], *, vocab: Vocab) -> Prepared:
    """Returns the batch with the content positions masked where `masks` is True; row ends are masked without a loss."""
    frame, content = frame_index_of(ids, vocab), content_index_of(ids, vocab)
    row = torch.arange(len(ids))[:, None]
    masked = masks[row, frame.clamp(min=0), content.clamp(min=0)] & (content >= 0)
    scored = (masked & vocab.is_code(ids)).flatten().nonzero().flatten()
    inputs = {
        "input_ids": ids.masked_fill(masked, vocab.mask),
        "positions": positions_of(ids, vocab),
        "blocks": blocks_of(ids, vocab),
        "rows": scored,
        "frames": frame.flatten()[scored],
        "num_frames": masks.shape[1],
    }
    targets = ids.flatten()[scored] - vocab.code_base
    return Prepared(inputs=inputs, targets=targets, num_targets=len(scored), num_tokens=int((ids != vocab.pad).sum()))


def frame_losses(
    row_losses: Float[Tensor, "M"], frames: Int[Tensor, "M"], num_frames: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns `frame_{f}` -> (sum of the cross entropies, number of codes) of latent frame f (SPEC §8.4)."""
    sums = torch.zeros(num_frames, dtype=row_losses.dtype, device=row_losses.device).index_add_(0, frames, row_losses)
    counts = torch.bincount(frames, minlength=num_frames)
    return {f"frame_{index}": (sums[index], counts[index]) for index in range(num_frames)}


def read_model_config(config: LumosTaskConfig) -> LumosConfig:
    """Returns the model's config: of the checkpoint `init_from`, under the file `model_config`, under `model`.

    Raises:
        ValueError: nothing says what model to train, or a file is missing.
    """
    fields: dict[str, Any] = {}
    folder = [Path(config.init_from) / "config.json"] if config.init_from else []
    for path in [*folder, *([Path(config.model_config)] if config.model_config else [])]:
        if not path.is_file():
            raise ValueError(f"the model's settings {path} do not exist; correct task.init_from or task.model_config")
        fields |= OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    fields |= config.model
    if not fields:
        raise ValueError("no model to train: set task.model_config (a file), task.model (fields) or task.init_from")
    return LumosConfig(**fields)


@torch.no_grad()
def fresh_weights(model: nn.Module, *, std: float, seed: int) -> None:
    """Returns nothing; fills every parameter: norm weights 1, biases 0, else N(0, std) from (seed, its name)."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif "norm" in name:
            parameter.fill_(1.0)
        else:
            generator = generator_for(seed, stream=name)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
