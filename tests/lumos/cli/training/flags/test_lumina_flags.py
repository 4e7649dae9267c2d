"""The command line of the released training of Lumina-Video: every flag becomes its setting, or is refused."""

import dataclasses
import re
from pathlib import Path

import pytest

from lumos.cli import main as lumos_main
from lumos.cli.training.flags.lumina_flags import LUMINA_FLAGS
from lumos.cli.training.flags.released_flags import RELEASED_FLAGS, translated
from lumos.cli.training.training_run import LuminaVideoRunConfig, load_run, main
from lumos.lumina_video.training.model_settings import read_model_config, with_parts
from tests.lumos.lumina_video import latents as lumina
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config

OWN = ["--config", "--debug", "--help"]
FLAGS = """task_config results_dir model patch_sizes f_patch_sizes qk_norm rope_theta t_scale motion_scale vd_weight lr
    wd grad_clip max_steps ckpt_every global_seed precision grad_precision data_parallel checkpointing no_compile
    cache_data_on_disk no_wandb no_auto_resume resume no_resume_step no_resume_opt no_resume_ema main_load_ema
    init_from master_port"""
RECIPE = """--model 2B_GQA --patch_sizes 2 2 4 --f_patch_sizes 1 2 2 --lr 2e-4 --grad_clip 2 --data_parallel sdp
    --checkpointing --precision bf16 --grad_precision fp32 --qk_norm --global_seed 20 --rope_theta 256 --t_scale 1000
    --motion_scale 20 --vd_weight 1 --results_dir runs/lumina_f8F32R256 --task_config"""


TASKS = "configs/tasks/f8F32R256.py"


@pytest.fixture(autouse=True)
def _in_repo(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)


def task_file(folder: Path, text: str) -> str:
    path = folder / "tasks.py"
    path.write_text(text)
    return str(path)


def test_the_table_holds_every_flag_of_the_release_and_shared_ones_are_the_same() -> None:
    assert sorted(LUMINA_FLAGS) == sorted(FLAGS.split())
    for name in LUMINA_FLAGS.keys() & RELEASED_FLAGS.keys():
        assert (LUMINA_FLAGS[name].takes, LUMINA_FLAGS[name].key) == (
            RELEASED_FLAGS[name].takes, RELEASED_FLAGS[name].key,
        )  # fmt: skip


def test_the_released_command_line_is_our_recipe(repo: Path, tmp_path: Path) -> None:
    found = load_run(None, translated([*RECIPE.split(), TASKS], own=OWN).words)
    ours = load_config(LuminaVideoRunConfig, repo / "configs" / "train" / "lumina_f8F32R256.yaml")
    assert isinstance(found, LuminaVideoRunConfig)
    assert read_model_config(found.task) == read_model_config(ours.task)
    assert dataclasses.replace(with_parts(found.task), model={}, text_encoder="") == dataclasses.replace(
        with_parts(ours.task), model={}, text_encoder=""
    )
    assert Path(with_parts(found.task).text_encoder or "").name == Path(ours.task.text_encoder or "").name
    assert dataclasses.replace(found.optim, schedule="constant") == ours.optim
    assert found.optim.min_lr is None
    assert (found.parallel, found.lora) == (ours.parallel, ours.lora)
    kept = {"save_every": ours.trainer.save_every, "keep": ours.trainer.keep}  # ours saves more often
    assert (found.trainer.max_steps, found.trainer.save_every) == (100000, 50000)
    assert dataclasses.replace(found.trainer, **kept) == ours.trainer
    assert found.engine_settings.together == ours.engine_settings.together


def test_each_flag_is_said_with_its_setting_and_so_is_what_is_released_without_it(tmp_path: Path) -> None:
    said = translated(["--task_config", TASKS, "--lr", "2e-4", "--master_port", "18188"], own=OWN).said
    lines = {" ".join(line[:42].split()): line[43:] for line in said}
    assert lines["--lr 2e-4"] == "optim.lr=2e-4"
    assert lines["--master_port 18188"].startswith("nothing (torchrun --master-port says it")
    assert lines["without --vd_weight"] == "task.cosine_weight=0 (as released)"
    assert lines["without --model"] == "task.architecture=MultiScaleNextDiT_2B_GQA (as released)"
    assert lines["without --rope_theta"] == "task.model.rope_theta=10000 (as released)"


