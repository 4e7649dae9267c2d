"""Which options go with which engine; what is wrong is said before anything is loaded."""

import argparse
from typing import Any

import pytest

from lumos.cli.options.engine import add_sampling_engine, check_sampling_engine
from xllmx.ranks import ray_cluster
from xllmx.settings.setting import SettingError


def options_of(*words: str, **more: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_sampling_engine(parser)
    return argparse.Namespace(**{"device": None, **vars(parser.parse_args(words)), **more})


def test_by_default_this_process_works() -> None:
    options = options_of()
    check_sampling_engine(options, {"WORLD_SIZE": "8", "RANK": "3"})
    assert (options.engine, options.ray_address, options.ray_actors) == ("local", None, None)


@pytest.mark.parametrize(
    ("words", "more", "environment", "said"),
    [
        (["--ray-actors", "2"], {}, {}, r"^ray_actors is 2; it goes with --engine ray$"),
        (["--ray-address", "a:1"], {}, {}, r"^ray_address is 'a:1'; it goes with --engine ray$"),
        (
            ["--engine", "ray", "--ray-actors", "0"],
            {},
            {},
            r"^ray_actors is 0; it must be a whole number of at least 1$",
        ),
        (["--engine", "ray"], {"device": "cuda:1"}, {}, r"^device is 'cuda:1'; Ray gives each actor its own GPU"),
        (["--engine", "ray"], {"device_map": "auto"}, {}, r"^device_map spreads one model .* leave one of them out$"),
        (["--engine", "ray"], {"max_memory": {0: 1}}, {}, r"^max_memory goes with --device-map, .* leave one of them"),
        (["--engine", "ray"], {"stream": True}, {}, r"^stream shows a clip while it is made here, .* leave one of"),
        (["--engine", "ray"], {}, {"WORLD_SIZE": "8", "RANK": "1"}, r"^engine is ray, .* and 8 processes were started"),
        (
            ["--engine", "ray"],
            {},
            {"SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"},
            r"and 4 processes were started; start one, without torchrun, and with srun --ntasks 1$",
        ),
    ],
)
def test_what_does_not_go_together_is_said(
    words: list[str], more: dict[str, Any], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        check_sampling_engine(options_of(*words, **more), environment)


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r"^engine is ray, .* run: pip install 'lumos-open\[ray\]'$"):
        check_sampling_engine(options_of("--engine", "ray"), {})
