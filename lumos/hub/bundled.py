"""What comes with the code besides its packages: models, configs, and the programs for data and evaluation.

A checkout has them around `lumos/`. A wheel carries the same tree inside the package (`pyproject.toml` says what goes
where), so that an installation puts nothing called `eval` or `configs` among the packages of other people:

    lumos/bundled/
      ckpts/lumos-tiny/ ...      configs/      eval/      pre_tokenize/      exps/env.sh
"""

from pathlib import Path

BUNDLED_MODELS = ("lumos-tiny", "lumina-tiny")
"""The models that come with the code, never downloaded."""
BUNDLED_TOKENIZERS = ("tiny-visual",)
"""Tokenizers without a model that come with the code: each a visual tokenizer and the text tokenizer of its codes."""

_PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The checkout that this code runs from, or None where it was installed from a wheel."""
    root = _PACKAGE.parent
    is_wheel = (_PACKAGE / "bundled").is_dir()  # others leave a pyproject.toml beside the packages, carelessly
    return root if (root / "pyproject.toml").is_file() and not is_wheel else None


def bundled() -> Path:
    """The folder that holds `ckpts/`, `configs/`, `eval/` and `pre_tokenize/`: the checkout, or that of the wheel."""
    return checkout() or _PACKAGE / "bundled"


def bundled_folder(name: str | Path) -> Path | None:
    """The folder of a model or of tokenizers that come with the code, or None for any other name."""
    folder = bundled() / "ckpts" / str(name)
    return folder if str(name) in (*BUNDLED_MODELS, *BUNDLED_TOKENIZERS) and folder.is_dir() else None


def file_or_bundled(path: str | Path) -> Path:
    """The file itself; where it is not there, the one of that path that comes with the code (`configs/...`)."""
    path = Path(path)
    ours = bundled() / path
    is_inside = not path.is_absolute() and ".." not in path.parts
    return ours if is_inside and not path.exists() and ours.is_file() else path
