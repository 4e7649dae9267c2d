"""Lumos-1 as a transformers model: loaded and saved under the released names, logits of any slice of the vocabulary."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.attention import AttentionLayout, layout_of
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.linear import Linear, linear
from lumos.lumos1.model.rope import Rotation
from lumos.lumos1.model.transformer import LumosModel
from lumos.lumos1.model.weights import IGNORED, check_weights, read_weights
from lumos.lumos1.sequence import blocks_of, positions_of
from lumos.tokenizer.vocab import Vocab


class LumosForCausalLM(PreTrainedModel):
    """The transformer and its linear head.

    Structure and positions follow from the ids, so a batch is just ids, padded on the left. `hidden` and
    `visual_logits` are the two halves of `forward`, for callers that need few of the logits: guidance is applied to
    hidden states between them (the head is linear and has no bias), and training never makes the logits at all.
    """

    config_class = LumosConfig
    config: LumosConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _supports_sdpa = True
    supports_gradient_checkpointing = False  # done from outside, per block

    def __init__(self, config: LumosConfig) -> None:
        super().__init__(config)
        self.vocab: Vocab = config.vocabulary
        self.attention_backend = "auto"
        """Backend of `xllmx.kernels.attention` that frames are sampled with."""
        self.model = LumosModel(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
        self.register_load_state_dict_pre_hook(_without_image_tokenizer)
        self.post_init()

    def forward(
        self,
        input_ids: Int[Tensor, "B L"],
        positions: Int[Tensor, "B 3 L"] | None = None,
        blocks: Int[Tensor, "B L"] | AttentionLayout | None = None,
        *,
        backend: str = "per_frame",
        **_unused: Any,
    ) -> CausalLMOutput:
        """Return `.logits`, fp32 [B, L, V], of the token at each position.

        Args:
            input_ids: token ids, shorter rows padded on the left.
            positions: (t, y, x); None derives them from the ids.
            blocks: block numbers or a layout made of them; None derives them from the ids.
            backend: see `layout_of`; a layout that is given rules.
        """
        hidden = self.hidden(input_ids, positions=positions, blocks=blocks, backend=backend)
        return CausalLMOutput(logits=self.lm_head(hidden).float())

    def hidden(
        self,
        input_ids: Int[Tensor, "B L"],
        *,
        positions: Int[Tensor, "B 3 L"] | Rotation | None = None,
        blocks: Int[Tensor, "B L"] | AttentionLayout | None = None,
        cache: KVCache | None = None,
        only: Int[Tensor, "B M"] | None = None,
        backend: str = "per_frame",
    ) -> Float[Tensor, "B M D"]:
        """Return the hidden states after the final norm, which `lm_head` maps to logits.

        With a cache the ids are the new tokens only, written behind the kept ones as scratch (`KVCache.advance` keeps
        them); once tokens are kept, `positions` cannot be derived and must be given, or the rotation made of them.
        `only` asks for some columns of a frame (M = 0: for none, the cache alone is wanted); the last block is spared
        the others.

        Raises:
            ValueError: positions are missing.
        """
        if positions is None:
            if cache is not None and cache.length > 0:
                raise ValueError("positions are needed: with tokens in the cache they do not follow from the new ids")
            positions = positions_of(input_ids, self.vocab, rotary=self.config.rotary)
        if blocks is None:
            blocks = blocks_of(input_ids, self.vocab)
        layout = blocks if isinstance(blocks, AttentionLayout) else layout_of(blocks, backend=backend)
        return self.model(input_ids, positions, layout, cache=cache, only=only)

    @property
    def visual_weight(self) -> Float[Tensor, "C D"]:
        """The head's rows of the C = num_codes visual codes, in code order: a view, unless the ids are permuted."""
        weight = self.lm_head.weight
        if self.vocab.code_table is None:
            return weight[self.vocab.code_base : self.vocab.code_base + self.vocab.num_codes]
        return weight[self.vocab.code_ids(torch.arange(self.vocab.num_codes, device=weight.device))]

    def visual_logits(self, hidden: Float[Tensor, "M D"]) -> Float[Tensor, "M C"]:
        """Return the logits (fp32) of the C = num_codes visual codes, column c for code c."""
        weight = self.visual_weight
        return linear(hidden.to(weight.dtype), weight).float()

    def reset_parameters(self, *, generator: torch.Generator) -> None:
        """Draw all weights anew: N(0, initializer_range^2), biases 0, norm weights 1; see `drawn_parameters`."""
        with torch.no_grad():
            for parameter, values in self.drawn_parameters(generator=generator):
                parameter.copy_(values)

    def drawn_parameters(self, *, generator: torch.Generator) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each parameter with the new values of the whole of it, one at a time.

        Every tensor is drawn in fp32 on the generator's device, in the order of the names, so that the result depends
        neither on where the model lies, nor on its dtype, nor on how it is sharded.
        """
        for name, parameter in sorted(self.named_parameters()):
            values = torch.empty(parameter.shape, device=generator.device)
            if "norm" in name or name.endswith("bias"):
                yield parameter, values.fill_(1.0 if name.endswith("weight") else 0.0)
            else:
                yield parameter, values.normal_(0, self.config.initializer_range, generator=generator)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # strict, local and small on purpose
        cls,
        folder: Path | str,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> "LumosForCausalLM":
        """Return the model stored in `folder`, in evaluation mode, in `dtype` (None: as stored).

        The folder holds `config.json` and the weights; see `read_weights`.

        Raises:
            ValueError: something is missing, or the weights are not exactly those of the config; lists every name.
        """
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder} is no model folder: it has no config.json; give the folder that holds it")
        config = LumosConfig.from_pretrained(folder)
        model = cls.from_weights(config, read_weights(folder, dtype=dtype))
        return model.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides nn.Module.to

    @classmethod
    def from_weights(cls, config: LumosConfig, weights: Mapping[str, Tensor]) -> "LumosForCausalLM":
        """Return a model in evaluation mode whose parameters are `weights` themselves, not copies.

        Raises:
            ValueError: they are not exactly the model's parameters; lists every name.
        """
        with torch.device("meta"):
            model = cls(config)
        check_weights(model, weights)
        model.load_state_dict(weights, strict=True, assign=True)
        return model.eval()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw one module's weights; transformers calls it for a model made from a config."""
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, 0, self.config.initializer_range)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _without_image_tokenizer(model: nn.Module, weights: dict[str, Tensor], *_: Any) -> None:
    """Remove what `read_weights` leaves out, so that `load_state_dict` takes a released state dict too."""
    for name in [name for name in weights if name.startswith(IGNORED)]:
        del weights[name]
