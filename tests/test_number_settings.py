"""Every number a user can set, in every config class: NaN, infinities, absurd sizes and wrong types are refused."""

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import torch
from jaxtyping import TypeCheckError

import eval as eval_package
import lumos
import pre_tokenize
import xllmx
from lumos.lumina_video import settings as lumina_settings
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.preset import PRESETS, FlowPreset
from lumos.lumos1.config import LumosConfig, SamplerConfig
from lumos.lumos1.sampling import settings as lumos1_settings
from lumos.lumos1.sampling.noise import NoNoise
from xllmx.settings.number_range import check_number

GIVEN: dict[str, dict[str, Any]] = {
    "eval.ablations.plan.Point": {},
    "eval.ablations.sampling.Scores": {"num": 8, "correct": 0.5, "looks": 0.75},
    "eval.shapes.run.RunConfig": {"model": "m", "out": Path("o")},
    "lumos.cli.jobs.runner.Recipe": {
        "given": {}, "settings_for": partial(lumos1_settings.settings_for, {}), "model": {},
    },
    "lumos.cli.training.preview_config.PreviewConfig": {},
    "lumos.look.report.LookRequest": {},
    "lumos.filming.camera.Camera": {"x": 30.0, "y": 20.0, "scale": 1.5},
    "lumos.filming.clips.ClipSize": {"num_frames": 9, "height": 24, "width": 40},
    "lumos.lumina_video.config.LuminaVideoConfig": {},
    "lumos.lumina_video.scale.Scale": {"frames": 2, "pixels": 4},
    "lumos.lumina_video.settings.LuminaVideoSettings": {
        "width": 64, "height": 32, "num_frames": 8, "fps": 6, "preset": FlowPreset.named("f16F64R512"),
    },
    "lumos.lumina_video.sizes.Compression": {},
    "lumos.lumina_video.training.lora.LoRAConfig": {},
    "lumos.lumina_video.training.run_settings.LuminaVideoOptimConfig": {},
    "lumos.lumina_video.training.run_settings.LuminaVideoTrainerConfig": {"run_dir": Path("r"), "max_steps": 3},
    "lumos.lumina_video.training.task_config.LuminaVideoTaskConfig": {},
    "lumos.lumina_video.training.task_config.ScaleTask": {},
    "lumos.lumina_video.training.parts.text_task.TextNetworkConfig": {},
    "lumos.lumina_video.training.parts.text_task.TextTaskConfig": {},
    "lumos.lumina_video.training.parts.vae_task.VAENetworkConfig": {},
    "lumos.lumina_video.training.parts.vae_task.VAETaskConfig": {},
    "lumos.lumos1.ardf_config.ARDFConfig": {},
    "lumos.lumos1.config.SamplerConfig": {"top_k": 3},
    "lumos.lumos1.model.lora.LoRAConfig": {},
    "lumos.lumos1.sampling.request.ClipRequest": {
        "prompt_ids": [torch.tensor([1])], "grid": (4, 8), "num_latent_frames": 3, "fps": 4, "duration": 2,
        "sampler": SamplerConfig(), "noise": [NoNoise()],
    },
    "lumos.lumos1.sampling.settings.Settings": {"width": 64, "height": 32, "num_frames": 8, "fps": 4, "duration": 2},
    "lumos.lumos1.sampling.frames.sight.Window": {"num_frames": 4, "num_kept": 2},
    "lumos.lumos1.training.items.length_limit.LengthLimit": {"max_length": 100},
    "lumos.lumos1.training.task_config.LumosTaskConfig": {"code_levels": (5, 4, 3)},
    "lumos.serve.limits.Limits": {},
    "lumos.shapes.dataset.Format": {},
    "lumos.shapes.spec.ObjectSpec": {"shape": "star", "colour": "red"},
    "lumos.shapes.spec.ShapeSpec": {"objects": (), "ground": "white"},
    "lumos.tokenizer.network.NetworkConfig": {},
    "lumos.tokenizer.task.TokenizerTaskConfig": {},
    "lumos.tokenizer.vocab.Vocab": {},
    "pre_tokenize.products.encode.Limits": {},
    "pre_tokenize.products.latents.LatentTarget": {"modality": "video", "size": 64, "fps": 4, "most_seconds": 3},
    "pre_tokenize.shapes_latents.Speed": {},
    "pre_tokenize.products.codes.Target": {"modality": "video", "size": 64, "fps": 4, "duration": 2},
    "xllmx.optimisation.optim_config.OptimConfig": {},
    "xllmx.ranks.machines.Machines": {},
    "xllmx.ranks.parallel_config.ParallelConfig": {},
    "xllmx.trainer_config.TrainerConfig": {"run_dir": Path("r"), "max_steps": 3},
}  # fmt: skip
"""Class of settings -> what it cannot be made without."""

