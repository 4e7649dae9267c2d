"""The visual tokenizer as it is used: a TorchScript encoder and a TorchScript decoder (lumos1/README.md, section 4)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from lumos.hub.hashes import check_hash
from lumos.tokenizer.answers import check_codes, check_pixels, run_half
from lumos.tokenizer.program.loading import load_program
from lumos.tokenizer.streaming import CarriedDecoding, DecodingStream, RepeatedDecoding, carries_state
from xllmx.finite import check_weights
from xllmx.settings.argument_types import checked_types
from xllmx.settings.setting import SettingError

ENCODER, DECODER = "encoder.jit", "decoder.jit"


class VisualTokenizer:
    """Video to codes and back; causal in time, so a long clip goes through in windows.

    A pair exported here carries `temporal_reach`, the number of earlier latent frames that a latent frame depends on;
    windows overlap by it and the result is exactly that of the whole clip. A pair without it (the released one) is run
    on whole clips.
    """

    spatial_factor = 8
    temporal_factor = 4

    def __init__(
        self,
        encoder: torch.jit.ScriptModule,
        decoder: torch.jit.ScriptModule,
        *,
        window: int = 24,
        source: Path = Path(),
    ) -> None:
        """Wrap a pair; `window` is the number of new latent frames of one call, `source` its folder, for errors."""
        if window < 1:
            raise ValueError(f"window={window} must be at least one latent frame")
        self._encoder, self._decoder, self._window = encoder, decoder, window
        self._source = source
        self._carries_state: bool | None = None
        """Whether the decoder's state can be carried; None: not looked at yet."""
        self._has_video = False
        """Whether it was found to decode video."""

    @classmethod
    @checked_types
    def from_pretrained(
        cls, folder: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> "VisualTokenizer":
        """The pair of a folder.

        Args:
            folder: holds `encoder.jit` and `decoder.jit`.
            device: where it runs.
            dtype: what it computes in; None keeps the file's own.

        Raises:
            ValueError: a file is missing or is not TorchScript.
        """
        halves = [_load(Path(folder) / name, torch.device(device), dtype) for name in (ENCODER, DECODER)]
        return cls(halves[0], halves[1], source=Path(folder))

    def to(self, device: str | torch.device) -> "VisualTokenizer":
        """Return itself, its weights moved: to rest elsewhere, for it works where it was loaded."""
        self._encoder.to(device)
        self._decoder.to(device)
        return self

    def loaded_on(self, device: torch.device) -> "VisualTokenizer":
        """Return the same pair, loaded anew to work on another device: a program may name its own."""
        return VisualTokenizer.from_pretrained(self._source, device=device)

    @checked_types
    @torch.inference_mode()
    def encode(self, video: Float[Tensor, "B 3 F Hpx Wpx"]) -> Int[Tensor, "B T H W"]:
        """Codes of videos in [-1, 1]; frames that do not fill the last latent frame are filled by repeating the last.

        Raises:
            ValueError: a height or width that is not a multiple of 8, or an encoder that gives no such codes.
        """
        *_, num_frames, height, width = video.shape
        if height % self.spatial_factor or width % self.spatial_factor:
            raise ValueError(f"video of {width}x{height} px: both sides must be multiples of {self.spatial_factor}")
        num_latent = -(-(num_frames - 1) // self.temporal_factor) + 1
        missing = 1 + self.temporal_factor * (num_latent - 1) - num_frames
        video = _repeat_last(video.to(*_placement(self._encoder)), missing)
        pieces = []
        for start, stop, first in _windows(num_latent, _reach(self._encoder), self._window):
            # A window's first frame is coded alone, unlike in the clip: one more latent frame of overlap absorbs it.
            first = max(0, first - 1)
            piece = video[:, :, self.temporal_factor * first : self.temporal_factor * (stop - 1) + 1]
            codes = run_half(self._encoder, piece, self._source / ENCODER)
            grid = (len(video), stop - first, height // self.spatial_factor, width // self.spatial_factor)
            check_codes(codes, grid)
            pieces.append(codes[:, start - first :].long())
        return torch.cat(pieces, dim=1)

    @checked_types
    @torch.inference_mode()
    def decode(self, codes: Int[Tensor, "B T H W"]) -> Float[Tensor, "B 3 F Hpx Wpx"]:
        """Videos of 1 + 4(T - 1) frames, fp32, about [-1, 1] (not clamped).

        Raises:
            ValueError: a decoder that gives no such pixels.
        """
        batch, _, height, width = codes.shape
        codes = codes.to(_placement(self._decoder)[0])
        pieces = []
        for start, stop, first in _windows(codes.shape[1], _overlap(self._decoder), self._window):
            piece = run_half(self._decoder, codes[:, first:stop], self._source / DECODER)
            num_frames = self.temporal_factor * (stop - first) - 3
            side = self.spatial_factor
            check_pixels(piece, (batch, 3, num_frames, side * height, side * width))
            piece = piece.float()
            new_frames = self.temporal_factor * (stop - start) - (3 if start == 0 else 0)
            pieces.append(piece[:, :, piece.shape[2] - new_frames :])
        return torch.cat(pieces, dim=2)

    def check_video(self, grid: tuple[int, int]) -> None:
        """Raise ValueError where it cannot decode video; tried once, on codes of zero in H rows and W columns."""
        if self._has_video:
            return
        try:
            self.decode(torch.zeros((1, 2, *grid), dtype=torch.long))
        except ValueError as error:
            frames = 1 + self.temporal_factor
            rule = f"2 latent frames are {frames} frames ({error}); choose a --model that can"
            raise ValueError(f"the visual tokenizer {self._source} cannot do video: {rule}") from error
        self._has_video = True

    @property
    def carries_state(self) -> bool:
        """Whether a clip is decoded latent frame by latent frame at no more cost than at once."""
        if self._carries_state is None:
            self._carries_state = carries_state(self._decoder)
        return self._carries_state

    def stream(self, *, window: int | None = None) -> DecodingStream:
        """A new clip's decoding, latent frame by latent frame: `codes [B, 1, H, W]` -> the frames they finish.

        The frames are those of the whole clip. A pair that cannot carry its state, as the released one, decodes all
        latent frames again each time; with `window` only so many before the new one, which takes bounded time and
        memory, and gives slightly other frames. Where the pair says how far it looks back, no more is decoded anyway.

        Raises:
            ValueError: a window below 1.
        """
        if window is not None and window < 1:
            raise SettingError("decode_window", f"is {window}; it must be at least 1 latent frame, or left out")
        place = self._source / DECODER
        if self.carries_state:
            return CarriedDecoding(self._decoder, place)
        known = [frames for frames in (window, _overlap(self._decoder)) if frames is not None]
        return RepeatedDecoding(self._decoder, place, history=min(known) if known else None)


def decoding_bytes(num_latent: int, height: int, width: int) -> int:
    """Return the bytes that decoding so many latent frames of H x W codes takes at least by the released pair.

    Its last level has 256 channels at a quarter of the sides; a convolution of it reads one such tensor and writes one,
    in bf16 here. The pixels are fp32.
    """
    inside = 2 * num_latent * (2 * height) * (2 * width) * 256 * torch.bfloat16.itemsize
    pixels = (4 * num_latent - 3) * (8 * height) * (8 * width) * 3 * torch.float32.itemsize
    return inside + pixels


def _windows(num_latent: int, reach: int | None, window: int) -> list[tuple[int, int, int]]:
    """(start, stop, first) of each window: it yields latent frames [start, stop) and reads from `first` on.

    >>> _windows(5, 1, 2)
    [(0, 2, 0), (2, 4, 1), (4, 5, 3)]
    """
    if reach is None:
        return [(0, num_latent, 0)]
    starts = range(0, num_latent, window)
    return [(start, min(start + window, num_latent), max(0, start - reach)) for start in starts]


def _reach(half: torch.jit.ScriptModule) -> int | None:
    if not hasattr(half, "temporal_reach"):
        return None
    if type(half.temporal_reach) is not int or half.temporal_reach < 0:
        raise ValueError(f"the visual tokenizer says temporal_reach {half.temporal_reach}; it must be 0 or more")
    return half.temporal_reach


def _overlap(decoder: torch.jit.ScriptModule) -> int | None:
    """Latent frames that are decoded again before new ones: one at least, as the first of all gives but one frame."""
    reach = _reach(decoder)
    return None if reach is None else max(1, reach)


def _placement(half: torch.jit.ScriptModule) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of a half; one without weights takes fp32 on the CPU."""
    for tensor in (*half.parameters(), *half.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.float32


def _repeat_last(video: Float[Tensor, "B 3 F Hpx Wpx"], times: int) -> Float[Tensor, "B 3 G Hpx Wpx"]:
    if not times:
        return video
    flat = rearrange(video, "b c f h w -> b (c h w) f")
    padded = F.pad(flat, (0, times), mode="replicate")
    return rearrange(padded, "b (c h w) f -> b c f h w", c=3, h=video.shape[-2])


def _load(path: Path, device: torch.device, dtype: torch.dtype | None) -> torch.jit.ScriptModule:
    if not path.is_file():
        raise ValueError(f"visual tokenizer {path} is missing: `lumos download Cosmos-Tokenizer-DV4x8x8` brings it")
    check_hash(path)
    try:
        half = load_program(path, device).eval()
    except ValueError as error:
        remedy = "download it again, or ask whoever made it for one that only computes"
        raise ValueError(f"{path} is not a TorchScript file of a tokenizer: {error}; {remedy}") from error
    half = half.to(dtype) if dtype is not None else half
    floats = {name: tensor for name, tensor in half.state_dict().items() if tensor.is_floating_point()}
    check_weights(floats, path, remedy="download it again")
    return half
