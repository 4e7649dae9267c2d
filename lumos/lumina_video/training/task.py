"""Training of Lumina-Video as a task of the engine: latents in, the loss of the velocity out (README section 6)."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lumos.lumina_video.checkpoint.weights import save_dit
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.training.initial_weights import fresh_weights, stored_weights
from lumos.lumina_video.training.items.clip_files import ClipFiles, ClipSample
from lumos.lumina_video.training.items.data_report import looked_up_motion, report_latents, report_motion
from lumos.lumina_video.training.items.encoders import FrozenEncoders, require_vae
from lumos.lumina_video.training.items.file_lists import is_file_list
from lumos.lumina_video.training.items.image_files import ImageFiles, ImageSample
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.items.one_vae import OneVAE
from lumos.lumina_video.training.items.prepared_batch import prepare_items
from lumos.lumina_video.training.items.samples import Sample, draw_item
from lumos.lumina_video.training.lora import LoRAConfig
from lumos.lumina_video.training.loss import velocity_loss
from lumos.lumina_video.training.model_settings import read_model_config, with_parts
from lumos.lumina_video.training.stated_model import check_scales
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig, ScaleTask
from lumos.lumina_video.training.time_bins import binned_means
from lumos.lumina_video.training.trained_clips import defaults_of_clips
from lumos.media.sets.data_fingerprint import fingerprint_of
from xllmx.lora import add_lora, init_lora, merge_lora, without_adapters
from xllmx.loss import LossOutput
from xllmx.rng import generator_for, sample_generator
from xllmx.task import Prepared

__all__ = ["LuminaVideoTask", "LuminaVideoTaskConfig", "ScaleTask"]

AnyData = LatentStream | ImageFiles | ClipFiles
AnySample = Sample | ImageSample | ClipSample


class LuminaVideoTask:
    """The `TrainTask` of Lumina-Video: rectified flow on latents, each stream at its scale."""

    def __init__(self, config: LuminaVideoTaskConfig, *, lora: LoRAConfig | None = None) -> None:
        """`lora` with a rank trains adapters instead of the weights."""
        config.check_data()
        self.config = config = with_parts(config)
        self.lora = lora if lora is not None and lora.rank else None
        self.model_config = read_model_config(config)
        check_scales(config, self.model_config)
        self._encoders = FrozenEncoders(config, width=self.model_config.cap_feat_dim)
        self._vae = OneVAE(config.vae)

    def build_model(self) -> MultiScaleNextDiT:
        """Return the model on the meta device."""
        with torch.device("meta"):
            model = MultiScaleNextDiT(self.model_config, attention_backend=self.config.attention)
        if self.lora:
            add_lora(model, self.lora)
        return model

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Fill the model with fresh weights, and over them what fits of `init_from`."""
        model.to_empty(device=device)
        self._encoders.device = torch.device("cuda") if torch.cuda.is_available() and device.type == "cuda" else device
        with without_adapters(model):
            fresh_weights(model, generator=generator_for(seed, stream="weights"))
            if self.config.init_from is not None:
                stored_weights(model, self.config.init_from)
        init_lora(model, generator=generator_for(seed, stream="lora"))

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the blocks."""
        assert isinstance(model, MultiScaleNextDiT)
        return list(model.layers)

    def build_dataset(self, split: str) -> Mapping[str, AnyData]:
        """Return a stream for each task, or for `eval` for each held-out one, whose text and motion are always said."""
        held_out = split != "train"
        tasks = self.config.eval_tasks if held_out else self.config.tasks
        return {name: self._stream(name, task, held_out=held_out) for name, task in tasks.items()}

    def _stream(self, name: str, task: ScaleTask, *, held_out: bool) -> AnyData:
        if is_file_list(task):
            channels = self.model_config.in_channels
            require_vae(self.config.vae, name, media_type=task.media_type, channels=channels)
            if task.media_type == "video":
                return ClipFiles(name, task, vae=self._vae.compression, held_out=held_out)
            return ImageFiles(task, held_out=held_out)
        latents = LatentSet(task.data)
        self._vae.require(latents.vae, said_by=task.data)
        report_latents(name, latents, init_from=self.config.init_from)
        if task.media_type == "video":
            report_motion(f"task {name}", looked_up_motion(latents), total=len(latents), is_list=False)
        return LatentStream(name, latents, task, model=self.model_config, held_out=held_out)

    def fingerprints(self) -> dict[str, str]:
        """Return a hash of the data of each training stream (`lumos.media.sets.data_fingerprint`)."""
        return {name: fingerprint_of(task.data) for name, task in self.config.tasks.items()}

    def generation_defaults(self, streams: Mapping[str, AnyData]) -> dict[str, Any]:
        """Return size, length and rate of the clips of the training streams, as settings of generation."""
        return defaults_of_clips(self.config.tasks, streams, vae=self._vae.compression)

    def collate(self, samples: list[AnySample]) -> list[AnySample]:
        """Return the samples as they are: what is random about them is drawn in `prepare`."""
        return samples

    def prepare(self, batch: list[AnySample], generator: torch.Generator) -> Prepared:
        """Return the batch with everything drawn; `prepare_items` says what is in it."""
        items = [
            draw_item(self._encoders.encoded(sample), self.config, generator=sample_generator(generator, place))
            for place, sample in enumerate(batch)
        ]
        features, mask = self._encoders.features([item.caption for item in items])
        return prepare_items(items, batch[0].task, text=features, text_mask=mask, model=self.model_config)

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Return the loss summed over the items, and loss, mse and cosine term by time."""
        inputs, targets = prepared.inputs, prepared.targets
        velocity = model(
            inputs["noisy"], inputs["t"], inputs["text"], inputs["text_spans"], inputs["motion"], scale=inputs["scale"]
        )
        terms = [
            velocity_loss(
                v, noise, latents,
                cosine_weight=self.config.cosine_weight, first_frame_only=inputs["first_frame_only"],
            )
            for v, noise, latents in zip(velocity, targets["noise"], targets["latents"], strict=True)
        ]  # fmt: skip
        losses, mse, cosine = (torch.stack(parts) for parts in zip(*terms, strict=True))
        by_name = {"loss": losses.detach(), "mse": mse.detach(), "cosine": cosine.detach()}
        metrics = binned_means(by_name, inputs["bins"])
        del metrics["loss"]  # the engine's own
        return LossOutput(sum=losses.sum(), count=len(terms), metrics=metrics)

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write the network as `load_dit` reads it; adapters are merged into a copy."""
        assert isinstance(model, MultiScaleNextDiT)
        save_dit(merge_lora(copy.deepcopy(model)) if self.lora else model, folder)
