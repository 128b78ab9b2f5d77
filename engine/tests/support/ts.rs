//! Transport streams, made by ffmpeg once per target directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{LIMIT, Scratch, peer};

/// Changing the recipe below means a new folder.
const EDITION: &str = "ts-1";
/// Length of it.
pub const SECONDS: usize = 12;
/// Name and provider of its one service.
pub const SERVICE: (&str, &str) = ("News One", "Corelay");

/// A transport stream of one program: H.264 and AAC in German, about 600 kbit/s, constant rate.
pub fn path() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(EDITION);
    std::fs::create_dir_all(&folder).expect("the target directory is writable");
    // Test programs run at the same time: one makes the file, the others wait for it.
    let lock = File::create(folder.join("news.lock")).expect("writable");
    lock.lock().expect("file locks work here");
    let path = folder.join("news.ts");
    if !path.exists() {
        let scratch = Scratch::new("ts");
        let made = scratch.file("news.ts");
        make(&scratch, made.to_str().expect("UTF-8"));
        std::fs::rename(made, &path).expect("the same file system");
    }
    path
}

fn make(scratch: &Scratch, path: &str) {
    let seconds = SECONDS.to_string();
    let service =
        [format!("service_name={}", SERVICE.0), format!("service_provider={}", SERVICE.1)];
    let args = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000",
        "-t",
        &seconds,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        "25",
        "-b:v",
        "300k",
        "-maxrate",
        "300k",
        "-bufsize",
        "150k",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-b:a",
        "96k",
        "-metadata:s:a:0",
        "language=deu",
        "-metadata",
        &service[0],
        "-metadata",
        &service[1],
        "-mpegts_service_id",
        "7",
        "-muxrate",
        "600k",
        "-pcr_period",
        "20",
        "-f",
        "mpegts",
        path,
    ];
    peer::run(scratch, "ffmpeg", &args, LIMIT * 3);
}
