"""Every command that is shown is run here, small, or is marked with what it needs that is not here.

All of them are read by their own parser, settings and files included, so that a word that is renamed is found at once.
A command that is newly written anywhere fails until it stands in `STORY` or matches a pattern of `NEEDS`.
"""

import argparse
import contextlib
import importlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lumos.cli.evaluate import PROGRAMS
from lumos.cli.training.training_run import load_run
from lumos.lumina_video.training.text import TextRunConfig
from lumos.lumina_video.training.vae import VAERunConfig
from lumos.tokenizer.training import TokenizerRunConfig
from tests.documented_commands import REPO, Command, documented
from xllmx.run.option_parser import OptionParser
from xllmx.settings.config import load_config

COMMANDS = documented()
CONFIGS = {
    "lumos.lumina_video.training.text": TextRunConfig,
    "lumos.lumina_video.training.vae": VAERunConfig,
    "lumos.tokenizer.training": TokenizerRunConfig,
}
"""Module -> its settings; all others are runs of one of the two models."""

NEEDS = {
    r"^(python3 -m venv|source|pip|git|curl|hf|cd|nvidia-smi|apt|export|conda|uv|docker)\b": "the network",
    r"^bash (tests/run|exps/quickstart|exps/lumos_tiny)\.sh": "minutes to hours: tests/test_run.py, tests/exps",
    r"lumos download|python -m eval\.prompts( --from| *$)": "the network or others' lists: tests/eval/prompts",
    r"exps/ablations\.sh(?! --dry-run$)|python -m eval\.ablations|plot .?runs/ablations": "hours: tests/eval/ablations",
    r"^cp -r exps/ablations": "a run of the above",
    r"^lumos serve( (?!--dry-run)|$)": "a server in a process of its own: tests/lumos/cli/test_serve.py",
    r"bash benchmarks/gpu\.sh": "a GPU",
    r"python -m benchmarks\.(?!arithmetic|lumina_video\.arithmetic)": "minutes: tests/benchmarks has them small",
    r"(1B|3B)[/_]|Alpha-VLLM|ckpts/cosmos|--part [12],[24]|--weights int8|LoRA": "released weights",
    r"python eval/inference_|eval/inference_(geneval|vbench)|eval\.geneval\.score": "others' lists: tests/eval",
    r"bash eval/scorers/": "the official scorers: tests/eval/test_scorers.py",
    r"python -m eval\.(check|report)\b": "images of 553 prompts, scores: tests/eval/check, report",
    r"NUM_NODES|torchrun|^srun": "several machines or GPUs: tests/exps/test_launch.py",
    r"^sbatch": "Slurm: tests/exps/test_slurm_jobs.py",
    r"pre_tokenize\.outstanding": "the array's own output: tests/pre_tokenize/test_outstanding.py",
    r"lumos\.lumina_video\.training\.(vae|text)": "minutes to hours of a core: tests/test_configs.py runs them small",
    r"lumina_f8F32R256|Lumina_f8F32R256|tasks/f8F32R256": "a released model: tests/lumos/cli/training",
    r"pre_tokenize\.photographs|exps/tiny_visual": "the network: tests/pre_tokenize/test_photographs.py",
    r"python -m eval\.codec": "the reader's own clips: tests/eval/test_codec.py",
    r"--out data/tiny/(\w+/[wng]|eval_)": "minutes: tests/pre_tokenize/test_shapes.py has such words small",
    r"tiny-visual|my_\w*(clips|latents)|one of the captions": "the reader's own clips: tests/exps/test_own_clips.py",
    r"^LUMOS_FAULTS_": "minutes to hours: tests/faults runs them small",
    r"--to latents|shapes_latents": "a VAE: tests/pre_tokenize/products/test_latents.py, test_shapes.py",
    r"pre_tokenize\.(motion|concat_records)": "the reader's own records: tests/pre_tokenize",
    r"python -m eval\.shapes run --kinds plain": "64 clips",
    r"python -m eval\.shapes (run --num 280|run --model models/mine|score|gallery|compare)|prompts\|score": "280 clips",
    r"python -m eval\.shapes (long|change)": "minutes: tests/eval/shapes/test_long.py has them small",
    r"python -m eval\.shapes (side-by-side|scales|motion|partway)": "hours: tests/eval/shapes has them small",
    r"(generate|eval\.shapes run) --model lumina-tiny": "its weights: tests/test_bundled.py, test_shown_prompts.py",
    r"python -m eval\.shapes beside": "clips of two models: tests/eval/shapes/pictures/test_beside.py",
    r"lumos evaluate (?!shapes look)": "as python -m eval: tests/lumos/cli/test_evaluate.py",
    r"--modality image --input_file images\.csv|--splits 4|--output_dir data/video$": "pictures, cores",
    r"s3://": "a bucket: tests/pre_tokenize/bookkeeping/test_work.py, tests/lumos/cli/test_export.py",
    r"--engine ray": "Ray: tests/pre_tokenize/engines/test_ray_engine.py, tests/lumos/cli/jobs/test_ray_jobs.py",
    r"xllmx\.plot runs/lumos-tiny": "the runs of the bundled model",
    r"\b(RUN|FOLDER|NAME|COMMAND|FILE|IMAGES|CONFIG|FILE\.json)\b": "something of the reader's own",
    r"configs/train/quickstart.yaml trainer.max_steps=100": "minutes; the run of README.md is that",
    r"configs/train/debug.yaml trainer.max_steps=100": "clips; the run of its head is that",
    r"generate (--fast|--from-json|--model)?$": "more words",
}
"""Pattern -> what a command that it matches needs and is not here, and where that is tested instead."""

