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
from typing import TYPE_CHECKING, Any

from eval.driver.command import Driver, drive
from eval.prompts.lists import texts_of
from eval.vbench.prompts import LISTS, NUM_VIDEOS, VIDEOS_PER_PROMPT, VideoPrompt, read_videos

if TYPE_CHECKING:
    from eval.driver.plan import Work


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 after one line that says what to mend, 130 after Ctrl-C."""
    return drive(DRIVER, arguments)


def work(options: argparse.Namespace, defaults: Mapping[str, Any]) -> "Work":
    """The videos that the options ask for."""
    path = LISTS["vbench"].find(options.prompts)
    return work_of(options, defaults, benchmark="vbench", path=path, prompts=read_videos(path, "vbench"))


def work_of(
    options: argparse.Namespace,
    defaults: Mapping[str, Any],
    *,
    benchmark: str,
    path: Path,
    prompts: Sequence[VideoPrompt],
    images: Mapping[str, Path] | None = None,
) -> "Work":
    """The videos of some prompts; `images` holds the first frame of each image name, for image-to-video."""
    from eval.driver.folders import VideoFolder
    from eval.driver.plan import Work
    from eval.driver.samples import Sample
    from lumos.lumos1.sampling.settings import resolve_settings

    if resolve_settings(defaults, options.settings).num_latent_frames == 1:
        raise ValueError(f"{options.model} is asked for one frame; choose a model of videos, or num_frames above 1")
    long = None if options.short else options.long or LISTS[benchmark].long_path()
    texts = texts_of([prompt.text for prompt in prompts], long)

    def samples_of(prompt: VideoPrompt, text: str, number: int) -> list[Sample]:
        image = images.get(prompt.image) if images and prompt.image else None
        return [
            Sample(name=f"{prompt.text}-{index}.mp4", prompt=prompt.text, index=index, text=text, image=image)
            for index in range(number)
        ]

    pairs = list(zip(prompts, texts, strict=True))
    allowed = [s for prompt, text in pairs for s in samples_of(prompt, text, max(prompt.copies, options.samples or 0))]
    asked = [
        s for prompt, text in pairs[: options.first] for s in samples_of(prompt, text, options.samples or prompt.copies)
    ]
    remark = f"{len(asked)} videos are asked for; the benchmark's scores are of {NUM_VIDEOS[benchmark]}"
    return Work(
        samples=asked,
        folder=VideoFolder(options.out, allowed),
        prompt_file=path,
        settings=options.settings,
        remarks=[] if len(asked) == NUM_VIDEOS[benchmark] else [remark],
    )


DRIVER = Driver(name="vbench_t2v", description=__doc__, num_samples=VIDEOS_PER_PROMPT, batch_size=1, work=work)
