//! `[tcp]`: options of every TCP listener and of the connections it accepts.

use serde::Serialize;

use crate::bytes;
use crate::section::Section;

/// Socket options of every media listener.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tcp {
    /// Connections that the kernel holds until they are accepted, per listener and core; it takes
    /// no more than `net.core.somaxconn`. 1 to 65535.
    pub backlog: u32,
    /// `TCP_NODELAY`: send at once what is written.
    pub nodelay: bool,
    /// Silence before the first keep-alive probe (`TCP_KEEPIDLE`). Seconds, 0 (no keep-alive) to
    /// 32767.
    pub keepalive_idle_s: u64,
    /// Between two keep-alive probes (`TCP_KEEPINTVL`). Seconds, 1 to 32767.
    pub keepalive_interval_s: u64,
    /// Unanswered probes after which the connection is dead (`TCP_KEEPCNT`). 1 to 127.
    pub keepalive_count: u32,
    /// Sent data that stays unacknowledged for this long ends the connection
    /// (`TCP_USER_TIMEOUT`). Milliseconds, 0 (the kernel's own rule) to 600000.
    pub user_timeout_ms: u64,
    /// `SO_SNDBUF`. Bytes, 0 (the kernel sizes it) to 64 MiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub send_buffer_bytes: usize,
    /// `SO_RCVBUF`. Bytes, 0 (the kernel sizes it) to 64 MiB.
    #[serde(serialize_with = "bytes::serialize")]
    pub receive_buffer_bytes: usize,
    /// Connections accepted in one turn of a core before other work goes on. 1 to 4096.
    pub accept_burst: usize,
}

impl Tcp {
    pub(crate) fn read(section: &mut Section<'_>) -> Tcp {
        Tcp {
            backlog: section.integer("backlog", 1..=65_535),
            nodelay: section.boolean("nodelay"),
            keepalive_idle_s: section.integer("keepalive_idle_s", 0..=32_767),
            keepalive_interval_s: section.integer("keepalive_interval_s", 1..=32_767),
            keepalive_count: section.integer("keepalive_count", 1..=127),
            user_timeout_ms: section.integer("user_timeout_ms", 0..=600_000),
            send_buffer_bytes: section.bytes("send_buffer_bytes", 0..=64 << 20),
            receive_buffer_bytes: section.bytes("receive_buffer_bytes", 0..=64 << 20),
            accept_burst: section.integer("accept_burst", 1..=4_096),
        }
    }
}
