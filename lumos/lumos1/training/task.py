"""AR-DF training as a task of the engine: clips in, masked sequences and the loss over masked codes out (SPEC §8)."""

import copy
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from yaml import YAMLError

from lumos.hub.models import RELEASED
from lumos.lumos1.config import ARDFConfig, LumosConfig, check_types, said_of
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.model.attention import BACKENDS
from lumos.lumos1.model.lora import LoRAConfig, add_lora, init_lora, merge_lora, without_adapters
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.training.code_rows import relate_codes
from lumos.lumos1.training.cost import BatchLoad, attended_pairs, training_flops
from lumos.lumos1.training.initial_weights import fresh_weights, stored_weights
from lumos.lumos1.training.packing import pack_batch
from lumos.lumos1.training.samples import (
    ClipStream,
    LengthLimit,
    Sample,
    check_vocabulary,
    draw_sample,
    masked_batch,
    pad_batch,
)
from lumos.tokenizer.vocab import Vocab
from xllmx.loss import LossOutput, chunked_cross_entropy
from xllmx.ranks.distributed import is_main
from xllmx.rng import generator_for, sample_generator
from xllmx.setting import suggestion
from xllmx.task import Prepared

_LOG = logging.getLogger(__name__)


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
    code_levels: tuple[int, ...] = ()
    """FSQ levels of the visual tokenizer: fresh rows of near codes then start near each other; empty is independent."""
    ardf: ARDFConfig = field(default_factory=ARDFConfig)
    """How clips are masked."""
    duration_s: int | None = None
    """Clips longer than this are cut to it; None trains on whole clips."""
    max_length: int = 65536
    """Longest sequence in tokens, after the cut to `duration_s`."""
    too_long: str = "error"
    """A clip that is longer still: `error`, `cut` (its last seconds are left out) or `drop`; both are counted."""
    packing: int = 0
    """Samples of a batch stand one after the other in rows of up to so many tokens; 0 pads each to the longest."""
    z_loss_weight: float | None = None
    """Weight of mean(logsumexp^2) over the visual logits; None takes the one in the model's config."""
    focal_gamma: float = 0.0
    """Exponent of the focal loss (an ablation, 2 in the paper); 0 is cross entropy."""
    frame_decay: float = 1.0
    """Codes of frame f weigh frame_decay^f in the loss (an ablation); 1 weighs all alike."""
    loss_chunk: int | None = None
    """Rows of logits in memory at a time; None chooses by device."""
    attention: str = "per_frame"
    """`per_frame` (fused kernels, frame by frame), `flex` (FlexAttention; on GPUs) or `mask` (the literal rule)."""

    def __post_init__(self) -> None:
        if self.duration_s is not None and self.duration_s < 1:
            raise ValueError(f"duration_s is {self.duration_s}; give whole seconds, 1 or more, or leave it unset")
        if not 0 < self.frame_decay <= 1:
            raise ValueError(f"frame_decay is {self.frame_decay}; it must lie in (0, 1], and 1 switches it off")
        if self.packing < 0:
            raise ValueError(f"packing is {self.packing}; give the tokens of a row, or 0 to pad instead")
        if self.attention not in BACKENDS:
            raise ValueError(f"task.attention is {self.attention!r}; choose one of {', '.join(BACKENDS)}")
        _ = self.limit
        ARDFConfig(modes=self.eval_modes)

    @property
    def limit(self) -> LengthLimit:
        """The longest clip and sequence."""
        return LengthLimit(max_length=self.max_length, duration_s=self.duration_s, action=self.too_long)


