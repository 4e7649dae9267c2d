"""`from imgproc import generate_crop_size_list`, as the README of the released Lumina-Video has it."""

from lumos.lumina_video.encoding.crops import generate_crop_size_list

__all__ = ["generate_crop_size_list"]
