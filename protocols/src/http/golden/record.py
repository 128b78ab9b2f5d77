#!/usr/bin/env python3
"""Records what real HTTP players send when they ask for a stream.

usage: record.py DIRECTORY

Runs each client below that is installed against a listener on 127.0.0.1 and writes the bytes of its
first request head to DIRECTORY/NAME.bin. Standard library only; the port is the kernel's choice.
"""

import base64
import hashlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

STREAM = "/live/test.flv?token=t"
FLV = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"
PAGE = """<!doctype html><script>
const there = "localhost:%d";
fetch("http://" + there + "%s");
fetch("http://" + there + "/live/preflight.flv", {headers: {"X-Player": "1"}}).catch(() => 0);
new WebSocket("ws://" + there + "%s");
</script>"""


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            break
        head += part
    return head


def reply_to(head, port):
    path = head.split(b" ")[1]
    fields = {k.lower(): v for k, v in (line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])}
    cors = b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n"
    if path == b"/":
        page = (PAGE % (port, STREAM, STREAM)).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page
    if b"sec-websocket-key" in fields:
        key = fields[b"sec-websocket-key"] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest())
        return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    if head.startswith(b"OPTIONS"):
        return b"HTTP/1.1 204 No Content\r\n" + cors + b"\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n" + cors + b"\r\n" + FLV


class Recorder:
    def __init__(self):
        self.heads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(5)
        with connection:
            try:
                head = read_head(connection)
                if head:
                    self.heads.append(head)
                    connection.sendall(reply_to(head, self.port))
            except OSError:
                pass


def run(recorder, command):
    command = [part.replace("{port}", str(recorder.port)) for part in command]
    try:
        subprocess.run(command, timeout=12, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pass


def main():
    target = pathlib.Path(sys.argv[1])
    url = "http://127.0.0.1:{port}" + STREAM
    profile = tempfile.mkdtemp()
    clients = {
        "curl": ["curl", "-s", "-m", "3", "-o", "/dev/null", url],
        "curl_head": ["curl", "-s", "-m", "3", "-I", "-o", "/dev/null", url],
        "wget": ["wget", "-q", "-T", "3", "-t", "1", "-O", "/dev/null", url],
        "ffmpeg": ["ffmpeg", "-i", url, "-f", "null", "-"],
        "gstreamer": ["gst-launch-1.0", "souphttpsrc", "location=" + url, "!", "fakesink"],
        # VLC does not run as root.
        "vlc": ["runuser", "-u", "nobody", "--", "env", "HOME=" + tempfile.gettempdir(),
                "cvlc", "--play-and-exit", "--run-time=2", "--no-dbus", url, "vlc://quit"],
    }
    for name, command in clients.items():
        if not shutil.which(command[0]):
            print(f"{name}: {command[0]} is not installed")
            continue
        recorder = Recorder()
        run(recorder, command)
        save(target, name, recorder.heads)
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + profile,
                "--virtual-time-budget=4000", "--dump-dom", "http://127.0.0.1:{port}/"]
    if shutil.which(chromium[0]):
        recorder = Recorder()
        run(recorder, chromium)
        heads = [head for head in recorder.heads if b" /live/" in head.split(b"\r\n")[0]]
        sockets = [head for head in heads if b"Sec-WebSocket-Key" in head]
        preflights = [head for head in heads if head.startswith(b"OPTIONS")]
        save(target, "chromium_websocket", sockets)
        save(target, "chromium_preflight", preflights)
        save(target, "chromium_fetch", [head for head in heads if b"test.flv" in head and head not in sockets])


def save(target, name, heads):
    if not heads:
        print(f"{name}: nothing was recorded")
        return
    (target / f"{name}.bin").write_bytes(heads[0])
    print(f"{name}: {len(heads[0])} bytes of the first of {len(heads)} requests")


main()
