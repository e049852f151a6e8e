"""The page at / in a real browser: what it shows is what the API answers; errors in words; usable on a small screen, in the dark,
with a token."""

import base64
import json
import re

import pytest

import browser as webdriver
from conftest import Worker

DONE = "return document.querySelectorAll('article[data-state=done], article[data-state=failed]').length === arguments[0]"
COUNTS = "return [...document.querySelectorAll('article')].map(a => [a.querySelector('h2').textContent, a.dataset.state, a.dataset.faces || null])"


@pytest.fixture(scope="module")
def browser():
    if webdriver.MISSING:
        pytest.skip(webdriver.MISSING)
    window = webdriver.Browser()
    yield window
    window.close()


@pytest.fixture
def files(tmp_path, pictures):
    paths = {}
    for name, data in (("one.png", pictures[1]), ("three.png", pictures[3]), ("none.png", pictures[0]), ("notes.txt", b"no picture")):
        (tmp_path / name).write_bytes(data)
        paths[name] = str(tmp_path / name)
    return paths


def painted(browser, name):
    """How many pixels of a picture's canvas have the box's colour."""
    return browser.run("""
        const card = [...document.querySelectorAll('article')].find(a => a.querySelector('h2').textContent === arguments[0]);
        const canvas = card.querySelector('canvas'), pen = canvas.getContext('2d');
        const bytes = pen.getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 0; i < bytes.length; i += 4) count += bytes[i] === 10 && bytes[i + 1] === 125 && bytes[i + 2] === 90;
        return count;""", name)


def test_pictures_are_shown_as_the_api_answers(worker, browser, files, pictures):
    browser.open(worker.url + "/")
    browser.wait("return document.getElementById('pack').textContent.startsWith('pack stock on ort:cpu')")
    browser.type("#files", "\n".join(files.values()))
    browser.wait(DONE, 4)
    shown = {name: (state, faces) for name, state, faces in browser.run(COUNTS)}
    for name, picture in (("one.png", pictures[1]), ("three.png", pictures[3]), ("none.png", pictures[0])):
        answered = worker.post("/v1/analyze?embedding=none", picture).json
        assert shown[name] == ("done", str(len(answered["faces"]))), name
        copied = json.loads(browser.run("""return [...document.querySelectorAll('article')].find(
            a => a.querySelector('h2').textContent === arguments[0]).querySelector('pre').textContent""", name))
        assert [copied[k] for k in ("width", "height", "faces")] == [answered[k] for k in ("width", "height", "faces")]
    assert painted(browser, "none.png") == 0 < painted(browser, "one.png") < painted(browser, "three.png")
    state, words = browser.run("""const card = document.querySelector('article[data-state=failed]');
        return [card.querySelector('h2').textContent, card.querySelector('[role=alert]').textContent]""")
    assert state == "notes.txt" and "not an image" in words
    rows = browser.run("return [...document.querySelectorAll('#models tr')].map(r => [...r.cells].map(c => c.textContent))")
    assert [row[:4] for row in rows] == [[m["file"], m["task"], m["provider"], m["precision"]] for m in worker.get("/v1/models").json["models"]]
    assert browser.run("return document.getElementById('status').textContent") == "4 pictures done"