def test_without_model_the_network_is_that_of_the_model_it_starts_from(repo: Path, tmp_path: Path) -> None:
    words = ["--task_config", TASKS, "--init_from", "lumina-tiny", "--results_dir", "r"]
    found = load_run(None, translated(words, own=OWN).words)
    assert isinstance(found, LuminaVideoRunConfig)
    assert (found.task.architecture, found.task.model, found.task.vae) == (None, {}, None)  # it has a VAE


@pytest.mark.parametrize("name", LUMINA_FLAGS)
def test_every_flag_becomes_a_setting_there_is_or_says_why_not(name: str, tmp_path: Path) -> None:
    flag = LUMINA_FLAGS[name]
    shown = {"number": "1", "counts": "2", "text": "x"}
    shown["text"] = TASKS if name == "task_config" else "lumina-tiny" if name == "init_from" else "x"
    for value in list(flag.values) or [shown.get(flag.takes, "")]:
        words = [*f"--{name} {value}".split(), "--results_dir", "o", "model=lumina_video"]
        if flag.refused:
            with pytest.raises(ValueError, match=rf"--{name} has no part here: .*lumos export RUN FOLDER"):
                translated(words, own=OWN)
            continue
        found = translated(words, own=OWN)
        (line,) = [line for line in found.said if line.split()[0] == f"--{name}"]
        assert "=" in line or "nothing (" in line
        load_run(None, found.words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model_size 1B --vd_weight 1", "--vd_weight is of Lumina-Video's training and --model_size of Lumos-1's"),
        ("--model 7B", r"--model is '7B'; it must be one of MultiScaleNextDiT_2B_GQA, 2B_GQA, "),
        ("--patch_sizes 2 x", r"--patch_sizes is '2 x'; it must be whole numbers, for example 2 2 4"),
        ("--patch_sizes", "--patch_sizes needs a value behind it"),
        ("--grad_precision bf16 --max_steps 3", r"it must be one of fp32 \(gradients are summed in fp32\)"),
        ("--vd_wieght 1", r"unknown option --vd_wieght; did you mean --vd_weight\?"),
        ("--sp_size 2", r"unknown option --sp_size; it is said of each task: as sp_size in the file of --task_config"),
        ("--micro-bsz 2", r"as micro_bsz in the file of --task_config, or as task\.tasks\.NAME\.micro_bsz \(lumos/"),
        ("--task_config a --sise 1", r"unknown option --sise; lumos train --help and lumos/lumina_video/README.md, s"),
        ("--vd_weight 1 --accum_itr 3", r"option --accum_itr; lumos train --help and lumos/lumina_video/README.md"),
        ("--vd_weight 1 --learning_rate 3", r"unknown option --learning_rate; it is --lr$"),
        ("--vd_weight 1 --weight_decay 3", r"unknown option --weight_decay; it is --wd$"),
        (
            "--vd_weight 1 --lora_rank 8",
            r"unknown option --lora_rank; lumos train --help and lumos/lumina_video/README",
        ),
        (
            "--vd_weight 1 --work_dir runs",
            r"unknown option --work_dir; lumos train --help and lumos/lumina_video/README",
        ),
        ("--vd_weight 1 --save_every 3", r"unknown option --save_every; it is --ckpt_every$"),
        ("--vd_weight 1 --seed 3", r"give the flags of one \(--seed is --global_seed\)$"),
        ("--vd_weight 1 --num_workers 3", r"\(--num_workers is said of each task: as num_workers in the file"),
        ("--task_config none.py", r"task file none\.py cannot be read"),
        ("--task_config a.py --config b.yaml", "--config and --task_config both say what is trained on what"),
    ],
)
def test_a_wrong_flag_is_named_with_what_to_type(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        translated(words.split(), own=OWN)


def test_flags_go_beside_a_config_and_add_nothing_of_their_own(repo: Path) -> None:
    config = str(repo / "configs" / "train" / "lumina_f8F32R256.yaml")
    words = translated(["--config", config, "--max_steps", "7", "--lr", "3e-4"], own=OWN).words
    assert words == ["--config", config, "optim.lr=3e-4", "trainer.max_steps=7"]
    assert translated(["--lr", "1", "model=lumina_video", "task.x=1"], own=OWN).words[0] == "model=lumina_video"


def test_the_page_shows_the_whole_table(repo: Path) -> None:
    page = (repo / "lumos" / "lumina_video" / "README.md").read_text()
    named = {name for row in re.findall(r"^\| (`--.*?) \|", page, re.M) for name in re.findall(r"--(\w+)", row)}
    assert named == set(LUMINA_FLAGS)
    shown = dict(re.findall(r"`--(\w+)`(?: `--\w+`)* \| (.*) \|$", page, re.M))
    assert [name for name in shown if (key := LUMINA_FLAGS[name].key) and f"`{key}`" not in shown[name]] == []


@pytest.mark.parametrize("name", ["\U0001f600 \u00e4", "\U000e0041\x7f\x85", 'a "b"'])
def test_any_text_of_a_flag_or_task_file_is_the_setting(tmp_path: Path, name: str) -> None:
    tasks = task_file(tmp_path, f"tasks = {{{name!r}: {{'data': {name!r}}}}}\n")
    found = load_run(None, translated(["--task_config", tasks, "--results_dir", name], own=OWN).words)
    assert isinstance(found, LuminaVideoRunConfig)
    assert {task: settings.data for task, settings in found.task.tasks.items()} == {name: name}
    assert str(found.trainer.run_dir) == name


def test_the_vae_of_the_release_is_taken_for_images_that_are_no_latents(tmp_path: Path) -> None:
    for task, vae in (
        ({"media_type": "image", "data": "images.json"}, "ckpts/THUDM/CogVideoX-2b/vae"),
        ({"media_type": "image", "data": str(tmp_path)}, None),
        ({"media_type": "video", "data": "image"}, None),
    ):
        tasks = task_file(tmp_path, f"tasks = {{'image': {task!r}}}\n")
        found = load_run(None, translated(["--task_config", tasks, "--results_dir", "r"], own=OWN).words)
        assert isinstance(found, LuminaVideoRunConfig)
        assert found.task.vae == vae


@pytest.mark.parametrize("program", ["lumos.train", "lumos train"])
def test_the_released_command_line_trains(program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = lumina.task_config(tmp_path)
    tasks = task_file(tmp_path, f"tasks = {lumina.tasks_of(tmp_path)!r}\n")
    words = f"""--task_config {tasks} --results_dir {tmp_path / "run"} --model MultiScaleNextDiT_2B_GQA
        --patch_sizes 2 2 4 --f_patch_sizes 1 2 2 --qk_norm --rope_theta 256 --t_scale 1000 --motion_scale 20
        --vd_weight 1 --lr 1e-3 --wd 0 --grad_clip 2 --max_steps 3 --ckpt_every 2 --global_seed 3 --precision fp32
        --grad_precision fp32 --data_parallel sdp --checkpointing --no_compile --cache_data_on_disk --no_wandb
        --master_port 29501 trainer.device=cpu trainer.progress=false trainer.log_every=1
        task.text_encoder={parts.text_encoder} task.system_prompt=""".split()
    small = {name: value for name, value in parts.model.items() if name not in
             ("all_patch_size", "all_f_patch_size", "qk_norm", "rope_theta", "t_scale", "motion_scale")}  # fmt: skip
    words += [f"task.model.{name}={'null' if value is None else value}" for name, value in small.items()]
    assert (main(words) if program == "lumos.train" else lumos_main(["train", *words])) == 0
    assert "\n  --cache_data_on_disk  " in capsys.readouterr().err
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert {name.split("/")[0] for name in rows[0] if "/" in name} == {"images", "fine", "middle", "coarse"}
    folders = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert folders == ["step-00000002", "step-00000003"]
