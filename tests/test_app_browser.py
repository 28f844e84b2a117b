"""The real app in a real browser: a model and an image go in, a verdict comes out."""

import io
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from sklearn.datasets import load_digits

pytest.importorskip("playwright", reason="a browser is driven: pip install playwright")
pytest.importorskip("streamlit", reason="the app: pip install skvae[app]")
from PIL import Image
from playwright import sync_api

import skvae

ROOT = Path(__file__).resolve().parents[1]
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# A name may hold anything but a slash.
HOSTILE = "<img src=x onerror=alert(1)>![y](http:⁄⁄example.org⁄y.png).png"
SECONDS = 90

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine: apt-get install chromium"
)


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def address():
    """Where ``skvae app`` answers; its process ends with the tests."""
    port = free_port()
    options = ["--port", str(port), "--no-browser"]
    server = subprocess.Popen(
        [sys.executable, "-m", "skvae.cli", "app", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(server, f"http://localhost:{port}/_stcore/health")
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        try:
            output = server.communicate(timeout=SECONDS)[0]
        finally:
            server.kill()
    assert "Traceback" not in output


def wait_for(server, address):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, server.communicate()[0]
        try:
            urlopen(address, timeout=5).close()
            return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(f"{address} does not answer")


@contextmanager
def opened(address):
    """The page, and the addresses that it asked for."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1300, "height": 1900})
            page.set_default_timeout(1000 * SECONDS)
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
            page.goto(address)
            yield page, asked
        finally:
            browser.close()


def upload(page, place, *files):
    """Upload (name, content) pairs by the uploader in a part of the page."""
    kind = "application/octet-stream"
    page.get_by_test_id(place).locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": kind, "buffer": content} for name, content in files]
    )


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_a_model_and_images_give_a_verdict(address, tmp_path):
    images = (load_digits().images * 15.9).astype(np.uint8)
    detector = skvae.ConvVAEDetector(max_steps=60, random_state=0).fit(images[:300])
    skvae.save(detector, tmp_path / "digits.safetensors")
    noise = np.random.RandomState(0).randint(0, 256, (8, 8), dtype=np.uint8)
    scores = detector.anomaly_score(np.stack([images[300], noise]))
    assert scores[0] < detector.threshold_ < scores[1]

    with opened(address) as (page, asked):
        page.get_by_text("choose a model").wait_for()
        content = (tmp_path / "digits.safetensors").read_bytes()
        upload(page, "stSidebar", ("digits.safetensors", content))
        page.get_by_text("ConvVAEDetector for images of 8 x 8 pixels, grey").wait_for()

        upload(
            page, "stMain", ("digit.png", png(images[300])), (HOSTILE, png(noise)), ("b.png", b"")
        )
        verdict = page.get_by_test_id("stAlert").filter(has_text="threshold")
        verdict.get_by_text("Anomaly.").wait_for()
        assert f"{HOSTILE}: score {scores[1]:.4g}, threshold" in verdict.inner_text()
        page.get_by_text("b.png: not an image of a known format").wait_for()
        page.locator(".js-plotly-plot").nth(1).wait_for()
        assert page.locator(".js-plotly-plot").count() == 2
        page.locator("[data-testid=stImage] img").wait_for()

        # The other image: its verdict, and another one as soon as the threshold is below it.
        page.get_by_test_id("stMain").get_by_role("combobox").click()
        page.get_by_role("option", name="digit.png").click()
        verdict.get_by_text("Normal.").wait_for()
        assert f"digit.png: score {scores[0]:.4g}, threshold" in verdict.inner_text()
        page.get_by_role("slider").press("Home")
        verdict.get_by_text("Anomaly.").wait_for()

        with page.expect_download() as download:
            page.get_by_role("button", name="Download the results").click()
        lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
        assert lines[0] == "file,anomaly_score,is_anomaly,threshold,reason"
        assert [line.split(",")[0] for line in lines[1:]] == ["digit.png", HOSTILE, "b.png"]
        assert page.get_by_test_id("stException").count() == 0

    hosts = {url.split("/")[2] for url in asked if url.startswith("http")}
    assert hosts == {address.split("/")[2]}


def test_the_server_is_this_machines_alone(address):
    port = int(address.rpartition(":")[2])
    # Whoever listens at every address of a machine answers at this one as well.
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=5).close()
    assert shakes_hands(port, f"localhost:{port}").startswith("HTTP/1.1 101")
    # A page elsewhere, under a name that leads here.
    assert shakes_hands(port, f"elsewhere.example:{port}").startswith("HTTP/1.1 403")


def shakes_hands(port, host):
    """First line of the answer to a browser that asks for a WebSocket under a name."""
    lines = (
        "GET /_stcore/stream HTTP/1.1",
        f"Host: {host}",
        f"Origin: http://{host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        return connection.recv(1000).decode().splitlines()[0]
