"""What is said of data that changed between stop and resume; of a checkpoint that does not say them nothing."""

import json
from pathlib import Path

from tests.xllmx.run.provenance.test_changed_settings import checkpoint_of
from xllmx.run.provenance.changed_data import KEY, changed_data


def stream(samples: int, digest: str = "a") -> dict[str, dict[str, object]]:
    return {"video": {"samples": samples, "hash": digest}}


def test_other_data_are_said_by_stream(tmp_path: Path) -> None:
    old = checkpoint_of(tmp_path / "old", None)
    assert changed_data(old, stream(3)) == []
    (old / "checkpoint.json").write_text(json.dumps({"step": 2, KEY: stream(3)}))
    assert changed_data(old, stream(3)) == []
    assert changed_data(old, stream(5, "b")) == ["video has 5 samples, and had 3"]
    (said,) = changed_data(old, stream(3, "b"))
    assert said == "video has as many samples as it had (3), but others, or made otherwise"
