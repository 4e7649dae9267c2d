"""The reader of pixels: right on rendered clips, right on spoilt ones, and silent where there is nothing to say."""

import random

import numpy as np
import pytest
from PIL import Image, ImageFilter

from lumos.shapes import (
    COLOURS,
    GROUNDS,
    Description,
    ObjectReading,
    ObjectSpec,
    ShapeSpec,
    describe,
    relation_of,
    render,
    sample_spec,
)
from lumos.shapes.segment import label_components


def wrong(spec: ShapeSpec, seen: Description) -> list[str]:
    """All in which the description differs from the spec."""
    if len(seen.objects) != len(spec.objects):
        return [f"{len(seen.objects)} objects"]
    order = [nearest(item, seen) for item in spec.objects]
    pairs = [("ground", spec.ground, seen.ground)]
    for item, reading in zip(spec.objects, order, strict=True):
        pairs += [(name, getattr(item, name), getattr(reading, name)) for name in ("shape", "colour", "motion")]
    if len(order) == 2:
        pairs.append(("relation", spec.relation, relation_of(*order)))
    return [f"{name}: {is_} read as {read}" for name, is_, read in pairs if is_ != read]


def nearest(item: ObjectSpec, seen: Description) -> ObjectReading:
    return min(seen.objects, key=lambda o: (o.x - item.x) ** 2 + (o.y - item.y) ** 2)


def errors(num: int, spoil=lambda frames, rng: frames, *, moving: bool = True, **size) -> list[tuple]:
    rng, noise = random.Random(5), np.random.default_rng(5)
    found = []
    for _ in range(num):
        spec = sample_spec(rng, held_out=None, moving=moving)
        if mistakes := wrong(spec, describe(spoil(render(spec, **size), noise))):
            found.append((mistakes, spec))
    return found


