"""What a server knows of both models."""

from pathlib import Path

from lumos.cli.models.door import find_model
from lumos.cli.serving.loaded_models import loaded


def test_the_two_models_are_told_apart(ckpts: Path) -> None:
    lumos, lumina = (loaded(name, find_model(name, ckpts, device="cpu")) for name in ("lumos-tiny", "lumina-tiny"))
    assert (lumos.tasks, lumina.tasks) == (("t2i", "t2v", "i2v"), ("t2i", "t2v"))
    assert (lumos.changes_prompts, lumina.changes_prompts) == (True, False)
    assert (lumos.presets, "f24F96R960" in lumina.presets) == ((), True)
    for served in (lumos, lumina):
        settings = served.pipeline.settings_for({"num_inference_steps": 2})
        assert served.num_steps(settings) == 2
        assert served.num_seconds(settings) == 2
