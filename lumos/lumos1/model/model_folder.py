"""A whole model as one folder: weights, its two tokenizers, settings of generation."""

import json
import shutil
from pathlib import Path

from lumos.hub.models import TEXT_TOKENIZER, VISUAL_PAIR, ModelFiles
from lumos.lumos1.model.modeling import LumosForCausalLM


def write_model_folder(
    model: LumosForCausalLM, folder: Path, parts: ModelFiles | None, *, shared: bool = False
) -> None:
    """Write a model into an empty folder, and copy what goes along with it.

    Args:
        model: what is written, in its dtype.
        folder: empty.
        parts: whose tokenizers and defaults go along; None: none do.
        shared: whether tokenizers that all released models share are copied too; else they are found in `ckpts/` again.
    """
    model.save_pretrained(folder)
    if parts is None:
        return
    if shared or parts.text_tokenizer.is_relative_to(parts.model):
        shutil.copyfile(parts.text_tokenizer, folder / TEXT_TOKENIZER)
    if shared or parts.visual_tokenizer.is_relative_to(parts.model):
        (folder / "visual_tokenizer").mkdir()
        for name in VISUAL_PAIR:
            shutil.copyfile(parts.visual_tokenizer / name, folder / "visual_tokenizer" / name)
    if parts.defaults:
        text = json.dumps(parts.defaults, indent=2) + "\n"
        (folder / "generation_config.json").write_text(text, encoding="utf-8")
