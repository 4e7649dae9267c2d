"""What a benchmark says of its outputs: seeds, and the entries of their records."""

from eval.driver.work import job_of, num_prompts, seed_of


def test_a_seed_depends_on_base_prompt_and_index_and_nothing_else() -> None:
    seeds = {
        seed_of(base, prompt, index) for base in (0, 1, 11) for prompt in ("a", "A", "1\na") for index in (0, 1, 11)
    }
    assert len(seeds) == 27
    assert all(0 <= seed < 2**48 for seed in seeds)
    assert seed_of(3, "a cat", 2) == 165574813268818  # printf '3\n2\na cat' | sha256sum, the first 12 digits


def test_a_job_shows_the_model_the_rewritten_prompt_and_is_seeded_by_the_official_one() -> None:
    jobs = [job_of(f"{n}.mp4", official="a cat", index=n, text=f"a cat, {n}", base_seed=3) for n in range(3)]
    assert [job.prompt for job in jobs] == ["a cat, 0", "a cat, 1", "a cat, 2"]
    assert (jobs[2].seed, jobs[2].notes) == (165574813268818, {"official_prompt": "a cat", "index": 2})
    assert num_prompts(jobs) == 1
