"""One door for both models: a name or a folder -> the pipeline of what the folder holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumos.hub.models import DEFAULT_MODEL, LUMINA_VIDEO, kind_of, model_folder
from xllmx.settings.argument_types import check_type, checked_types
from xllmx.store.said import naming_addresses

if TYPE_CHECKING:
    from lumos.lumina_video.pipeline import LuminaVideoPipeline
    from lumos.lumos1.pipeline import LumosPipeline


@naming_addresses()
@checked_types
def load_pipeline(
    path_or_name: str | Path = DEFAULT_MODEL, device: Any = None, dtype: Any = None, **options: Any
) -> "LumosPipeline | LuminaVideoPipeline":
    """Return the pipeline of a model: `LumosPipeline` or `LuminaVideoPipeline`, by what the folder holds.

    Args:
        path_or_name: a bundled or released name, a hub id that was downloaded, or a folder.
        device: as in the pipelines' `from_pretrained`, and so is `dtype`.
        dtype: likewise.
        **options: what the pipeline's own `from_pretrained` takes: `ckpts`, `lora`, `attention_backend`, `torch_dtype`
            of both; `weights`, `offload`, `device_map`, `max_memory` of Lumos-1; `keep_encoders`, `tiled` of
            Lumina-Video.

    Raises:
        ValueError: no such model, a folder of neither, or what `from_pretrained` refuses.
    """
    check_type("ckpts", options.get("ckpts"), str | Path | None)
    if kind_of(model_folder(path_or_name, options.get("ckpts"))) == LUMINA_VIDEO:
        from lumos.lumina_video.pipeline import LuminaVideoPipeline

        return LuminaVideoPipeline.from_pretrained(path_or_name, device, dtype, **options)
    from lumos.lumos1.pipeline import LumosPipeline

    return LumosPipeline.from_pretrained(path_or_name, device, dtype, **options)
