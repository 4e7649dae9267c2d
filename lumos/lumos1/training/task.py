"""AR-DF training as a task of the engine: clips in, masked sequences and the loss over masked codes out (README 8)."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lumos.hub.models import named_folder
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.model.attention import layout_of
from lumos.lumos1.model.lora import LoRAConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.training.code_rows import relate_codes
from lumos.lumos1.training.cost import BatchLoad, attended_pairs, training_flops
from lumos.lumos1.training.data_report import report_clips
from lumos.lumos1.training.initial_weights import fresh_weights, stored_weights
from lumos.lumos1.training.items.clip_stream import ClipStream
from lumos.lumos1.training.items.masked_batch import masked_batch, pad_batch, planned
from lumos.lumos1.training.items.packing import pack_batch
from lumos.lumos1.training.items.samples import Sample, draw_sample
from lumos.lumos1.training.model_settings import read_model_config
from lumos.lumos1.training.stream_report import report_stream
from lumos.lumos1.training.task_config import LumosTaskConfig
from lumos.lumos1.training.tokenizer_check import check_tokenizer
from lumos.lumos1.training.trained_clips import defaults_of_clips
from lumos.media.sets.data_fingerprint import fingerprint_of
from xllmx.kernels.flash import find_flash
from xllmx.lora import add_lora, init_lora, merge_lora, without_adapters
from xllmx.loss import LossOutput, chunked_cross_entropy
from xllmx.rng import generator_for, sample_generator
from xllmx.task import Prepared

__all__ = ["LumosTask", "LumosTaskConfig", "frame_losses"]


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
        """Return the model on the meta device; ValueError where its attention cannot be had."""
        if self.config.attention == "flash" and isinstance(reason := find_flash(), str):
            remedy = "pip install -e '.[flash]', or take task.attention=per_frame"
            raise ValueError(f"task.attention is 'flash', but flash-attn is not usable here ({reason}); {remedy}")
        with torch.device("meta"):
            model = LumosForCausalLM(self.model_config)
        return add_lora(model, self.lora) if self.lora else model

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Fill the model from `init_from`, its vocabulary grown where it is smaller, or with fresh weights."""
        model = _lumos(model).to_empty(device=device)
        generator = generator_for(seed, stream="weights")
        with without_adapters(model):
            if self.config.init_from is None:
                fresh_weights(model, generator=generator)
                if self.config.code_levels:
                    relate_codes(model, self.config.code_levels, generator=generator)
            else:
                stored_weights(model, named_folder(self.config.init_from), generator=generator)
        init_lora(model, generator=generator_for(seed, stream="lora"))

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the transformer blocks."""
        return list(_lumos(model).model.layers)

    def build_dataset(self, split: str) -> Mapping[str, ClipStream]:
        """Return the training streams, or for `eval` the held-out ones, whose text is never dropped.

        With several `eval_modes` there is one held-out stream for each, named `stream/mode`.
        """
        config = self.config
        if split == "train":
            modes, drop = config.ardf.modes, config.ardf.cfg_drop
            return {name: self._stream(name, path, modes=modes, cfg_drop=drop) for name, path in config.data.items()}
        return {
            stream: self._stream(name, config.eval_data[name], modes=(mode,), cfg_drop=0.0)
            for stream, (name, mode) in config.eval_streams.items()
        }

    def _stream(self, name: str, path: str, *, modes: tuple[str, ...], cfg_drop: float) -> ClipStream:
        clips, limit = ClipDataset(path, vocab=self.vocab), self.config.limit
        if not len(clips):
            raise ValueError(f"{path} holds no clip; its index.json or report.json says why rows were skipped")
        check_tokenizer(clips, self.vocab, path)
        report_clips(name, clips, init_from=self.config.init_from)
        stream = ClipStream(clips, modes=modes, cfg_drop=cfg_drop, limit=limit, vocab=self.vocab)
        report_stream(name, stream, limit=limit, model_length=self.model_config.max_position_embeddings)
        return stream

    def fingerprints(self) -> dict[str, str]:
        """Return a hash of the data of each training stream (`lumos.media.sets.data_fingerprint`)."""
        return {name: fingerprint_of(path) for name, path in self.config.data.items()}

    def generation_defaults(self, streams: Mapping[str, ClipStream]) -> dict[str, Any]:
        """Return size, length and rate of the clips of the training streams, as settings of generation."""
        return defaults_of_clips(streams)

    def collate(self, samples: list[Sample]) -> list[Sample]:
        """Return the samples as they are: what is random about them is drawn in `prepare`."""
        return samples

    def prepare(self, batch: list[Sample], generator: torch.Generator) -> Prepared:
        """Return the batch with its masks drawn, padded on the left or packed; see `masked_batch` and `planned`."""
        drawn = [
            draw_sample(sample, self.vocab, ardf=self.config.ardf, generator=sample_generator(generator, place))
            for place, sample in enumerate(batch)
        ]
        next_token, rotary = self.config.next_token_weight > 0, self.model_config.rotary
        make = partial(masked_batch, vocab=self.vocab, next_token=next_token, rotary=rotary)
        if self.config.packing:
            alone = [make(pad_batch([one], self.vocab)) for one in drawn]
            prepared = pack_batch(alone, self.config.packing, vocab=self.vocab)
        else:
            prepared = make(pad_batch(drawn, self.vocab))
        num_codes = len(prepared.inputs["scored"])
        rows = (prepared.num_targets - num_codes) * self.vocab.size  # of text, whose logits are of all ids
        load = BatchLoad(
            num_tokens=prepared.num_tokens,
            attended_pairs=attended_pairs(prepared.inputs["blocks"]),
            num_targets=num_codes + rows // self.vocab.num_codes,
        )
        flops = training_flops(self.model_config, load, frozen=self.lora is not None)
        return dataclasses.replace(planned(prepared), flops=flops)

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Return the cross entropy summed over the masked codes, among visual logits, and that of every frame.

        With `next_token_weight` also that of the text, which is reported as `text`.
        """
        inputs, config, model = prepared.inputs, self.config, _lumos(model)
        layout = layout_of(inputs["blocks"], backend=config.attention, plan=inputs["plan"])
        hidden = model.hidden(inputs["input_ids"], positions=inputs["positions"], blocks=layout)
        frames, in_order = inputs["frames"], self.vocab.code_table is None
        output = chunked_cross_entropy(
            hidden.flatten(0, 1)[inputs["scored"]],
            model.lm_head.weight if in_order else model.visual_weight,
            prepared.targets,
            classes=slice(self.vocab.code_base, self.vocab.code_base + self.vocab.num_codes) if in_order else None,
            chunk=config.loss_chunk,
            z_loss=self.model_config.z_loss_weight if config.z_loss_weight is None else config.z_loss_weight,
            focal_gamma=config.focal_gamma,
            target_weights=None if config.frame_decay == 1 else config.frame_decay**frames,
        )
        assert output.target_losses is not None
        per_frame = frame_losses(output.target_losses, frames, inputs["codes_of_frames"])
        saved = {"padding_saved": inputs["padding_saved"]} if "padding_saved" in inputs else {}
        output = dataclasses.replace(output, metrics={**output.metrics, **per_frame, **saved})
        return self._with_text(output, model, hidden, inputs) if "text_scored" in inputs else output

    def _with_text(
        self, output: LossOutput, model: LumosForCausalLM, hidden: Tensor, inputs: Mapping[str, Tensor]
    ) -> LossOutput:
        """Add the next-token loss on the text, over the whole vocabulary; a token of text is a target like a code."""
        rows, weight, chunk = hidden.flatten(0, 1)[inputs["text_scored"]], model.lm_head.weight, self.config.loss_chunk
        text = chunked_cross_entropy(rows, weight, inputs["text_ids"], chunk=chunk)
        return dataclasses.replace(
            output,
            sum=output.sum + self.config.next_token_weight * text.sum,
            count=output.count + text.count,
            metrics={**output.metrics, "text": text.metrics["ce"]},
        )

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the model as a folder that `LumosForCausalLM.from_pretrained` reads.

        Adapters are merged into a copy.
        """
        model = _lumos(model)
        (merge_lora(copy.deepcopy(model)) if self.lora else model).save_pretrained(folder)


def _lumos(model: nn.Module) -> LumosForCausalLM:
    assert isinstance(model, LumosForCausalLM)
    return model


def frame_losses(
    target_losses: Float[Tensor, "M"], frames: Int[Tensor, "M"], counts: Sequence[int]
) -> dict[str, tuple[Tensor, int]]:
    """Return `frame_{f}` -> (sum of the cross entropies, number of codes) of latent frame f (README 8.4).

    `frames` is the frame of each code, `counts` how many codes each frame has, counted where no device is waited for.
    """
    sums = target_losses.new_zeros(len(counts)).index_add_(0, frames, target_losses)
    return {f"frame_{index}": (sums[index], count) for index, count in enumerate(counts)}
