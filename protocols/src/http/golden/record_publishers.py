#!/usr/bin/env python3
"""Records what real HTTP clients send when they publish a transport stream.

usage: record_publishers.py DIRECTORY

Runs each client below that is installed against a listener on 127.0.0.1, which lets the publication
in as a server does, and writes all that it sends on its first connection to DIRECTORY/NAME.bin.
Standard library only; the port is the kernel's choice.
"""

import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

STREAM = "/live/test.ts?token=t"
CLIP = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5", "-t", "0.4", "-c:v", "mpeg2video",
        "-q:v", "31", "-flush_packets", "1", "-f", "mpegts"]


def serve(listener, received):
    connection, _ = listener.accept()
    connection.settimeout(3)
    with connection:
        try:
            while True:
                part = connection.recv(65536)
                if not part:
                    return
                is_head = b"\r\n\r\n" not in received
                received.extend(part)
                if is_head and b"\r\n\r\n" in received and b"100-continue" in received.lower():
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                if is_complete(received):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    return
        except OSError:
            pass


def is_complete(received):
    head, _, content = bytes(received).partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in fields:
        return len(content) >= int(fields[b"content-length"])
    return content.endswith(b"0\r\n\r\n")


def record(command, source=None):
    listener = socket.create_server(("127.0.0.1", 0))
    received = bytearray()
    thread = threading.Thread(target=serve, args=(listener, received), daemon=True)
    thread.start()
    port = str(listener.getsockname()[1])
    command = [part.replace("{port}", port) for part in command]
    try:
        subprocess.run(command, timeout=12, input=source, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pass
    thread.join(5)
    return bytes(received)


def main():
    target = pathlib.Path(sys.argv[1])
    url = "http://127.0.0.1:{port}" + STREAM
    with tempfile.TemporaryDirectory() as folder:
        clip = folder + "/clip.ts"
        subprocess.run(["ffmpeg", "-v", "error", "-y", *CLIP, clip], check=True)
        source = pathlib.Path(clip).read_bytes()
        clients = {
            "publish_ffmpeg": ["ffmpeg", "-v", "error", *CLIP, url],
            "publish_ffmpeg_put": ["ffmpeg", "-v", "error", *CLIP, "-method", "PUT",
                                   "-chunked_post", "0", url],
            "publish_curl_file": ["curl", "-s", "-m", "5", "-H", "Expect: 100-continue", "-T", clip,
                                  url],
            "publish_curl_pipe": ["curl", "-s", "-m", "5", "-T", "-", url],
        }
        for name, command in clients.items():
            if not shutil.which(command[0]):
                print(f"{name}: {command[0]} is not installed")
                continue
            received = record(command, source)
            (target / f"{name}.bin").write_bytes(received)
            print(f"{name}: {len(received)} bytes, {len(source)} in the clip")


main()
