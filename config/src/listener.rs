//! The `listen` lists: where a protocol accepts connections, and on which cores.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use crate::document::quoted;
use crate::section::{Section, Value};
use crate::tls::ListenerTls;

/// One listening address. In the file either the address alone or
/// `{ address = "...", tls = true, cores = [0, 1] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Address and port; port 0 lets the kernel choose. An IPv6 address takes no IPv4 traffic.
    pub address: SocketAddr,
    /// Indexes into the data cores (not CPU ids), without repetition, of the cores that accept
    /// here. Empty: all of them.
    pub cores: Vec<usize>,
    /// TLS is spoken here, as `[tls]` says where this does not; `None`: it is not.
    pub tls: Option<ListenerTls>,
}

impl Listener {
    pub(crate) fn read_list(section: &mut Section<'_>) -> Vec<Listener> {
        const LIST: &str = "write a list of addresses, as in [\"0.0.0.0:1935\"]";
        let items = section.value("listen").and_then(|value| value.items(LIST));
        items.into_iter().flatten().filter_map(|item| Listener::read(&item)).collect()
    }

    fn read(value: &Value<'_>) -> Option<Listener> {
        if value.node.table().is_none() {
            return Some(Listener { address: address(value)?, cores: Vec::new(), tls: None });
        }
        value.section(|section| {
            let address = section.value("address");
            let cores = read_cores(section.optional("cores"));
            let tls = section.optional("tls");
            let tls = ListenerTls::read(section, tls);
            let address = self::address(&address?)?;
            Some(Listener { address, cores, tls })
        })
    }
}

fn read_cores(value: Option<Value<'_>>) -> Vec<usize> {
    const CORES: &str = "write a list of core indexes, as in [0, 1]";
    let items = value.and_then(|value| value.items(CORES));
    let index = |item: Value<'_>| item.integer(0..=crate::cores::CPU_ID_MAX);
    items.into_iter().flatten().filter_map(index).collect()
}

/// Reads a socket address, and says of a wrong one what it lacks.
pub(crate) fn address(value: &Value<'_>) -> Option<SocketAddr> {
    const REMEDY: &str = "write ADDRESS:PORT, as in \"0.0.0.0:1935\", \"127.0.0.1:1935\" or \
                          \"[::]:1935\"";
    let text = value.text(REMEDY)?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        value.reject(format!("{} is not a socket address", quoted(text)), REMEDY);
    }
    parsed
}

impl Serialize for Listener {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Table<'a> {
            address: &'a SocketAddr,
            cores: &'a [usize],
            #[serde(flatten, serialize_with = "ListenerTls::serialize")]
            tls: &'a Option<ListenerTls>,
        }
        let Listener { address, cores, tls } = self;
        match (cores.as_slice(), tls) {
            ([], None) => address.serialize(serializer),
            _ => Table { address, cores, tls }.serialize(serializer),
        }
    }
}
