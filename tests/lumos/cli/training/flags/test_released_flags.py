"""The command lines of the release: every flag becomes its setting, or is taken with the reason why it becomes none."""

import json
import re
from pathlib import Path

import pytest

from lumos.cli import main as lumos_main
from lumos.cli import train
from lumos.cli.commands import parser
from lumos.cli.training.flags.released_flags import _SWITCHES, RELEASED_FLAGS, translated
from lumos.cli.training.train_program import _parser
from lumos.cli.training.training_run import RunConfig, load_run, main
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config

OWN = ["--config", "--debug", "--help"]
STAGE_1 = """--init_from ckpts/1B/stage-1-image --no_resume_iterations --no_resume_metric_logger --model_size 1B_MMRoPE
    --batch_size 1 --accum_iter 1 --epochs 100 --warmup_epochs 0.0025 --lr 5e-5 --min_lr 5e-5 --wd 0.1 --clip_grad 4
    --data_config configs/data/image.yaml --cache_ann_on_disk --num_workers 32 --output_dir output/1B_image
    --save_iteration_interval 3000 --ckpt_max_keep 20 --checkpointing --max_seq_len 32768 --unmask_image_logits
    --dropout 0.05 --z_loss_weight 0 --pretrain_task predict_video --visual_tokenizer Cosmos-Tokenizer-DV4x8x8
    --vis_tok_start 65536 --vocab_size 129536 --train_with_vis_tok --train_with_slim_lm_head --cfg_mode text_only
    --masking_mode text_to_video --MaskedAR --mask_schedule cosine --min_masking_rate 0.7 --mask_type tube
    --train_loss CE --no_ntp_loss --frame_closs_recorder --eval_in_epoch 200 --eval_mode text_to_video --run_eval
    --eval_data_config configs/data/image.yaml --data_parallel fsdp --model_parallel_size 1 --precision bf16
    --grad_precision fp32 --pin_mem --seed 3"""
STAGE_2 = (
    STAGE_1.replace("stage-1-image", "stage-2-joint-384p")
    .replace("--data_config configs/data/image.yaml", "--data_config configs/data/video.yaml")
    .replace("--lr 5e-5 --min_lr 5e-5", "--lr 2.5e-5 --min_lr 2.5e-5")
    .replace("3000", "1000")
    .replace("32768", "65536")
    + " --joint_img_video --img_data_config configs/data/image.yaml --img_batch_size 6 --video_iter_per_img_iter 1"
    " --video_fps 12 --video_duration 2 --data_video_fps 12 --data_video_frames 84"
)
WITHOUT_A_PART = {"--no_resume_iterations", "--no_resume_metric_logger", "--cache_ann_on_disk", "--pin_mem"}


@pytest.mark.parametrize(("line", "recipe"), [(STAGE_1, "1B_stage_1_image"), (STAGE_2, "1B_stage_2_joint")])
def test_a_released_command_line_is_our_recipe(repo: Path, line: str, recipe: str) -> None:
    found = load_run(None, translated(line.split(), own=OWN).words)
    ours = load_config(RunConfig, repo / "configs" / "train" / f"{recipe}.yaml")
    assert isinstance(found, RunConfig)
    assert (found.optim, found.parallel.activation_checkpointing) == (ours.optim, True)
    for name in ("epochs", "clip_grad_norm", "precision", "save_every", "keep", "schedule", "epoch_stream"):
        assert getattr(found.trainer, name) == getattr(ours.trainer, name), name
    for name in ("init_from", "model_config", "max_length", "duration_s", "ardf", "next_token_weight", "focal_gamma"):
        assert getattr(found.task, name) == getattr(ours.task, name), name
    assert found.task.data["video"] == [*ours.task.data.values()][-1]
    assert found.trainer.batch_size["video"] == 1
    assert (found.trainer.run_dir, found.trainer.seed) == (Path("output/1B_image"), 3)
    assert (found.trainer.eval_in_epoch, found.task.eval_data) == (200, {"video": "configs/data/image.yaml"})
    assert (found.task.model, found.task.eval_modes) == ({"dropout": 0.05}, ("text_to_video",))


def test_each_flag_is_said_in_a_line_with_its_setting_or_the_reason() -> None:
    said = translated(STAGE_2.split(), own=OWN).said
    lines = {line.split()[0]: line for line in said}
    assert len(said) == len(lines) == STAGE_2.count("--")
    assert lines["--lr"].split() == ["--lr", "2.5e-5", "optim.lr=2.5e-5"]
    for name in WITHOUT_A_PART:
        assert " nothing (" in lines[name]
    assert "nothing (config.json of --init_from says the size" in lines["--model_size"]


