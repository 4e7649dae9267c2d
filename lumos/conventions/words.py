"""Words of diffusers that have no meaning here, each with what to type in its place."""

from collections.abc import Iterable, Mapping
from typing import Any

from xllmx.settings.setting import SettingError, suggestion

_TEXT = "give the text itself: prompt=, negative_prompt="
_PATH = "preset= (Lumina-Video) or num_inference_steps= say how the sampling goes"
_ATTENTION = "attention never makes its matrix here; attention_backend= of from_pretrained chooses a kernel"
_DOWNLOAD = "nothing is downloaded here: `lumos download NAME` brings a model, resumed and checked"
_FORMAT = "leave it out: weights are read and written as safetensors"

OF_A_CALL: Mapping[str, str] = {
    "latents": "noise follows from seed=; to change latents on the way there is callback_on_step_end=",
    **dict.fromkeys(
        ("prompt_embeds", "negative_prompt_embeds", "prompt_attention_mask", "negative_prompt_attention_mask"), _TEXT
    ),
    "prompt_2": _TEXT,
    **dict.fromkeys(("timesteps", "sigmas", "eta"), _PATH),
    **dict.fromkeys(
        ("cross_attention_kwargs", "attention_kwargs", "joint_attention_kwargs"),
        "adapters are merged in: load_lora_weights(FOLDER)",
    ),
    "max_sequence_length": "a prompt is as long as it is; one that is too long is said",
    "clip_skip": "leave it out: there is no CLIP",
    "guidance_rescale": "renorm of a preset is what there is (Lumina-Video)",
    "guidance_scale_2": "a step function of t says guidance that changes (Lumina-Video): guidance_scale=(7, (0.2, 0))",
    "use_dynamic_cfg": "a step function of t says guidance that changes (Lumina-Video): guidance_scale=(7, (0.2, 0))",
    "callback_steps": "callback_on_step_end is called after every step",
    **dict.fromkeys(
        ("video", "last_image", "mask_image", "ip_adapter_image", "control_image"),
        "a first frame is the only picture that is taken: image= (Lumos-1)",
    ),
    "strength": "a first frame is kept as it is: image= (Lumos-1)",
    "frame_rate": "fps=",
    "video_length": "num_frames=",
    "decode_timestep": "leave it out: decoding takes no noise",
    "decode_chunk_size": "clips are decoded one by one; tiled=True of from_pretrained takes less memory (Lumina-Video)",
}
"""Arguments of a call -> remedy."""

OF_LOADING: Mapping[str, str] = {
    "variant": "leave it out: dtype= says what is computed in, whatever is stored",
    **dict.fromkeys(("use_safetensors", "low_cpu_mem_usage"), "leave it out"),
    **dict.fromkeys(
        ("cache_dir", "local_dir"), "ckpts=FOLDER is where models lie; a folder of one's own is taken as it is"
    ),
    **dict.fromkeys(
        ("revision", "token", "use_auth_token", "force_download", "proxies", "local_files_only", "mirror"), _DOWNLOAD
    ),
    **dict.fromkeys(("custom_pipeline", "trust_remote_code"), "no code is taken from a model's folder; leave it out"),
    "subfolder": "give it behind the name: org/name/folder",
    **dict.fromkeys(
        ("vae", "text_encoder", "tokenizer", "transformer", "unet", "scheduler", "safety_checker", "image_encoder"),
        "a model's parts lie in its folder; put another one there",
    ),
    "quantization_config": "weights='int8' or 'fp8' (Lumos-1)",
    "offload_folder": "max_memory={'disk': BYTES} beside device_map='auto' (Lumos-1)",
}
"""Arguments of `from_pretrained` -> remedy."""

OF_ADAPTERS: Mapping[str, str] = {
    **dict.fromkeys(("adapter_name", "hotswap"), "leave it out: adapters are merged into the weights, one folder"),
    **dict.fromkeys(("weight_name", "subfolder"), "give the folder that holds adapter_config.json itself"),
    **dict.fromkeys(("token", "revision", "cache_dir"), "adapters are read from a folder here"),
}
"""Arguments of `load_lora_weights` -> remedy."""

