"""The settings of Lumos-1's training task: what is trained, on what, and with which loss."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lumos.lumos1.ardf_config import ARDFConfig
from lumos.lumos1.attention_backends import BACKENDS
from lumos.media.sets.listed_path import in_home
from xllmx.settings.number_range import COUNT, Range, check_numbers

if TYPE_CHECKING:
    from lumos.lumos1.training.items.length_limit import LengthLimit

TOO_LONG = ("error", "cut", "drop")


def check_too_long(action: str) -> None:
    """Raise ValueError for what is none of `TOO_LONG`."""
    if action not in TOO_LONG:
        raise ValueError(f"task.too_long is {action!r}; it must be one of {', '.join(TOO_LONG)}")


"""What may become of a clip longer than the longest sequence."""


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
    """Model to start from, its config included: a folder, or a name as `--model` takes it; None starts from fresh
    weights."""
    code_levels: tuple[Annotated[int, Range(2, 65_536)], ...] = ()
    """FSQ levels of the visual tokenizer, so that fresh rows of similar codes start similar; empty draws them alone."""
    ardf: ARDFConfig = field(default_factory=ARDFConfig)
    """How clips are masked."""
    duration_s: Annotated[int, COUNT] | None = None
    """Clips longer than this are cut to it; None trains on whole clips."""
    max_length: Annotated[int, COUNT] = 65536
    """Longest sequence in tokens, after the cut to `duration_s`."""
    too_long: str = "error"
    """What becomes of a longer clip: `error`, `cut` (its last seconds are left out) or `drop`; both are counted.
    An `error` is said before the first step, as far as shards or a record say how long the clips are."""
    packing: int = 0
    """Tokens of a row into which several samples of a batch are packed; 0 pads each sample to the longest."""
    z_loss_weight: Annotated[float, Range(0, 1000)] | None = None
    """Weight of mean(logsumexp^2) over the visual logits; None takes the one in the model's config."""
    focal_gamma: Annotated[float, Range(0, 1000)] = 0.0
    """Exponent of the focal loss (an ablation, 2 in the paper); 0 is cross entropy."""
    frame_decay: Annotated[float, Range(0, 1, above=True)] = 1.0
    """Codes of frame f weigh frame_decay^f in the loss (an ablation); 1 weighs all alike."""
    next_token_weight: Annotated[float, Range(0, 1000)] = 0.0
    """Weight of the next-token loss on the text: at every token of the prompt but the last, the cross entropy of the
    one after it, among all ids. A token of text counts as a target like a masked code, its loss this much. 0: none, as
    in the released recipes (--no_ntp_loss)."""
    loss_chunk: Annotated[int, COUNT] | None = None
    """Rows of logits in memory at a time; None chooses by device."""
    attention: str = "per_frame"
    """`per_frame` (fused kernels, frame by frame; flash-attn's on GPUs that have it), `flash` (flash-attn's or none),
    `flex` (FlexAttention; on GPUs) or `mask` (the literal rule)."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.")
        for name in ("data", "eval_data"):
            paths = {stream: in_home(path, Path()) for stream, path in getattr(self, name).items()}
            object.__setattr__(self, name, paths)
        if self.attention not in BACKENDS:
            raise ValueError(f"task.attention is {self.attention!r}; choose one of {', '.join(BACKENDS)}")
        check_too_long(self.too_long)
        ARDFConfig(modes=self.eval_modes)

    @property
    def eval_streams(self) -> dict[str, tuple[str, str]]:
        """The held-out streams by name, each with its stream of `eval_data` and its mode: `stream/mode` of several."""
        several = len(self.eval_modes) > 1
        pairs = [(name, mode) for name in self.eval_data for mode in self.eval_modes]
        return {f"{name}/{mode}" if several else name: (name, mode) for name, mode in pairs}

    @property
    def limit(self) -> "LengthLimit":
        """The longest clip and sequence."""
        from lumos.lumos1.training.items.length_limit import LengthLimit  # with torch, and mistakes answer at once

        return LengthLimit(max_length=self.max_length, duration_s=self.duration_s, action=self.too_long)