MADE_BY_US = {
    "lumos.cli.training.estimate.sharded_run.ShardedRun", "lumos.cli.training.estimate.sharded_run.Turn",
    "lumos.cli.training.estimate.sharded_run.StreamSize", "lumos.look.clips.clip_set.ClipSet",
    "xllmx.ranks.data_sheets.DataSheet", "xllmx.ranks.machines.Traffic",
    "lumos.media.shards.known_shards.KnownShards",
    "lumos.cli.training.estimate.lumina_dry_run.LuminaVideoEstimate",
    "lumos.cli.training.estimate.lumina_dry_run.TaskEstimate",
    "lumos.lumina_video.data.latents.LatentClip", "lumos.lumina_video.data.latents.VAEIdentity",
    "lumos.lumina_video.training.items.image_files.ImageSample", "lumos.lumina_video.training.items.samples.Item",
    "lumos.lumina_video.training.items.samples.Sample", "lumos.media.decoding.chosen_frames.ChosenFrames",
    "lumos.lumina_video.training.items.clip_files.ClipSample", "lumos.lumina_video.training.items.clip_plans.ClipPlan",
    "lumos.lumina_video.training.items.listed_rows.ListedFile", "lumos.lumina_video.encoding.clip_window.ClipWindow",
    "lumos.media.decoding.video_facts.VideoFacts", "xllmx.data.visits.Visit",
    "lumos.media.made_for.MadeFor",
    "eval.ablations.jobs.Job", "eval.ablations.plan.Run",
    "lumos.serve.door._Body", "xllmx.checkpoints.stored.StoredCheckpoints", "xllmx.ranks.actor_pool._Member",
    "xllmx.store.folder_copy.ListedFile", "pre_tokenize.lists.table.Table", "xllmx.run.notices._Kind",
    "pre_tokenize.products.pixels.Pixels", "pre_tokenize.products.motion_scores.Score",
    "pre_tokenize.engines.ray_actors.Shard",
    "eval.benchmark.Benchmark", "eval.check.findings.Findings", "eval.check.media.Expected", "eval.check.media.Media",
    "eval.custom.jobs.Task", "eval.driver.command.Driver", "eval.driver.run.Done", "eval.geneval.judge.Detection",
    "eval.prompts.sources.Source",
    "eval.report.published.Published", "eval.report.scores.Score", "eval.report.scores.Scores",
    "eval.report.sheets.Picture", "eval.report.table.Table", "eval.shapes.codec.Codec",
    "eval.shapes.comparing.cost.Cost",
    "eval.shapes.motion.MotionPoint", "eval.shapes.partway.PartwayPoint", "eval.shapes.long.LongClips",
    "eval.shapes.change.ChangedClips", "lumos.lumos1.training.initial_weights.Source",
    "lumos.lumos1.sampling.frames.sight.Sight", "lumos.media.first_frames.FirstFrames",
    "eval.shapes.comparing.scales.ScalesRow", "eval.shapes.comparing.side_by_side.Way",
    "eval.shapes.pictures.beside.Seen", "xllmx.run.whole_training.Part",
    "eval.shapes.prompts.Record",
    "lumos.conventions.call.CallWords", "lumos.conventions.job.Ticket", "lumos.conventions.output.PipelineOutput",
    "eval.shapes.score.Report", "eval.shapes.score.Result", "eval.vbench.prompts.VideoPrompt",
    "eval.vbench.totals.Dimension", "lumos.cli.checks.Check", "lumos.cli.generation.estimate.Estimate",
    "lumos.cli.jobs.prompts.Prompt", "lumos.cli.jobs.runner.Job", "lumos.cli.jobs.runner.Made",
    "lumos.cli.jobs.runner.Generated", "lumos.cli.jobs.ray_sampler.Loading",
    "lumos.cli.jobs.runner.Plan", "lumos.cli.jobs.runner.Planned", "lumos.cli.jobs.workers.Worker",
    "lumos.cli.models.kind.ClipCost", "lumos.cli.models.kind.Memory", "lumos.cli.models.kind.ModelKind",
    "lumos.cli.training.estimate.dry_run.RunEstimate", "lumos.cli.training.estimate.dry_run.Stream",
    "lumos.cli.training.listed_files.LookedFor", "lumos.hub.transfer.RemoteFile",
    "lumos.lumina_video.data.recorded_shapes.RecordedShapes",
    "lumos.lumina_video.network.layout.Layout", "lumos.lumina_video.pipeline.LuminaVideoOutput",
    "lumos.lumina_video.preset.Moment", "lumos.lumina_video.preset.Passes", "lumos.lumos1.output.LumosOutput",
    "lumos.lumos1.generation.clip_groups.ClipAsked", "lumos.lumos1.sampling.cost.Generation",
    "lumos.lumos1.sampling.frames.frame_codes.FrameCodes", "lumos.lumos1.sampling.frames.frame_codes.Leading",
    "lumos.lumos1.sampling.noise.GeneratorNoise", "lumos.lumos1.sampling.request.FinishedFrame",
    "lumos.lumos1.sampling.schedule.Step", "lumos.lumos1.sequence.Clip",
    "lumos.lumos1.training.cost.BatchLoad", "lumos.lumos1.training.cost.SequenceShape",
    "lumos.lumos1.training.items.length_limit.Selection", "lumos.lumos1.training.items.samples.Sample",
    "lumos.media.decoding.video.Shown",
    "lumos.serve.generation.engine.Made", "lumos.serve.generation.engine.Progressed",
    "lumos.serve.generation.engine.Work", "lumos.serve.generation.models.ServedModel",
    "lumos.serve.storage.jobs.Job", "lumos.serve.storage.jobs.JobRequest",
    "lumos.shapes.caption.ObjectClaim", "lumos.filming.scene.Thing",
    "lumos.shapes.wordings._Body", "lumos.shapes.describe.ObjectReading", "lumos.shapes.segment.Blob",
    "eval.shapes.look.Look", "lumos.look.clips.code_clips._Seen", "lumos.look.clips.latent_clips._Seen",
    "lumos.look.clips.provenance.Provenance", "pre_tokenize.dry_run.DryRun", "pre_tokenize.dry_run.Kept",
    "pre_tokenize.bookkeeping.ledger.Skip", "pre_tokenize.engines.pace.Pace", "pre_tokenize.lists.item.Item",
    "xllmx.kernels.attention.Spans", "xllmx.ranks.actor_pool.Crew",
    "pre_tokenize.lists.item.Stretch", "xllmx.store.local_copy.LocalCopies",
    "xllmx.data.broken.Drawn", "xllmx.data.broken.Fault",
    "xllmx.data.order.BatchOrder", "xllmx.loss.LossOutput", "xllmx.loss._Options", "xllmx.settings.number_range.Range",
    "lumos.media.sets.data_yaml.Entry", "xllmx.subset.Subset",
    "xllmx.plot.Curve", "xllmx.ranks.accounting.Sharding", "xllmx.ranks.accounting.StateBytes",
    "xllmx.safe.plain_pickle.Seen", "xllmx.task.Prepared", "xllmx.ranks.slurm.SlurmTask", "xllmx.trainer.FitResult",
    "xllmx.ranks.slurm.SlurmArray", "xllmx.ranks.slurm.SlurmJob", "xllmx.ranks.slurm.SlurmStep",
    "pre_tokenize.bookkeeping.share._Pair",
}  # fmt: skip
"""Classes with numbers that nobody sets: results, and what is made of settings that were checked."""

