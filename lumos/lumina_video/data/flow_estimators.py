"""Estimators of optical flow: DIS of OpenCV, which needs no weights, and UniMatch, which the release scored with.

The package of the second is optional (`pip install "lumos-open[motion]"`); both are imported when one is made.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lumos.lumina_video.checkpoint.tensor_files import check_shapes
from lumos.lumina_video.data.motion import FlowEstimator
from xllmx.safe.torch_archive import check_torch_file

DIS_PRESETS = {"dis": "MEDIUM", "dis-fast": "FAST"}
"""Estimator -> preset of OpenCV; the fast one takes a quarter of the time and is off by at most 4 % where the other is
off by 1 % (shifted textures); very fast motion it underrates more."""

ESTIMATORS = (*DIS_PRESETS, "unimatch")
"""Names of estimators; a record says the one that scored it."""

_UNIMATCH = "unimatch_sc2_ref6"
"""In ptlflow, the network of 2 scales and 6 refinements: 152 tensors of the names and shapes of the released one."""


class DISFlow:
    """Dense inverse search (arXiv 1603.03590) on grey pictures, as OpenCV has it."""

    def __init__(self, name: str = "dis") -> None:
        """Take a preset of `DIS_PRESETS`.

        Raises:
            ValueError: OpenCV is not installed.
        """
        self.name = name
        cv2 = _module("cv2", "opencv-python-headless")
        self._search = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{DIS_PRESETS[name]}"))

    def flow(self, a: Float[Tensor, "n 3 H W"], b: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n 2 H W"]:
        """Pixels (x, y) by which each point of `a` has moved in `b`."""
        found = [self._search.calc(_grey(one), _grey(two), None) for one, two in zip(a, b, strict=True)]
        return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


def _grey(picture: Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W"]:
    """Brightness as OpenCV has it (ITU-R BT.601)."""
    grey = torch.tensordot(torch.tensor([0.299, 0.587, 0.114]), picture, dims=1)
    return grey.round_().clamp_(0, 255).byte().numpy()


class UniMatchFlow:
    """UniMatch (arXiv 2211.05783) of ptlflow, which takes pictures in the order blue, green, red."""

    name = "unimatch"

    def __init__(self, network: nn.Module, *, device: str = "cpu") -> None:
        """Take a network that is called with {"images": [n, 2, 3, H, W]} and gives {"flows": [n, 1, 2, H, W]}.

        Images are BGR in [0, 1].
        """
        self._network, self._device = network.eval().requires_grad_(False).to(device), device

    @classmethod
    def from_file(cls, weights: str | Path, *, device: str = "cpu") -> "UniMatchFlow":
        """Load released weights (a file of torch or safetensors) into the network of ptlflow.

        Raises:
            ValueError: ptlflow is not installed, or the file is missing, damaged or of another network.
        """
        network = _module("ptlflow", "ptlflow").get_model(_UNIMATCH)
        tensors = _released_tensors(Path(weights))
        check_shapes(network, {name: tuple(value.shape) for name, value in tensors.items()}, source=Path(weights))
        network.load_state_dict(tensors)
        return cls(network.float(), device=device)

    @torch.no_grad()
    def flow(self, a: Float[Tensor, "n 3 H W"], b: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n 2 H W"]:
        """Pixels (x, y) by which each point of `a` has moved in `b`; pair by pair, to keep within memory."""
        flows = []
        for one, two in zip(a, b, strict=True):
            images = torch.stack([one, two])[None].flip(2) / 255
            flows.append(self._network({"images": images.to(self._device)})["flows"][:, 0].float().cpu())
        return torch.cat(flows)


def estimator_named(name: str, *, weights: str | Path | None = None, device: str = "cpu") -> FlowEstimator:
    """Return the estimator of a name of `ESTIMATORS`.

    Raises:
        ValueError: its package is missing, or its weights are.
    """
    if name in DIS_PRESETS:
        if weights is not None:
            raise ValueError(f"--weights {weights}: {name} needs none; leave it out, or give --estimator unimatch")
        return DISFlow(name)
    if weights is None:
        raise ValueError("--estimator unimatch needs --weights, the file of its released weights; or give dis")
    return UniMatchFlow.from_file(weights, device=device)


def _released_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file of torch, which may stand under the name `model` in it."""
    remedy = "give the released weights of UniMatch, of 2 scales and 6 refinements"
    if not file.is_file():
        raise ValueError(f"--weights {file}: no such file; {remedy}")
    try:
        check_torch_file(file)
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes may raise anything
        raise ValueError(f"--weights {file}: no file of plain weights ({_first_line(error)}); {remedy}") from error
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError(f"--weights {file}: it does not map names to tensors; {remedy}")
    return dict(tensors)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _module(name: str, distribution: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"{name} cannot be imported ({error}); run: pip install {distribution}") from error
