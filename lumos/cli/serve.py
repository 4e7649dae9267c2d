"""`lumos serve`: the models behind `/v1/videos`, as OpenAI's clients and others speak to it (lumos/serve/README.md)."""

import argparse
import ipaddress
import socket
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lumos.cli.models.door import find_model, refuse_how
from lumos.cli.models.kind import AbsentFiles, Model
from lumos.cli.options.spelling import add_ckpts, option_of
from lumos.hub.models import DEFAULT_MODEL
from lumos.serve.limits import Limits
from xllmx.disk.place import check_folder
from xllmx.run.interrupt import loading
from xllmx.safe.bounded_file import read_bounded
from xllmx.settings.setting import SettingError

DEFAULT_DATA = Path("outputs") / "served"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOW = ("weights", "offload", "keep_encoders", "tiled")
_NEEDED = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")
_LIMITS = {
    "most_pixels": "of a frame",
    "most_frames": "of a video",
    "most_steps": "refinements or Euler steps of a request",
    "most_queued": "jobs that wait",
    "at_once": "jobs in work together, of which those of one model of Lumos-1 share each pass",
    "most_upload_mib": "of a request's body",
    "keep_hours": "for which finished videos stay",
    "drain_seconds": "for which SIGTERM waits for the jobs in work",
    "most_viewers": "connections that watch frames at once",
}
_LEAST_KEY, _MOST_KEY_FILE_BYTES, _MOST_PORT = 16, 2**16, 2**16 - 1


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser("serve", help="a server: POST /v1/videos, frames as they are made")
    add = command.add_argument
    many = f"name or folder (default {DEFAULT_MODEL}); again for more: a request names one, or has the first"
    add("--model", "--ckpt", action="append", metavar="NAME", help=many)
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine alone)")
    add("--port", type=int, default=8000, metavar="N", help="0: any that is free (default 8000)")
    add("--data", type=Path, default=DEFAULT_DATA, help=f"where jobs and videos are kept (default {DEFAULT_DATA})")
    add("--api-key-file", type=Path, metavar="FILE", help="keys, one a line, of which a client must send one")
    add("--without-key", action="store_true", help="let everybody in who reaches --host")
    add("--allow-host", action="append", metavar="NAME", help="another name that this server goes by; again for more")
    add("--dry-run", action="store_true", help="say what would be served, and load nothing")
    _add_limits(command.add_argument_group("limits"))
    how = command.add_argument_group("how")
    how.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    how.add_argument("--dtype", "--precision", help="bf16 or fp32 (default: bf16 on a GPU, fp32 on a CPU)")
    how.add_argument("--weights", choices=("int8", "fp8"), help="blocks in 8 bits; needs torchao (Lumos-1)")
    how.add_argument("--offload", action="store_true", help="blocks lie in the host's memory until needed (Lumos-1)")
    how.add_argument("--keep-encoders", action="store_true", help="text encoder and VAE stay loaded (Lumina-Video)")
    how.add_argument("--tiled", action="store_true", help="decode in tiles: less memory (Lumina-Video)")
    add_ckpts(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it, or say what would be served."""
    if absent := [name for name in _NEEDED if find_spec(name) is None]:
        raise ValueError(f"lumos serve needs {absent[0]}, which is not here; run: pip install 'lumos-open[serve]'")
    if not 0 <= options.port <= _MOST_PORT:
        raise SettingError("port", f"is {options.port}; it must be from 0 to {_MOST_PORT}")
    keys, hosts = _keys(options), _hosts(options)
    limits = Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)})
    check_folder(options.data)
    models = _find_models(options)
    for line in _told(options, models, limits, num_keys=len(keys)):
        print(line, flush=True)
    return 0 if options.dry_run else _serve(options, models, limits, keys=keys, hosts=hosts)


def _serve(
    options: argparse.Namespace, models: dict[str, Model], limits: Limits, *, keys: list[str], hosts: Any
) -> int:
    """Load the models, then listen."""
    with loading("lumos"):
        from lumos.cli.serving.loaded_models import loaded
        from lumos.cli.serving.side_by_side import SideBySide
        from lumos.serve.app import create_app
        from lumos.serve.server import bound_socket, serve
        from lumos.serve.serving import put_together
        from lumos.serve.storage.files import JobFiles

    with JobFiles(options.data).held(), bound_socket(options.host, options.port) as bound:
        served = {name: loaded(name, model) for name, model in models.items()}
        engine = SideBySide(served, at_once=limits.at_once)
        serving = put_together(served, engine, data=options.data, limits=limits)
        app = create_app(serving, keys=keys, hosts=hosts)
        serve(app, serving, bound, say=lambda line: print(line, flush=True))
    return 0


def _add_limits(group: Any) -> None:
    """Add an option for each of `lumos.serve.limits.Limits`, whose defaults it has."""
    for field in fields(Limits):
        option, default = option_of(field.name), field.default
        text = f"{_LIMITS[field.name]} (default {default})"
        group.add_argument(option, type=type(default), default=default, metavar="N", help=text)


def _find_models(options: argparse.Namespace) -> dict[str, Model]:
    """Return the models by the names that clients say: that of a folder elsewhere is its last part."""
    how = {name: getattr(options, name) for name in _HOW}
    found: dict[str, Model] = {}
    for name in options.model or [DEFAULT_MODEL]:
        where = {"device": options.device, "dtype": options.dtype}
        model = find_model(name, options.ckpts, **where, how=how, absent=options.dry_run)
        is_elsewhere = Path(name).is_absolute() or name.startswith((".", "~")) or "://" in name
        shown = Path(name).name if is_elsewhere else name.rstrip("/")
        if shown in found:
            raise SettingError("model", f"is {name}, and there is another {shown!r}; give its folder another name")
        found[shown] = model
    for name, value in how.items():
        if value and not any(name in model.kind.how_options for model in found.values()):
            refuse_how(next(iter(found.values())), {name: value})
    return found


def _keys(options: argparse.Namespace) -> list[str]:
    """Return the API keys; ValueError where there must be some."""
    if options.api_key_file is None:
        if not _is_loopback(options.host) and not options.without_key:
            rule = "lets in whoever reaches it; give --api-key-file FILE, or say --without-key"
            raise SettingError("host", f"is {options.host}, which {rule}")
        return []
    if options.without_key:
        raise SettingError("without_key", "says the contrary of --api-key-file; leave one out")
    remedy = f"write keys of at least {_LEAST_KEY} characters, one a line"
    try:
        text = read_bounded(options.api_key_file, most_bytes=_MOST_KEY_FILE_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingError("api_key_file", f"is {options.api_key_file}, which cannot be read ({reason})") from error
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys or any(len(key) < _LEAST_KEY or not key.isprintable() or " " in key for key in keys):
        raise SettingError("api_key_file", f"is {options.api_key_file}, and has no key or one too short; {remedy}")
    return keys


def _hosts(options: argparse.Namespace) -> list[str] | None:
    """Return the names the server goes by, beside addresses in numbers; None: any, where a key is asked for."""
    own = [] if _is_loopback(options.host) else [options.host, socket.gethostname()]
    others = options.allow_host or []
    return [*_LOOPBACK, *own, *others] if others or not own or options.without_key else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _told(options: argparse.Namespace, models: dict[str, Model], limits: Limits, *, num_keys: int) -> list[str]:
    """Return what is served, where, and within which bounds, for people."""
    lines = []
    for name, model in models.items():
        settings = model.settings_for({}, image=None)
        usual = f"{settings.width}x{settings.height}, {settings.num_output_frames} frames at {settings.fps} fps"
        missing = f"; {model.files.why}" if isinstance(model.files, AbsentFiles) else ""
        lines.append(
            f"model     {name}: {model.kind.title} ({', '.join(model.kind.tasks)}), by default {usual}{missing}"
        )
    whom = "for this machine alone" if _is_loopback(options.host) else "for whoever reaches it"
    key = f"{num_keys} API key{'s' * (num_keys > 1)}" if num_keys else "no API key"
    hours = f"{limits.keep_hours:g} h"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return [
        *lines,
        f"address   http://{host}:{options.port}, {whom}, {key}",
        f"data      {options.data}; finished videos stay {hours}",
        f"limits    {limits.most_pixels} pixels a frame, {limits.most_frames} frames, {limits.most_steps} steps, "
        f"{limits.at_once} jobs in work and {limits.most_queued} that wait, {limits.most_upload_mib} MiB a request",
    ]