class LumosTask:
    """The `TrainTask` of Lumos-1: AR-DF on clips."""

    entered_by = ("hidden",)

    def __init__(self, config: LumosTaskConfig, *, lora: LoRAConfig | None = None) -> None:
        """`lora` with a rank trains adapters instead of the weights."""
        self.config = config
        self.lora = lora if lora is not None and lora.rank else None
        self.model_config = read_model_config(config)
        self.vocab = self.model_config.vocabulary

    def build_model(self) -> LumosForCausalLM:
        """Returns the model on the meta device."""
        with torch.device("meta"):
            model = LumosForCausalLM(self.model_config)
        return add_lora(model, self.lora) if self.lora else model

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Returns nothing; fills the model from `init_from`, its vocabulary grown where it is smaller, or afresh."""
        model = _lumos(model).to_empty(device=device)
        generator = generator_for(seed, stream="weights")
        with without_adapters(model):
            if self.config.init_from is None:
                fresh_weights(model, generator=generator)
                if self.config.code_levels:
                    relate_codes(model, self.config.code_levels, generator=generator)
            else:
                stored_weights(model, self.config.init_from, generator=generator)
        init_lora(model, generator=generator_for(seed, stream="lora"))

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Returns the transformer blocks."""
        return list(_lumos(model).model.layers)

    def build_dataset(self, split: str) -> Mapping[str, ClipStream]:
        """Returns the training streams, or for `eval` the held-out ones, whose text is never dropped.

        With several `eval_modes` there is one held-out stream for each, named `stream/mode`.
        """
        config = self.config
        if split == "train":
            modes, drop = config.ardf.modes, config.ardf.cfg_drop
            return {name: self._stream(name, path, modes=modes, cfg_drop=drop) for name, path in config.data.items()}
        several = len(config.eval_modes) > 1
        return {
            f"{name}/{mode}" if several else name: self._stream(name, path, modes=(mode,), cfg_drop=0.0)
            for name, path in config.eval_data.items()
            for mode in config.eval_modes
        }

    def _stream(self, name: str, path: str, *, modes: tuple[str, ...], cfg_drop: float) -> ClipStream:
        clips = ClipDataset(path, vocab=self.vocab)
        check_tokenizer(clips, self.vocab, path)
        stream = ClipStream(
            clips,
            name=name,
            modes=modes,
            cfg_drop=cfg_drop,
            limit=self.config.limit,
            vocab=self.vocab,
        )
        most, longest = self.model_config.max_position_embeddings, max(stream.lengths, default=0)
        if longest > most and is_main():
            remedy = f"task.max_length={most} task.too_long=drop leaves them out"
            _LOG.warning(
                "stream %s: clips of up to %d tokens, the model is made for %d; %s", name, longest, most, remedy
            )
        return stream

    def collate(self, samples: list[Sample]) -> list[Sample]:
        """Returns the samples: what is drawn from them is drawn in `prepare`."""
        return samples

    def prepare(self, batch: list[Sample], generator: torch.Generator) -> Prepared:
        """Returns the batch with its masks drawn, padded on the left or packed.

        Inputs: `input_ids`, `positions`, `blocks`; `rows`, the flat indices of the masked codes; `frames`, the latent
        frame of each. Targets: the masked codes.
        """
        drawn = [
            draw_sample(sample, self.vocab, ardf=self.config.ardf, generator=sample_generator(generator, place))
            for place, sample in enumerate(batch)
        ]
        if self.config.packing:
            alone = [masked_batch(ids[None], mask[None], vocab=self.vocab) for ids, mask in drawn]
            prepared = pack_batch(alone, self.config.packing, vocab=self.vocab)
        else:
            prepared = masked_batch(*pad_batch(drawn, self.vocab), vocab=self.vocab)
        load = BatchLoad(
            num_tokens=prepared.num_tokens,
            attended_pairs=attended_pairs(prepared.inputs["blocks"]),
            num_targets=prepared.num_targets,
        )
        return dataclasses.replace(
            prepared, flops=training_flops(self.model_config, load, frozen=self.lora is not None)
        )

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Returns the cross entropy summed over the masked codes, among visual logits, and that of every frame."""
        inputs, config, model = prepared.inputs, self.config, _lumos(model)
        positions, blocks = inputs["positions"], inputs["blocks"]
        hidden = model.hidden(inputs["input_ids"], positions=positions, blocks=blocks, backend=config.attention)
        frames, in_order = inputs["frames"], self.vocab.code_table is None
        output = chunked_cross_entropy(
            hidden.flatten(0, 1)[inputs["rows"]],
            model.lm_head.weight if in_order else model.visual_weight,
            prepared.targets,
            classes=slice(self.vocab.code_base, self.vocab.code_base + self.vocab.num_codes) if in_order else None,
            chunk=config.loss_chunk,
            z_loss=self.model_config.z_loss_weight if config.z_loss_weight is None else config.z_loss_weight,
            focal_gamma=config.focal_gamma,
            row_weights=None if config.frame_decay == 1 else config.frame_decay**frames,
        )
        assert output.row_losses is not None
        per_frame = frame_losses(output.row_losses, frames, inputs["num_frames"])
        saved = {"padding_saved": inputs["padding_saved"]} if "padding_saved" in inputs else {}
        return dataclasses.replace(output, metrics={**output.metrics, **per_frame, **saved})

    def export(self, model: nn.Module, folder: Path) -> None:
        """Returns nothing; writes the model as a folder that `LumosForCausalLM.from_pretrained` reads.

        Adapters are merged into a copy.
        """
        model = _lumos(model)
        (merge_lora(copy.deepcopy(model)) if self.lora else model).save_pretrained(folder)


def _lumos(model: nn.Module) -> LumosForCausalLM:
    assert isinstance(model, LumosForCausalLM)
    return model


def check_tokenizer(clips: ClipDataset, vocab: Vocab, path: str) -> None:
    """Raises ValueError where clips of a set were coded with another tokenizer: the first, middle and last are read."""
    for index in sorted({0, len(clips) // 2, len(clips) - 1} & set(range(len(clips)))):
        try:
            clip = clips[index]
        except ValueError:  # a broken sample, which training reports and replaces
            continue
        try:
            check_vocabulary(clip, vocab)
        except ValueError as error:
            raise ValueError(
                f"{path} was made with another tokenizer than this model's: {error}; tokenize it again with the model's"
            ) from error


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
        ValueError: nothing says what model to train, or a file is missing (with the command that brings it).
    """
    fields: dict[str, Any] = {}
    folder = [Path(config.init_from) / "config.json"] if config.init_from else []
    for path in [*folder, *([Path(config.model_config)] if config.model_config else [])]:
        if not path.is_file():
            raise ValueError(f"the model's settings {path} do not exist; {_remedy(path)}")
        fields |= _settings_in(path)
    _require_known(config.model, "task.model")
    fields |= config.model
    if not fields:
        raise ValueError("no model to train: set task.model_config (a file), task.model (fields) or task.init_from")
    sources = [config.init_from, config.model_config, "task.model" if config.model else None]
    with said_of(f"the model of {', '.join(filter(None, sources))}"):
        check_types(fields)
        if fields.get("vocab") is None:  # a text model starts with the vocabulary it is to grow to
            fields["vocab_size"] = max(fields.get("vocab_size", 0), Vocab().size)
        return LumosConfig(**fields)


