"""Programs of strangers: what computes passes, what does more is refused before any of it runs."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lumos.tokenizer.program.loading import load_program
from lumos.tokenizer.program.operators import is_allowed
from lumos.tokenizer.visual import VisualTokenizer

CPU = torch.device("cpu")


def save(module: nn.Module, path: Path, *example: Tensor) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        program = (
            torch.jit.trace(module.eval(), example, check_trace=False) if example else torch.jit.script(module.eval())
        )
    torch.jit.save(program, str(path))
    return path


# --- what tokenizers are made of --------------------------------------------------------------------------------------


def haar(video: Tensor) -> Tensor:
    """Sums and differences of neighbours along time, height and width."""
    for dim in (2, 3, 4):
        even, odd = video.unflatten(dim, (video.size(dim) // 2, 2)).unbind(dim + 1)
        video = torch.cat([(even + odd) * 0.7071, (even - odd) * 0.7071], dim=1)
    return video


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = (
            nn.GroupNorm(1, width),
            nn.Conv3d(width, 3 * width, 1),
            nn.Conv3d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        B, C, T, H, W = x.shape
        q, k, v = self.qkv(self.norm(x)).permute(0, 2, 3, 4, 1).reshape(B * T, H * W, 3 * C).chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(q, k, v)
        scores = torch.softmax(torch.einsum("bic,bjc->bij", q, k) * C**-0.5, dim=-1)
        seen = seen + torch.bmm(scores, v)
        return x + self.out(seen.reshape(B, T, H, W, C).permute(0, 4, 1, 2, 3))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(2, width), nn.Conv3d(width, width, 3, padding=(0, 1, 1))
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.norm(x))
        h = torch.cat([h[:, :, :1].repeat(1, 1, 2, 1, 1), h], dim=2)
        return x + self.drop(F.gelu(self.conv(h)))


class CosmosLike(nn.Module):
    """An encoder and decoder in one, with what the released pair is known to need."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.block, self.attention = nn.Conv3d(24, 6, 1), Block(6), Attention(6)
        self.narrow, self.widen = nn.Conv3d(6, 3, 1), nn.ConvTranspose3d(3, 6, (1, 2, 2), (1, 2, 2))
        self.register_buffer("levels", torch.tensor([8.0, 5.0, 5.0]))
        self.register_buffer("basis", torch.tensor([1, 8, 40]))

    def quantise(self, z: Tensor) -> Tensor:
        half = (self.levels - 1) * 1.001 / 2
        offset = torch.where(self.levels % 2 == 1, 0.0, 0.5)
        bounded = torch.tanh(z + torch.atanh(offset / half)) * half - offset
        return bounded + (bounded.round() - bounded).detach()

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.pad(haar(video.clamp(-1, 1)), (1, 1, 1, 1, 0, 0), mode="replicate")
        x = F.pad(x, (0, 1, 0, 1), mode="constant", value=0.0)
        x = self.attention(self.block(self.project(x)))
        small = F.interpolate(F.avg_pool3d(x, (1, 2, 2)), scale_factor=[1.0, 2.0, 2.0], mode="nearest")
        z = self.narrow(small).permute(0, 2, 3, 4, 1)
        quantised = self.quantise(z.float())
        codes = ((1 - (-quantised) + torch.floor(self.levels / 2) - 1) * self.basis).sum(dim=-1).to(torch.int32)
        table = torch.arange(400, device=codes.device).float()[codes.long().clamp(0, 399)]
        wide = self.widen(z.permute(0, 4, 1, 2, 3))
        up = F.interpolate(wide[:, :, 0], size=[7, 9], mode="bilinear", align_corners=False)
        return codes, quantised.to(video.dtype), up + table.mean()


@pytest.mark.parametrize("how", ["scripted", "traced"])
def test_what_a_cosmos_like_tokenizer_computes_passes_and_is_the_same(tmp_path: Path, how: str) -> None:
    model, video = CosmosLike().eval(), torch.randn(1, 3, 4, 8, 12)
    path = save(model, tmp_path / "a.jit", *([video] if how == "traced" else []))
    for ours, theirs in zip(load_program(path, CPU)(video), model(video), strict=True):
        assert torch.equal(ours, theirs)


