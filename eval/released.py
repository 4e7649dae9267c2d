"""The released commands `inference_{t2i,t2v,i2v}.py`: their flags as words of the drivers here, which do the work.

    --part "[1, 4]" --cluster "[1, 2]"        part 1 of 4 on machine 1 of 2: --part 1,8
    --prompt_source geneval|vbench|custom     which driver: eval.geneval, eval.vbench_t2v, eval.vbench_i2v, eval.custom
    --timesteps 50 --cfg 16 ...               what people edited in the files: settings of the pipeline
    --save_path F --caption_path F --video_path F    --out, --prompts, --images of the driver

Every other word is handed on as it stands: what the driver takes (--model, --samples, --dry-run, width=448) is taken.
"""

import argparse
import importlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from lumos.cli.jobs.workers import part_of
from lumos.cli.options.spelling import said_as_options
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

DRIVERS = {
    "t2i": {"geneval": "eval.geneval.__main__", "custom": "eval.custom.__main__"},
    "t2v": {"vbench": "eval.vbench.t2v", "custom": "eval.custom.__main__"},
    "i2v": {"vbench": "eval.vbench.i2v", "custom": "eval.custom.__main__"},
}
"""Task -> --prompt_source -> module whose `main` makes the outputs; the first source is the default."""

SETTINGS = {
    "mask_history_ratio": ("mask_history_ratio", "share of finished frames hidden from later ones"),
    "target_size": ("target_size", "352 (448x256), 528 (672x384), 656 (768x480)"),
    "timesteps": ("num_inference_steps", "refinements of a latent frame"),
    "cfg": ("guidance_scale", "guidance"),
    "duration_placeholder": ("duration", "whole seconds"),
    "fps_placeholder": ("fps", "frames per second"),
}
"""Flag -> setting of the pipeline, and what it is."""

PLACES = {
    "save_path": ("--out", "folder of the results, e.g. ckpts/generated_results/3B_images"),
    "caption_path": ("--prompts", "the list"),
    "video_path": ("--images", "folder of the first frames, for image to video"),
}
"""Flag -> option of the driver, and what it is."""

NEEDLESS = {"visual_tokenizer": "Cosmos-Tokenizer-DV4x8x8", "vp_mode": "given1"}
"""Flag -> the one value it has: the tokenizer comes with the model, and image to video has one given frame."""

_NEARLY = 0.85
"""How alike, 0 to 1, a misspelt flag is; no two names of options are that much so."""

CAPTIONS = ("default", "long_qwen32b_vl", "short")


def sample(task: str, arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`) of the released command for a task."""

    def command() -> int:
        module, words = translated(task, arguments)
        driver: Any = importlib.import_module(module)
        return int(driver.main(words))

    return status_of(f"inference_{task}", command, words=arguments)


def translated(task: str, arguments: Sequence[str] | None = None) -> tuple[str, list[str]]:
    """The driver's module, and its command line.

    Raises ValueError for a flag whose value it does not have, or that is misspelt.
    """
    options, rest = _parser(task).parse_known_args(arguments)
    _refuse_misspelt(rest, vars(options))
    source = options.prompt_source
    with said_as_options(vars(options), separator="_"):
        part, cluster = part_of(options.part or "1,1"), part_of(options.cluster or "1,1", option="cluster")
    index, number = (cluster[0] - 1) * part[1] + part[0], cluster[1] * part[1]
    words = [task] if source == "custom" else []
    words += ["--part", f"{index},{number}"] if options.part or options.cluster else []
    for flag, (option, _) in PLACES.items():
        words += [option, value] if (value := getattr(options, flag, None)) is not None else []
    words += ["--short"] if options.caption_type == "short" else []
    settings = [
        f"{setting}={value}" for flag, (setting, _) in SETTINGS.items() if (value := getattr(options, flag)) is not None
    ]
    return DRIVERS[task][source], [*words, *settings, *rest]


def _refuse_misspelt(words: Sequence[str], flags: Iterable[str]) -> None:
    """Refuse, as a ValueError, a word for the driver that is nearly a flag of the release."""
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        if near := get_close_matches(option[2:].replace("-", "_"), list(flags), n=1, cutoff=_NEARLY):
            raise ValueError(f"unknown option {option}; did you mean --{near[0]}?")


def _parser(task: str) -> argparse.ArgumentParser:
    parser = OptionParser(
        prog=f"inference_{task}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sources = tuple(DRIVERS[task])
    add("--part", metavar="i,n", help='part i of n, from 1; "[i, n]" says the same')
    add("--cluster", metavar="i,n", help="machine i of n, each of which has all parts")
    add("--prompt_source", choices=sources, default=sources[0], help=f"the list (default: {sources[0]})")
    add("--caption_type", choices=CAPTIONS, default=CAPTIONS[0], help="short: the prompts that were not rewritten")
    for flag, (option, what) in PLACES.items():
        if flag != "video_path" or task == "i2v":
            add(f"--{flag}", metavar="PATH", help=f"{what} ({option})")
    for flag, (setting, what) in SETTINGS.items():
        add(f"--{flag}", metavar="X", help=f"{what} ({setting}=X)")
    for flag, value in NEEDLESS.items():
        if flag != "vp_mode" or task == "i2v":
            add(f"--{flag}", choices=(value,), help="may be left out: there is no other")
    return parser
