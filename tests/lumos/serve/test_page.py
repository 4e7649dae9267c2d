"""The page at `/` in a real Chromium, in front of a real server whose model is a stand-in."""

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from lumos.serve.app import create_app
from lumos.serve.server import bound_socket
from tests.lumos.serve.standin import StandIn, parts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
KEY = "the-key-of-this-test"
HOSTILE = "<img src=x onerror=\"document.title='in'\"><script>document.title='in'</script> \"'&amp;\n{{7*7}} a circle"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def address_of(data: Path, model: StandIn, *, keys: tuple[str, ...] = (), **limits: Any) -> Iterator[str]:
    """The address of a server in this process, which listens while the context is open."""
    bound: socket.socket = bound_socket("127.0.0.1", 0)
    bound.listen()  # from now on a browser waits for an answer
    app = create_app(parts(data, model, **limits), keys=keys, hosts=["127.0.0.1"])
    config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"
    finally:
        model.gate.set()
        server.should_exit = True
        thread.join(20)


@contextmanager
def page_at(browser: Any, address: str, **how: Any) -> Iterator[Any]:
    """A tab of its own on the page; what goes wrong in it fails the test."""
    context = browser.new_context(**{"viewport": DESK, **how})
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    page.goto(address)
    yield page
    context.close()
    assert faults == []


