"""The official metadata itself."""

from collections import Counter
from pathlib import Path

from eval.geneval.prompts import NUM_PROMPTS, read_official


def test_geneval_has_553_prompts_and_excludes_on_all_counting_ones(shared_data: Path) -> None:
    records = read_official(shared_data / "prompts" / "geneval_evaluation_metadata.jsonl")
    assert len(records) == NUM_PROMPTS == 553
    assert Counter(r["tag"] for r in records if "exclude" in r) == {"counting": 80}