LAYERS: list[nn.Module] = [
    nn.Conv1d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    nn.Conv3d(4, 4, 3, padding=1, padding_mode="replicate"), nn.ConvTranspose2d(4, 4, 2, 2),
    nn.ConvTranspose1d(4, 4, 2),
    nn.BatchNorm3d(4), nn.InstanceNorm3d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.RMSNorm(4),
    nn.LocalResponseNorm(2), nn.Linear(4, 4), nn.Bilinear(4, 4, 3), nn.Embedding(5, 4),
    nn.MaxPool3d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool3d(2), nn.AdaptiveMaxPool2d(2), nn.LPPool2d(2, 2),
    nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="trilinear"),
    nn.Upsample(size=(3, 5), mode="bicubic"),
    nn.UpsamplingNearest2d(2), nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2), nn.Flatten(),
    nn.Unflatten(1, (2, 2)), nn.Fold((4, 5), 2), nn.Unfold(2), nn.ReflectionPad3d(1), nn.ReplicationPad3d(1),
    nn.ZeroPad2d(1), nn.ConstantPad3d(1, 2.0), nn.CircularPad3d(1), nn.ReLU(inplace=True), nn.SiLU(), nn.GELU(),
    nn.GELU("tanh"), nn.Mish(), nn.ELU(), nn.CELU(), nn.SELU(), nn.GLU(), nn.LeakyReLU(), nn.PReLU(), nn.RReLU(),
    nn.ReLU6(), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Hardshrink(), nn.Softshrink(), nn.Tanhshrink(),
    nn.Softplus(), nn.Softsign(), nn.Softmax(1), nn.Softmin(1), nn.LogSoftmax(1), nn.LogSigmoid(), nn.Sigmoid(),
    nn.Tanh(), nn.Threshold(0.1, 2.0), nn.Dropout(0.1), nn.Dropout3d(0.1), nn.AlphaDropout(0.1),
    nn.FeatureAlphaDropout(0.1), nn.CosineSimilarity(), nn.PairwiseDistance(), nn.Identity(),
    nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
]  # fmt: skip


def name_of(layer: object) -> str:
    return type(layer).__name__


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_layers_of_torch_pass(tmp_path: Path, layer: nn.Module) -> None:
    assert load_program(save(layer, tmp_path / "a.jit"), CPU) is not None


def computing(compute: Callable[[Tensor], Tensor]) -> nn.Module:
    class Computes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return compute(x)

    return Computes()


TRACED: dict[str, Callable[[Tensor], Tensor]] = {
    "einops": lambda x: rearrange(x, "a (b c) d -> (a d) c b", c=2),
    "sizes": lambda x: x.reshape(x.shape[0] * 2, -1)[: x.shape[2] // 2].expand(3, -1, -1),
    "masks": lambda x: torch.where(x > 0, x, -x).masked_fill(x.isnan(), 0.0).nan_to_num() + torch.tril(x) + x.triu(1),
    "indices": lambda x: x.index_select(1, torch.tensor([0, 2])).gather(1, torch.zeros(2, 2, 5, dtype=torch.int64)),
    "reductions": lambda x: x.std(-1) + x.var(-1) + x.amax(-1) + x.norm(dim=-1) + x.cumsum(-1)[..., 0] + x.argmin(-1),
    "noise": lambda x: x + torch.randn_like(x) * torch.rand(x.shape) + torch.zeros_like(x).normal_(),
    "types": lambda x: x.double().half().float().bool().int().type_as(x).to(torch.bfloat16).contiguous(),
    "in place": lambda x: x.clone().add_(1).mul_(2).clamp_(0, 1).copy_(x).zero_().fill_(3).div_(2),
    "functions": lambda x: x.sin().mul(x.cos()).sqrt().log1p().expm1().neg().lerp(x, 0.5).addcmul(x, x, value=2),
    "fake quantised": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, 0, 255),
}


@pytest.mark.parametrize("kind", TRACED)
def test_what_is_traced_passes(tmp_path: Path, kind: str) -> None:
    x = torch.rand(2, 4, 5)
    module = computing(TRACED[kind])
    assert load_program(save(module, tmp_path / "a.jit", x), CPU)(x).shape == module(x).shape


@pytest.mark.parametrize("name", ["encoder.jit", "decoder.jit"])
def test_pairs_of_this_project_pass(pair: Path, repo: Path, name: str) -> None:
    assert load_program(pair / name, CPU).temporal_reach == torch.jit.load(str(pair / name)).temporal_reach
    bundled = repo / "ckpts" / "lumos-tiny" / "visual_tokenizer" / name
    assert load_program(bundled, CPU) is not None


# --- what does more ---------------------------------------------------------------------------------------------------