OWN_TEST = {
    "lumos.lumina_video.preset.FlowPreset", "pre_tokenize.bookkeeping.place.Place",
    "xllmx.lora_config.AdapterConfig",
}  # fmt: skip

WRONG: dict[type, tuple[Any, ...]] = {
    float: (math.nan, math.inf, -math.inf, 1e308, -1e308),
    int: (10**30, -(10**30), True),
}
"""Values of the right type that no setting takes."""
REFUSED = (ValueError, TypeCheckError)
"""Where types are checked at every call (tests/run.sh), a value of another type does not come as far as ours."""
OF_OTHER_TYPES: dict[type, tuple[Any, ...]] = {
    float: (True, "1", None, [1.0], 1j, 10**400),
    int: (1.5, math.nan, "1", None, [1], False),
    bool: (1, 0, "true", None, 1.0),
}


def classes() -> dict[str, type]:
    """Every dataclass of the packages, by its whole name."""
    found = {}
    for package in (lumos, xllmx, eval_package, pre_tokenize):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                content = importlib.import_module(module.name)
                own = (item for item in vars(content).values() if isinstance(item, type))
                found |= {
                    f"{item.__module__}.{item.__qualname__}": item
                    for item in own
                    if dataclasses.is_dataclass(item) and item.__module__ == content.__name__
                }
    return found


CLASSES = classes()


def kinds_in(hint: Any) -> set[type]:
    if hint in (int, float, bool):
        return {hint}
    return set().union(*map(kinds_in, get_args(hint))) if get_args(hint) else set()


