"""A whole clip of Lumos-1, and how soon its first picture is there: codes frame by frame, the first one decoded."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from benchmarks.arithmetic import clip_bytes, generation
from benchmarks.device.findings import Findings, Row
from benchmarks.device.place import Place
from benchmarks.lumos1.work import Work, random_model, random_prompt
from lumos.lumos1.sampling import cost
from lumos.lumos1.sampling.decode import generate
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.request import ClipRequest
from lumos.tokenizer.export import export_pair
from lumos.tokenizer.network import CausalVideoTokenizer
from lumos.tokenizer.visual import VisualTokenizer


def clip(place: Place) -> Findings:
    """Return the seconds to the first latent frame, to the first picture and to the end; and the memory, on a GPU."""
    work, device = place.sizes.clip, place.device
    with TemporaryDirectory() as folder:
        torch.manual_seed(0)
        export_pair(CausalVideoTokenizer(place.sizes.visual), Path(folder))
        visual = VisualTokenizer.from_pretrained(folder, device=device)
    model = random_model(work, dtype=torch.bfloat16, device=device)
    most = place.sizes.visual.num_codes
    visual.decode(torch.zeros(1, 1, *work.grid, dtype=torch.long))  # kernels are chosen
    frames: list[float] = []
    pictures: list[float] = []
    if place.is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()

    def on_frame(index: int, codes: Tensor) -> None:
        codes = codes.cpu()  # waits for it
        frames.append(time.perf_counter() - start)
        if index == 0:
            visual.decode(codes[:, None] % most).cpu()
            pictures.append(time.perf_counter() - start)

    made = generate(model, request(work, num_steps=place.sizes.clip_steps), on_frame=on_frame)
    one, whole = (generation(work, frames=n, num_steps=place.sizes.clip_steps) for n in (1, work.num_latent_frames))
    codes_s = time.perf_counter() - start
    visual.decode(made.codes % most).cpu()
    all_s = time.perf_counter() - start
    first_best, best = (
        None if place.gpu is None else place.gpu.seconds(cost.generation_flops(model.config, each))
        for each in (one, whole)
    )
    found = Findings(
        rows=[
            Row(name="first latent frame", value=frames[0], unit="s", best=first_best),
            Row(name="first picture, decoded", value=pictures[0], unit="s"),
            Row(name=f"{len(frames)} latent frames", value=codes_s, unit="s", best=best),
            Row(name="the clip, decoded", value=all_s, unit="s"),
        ]
    )
    if place.is_cuda:
        peak, reckoned = torch.cuda.max_memory_allocated(device), clip_bytes(work)
        found.rows.append(
            Row(name="memory at its peak, decoding too", value=peak / 2**30, unit="GiB", best=reckoned / 2**30)
        )
    return found


def request(work: Work, *, num_steps: int) -> ClipRequest:
    """Return what one clip of random text asks for."""
    return ClipRequest(
        prompt_ids=[random_prompt(work)],
        grid=work.grid,
        num_latent_frames=work.num_latent_frames,
        fps=12,
        duration=2,
        sampler=generation(work, frames=work.num_latent_frames, num_steps=num_steps).settings.sampler,
        noise=[GeneratorNoise(0)],
    )
