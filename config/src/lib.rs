//! The settings of corelay: from TOML to structs that hold no wrong value.
//!
//! The defaults are the shipped file, `corelay.toml`, embedded as text: a configuration is that
//! file with the operator's file laid over it. Tables merge key by key, arrays and values replace.
//! The file is also the documentation of every key.
//!
//! ```
//! use corelay_config::Config;
//!
//! let config = Config::parse("[rtmp]\nlisten = [\"127.0.0.1:0\"]\n", "relay.toml")?;
//! assert_eq!(config.rtmp.listen.len(), 1);
//! assert_eq!(config.http, Config::shipped().http);
//!
//! let problems = Config::parse("[rtmp]\nlisten_on = []\n", "relay.toml").unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "relay.toml:2:1: rtmp.listen_on: unknown key; did you mean `listen`?"
//! );
//! # Ok::<(), corelay_config::Problems>(())
//! ```
//!
//! Invariants:
//! - A [`Config`] that came out of this crate is within every range and relation that the
//!   documentation of its fields states.
//! - Every field stands in the shipped file, and every key there is a field.
//! - Nothing here touches CPUs, sockets or clocks: whether CPU 7 exists or port 1935 is free is
//!   for the engine to find out.

#![forbid(unsafe_code)]

mod admin;
mod applications;
mod bytes;
mod channel;
mod check;
mod cores;
mod document;
mod hls;
mod http;
mod iptv;
mod limits;
mod listener;
mod load;
mod media_url;
mod optional;
mod problem;
mod rtmp;
mod section;
mod syntax;
mod tcp;
mod tls;
mod ts;

pub use admin::{Admin, LogFormat, Logging};
pub use applications::{Applications, Flush, Policy, Start, Takeover};
pub use channel::{Channel, Opening};
pub use cores::{Cores, Idle};
pub use hls::{Hls, HlsEncryption, HlsForm, HlsGroup};
pub use http::Http;
pub use iptv::{Failover, Groups, Iptv, Standby, Udpxy};
pub use limits::{Limits, Memory};
pub use listener::Listener;
pub use media_url::{
    DatagramAddress, Endpoint, Host, Interface, MediaUrl, MediaUrlError, Pace, Shown, Side,
    UrlOptions,
};
pub use problem::{Problem, Problems};
pub use rtmp::Rtmp;
pub use tcp::Tcp;
pub use tls::{ListenerClientCa, ListenerTls, Tls, TlsCertificate, TlsVersion};
pub use ts::Ts;

use serde::Serialize;

/// Every setting of the server. Made by [`Config::load`], [`Config::parse`] or
/// [`Config::shipped`], and plain data from then on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// `[cores]`
    pub cores: Cores,
    /// `[limits]`
    pub limits: Limits,
    /// `[memory]`
    pub memory: Memory,
    /// `[rtmp]`
    pub rtmp: Rtmp,
    /// `[http]`
    pub http: Http,
    /// `[hls]`
    pub hls: Hls,
    /// `[ts]`
    pub ts: Ts,
    /// `[tcp]`
    pub tcp: Tcp,
    /// `[tls]`
    pub tls: Tls,
    /// `[admin]`
    pub admin: Admin,
    /// `[logging]`
    pub logging: Logging,
    /// `[applications]`
    pub applications: Applications,
    /// `[iptv]`
    pub iptv: Iptv,
    /// Every `[[channel]]`, in the order of the file.
    #[serde(rename = "channel", skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
}

impl Config {
    /// Finds the policy of the application `name`; `None` when it is not served, because
    /// `applications.strict` is set and it is not named.
    pub fn application(&self, name: &str) -> Option<&Policy> {
        let applications = &self.applications;
        let default = || (!applications.strict).then_some(&applications.default);
        applications.named.get(name).or_else(default)
    }
}
