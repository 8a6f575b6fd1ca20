"""Stands in for vLLM: listens on --port, spawns a child that ignores SIGTERM in a session of its own.

Run as ``python fake_server.py BEHAVIOUR PIDFILE``, with vLLM's flags after it. Behaviours: serve, fail, taken, slow.
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ENGINE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": option("--served-model-name")}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


behaviour, pidfile = sys.argv[1:3]
if behaviour == "fail":
    print("(EngineCore pid=7) INFO 01-01 00:00:00 [core.py:1] Loading weights")
    print("(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:2] ValueError: the weights are made of cheese")
    print("RuntimeError: Engine core initialization failed. See root cause above.")
    sys.exit(3)
if behaviour == "taken":
    print("OSError: [Errno 98] Address already in use")
    sys.exit(1)
engine = subprocess.Popen([sys.executable, "-S", "-c", ENGINE], start_new_session=True)
time.sleep(0.2)  # until it ignores SIGTERM
Path(pidfile + ".new").write_text(f"{os.getpid()} {engine.pid}")
Path(pidfile + ".new").rename(pidfile)
if behaviour == "slow":
    print("(APIServer pid=7) INFO 01-01 00:00:00 [weight_utils.py:1] Loading weights took 0.3 seconds", flush=True)
    time.sleep(300)
HTTPServer((option("--host"), int(option("--port"))), Handler).serve_forever()
