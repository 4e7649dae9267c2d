"""The official lists themselves: how many prompts, how many videos, which names."""

from pathlib import Path

from eval.vbench.prompts import FLICKERING, read_videos


def test_vbench_has_944_prompts_and_6220_videos(shared_data: Path) -> None:
    """(944 - 75) x 5 + 75 x 25; all names can be written as they are."""
    prompts = read_videos(shared_data / "prompts" / "VBench_full_info.json", "vbench")
    names = [name for prompt in prompts for name in prompt.names]
    assert (len(prompts), len(names), len(set(names))) == (944, 6220, 6220)
    assert sum(FLICKERING in prompt.dimensions for prompt in prompts) == 75
    assert all("/" not in name and len(name.encode()) <= 255 for name in names)
    twice = next(prompt for prompt in prompts if prompt.text == "The bund Shanghai, oil painting")
    assert len(twice.dimensions) == len(set(twice.dimensions)) > 1


def test_vbench_i2v_has_1118_prompts_over_355_images(shared_data: Path) -> None:
    prompts = read_videos(shared_data / "prompts" / "vbench2_i2v_full_info.json", "vbench_i2v")
    assert sum(prompt.copies for prompt in prompts) == 5 * 1118
    assert len({prompt.image for prompt in prompts}) == 355
