"""What a task cuts of latents, by their shapes alone, and shapes of which nothing is left; imported without torch."""

from collections.abc import Sequence

from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import PATCH_PX


def window_of(num_frames: int, task: ScaleTask, *, frames_per_latent: int) -> int:
    """Return the latent frames of the window that is taken of a clip of so many."""
    return num_frames if task.max_frames is None else min(num_frames, task.max_frames // frames_per_latent)


def num_frames_of(num_frames: int, task: ScaleTask, *, frames_per_latent: int) -> int:
    """Return the latent frames that are trained on of a clip of so many: whole patches of its window; 0: too short."""
    if task.media_type == "image":
        return task.f_patch_size
    window = window_of(num_frames, task, frames_per_latent=frames_per_latent)
    return window - window % task.f_patch_size


def sides_of(rows: int, columns: int, task: ScaleTask) -> tuple[int, int]:
    """Return (rows, columns) of a latent after the cut; 0 if it is too small."""
    return rows - rows % task.side_multiple, columns - columns % task.side_multiple


def sizes_after_cut(
    shapes: Sequence[Sequence[int]], task: ScaleTask, *, frames_per_latent: int
) -> list[tuple[int, int, int]]:
    """Return (T, H, W) that is trained on of each shape (C, T, H, W, lead); a 0 in it where the clip is left out."""
    sizes = []
    for _, frames, rows, columns, lead in shapes:
        of_kind = (frames == 1) == (task.media_type == "image")
        length = num_frames_of(frames - lead, task, frames_per_latent=frames_per_latent) if of_kind else 0
        sizes.append((length, *(sides_of(rows, columns, task) if of_kind else (0, 0))))
    return sizes


def check_area(key: str, shapes: Sequence[Sequence[int]], task: ScaleTask, *, side_px: int) -> None:
    """Check that no clip has more pixels than a picture of the task, `key` in errors; a latent has `side_px` of them.

    Raises:
        ValueError: one has.
    """
    if task.image_size is None or not shapes:
        return
    _, _, rows, columns, _ = max(shapes, key=lambda shape: shape[2] * shape[3])
    if rows * columns * side_px**2 > round((task.image_size / PATCH_PX) ** 2) * PATCH_PX**2:
        raise ValueError(
            f"{key}: a clip has {columns * side_px}x{rows * side_px} px, more than the square of image_size="
            f"{task.image_size}; raise {key}.image_size, or encode the clips smaller"
        )


def check_some_fit(
    key: str, shapes: Sequence[Sequence[int]], task: ScaleTask, *, total: int, first: int, frames_per_latent: int
) -> None:
    """Check that there is a clip that the task takes.

    Args:
        key: of the task, in errors.
        shapes: (C, T, H, W, lead) of all clips, each once.
        task: what it takes.
        total: how many clips there are.
        first: the place in `shapes` of that of the first one.
        frames_per_latent: of the VAE.

    Raises:
        ValueError: there are no clips, none of the task's type, or none that its scale divides.
    """
    kind = task.media_type
    if not total:
        raise ValueError(f"{key}: {task.data} holds no clips; make them with pre_tokenize, or correct the path")
    if all((frames == 1) != (kind == "image") for _, frames, *_ in shapes):
        raise ValueError(
            f"{key}: media_type is {kind}, and none of the {total} latents of {task.data} is one; correct "
            f"{key}.media_type or {key}.data"
        )
    if not any(min(size) for size in sizes_after_cut(shapes, task, frames_per_latent=frames_per_latent)):
        _, frames, rows, columns, lead = shapes[first]
        raise ValueError(
            f"{key}: scale {task.scale} (frames x pixels) divides none of the {total} {kind} "
            f"latents, the first of {frames - lead} frames of {rows}x{columns}; take media_type, scale and max_frames "
            "that fit them"
        )
