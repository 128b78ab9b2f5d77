// Plays an address (.flv or .ts) in headless Chromium with mpegts.js and reports what was seen as one line
// of JSON:  node play.mjs http://127.0.0.1:8080/live/test.flv SECONDS
//
// The page comes from a server of this script's own, so the stream is of another origin and the
// relay's CORS headers are tested with it.

import { readFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, seconds] = [process.argv[2], Number(process.argv[3] ?? 3)];
const patience_ms = 90_000;

const page_text = `<!doctype html><meta charset="utf-8"><title>rig</title>
<video id="video" muted></video><script src="/mpegts.js"></script>`;
const player_text = await readFile(
  new URL("node_modules/mpegts.js/dist/mpegts.js", import.meta.url),
);

const server = createServer((request, response) => {
  const script = request.url === "/mpegts.js";
  response.setHeader("Content-Type", script ? "text/javascript" : "text/html");
  response.end(script ? player_text : page_text);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

// Runs in the page: plays until the picture has advanced, or something went wrong.
async function watch({ url, seconds, patience_ms }) {
  const video = document.getElementById("video");
  const mpegts = window.mpegts;
  const report = { error: null, pictures: 0, advanced_s: 0, width: 0, audio: false };
  if (!mpegts.isSupported()) return { ...report, error: "mpegts.js is not supported here" };
  const type = url.endsWith(".ts") ? "mpegts" : "flv";
  const player = mpegts.createPlayer({ type, isLive: true, url }, { enableWorker: false });
  player.on(mpegts.Events.ERROR, (...what) => (report.error = what.map(String).join(" ")));
  player.attachMediaElement(video);
  player.load();
  video.play().catch((error) => (report.error ??= String(error)));
  let first = null;
  const deadline = performance.now() + patience_ms;
  while (performance.now() < deadline && report.error === null) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (video.readyState < 3) continue;
    first ??= video.currentTime;
    report.advanced_s = video.currentTime - first;
    const quality = video.getVideoPlaybackQuality();
    report.pictures = quality.totalVideoFrames - quality.droppedVideoFrames;
    if (report.advanced_s >= seconds && report.pictures >= seconds * 20) break;
  }
  report.width = video.videoWidth;
  report.audio = (video.webkitAudioDecodedByteCount ?? 0) > 0;
  report.dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
  player.destroy();
  return report;
}

const profile = await mkdtemp(join(tmpdir(), "corelay-browser-"));
let report;
let context;
try {
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  report = await page.evaluate(watch, { url, seconds, patience_ms });
} catch (error) {
  report = { error: String(error) };
} finally {
  await context?.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(report));
