//! What to check when a group or a port stays silent.

use std::fs;
use std::net::IpAddr;

use super::{Link, UdpInput};

/// What an input's interface had received when the watch began. The default is for what has no
/// interface.
#[derive(Debug, Default)]
pub struct SilenceWatch {
    link: Option<Link>,
    group: Option<IpAddr>,
    port: u16,
    has_senders: bool,
    was_named: bool,
    received: Option<Received>,
}

/// Counters of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Received {
    packets: u64,
    multicast: u64,
}

impl SilenceWatch {
    /// Begins to watch.
    pub fn begin(input: &UdpInput) -> Self {
        let ip = input.local_address().ip();
        Self {
            link: input.link().cloned(),
            group: ip.is_multicast().then_some(ip),
            port: input.local_address().port(),
            has_senders: !input.source().senders.is_empty(),
            was_named: input.source().interface.is_some(),
            received: input.link().and_then(|link| received(&link.name)),
        }
    }

    /// What happened, and what to check, the likeliest first.
    pub fn diagnosis(&self, seconds: u64) -> (String, Vec<String>) {
        let Some(group) = self.group else {
            let what = match self.port {
                0 => format!("nothing came within {seconds} s"),
                port => format!("nothing came to port {port} within {seconds} s"),
            };
            let check = match self.port {
                0 => "whether the sender of the stream is running".to_owned(),
                _ => "whether the sender has this machine's address and port, and a firewall (nft \
                      list ruleset) lets it in"
                    .to_owned(),
            };
            return (what, vec![check]);
        };
        let link = self.link.as_ref();
        let name = link.map_or("an interface of the kernel's choice", |link| link.name.as_str());
        let what = format!("joined {group} on {name}, and nothing came within {seconds} s");
        let mut checks = Vec::new();
        if let Some(link) = link {
            self.check_link(link, &mut checks);
        }
        if self.has_senders {
            checks.push("whether the stream comes from the senders in src=".to_owned());
        }
        checks.push(format!("whether the sender sends to {group} port {}", self.port));
        checks.push("a firewall on this machine (nft list ruleset)".to_owned());
        (what, checks)
    }

    fn check_link(&self, link: &Link, checks: &mut Vec<String>) {
        let name = &link.name;
        let now = Link::find(&corelay_config::Interface::Name(name.clone())).ok();
        match now {
            None => checks.push(format!("{name}: it has gone")),
            Some(now) if now.index != link.index => checks.push(format!("{name}: it was replaced")),
            Some(now) if !now.is_up => {
                checks.push(format!("{name}: it is down (ip link set {name} up)"));
            }
            Some(now) if !now.is_running => {
                checks.push(format!("{name}: it has no carrier (cable, switch port)"));
            }
            Some(_) => {}
        }
        if !self.was_named {
            checks.push(format!(
                "whether {name} is the right interface: the routing table chose it; name it, as in \
                 udp://eth1@..."
            ));
        }
        if let (Some(before), Some(now)) = (self.received, received(name)) {
            checks.push(frames(name, before, now));
        }
        if let Some(check) =
            reverse_path_check(name).filter(|_| self.group.is_some_and(|group| group.is_ipv4()))
        {
            checks.push(check);
        }
    }
}

/// What the interface received in the meantime, and what that means.
fn frames(name: &str, before: Received, now: Received) -> String {
    let packets = now.packets.saturating_sub(before.packets);
    let multicast = now.multicast.saturating_sub(before.multicast);
    if packets == 0 {
        return format!("{name} received no frame at all in that time: cable, VLAN, switch");
    }
    if multicast > 0 {
        return format!(
            "{name} received {multicast} multicast frames in that time, but nothing for this group \
             and port: other groups, another port, or one of the filters below"
        );
    }
    let kind = match now.multicast {
        0 => "; its driver does not say whether they were multicast (tcpdump does)",
        _ => ", none of them multicast",
    };
    format!(
        "{name} received {packets} frames in that time{kind}: IGMP snooping or a querier on the \
         switch, the way to the sender"
    )
}

/// Columns of /proc/net/dev: of the network namespace of this thread, unlike /sys.
fn received(name: &str) -> Option<Received> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").ok()?;
    received_in(&table, name)
}

fn received_in(table: &str, name: &str) -> Option<Received> {
    let line = table.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))?;
    let columns: Vec<&str> = line.split_whitespace().collect();
    let column = |index: usize| columns.get(index).and_then(|text| text.parse().ok());
    Some(Received { packets: column(1)?, multicast: column(7)? })
}

/// The kernel drops, without a word, what comes from senders that it would answer on another interface.
fn reverse_path_check(name: &str) -> Option<String> {
    let value = |of: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{of}/rp_filter");
        fs::read_to_string(path).ok()?.trim().parse::<u8>().ok()
    };
    // The stricter of both holds.
    let filter = value(name)?.max(value("all")?);
    (filter == 1).then(|| {
        format!(
            "reverse path filtering is strict: without a route to the sender on {name} the kernel \
             drops its datagrams (sysctl net.ipv4.conf.{name}.rp_filter=2)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a machine with two interfaces (cat /proc/net/dev).
    const TABLE: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    2580      30    0    0    0     0          0         0     2580      30    0    0    0     0       0          0
  eth0: 1185942    2061    0    0    0     0          0        17   284172    1846    0    0    0     0       0          0
";

    #[test]
    fn counters_of_an_interface_are_found_by_name() {
        let wanted = Received { packets: 2_061, multicast: 17 };
        assert_eq!(received_in(TABLE, "eth0"), Some(wanted));
        assert_eq!(received_in(TABLE, "eth"), None);
        assert_eq!(received_in("", "eth0"), None);
        assert!(received("lo").is_some());
    }

    #[test]
    fn frames_tell_a_dead_wire_from_a_switch_that_holds_the_group_back() {
        let counted = |packets, multicast| Received { packets, multicast };
        let told = |before, now| frames("eth1", before, now);
        let text = told(counted(5, 1), counted(5, 1));
        assert!(text.starts_with("eth1 received no frame at all"), "{text}");
        let text = told(counted(5, 1), counted(25, 11));
        assert!(text.starts_with("eth1 received 10 multicast frames"), "{text}");
        let text = told(counted(5, 1), counted(25, 1));
        assert!(text.contains("20 frames in that time, none of them multicast"), "{text}");
        let text = told(counted(5, 0), counted(25, 0));
        assert!(text.contains("driver does not say"), "{text}");
    }

    #[test]
    fn a_silent_port_is_told_with_what_to_check() {
        let watch = SilenceWatch { port: 1234, ..SilenceWatch::default() };
        let (what, checks) = watch.diagnosis(5);
        assert_eq!(what, "nothing came to port 1234 within 5 s");
        assert_eq!(checks.len(), 1);
    }
}
