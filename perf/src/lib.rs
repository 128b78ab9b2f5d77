//! corelay's load generator and benchmark harness.
//!
//! It speaks standard protocols only, so it can be pointed at any server: [`publish`] sends streams
//! by RTMP, [`play`] watches them by RTMP, HTTP-FLV, WebSocket-FLV or as a plain HTTP body, with or
//! without TLS, with thousands of players on one thread; [`hls`] does so by HLS; [`handshakes`] are
//! TLS clients that connect and leave; [`udp`] sends and receives transport streams by UDP.
//! [`mod@bench`] puts the same loads on several servers in turn
//! and compares them with each other and with [`floor`]; [`instructions`] compares the counts of
//! the micro-benches with those stored.
//!
//! Invariants
//! - Every run ends by itself: joining, measuring and closing have deadlines.
//! - Most players only count bytes (`MSG_TRUNC`: the kernel throws the media away, nothing is
//!   copied); a sample of them parses everything and gives the figures about time.
//! - Times are microseconds of `CLOCK_MONOTONIC`, those of datagrams nanoseconds of
//!   `CLOCK_REALTIME`, so that a sender and a receiver on the same machine, in whichever process, read
//!   the same clock.

pub mod bench;
pub mod client;
pub mod figures;
pub mod floor;
pub mod handshakes;
pub mod hls;
pub mod instructions;
pub mod play;
pub mod progress;
pub mod publish;
pub mod stamp;
pub mod sys;
pub mod target;
pub mod tls;
pub mod udp;