OF_SAVING: Mapping[str, str] = {
    "push_to_hub": "save first; `hf upload REPOSITORY FOLDER` sends a folder",
    **dict.fromkeys(("safe_serialization", "use_flashpack"), _FORMAT),
    "variant": "leave it out: weights are written in the dtype of the pipeline, see to()",
    "max_shard_size": "leave it out: files have the size they have",
}
"""Arguments of `save_pretrained` -> remedy."""

OF_A_PIPELINE: Mapping[str, str] = {
    "enable_sequential_cpu_offload": "enable_model_cpu_offload(), or offload=True of from_pretrained (Lumos-1)",
    "enable_group_offload": "enable_model_cpu_offload(), or offload=True of from_pretrained (Lumos-1)",
    **dict.fromkeys(
        ("enable_vae_tiling", "disable_vae_tiling"), "tiled=True of from_pretrained decodes in tiles (Lumina-Video)"
    ),
    **dict.fromkeys(("enable_vae_slicing", "disable_vae_slicing"), "clips are decoded one by one anyway"),
    **dict.fromkeys(
        (
            "enable_attention_slicing",
            "disable_attention_slicing",
            "enable_xformers_memory_efficient_attention",
            "set_attention_backend",
        ),
        _ATTENTION,
    ),
    **dict.fromkeys(
        ("set_progress_bar_config", "progress_bar"), "there is no bar; callback_on_step_end= can move one of your own"
    ),
    "scheduler": _PATH,
    **dict.fromkeys(("transformer", "unet"), ".model is the network"),
    "vae": ".visual is the visual tokenizer of Lumos-1; decode() makes frames of codes and of latents",
    "tokenizer": ".text is the text tokenizer of Lumos-1",
    "text_encoder": "encode_prompts() lets it work (Lumina-Video)",
    "encode_prompt": "encode_prompts() (Lumina-Video)",
    "components": ".model is the network; .files says where each part lies",
    "config": ".model.config is that of the network, .defaults are the settings of generation",
    **dict.fromkeys(
        ("unload_lora_weights", "unfuse_lora"), "adapters are merged into the weights; load the pipeline again"
    ),
    **dict.fromkeys(
        ("fuse_lora", "set_adapters"), "load_lora_weights(FOLDER) merges adapters at once, at their own scale"
    ),
    "push_to_hub": OF_SAVING["push_to_hub"],
}
"""Methods and parts of a pipeline -> remedy."""


OF_THE_COMMAND: Mapping[str, str] = {
    "steps": "num_inference_steps",
    "resolution": "width and height",
    "frames": "num_frames",
    "neg_prompt": "negative_prompt",
    "sample_config": "preset",
}
"""Options of `lumos generate` -> what the setting is called elsewhere."""

SO_ANYWAY = ("use_safetensors", "safe_serialization", "low_cpu_mem_usage", "local_files_only")
"""Words of which True says what is done anyway."""


class UnknownWordError(AttributeError, ValueError):
    """A word of diffusers that there is no use for here; says what to type. To `hasattr` it is not there."""


def no_setting(name: str, known: Iterable[str]) -> ValueError:
    """Return the error of a setting that there is none of: says the one that was probably meant."""
    meant = f"say {OF_THE_COMMAND[name]}" if name in OF_THE_COMMAND else suggestion(name, known)
    return ValueError(f"there is no setting {name!r}; {meant}")


def refuse_words(given: Mapping[str, Any], remedies: Mapping[str, str], *, known: Iterable[str] | None = None) -> None:
    """Check that no argument is one of diffusers' that has no meaning here; None and False ask for nothing.

    Args:
        given: what nothing has taken.
        remedies: word -> what to type in its place.
        known: all that there are: every other word is refused too; None lets it through to who knows the settings.

    Raises:
        SettingError: a word has no meaning here.
        ValueError: there is no such word at all.
    """
    for name, value in given.items():
        if name not in remedies:
            if known is not None:
                raise ValueError(f"there is no argument {name!r}; {suggestion(name, known)}")
        elif value is not None and value is not False and not (value is True and name in SO_ANYWAY):
            raise SettingError(name, f"is a word of diffusers that has no meaning here; {remedies[name]}")
