"""Codes of a frame as the tokens that the model reads."""

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.sequence import content_positions, frame_content, frame_ids
from lumos.tokenizer.vocab import Vocab


class FrameTokens:
    """Frames of one size: F tokens, of which N are codes and P content, row ends too."""

    def __init__(self, vocab: Vocab, grid: tuple[int, int], *, device: torch.device) -> None:
        self.code_columns = frame_content(*grid).to(device)
        """Where codes stand, [N]."""
        self.masked = frame_ids(torch.full((1, *grid), vocab.mask), vocab)[0].to(device)
        """A frame of which all codes are masked, [F]."""
        self._content_columns = content_positions(*grid).to(device)
        # The last one is the token of code -1, which is masked.
        tokens = [vocab.code_ids(torch.arange(vocab.num_codes)), torch.tensor([vocab.mask])]
        self._token_of_code, self._mask = torch.cat(tokens).to(device), vocab.mask

    def ids(self, codes: Int[Tensor, "B N"]) -> Int[Tensor, "B F"]:
        """Return the tokens of frames with these codes, -1 where masked."""
        frames = self.masked.repeat(len(codes), 1)
        return frames.index_copy_(1, self.code_columns, self._token_of_code[codes])

    def history_ids(self, codes: Int[Tensor, "B N"], masked_content: Int[Tensor, "B n"]) -> Int[Tensor, "B F"]:
        """Return the tokens of finished frames as history, masked at these content positions (0..P-1)."""
        return self.ids(codes).scatter_(1, self._content_columns[masked_content], self._mask)