TINY = ["trainer.batch_size.video=1", "trainer.log_every=1"]
SMALL = ["--steps", "1", "--num-frames", "5"]
STORY: dict[str, list[str]] = {
    "lumos doctor": [],
    "bash pre_tokenize/run_tokenization.sh": [],
    "python -u pre_tokenize/concat_record.py --sub_record_dir pre_tokenize/data/test_video "
    "--save_path pre_tokenize/data/test_video/merge-record.json --merge_sub_tasks": [],
    "python -m lumos.shapes.dataset --out data/clips --num 48": ["--num", "4"],
    "bash pre_tokenize/run_tokenization.sh --modality video --input_file videos.csv --output_dir data/video "
    "--size 64x64 --target_fps 6 --target_duration 2 --visual_tokenizer lumos-tiny": [],
    "python pre_tokenize/concat_record.py --output_dir data/video": [],
    "lumos train --config configs/train/quickstart.yaml trainer.run_dir=runs/mine "
    "task.data.video=data/video/index.json": ["trainer.max_steps=2", *TINY],
    "bash exps/launch.sh configs/train/quickstart.yaml trainer.run_dir=runs/mine "
    "task.data.video=data/video/index.json": ["trainer.max_steps=3", *TINY],
    "python -m lumos.train --config configs/train/debug.yaml trainer.run_dir=runs/debug task.data.video=CLIPS": [],
    "lumos tokenize --modality video --input_file videos.csv --output_dir data/video "
    "--size 64x64 --target_fps 6 --target_duration 2 --visual_tokenizer lumos-tiny": [],
    "lumos train --config configs/train/debug.yaml trainer.run_dir=runs/debug task.data.video=CLIPS": [],
    "lumos look videos.csv --size 64x64 --target_fps 6 --target_duration 2": [],
    "lumos look videos.csv --size 64x64 --target_fps 6 --target_duration 2 --out before.png": [],
    "lumos look data/video --out sheet.png": ["--num", "2"],
    "lumos plot runs/mine --out curves.png": [],
    "lumos export runs/mine models/mine": [],
    "lumos generate --model models/mine --prompt 'a red circle moves to the right'": SMALL,
    "lumos generate --prompt 'a red circle moves to the right on a white background'": SMALL,
    "lumos generate --prompt 'a red circle moves to the right'": ["--out", "other.mp4", *SMALL],
    "lumos generate --prompt 'a red circle moves to the right' --out circle.mp4": SMALL,
    "lumos evaluate shapes look circle.mp4": [],
    "lumos generate --prompt 'a purple ring above an orange square' --num-frames 1 --seed 3": ["--steps", "1"],
    "lumos generate --prompt 'a red circle moves to the right' --num 4 --seed 1 --scale 4 --format webm": SMALL,
    "lumos generate --prompt 'a blue square rises' --image eval/prompts/images/blue_square.png --out square.gif": SMALL,
    "lumos generate --from-json square.gif.json --out again.gif": [],
    "lumos generate --prompt 'a red circle moves to the right' --stream --out growing.mp4": SMALL,
    "lumos generate --prompt 'a green ring shrinks' --fast": SMALL,
    "lumos generate --prompt-file eval/prompts/custom_t2v.json --batch-size 8 --out outputs/t2v": SMALL,
    "lumos look outputs/t2v --out outputs.png": [],
    "bash eval/inference_custom_t2v.sh": ["num_inference_steps=1", "num_frames=5"],
    "bash eval/inference_custom_t2i.sh --prompts mine.jsonl --samples 4 --seed 7 num_inference_steps=20": [
        "num_inference_steps=1"
    ],
    "python -m eval.shapes run --model lumos-tiny --out outputs/shapes": ["--num", "2", "--kinds", "t2i"],
    "python -m eval.shapes cost --model lumos-tiny --out outputs/shapes": ["--repeats", "1", "num_inference_steps=1"],
    "python -m eval.shapes prompts --kind t2v --num 280 --out t2v.json": ["--num", "4"],
    "python -m eval.shapes look outputs/clip.mp4 --prompt 'a red star turns'": [],
    "python -m eval.shapes codec --num 280": ["--num", "2"],
    "python -m eval.shapes codec --model lumos-tiny": ["--num", "2"],
    "python -m eval.shapes codec --model ckpts/lumina-tiny/vae --num 64": ["--num", "2"],
    "python -m eval.shapes.geneval prompts --num 12 --out shapes.jsonl": [],
    "python -m pre_tokenize.shapes --out data/tiny/video --num 30000 --tokenizer lumos-tiny": ["--num", "2"],
    "python -m pre_tokenize.shapes --out data/words --num 15000 --wordings many --motions turn=4 --off-grid 0.5": [
        "--num", "2",
    ],
    "python -m lumos.tokenizer.text_training --out ckpts/lumos-tiny/text_tokenizer.json --num-codes 4375": [
        "--num-captions", "50", "--out", "tokenizer.json",
    ],
    "lumos generate --model 3B/stage-2-joint-384p --prompt 'A kite' --dry-run --gpu A100": [],
    "lumos train --config configs/train/1B_stage_2_joint.yaml --dry-run --gpus 48": [],
    "lumos train --config configs/train/1B_lora.yaml --dry-run --size 672x384": [],
    "lumos serve --dry-run": [],
    "bash exps/ablations.sh --dry-run": [],
    "lumos train --keys decay": [],
    "lumos train --keys ema model=lumina_video": [],
    "python -m lumos.lumos1.drawings --out assets/lumos1.png": [],
    "python -m benchmarks.arithmetic": [],
    "python -m benchmarks.arithmetic --generation": [],
    "python -m benchmarks.arithmetic --first_run": [],
    "python -m benchmarks.lumina_video.arithmetic": [],
    "python -m eval.prompts --help": [],
    "python -m eval.custom --help": [],
    "python -m eval.geneval --help": [],
    "python -m eval.vbench_t2v --help": [],
    "python -m eval.vbench_i2v --help": [],
}  # fmt: skip
"""What is run, in this order: a command as it is shown (a comparison of words) -> words that make it small."""


