"""`lumos doctor`: a whole model passes, a broken one is told what it needs."""

import json
import shutil
from pathlib import Path
from tests.lumos.cli.console import Lumos


def test_doctor_passes_a_whole_model_and_names_what_a_broken_one_needs(
    lumos: Lumos, ckpts: Path, tmp_path: Path
) -> None:
    status, said, _ = lumos("doctor")
    assert status == 0, said
    assert all(line.startswith("OK") for line in said.splitlines())
    assert "96x64" in said
    broken = Path(shutil.copytree(ckpts / "lumos-tiny", tmp_path / "broken"))
    config = json.loads((broken / "config.json").read_text())
    config["vocab"]["mask"], config["vocab"]["video_end"] = config["vocab"]["video_end"], config["vocab"]["mask"]
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:-9])
    status, said, _ = lumos("doctor", "--model", "./broken")
    assert status == 1
    failed = [line for line in said.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert "bytes where its header says" in failed[0]
    assert "model and text tokenizer disagree" in failed[1]
    status, said, _ = lumos("doctor", "--model", "3B/stage-2-joint")
    assert status == 1
    assert "run: lumos download 3B/stage-2-joint" in said
