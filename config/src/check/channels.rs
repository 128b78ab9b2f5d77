//! Relations within channels and between them.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Checker, served};
use crate::Config;
use crate::channel::{Channel, Opening};
use crate::document::Path;
use crate::media_url::{DatagramAddress, Endpoint, Interface, MediaUrl};

/// Where datagrams go, for finding two outputs that go to the same place.
type Target<'c> = (Option<&'c Interface>, SocketAddr);

pub(super) fn channels(config: &Config, checker: &Checker<'_>) {
    let list = Path::of(&["channel"]);
    count(config, &list, checker);
    let (mut names, mut targets) = (HashMap::new(), HashMap::new());
    for (index, channel) in config.channels.iter().enumerate() {
        let at = list.index(index);
        let name = (channel.app.as_str(), channel.name.as_str());
        if let Some(earlier) = names.insert(name, at.key("name")) {
            let what = format!("\"{}/{}\" is {earlier} already", name.0, name.1);
            checker.refuse(&[&at.key("name"), &earlier], what, "give each channel its own name");
        }
        served(config, &channel.app, &at.key("name"), checker);
        ends(channel, &at, checker);
        inputs(channel, &at, checker);
        outputs(channel, &at, &mut targets, checker);
    }
}

fn count(config: &Config, list: &Path, checker: &Checker<'_>) {
    let (count, most) = (config.channels.len(), config.limits.streams_max);
    if count > most {
        let streams_max = Path::of(&["limits", "streams_max"]);
        let what = format!("{count} channels are above {streams_max}, which is {most}");
        checker.refuse(&[list, &streams_max], what, "raise limits.streams_max");
    }
}

/// A channel does something.
fn ends(channel: &Channel, at: &Path, checker: &Checker<'_>) {
    if !channel.inputs.is_empty() {
        return;
    }
    if channel.outputs.is_empty() {
        let what = "has neither an input nor an output".to_owned();
        checker.refuse(&[at], what, "add `input = [...]` or `output = [...]`");
    } else if channel.opening == Opening::Demand {
        let what = "there is no input to open on demand".to_owned();
        checker.refuse(&[&at.key("open"), at], what, "leave `open` out, or add `input = [...]`");
    }
}

/// No input stands in a channel twice.
fn inputs(channel: &Channel, at: &Path, checker: &Checker<'_>) {
    let list = at.key("input");
    if !checker.was_read(&list) {
        return;
    }
    for (index, input) in channel.inputs.iter().enumerate() {
        let earlier = channel.inputs.iter().take(index).position(|other| is_same(other, input));
        if let Some(earlier) = earlier.map(|earlier| list.index(earlier)) {
            let what = format!("{} and {earlier} bring the same packets", input.shown());
            checker.refuse(&[&list.index(index), &earlier], what, "name each input once");
        }
    }
}

/// Whether two inputs bring the same packets. Whether datagrams have RTP headers is found by
/// looking at them, so the two schemes do not differ.
fn is_same(a: &MediaUrl, b: &MediaUrl) -> bool {
    let is_same_place = match (datagrams(a), datagrams(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.endpoint == b.endpoint,
    };
    let sorted = |url: &MediaUrl| {
        let mut sources = url.options.sources.clone();
        sources.sort();
        sources
    };
    is_same_place
        && sorted(a) == sorted(b)
        && a.options.program_number == b.options.program_number
        && a.options.pids == b.options.pids
}

/// No two outputs send to one place, and none comes back as an input.
fn outputs<'c>(
    channel: &'c Channel,
    at: &Path,
    targets: &mut HashMap<Target<'c>, Path>,
    checker: &Checker<'_>,
) {
    let (list, inputs) = (at.key("output"), at.key("input"));
    if !checker.was_read(&list) {
        return;
    }
    for (index, output) in channel.outputs.iter().enumerate() {
        let Some(place) = datagrams(output) else { continue };
        let path = list.index(index);
        let target = (place.interface.as_ref(), place.address);
        if let Some(earlier) = targets.insert(target, path.clone()) {
            let what = format!("{} is where {earlier} sends to already", output.endpoint);
            checker.refuse(&[&path, &earlier], what, "choose another group or port");
        }
        let heard = channel.inputs.iter().position(|input| hears(input, output, place));
        if let Some(heard) = heard.filter(|_| checker.was_read(&inputs)) {
            let what = format!("{} comes back as {}", output.endpoint, inputs.index(heard));
            let remedy = "choose another group or port, or name another interface";
            checker.refuse(&[&path, &inputs], what, remedy);
        }
    }
}

/// Whether the datagrams of `output`, which go to `target`, arrive at `input`. An interface that is
/// not named may be any; one named by its name and one by its address are taken for two.
fn hears(input: &MediaUrl, output: &MediaUrl, target: &DatagramAddress) -> bool {
    let Some(place) = datagrams(input).filter(|at| at.address.port() == target.address.port())
    else {
        return false;
    };
    let (here, there) = (place.address.ip(), target.address.ip());
    if here.is_unspecified() {
        // Every address of this machine, of which one is known, and another may be.
        let own = Some(Interface::Address(there));
        return there.is_loopback() || place.interface == own || target.interface == own;
    }
    let may_be_the_same = match (&place.interface, &target.interface) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    // Source-specific: only those senders are heard.
    let sources = &input.options.sources;
    let is_source =
        sources.is_empty() || output.options.sources.iter().any(|s| sources.contains(s));
    here == there && is_source && (may_be_the_same || !here.is_multicast())
}

fn datagrams(url: &MediaUrl) -> Option<&DatagramAddress> {
    match &url.endpoint {
        Endpoint::Udp(place) | Endpoint::Rtp(place) => Some(place),
        _ => None,
    }
}
