"""The fast sampling equals the literal one, token for token, for the same noise."""

import pytest
import torch

from benchmarks.lumos1.literal import GumbelNoise, LiteralDecoder, literal_codes
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import generate_codes

GRID = (8, 4)
PROMPT = torch.tensor([256, 70, 71, 72])


@pytest.mark.parametrize("temperature", ["released", "per_frame"])
def test_fast_sampling_gives_the_codes_of_the_literal_one(tiny_model: LumosForCausalLM, temperature: str) -> None:
    sampler = SamplerConfig(num_steps=4, guidance_scale=3.0, confidence_temperature=temperature)
    noise = GumbelNoise(5, GRID[0] * GRID[1])
    literal = literal_codes(
        tiny_model, PROMPT, grid=GRID, num_latent_frames=3, clock=(6, 2), sampler=sampler, noise=noise
    )
    fast = generate_codes(
        tiny_model, [PROMPT], grid=GRID, num_latent_frames=3, fps=6, duration=2, sampler=sampler, noise=[noise]
    )
    assert fast[0].equal(literal)
    other = literal_codes(
        tiny_model, PROMPT, grid=GRID, num_latent_frames=3, clock=(6, 2), sampler=sampler, noise=GumbelNoise(6, 32)
    )
    assert not other.equal(literal)


def test_literal_branch_gives_the_models_own_logits(tiny_model: LumosForCausalLM) -> None:
    text = torch.tensor([256, 70, 71, tiny_model.vocab.separator, 8, 12, 16])
    with torch.inference_mode():
        decoder = LiteralDecoder(tiny_model, [text], grid=GRID)
        ids = decoder._frame(torch.arange(32))
        literal = decoder._branches[0].logits(ids)
        whole = tiny_model(torch.cat([text[None], ids], dim=1)).logits[:, len(text) :]
    torch.testing.assert_close(literal, whole, atol=1e-4, rtol=1e-4)