def test_the_policy_lets_the_page_work_and_nothing_else(worker, browser, files):
    page = worker.get("/", Accept="text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert not re.search(r"(src|href)=[\"'](https?:)?//", page.text), "the page loads something from elsewhere"
    browser.log()
    browser.open(worker.url + "/")
    browser.type("#files", files["one.png"])
    browser.wait(DONE, 1)
    assert [line for line in browser.log() if "favicon" not in line] == []
    ran = browser.run("""const script = document.createElement('script'); script.textContent = 'window.foreign = 1';
        document.body.append(script); return window.foreign === undefined""")
    assert ran and any("Content Security Policy" in line for line in browser.log())


def test_dragging_over_the_page_is_shown(worker, browser):
    browser.open(worker.url + "/")
    over = "return document.getElementById('drop').classList.contains('over')"
    send = "document.body.dispatchEvent(new DragEvent(arguments[0], {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()}))"
    assert not browser.run(over)
    browser.run(send, "dragenter")
    assert browser.run(over)
    browser.run(send, "dragleave")
    assert not browser.run(over)


def test_dropped_pictures_are_taken(worker, browser, pictures):
    browser.open(worker.url + "/")
    browser.run("""const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0)), data = new DataTransfer();
        data.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
        document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: data}))""",
                base64.b64encode(pictures[2]).decode())
    browser.wait(DONE, 1)
    assert browser.run(COUNTS) == [["dropped.png", "done", "2"]]
    browser.click("#clear")
    assert browser.run(COUNTS) == []


def test_options_reach_the_worker(worker, browser, files):
    browser.open(worker.url + "/")
    browser.type("#threshold", "2")
    browser.type("#files", files["one.png"])
    browser.wait(DONE, 1)
    assert "det_threshold" in browser.run("return document.querySelector('article [role=alert]').textContent")


def test_the_token_field_comes_when_the_worker_asks(home, runtime, png_support, make_pack, tmp_path, browser, files):
    tokens = tmp_path / "tokens"
    tokens.write_text("a-good-token-of-some-length\n")
    tokens.chmod(0o600)
    worker = Worker(home, runtime, "--pack", make_pack("stock"), "--token-file", tokens)
    shown = "return !document.getElementById('access').hidden"
    try:
        browser.open(worker.url + "/")
        browser.wait(shown)
        browser.type("#files", files["three.png"])
        browser.type("#token", "a-wrong-token\n")
        browser.wait("return document.getElementById('trouble').textContent.includes('does not take')")
        browser.run("document.getElementById('token').value = ''")
        browser.type("#token", "a-good-token-of-some-length\n")
        browser.wait(DONE, 1)
        assert browser.run(COUNTS) == [["three.png", "done", "3"]] and not browser.run(shown)
    finally:
        worker.close()


def test_without_a_token_file_no_field_is_shown(worker, browser):
    browser.open(worker.url + "/")
    browser.wait("return document.getElementById('pack').textContent.startsWith('pack ')")
    assert browser.run("return document.getElementById('access').hidden && document.getElementById('trouble').hidden")


@pytest.mark.parametrize("dark", ["light", "dark"])
def test_small_screens_and_both_colours(worker, browser, files, dark):
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": dark}])
    browser.resize(360, 740)
    try:
        browser.open(worker.url + "/")
        browser.type("#files", files["three.png"] + "\n" + files["notes.txt"])
        browser.wait(DONE, 2)
        browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
        assert browser.run("return document.documentElement.scrollWidth <= 360"), "the page is wider than the screen"
        contrast = browser.run("""
            const light = (css) => { const c = css.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
              .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
            const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
              if (!/, 0\\)$/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
            return [...document.querySelectorAll('p, h1, h2, th, td, summary, label, strong, span, button, a')]
              .filter(e => e.textContent.trim() && e.getClientRects().length).map(e => {
                const a = light(getComputedStyle(e).color), b = light(ground(e));
                return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName]; }).sort((a, b) => a[0] - b[0])[0]""")
        assert contrast[0] >= 4.5, "too little contrast: %s" % contrast
        assert browser.run("return matchMedia('(prefers-color-scheme: dark)').matches") == (dark == "dark")
    finally:
        browser.command("Emulation.setEmulatedMedia", features=[])
        browser.command("Emulation.clearDeviceMetricsOverride")


def test_everything_that_can_be_worked_has_a_name(worker, browser, files):
    """As a screen reader has it: Chromium's own accessibility tree."""
    browser.open(worker.url + "/")
    browser.type("#files", files["one.png"])
    browser.wait(DONE, 1)
    nodes = browser.command("Accessibility.getFullAXTree")["nodes"]
    seen = [(node["role"]["value"], (node.get("name") or {}).get("value", "")) for node in nodes if not node.get("ignored")]
    named = [(role, name) for role, name in seen if role in ("button", "textbox", "combobox", "spinbutton", "image", "link", "img")]
    assert len(named) >= 5 and all(name for _, name in named), named
    assert any("1 face marked" in name for _, name in named), named
    assert browser.run("return document.documentElement.lang") == "en"


def test_programs_get_the_health_and_browsers_the_page(worker):
    for accept in (None, "*/*", "application/json", "application/json, text/html;q=0.9"):
        answer = worker.get("/", **({"Accept": accept} if accept else {}))
        assert answer.json["status"] == "healthy", accept
    for accept in ("text/html", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"):
        answer = worker.get("/", Accept=accept)
        assert answer.headers["content-type"] == "text/html; charset=utf-8" and answer.text.startswith("<!DOCTYPE html>")
