//! Relays: groups that viewers ask for by address, `/udp/[sender@]group:port` and `/rtp/...`.
//!
//! What is asked for becomes the name of a stream, so that all who ask for the same group share it, and
//! so that the core that owns the stream opens the group.

use std::net::{IpAddr, SocketAddr};

use corelay_config::{Channel, Config, DatagramAddress, Endpoint, MediaUrl, Opening, UrlOptions};

use crate::hub::StreamKey;

/// A group as a viewer asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayTarget {
    /// RTP was asked for; what comes is looked at either way.
    pub is_rtp: bool,
    /// Group, or an address of this machine, and port.
    pub address: SocketAddr,
    /// The only senders that are heard; empty: all.
    pub senders: Vec<IpAddr>,
}

/// The stream to watch for a group: a configured channel that has it as an input, or a relay if the
/// group is allowed. `None`: it may not be asked for.
pub fn relay_key(target: &RelayTarget, config: &Config) -> Option<StreamKey> {
    let has_it = |channel: &&Channel| channel.inputs.iter().any(|url| is_at(url, target));
    if let Some(channel) = config.channels.iter().find(has_it) {
        return Some(StreamKey::new(&channel.app, &channel.name));
    }
    config.iptv.udpxy.allows(target.address).then(|| target.key())
}

/// The channel that a relay's key stands for; `None` for any other key.
pub(super) fn relay_channel(key: &StreamKey, config: &Config) -> Option<Channel> {
    let target = RelayTarget::parse(key)?;
    if !config.iptv.udpxy.allows(target.address) {
        return None;
    }
    let place =
        DatagramAddress { interface: config.iptv.udpxy.interface.clone(), address: target.address };
    let endpoint = if target.is_rtp { Endpoint::Rtp(place) } else { Endpoint::Udp(place) };
    let options = UrlOptions { sources: target.senders, ..UrlOptions::default() };
    Some(Channel {
        app: key.app.to_string(),
        name: key.name.to_string(),
        inputs: vec![MediaUrl { endpoint, options }],
        outputs: Vec::new(),
        opening: Opening::Demand,
        standby: config.iptv.standby,
        linger_ms: config.iptv.linger_ms,
        failover: config.iptv.failover,
    })
}

/// True for the stream of a relay.
pub fn is_relay(key: &StreamKey) -> bool {
    is_relay_app(&key.app)
}

/// True for an application whose streams are relays.
pub fn is_relay_app(app: &str) -> bool {
    matches!(app, UDP_APP | RTP_APP)
}

impl RelayTarget {
    /// The stream of its relay.
    fn key(&self) -> StreamKey {
        let senders: Vec<String> = self.senders.iter().map(IpAddr::to_string).collect();
        let at = if senders.is_empty() { "" } else { "@" };
        let name = format!("{}{at}{}", senders.join(","), self.address);
        StreamKey::new(if self.is_rtp { RTP_APP } else { UDP_APP }, &name)
    }

    fn parse(key: &StreamKey) -> Option<Self> {
        let is_rtp = match &*key.app {
            RTP_APP => true,
            UDP_APP => false,
            _ => return None,
        };
        let (senders, address) = key.name.rsplit_once('@').unwrap_or(("", &key.name));
        let senders = senders.split(',').filter(|one| !one.is_empty()).map(str::parse);
        let senders = senders.collect::<Result<_, _>>().ok()?;
        Some(Self { is_rtp, address: address.parse().ok()?, senders })
    }
}

/// True when the input hears what is asked for: the same group and port; where the input has chosen
/// senders, those.
fn is_at(url: &MediaUrl, target: &RelayTarget) -> bool {
    let (Endpoint::Udp(place) | Endpoint::Rtp(place)) = &url.endpoint else { return false };
    let asks_others = !target.senders.is_empty() && target.senders != url.options.sources;
    place.address == target.address && !asks_others
}

/// Applications that no publisher and no configured channel can have.
const UDP_APP: &str = "udp";
const RTP_APP: &str = "rtp";

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "test.toml").unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn target(address: &str, senders: &[&str]) -> RelayTarget {
        let senders = senders.iter().map(|one| one.parse().unwrap()).collect();
        RelayTarget { is_rtp: false, address: address.parse().unwrap(), senders }
    }

    const CONFIG: &str = r#"
        [[channel]]
        name = "iptv/one"
        input = ["udp://239.1.1.1:1234#src=10.0.0.5", "rtp://239.1.1.2:5000"]
        [iptv.udpxy]
        allow = ["239.2.0.0/16", "ff3e::/32"]
        interface = "eth7"
    "#;

    #[test]
    fn what_a_channel_has_is_the_channel_what_is_allowed_is_a_relay_and_the_rest_is_nothing() {
        let config = config(CONFIG);
        let key = |address, senders: &[&str]| relay_key(&target(address, senders), &config);
        let channel = Some(StreamKey::new("iptv", "one"));
        assert_eq!(key("239.1.1.1:1234", &[]), channel);
        assert_eq!(key("239.1.1.1:1234", &["10.0.0.5"]), channel);
        assert_eq!(key("239.1.1.2:5000", &[]), channel);
        assert_eq!(key("239.1.1.1:1234", &["10.0.0.6"]), None);
        assert_eq!(key("239.1.1.1:1235", &[]), None);
        assert_eq!(key("239.2.7.8:1234", &[]), Some(StreamKey::new("udp", "239.2.7.8:1234")));
        assert_eq!(key("239.3.7.8:1234", &[]), None);
    }

    #[test]
    fn a_relay_is_opened_as_it_was_asked_for() {
        let config = config(CONFIG);
        for (address, senders) in [
            ("239.2.7.8:1234", &[][..]),
            ("239.2.7.8:9", &["10.0.0.5", "10.0.0.6"]),
            ("[ff3e::1]:7", &["2001:db8::1"]),
        ] {
            let target = target(address, senders);
            let key = relay_key(&target, &config).unwrap();
            let channel = relay_channel(&key, &config).unwrap();
            let url = channel.inputs[0].to_string();
            assert!(url.starts_with("udp://eth7@") && url.contains(address), "{url}");
            assert_eq!(channel.inputs[0].options.sources, target.senders);
            assert_eq!(channel.opening, Opening::Demand);
        }
        for key in
            [("live", "239.2.7.8:1234"), ("udp", "239.3.1.1:1"), ("udp", "x"), ("rtp", "a@b")]
        {
            assert!(relay_channel(&StreamKey::new(key.0, key.1), &config).is_none(), "{key:?}");
        }
    }
}
