"""The fast sampling of Lumina-Video equals the literal one, written from the equations."""

import pytest
import torch

from benchmarks.lumina_video.literal import literal_latents, literal_velocity
from lumos.lumina_video.flow import FlowPreset, noise_for, sample_latents
from tests.lumos.lumina_video.tiny import DEFAULTS, LATENT_CHANNELS, TEXT_WIDTH, tiny_dit

TEXT, NEGATIVE = torch.randn(2, 6, TEXT_WIDTH, generator=torch.Generator().manual_seed(2))
MASKS = torch.arange(6) < torch.tensor([6, 3])[:, None]
SHAPE = (LATENT_CHANNELS, 2, 8, 12)


@pytest.mark.parametrize("scale", ["1x2", "2x2", "2x4"])
@pytest.mark.parametrize("motion", [-1.0, 4.0])
@pytest.mark.parametrize("num_frames", [1, 2])
def test_the_network_is_its_equations(scale: str, motion: float, num_frames: int) -> None:
    model, x, t = tiny_dit(), torch.randn(LATENT_CHANNELS, num_frames, 8, 12), torch.tensor(0.3)
    with torch.no_grad():
        literal = literal_velocity(model, x, t, (NEGATIVE, MASKS[1]), motion, scale)
        whole = model(x[None], t[None], NEGATIVE[None], MASKS[1:], torch.tensor([motion]), scale=scale)[0]
    torch.testing.assert_close(literal, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("renorm", [-1.0, 1.2])
def test_fast_sampling_gives_the_latents_of_the_literal_one(renorm: float) -> None:
    model, noise = tiny_dit(), noise_for(5, SHAPE)
    preset = FlowPreset.from_dict({**DEFAULTS["preset"], "step": 7, "renorm": renorm, "negMotion": [-1, [0.2, 3.0]]})
    with torch.no_grad():
        states, negative_states = literal_latents(
            model, noise, preset=preset, text=(TEXT, MASKS[0]), negative=(NEGATIVE, MASKS[1])
        )
    fast: list[torch.Tensor] = []
    sample_latents(
        model,
        noise[None],
        preset=preset,
        text=TEXT[None],
        text_mask=MASKS[:1],
        negative_text=NEGATIVE[None],
        negative_mask=MASKS[1:],
        on_step=lambda index, state: fast.append(state[0]),
    )
    torch.testing.assert_close(torch.stack(states[1:]), torch.stack(fast), atol=1e-4, rtol=0)
    assert len(negative_states) == len(states) == preset.num_points


def test_in_bf16_both_round_alike_at_each_step() -> None:
    model, noise = tiny_dit().bfloat16(), noise_for(5, SHAPE)
    preset = FlowPreset.from_dict({**DEFAULTS["preset"], "cfg": 0.0})
    with torch.no_grad():
        states, _ = literal_latents(model, noise, preset=preset, text=(TEXT, MASKS[0]), negative=(NEGATIVE, MASKS[1]))
    fast = sample_latents(model, noise[None], preset=preset, text=TEXT[None], text_mask=MASKS[:1])[0]
    moved = (fast - noise).norm()
    assert (states[-1] - fast).norm() < 0.03 * moved
