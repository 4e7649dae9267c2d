"""Texts to features with Gemma-2: the output of its last layer but one (README section 5).

The features are what the layer gives, before the final norm; neither that norm nor the last layer is loaded. Attention
runs without soft-capping of its logits, since the features of the release were made without.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import init_empty_weights
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Bool, Float
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2Model
from transformers.initialization import no_init_weights

from lumos.hub.models import check_weights, read_json, weight_files
from lumos.lumina_video.checkpoint.tensor_files import TensorFiles, fill
from lumos.lumina_video.encoding.protocols import SYSTEM_PROMPT
from xllmx.finite import is_finite
from xllmx.run.notices import Notice
from xllmx.safe.tokenizer_json import read_tokenizer
from xllmx.safe.tokenizer_json import token_ids as ids_of
from xllmx.settings.number_range import Range, check_number
from xllmx.settings.setting import SettingError

TOKENIZER = "tokenizer.json"

MAX_TOKENS = 256
"""Of a text, its first (BOS) and those of the system prompt included."""

_WIDTH = Range(1, 2**20)
_GEMMA = {
    "num_hidden_layers": Range(2, 1000),
    "vocab_size": Range(1, 2**28),
    **dict.fromkeys(
        ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim"), _WIDTH
    ),
    "max_position_embeddings": Range(1),
    "rms_norm_eps": Range(0, 1, above=True),
    "query_pre_attn_scalar": Range(0, above=True),
}
"""Field of the config -> what it may be."""

_MULTIPLE = 8
"""The padded length is a multiple of it."""


class PromptCutWarning(Notice):
    """A prompt was longer than the encoder takes; its end had no say in the video."""


class GemmaTextEncoder:
    """The features of texts behind a system prompt, by Gemma-2 of the library `transformers`."""

    def __init__(self, model: Gemma2Model, tokenizer: Tokenizer, *, system_prompt: str = SYSTEM_PROMPT) -> None:
        """Wrap a Gemma-2 without its last layer and its final norm, as `from_pretrained` loads it."""
        self.model = model.eval().requires_grad_(False)
        self.system_prompt = system_prompt
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        tokenizer: str | Path | None = None,
        system_prompt: str = SYSTEM_PROMPT,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
    ) -> "GemmaTextEncoder":
        """Load the encoder from a folder of the hub's layout, of a Gemma-2 with or without its head.

        Args:
            folder: holds `config.json` and the weights.
            tokenizer: the file `tokenizer.json`; None for the one in `folder`.
            system_prompt: stands before every text; may be empty.
            device: where it runs.
            dtype: what it computes in; None keeps that of the files.

        Raises:
            ValueError: a part is missing or damaged, the model is no Gemma-2, or the tokenizer is of another model.
        """
        folder = Path(folder)
        config, text_tokenizer = read_text_encoder(folder, tokenizer=tokenizer)
        config = _without_last_layer(config)
        check_weights(folder)
        with init_empty_weights(include_buffers=False), no_init_weights():
            model = Gemma2Model(config)
            model.set_submodule("norm", nn.Identity())
        tensors = TensorFiles(weight_files(folder), rename=lambda name: name.removeprefix("model."))
        fill(model, tensors, device=device, dtype=dtype, allow_more=True)  # more: the last layer, the norm, a head
        return cls(model, text_tokenizer, system_prompt=system_prompt)

    @property
    def width(self) -> int:
        """E, the number of features of a token."""
        return int(self.model.config.hidden_size)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> tuple[Float[Tensor, "B L E"], Bool[Tensor, "B L"]]:
        """Features of system prompt + text, and a mask (True = a token of the text), padded to a multiple of 8 tokens.

        A text of more than 256 tokens loses the rest with a `PromptCutWarning`.

        Raises:
            ValueError: there are no texts, or a text has no token at all.
        """
        if not texts:
            raise ValueError("there are no texts to encode; give at least one (it may be empty)")
        token_ids = [self._token_ids(text) for text in texts]
        length = _padded(max(map(len, token_ids)))
        padded = torch.full((len(texts), length), self.model.config.pad_token_id or 0)
        mask = torch.zeros(len(texts), length, dtype=torch.bool)
        for row, ids in enumerate(token_ids):
            padded[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = True
        device = self.model.device
        output = self.model(input_ids=padded.to(device), attention_mask=mask.long().to(device), use_cache=False)
        features = output.last_hidden_state
        if not is_finite(features[mask.to(device)]):
            kind = str(self.model.dtype).removeprefix("torch.")
            raise ValueError(f"the features of the text encoder are not finite (it computes in {kind}); use float32")
        return features, mask.to(device)

    def _token_ids(self, text: str) -> list[int]:
        whole = (self.system_prompt + text).encode("utf-8", "replace").decode()  # half of a surrogate pair has no UTF-8
        token_ids = ids_of(self._tokenizer, whole, special=True)
        bos = self.model.config.bos_token_id
        if bos is not None and token_ids[:1] != [bos]:  # not every tokenizer.json adds it by itself
            token_ids = [bos, *token_ids]
        if token_ids and max(token_ids) >= self.model.config.vocab_size:
            rule = f"the text encoder knows ids 0..{self.model.config.vocab_size - 1}"
            raise ValueError(
                f"the tokenizer makes id {max(token_ids)}, but {rule}; use the tokenizer.json of the model"
            )
        if not token_ids:
            raise ValueError("an empty text has no token here (no system prompt, no BOS); give it a word")
        if (dropped := len(token_ids) - MAX_TOKENS) > 0:
            warnings.warn(
                f"the prompt {_shortened(text)!r} is {len(token_ids)} tokens long with its system prompt; "
                f"the last {dropped} are dropped (at most {MAX_TOKENS} count): shorten it",
                PromptCutWarning,
                stacklevel=3,
            )
        return token_ids[:MAX_TOKENS]


def num_text_tokens(tokenizer: Tokenizer, text: str) -> int:
    """Return how many tokens the network sees of a text, its system prompt included: padded, at most 256."""
    ids = ids_of(tokenizer, text, special=True)
    return _padded(min(MAX_TOKENS, max(1, len(ids))))


def _padded(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def read_text_encoder(folder: Path, *, tokenizer: str | Path | None = None) -> tuple[Gemma2Config, Tokenizer]:
    """Return config and tokenizer of the encoder in a folder; reads no weights.

    Raises:
        ValueError: one is missing or damaged, the model is no Gemma-2, or the tokenizer is of another model.
    """
    text_tokenizer = _read_tokenizer(folder / TOKENIZER if tokenizer is None else Path(tokenizer))
    config = read_gemma_config(folder)
    if (num_ids := text_tokenizer.get_vocab_size()) > config.vocab_size:
        raise ValueError(
            f"the tokenizer of {folder} knows {num_ids} tokens, its config {config.vocab_size}; "
            "use the tokenizer.json that belongs to the model"
        )
    return config, text_tokenizer


def read_gemma_config(folder: Path) -> Gemma2Config:
    """Return the config of a Gemma-2 in a folder; reads nothing else.

    Raises:
        ValueError: there is none, or it is of another model.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(f"text encoder {folder} has no config.json; run: lumos download google/gemma-2-2b")
    content = read_json(file)
    if (kind := content.get("model_type")) != Gemma2Config.model_type:
        raise ValueError(
            f"{folder} holds a model of type {kind!r}, the text encoder is a Gemma-2 ({Gemma2Config.model_type!r}); "
            "run: lumos download google/gemma-2-2b"
        )
    try:
        config = Gemma2Config.from_dict(content)
        _check_gemma(config)
        return config
    except (StrictDataclassError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is not a config of Gemma-2 ({reason}); copy or download it again") from error


def _check_gemma(config: Gemma2Config) -> None:
    """Raise ValueError for numbers that no Gemma-2 has, before anything of their size is made."""
    for name, range_ in _GEMMA.items():
        check_number(name, float if range_.above else int, getattr(config, name, None), range_)
    heads, kv = config.num_attention_heads, config.num_key_value_heads
    if heads % kv:
        raise SettingError("num_key_value_heads", f"is {kv}; it must divide num_attention_heads, which is {heads}")
    if len(config.layer_types or []) != config.num_hidden_layers:
        raise SettingError("layer_types", f"must name a kind for each of the {config.num_hidden_layers} layers")


def _without_last_layer(config: Gemma2Config) -> Gemma2Config:
    config.num_hidden_layers -= 1
    config.layer_types = (config.layer_types or [])[: config.num_hidden_layers]
    config.attn_logit_softcapping = None
    config._attn_implementation = "eager"
    return config


def _read_tokenizer(file: Path) -> Tokenizer:
    if not file.is_file():
        raise ValueError(f"text tokenizer {file} is missing; run: lumos download google/gemma-2-2b")
    return read_tokenizer(file, remedy="copy or download it again")


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."