def made(page: Any, prompt: str, *, seed: int = 7) -> None:
    """Ask for a video with the keyboard."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.keyboard.press("Control+Enter")


def wait_until(page: Any, condition: str) -> None:
    """Wait for a condition of JavaScript (`wait_for_function` evaluates in the page, whose policy forbids that)."""
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never: {condition}"
        page.wait_for_timeout(50)


PLAYS = "(v => !v.hidden && v.readyState >= 3 && v.currentTime > 0 && !v.paused)(document.getElementById('video'))"
PIXEL = "Array.from(document.getElementById('frames').getContext('2d').getImageData(5, 5, 1, 1).data)"


def test_frames_appear_before_the_video_is_made_which_then_plays(browser: Any, tmp_path: Path) -> None:
    model = StandIn()
    model.gate.clear()
    with address_of(tmp_path, model) as address, page_at(browser, address) as page:
        made(page, HOSTILE, seed=200)
        page.get_by_label("Frame 1 of 5").wait_for()  # the second one is held back
        red, green, blue, _ = page.evaluate(PIXEL)
        assert (red > 180, green < 40, blue < 40) == (True, True, True)
        page.locator("#queue-list").get_by_text("1 of 5 frames made").wait_for()
        assert page.locator("#history-list li").count() == 0
        model.gate.set()
        wait_until(page, PLAYS)
        card = page.locator("#history-list li")
        card.wait_for()
        for place in (card.locator(".prompt"), page.locator("#stage-prompt")):  # as text, and nothing of it ran
            assert place.text_content() == HOSTILE
        assert (page.title(), page.locator("#main img[src=x]").count()) == ("lumos", 0)
        wait_until(page, "document.querySelector('.thumb img').naturalWidth > 0")
        with page.expect_download() as saved:
            card.get_by_role("button", name="Download").click()
        assert re.fullmatch(r"video_[0-9a-f]{32}\.mp4", saved.value.suggested_filename)


def test_make_it_again_fills_the_form_and_makes_the_same(browser: Any, tmp_path: Path) -> None:
    model, picture = StandIn(), tmp_path / "first.png"
    Image.new("RGB", (64, 32), "blue").save(picture)
    with address_of(tmp_path / "data", model) as address, page_at(browser, address) as page:
        page.locator("summary", has_text="Options").click()
        for label, value in {
            "Size": "32x64",
            "Seconds": "2",
            "Other settings (one a line: name = value)": "top_k = 50",
        }.items():
            page.get_by_label(label).fill(value)
        page.locator("#input_reference").set_input_files(picture)
        page.get_by_alt_text("The first frame that is sent").wait_for()
        made(page, "a circle", seed=2**62 + 1)
        card = page.locator("#history-list li")
        card.wait_for()
        page.get_by_role("button", name="Clear").click()
        assert page.locator("#prompt").input_value() == ""
        card.locator("summary").click()
        wait_until(page, "document.querySelector('pre').textContent.includes('\"top_k\": 50')")
        card.get_by_role("button", name="Make it again").click()
        wait_until(page, "document.getElementById('prompt').value === 'a circle'")
        values = {name: page.locator(f"#{name}").input_value() for name in ("seed", "size", "seconds", "others")}
        assert values == {"seed": str(2**62 + 1), "size": "32x64", "seconds": "2", "others": "top_k = 50"}
        page.keyboard.press("Control+Enter")
        page.locator("#history-list li").nth(1).wait_for()
        first, again = (replace(work, id="", picture=None) for work in model.made)
        assert first == again
        assert model.made[1].picture is not None
        second = page.locator("#history-list li").first
        second.get_by_role("button", name="Delete").click()
        second.get_by_role("button", name="Delete for good?").click()
        wait_until(page, "document.querySelectorAll('#history-list li').length === 1")
        assert page.evaluate("document.activeElement.id") == "history-title"


def test_make_it_again_keeps_what_the_prompt_changes_to_and_a_side_alone_and_the_clip_before(
    browser: Any, tmp_path: Path
) -> None:
    model = StandIn()
    with address_of(tmp_path, model) as address, page_at(browser, address) as page:
        page.locator("#others").evaluate("field => field.value = 'width = 32\\nthen = [[1, \"up\\\\nand = away\"]]'")
        made(page, "a circle")
        page.locator("#history-list li").wait_for()
        source = page.locator("#history-list li").get_attribute("data-id")
        page.evaluate(
            """id => fetch("v1/videos/extensions", {method: "POST", headers: {"Content-Type": "application/json"},
            body: JSON.stringify({prompt: "and on", video: {id}, num_frames: 4, seed: 3, top_k: 50})})""",
            source,
        )
        page.locator("#history-list li").nth(1).wait_for()
        for number, prompt in ((2, "a circle"), (3, "and on")):
            card = page.locator("#history-list li").filter(has_text=prompt)
            card.get_by_role("button", name="Make it again").click()
            wait_until(page, f"document.getElementById('prompt').value === '{prompt}'")
            assert page.locator("#before-shown").is_visible() == (prompt == "and on")
            if prompt == "and on":
                page.reload()  # what is kept of it lasts
                page.get_by_text("the clip before \u201cand on\u201d").wait_for()
            page.locator("#submit").click()
            page.locator("#history-list li").nth(number).wait_for()
        first, longer, first_again, longer_again = (replace(work, id="", before=None) for work in model.made)
        assert (first_again, longer_again) == (first, longer)
        assert (first.given["width"], first.then) == (32, [[1, "up\nand = away"]])
        assert model.made[3].before is not None


def test_the_key_is_asked_for_once_and_kept_for_the_tab(browser: Any, tmp_path: Path) -> None:
    with address_of(tmp_path, StandIn(), keys=(KEY,)) as address, page_at(browser, address) as page:
        field = page.get_by_label("API key")
        field.fill("a-wrong-key-0123456789")
        page.keyboard.press("Enter")
        page.get_by_text("The server does not know that key.").wait_for()
        assert page.locator("main").is_hidden()
        field.fill(KEY)
        page.keyboard.press("Enter")
        made(page, "a circle")
        wait_until(page, PLAYS)
        page.reload()
        page.locator("#history-list li img").wait_for()
        assert field.is_hidden()
        assert KEY not in page.content()


def test_what_the_server_refuses_is_said_beside_the_form_and_nothing_typed_is_lost(
    browser: Any, tmp_path: Path
) -> None:
    model, large = StandIn(), tmp_path / "large.png"
    model.gate.clear()
    large.write_bytes(b"\x89PNG" + bytes(2**21))
    with page_of(browser, tmp_path, model, most_queued=1, most_upload_mib=1) as (page, server_gone):
        made(page, "")
        page.get_by_text("Write a prompt first.").wait_for()
        page.locator("#size").evaluate("field => field.value = 'huge'")
        made(page, "a circle")
        wait_until(page, "document.getElementById('form-error').textContent.includes('as in 448x256')")
        assert page.evaluate("[document.activeElement.id, document.getElementById('options').open]") == ["size", True]
        page.locator("#size").fill("")
        page.locator("#input_reference").set_input_files(large)
        page.get_by_role("button", name="Remove the picture").wait_for()
        made(page, "a circle")
        wait_until(page, "document.getElementById('form-error').textContent.includes('larger than')")
        page.get_by_role("button", name="Remove the picture").click()
        for number in range(3):  # one in work, one that waits, one too many
            made(page, f"circle {number}")
            wait_until(page, "!document.getElementById('submit').disabled")
        wait_until(
            page, "/1 jobs wait already.*try again in \\d+ s/.test(document.getElementById('form-error').textContent)"
        )
        page.reload()
        page.locator("#model option").first.wait_for(state="attached")
        assert page.locator("#prompt").input_value() == "circle 2"
        page.locator("#queue-list li").nth(1).get_by_role("button", name="Cancel").click()
        wait_until(page, "document.querySelectorAll('#queue-list li').length === 1")
        server_gone()
        made(page, "the last circle")
        wait_until(page, "document.getElementById('form-error').textContent.includes('does not answer')")
        assert page.locator("#prompt").input_value() == "the last circle"


def test_who_types_faster_than_the_server_answers_loses_nothing(browser: Any, tmp_path: Path) -> None:
    model = StandIn()
    held = threading.Event()
    with address_of(tmp_path, model) as address, page_at(browser, "about:blank") as page:
        page.route("**/v1/models", lambda route: (held.wait(0.5), route.continue_()))
        page.goto(address, wait_until="commit")
        made(page, "a circle")
        wait_until(page, PLAYS)
        assert (len(model.made), page.url) == (1, address)


def test_a_request_whose_answer_was_lost_is_one_job_when_it_is_sent_again(browser: Any, tmp_path: Path) -> None:
    with address_of(tmp_path, StandIn()) as address, page_at(browser, address) as page:
        page.route("**/v1/videos", lambda route: (route.fetch(), route.abort()), times=1)
        made(page, "a circle")
        wait_until(page, "document.getElementById('form-error').textContent.includes('does not answer')")
        page.keyboard.press("Control+Enter")
        wait_until(page, PLAYS)
        listed = page.evaluate("fetch('v1/videos').then(answer => answer.json()).then(found => found.data.length)")
        assert (listed, page.locator("#form-error").text_content()) == (1, "")


@contextmanager
def page_of(browser: Any, data: Path, model: StandIn, **limits: Any) -> Iterator[tuple[Any, Any]]:
    """The page of a server, and what ends the server."""
    server = address_of(data / "data", model, **limits)
    address = server.__enter__()
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:
            ended = True
            server.__exit__(None, None, None)

    try:
        with page_at(browser, address) as page:
            yield page, end
    finally:
        end()


def test_a_phone_a_keyboard_and_a_dark_room(browser: Any, tmp_path: Path) -> None:
    how = {"viewport": PHONE, "color_scheme": "dark", "reduced_motion": "reduce"}
    with address_of(tmp_path, StandIn()) as address, page_at(browser, address, **how) as page:
        made(page, "a very long word: " + "circle" * 60)
        page.locator("#history-list li img").wait_for()
        wait_until(page, "document.getElementById('video').readyState >= 2")
        assert page.evaluate("document.getElementById('video').paused") is True  # motion is not wanted
        page.locator("#options").evaluate("options => options.open = true")
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1] == PHONE["width"]
        page.locator("#prompt").focus()
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.do || ''"))
        options = ["seconds", "size", "num_inference_steps", "guidance_scale", "negative_prompt", "fast", "others"]
        order = ["model", "seed", "dice", "input_reference", *options, "clear", "submit", "stage-again", "again"]
        assert [name for name in reached if name in order][: len(order)] == order
        page.locator("#dice").press("Enter")
        assert page.locator("#seed").input_value().isdecimal()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (outline, dark) == ("solid", "rgb(19, 21, 28)")
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input, select, textarea')].filter(f => !f.labels?.length).map(f => f.id)"
        )
        assert unnamed == []
