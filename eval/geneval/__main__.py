"""Images for GenEval, in the folder its scorer takes: `OUT/00012/{samples/00003.png, grid.png, metadata.jsonl}`.

    torchrun --nproc-per-node 8 -m eval.geneval --model 1B/stage-2-joint --out outputs/geneval
    python -m eval.check geneval outputs/geneval

553 prompts, 4 images each. The model sees the rewritten prompts; what is written beside the images is the official
metadata (`python -m eval.prompts` brings both). The same command goes on where it was stopped.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eval.driver.beginning import IMAGES
from eval.driver.command import Driver, drive
from eval.geneval.prompts import IMAGES_PER_PROMPT, LISTS, NUM_PROMPTS, read_official, rewritten_in
from eval.geneval.recipe import said_before_sampling
from eval.prompts.lists import long_of, texts_of

if TYPE_CHECKING:
    from eval.driver.work import Work
    from lumos.cli.jobs.pipeline import SettingsFor


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return drive(DRIVER, arguments)


def work(options: argparse.Namespace, settings_for: "SettingsFor") -> "Work":
    """The images that the options ask for."""
    from eval.driver.work import Work, job_of
    from eval.geneval.folder import PromptFolders

    path = LISTS.find(options.prompts)
    records = read_official(path)
    prompts = [record["prompt"] for record in records]
    texts = texts_of(prompts, long_of(options, LISTS, rewritten_in(path)))
    num_images = options.samples or IMAGES_PER_PROMPT
    jobs = [
        job_of(f"{number:05d}/{index:05d}.png", official=prompt, index=index, text=text, base_seed=options.seed)
        for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
        for index in range(num_images)
    ]
    metadata = {f"{number:05d}": json.dumps(record) for number, record in enumerate(records)}
    folder = PromptFolders(options.out, metadata=metadata, num_images=num_images)
    if options.first:
        jobs = jobs[: options.first * num_images]
    asked = len(jobs) // num_images, num_images
    scored = NUM_PROMPTS, IMAGES_PER_PROMPT
    remark = f"{asked[0]} prompts with {asked[1]} images; GenEval's scores are of {scored[0]} with {scored[1]}"
    return Work(
        jobs=jobs,
        folder=folder,
        prompt_file=path,
        settings={**options.settings, "num_frames": 1},
        remarks=[] if asked == scored else [remark],
    )


DRIVER = Driver(
    name="geneval",
    description=__doc__,
    task="t2i",
    num_outputs=IMAGES_PER_PROMPT,
    batch_size=IMAGES_PER_PROMPT,
    work=work,
    lists=LISTS,
    model=IMAGES,
    num_prompts=NUM_PROMPTS,
    num_scored=NUM_PROMPTS * IMAGES_PER_PROMPT,
    scoring=said_before_sampling,
)

if __name__ == "__main__":
    sys.exit(main())
