"""A small text encoder as a task of the engine: a Gemma-2 that learns to continue the captions of the bundled world.

What it is used for afterwards is the output of its last layer but one (`lumos.lumina_video.text`), frozen. A language
model rather than nothing but embeddings, because a token's features should say what came before it: "red" of the
square, not of the circle.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM

from lumos.hub.bundled import file_or_bundled
from lumos.lumina_video.text import TOKENIZER
from lumos.shapes.dataset import training_example
from xllmx.loss import LossOutput, chunked_cross_entropy
from xllmx.rng import seed_for
from xllmx.safe.json_text import read_object
from xllmx.settings.number_range import COUNT, SHARE, Range, check_numbers
from xllmx.task import Prepared

PAD, EOS, BOS, UNKNOWN = "<pad>", "<eos>", "<bos>", "<unk>"
_SPECIAL = (PAD, EOS, BOS, UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class TextNetworkConfig:
    """Sizes of the encoder, by their names in transformers; all else is as in Gemma-2."""

    hidden_size: Annotated[int, Range(1, 2**16)] = 128
    """Width of the features."""
    intermediate_size: Annotated[int, Range(1, 2**20)] = 384
    """Width of the feed-forward layers."""
    num_hidden_layers: Annotated[int, Range(1, 1000)] = 4
    """Layers; the last one is for training alone."""
    num_attention_heads: Annotated[int, Range(1, 1024)] = 4
    """Query heads."""
    num_key_value_heads: Annotated[int, Range(1, 1024)] = 2
    """Key/value heads."""
    head_dim: Annotated[int, Range(1, 2**12)] = 32
    """Channels of a head."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.network.")


@dataclass(frozen=True, kw_only=True)
class TextTaskConfig:
    """The network, the byte pairs of its tokenizer and the captions it learns from."""

    network: TextNetworkConfig = field(default_factory=TextNetworkConfig)
    """Sizes of the network."""
    tokenizer: Path = Path("ckpts/lumos-tiny/text_tokenizer.json")
    """A byte-level BPE whose bytes and merges are taken, with special tokens of Gemma's names before them; the bundled
    one is found from any folder."""
    num_captions: Annotated[int, COUNT] = 40000
    """Captions of the bundled world, made on the fly from their number; every second one of a still picture."""
    num_eval_captions: Annotated[int, COUNT] = 512
    """Held-out captions."""
    extras: Annotated[float, SHARE] = 0.2
    """Chance of a shape and of a colour that only training shows."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.")


class Captions:
    """Token ids of captions, BOS first and EOS last; the same for the same seed."""

    def __init__(self, tokenizer: Tokenizer, *, num: int, seed: int, extras: float) -> None:
        self._tokenizer, self._num, self._seed, self._extras = tokenizer, num, seed, extras
        self.lengths: Sequence[int] = [1] * num

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> list[int]:
        _, text = training_example(index, seed=self._seed, moving=index % 2 == 0, extras=self._extras)
        return [_SPECIAL.index(BOS), *self._tokenizer.encode(text).ids, _SPECIAL.index(EOS)]


class TextTask:
    """The `TrainTask` of the text encoder: cross entropy of the next token."""

    def __init__(self, config: TextTaskConfig) -> None:
        self.config, self.tokenizer = config, small_tokenizer(file_or_bundled(config.tokenizer))

    def build_model(self) -> Gemma2ForCausalLM:
        """Return the network on the meta device."""
        with torch.device("meta"):
            return self._network()

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Fill the network with fresh weights from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = self._network()
        model.load_state_dict(fresh.state_dict(), assign=True)
        for name, table in fresh.named_buffers():  # they are in no state dict
            owner, _, own_name = name.rpartition(".")
            model.get_submodule(owner).register_buffer(own_name, table, persistent=False)
        nn.Module.to(model, device)

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the layers."""
        assert isinstance(model, Gemma2ForCausalLM)
        return list(model.model.layers)

    def build_dataset(self, split: str) -> Mapping[str, Captions]:
        """Return the captions of the split."""
        config = self.config
        num = config.num_captions if split == "train" else config.num_eval_captions
        extras = config.extras if split == "train" else 0.0
        return {"captions": Captions(self.tokenizer, num=num, seed=seed_for(0, stream=f"text/{split}"), extras=extras)}

    def collate(self, samples: list[list[int]]) -> Int[Tensor, "B L"]:
        """Return the ids, padded on the right."""
        return nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in samples], batch_first=True)

    def prepare(self, batch: Int[Tensor, "B L"], generator: torch.Generator) -> Prepared:
        """Return all tokens but the last as inputs, and each one's next token as its target; nothing is drawn."""
        scored = batch[:, 1:] != _SPECIAL.index(PAD)
        targets = batch[:, 1:][scored]
        inputs = {"input_ids": batch[:, :-1], "scored": scored.flatten().nonzero().flatten()}
        return Prepared(inputs=inputs, targets=targets, num_targets=len(targets), num_tokens=len(targets))

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Return the cross entropy summed over the tokens. Padding stands behind them, where no token looks."""
        assert isinstance(model, Gemma2ForCausalLM)
        hidden = model.model(input_ids=prepared.inputs["input_ids"], use_cache=False).last_hidden_state
        scored = hidden.flatten(0, 1)[prepared.inputs["scored"]]
        return chunked_cross_entropy(scored, model.lm_head.weight, prepared.targets)

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write a folder that `GemmaTextEncoder.from_pretrained` reads, in bf16, the tokenizer in it."""
        assert isinstance(model, Gemma2ForCausalLM)
        copy = self._network()
        copy.load_state_dict(model.state_dict())
        nn.Module.to(copy.model, torch.bfloat16)
        copy.model.save_pretrained(folder)
        (folder / TOKENIZER).write_text(self.tokenizer.to_str(), encoding="utf-8")

    def _network(self) -> Gemma2ForCausalLM:
        sizes: dict[str, Any] = vars(self.config.network)
        config = Gemma2Config(
            **sizes,
            vocab_size=self.tokenizer.get_vocab_size(),
            query_pre_attn_scalar=self.config.network.head_dim,
            max_position_embeddings=256,
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
            tie_word_embeddings=False,
            pad_token_id=_SPECIAL.index(PAD),
            eos_token_id=_SPECIAL.index(EOS),
            bos_token_id=_SPECIAL.index(BOS),
        )
        config._attn_implementation = "eager"
        return Gemma2ForCausalLM(config)


def small_tokenizer(file: Path) -> Tokenizer:
    """Return the byte pairs of a byte-level BPE in a file as a tokenizer of their own, special tokens first.

    Raises:
        ValueError: the file is missing or holds no such tokenizer.
    """
    content = read_object(file, remedy="set task.tokenizer to a tokenizer.json with byte pairs")
    try:
        learnt = content["model"]
        pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in learnt["merges"])
        merges = [(str(left), str(right)) for left, right in pairs]
        splits = json.dumps(content["pre_tokenizer"])
        by_id = sorted(learnt["vocab"], key=learnt["vocab"].get)
        made = {left + right for left, right in merges}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} holds no byte-level BPE ({error}); correct task.tokenizer") from error
    tokens = [*_SPECIAL, *(token for token in by_id if len(token) == 1 or token in made)]
    vocab = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token=UNKNOWN))
    whole = json.loads(tokenizer.to_str())
    tokenizer = Tokenizer.from_str(json.dumps({**whole, "pre_tokenizer": json.loads(splits)}))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
