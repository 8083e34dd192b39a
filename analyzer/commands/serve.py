"""`chartgap serve`, `chartgap mcp` and `chartgap keys`: the service, and who may use it.

What is not given comes from the environment (CHARTGAP_KEYS_FILE and so on), so a container needs no arguments.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analyzer.commands.options import CodeOption, PackFolderOption
from analyzer.errors import InputError

if TYPE_CHECKING:
    from api.settings import Settings

_GRACE_SECONDS = 10
"""What the service is given beyond a job's own limit to finish what it accepted."""

_BACKLOG = 2048

keys_app = typer.Typer(help="API keys of the service: a file of hashes, read again whenever it changes.")


def serve(
    host: Annotated[str, typer.Option("--host", envvar="CHARTGAP_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", envvar="CHARTGAP_PORT", min=0, max=65535)] = 8000,
    code: CodeOption = None,
    pack_folder: PackFolderOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that read notes. [default: one a core]")
    ] = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="File of API keys (see `chartgap keys`).")] = None,
    issuers: Annotated[
        Path | None, typer.Option("--issuers", help="File of OIDC issuers whose bearer tokens are taken.")
    ] = None,
    open_to_network: Annotated[
        bool, typer.Option("--open-to-network", help="Let anybody who reaches the address ask, without a key.")
    ] = False,
    audit_log: Annotated[
        Path | None, typer.Option("--audit-log", help="File for the audit trail. [default: stderr]")
    ] = None,
    proxies: Annotated[
        str | None,
        typer.Option("--proxies", envvar="CHARTGAP_PROXIES", help="Proxies whose X-Forwarded-For is believed."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", envvar="CHARTGAP_TLS_CERTIFICATE")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", envvar="CHARTGAP_TLS_KEY")] = None,
) -> None:
    """Serve the API and the page."""
    _need("uvicorn", "fastapi", "structlog", "prometheus_client", "jwt", extra="api")
    import uvicorn

    from api.app import create_app

    settings = _settings(code, pack_folder, workers=workers, keys=keys, issuers=issuers, audit_log=audit_log)
    settings = replace(settings, open_to_network=settings.open_to_network or open_to_network)
    _refuse_to_stand_open(host, settings)
    if (tls_certificate is None) != (tls_key is None):
        raise InputError("--tls-certificate and --tls-key belong together")
    with _listening(host, port) as listener:
        app = create_app(settings)
        app.state.pool.wait_until_warm()
        scheme = "http" if tls_key is None else "https"
        address, used = listener.getsockname()[:2]
        typer.echo(f"chartgap: serving {scheme}://{f'[{address}]' if ':' in address else address}:{used}", err=True)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=proxies is not None,
            forwarded_allow_ips=proxies,
            ssl_certfile=tls_certificate,
            ssl_keyfile=tls_key,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(settings.job_seconds) + _GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])


def mcp(code: CodeOption = None, pack_folder: PackFolderOption = None) -> None:
    """Serve the MCP tool on standard input and output, for an agent on this machine."""
    _need("mcp", "structlog", "prometheus_client", extra="api,mcp")
    import asyncio

    from api.mcp_tool import run_stdio

    asyncio.run(run_stdio(replace(_settings(code, pack_folder), workers=1)))


@keys_app.command("add")
def keys_add(
    name: Annotated[str, typer.Argument(help="Whose key this is; the audit trail names it.")],
    file: Annotated[Path, typer.Option("--keys", envvar="CHARTGAP_KEYS_FILE", help="File of API keys.")],
    expires: Annotated[str | None, typer.Option("--expires", metavar="YYYY-MM-DD", help="First day it fails.")] = None,
    per_minute: Annotated[int | None, typer.Option("--per-minute", min=1, help="Requests a minute.")] = None,
) -> None:
    """Make a key and print it, once: the file keeps its hash. A name may hold two keys while one is rotated out."""
    from api.keys import new_key, read_keys, write_keys

    known = read_keys(file) if file.exists() else []
    clear, kept = new_key(name, expires=_day(expires), per_minute=per_minute)
    write_keys(file, [*known, kept])
    typer.echo(clear)


@keys_app.command("list")
def keys_list(
    file: Annotated[Path, typer.Option("--keys", envvar="CHARTGAP_KEYS_FILE", help="File of API keys.")],
) -> None:
    """List the keys' names, days, and the beginnings of their hashes."""
    from api.keys import read_keys

    for key in read_keys(file):
        until = f", expires {key.expires}" if key.expires else ""
        typer.echo(f"{key.name} {key.sha256[:12]} created {key.created}{until}")


@keys_app.command("remove")
def keys_remove(
    name: Annotated[str, typer.Argument(help="A key's name, or the beginning of its hash.")],
    file: Annotated[Path, typer.Option("--keys", envvar="CHARTGAP_KEYS_FILE", help="File of API keys.")],
) -> None:
    """Remove keys. A running service refuses them within a second or two."""
    from api.keys import read_keys, write_keys

    known = read_keys(file)
    left = [key for key in known if key.name != name and not (len(name) >= 8 and key.sha256.startswith(name))]
    if len(left) == len(known):
        raise InputError(f"{file}: holds no key {name}")
    write_keys(file, left)
    typer.echo(f"removed {len(known) - len(left)}")


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InputError(f"{host}:{port}: {error.strerror}") from None


def _settings(
    code: str | None,
    pack_folders: list[Path] | None,
    *,
    workers: int | None = None,
    keys: Path | None = None,
    issuers: Path | None = None,
    audit_log: Path | None = None,
) -> Settings:
    from api.settings import Settings

    given: dict[str, Any] = {
        "code": code,
        "pack_folders": tuple(map(str, pack_folders)) if pack_folders else None,
        "workers": workers,
        "keys_file": str(keys) if keys else None,
        "issuers_file": str(issuers) if issuers else None,
        "audit_file": str(audit_log) if audit_log else None,
    }
    return replace(Settings.from_environment(), **{name: value for name, value in given.items() if value is not None})


def _refuse_to_stand_open(host: str, settings: Settings) -> None:
    if settings.keys_file or settings.issuers_file or settings.open_to_network:
        return
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InputError(
            f"--host {host}: anybody who reaches this address could ask without a key; "
            "give --keys or --issuers, or say --open-to-network"
        )


def _need(*modules: str, extra: str) -> None:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(f"{', '.join(missing)} not installed; install 'chartgap[{extra}]'")


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--expires {text}: no such day (write it YYYY-MM-DD)") from None