def placed(hint: Any, value: Any) -> Any:
    """The value where the annotation has a number: itself, or in a list of as many as there must be."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return placed(arguments[0], value)
    if origin is dict:
        return {"video": value}
    if origin is Mapping:
        return {"turn": value}
    if isinstance(origin, type) and issubclass(origin, tuple) and arguments[-1] is not Ellipsis:
        return (*[arguments[0](0.5)] * (len(arguments) - 1), value)
    if isinstance(origin, type) and not isinstance(None, origin) and issubclass(origin, tuple | list):
        return (value,)
    if origin is not None and getattr(origin, "__name__", "") == "Sequence":
        return (value,)
    return value


def numbers_of(cls: type) -> list[tuple[str, Any]]:
    hints = {field.name: field.type for field in dataclasses.fields(cls) if field.init}
    from_numbers = {
        name for name, hint in hints.items() if get_args(hint)[:1] == (int,) and get_origin(hint) is Mapping
    }
    return [(name, hint) for name, hint in hints.items() if kinds_in(hint) and name not in from_numbers]


def is_optional_list(hint: Any) -> bool:
    return any(get_origin(option) is tuple for option in get_args(hint))


def test_every_class_with_numbers_is_looked_at_here_or_nobody_sets_it() -> None:
    with_numbers = {name for name, cls in CLASSES.items() if numbers_of(cls)}
    assert with_numbers == GIVEN.keys() | MADE_BY_US | OWN_TEST


CASES = [
    pytest.param(name, field, hint, wrong, id=f"{name.rpartition('.')[2]}.{field}={str(wrong)[:8]}")
    for name in GIVEN
    for field, hint in numbers_of(CLASSES[name])
    for kind in sorted(kinds_in(hint), key=str)
    for wrong in WRONG.get(kind, ())
    if not (wrong is True and bool in kinds_in(hint)) and not is_optional_list(hint)
]


def test_there_are_cases() -> None:
    assert len(CASES) > 400


@pytest.mark.parametrize(("name", "field", "hint", "wrong"), CASES)
def test_no_setting_takes_it(name: str, field: str, hint: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"{field}\b") as raised:
        CLASSES[name](**{**GIVEN[name], field: placed(hint, wrong)})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", GIVEN)
def test_a_setting_of_another_type_is_refused(name: str) -> None:
    hints = get_type_hints(CLASSES[name], include_extras=True)
    for field, hint in numbers_of(CLASSES[name]):
        kinds = kinds_in(hint)
        if len(kinds) > 1 or is_optional_list(hint):
            continue
        for wrong in OF_OTHER_TYPES[next(iter(kinds))]:
            if wrong is None and type(None) in get_args(hint):
                continue
            with pytest.raises(ValueError, match=field):
                check_number(field, hints[field], placed(hint, wrong))


LUMOS = {
    name: hint
    for name, hint in get_type_hints(LumosConfig.__init__, include_extras=True).items()
    if len(kinds_in(hint)) == 1 and name != "return"
}


@pytest.mark.parametrize("name", LUMOS)
def test_a_model_config_takes_none_of_it(name: str) -> None:
    kind = next(iter(kinds_in(LUMOS[name])))
    for wrong in (*WRONG.get(kind, ()), *OF_OTHER_TYPES[kind]):
        if wrong is not None:
            with pytest.raises(REFUSED, match=name):
                LumosConfig(**{name: wrong})


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e308, -1e308, True])
@pytest.mark.parametrize("key", ["ts", "renorm", "cfg", "motion", "negMotion"])
def test_a_preset_takes_none_of_it(key: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=key):
        FlowPreset.from_dict({**PRESETS["f16F64R512"], key: wrong})
    if key != "ts" and key != "renorm":
        with pytest.raises(ValueError, match=key):
            FlowPreset.from_dict({**PRESETS["f16F64R512"], key: [6, [0.5, wrong]]})


CALLED = [math.nan, math.inf, -math.inf, 1e308, 10**30, -1, "x", [1], True]


@pytest.mark.parametrize("wrong", CALLED, ids=str)
def test_a_call_of_lumos_1_takes_none_of_it(wrong: Any) -> None:
    for name in lumos1_settings.SETTING_NAMES:
        if name == "confidence_temperature" or (wrong is True and name in lumos1_settings._FLAGS):
            continue
        with pytest.raises(REFUSED, match=name):
            lumos1_settings.resolve_settings({}, {name: wrong})


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e308, 10**30, "x", True], ids=str)
def test_a_call_of_lumina_video_takes_none_of_it(wrong: Any) -> None:
    for name in ("width", "height", "num_frames", "fps", "duration", "num_inference_steps", "guidance_scale", "motion"):
        with pytest.raises(ValueError, match=name):
            lumina_settings.settings_for({}, {name: wrong}, config=LuminaVideoConfig.named("MultiScaleNextDiT_2B"))
