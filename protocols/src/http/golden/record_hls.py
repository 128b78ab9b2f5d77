#!/usr/bin/env python3
"""Records what real players send when they watch by HTTP Live Streaming.

usage: record_hls.py DIRECTORY [HLS_JS]

Runs each player below that is installed against a listener on 127.0.0.1, which serves four seconds of
test picture by the paths of this server, and writes the request heads of the player's first visit of
each kind (either playlist, a reload, a segment), one behind the other, to DIRECTORY/hls_NAME.bin. HLS_JS is the path of hls.min.js: with
it Chromium plays, too. Standard library only; the port is the kernel's choice.
"""

import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

URL = "/live/test.m3u8?token=t"
SEGMENTS = 4
MASTER = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS="avc1.42c00a,mp4a.40.2"
test.hls/ts/index.m3u8?token=t&session=Jk3_9s
"""
MEDIA = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
"""
PAGE = """<!doctype html><video muted autoplay></video><script src="/hls.js"></script><script>
const hls = new Hls({lowLatencyMode: true});
hls.loadSource("http://localhost:%d%s");
hls.attachMedia(document.querySelector("video"));
</script>"""


def make_segments(directory):
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10", "-f", "lavfi", "-i",
         "sine", "-t", str(SEGMENTS), "-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
         "-g", "10", "-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0",
         "-hls_segment_filename", directory + "/%d.ts", directory + "/index.m3u8"], check=True)
    return [pathlib.Path(directory, f"{n}.ts").read_bytes() for n in range(SEGMENTS)]


class Server:
    def __init__(self, segments, script):
        self.segments, self.script, self.heads = segments, script, {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(8)
        received = b""
        with connection:
            try:
                while True:
                    while b"\r\n\r\n" not in received:
                        part = connection.recv(65536)
                        if not part:
                            return
                        received += part
                    head, _, received = received.partition(b"\r\n\r\n")
                    self.answer(connection, head + b"\r\n\r\n")
            except OSError:
                pass

    def answer(self, connection, head):
        target = head.split(b" ")[1].decode()
        path = target.partition("?")[0]
        if path.startswith("/live/"):
            kind = "segment" if path.endswith(".ts") else path
            self.heads.setdefault((kind, "_HLS_msn" in target, b"\r\nIf-None" in head), head)
        media_type, body = self.find(path)
        if body is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        fields = f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        fields += "Access-Control-Allow-Origin: *\r\nCache-Control: no-cache\r\n"
        fields += f"ETag: \"{len(body)}\"\r\nAccept-Ranges: bytes\r\n"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + body)

    def find(self, path):
        playlist = "application/vnd.apple.mpegurl"
        if path == "/":
            return "text/html", (PAGE % (self.port, URL)).encode()
        if path == "/hls.js":
            return "text/javascript", self.script
        if path == "/live/test.m3u8":
            return playlist, MASTER.encode()
        if path == "/live/test.hls/ts/index.m3u8":
            listed = "".join(f"#EXTINF:1.0,\n{n}.ts\n" for n in range(len(self.segments)))
            return playlist, (MEDIA + listed).encode()
        name = path.rpartition("/")[2].removesuffix(".ts")
        if name.isdigit() and int(name) < len(self.segments):
            return "video/mp2t", self.segments[int(name)]
        return None, None


def main():
    target = pathlib.Path(sys.argv[1])
    script = pathlib.Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else b""
    scratch = tempfile.mkdtemp()
    segments = make_segments(scratch)
    url = "http://127.0.0.1:{port}" + URL
    players = {
        "ffmpeg": ["ffmpeg", "-v", "error", "-i", url, "-t", "2", "-f", "null", "-"],
        "gstreamer": ["gst-launch-1.0", "-q", "playbin", "uri=" + url, "video-sink=fakesink",
                      "audio-sink=fakesink"],
        # VLC does not run as root.
        "vlc": ["runuser", "-u", "nobody", "--", "env", "HOME=" + tempfile.gettempdir(), "cvlc",
                "--play-and-exit", "--run-time=5", "--no-dbus", url, "vlc://quit"],
    }
    if script:
        players["chromium"] = ["chromium", "--headless", "--no-sandbox", "--disable-gpu",
                               "--autoplay-policy=no-user-gesture-required",
                               "--user-data-dir=" + scratch + "/profile", "--remote-debugging-port=0",
                               "http://127.0.0.1:{port}/"]
    for name, command in players.items():
        if not shutil.which(command[0]):
            print(f"{name}: {command[0]} is not installed")
            continue
        server = Server(segments, script)
        command = [part.replace("{port}", str(server.port)) for part in command]
        try:
            subprocess.run(command, timeout=15, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            pass
        if server.heads:
            (target / f"hls_{name}.bin").write_bytes(b"".join(server.heads.values()))
        print(f"{name}: {len(server.heads)} requests")


main()