def _settings_in(path: Path) -> dict[str, Any]:
    """The model's settings in a file, `config.json` or YAML; ValueError that names the file if it holds others."""
    remedy = "correct task.init_from or task.model_config; such a file is for example configs/model/1B.yaml"
    try:
        found = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} is neither JSON nor YAML ({' '.join(str(error).split())}); {remedy}") from error
    known = LumosConfig().to_dict()
    if not isinstance(found, dict) or not found.keys() & known.keys():
        raise ValueError(f"{path} holds no settings of a model; {remedy}")
    if path.suffix != ".json":  # config.json keeps fields that only the original needs
        _require_known(found, str(path))
    return cast(dict[str, Any], found)


def _require_known(fields: Mapping[Any, Any], where: str) -> None:
    known = LumosConfig().to_dict()
    for name in map(str, fields.keys() - known.keys()):
        raise ValueError(f"{where}: unknown model setting {name}; {suggestion(name, known)}")


def _remedy(missing: Path) -> str:
    name = missing.parent.as_posix().removeprefix("ckpts/")
    if name in RELEASED:
        size = f"configs/model/{name.partition('/')[0]}.yaml"
        return f"run: lumos download {name} (a --dry-run does with task.init_from=null task.model_config={size})"
    if not missing.is_absolute() and (Path("ckpts") / name).is_dir():
        return f"give the folder: task.init_from=ckpts/{name}"
    return "correct task.init_from or task.model_config"
