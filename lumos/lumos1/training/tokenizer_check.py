"""Whether clips were coded with the tokenizer of the model that is to learn from them."""

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.sequence import Clip
from lumos.tokenizer.vocab import Vocab


def check_vocabulary(clip: Clip, vocab: Vocab) -> None:
    """Check that a clip can have been coded with this vocabulary.

    Raises:
        ValueError: it holds ids or codes the vocabulary does not have.
    """
    codes, prompt = clip.codes, clip.prompt_ids
    if codes.size == 0 or int(codes.max()) >= vocab.num_codes:
        found = f"code {int(codes.max())}" if codes.size else "no code"
        raise ValueError(f"clip {clip.source} holds {found}, this model has {vocab.num_codes} codes")
    if len(prompt) == 0 or int(prompt[0]) != vocab.bos or not 0 <= int(prompt.min()) <= int(prompt.max()) < vocab.size:
        ids = f"ids {int(prompt.min())}..{int(prompt.max())} from {int(prompt[0])} on" if len(prompt) else "no ids"
        raise ValueError(f"clip {clip.source} has a prompt of {ids}; here it begins with {vocab.bos}, of {vocab.size}")


def check_tokenizer(clips: ClipDataset, vocab: Vocab, path: str) -> None:
    """Check the first, the middle and the last clip of a set with `check_vocabulary`.

    Raises:
        ValueError: one of them was coded with another tokenizer; names `path`.
    """
    for index in sorted({0, len(clips) // 2, len(clips) - 1} & set(range(len(clips)))):
        try:
            clip = clips[index]
        except ValueError:  # a broken sample, which training reports and replaces
            continue
        try:
            check_vocabulary(clip, vocab)
        except ValueError as error:
            raise ValueError(
                f"{path} was made with another tokenizer than this model's: {error}; tokenize it again with the model's"
            ) from error