class Writes(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.weight = path, nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + torch.from_file(self.path, True, 3)


class WritesElsewhere(nn.Module):
    """The same in a method that nobody calls."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def keep(self, x: Tensor) -> Tensor:
        return torch.from_file(self.path, True, 16)


def in_a_function(path: str, x: Tensor) -> Tensor:
    if x.sum() > 0:
        for _ in range(2):
            x = x + torch.from_file(path, True, 1)
    return x


class WritesInAFunction(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return in_a_function(self.path, x)


class Saves(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x


class Prints(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        print(x)
        return x


class Forks(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.jit.wait(torch.jit.fork(torch.sin, x))


class Seeds(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return x


class Inside(nn.Module):
    """A bad module three modules down."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), Writes(path)))

    def forward(self, x: Tensor) -> Tensor:
        return x


BAD = {
    Writes: "aten::from_file",
    WritesElsewhere: "aten::from_file",
    WritesInAFunction: "aten::from_file",
    Saves: "aten::save",
    Prints: "prim::Print",
    Forks: "aten::wait|prim::fork",
    Seeds: "aten::manual_seed",
    Inside: "aten::from_file",
}


@pytest.mark.parametrize("kind", BAD, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("half", ["encoder.jit", "decoder.jit"])
def test_a_half_that_does_more_than_compute_is_refused(pair: Path, tmp_path: Path, kind: type, half: str) -> None:
    marker = tmp_path / "marker"
    for name in ("encoder.jit", "decoder.jit"):
        (tmp_path / name).write_bytes((pair / name).read_bytes())
    save(kind(str(marker)), tmp_path / half)
    with pytest.raises(ValueError, match=BAD[kind]) as caught:
        VisualTokenizer.from_pretrained(tmp_path)
    assert str(tmp_path / half) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_the_trap_works(tmp_path: Path) -> None:
    torch.jit.load(str(save(Writes(str(tmp_path / "marker")), tmp_path / "a.jit")))(torch.ones(3))
    assert (tmp_path / "marker").exists()


# --- what fails ----------------------------------------------------------------------------------------------------


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() > 0:
            raise ValueError("a line\nand another")
        return x


class Misfits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, torch.zeros(7, 7))


class TakesAllMemory(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros(36_028_797_018_963_968)


@pytest.mark.parametrize("kind", [Raises, Misfits, TakesAllMemory], ids=lambda kind: kind.__name__)
def test_whatever_a_half_raises_is_one_line_with_its_file(pair: Path, tmp_path: Path, kind: type) -> None:
    for name in ("encoder.jit", "decoder.jit"):
        (tmp_path / name).write_bytes((pair / name).read_bytes())
    save(kind(), tmp_path / "encoder.jit")
    visual = VisualTokenizer.from_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"encoder.jit fails on an input of 1x3x5x8x16 \(.+\); use the pair that belongs"
    ) as caught:
        visual.encode(torch.zeros(1, 3, 5, 8, 16))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "aten::from_file", "aten::save", "aten::_print", "aten::manual_seed", "aten::set_", "aten::set_data",
        "aten::as_strided", "aten::_unsafe_index", "aten::resize_", "aten::record_stream", "aten::pin_memory",
        "prim::PythonOp", "prim::IgnoredPythonOp", "prim::Print", "prim::fork", "prim::rpc_sync", "prim::CreateObject",
        "prim::TimePoint", "prim::Enter", "c10d::broadcast_", "quantized::conv2d", "profiler::_record_function_enter",
        "inductor::_reinterpret_tensor", "aten", "::", "", "prim::add", "aten::__is___",
    ],
)  # fmt: skip
def test_what_reads_memory_files_or_python_is_not_on_the_list(name: str) -> None:
    assert not is_allowed(name)


def test_every_operator_on_the_list_is_one_of_torch() -> None:
    from lumos.tokenizer.program import operators

    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    unknown = {name for name in operators._ATEN if f"aten::{name}" not in known and f"aten::{name}_" not in known}
    assert unknown <= {"_upsample_lanczos2d_aa"}  # new in torch 2.13


# --- devices that are written into a program --------------------------------------------------------------------------


class OnCuda(nn.Module):
    """What a trace made on a GPU looks like: its tensors are made there, inside branches too."""

    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 2:
            x = x + torch.arange(3, device=torch.device("cuda:0"))
        return (x + torch.ones(3, device=torch.device("cuda:0"))).to(torch.device("cuda:0"))


class Sent(nn.Module):
    """Moves what it is given by itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x.cuda() + 1


def test_a_program_whose_device_is_baked_in_runs_where_it_is_loaded(tmp_path: Path) -> None:
    program = load_program(save(OnCuda(), tmp_path / "a.jit"), CPU)
    assert torch.equal(program(torch.zeros(4, 3)), torch.tensor([[1.0, 2.0, 3.0]] * 4))
    assert torch.equal(program(torch.zeros(1, 3)), torch.ones(1, 3))


def test_a_program_that_goes_to_a_gpu_by_itself_is_refused_elsewhere_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"moves tensors to a CUDA GPU by itself \(aten::cuda\) and is loaded for cpu"):
        load_program(save(Sent(), tmp_path / "a.jit"), CPU)
