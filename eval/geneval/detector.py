"""The maintained detector for GenEval: Mask2Former (Swin-S, COCO instances) and CLIP (ViT-L/14) of transformers.

The same architectures as GenEval's own, on a current PyTorch; the detector's weights are its authors' (trained on COCO
by another recipe than mmdet's). Both names may be folders.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from eval.geneval.judge import CLASSES, COLOURS, Detection

DETECTOR = "facebook/mask2former-swin-small-coco-instance"
CLIP = "openai/clip-vit-large-patch14"

_GREY = "#999999"
_TEMPLATES = ("a photo of a {colour} {name}", "a photo of a {colour}-colored {name}", "a photo of a {colour} object")
_CHECKED = {0: "person", 2: "car", 16: "dog", 42: "fork", 79: "toothbrush"}
"""Index -> class, where COCO's names have one spelling."""


class Mask2FormerDetector:
    """Finds COCO's objects in an image, with their masks."""

    def __init__(self, name: str = DETECTOR, *, device: torch.device) -> None:
        from transformers import Mask2FormerForUniversalSegmentation
        from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

        self._processor: Any = Mask2FormerImageProcessorPil.from_pretrained(name)
        self._model: Any = Mask2FormerForUniversalSegmentation.from_pretrained(name).eval().to(device)
        labels = self._model.config.id2label
        if len(labels) != len(CLASSES) or any(labels[index] != known for index, known in _CHECKED.items()):
            rule = f"its {len(labels)} classes are not COCO's 80 in their order"
            raise ValueError(f"{name} is no detector for GenEval: {rule}; take {DETECTOR}")

    @torch.inference_mode()
    def __call__(self, image: Image.Image) -> list[Detection]:
        """The objects of an RGB image, sure and unsure ones."""
        batch = self._processor(images=image, return_tensors="pt").to(self._model.device)
        found = self._model(**batch)
        masks = F.interpolate(found.masks_queries_logits, size=batch["pixel_values"].shape[-2:], mode="bilinear")
        real = batch["pixel_mask"][0] if "pixel_mask" in batch else torch.ones(masks.shape[-2:])
        rows, columns = int(real[:, 0].sum()), int(real[0].sum())  # the rest is padding, below and to the right
        masks = F.interpolate(masks[..., :rows, :columns], size=(image.height, image.width), mode="bilinear")
        return instances(found.class_queries_logits[0].float(), masks[0].float())


def instances(classes: Float[Tensor, "Q C"], masks: Float[Tensor, "Q H W"]) -> list[Detection]:
    """The Q surest (query, class) pairs of Mask2Former, scored by class and by how sure the mask is of its pixels.

    `classes` are logits of the classes and, last, of none; `masks` are logits, above 0 inside.
    """
    shares = classes.softmax(dim=-1)[:, :-1]
    scores, pairs = shares.flatten().topk(min(len(classes), shares.numel()))
    found = []
    for score, pair in zip(scores.tolist(), pairs.tolist(), strict=True):
        mask, index = masks[pair // shares.shape[1]], pair % shares.shape[1]
        inside = mask > 0
        if not inside.any():
            continue
        sure = mask[inside].sigmoid().mean().item()
        pixels = inside.cpu().numpy()
        found.append(Detection(name=CLASSES[index], score=score * sure, box=box_of(pixels), mask=pixels))
    return found


def box_of(mask: Bool[np.ndarray, "H W"]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge of the pixels that are True, of which there is one at least."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


class ClipColours:
    """Names the colours of objects: each is cut out, on grey, and compared with texts of every colour."""

    def __init__(self, name: str = CLIP, *, device: torch.device) -> None:
        from transformers import CLIPModel, CLIPTokenizer
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        self._model: Any = CLIPModel.from_pretrained(name).eval().to(device)
        self._tokenizer: Any = CLIPTokenizer.from_pretrained(name)
        self._processor: Any = CLIPImageProcessorPil.from_pretrained(name)
        self._texts: dict[str, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, image: Image.Image, objects: Sequence[Detection]) -> list[str]:
        """The colour of each object, all of one class."""
        if not objects:
            return []
        crops = [cut_out(image, one) for one in objects]
        pixels = self._processor(images=crops, return_tensors="pt").to(self._model.device)
        seen = F.normalize(_features(self._model.get_image_features(**pixels)), dim=-1)
        likeness = seen @ self._classifier(objects[0].name).T
        return [COLOURS[index] for index in likeness.argmax(dim=1).tolist()]

    def _classifier(self, name: str) -> Tensor:
        """A unit vector a colour: the mean of its unit texts, [colours, E]."""
        if name not in self._texts:
            texts = [one.format(colour=colour, name=name) for colour in COLOURS for one in _TEMPLATES]
            ids = self._tokenizer(texts, padding=True, return_tensors="pt").to(self._model.device)
            read = F.normalize(_features(self._model.get_text_features(**ids)), dim=-1)
            self._texts[name] = F.normalize(read.unflatten(0, (len(COLOURS), -1)).mean(dim=1), dim=-1)
        return self._texts[name]


def cut_out(image: Image.Image, one: Detection) -> Image.Image:
    """The box of an object, grey where the object is not."""
    if one.mask is not None:
        grey = Image.new("RGB", image.size, color=_GREY)
        image = Image.composite(image, grey, Image.fromarray(one.mask.astype(np.uint8) * 255))
    left, top, right, bottom = map(round, one.box)
    return image.crop((left, top, right, bottom))


def weights_of(name: str) -> str:
    """What finds the weights of a detector again: the folder, or the hub id at the commit that lies in the cache."""
    if Path(name).is_dir():
        return str(Path(name).resolve())
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, "config.json")
    return f"{name}@{Path(path).parent.name}" if isinstance(path, str) else name


def _features(found: Any) -> Tensor:
    """The projected states, whichever form this release of transformers gives them in."""
    return found if isinstance(found, Tensor) else found.pooler_output
