"""What the text encoder made of prompts, kept, so that it is loaded once for all prompts of a run."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lumos.lumina_video.encoding.on_demand import OnDemand
from lumos.lumina_video.text import GemmaTextEncoder

_KEPT = 64
"""Texts whose features outlive a later call; of a run of more, those of the run are kept."""


class PromptFeatures:
    """Features of texts on the CPU, at most 2.4 MB each of the released encoder in fp32."""

    def __init__(self, encoder: OnDemand[GemmaTextEncoder], *, kept: int = _KEPT) -> None:
        """Encode nothing yet; at most `kept` texts outlive a later call."""
        self._encoder, self._num_kept = encoder, kept
        self._known: dict[tuple[str, str], Tensor] = {}
        """(system prompt, text) -> features [L, E] of the text's own tokens; the latest last."""

    def encode(self, texts: Sequence[str], *, system_prompt: str) -> None:
        """Make the features of those texts that are not known, and keep them; the encoder is loaded at most once.

        Each text goes through the encoder alone: what it is given depends on no other.
        """
        wanted = dict.fromkeys((system_prompt, text) for text in texts)
        missing = [text for _, text in wanted if (system_prompt, text) not in self._known]
        if missing:
            made = self._encoder.use(lambda encoder: _encoded(encoder, missing, system_prompt=system_prompt))
            self._known.update({(system_prompt, text): one for text, one in zip(missing, made, strict=True)})
        for key in wanted:
            self._known[key] = self._known.pop(key)
        for _ in range(len(self._known) - max(len(wanted), self._num_kept)):
            del self._known[next(iter(self._known))]

    def of(
        self, texts: Sequence[str], *, system_prompt: str, device: torch.device
    ) -> tuple[Float[Tensor, "B L E"], Bool[Tensor, "B L"]]:
        """Return features of texts, padded on the right, and a mask, True where a token is valid; see `encode`."""
        self.encode(texts, system_prompt=system_prompt)
        features = [self._known[system_prompt, text] for text in texts]
        longest = max(map(len, features))
        padded = torch.stack([F.pad(one, (0, 0, 0, longest - len(one))) for one in features])
        lengths = torch.tensor([len(one) for one in features])
        return padded.to(device), (torch.arange(longest) < lengths[:, None]).to(device)


def _encoded(encoder: GemmaTextEncoder, texts: Sequence[str], *, system_prompt: str) -> list[Tensor]:
    encoder.system_prompt = system_prompt
    made = []
    for text in texts:
        features, mask = encoder.encode([text])
        made.append(features[0, mask[0]].cpu())
    return made