def blurred_and_noisy(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    blurred = [np.asarray(Image.fromarray(f).filter(ImageFilter.GaussianBlur(1.0))) for f in frames]
    return np.clip(np.stack(blurred) + rng.normal(0, 8, frames.shape), 0, 255).astype(np.uint8)


def halved(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    small = [Image.fromarray(f).resize((32, 32), Image.Resampling.BICUBIC) for f in frames]
    return np.stack([np.asarray(f.resize((64, 64), Image.Resampling.BICUBIC)) for f in small])


def tinted_and_specked(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tinted = np.clip(frames * 0.93 + np.array([8, 0, 10]), 0, 255).astype(np.uint8)
    for _ in range(4):  # specks of 2 x 3 pixels that stay: what a tokenizer may leave behind
        y, x = rng.integers(0, 60, 2)
        tinted[:, y : y + 2, x : x + 3] = rng.integers(0, 256, 3)
    return tinted


def test_rendered_clips_are_read_without_a_mistake():
    assert errors(300) == []


def test_rendered_images_are_read_without_a_mistake():
    assert errors(200, moving=False, num_frames=1) == []


@pytest.mark.parametrize(("width", "height", "num_frames", "fps"), [
    (32, 32, 13, 6), (112, 64, 13, 6), (64, 96, 9, 4), (256, 256, 5, 2), (64, 64, 25, 12), (64, 64, 49, 24),
])  # fmt: skip
def test_size_and_rate_make_no_difference(width: int, height: int, num_frames: int, fps: int):
    assert errors(30, width=width, height=height, num_frames=num_frames, fps=fps) == []


@pytest.mark.parametrize("spoil", [blurred_and_noisy, halved])
def test_spoilt_clips_are_still_read(spoil):
    assert len(errors(100, spoil)) <= 2


def test_a_tint_and_specks_are_overlooked():
    """A speck may fall on a shape and spoil it; most do not."""
    assert len(errors(100, tinted_and_specked)) <= 10


def test_places_sizes_and_amounts_are_measured():
    for spec in (sample_spec(random.Random(seed), held_out=None) for seed in range(40)):
        seen = describe(render(spec))
        for item in spec.objects:
            reading = nearest(item, seen)
            assert (reading.x, reading.y) == pytest.approx((item.x, item.y), abs=0.01)
            assert reading.radius == pytest.approx(item.radius, abs=0.01)
            dx = {"left": -0.375, "right": 0.375}.get(item.motion, 0)
            dy = {"up": -0.375, "down": 0.375}.get(item.motion, 0)
            assert (reading.travel_x, reading.travel_y) == pytest.approx((dx, dy), abs=0.02)
            assert reading.growth == pytest.approx({"grow": 2, "shrink": 0.5}.get(item.motion, 1), rel=0.15)
            assert reading.turn_deg == pytest.approx(90 if item.motion == "turn" else 0, abs=6)


def test_an_image_stands_still():
    seen = describe(render(ShapeSpec(objects=(ObjectSpec(shape="star", colour="red", motion="turn"),), ground="gray")))
    assert seen.objects[0].motion == "turn"
    frame = render(sample_spec(random.Random(1)), num_frames=1)
    assert {item.motion for item in describe(frame).objects} == {"still"}


def test_a_clip_played_backwards_moves_the_other_way():
    back = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}
    for seed in range(40):
        spec = sample_spec(random.Random(seed), num_objects=1)
        (item,) = describe(render(spec)[::-1]).objects
        assert item.motion == back.get(spec.objects[0].motion, spec.objects[0].motion)


# --- honesty ----------------------------------------------------------------------------------------------------------


def on_ground(mask: np.ndarray, colour: tuple[int, int, int] = COLOURS["red"], num_frames: int = 7) -> np.ndarray:
    frame = np.full((64, 64, 3), GROUNDS["white"], dtype=np.uint8)
    frame[mask] = colour
    return frame[None].repeat(num_frames, axis=0)


Y, X = np.mgrid[:64, :64] + 0.5 - 32
DISC = X**2 + Y**2 < 12**2


def test_an_empty_ground_has_no_objects():
    for ground, colour in GROUNDS.items():
        seen = describe(np.full((5, 48, 64, 3), colour, dtype=np.uint8))
        assert seen == Description(objects=(), ground=ground)
        assert seen.relation is None


def test_a_ground_outside_the_world_is_unknown():
    assert describe(np.full((5, 48, 64, 3), (0, 160, 160), dtype=np.uint8)).ground == "unknown"


def test_noise_shows_nothing_of_the_world():
    noise = np.random.default_rng(0).integers(0, 256, (13, 64, 64, 3)).astype(np.uint8)
    assert all(item.shape == "unknown" for item in describe(noise).objects)


@pytest.mark.parametrize("mask", [
    (abs(X) < 15) & (abs(Y) < 4),  # a bar
    ((abs(X) < 3) & (abs(Y) < 12)) | ((abs(Y) < 3) & (abs(X) < 12)),  # a cross
    ((abs(X) < 5) & (abs(Y) < 12)) | ((abs(Y) < 5) & (abs(X) < 12)),  # a plump cross
    DISC & (Y < 0),  # half a disc
    DISC & ~(abs(Y) < X),  # a disc with a slice missing
    (X / 14) ** 2 + (Y / 7) ** 2 < 1,  # an ellipse
    ((X - 6) ** 2 + Y**2 < 49) | ((X + 6) ** 2 + Y**2 < 49),  # two discs that touch
])  # fmt: skip
def test_another_shape_is_unknown(mask: np.ndarray):
    (item,) = describe(on_ground(mask)).objects
    assert (item.shape, item.colour, item.motion) == ("unknown", "red", "still")


@pytest.mark.parametrize("colour", [(0, 200, 220), (90, 60, 30), (10, 10, 10)])
def test_another_colour_is_unknown(colour: tuple[int, int, int]):
    (item,) = describe(on_ground(DISC, colour)).objects
    assert (item.shape, item.colour) == ("circle", "unknown")


def test_an_object_of_two_colours_has_no_colour():
    frames = on_ground(DISC)
    frames[:, DISC & (X > 0)] = COLOURS["blue"]
    (item,) = describe(frames).objects
    assert item.colour == "unknown"


def test_an_object_that_changes_shape_or_colour_midway_has_none():
    square = (abs(X) < 10) & (abs(Y) < 10)
    morphing = np.concatenate([on_ground(DISC), on_ground(square)])
    assert describe(morphing).objects[0].shape == "unknown"
    recoloured = np.concatenate([on_ground(DISC), on_ground(DISC, COLOURS["green"])])
    assert describe(recoloured).objects[0].colour == "unknown"


def test_an_object_in_less_than_most_frames_is_none():
    frames = np.concatenate([on_ground(DISC, num_frames=5), on_ground(DISC & ~DISC, num_frames=5)])
    assert describe(frames).objects == ()


def test_two_motions_at_once_are_other():
    steps = np.arange(13)
    diagonal = np.concatenate([on_ground((X - t + 6) ** 2 + (Y - 2 * t + 9) ** 2 < 64, num_frames=1) for t in steps])
    assert describe(diagonal).objects[0].motion == "other"


def test_a_slight_drift_is_still():
    drift = [on_ground((X - 0.4 * t) ** 2 + Y**2 < 100, num_frames=1) for t in range(13)]  # 5 px of 64
    assert describe(np.concatenate(drift)).objects[0].motion == "still"


# --- regions ----------------------------------------------------------------------------------------------------------


def test_components_are_the_drawn_ones():
    drawing = """
    ##..#
    .#..#
    ##.##
    .....
    #.#..
    """
    expected = [[1, 1, 0, 0, 2], [0, 1, 0, 0, 2], [1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [3, 0, 4, 0, 0]]
    mask = np.array([[c == "#" for c in line.strip()] for line in drawing.split()])
    labels, num_labels = label_components(np.stack([mask, mask]))
    assert num_labels == 8
    np.testing.assert_array_equal(labels[0], expected)
    np.testing.assert_array_equal(labels[1], np.where(mask, np.array(expected) + 4, 0))


def test_components_equal_a_flood_fill():
    mask = np.random.default_rng(3).random((2, 17, 23)) < 0.6
    labels, num_labels = label_components(mask)
    assert num_labels == sum(len(set(regions.values())) for regions in map(flood, mask))
    for frame, regions in zip(labels, map(flood, mask), strict=True):
        assert len({(frame[place], region) for place, region in regions.items()}) == len(set(regions.values()))
        assert (frame > 0).sum() == len(regions)


def flood(mask: np.ndarray) -> dict[tuple[int, int], int]:
    regions: dict[tuple[int, int], int] = {}
    for start in zip(*np.nonzero(mask), strict=True):
        pending = [start]
        while pending:
            y, x = pending.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if inside and mask[y, x] and (y, x) not in regions:
                regions[y, x] = regions.get(start, len(regions))
                pending += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return regions