class Parsed(BaseException):
    """Raised by the parser of a program once it has read a command line."""

    def __init__(self, parser: OptionParser, options: Any = None) -> None:
        self.parser, self.options = parser, options


def key(text: str) -> tuple[str, ...]:
    words = shlex.split(text)
    return tuple(words)


def program_of(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """The module that a command runs, and its command line; None for another program."""
    match _without_launcher(words):
        case ["lumos", "tokenize", *options]:
            return "pre_tokenize.__main__", options
        case ["lumos", *options] | ["python", "-m", "lumos" | "lumos.cli", *options]:
            return "lumos.cli.commands", options
        case ["python", "-m", module, *options]:
            package = REPO.joinpath(*module.split(".")).is_dir()
            return (f"{module}.__main__" if package else module), options
        case ["python", "-u", script, *options] | ["python", script, *options]:
            return script.removesuffix(".py").replace("/", "."), options
        case ["bash", "pre_tokenize/run_tokenization.sh", *options]:
            return f"pre_tokenize.{'__main__' if options else 'parallel_tokenization_video'}", options
        case ["bash", "eval/launch.sh", name, *options]:
            return program_of(["python", "-m", f"eval.{name}", *options])
        case ["bash", script, *options] if found := re.fullmatch(
            r"eval/inference_(custom|\w+?)(?:_(t2i|t2v|i2v))?\.sh", script
        ):
            name = found[1] if found[1] in ("custom", "geneval") else f"{found[1]}_{found[2]}"
            return program_of(["python", "-m", f"eval.{name}", *([found[2]] if name == "custom" else []), *options])
        case ["bash", "exps/launch.sh", config, *overrides]:
            return "lumos.cli.training.training_run", ["--config", config, *overrides]
        case ["bash", script, *overrides] if "_Stage_" in script:
            return _recipe(script, overrides)
    return None


def _recipe(script: str, overrides: list[str]) -> tuple[str, list[str]]:
    config = re.search(r"configs/train/\w+\.yaml", (REPO / script).read_text())
    assert config is not None
    words = ["--config", config[0], *overrides]
    reckons = "--dry-run" in overrides
    return ("lumos.cli.commands", ["train", *words]) if reckons else ("lumos.cli.training.training_run", words)


def _without_launcher(words: Sequence[str]) -> Sequence[str]:
    """The words without those of torchrun; those of `lumos evaluate` and of a script as the program they stand for."""
    if list(words[:2]) == ["bash", "exps/ablations.sh"]:
        return ["python", "-m", "eval.ablations", *words[2:]]
    if list(words[:2]) == ["lumos", "evaluate"] and len(words) > 2:
        module = PROGRAMS.get(words[2], ("",))[0].removesuffix(".__main__")
        return ["python", "-m", module, *words[3:]] if module else ["bash"]
    return ["python", *words[words.index("-m") :]] if words[0] == "torchrun" and "-m" in words else words


def cleaned(words: Sequence[str]) -> list[str]:
    """The words without what stands for others: [optional], a|b, key=value, ..."""
    text = re.sub(r"(?:^|(?<=\s))\[[^\]]*\]+", "", shlex.join(words).replace("'", "\0")).replace("\0", "'")
    kept = [word for word in shlex.split(text) if word not in ("...", "key=value")]
    return [word.split("|")[0] if re.fullmatch(r"[\w|]+", word) else word for word in kept]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Parsed]:
    """Has a module read a command line; gives its parser and what it read, or fails with what the program says."""
    plain = OptionParser.parse_args, OptionParser.parse_intermixed_args

    def parse(module: str, words: list[str], *, complete: bool) -> Parsed:
        for name, original in zip(("parse_args", "parse_intermixed_args"), plain, strict=True):

            def read(self: OptionParser, args: Any = None, namespace: Any = None, original: Any = original) -> None:
                raise Parsed(self, original(self, args, namespace) if complete else None)

            monkeypatch.setattr(OptionParser, name, read)
        loaded = importlib.import_module("lumos.cli.training.training_run" if module == "lumos.train" else module)
        try:
            status = loaded.main(words)
        except Parsed as parsed:
            return parsed
        raise AssertionError(f"status {status}: {capsys.readouterr().err}")

    monkeypatch.chdir(REPO)
    return parse