FLAGS = """init_from no_resume_iterations no_resume_metric_logger model_size batch_size img_batch_size accum_iter epochs
    warmup_epochs lr min_lr wd clip_grad data_config img_data_config eval_data_config num_workers output_dir
    save_iteration_interval ckpt_max_keep save_interval checkpointing max_seq_len unmask_image_logits dropout
    z_loss_weight pretrain_task video_fps video_duration data_video_fps data_video_frames cfg_mode masking_mode
    text_to_video_prob MaskedAR mask_schedule min_masking_rate mask_contiguous_region_prob noise_type
    predict_all_tokens mask_type train_loss decay_start_coef no_ntp_loss compute_ntp_loss train_with_vis_tok
    train_with_slim_lm_head vis_tok_start vocab_size visual_tokenizer frame_closs_recorder joint_img_video
    video_iter_per_img_iter eval_in_epoch eval_mode run_eval cache_ann_on_disk pin_mem no_pin_mem
    disable_length_clustering seed only_save_trainable no_auto_resume resume_path model_parallel_size data_parallel
    precision grad_precision mask_image_logits"""


def test_the_table_holds_every_flag_of_the_release() -> None:
    assert sorted(RELEASED_FLAGS) == sorted(FLAGS.split())


def test_the_page_shows_the_whole_table(repo: Path) -> None:
    section = (repo / "lumos" / "lumos1" / "README.md").read_text().partition("## 13.")[2]
    shown = dict(re.findall(r"`--(\w+)`(?: `--\w+`)* \| (.*) \|$", section, re.M))
    named = {name for row in re.findall(r"^\| (`--.*?) \|", section, re.M) for name in re.findall(r"--(\w+)", row)}
    assert named == set(RELEASED_FLAGS)
    assert [name for name in shown if (key := RELEASED_FLAGS[name].key) and f"`{key}`" not in shown[name]] == []


