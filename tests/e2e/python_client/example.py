"""Starts a built example on a free port, and talks HTTP to it."""

import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DEADLINE = 60  # seconds; a working server answers within milliseconds
ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Example:
    def __init__(self, name, **env):
        self.process = subprocess.Popen(
            [TARGET / "debug" / "examples" / name],
            env={**os.environ, "PORT": "0", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = ""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()
        line = self.process.stdout.readline()
        self.url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)[1]

    def _read_log(self):
        for line in self.process.stderr:
            with self._grown:
                self.log += line
                self._grown.notify_all()

    def logged(self, pattern):
        """Waits until the log contains `pattern`."""
        with self._grown:
            found = self._grown.wait_for(lambda: re.search(pattern, self.log), DEADLINE)
        if not found:
            raise AssertionError(f"the log never contained {pattern!r}:\n{self.log}")

    def stop(self, by=signal.SIGINT):
        self.process.send_signal(by)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._reader.join()
            self.process.stdout.close()
            self.process.stderr.close()

    def post(self, path, cookie=None, **form):
        """Returns the status, the headers and the body; does not follow redirects."""
        headers = {"Cookie": cookie} if cookie else {}
        body = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.url + path, body, headers, method="POST")
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=DEADLINE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.headers, answer.read().decode()

    def login(self, name, cookie=None):
        """Signs in; returns the cookie as a `Cookie` header."""
        status, headers, body = self.post("/login", cookie, name=name)
        if status != 303:
            raise AssertionError(f"/login answered {status}: {body}")
        return headers["Set-Cookie"].split(";")[0]

    def token(self, cookie):
        return json.loads(self.post("/token", cookie)[2])["token"]
