"""Videos for VBench (text to video), in the folder its scorer takes: `OUT/PROMPT-K.mp4`, flat and nothing else.

    torchrun --nproc-per-node 8 -m eval.vbench_t2v --model 1B/stage-2-joint-384p --out outputs/vbench_t2v
    python -m eval.check vbench outputs/vbench_t2v

944 prompts, 5 videos each, 25 of the 75 prompts of temporal flickering, which is scored on static ones among them.
The model sees the rewritten prompts (`python -m eval.prompts` brings the lists). The same command goes on where it
was stopped.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.driver.beginning import VIDEOS
from eval.driver.command import Driver, drive
from eval.prompts.lists import long_of, texts_of
from eval.vbench.prompts import (
    LISTS,
    NUM_PROMPTS,
    NUM_VIDEOS,
    VIDEOS_PER_PROMPT,
    VideoPrompt,
    read_videos,
    released_long,
)

if TYPE_CHECKING:
    from eval.driver.work import Work
    from lumos.cli.jobs.pipeline import SettingsFor
    from lumos.cli.jobs.runner import Job


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return drive(DRIVER, arguments)


def work(options: argparse.Namespace, settings_for: "SettingsFor") -> "Work":
    """The videos that the options ask for."""
    path = LISTS["vbench"].find(options.prompts)
    return work_of(options, settings_for, benchmark="vbench", path=path, prompts=read_videos(path, "vbench"))


def work_of(
    options: argparse.Namespace,
    settings_for: "SettingsFor",
    *,
    benchmark: str,
    path: Path,
    prompts: Sequence[VideoPrompt],
    images: Mapping[str, Path] | None = None,
) -> "Work":
    """The videos of some prompts; `images` holds the first frame of each image name, for image-to-video."""
    from eval.driver.work import Work, job_of
    from eval.vbench.folder import VideoFolder

    if settings_for(options.settings, image=None).num_output_frames == 1:
        raise ValueError(f"{options.model} is asked for one frame; choose a model of videos, or num_frames above 1")
    long = long_of(options, LISTS[benchmark], released_long(path, benchmark))
    texts = texts_of([prompt.text for prompt in prompts], long)

    def jobs_of(prompt: VideoPrompt, text: str, number: int) -> list["Job"]:
        image = images.get(prompt.image) if images and prompt.image else None
        same = {"official": prompt.text, "text": text, "base_seed": options.seed, "image": image}
        return [job_of(f"{prompt.text}-{index}.mp4", index=index, **same) for index in range(number)]

    pairs = list(zip(prompts, texts, strict=True))
    allowed = [job for prompt, text in pairs for job in jobs_of(prompt, text, max(prompt.copies, options.samples or 0))]
    asked = [
        job
        for prompt, text in pairs[: options.first]
        for job in jobs_of(prompt, text, options.samples or prompt.copies)
    ]
    remark = f"{len(asked)} videos are asked for; the benchmark's scores are of {NUM_VIDEOS[benchmark]}"
    return Work(
        jobs=asked,
        folder=VideoFolder(options.out, allowed),
        prompt_file=path,
        settings=options.settings,
        remarks=[] if len(asked) == NUM_VIDEOS[benchmark] else [remark],
    )


DRIVER = Driver(
    name="vbench_t2v",
    description=__doc__,
    task="t2v",
    num_outputs=VIDEOS_PER_PROMPT,
    batch_size=1,
    work=work,
    lists=LISTS["vbench"],
    model=VIDEOS,
    num_prompts=NUM_PROMPTS["vbench"],
    num_scored=NUM_VIDEOS["vbench"],
)