def cases() -> list[Any]:
    return [pytest.param(one, id=f"{one.place}: {one.text}"[:120]) for one in COMMANDS if program_of(one.words)]


@pytest.mark.parametrize("command", cases())
def test_a_command_is_understood_by_its_program(command: Command, parse: Callable[..., Parsed]) -> None:
    program = program_of(cleaned(command.words))
    assert program is not None
    module, words = program
    if "--help" in words:
        return  # run below
    if not command.whole:
        parsed = parse(module, words, complete=False)
        _assert_options_are_known(parsed.parser, words)
        return
    parsed = parse(module, words, complete=not command.text.endswith("..."))
    options = parsed.options
    config = getattr(options, "config", None)
    if config is not None and not str(config).isupper():
        if module in CONFIGS:
            load_config(CONFIGS[module], config, options.overrides)
        else:
            load_run(config, options.overrides)


def _assert_options_are_known(parser: Any, words: Sequence[str]) -> None:
    """Those of the program, or of its command that is the first word."""
    known = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and words and words[0] in action.choices:
            known |= set(action.choices[words[0]]._option_string_actions)
    options = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    assert [option for option in options if option not in {name.replace("_", "-") for name in known}] == []


def test_files_that_commands_name_are_there() -> None:
    named = {
        word for one in COMMANDS for word in one.words if re.match(r"(configs|exps|eval/prompts|eval/\w+\.sh)", word)
    }
    assert len(named) > 10
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []


def test_every_command_is_run_or_marked() -> None:
    run = {key(text) for text in STORY}
    complete = [one for one in COMMANDS if one.whole or len(one.words) > 3]
    unmarked = [
        f"{one.place}: {one.text}"
        for one in complete
        if tuple(one.words) not in run and not any(re.search(pattern, one.text) for pattern in NEEDS)
    ]
    assert unmarked == []


def test_no_mark_and_no_run_is_of_a_command_that_is_gone() -> None:
    shown = {tuple(one.words) for one in COMMANDS}
    assert [text for text in STORY if key(text) not in shown] == []
    assert [pattern for pattern in NEEDS if not any(re.search(pattern, one.text) for one in COMMANDS)] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
def test_commands_run_as_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of the repository, one after the other: what one makes, the next ones take.

    Scripts run as they are; programs of Python in this process, or each would spend its time on imports.
    """
    copy = tmp_path / "copy"
    shutil.copytree(REPO, copy, ignore=_left_out)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("PYTHONPATH", str(copy))
    monkeypatch.setenv("LUMOS_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONWARNINGS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    failed = []
    for text, small in STORY.items():
        words = [word.replace("=CLIPS", "=data/debug") for word in [*shlex.split(text), *small]]
        status, said = _in_a_shell(words) if words[0] == "bash" else _in_this_process(words)
        if status:
            failed.append(f"{text}: status {status}: {said[-600:]}")
        _prepare_next(copy, text)
    assert failed == []


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What people's own work has put into a checkout, and what no command reads."""
    own = {"runs", "data", "outputs", "models"} if Path(folder) == REPO else {"__pycache__", "golden"}
    return {name for name in names if name in own or name.startswith(".")}


def _in_a_shell(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def _in_this_process(words: list[str]) -> tuple[int, str]:
    program = program_of(words)
    assert program is not None
    module, options = program
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            loaded = importlib.import_module("lumos.cli.training.training_run" if module == "lumos.train" else module)
            return loaded.main(options), said.getvalue()
        except SystemExit as end:  # --help
            return int(end.code or 0), said.getvalue()


def _prepare_next(copy: Path, text: str) -> None:
    """Put there what the reader of the commands behind this one has."""
    if text == "lumos doctor":
        from lumos.lumos1.data.writing import ClipWriter
        from tests.tiny_data import make_clip

        with ClipWriter(copy / "data" / "debug") as writer:
            for index in range(8):
                writer.add(make_clip(index, 4))
        (copy / "mine.jsonl").write_text('{"prompt": "a red circle"}\n')
    elif "shapes.dataset" in text:
        shutil.copy(copy / "data" / "clips" / "clips.csv", copy / "videos.csv")
        (copy / "outputs").mkdir()
        shutil.copy(copy / "data" / "clips" / "00000.mp4", copy / "outputs" / "clip.mp4")
