"""Tokens of a latent and back: patches of a scale (README section 2.3)."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.network.rope import Grid
from lumos.lumina_video.scale import Scale

Size = tuple[int, int, int]
"""Frames, rows and columns of a latent."""


def patchify(x: Float[Tensor, "B C T H W"], scale: Scale) -> Float[Tensor, "B L P"]:
    """Return the latents as tokens of P = frames * pixels^2 * C numbers.

    Tokens run along frames, rows, columns; the numbers inside one along frames, rows, columns, channels. One channel,
    one frame, patches of 2 pixels::

        a b e f
        c d g h     ->  [a b c d] [e f g h]

    A latent of a single frame is repeated to fill a patch of several.

    Raises:
        ValueError: see `grid_of`.
    """
    grid_of(size_of(x), scale)
    if x.shape[2] == 1:
        x = x.expand(-1, -1, scale.frames, -1, -1)
    patch = {"f": scale.frames, "p": scale.pixels, "q": scale.pixels}
    return rearrange(x, "b c (t f) (h p) (w q) -> b (t h w) (f p q c)", **patch)


def unpatchify(tokens: Float[Tensor, "B L P"], size: Size, scale: Scale) -> Float[Tensor, "B C T H W"]:
    """Return the latents, (T, H, W) = `size`, of which these are the tokens: the inverse of `patchify`.

    Of a single frame, which was repeated, the first copy is kept. No view is returned: sharded modules warn of them.
    """
    frames, rows, columns = grid_of(size, scale)
    x = rearrange(
        tokens,
        "b (t h w) (f p q c) -> b c (t f) (h p) (w q)",
        **{"t": frames, "h": rows, "w": columns, "f": scale.frames, "p": scale.pixels, "q": scale.pixels},
    )
    return x[:, :, : size[0]].clone()


def size_of(x: Float[Tensor, "B C T H W"]) -> Size:
    """Return frames, rows and columns of the latents of a batch."""
    return x.shape[2], x.shape[3], x.shape[4]


def grid_of(size: Size, scale: Scale) -> Grid:
    """Return how many patches a latent has along frames, rows and columns.

    Raises:
        ValueError: one of its sizes is no multiple of the patch's; names it and the nearest that would do.
    """
    frames, rows, columns = size
    if frames == 1:
        frames = scale.frames
    named = (("frames", frames, scale.frames), ("rows", rows, scale.pixels), ("columns", columns, scale.pixels))
    for name, value, patch in named:
        if value < 1 or value % patch:
            raise ValueError(
                f"the latent has {value} {name}, no multiple of {patch} as scale {scale} (frames x pixels) needs it; "
                f"the nearest that would do is {max(round(value / patch), 1) * patch}"
            )
    return frames // scale.frames, rows // scale.pixels, columns // scale.pixels
