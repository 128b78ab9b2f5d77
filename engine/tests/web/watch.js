// Runs in the page: plays an address until the picture has advanced, or something went wrong.
//
// seconds      of media that must have been played
// switch_level hls.js: the first variant for a second, then the second one
// sound_only   there are no pictures to count
// subtitles    hls.js: the first ones are shown, until two of their texts have been on the screen

async function watch({ url, seconds, switch_level, sound_only, subtitles, patience_ms }) {
  const video = document.getElementById("video");
  const report = { error: null, pictures: 0, advanced_s: 0, width: 0, audio: false };
  const isHls = new URL(url).pathname.endsWith(".m3u8");
  const player = isHls ? openHls(url, video, report, switch_level) : openMpegts(url, video, report);
  if (player === null) return report;
  video.play().catch((error) => (report.error ??= String(error)));
  const deadline = performance.now() + patience_ms;
  let first = null;
  while (performance.now() < deadline && report.error === null) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (video.readyState < 3) continue;
    first ??= video.currentTime;
    report.advanced_s = video.currentTime - first;
    const quality = video.getVideoPlaybackQuality();
    report.pictures = quality.totalVideoFrames - quality.droppedVideoFrames;
    if (switch_level && report.advanced_s >= 1 && report.left_width === undefined) {
      report.left_width = video.videoWidth;
      player.currentLevel = 1;
    }
    const switched = !switch_level || video.videoWidth !== report.left_width;
    const seen = sound_only || report.pictures >= seconds * 20;
    if (subtitles) readSubtitles(video, player, report);
    const read = !subtitles || report.cues.length >= 2;
    if (report.advanced_s >= seconds && seen && switched && read) break;
  }
  report.width = video.videoWidth;
  report.audio = (video.webkitAudioDecodedByteCount ?? 0) > 0;
  report.dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
  report.latency_s = isHls ? player.latency : null;
  player.destroy();
  return report;
}

// Notes the subtitle tracks, and each text that is on the screen: its lines, the times between which it
// is to be shown, and the time at which it was seen. Times are those of the video element.
function readSubtitles(video, player, report) {
  report.subtitle_tracks ??= player.subtitleTracks.map(({ name, lang }) => ({ name, lang }));
  report.cues ??= [];
  if (player.subtitleTrack < 0) player.subtitleTrack = 0;
  player.subtitleDisplay = true;
  for (const { startTime, endTime, text } of video.textTracks[0]?.activeCues ?? []) {
    const isKnown = report.cues.some((cue) => cue.text === text);
    if (!isKnown) report.cues.push({ startTime, endTime, text, seenAt: video.currentTime });
  }
}

function openMpegts(url, video, report) {
  if (!mpegts.isSupported()) return refuse(report, "mpegts.js");
  const type = new URL(url).pathname.endsWith(".ts") ? "mpegts" : "flv";
  const player = mpegts.createPlayer({ type, isLive: true, url }, { enableWorker: false });
  player.on(mpegts.Events.ERROR, (...what) => (report.error = what.map(String).join(" ")));
  player.attachMediaElement(video);
  player.load();
  return player;
}

// Errors that are not fatal are counted by their names: a player goes on after them, a test may not.
function openHls(url, video, report, is_manual) {
  if (!Hls.isSupported()) return refuse(report, "hls.js");
  Object.assign(report, { segments: 0, parts: 0, discontinuities: [], troubles: {}, levels: [] });
  const player = new Hls({ enableWorker: false, lowLatencyMode: true });
  player.on(Hls.Events.ERROR, (_, { fatal, type, details, error }) => {
    if (fatal) report.error ??= `${type} ${details}: ${error?.message}`;
    report.troubles[details] = (report.troubles[details] ?? 0) + 1;
  });
  player.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
    report.levels = levels.map(({ height, codecSet }) => ({ height, codecSet }));
    if (is_manual) player.currentLevel = 0;
  });
  // The presentation time of the media at which the video element's time is 0.
  player.on(Hls.Events.INIT_PTS_FOUND, (_, { initPTS, timescale }) => {
    report.init_pts ??= (initPTS / timescale) * 90_000;
  });
  player.on(Hls.Events.FRAG_LOADED, (_, { part }) => (report[part ? "parts" : "segments"] += 1));
  player.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => {
    if (!report.discontinuities.includes(frag.cc)) report.discontinuities.push(frag.cc);
  });
  player.loadSource(url);
  player.attachMedia(video);
  return player;
}

function refuse(report, what) {
  report.error = `${what} is not supported here`;
  return null;
}
