"""What options of `python -m pre_tokenize` may be; imported without torch."""

PRODUCTS = ("codes", "latents")
"""What items can be made into."""
READERS = ("auto", "pyav", "decord")
"""What reads the frames of a video (`lumos.media.decoding.decord_frames`)."""
DTYPES = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
}
"""Names of precisions, and what torch calls them."""
TF32 = "tf32"
"""fp32 whose products are rounded to 10 bits of mantissa, on GPUs that have them (Ampere and later)."""
NUM_DECODED = 2
"""Clips of a shard that are decoded again, where nothing else is said."""
ESTIMATORS = ("dis", "dis-fast", "unimatch")
"""What measures flow (`lumos.lumina_video.data.flow_estimators`)."""
