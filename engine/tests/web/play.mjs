// Plays an address in headless Chromium and reports what was seen as one line of JSON:
//   node play.mjs http://127.0.0.1:8080/live/test.flv SECONDS [OPTION...]
// .flv and .ts by mpegts.js, .m3u8 by hls.js. Options: those of watch.js, by their names.
//
// The page comes from a server of this script's own, so the stream is of another origin and the
// relay's CORS headers are tested with it.

import { readFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, seconds, ...options] = process.argv.slice(2);
const wishes = Object.fromEntries(options.map((option) => [option, true]));
const patience_ms = 90_000;

const library = new URL(url).pathname.endsWith(".m3u8") ? "hls.js" : "mpegts.js";
const page_text = `<!doctype html><meta charset="utf-8"><title>rig</title>
<video id="video" muted></video><script src="/player.js"></script><script src="/watch.js"></script>`;
const scripts = {
  "/player.js": await readFile(
    new URL(`node_modules/${library}/dist/${library}`, import.meta.url),
  ),
  "/watch.js": await readFile(new URL("watch.js", import.meta.url)),
};

const server = createServer((request, response) => {
  const script = scripts[request.url];
  response.setHeader("Content-Type", script ? "text/javascript" : "text/html");
  response.end(script ?? page_text);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const profile = await mkdtemp(join(tmpdir(), "corelay-browser-"));
let report;
let context;
try {
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    ignoreHTTPSErrors: true,
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
  const wanted = { url, seconds: Number(seconds ?? 3), patience_ms, ...wishes };
  report = await page.evaluate((wanted) => watch(wanted), wanted);
} catch (error) {
  report = { error: String(error) };
} finally {
  await context?.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(JSON.stringify(report));
