"""Clients of a server that may go at any moment: each takes requests from one list until there are none."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx

from benchmarks.serving.book import Book, Expected
from benchmarks.serving.requests import REFUSED, Ask

_AGAIN_S = 0.3
"""Before a request is sent again whose connection broke."""
_LONGEST_WAIT_S = 20
_OVER = ("video.completed", "video.failed", "video.deleted")
_CLIP: Mapping[str, Any] = {"num_inference_steps": 2}
_FRAMES = 5
TOO_LARGE_MIB = 1
"""What the server takes at most: the largest request is over it."""


class Clients:
    """All that they share: the connection pool, the book, and what was made so far."""

    def __init__(self, http: httpx.AsyncClient, book: Book) -> None:
        self._http, self._book = http, book
        self._made: list[str] = []
        """Finished videos that stay, to be gone on from."""

    async def work(self, asks: list[Ask]) -> None:
        """Do requests until the list is empty; what is wrong is set down, whatever it is."""
        while asks:
            ask = asks.pop()
            try:
                await self._do(ask)
            except Exception as error:  # one slip of this bench must not hide the other findings
                self._book.wrong.append(f"request {ask.number} ({ask.kind}): {type(error).__name__}: {error}")
            self._book.done += 1

    async def _do(self, ask: Ask) -> None:
        if ask.kind in REFUSED:
            await self._be_refused(ask)
        elif ask.kind == "upload cut off":
            await self._cut_off(ask)
        elif ask.kind == "image":
            await self._image(ask)
        elif ask.kind == "image dropped":
            await self._drop_image(ask)
        elif ask.kind == "deleted":
            await self._delete(ask)
        elif ask.kind == "stream dropped":
            video_id = await self._begin(ask)
            await self._watch(video_id, until=("video.queued", "video.progress", "video.frame"))
        else:
            await self._video(ask)

    async def _video(self, ask: Ask) -> None:
        """Have a video made, see all of it, and fetch it."""
        video_id = await self._begin(ask)
        began, first = time.monotonic(), self._book.times[ask.kind, "first frame"]
        over = await self._watch(video_id, until=_OVER, began=began, first=first)
        self._book.times[ask.kind, "done"].append(time.monotonic() - began)
        if over != "video.completed":
            self._book.wrong.append(f"{video_id} ({ask.kind}): the last event is {over}")
            return
        answer = await self._sent("GET", f"/v1/videos/{video_id}/content")
        self._book.expect(answer.status_code, [200], what=f"the content of {video_id}")
        self._made.append(video_id)

    async def _begin(self, ask: Ask, *, expected: Expected = "completed") -> str:
        """Return the id of a new job, once it is accepted."""
        fields = {"prompt": ask.prompt, "seed": ask.seed, **_CLIP}
        path, source = "/v1/videos", self._made[ask.number % len(self._made)] if self._made else None
        if ask.kind == "remix" and source is not None:
            path, fields = f"/v1/videos/{source}/remix", {"prompt": ask.prompt}
        elif ask.kind == "extension" and source is not None:
            path, fields = "/v1/videos/extensions", {**fields, "num_frames": 4, "video": {"id": source}}
        else:
            fields["num_frames"] = _FRAMES
        answer = await self._sent("POST", path, kind=ask.kind, headers={"Idempotency-Key": ask.key}, json=fields)
        if answer.status_code != 200:
            raise ValueError(f"not accepted: {answer.status_code} {answer.text[:200]}")
        video_id = str(answer.json()["id"])
        self._book.accept(video_id, kind=ask.kind, expected=expected)
        return video_id

    async def _image(self, ask: Ask) -> None:
        fields = {"prompt": ask.prompt, "seed": ask.seed, **_CLIP}
        began = time.monotonic()
        answer = await self._sent("POST", "/v1/images/generations", json=fields)
        self._book.times["image", "done"].append(time.monotonic() - began)
        if self._book.expect(answer.status_code, [200], what="an image"):
            self._book.counted["images"] += len(answer.json()["data"])

    async def _drop_image(self, ask: Ask) -> None:
        """Ask for an image and go before it is there."""
        fields = {"prompt": ask.prompt, "seed": ask.seed, **_CLIP}
        try:
            async with asyncio.timeout(0.2 + 0.2 * (ask.number % 4)):
                await self._http.post("/v1/images/generations", json=fields)
        except (TimeoutError, httpx.TransportError):
            self._book.counted["images dropped"] += 1

    async def _delete(self, ask: Ask) -> None:
        """Delete a video that waits or is in work: at once, or when something is seen of it."""
        video_id = await self._begin(ask, expected="deleted")
        if ask.number % 2:
            await self._watch(video_id, until=("video.progress", "video.frame", *_OVER))
        answer = await self._sent("DELETE", f"/v1/videos/{video_id}")
        self._book.expect(answer.status_code, [200, 404], what=f"DELETE {video_id}")  # 404: the first answer was lost

    async def _be_refused(self, ask: Ask) -> None:
        fields: dict[str, Any] = {"prompt": ask.prompt, "seed": ask.seed, "num_frames": _FRAMES, **_CLIP}
        how: dict[str, Any] = {"json": fields}
        if ask.kind == "malformed JSON":
            how = {"content": json.dumps(fields)[: 10 + ask.seed], "headers": {"Content-Type": "application/json"}}
        elif ask.kind == "wrong field":
            fields["promtp"] = "x"
        elif ask.kind == "unknown model":
            fields["model"] = "lumos-tniy"
        elif ask.number % 2:
            how = {"content": _pieces(), "headers": {"Content-Type": "multipart/form-data; boundary=x"}}
        else:
            fields["negative_prompt"] = "x" * (TOO_LARGE_MIB << 20)
        began = time.monotonic()
        answer = await self._sent("POST", "/v1/videos", **how)
        self._book.times["refused", "accepted"].append(time.monotonic() - began)
        self._book.expect(answer.status_code, [REFUSED[ask.kind]], what=ask.kind)

    async def _cut_off(self, ask: Ask) -> None:
        """Send half of an upload and go."""
        address = self._http.base_url
        try:
            _, line = await asyncio.open_connection(address.host, address.port)
            head = "POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n"
            line.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
            line.write(b'Content-Disposition: form-data; name="input_reference"; filename="x.png"\r\n\r\n')
            line.write(b"\x89PNG" * (1000 * (ask.number % 30)))
            await line.drain()
            line.close()
            await line.wait_closed()
        except OSError:
            self._book.counted["connections that broke"] += 1

    async def _watch(
        self, video_id: str, *, until: tuple[str, ...], began: float = 0.0, first: list[float] | None = None
    ) -> str:
        """Follow a video's events, through kills, until one of a kind comes, which is returned.

        The first frame's time since `began` goes into `first`; a frame that comes out of turn is set down as wrong.
        """
        last: int | None = None
        while True:
            headers = {} if last is None else {"Last-Event-ID": str(last)}
            try:
                async with self._http.stream("GET", f"/v1/videos/{video_id}/events", headers=headers) as answer:
                    if answer.status_code == 404:
                        return "video.deleted"
                    async for line in answer.aiter_lines():
                        name, _, value = line.partition(": ")
                        if name == "id":
                            if last is None and first is not None:
                                first.append(time.monotonic() - began)
                            if int(value) != (0 if last is None else last + 1):
                                self._book.wrong.append(f"{video_id}: frame {value} came after {last}")
                            last = int(value)
                            self._book.counted["frames seen"] += 1
                        elif name == "event" and value in until:
                            return value
                self._book.counted["streams that ended early"] += 1
            except httpx.TransportError:
                self._book.counted["connections that broke"] += 1
            await asyncio.sleep(_AGAIN_S)

    async def _sent(self, method: str, path: str, *, kind: str | None = None, **how: Any) -> httpx.Response:
        """Return the answer to a request, which is sent again while the server is away or has no room."""
        while True:
            began = time.monotonic()
            try:
                answer = await self._http.request(method, path, **how)
            except httpx.TransportError:
                self._book.counted["connections that broke"] += 1
                await asyncio.sleep(_AGAIN_S)
                continue
            if answer.status_code not in (429, 503):
                if kind is not None:
                    self._book.times[kind, "accepted"].append(time.monotonic() - began)
                return answer
            self._book.counted[f"answers of status {answer.status_code}"] += 1
            wait_s = answer.headers.get("retry-after", "")
            if not wait_s.isdecimal():
                self._book.wrong.append(f"{method} {path}: {answer.status_code} without Retry-After")
            await asyncio.sleep(min(_LONGEST_WAIT_S, int(wait_s or 1)))


async def _pieces() -> Any:
    """An upload that does not say how long it is, and is too long."""
    yield b'--x\r\nContent-Disposition: form-data; name="input_reference"; filename="x.png"\r\n\r\n'
    for _ in range(20 * TOO_LARGE_MIB):
        yield b"0" * 2**16