@pytest.mark.parametrize("name", RELEASED_FLAGS)
def test_every_flag_becomes_a_setting_there_is_or_says_why_not(name: str) -> None:
    flag = RELEASED_FLAGS[name]
    shown = {
        "numbers": "1",
        "number": "1",
        "text": "mask" if name == "noise_type" else "cosine",
        "list": "text_to_video",
    }
    values = list(flag.values) or [shown.get(flag.takes, "")]
    needs = [f"--{flag.needs}"] if flag.needs else []
    for value in values:
        needs += ["--decay_start_coef 0.5"] if value == "CEDecay" else []
        needs += [] if name == "compute_ntp_loss" else ["--no_ntp_loss"]
        words = [*" ".join([*needs, f"--{name}", value]).split(), "--output_dir", "o"]
        found = translated(words, own=OWN)
        (line,) = [line for line in found.said if line.split()[0] == f"--{name}"]
        assert "=" in line or "nothing (" in line
        epochs = [] if name == "epochs" else ["trainer.epochs=1"]
        start = ["optim.lr=2"] if name == "min_lr" else []
        load_run(None, [*found.words, *epochs, *start])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--no_ntp_loss --lr 1 --compute-ntp-loss",
            "--no_ntp_loss and --compute_ntp_loss are both given, and say the opposite; leave one of them out",
        ),
        ("--learning_rate 3", r"unknown option --learning_rate; it is --lr$"),
        (
            "--dry-run",
            r"unknown option --dry-run; lumos train --help and .*README\.md, section 13 and .*, section 6, list",
        ),
        ("--batch_sise 3", r"unknown option --batch_sise; did you mean --batch_size\?"),
        ("--confg x", r"unknown option --confg; did you mean --config\?"),
        ("--lr", r"--lr needs a value behind it"),
        ("--lr --wd 0.1", r"--lr needs a value behind it"),
        ("--lr fast", r"--lr is 'fast'; it must be a number"),
        ("--video_duration 2 4", r"--video_duration is '2 4'; a run has one: give one number"),
        ("--checkpointing=yes", r"--checkpointing takes no value; leave it out"),
        ("--model_size 0.5B_XMMRoPE", r"--model_size is '0\.5B_XMMRoPE'; it must be one of 0\.5B, 1B, 3B, 7B, 34B"),
        (
            "--model_parallel_size 2",
            r"--model_parallel_size is '2'; it must be one of 1 \(training is not cut by tensors",
        ),
        ("--train_loss CEDecay", r"--train_loss CEDecay needs --decay_start_coef X: frame f weighs X\^f"),
        ("--train_loss L2", r"--train_loss is 'L2'; it must be one of CE, CEChunked, Focal, CEDecay"),
    ],
)
def test_a_wrong_flag_is_named_with_what_to_type(words: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        translated(words.split(), own=OWN)


def test_flags_settings_and_own_options_go_together_and_settings_win() -> None:
    words = "trainer.max_steps=3 --lr=1e-3 --config a=b.yaml --masking_mode text_to_video video_next_frame optim.lr=1"
    found = translated([*words.split(), "--output-dir", "a: b"], own=OWN).words
    assert found == [
        "--config", "a=b.yaml", 'trainer.run_dir="a: b"', "optim.lr=1e-3",
        'task.ardf.modes=["text_to_video", "video_next_frame"]', "trainer.max_steps=3", "optim.lr=1",
    ]  # fmt: skip


def test_the_loss_on_the_text_is_on_without_no_ntp_loss_as_released_and_never_beside_a_config() -> None:
    on = "task.next_token_weight=1"
    assert on in translated(["--lr", "1"], own=OWN).words
    assert on not in translated(["--lr", "1", "--config", "a.yaml"], own=OWN).words
    assert on not in translated(["--lr", "1", "--no_ntp_loss"], own=OWN).words
    assert on not in translated(["trainer.max_steps=1"], own=OWN).words


def test_parts_without_their_other_half_are_said_to_do_nothing() -> None:
    words = "--img_batch_size 6 --eval_in_epoch 3 --decay_start_coef 0.5 --no_ntp_loss"
    found = translated(words.split(), own=OWN)
    assert found.words == ["task.next_token_weight=0"]
    reasons = [line.partition("(")[2] for line in found.said[:2]]
    assert reasons == [f"it has a part only with --{other})" for other in ("joint_img_video", "train_loss CEDecay")]


def test_the_options_of_the_command_are_those_of_its_parser() -> None:
    (commands,) = [action for action in parser()._actions if hasattr(action, "choices") and action.choices]
    options = commands.choices["train"]._option_string_actions
    assert sorted(train.OPTIONS) == sorted(option for option in options if option.startswith("--"))


@pytest.mark.parametrize("program", ["lumos.train", "lumos train"])
def test_a_released_command_line_trains(program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_clips(tmp_path / "clips", num_latent=3)
    words = f"""--data_config {data} --output_dir {tmp_path / "run"} --epochs 1 --batch_size 4 --lr 1e-3
        --precision tf32 --eval_data_config {data} --eval_in_epoch 1 --eval_mode text_to_video --run_eval
        --save_interval 0.5 --checkpointing --disable_length_clustering --noise_type random_replace
        --predict_all_tokens --pin_mem
        --text_to_video_prob 0.5 --masking_mode text_to_video video_next_frame trainer.log_every=1
        --mask_contiguous_region_prob 0.5 trainer.device=cpu trainer.progress=false""".split()
    words.append(f"task.model={json.dumps(MODEL | {'vocab': VOCAB})}")
    assert (main(words) if program == "lumos.train" else lumos_main(["train", *words])) == 0
    said = capsys.readouterr().err
    assert said.startswith("released flags, and the settings they are here:\n")
    assert "\n  --pin_mem  " in said
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["video/text"] > 0 for row in rows)  # without --no_ntp_loss
    assert len(read_metrics(tmp_path / "run", "eval")) == 1
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == [
        "step-00000001",
        "step-00000002",
    ]


def test_settings_behind_an_option_that_takes_nothing_stay_settings_and_win(repo: Path) -> None:
    for switch in ("--dry-run", "--dry_run", "--debug"):
        words = ["--lr", "1", switch, "optim.lr=2", "--size", "64x32", "--keys", "model=lumina_video"]
        found = translated(words, own=train.OPTIONS).words
        assert found.index("optim.lr=1") < found.index("optim.lr=2")
        assert found[:5] == [switch, "--size", "64x32", "--keys", "model=lumina_video"]


def test_the_options_that_take_nothing_are_those_of_the_parsers() -> None:
    (commands,) = [action for action in parser()._actions if hasattr(action, "choices") and action.choices]
    of_both = [*commands.choices["train"]._actions, *_parser()._actions]
    nothing = {option for action in of_both if action.nargs == 0 for option in action.option_strings}
    assert nothing == set(_SWITCHES)
