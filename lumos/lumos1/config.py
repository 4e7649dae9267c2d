"""Settings of the model, of sampling and of AR-DF training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from huggingface_hub.errors import StrictDataclassError
from transformers import PretrainedConfig

from lumos.hub.models import read_json
from lumos.lumos1.ardf_config import MASK_TYPES as MASK_TYPES
from lumos.lumos1.ardf_config import NOISE_TYPES as NOISE_TYPES
from lumos.lumos1.ardf_config import SCHEDULES as SCHEDULES
from lumos.lumos1.ardf_config import ARDFConfig as ARDFConfig
from lumos.lumos1.ardf_config import require_one_of
from lumos.lumos1.rotary import MM_ROPE, ROTARIES
from lumos.tokenizer.vocab import Vocab
from xllmx.settings.config import convert
from xllmx.settings.number_range import COUNT, POSITIVE, SHARE, Range, check_number, check_numbers

CONFIDENCE_TEMPERATURES = ("released", "per_frame")

MOST_STEPS = 10_000
"""Refinements of a frame; a frame has fewer codes than that."""
MOST_LAYERS = 1000
"""Blocks of a model; the released ones have 16 and 28."""
MOST_WIDTH = 2**20
"""Of a layer of it."""
_WIDTH, _SHORT = Range(1, MOST_WIDTH), Range(0, 1000)


class LumosConfig(PretrainedConfig):
    """The model's settings, as the released `config.json` spells them (`model_type: chameleon`).

    Beside the fields of a Llama-style model: `model_parallel_size` rows of the query/key norms, `swin_norm` (both
    RMSNorms after their sublayer), residual `dropout`, `mm_rope`, `z_loss_weight` (of training), `mask_image_logits`
    (kept; it concerns logits of the text model's own image codes, which nothing here draws), `rotary`, how positions
    turn heads (`mm_rope` as released; `rope_3d`, `rope_1d` are ablations), and `vocab`, the token ids as
    `Vocab.to_dict()` (None = the released ids). Fields that only the original needs (`vq_config`, `vocabulary_map`,
    ...) are kept and written back.

    Raises:
        ValueError: a combination that no Lumos model has; the message says which.
    """

    model_type = "chameleon"

    def __init__(
        self,
        *,
        vocab_size: Annotated[int, Range(1, 2**28)] = 129536,
        hidden_size: Annotated[int, _WIDTH] = 2048,
        intermediate_size: Annotated[int, _WIDTH] = 8192,
        num_hidden_layers: Annotated[int, Range(1, MOST_LAYERS)] = 16,
        num_attention_heads: Annotated[int, _WIDTH] = 32,
        num_key_value_heads: Annotated[int, _WIDTH] | None = None,
        hidden_act: str = "silu",
        max_position_embeddings: Annotated[int, COUNT] = 65536,
        initializer_range: Annotated[float, _SHORT] = 0.02,
        rms_norm_eps: Annotated[float, Range(0, 1, above=True)] = 1e-5,
        rope_theta: Annotated[float, Range(1, 1e12)] | None = None,
        rope_scaling: dict[str, Any] | None = None,
        attention_bias: bool = False,
        attention_dropout: Annotated[float, SHARE] = 0.0,
        mlp_bias: bool = False,
        tie_word_embeddings: bool = False,
        model_parallel_size: Annotated[int, _WIDTH] = 1,
        swin_norm: bool = False,
        mm_rope: bool = True,
        rotary: str = MM_ROPE,
        dropout: Annotated[float, Range(0, 0.999)] = 0.0,
        z_loss_weight: Annotated[float, _SHORT] = 0.0,
        mask_image_logits: bool = False,
        vocab: dict[str, Any] | None = None,
        rope_parameters: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_attention_heads if num_key_value_heads is None else num_key_value_heads
        self.hidden_act = hidden_act
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range = initializer_range
        self.rms_norm_eps = rms_norm_eps
        # transformers 5 writes a standardised `rope_parameters`; such a file is read too.
        self.rope_theta = (rope_parameters or {}).get("rope_theta", 10000.0) if rope_theta is None else rope_theta
        self.attention_bias = attention_bias
        self.attention_dropout = attention_dropout
        self.mlp_bias = mlp_bias
        self.tie_word_embeddings = tie_word_embeddings
        self.model_parallel_size = model_parallel_size
        self.swin_norm = swin_norm
        self.mm_rope = mm_rope
        self.rotary = rotary
        self.dropout = dropout
        self.z_loss_weight = z_loss_weight
        self.mask_image_logits = mask_image_logits
        self.vocab = vocab
        for name, hint in get_type_hints(LumosConfig.__init__, include_extras=True).items():
            if hasattr(self, name):
                check_number(name, hint, getattr(self, name))
        head_dim = kwargs.pop("head_dim", None)
        super().__init__(**kwargs)
        if head_dim not in (None, self.head_dim):
            raise ValueError(
                f"head_dim is {head_dim}; Lumos models have hidden_size / num_attention_heads, {self.head_dim}"
            )
        if rope_scaling is not None:  # not kept: the name is a deprecated property of transformers' configs
            raise ValueError(f"rope_scaling is {rope_scaling!r}, but Lumos models have none; set it to null")
        self._check()

    @property
    def head_dim(self) -> int:
        """Channels per attention head, E."""
        return self.hidden_size // self.num_attention_heads

    @property
    def vocabulary(self) -> Vocab:
        """The token ids of this model."""
        return Vocab() if self.vocab is None else Vocab.from_dict(self.vocab)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: Path | str, *args: Any, **kwargs: Any
    ) -> "LumosConfig":
        """Return the config in the `config.json` of a folder, or of its `subfolder`.

        Raises:
            ValueError: it is no JSON object, or a field is wrong; names the file.
        """
        path = Path(pretrained_model_name_or_path, kwargs.get("subfolder") or "", "config.json")
        found = read_json(path) if path.is_file() else {}  # what transformers says of another content is no help
        with said_of(str(path)):
            check_types(found)
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

    def _check(self) -> None:
        offered = {
            "hidden_act": "silu",
            "attention_dropout": 0.0,
            "tie_word_embeddings": False,
            "mm_rope": True,
        }
        for name, value in offered.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but Lumos models have {value!r}; set it so")
        require_one_of("rotary", self.rotary, tuple(ROTARIES))
        heads = self.num_attention_heads
        for name, number, divisor in (
            ("hidden_size", self.hidden_size, 2 * heads),
            ("num_attention_heads", heads, self.num_key_value_heads),
            ("num_attention_heads", heads, self.model_parallel_size),
            ("num_key_value_heads", self.num_key_value_heads, self.model_parallel_size),
        ):
            if number % divisor:
                raise ValueError(f"{name} is {number} and must be a multiple of {divisor} in this config; change one")
        if self.vocab is not None and self.vocabulary.size != self.vocab_size:
            raise ValueError(
                f"vocab.size is {self.vocabulary.size} but vocab_size is {self.vocab_size}: set them equal"
            )


def check_types(fields: Mapping[str, Any]) -> None:
    """Check that fields have the types `LumosConfig` takes, and counts are 1 or more; ValueError otherwise."""
    for name, hint in get_type_hints(LumosConfig.__init__, include_extras=True).items():
        if name in fields:
            convert(get_type_hints(LumosConfig.__init__)[name], fields[name], name)
            check_number(name, hint, fields[name])


@contextmanager
def said_of(where: str) -> Iterator[None]:
    """A context in which an error about a model's config begins with `where` it stands."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    except (AttributeError, TypeError, StrictDataclassError) as error:  # transformers, about fields of its own
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"{where} is no config of a Lumos model ({reason}); correct or copy it again") from error


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How a frame is drawn: parallel refinements with guidance and confidence-based re-masking (paper section 3.3).

    Raises:
        ValueError: a value outside its range.
    """

    num_steps: Annotated[int, Range(1, MOST_STEPS)] = 50
    """Refinement steps per latent frame."""
    guidance_scale: Annotated[float, Range(0, 10_000)] = 15.0
    """g of u + g (c - u); 1 uses the conditional branch alone."""
    mask_history_ratio: Annotated[float, SHARE] = 0.7
    """Share of a finished frame's content that is masked in the history; 0 keeps it whole."""
    confidence_temperature: str = "released"
    """Of the confidence noise. `released`: decays to 0 in the first frame and stays; `per_frame`: anew in each."""
    mask_given_frames: bool = False
    """Whether given frames (image-to-video) enter the history partially masked too."""
    random_history: bool = False
    """Whether the history's pattern is a random tube instead of the released periodic one."""
    temperature: Annotated[float, Range(1e-4, 10_000)] = 1.0
    """Temperature of the softmax that tokens are drawn from; for the likeliest one there is top_k=1."""
    top_k: Annotated[int, COUNT] | None = None
    """Draw among the k likeliest codes only; None draws among all."""
    entropy_bound: Annotated[float, POSITIVE] | None = None
    """Nats. A refinement keeps the most confident codes that have at most this entropy together, of the distributions
    they are drawn from (`schedule.num_within`), or as many as the schedule keeps, if that is more. The schedule
    goes on from there; a frame ends when nothing is masked. None follows the schedule alone."""
    guidance_tolerance: Annotated[float, POSITIVE] | None = None
    """Nats a code. Once guidance moves the distributions of a frame's codes by no more than this on average, those that
    are decided already by 0 (KL divergence of the guided from the conditional one, before top_k), the rest of the frame
    goes without the branch without text. None runs it always."""
    later_steps: Annotated[float, Range(0, 1, above=True)] | None = None
    """Refinements of each frame after the first generated one, as a share of num_steps; None: as many."""
    history_frames: Annotated[int, COUNT] | Literal["all"] | None = None
    """Latent frames that a clip longer than the model's own goes on from, again and again: a window as long as those
    clips moves over it (README 10.8). None or `all`: every frame looks back at all before it, as released."""
    history_positions: str = "window"
    """Where positions count from in a window: its own beginning, or that of the clip, as released."""

    def steps_of(self, *, first: bool) -> int:
        """Refinements of the first generated frame, or of a later one."""
        if first or self.later_steps is None:
            return self.num_steps
        return max(1, round(self.later_steps * self.num_steps))

    def __post_init__(self) -> None:
        check_numbers(self)
        require_one_of("confidence_temperature", self.confidence_temperature, CONFIDENCE_TEMPERATURES)
        require_one_of("history_positions", self.history_positions, ("window", "clip"))
