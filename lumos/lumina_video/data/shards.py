"""Clips of latents in Parquet files, one a row (`lumos.media.shards.parquet_rows`); each file says which VAE made them.

folder/shard-00000.parquet    in its footer, the VAE
folder/index.json             written last: the shards, and the VAE
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lumos.lumina_video.data.latents import LatentClip, VAEIdentity, check_finite
from lumos.lumina_video.data.recorded_shapes import INDEX_FORMAT
from lumos.lumina_video.data.recorded_shapes import SHAPE_COLUMNS as SHAPE_COLUMNS
from lumos.lumina_video.data.recorded_shapes import VAE_KEY as VAE_KEY
from lumos.media.shards.known_shards import KnownShards
from lumos.media.shards.parquet_rows import ParquetRows, RowForm, UnreadableShardError, rows_metadata, write_rows
from lumos.media.shards.shard_bounds import check_not_empty
from lumos.media.shards.shard_writer import SHARD_SIZE, ShardWriter
from xllmx.safe.json_text import parse_json
from xllmx.store.address import Location

LATENTS = RowForm(
    what="latents",
    index_format=INDEX_FORMAT,
    schema=pa.schema(
        [
            ("caption", pa.string()),
            ("latent", pa.large_binary()),  # bfloat16, little-endian, [C, T, H, W] row-major
            ("C", pa.int32()),
            ("T", pa.int32()),
            ("H", pa.int32()),
            ("W", pa.int32()),
            ("lead", pa.int32()),
            ("motion", pa.float32()),  # -1: unknown
            ("fps", pa.float64()),  # null: unknown
            ("seconds", pa.float64()),
            ("source", pa.string()),
        ]
    ),
    large_column="latent",
    shape_columns=SHAPE_COLUMNS,
    compression="none",
    may_be_empty=("fps",),
    unknown_column="motion",
    remedy=(
        "pre-tokenise with a larger --size, or with the released --vae ckpts/THUDM/CogVideoX-2b/vae "
        "(lumos download THUDM/CogVideoX-2b/vae), and train a model of its latents"
    ),
)
"""The columns of a clip. Latents are noise to a compressor; as they are, they are mapped."""


def write_latent_shard(
    path: str | Location, clips: Sequence[LatentClip], *, vae: VAEIdentity, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `clips` (none is allowed) as one Parquet file, whole or not at all; `metadata` is kept in its footer.

    Raises:
        ValueError: a latent is not finite or has other channels than those of `vae`, or the disk refuses.
    """
    for clip in clips:
        try:
            check_finite(clip.latent)
        except ValueError as error:
            raise ValueError(f"{clip.source}: {error}; encode it in float32") from error
        vae.require(replace(vae, channels=clip.latent.shape[0]), said_by=clip.source)
    write_rows(path, map(_row, clips), form=LATENTS, metadata={**(metadata or {}), VAE_KEY: json.dumps(asdict(vae))})


def shard_vae(path: str | Location) -> VAEIdentity:
    """Which VAE made the latents of a shard. Raises `ValueError` for a file that does not say it."""
    try:
        return VAEIdentity.from_dict(parse_json(rows_metadata(path, form=LATENTS).get(VAE_KEY, "null"), VAE_KEY))
    except UnreadableShardError:
        raise
    except ValueError as error:
        raise UnreadableShardError(f"{path}: not a readable shard of latents ({error}); make it again") from error


class LatentShards(ParquetRows):
    """The clips of several Parquet files as one sequence of `LatentClip`."""

    vae: VAEIdentity | None
    """Which VAE made them; None of no files at all."""

    def __init__(self, files: Sequence[Location] | KnownShards) -> None:
        """Open shards of one VAE.

        Raises:
            ValueError: one is damaged or is no shard of latents, or two are of different VAEs.
        """
        super().__init__(files, form=LATENTS)
        if isinstance(files, KnownShards) and "vae" in files.said:
            try:
                self.vae = VAEIdentity.from_dict(files.said["vae"])
            except ValueError as error:
                raise ValueError(f"the index of {self._files[0].parent}: {error}; write it again") from error
            return
        made_by = [(path, shard_vae(path)) for path in self._files]
        self.vae = made_by[0][1] if made_by else None
        for path, vae in made_by[1:]:
            assert self.vae is not None
            self.vae = self.vae.require(vae, said_by=path)

    @property
    def lengths(self) -> np.ndarray:
        """Int64 [N]: latent positions (frames x rows x columns) of each clip that training may take, without a lead."""
        _, T, H, W, lead = self.shapes.T
        return (T - lead) * H * W

    @cached_property
    def motion(self) -> np.ndarray:
        """Float32 [N]: the motion score of each clip, -1 where it is unknown."""
        return self.column("motion").astype(np.float32)

    def __getitem__(self, index: int) -> LatentClip:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        with self.row(index % len(self)) as values:
            return _clip(values)


class LatentWriter(ShardWriter[LatentClip]):
    """Writes clips of latents into a folder, as `shard-00000.parquet` and so on, and `index.json` last."""

    def __init__(self, folder: str | Location, *, vae: VAEIdentity, shard_size: int = SHARD_SIZE) -> None:
        write = partial(write_latent_shard, vae=vae)
        super().__init__(folder, write=write, form=LATENTS, shard_size=shard_size, more={"vae": asdict(vae)})


def _row(clip: LatentClip) -> dict[str, Any]:
    C, T, H, W = clip.latent.shape
    bits = clip.latent.detach().cpu().contiguous().view(torch.int16).numpy()
    return {
        "caption": clip.caption,
        "latent": bits.astype("<i2").tobytes(),
        "C": C,
        "T": T,
        "H": H,
        "W": W,
        "lead": clip.lead,
        "motion": clip.motion,
        "fps": clip.fps,
        "seconds": clip.seconds,
        "source": clip.source,
    }


def _clip(values: Mapping[str, Any]) -> LatentClip:
    shape = tuple(values[name].as_py() for name in ("C", "T", "H", "W"))
    check_not_empty(shape)
    bits = np.frombuffer(values["latent"].as_buffer(), dtype="<i2").reshape(shape).astype(np.int16)
    latent = torch.from_numpy(bits).view(torch.bfloat16)
    check_finite(latent)
    plain = {name: values[name].as_py() for name in ("caption", "lead", "source")}
    fps, seconds, motion = (values[name].as_py() for name in ("fps", "seconds", "motion"))
    known_fps = None if fps is None else float(fps)
    return LatentClip(latent=latent, **plain, fps=known_fps, seconds=float(seconds), motion=float(motion))
