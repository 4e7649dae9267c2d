"""Connections whose clients are slow, or too many: each wait has an end."""

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from lumos.serve import connection

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body, then answers with 16 MiB, which no buffer of a connection takes, or with little."""
    message: dict[str, Any] = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for left in reversed(range(1 if scope["path"] == "/small" else 64)):
        await send(
            {
                "type": "http.response.body",
                "body": b"x" * (100 if scope["path"] == "/small" else 2**18),
                "more_body": left > 0,
            }
        )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_LOOK_S": 0.02, "_REQUEST_S": 0.3, "_LEAST_BYTES": 10**5, "_ANSWER_S": 0.3}.items():
        monkeypatch.setattr(connection, name, value)


def with_server(client: Callable[[int, uvicorn.Server], Awaitable[None]], **changes: Any) -> None:
    """Run a client of a server in this process, given its port."""

    async def run() -> None:
        app = changes.pop("app", answering)
        options = {**connection.options(), "lifespan": "off", "log_level": "critical", **changes}
        server = uvicorn.Server(uvicorn.Config(app, port=0, timeout_graceful_shutdown=1, **options))
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(20):
                await client(port, server)
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await server.shutdown()

    asyncio.run(run())


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, which is closed whatever has become of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD, HEAD + b"half"])
def test_a_request_that_does_not_go_on_is_given_up(sent: bytes) -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(sent)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert not server.server_state.connections

    with_server(client)


def test_a_request_that_came_behind_another_and_is_not_whole_is_given_up() -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD + b"half")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            with suppress(ConnectionResetError):
                assert (await reader.read()).endswith(b"\r\n0\r\n\r\n")
        assert not server.server_state.connections

    with_server(client)


def test_a_body_that_drips_is_given_up_and_one_that_flows_is_taken() -> None:
    async def answer(port: int, *, pieces: int, size: int) -> bytes:
        async with line_to(port) as (reader, writer):
            writer.write(HEAD.replace(b"1000000", str(pieces * size).encode()))
            with suppress(ConnectionError):
                for _ in range(pieces):
                    writer.write(b"x" * size)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                return await reader.read(15)
        return b""

    async def client(port: int, server: uvicorn.Server) -> None:
        assert await answer(port, pieces=2000, size=1) == b""
        assert await answer(port, pieces=60, size=2**16) == b"HTTP/1.1 200 OK"  # longer than the grace, and fast

    with_server(client)


def test_an_answer_that_is_not_read_is_given_up() -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.read(15)
            assert len(server.server_state.connections) == 1
            while server.server_state.connections:
                await asyncio.sleep(0.02)

    with_server(client)


def test_one_that_is_read_and_used_again_stays() -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            for _ in range(2):
                writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
                await reader.readuntil(b"\r\n0\r\n\r\n")
                await asyncio.sleep(0.5)  # longer than a request may take, and it has none to send

    with_server(client, timeout_keep_alive=5)


def test_connections_that_say_nothing_make_room_for_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_REQUEST_S", 1000.0)

    async def client(port: int, server: uvicorn.Server) -> None:
        async with AsyncExitStack() as opened:
            for _ in range(40):
                await opened.enter_async_context(line_to(port))
            reader, writer = await opened.enter_async_context(line_to(port))
            writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.read(15) == b"HTTP/1.1 200 OK"
            assert len(server.server_state.connections) < 8

    with_server(client, limit_concurrency=8)


def test_more_connections_that_are_answered_than_there_may_be_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_ANSWER_S", 1000.0)

    async def client(port: int, server: uvicorn.Server) -> None:
        async with AsyncExitStack() as opened:
            told = []
            for _ in range(20):
                reader, writer = await opened.enter_async_context(line_to(port))
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                with suppress(ConnectionResetError):
                    told.append(await reader.read(12))
            assert told.count(b"HTTP/1.1 200") == 7
            assert b"HTTP/1.1 503" in told
            assert len(server.server_state.connections) <= 8 + 1

    with_server(client, limit_concurrency=8)


CHUNKED = b"POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("size", "number", "status"), [(1, 1000, 200), (1, 5000, 400), (64, 5000, 200)])
def test_a_body_in_a_great_many_small_chunks_is_refused(size: int, number: int, status: int) -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            chunk = f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"
            writer.write(CHUNKED + chunk * number + b"0\r\n\r\n")
            assert (await reader.read(12)).endswith(f" {status}".encode())

    with_server(client)


def test_a_body_that_goes_wrong_behind_the_answer_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()

    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(CHUNKED)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"no chunk\r\n")
            with suppress(ConnectionResetError):
                await reader.read()

    with_server(client, app=hasty, log_level="error", log_config=None)
    assert [record for record in caplog.records if record.exc_info] == []


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def showing(scope: Any, receive: Any, send: Any) -> None:
    """Sends 16 MiB of frames, and then waits for the client to go."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    for _ in range(64 if scope["path"] == "/" else 0):
        await send({"type": "websocket.send", "bytes": b"x" * 2**18})
    while (message := await receive())["type"] != "websocket.disconnect":
        raise AssertionError(f"{message} is of no use here")


def test_a_websocket_that_is_refused_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"there is none"})

    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(UPGRADE)
            assert (await reader.read()).endswith(b"there is none")

    with_server(client, app=refusing, log_level="warning", log_config=None)
    assert caplog.records == []


def test_a_websocket_that_is_not_read_is_given_up() -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(UPGRADE)
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            assert len(server.server_state.connections) == 1
            while server.server_state.connections or server.server_state.tasks:
                await asyncio.sleep(0.02)

    with_server(client, app=showing, ws_ping_interval=0.1, ws_ping_timeout=0.1)


def test_pings_of_a_websocket_that_is_not_read_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_ANSWER_S", 1000.0)

    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            (one,) = server.server_state.connections
            assert isinstance(one, connection.Watching)
            while one.writable.is_set():
                await asyncio.sleep(0.02)
            held = one.transport.get_write_buffer_size()
            for _ in range(4):  # less than what it is given up for
                writer.write((b"\x89\xfd\0\0\0\0" + b"x" * 125) * 100)
                await writer.drain()
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.1)
            assert one.transport.get_write_buffer_size() <= held
            one.transport.abort()

    with_server(client, app=showing)


def test_what_is_said_over_a_websocket_is_let_be() -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(UPGRADE.replace(b"GET /", b"GET /small"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\x81\x82\0\0\0\0\xff\xff" + b"\x02\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 1000)
            writer.write(b"\x80\x80\0\0\0\0")
            for letter in (b"x", b"y"):  # a ping is answered, and so is the next
                writer.write(b"\x89\x81\0\0\0\0" + letter)
                assert await reader.readexactly(3) == b"\x8a\x01" + letter

    with_server(client, app=showing)


def test_a_websocket_whose_client_talks_without_end_is_given_up() -> None:
    async def client(port: int, server: uvicorn.Server) -> None:
        async with line_to(port) as (reader, writer):
            writer.write(UPGRADE.replace(b"GET /", b"GET /small"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"\x89\x81\0\0\0\0x" * 10**5)
            with suppress(ConnectionError):
                assert len(await reader.read(10**6)) < 3 * 10**5
            while server.server_state.connections:
                await asyncio.sleep(0.02)

    with_server(client, app=showing)


@pytest.mark.parametrize(("files", "most"), [(256, 64), (1024, 448), (20000, 1000), (64, 16), (-1, 1000)])
def test_connections_leave_open_files_for_the_rest(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert connection.most_connections() == most
