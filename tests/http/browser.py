"""A headless Chromium, driven by the WebDriver protocol (W3C) over HTTP: chromium and chromedriver are Debian's, the rest is
the standard library."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = None if CHROMIUM and DRIVER else "no chromium with chromedriver (Debian: chromium, chromium-driver)"


class Browser:
    """One window. Everything it waits for has a limit."""

    def __init__(self, width=1100, height=900, dark=False, seconds=60):
        self.seconds = seconds
        self.profile = tempfile.mkdtemp(prefix="facemill-browser-")
        self.driver = subprocess.Popen([DRIVER, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       start_new_session=True, env=dict(os.environ, TMPDIR=self.profile))
        try:
            self.url = "http://127.0.0.1:%d" % self._port()
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                         "--disable-background-networking", "--hide-scrollbars", "--force-device-scale-factor=1",
                         "--user-data-dir=" + os.path.join(self.profile, "profile"), "--window-size=%d,%d" % (width, height)]
            if dark:
                arguments.append("--force-dark-mode")
            wanted = {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
                      "goog:chromeOptions": {"binary": CHROMIUM, "args": arguments}}
            self.session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def _port(self):
        watch = threading.Timer(self.seconds, self.driver.kill)
        watch.start()
        try:
            for line in self.driver.stdout:
                found = re.search(rb"started successfully on port (\d+)", line)
                if found:
                    return int(found.group(1))
        finally:
            watch.cancel()
        raise RuntimeError("chromedriver ended before it listened")

    def _ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, headers={"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=self.seconds) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError("%s %s: %s" % (method, path, error.read()[:1000].decode(errors="replace"))) from None

    def _do(self, method, path, body=None):
        return self._ask(method, "/session/%s%s" % (self.session, path), body)

    def open(self, url):
        self._do("POST", "/url", {"url": url})

    def resize(self, width, height):
        """The page's own size, as a telephone's: windows do not go below 500 pixels."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def command(self, name, **parameters):
        """One of Chromium's own (DevTools protocol)."""
        return self._do("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def run(self, script, *arguments):
        return self._do("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, *arguments):
        """Run `script` until it answers something true; its answer."""
        end = time.monotonic() + self.seconds
        while True:
            value = self.run(script, *arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("in vain for %d s: %s\n%s" % (self.seconds, script, self.run("return document.body.innerText")))
            time.sleep(0.05)

    def find(self, selector):
        return self._do("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        """Into a field; for a field of files: their paths, one per line."""
        self._do("POST", "/element/%s/value" % self.find(selector), {"text": text})

    def click(self, selector):
        self._do("POST", "/element/%s/click" % self.find(selector), {})

    def log(self):
        """What the console was told, policy violations too."""
        return [line["message"] for line in self._do("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._do("GET", "/screenshot")))

    def close(self):
        """The driver and the browsers it started: they are the process group that began with it."""
        try:
            if hasattr(self, "session"):
                self._do("DELETE", "")
        except (OSError, RuntimeError):
            pass
        try:
            os.killpg(self.driver.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.driver.wait(10)
        self.driver.stdout.close()
        shutil.rmtree(self.profile, ignore_errors=True)
