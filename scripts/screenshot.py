#!/usr/bin/env python3
"""Take docs/page.png: the worker's page with pictures that scripts/draw_faces.py draws.

    screenshot.py PROGRAM [FILE]

PROGRAM is facemill with a pack inside; needs chromium and chromedriver. FILE: default docs/page.png.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "http"))
import browser  # noqa: E402  (found by the line above)


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    if browser.MISSING:
        print("screenshot: " + browser.MISSING, file=sys.stderr)
        return 3
    out = sys.argv[2] if len(sys.argv) == 3 else os.path.join(ROOT, "docs", "page.png")
    with tempfile.TemporaryDirectory() as folder:
        drawn = subprocess.run([sys.executable, os.path.join(ROOT, "scripts", "draw_faces.py"), folder, "--count", "3", "--seed", "1"],
                               stdout=subprocess.PIPE, check=True, timeout=60).stdout
        paths = [json.loads(line)["path"] for line in drawn.splitlines()]
        worker = subprocess.Popen([sys.argv[1], "serve", "--listen", "127.0.0.1:0", "--format", "jsonl"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, env=dict(os.environ, HOME=folder))
        window = None
        try:
            url = json.loads(worker.stdout.readline())["listening"][0]
            window = browser.Browser(1100, 900)
            window.resize(1100, 860)
            window.open(url + "/")
            window.type("#files", "\n".join(paths))
            window.wait("return document.querySelectorAll('article[data-state=done]').length === arguments[0]", len(paths))
            window.screenshot(out)
        finally:
            if window:
                window.close()
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
    print("screenshot: %s, %d bytes" % (out, os.path.getsize(out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
