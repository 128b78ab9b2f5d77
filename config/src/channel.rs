//! `[[channel]]`: streams that the server itself gets and sends.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::document::{Kind, Node};
use crate::iptv::{Failover, Standby, read_linger_ms};
use crate::media_url::{Endpoint, MediaUrl, MediaUrlError, Side};
use crate::section::{Section, Value};
use crate::ts;

/// One channel: a stream, where it comes from and where it is sent.
///
/// It has at least one input or output, and no two channels have the same `app` and `name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// The application of its stream; neither `udp` nor `rtp`.
    pub app: String,
    /// The name of its stream.
    pub name: String,
    /// Where it comes from, in order of preference: `udp`, `rtp`, `tcp` or `http`; at most 16, none
    /// of them twice. Empty: what is published under its name.
    pub inputs: Vec<MediaUrl>,
    /// Where it is sent: `udp`, `rtp`, `tcp` or `rtmp`; at most 64. No two outputs of all channels
    /// send datagrams to the same place.
    pub outputs: Vec<MediaUrl>,
    /// When its inputs are open; [`Opening::Always`] where there are none.
    pub opening: Opening,
    /// What the inputs do that are not the one in use.
    pub standby: Standby,
    /// How long it stays open after its last viewer, with [`Opening::Demand`]. Milliseconds, 0 to
    /// 3600000.
    pub linger_ms: u64,
    /// When an input is left for another.
    pub failover: Failover,
}

/// When the inputs of a channel are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// From start to end.
    Always,
    /// While somebody watches, and `linger_ms` longer. An output watches always.
    Demand,
}

/// The keys that a channel takes from `[iptv]` where it does not have them itself.
const INHERITED: [&str; 3] = ["standby", "linger_ms", "failover"];

/// More are a mistake: a channel has a main input and one or two others.
const INPUTS_MAX: usize = 16;
const OUTPUTS_MAX: usize = 64;

/// Completes the table of each channel from `[iptv]`, before it is read. What the operator wrote
/// there instead of a table is passed over in favour of `shipped`.
pub(crate) fn inherit_iptv(root: &mut Node, shipped: &Node) {
    let iptv = |node: &Node| node.table()?.get("iptv")?.value.table().cloned();
    let Some(defaults) = iptv(root).or_else(|| iptv(shipped)) else { return };
    let channels = root.table_mut().and_then(|root| root.get_mut("channel"));
    let Some(Kind::Array(channels)) = channels.map(|entry| &mut entry.value.kind) else { return };
    for channel in channels.iter_mut().filter_map(Node::table_mut) {
        for key in INHERITED {
            let Some(default) = defaults.get(key) else { continue };
            let mut entry = default.clone();
            if let Some(own) = channel.remove(key) {
                entry.key_at = own.key_at;
                entry.value.overlay(own.value);
            }
            channel.insert(key.to_owned(), entry);
        }
    }
}

impl Channel {
    /// Reads every channel of the file, of which there may be none.
    pub(crate) fn read_list(root: &mut Section<'_>) -> Vec<Channel> {
        const LIST: &str = "write each channel below a line `[[channel]]` of its own";
        let items = root.optional("channel").and_then(|value| value.items(LIST));
        items.into_iter().flatten().map(|item| item.section(Channel::read)).collect()
    }

    fn read(section: &mut Section<'_>) -> Channel {
        let (app, name) = section.value("name").and_then(name).unwrap_or_default();
        Channel {
            app,
            name,
            inputs: urls(section.optional("input"), INPUTS_MAX, input),
            outputs: urls(section.optional("output"), OUTPUTS_MAX, output),
            opening: section.optional("open").and_then(opening).unwrap_or(Opening::Always),
            standby: Standby::read(section),
            linger_ms: read_linger_ms(section),
            failover: section.section("failover", Failover::read),
        }
    }
}

fn name(value: Value<'_>) -> Option<(String, String)> {
    let (app, name) = ts::stream(&value, "write APP/NAME, as in \"iptv/news\"")?;
    if matches!(app, "udp" | "rtp") {
        let what = format!("the application \"{app}\" cannot be watched over HTTP");
        let remedy = format!("choose another name: /{app}/ is where groups are asked for");
        value.reject(what, remedy);
    }
    Some((app.to_owned(), name.to_owned()))
}

fn opening(value: Value<'_>) -> Option<Opening> {
    value.choice(&[("always", Opening::Always), ("demand", Opening::Demand)])
}

fn urls(
    value: Option<Value<'_>>,
    count_max: usize,
    read: impl Fn(&str) -> Result<MediaUrl, MediaUrlError>,
) -> Vec<MediaUrl> {
    const LIST: &str = "write a list of URLs, as in [\"udp://eth1@239.1.1.1:1234\"]";
    let Some(value) = value else { return Vec::new() };
    let items = value.items(LIST).unwrap_or_default();
    if items.len() > count_max {
        let what = format!("{} URLs are too many", items.len());
        value.reject(what, format!("write at most {count_max}"));
    }
    let url = |item: Value<'_>| {
        let url = read(item.text("write a URL, as in \"udp://eth1@239.1.1.1:1234\"")?);
        url.map_err(|error| item.reject(format!("{}: {}", error.part, error.what), error.remedy))
            .ok()
    };
    items.into_iter().filter_map(url).collect()
}

fn input(text: &str) -> Result<MediaUrl, MediaUrlError> {
    let url = MediaUrl::parse(text, Side::Input)?;
    match url.endpoint {
        Endpoint::Rtmp { .. } => Err(MediaUrlError {
            part: "scheme",
            what: "rtmp:// is not pulled".to_owned(),
            remedy: "leave input out and let the source publish to this server under the \
                     channel's name"
                .to_owned(),
        }),
        _ => Ok(url),
    }
}

fn output(text: &str) -> Result<MediaUrl, MediaUrlError> {
    let url = MediaUrl::parse(text, Side::Output)?;
    match url.endpoint {
        Endpoint::Http { .. } => Err(MediaUrlError {
            part: "scheme",
            what: "http:// is not pushed to".to_owned(),
            remedy: "let the receiver get the channel's name with .ts from [http], or push with \
                     tcp:// or rtmp://"
                .to_owned(),
        }),
        _ => Ok(url),
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("Channel", 7)?;
        table.serialize_field("name", &format_args!("{}/{}", self.app, self.name))?;
        table.serialize_field("input", &self.inputs)?;
        table.serialize_field("output", &self.outputs)?;
        table.serialize_field("open", &self.opening)?;
        table.serialize_field("standby", &self.standby)?;
        table.serialize_field("linger_ms", &self.linger_ms)?;
        table.serialize_field("failover", &self.failover)?;
        table.end()
    }
}
