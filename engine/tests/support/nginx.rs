//! nginx with its RTMP module: a relay of other authors, which pushes into ours.

use std::net::{SocketAddr, TcpListener, TcpStream};

use super::peer::Peer;
use super::{Scratch, wait_until};

/// A running nginx that pushes what is published to its application `in`.
pub struct Nginx {
    peer: Peer,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it. `target` is an address without `rtmp://`, `host:port/app`; the name stays.
    pub fn start(scratch: &Scratch, target: &str) -> Self {
        // nginx cannot report a port of the kernel's choice, so one is taken and handed on; should
        // somebody else take it in between, the next is tried.
        for _ in 0..10 {
            let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = probe.local_addr().expect("it is bound");
            drop(probe);
            let config = scratch.file(&format!("nginx-{}.conf", address.port()));
            std::fs::write(&config, configuration(scratch, address, target)).expect("writable");
            let prefix = scratch.path().to_str().expect("UTF-8");
            let args = ["-p", prefix, "-e", "stderr", "-c", config.to_str().expect("UTF-8")];
            let mut peer = Peer::spawn(scratch, "/usr/sbin/nginx", &args);
            let mut serves = false;
            wait_until("nginx starts or fails", super::LIMIT, || {
                serves = TcpStream::connect(address).is_ok();
                serves || !peer.is_running()
            });
            if serves {
                return Self { peer, address };
            }
            assert!(
                peer.stderr_so_far().contains("Address already in use"),
                "nginx: {}",
                peer.stderr_so_far()
            );
        }
        panic!("nginx found no free port in ten attempts");
    }

    /// Where to publish so that it is pushed on.
    pub fn url(&self, name: &str) -> String {
        format!("rtmp://{}/in/{name}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.peer.pid()
    }
}

fn configuration(scratch: &Scratch, address: SocketAddr, target: &str) -> String {
    let folder = scratch.path().display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr info;
events {{}}
rtmp {{
  access_log off;
  server {{
    listen {address};
    application in {{
      live on;
      push rtmp://{target};
      push_reconnect 2s;
    }}
  }}
}}
"
    )
}
