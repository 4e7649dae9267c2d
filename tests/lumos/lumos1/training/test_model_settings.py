"""What a training starts from is a model of its own kind."""

import pytest

from lumos.lumos1.training.model_settings import read_model_config
from lumos.lumos1.training.task_config import LumosTaskConfig


def test_a_model_of_lumina_video_is_none_to_start_from() -> None:
    with pytest.raises(ValueError, match=r"lumina-tiny holds a model of Lumina-Video, and this takes one of Lumos-1"):
        read_model_config(LumosTaskConfig(init_from="lumina-tiny"))
