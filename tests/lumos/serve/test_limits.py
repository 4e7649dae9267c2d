"""A clip that is too large is refused under the name of what said its size."""

from types import SimpleNamespace

import pytest

from lumos.serve.faults import RequestError
from lumos.serve.limits import Limits


@pytest.mark.parametrize(("said_by", "param"), [({}, "size"), ({"said_by": "target_size"}, "target_size")])
def test_a_clip_that_is_too_large_names_what_said_its_size(said_by: dict[str, str], param: str) -> None:
    clip = SimpleNamespace(width=4096, height=4096, num_output_frames=1)
    with pytest.raises(RequestError, match="4096x4096 is 16777216 pixels; this server makes at most") as refused:
        Limits().check_clip(clip, num_steps=1, **said_by)
    assert (refused.value.status, refused.value.param) == (413, param)
