//! nginx's configurations: with the RTMP module, and as a server of files.

use std::path::Path;

/// Relays RTMP.
pub(super) fn rtmp(port: u16, scratch: &Path) -> String {
    format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
{}rtmp {{
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    chunk_size 4096;
    application live {{ live on; }}
  }}
}}
",
        process(scratch)
    )
}

/// Serves the files of a folder, set for many requests for few files; otherwise as Debian has it.
pub(super) fn files(port: u16, scratch: &Path, web: &Path, sendfile: bool) -> String {
    let sendfile = if sendfile { "on" } else { "off" };
    format!(
        "{}http {{
  access_log off;
  sendfile {sendfile};
  tcp_nopush {sendfile};
  keepalive_requests 100000000;
  open_file_cache max=1000 inactive=60s;
  open_file_cache_valid 1s;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; video/mp4 mp4 m4s; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {};
  }}
}}
",
        process(scratch),
        web.display()
    )
}

fn process(scratch: &Path) -> String {
    let scratch = scratch.display();
    format!(
        "daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx.log error;
events {{ worker_connections 32768; }}
"
    )
}
