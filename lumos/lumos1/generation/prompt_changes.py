"""When the text of a clip changes: latent frames are made whole, under one text each.

A text holds from the first latent frame on that begins at its frame or after it, those that are given counted too::

    frames         0 | 1 2 3 4 | 5 6 7 8 | 9 10 11 12 | 13 ...
    latent frame   0 |    1    |    2    |     3      |  4          (8, text) begins with latent frame 3, at frame 9
"""

from lumos.conventions.script import Script
from lumos.lumos1.sampling.settings import Settings
from lumos.lumos1.sequence import TEMPORAL_FACTOR


def latent_changes(script: Script, settings: Settings) -> dict[int, str]:
    """Return latent frame -> the text from there on.

    Raises:
        ValueError: a change beyond the end, or two that begin with the same latent frame.
    """
    first_px, first = max(settings.given_frames, 1), max(settings.num_given, 1)
    last_px = first_px + TEMPORAL_FACTOR * (settings.num_latent_frames - first - 1)
    found: dict[int, str] = {}
    for frame, text in script.changes:
        latent = first + max(0, -(-(frame - first_px) // TEMPORAL_FACTOR))
        if settings.num_latent_frames == 1:
            raise ValueError(
                f"the prompt changes at frame {frame}, and one frame is made, which has one prompt; leave the change "
                f"out, or ask for a clip (num_frames={frame + 2 * TEMPORAL_FACTOR})"
            )
        if latent >= settings.num_latent_frames:
            of = f"of the {settings.num_output_frames} frames the last that are made together begin at {last_px}"
            raise ValueError(f"the prompt changes at frame {frame}, and {of}; change it before, or ask for more frames")
        if latent in found:
            begin = first_px + TEMPORAL_FACTOR * (latent - first)
            rule = f"{TEMPORAL_FACTOR} frames are made at once, and the text before it begins with the same, at {begin}"
            raise ValueError(f"the prompt changes at frame {frame}: {rule}; leave one of the two out")
        found[latent] = text
    return found
