"""Downloads from a small server on localhost that speaks the hub's protocol: what comes, where to, resumed, checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lumos.hub import models as hub
from lumos.hub import transfer
from lumos.hub.download import Part, download, model_files, parts_of
from lumos.hub.hashes import HASHES
from tests.lumos.hub.hub_server import NAME, REPOS, SHARD, VAE_WEIGHTS, Hub


def test_a_released_name_lands_in_the_documented_layout(server: Hub, tmp_path: Path) -> None:
    assert download(NAME, tmp_path, endpoint=server.url) == tmp_path / NAME
    assert (tmp_path / NAME / "model-00001-of-00001.safetensors").read_bytes() == SHARD
    assert hub.resolve(NAME, tmp_path).text_tokenizer == tmp_path / "cosmos/tokenizer/text_tokenizer.json"
    model = {
        f"{NAME}/{file}" for file in ("config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors")
    }
    pair = {f"cosmos/Cosmos-Tokenizer-DV4x8x8/{file}.jit" for file in ("encoder", "decoder", "autoencoder")}
    assert landed(tmp_path) == model | pair | {"cosmos/tokenizer/text_tokenizer.json"}


def test_a_second_download_only_checks(server: Hub, tmp_path: Path) -> None:
    download(NAME, tmp_path, endpoint=server.url)
    server.gets.clear()
    download(NAME, tmp_path, endpoint=server.url)
    assert server.gets == []


def test_a_file_that_was_changed_on_disk_is_replaced(server: Hub, tmp_path: Path) -> None:
    weights = download(NAME, tmp_path, endpoint=server.url) / "model-00001-of-00001.safetensors"
    weights.write_bytes(b"?" + SHARD[1:])
    download(NAME, tmp_path, endpoint=server.url)
    assert weights.read_bytes() == SHARD


def test_a_hub_id_with_a_folder_brings_its_own_tokenizers(server: Hub, tmp_path: Path) -> None:
    download("someone/little/run", tmp_path, endpoint=server.url)
    files = hub.resolve("someone/little/run", tmp_path)
    assert files.model == tmp_path / "someone/little/run"
    assert files.visual_tokenizer == files.model / "visual_tokenizer"
    assert not (tmp_path / "cosmos").exists()


def test_the_shared_tokenizers_are_brought_alone_too(server: Hub, tmp_path: Path) -> None:
    assert download("cosmos", tmp_path, endpoint=server.url) == tmp_path / "cosmos"
    assert (tmp_path / "cosmos/Cosmos-Tokenizer-DV4x8x8/decoder.jit").read_bytes() == b"D" * 777
    assert (tmp_path / "cosmos/tokenizer/text_tokenizer.json").is_file()


def test_a_connection_cut_once_is_taken_up_with_a_range_request(server: Hub, tmp_path: Path) -> None:
    server.cut_at = 12_345
    folder = download(NAME, tmp_path, endpoint=server.url)
    assert server.ranges == ["bytes=12345-"]
    assert (folder / "model-00001-of-00001.safetensors").read_bytes() == SHARD


def test_a_broken_transfer_leaves_a_part_and_the_next_run_resumes_it(server: Hub, tmp_path: Path) -> None:
    server.cut_at, server.refuse_ranges = 23_456, True
    with pytest.raises(transfer.TransferError, match=r"500 .* what has arrived is kept"):
        download(NAME, tmp_path, endpoint=server.url)
    weights = tmp_path / NAME / "model-00001-of-00001.safetensors"
    assert not weights.exists()
    (part,) = weights.parent.glob("*.part")
    assert part.read_bytes() == SHARD[:23_456]
    with pytest.raises(ValueError, match="not finished"):
        hub.resolve(NAME, tmp_path)
    server.refuse_ranges = False
    server.ranges.clear()
    download(NAME, tmp_path, endpoint=server.url)
    assert server.ranges == ["bytes=23456-"]
    assert weights.read_bytes() == SHARD
    assert not part.exists()


def test_a_damaged_file_is_refused_and_never_gets_its_name(server: Hub, tmp_path: Path) -> None:
    server.damage = True
    with pytest.raises(transfer.TransferError, match=r"damaged \(its SHA-256 is not the hub's\)"):
        download(NAME, tmp_path, endpoint=server.url)
    assert not list((tmp_path / NAME).glob("*.safetensors*.part"))
    assert not (tmp_path / NAME / "model-00001-of-00001.safetensors").exists()
    server.damage = False
    download(NAME, tmp_path, endpoint=server.url)


def test_a_part_of_another_version_is_thrown_away(server: Hub, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "model-00001-of-00001.safetensors.0123456789ab.part").write_bytes(b"older")
    folder = download(NAME, tmp_path, endpoint=server.url)
    assert server.ranges == []
    assert not list(folder.glob("*.part"))


def test_a_gated_repository_says_how_to_be_let_in(server: Hub, tmp_path: Path) -> None:
    server.gated = hub.COSMOS_REPO
    with pytest.raises(transfer.TransferError, match=r"accept it at .*Cosmos.*`hf auth login`"):
        download(NAME, tmp_path, endpoint=server.url)


def test_an_unknown_repository_folder_or_revision_is_named(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(transfer.TransferError, match="no repository no/body"):
        download("no/body", tmp_path, endpoint=server.url)
    with pytest.raises(ValueError, match="the repository holds no model; folders with one: 'run'"):
        download("someone/little", tmp_path, endpoint=server.url)
    with pytest.raises(transfer.TransferError, match="no such revision"):
        download("someone/little/run", tmp_path, revision="v9", endpoint=server.url)
    with pytest.raises(ValueError, match="is not downloaded: it comes with the code"):
        download("lumos-tiny", tmp_path, endpoint=server.url)
    with pytest.raises(ValueError, match="is no model on the hub"):
        download("1B/stage-9", tmp_path, endpoint=server.url)


def test_no_network_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(transfer.TransferError, match=r"broke off .*check the network to http://127.0.0.1:9 .*resumes"):
        download(NAME, tmp_path, endpoint="http://127.0.0.1:9")


def test_a_download_that_does_not_fit_is_refused_before_it_starts(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_SPARE_BYTES", 2**60)
    with pytest.raises(transfer.TransferError, match="GiB free; make room"):
        download(NAME, tmp_path, endpoint=server.url)
    assert server.gets == [f"{NAME}/config.json"]  # read to see which model it is; nothing is written
    assert not any(tmp_path.iterdir())


def test_a_disk_that_fills_up_keeps_the_part_and_says_so(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_append", full)
    with pytest.raises(transfer.TransferError, match=r"the disk is full while downloading .* it resumes"):
        download(NAME, tmp_path, endpoint=server.url)


def test_hf_endpoint_of_the_environment_is_used(server: Hub, tmp_path: Path) -> None:
    code = f"from lumos.hub.download import download; print(download({NAME!r}, {str(tmp_path)!r}))"
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / NAME)


# --- Lumina-Video -----------------------------------------------------------------------------------------------------

DIT = {"model_args.pth", "consolidated.00-of-01.safetensors"}
GEMMA = {"config.json", "tokenizer.json", "model.safetensors.index.json"}
GEMMA |= {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
VAE = {"config.json", "diffusion_pytorch_model.safetensors"}
WHOLE = {
    *(f"{hub.LUMINA_REPO}/{file}" for file in DIT),
    *(f"google/gemma-2-2b/{file}" for file in GEMMA),
    *(f"THUDM/CogVideoX-2b/vae/{file}" for file in VAE),
}


def landed(root: Path) -> set[str]:
    """What lies there, but for the lists of hashes."""
    files = {path for path in root.rglob("*") if path.is_file() and path.name != HASHES}
    return {path.relative_to(root).as_posix() for path in files}


def test_a_released_lumina_video_brings_its_text_encoder_and_its_vae(server: Hub, tmp_path: Path) -> None:
    parts: list[Part] = []
    folder = download(hub.LUMINA_REPO, tmp_path, endpoint=server.url, on_part=parts.append)
    assert folder == tmp_path / hub.LUMINA_REPO
    assert hub.kind_of(folder) == hub.LUMINA_VIDEO
    assert landed(tmp_path) == WHOLE
    assert [part.name for part in parts] == [hub.LUMINA_REPO, "google/gemma-2-2b", "THUDM/CogVideoX-2b/vae"]
    assert [part.what for part in parts] == ["model of Lumina-Video", "text encoder", "VAE"]
    licences = ["Apache-2.0, see its page", "Gemma terms of use (gated), see its page", "Apache-2.0, see its page"]
    assert [part.licence for part in parts] == licences


def test_every_part_is_sized_before_the_first_byte_comes(server: Hub, tmp_path: Path) -> None:
    parts = parts_of(hub.LUMINA_REPO, tmp_path, endpoint=server.url)
    assert server.gets == []
    sizes = [len(SHARD) + 9, sum(map(len, REPOS["google/gemma-2-2b"].values())) - 20, 2 + len(VAE_WEIGHTS)]
    assert [part.num_bytes for part in parts] == sizes
    (tmp_path / "THUDM/CogVideoX-2b/vae").mkdir(parents=True)
    (tmp_path / "THUDM/CogVideoX-2b/vae/config.json").write_bytes(b"{}")
    shard = parts[0].files[0]
    part = shard.place.with_name(f"{shard.place.name}.{shard.etag[:12]}.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(SHARD[:1000])
    left = [part.num_bytes for part in parts_of(hub.LUMINA_REPO, tmp_path, endpoint=server.url)]
    assert left == [sizes[0] - 1000, sizes[1], sizes[2] - 2]


def test_a_part_that_is_here_is_not_even_asked_for(server: Hub, tmp_path: Path) -> None:
    download("google/gemma-2-2b", tmp_path, endpoint=server.url)
    assert landed(tmp_path) == {f"google/gemma-2-2b/{file}" for file in GEMMA}
    server.listed.clear()
    server.gated = "google/gemma-2-2b"
    parts: list[Part] = []
    download(hub.LUMINA_REPO, tmp_path, endpoint=server.url, on_part=parts.append)
    assert server.listed == [hub.LUMINA_REPO, "THUDM/CogVideoX-2b"]
    assert [bool(part.files) for part in parts] == [True, False, True]
    assert landed(tmp_path) == WHOLE


def test_what_is_open_comes_before_a_gated_part_says_what_to_do(server: Hub, tmp_path: Path) -> None:
    server.gated = "google/gemma-2-2b"
    parts: list[Part] = []
    with pytest.raises(
        transfer.LicenceError, match=r"accept it at .*/google/gemma-2-2b, run `hf auth login`, then the same command"
    ):
        download(hub.LUMINA_REPO, tmp_path, endpoint=server.url, on_part=parts.append)
    assert landed(tmp_path) == {file for file in WHOLE if not file.startswith("google")}
    assert [part.barred is not None for part in parts] == [False, True, False]
    server.gated = None
    server.gets.clear()
    download(hub.LUMINA_REPO, tmp_path, endpoint=server.url)
    assert set(server.gets) == GEMMA
    assert landed(tmp_path) == WHOLE


@pytest.mark.parametrize("name", ["THUDM/CogVideoX-2b/vae", "THUDM/CogVideoX-2b"])
def test_the_vae_comes_alone(name: str, server: Hub, tmp_path: Path) -> None:
    assert download(name, tmp_path, endpoint=server.url) == tmp_path / "THUDM/CogVideoX-2b/vae"
    assert landed(tmp_path) == {f"THUDM/CogVideoX-2b/vae/{file}" for file in VAE}


def test_a_cut_download_of_several_parts_is_taken_up_where_it_broke(server: Hub, tmp_path: Path) -> None:
    server.cut_at, server.refuse_ranges = 12_345, True
    with pytest.raises(transfer.TransferError, match="what has arrived is kept"):
        download(hub.LUMINA_REPO, tmp_path, endpoint=server.url)
    server.refuse_ranges = False
    download(hub.LUMINA_REPO, tmp_path, endpoint=server.url)
    assert server.ranges[-1] == "bytes=12345-"
    assert landed(tmp_path) == WHOLE


def test_a_model_in_our_layout_brings_the_parts_in_its_repository(server: Hub, tmp_path: Path) -> None:
    download("someone/lumina", tmp_path, endpoint=server.url)
    ours = {"config.json", "model.safetensors", "generation_config.json"}
    ours |= {f"text_encoder/{file}" for file in ("config.json", "model.safetensors", "tokenizer.json")}
    assert landed(tmp_path) == {f"someone/lumina/{file}" for file in ours} | {
        f"THUDM/CogVideoX-2b/vae/{file}" for file in VAE
    }


def test_weights_in_torch_s_format_come_where_there_are_no_others(server: Hub, tmp_path: Path) -> None:
    folder = download("someone/older", tmp_path, endpoint=server.url)
    assert landed(folder) == {"model_args.pth", "consolidated.00-of-01.pth"}


def test_a_git_lfs_pointer_in_the_place_of_weights_is_refused(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"consolidated.00-of-01.safetensors is a git LFS pointer, not the file"):
        download("someone/pointer", tmp_path, endpoint=server.url)


def test_a_repository_of_another_model_is_refused_before_its_weights_come(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"someone/llama/config.json holds a model of type 'llama'; give one of lumos1"
    ):
        download("someone/llama", tmp_path, endpoint=server.url)
    assert server.gets == ["config.json"]
    assert landed(tmp_path) == set()


def test_a_repository_with_several_models_names_their_folders() -> None:
    listing = ["a/model_args.pth", "a/consolidated.00-of-01.pth", "b/model_args.pth", "b/consolidated.00-of-01.pth"]
    with pytest.raises(ValueError, match="several models in the repository: name the folder of one, 'a', 'b'"):
        model_files(listing, "")
    assert model_files(listing, "b") == {
        "b/consolidated.00-of-01.pth": "consolidated.00-of-01.pth",
        "b/model_args.pth": "model_args.pth",
    }
