//! Relations of `[hls]`.

use std::collections::HashMap;

use super::{Checker, number, served, size};
use crate::document::Path;
use crate::{Config, HlsEncryption};

pub(super) fn hls(config: &Config, checker: &Checker<'_>) {
    let hls = &config.hls;
    let segment = number(&["hls", "segment_ms"], hls.segment_ms.into());
    checker.at_most(&segment, &number(&["hls", "segment_ms_max"], hls.segment_ms_max.into()));
    checker.at_most(&number(&["hls", "part_ms"], hls.part_ms.into()), &segment);

    let segment = size(&["hls", "segment_bytes_max"], hls.segment_bytes_max as u64);
    let message = size(&["rtmp", "message_bytes_max"], config.rtmp.message_bytes_max.into());
    checker.at_most(&message, &segment);
    encryption(config, checker);
    groups(config, checker);
}

fn encryption(config: &Config, checker: &Checker<'_>) {
    let (key, key_uri) = (Path::of(&["hls", "key"]), Path::of(&["hls", "key_uri"]));
    let low_latency = Path::of(&["hls", "low_latency"]);
    let is_whole = config.hls.encryption == HlsEncryption::Aes128;
    if config.hls.key.is_some() && is_whole && config.hls.low_latency {
        let what = format!("{key} and {low_latency} do not go together: parts are not encrypted");
        let remedy = "write encryption = \"sample-aes\", or leave one of them out";
        checker.refuse(&[&key, &low_latency], what, remedy);
    }
    if config.hls.key.is_none() && !config.hls.key_uri.is_empty() {
        let what = format!("there is no {key} for it");
        checker.refuse(&[&key_uri, &key], what, "name the file of the key, or write \"\"");
    }
}

fn groups(config: &Config, checker: &Checker<'_>) {
    let list = Path::of(&["hls", "group"]);
    let mut names = HashMap::new();
    for (index, group) in config.hls.groups.iter().enumerate() {
        let at = list.index(index).key("name");
        let name = (group.app.as_str(), group.name.as_str());
        if let Some(earlier) = names.insert(name, at.clone()) {
            let what = format!("\"{}/{}\" is {earlier} already", name.0, name.1);
            checker.refuse(&[&at, &earlier], what, "give each group its own name");
        }
        served(config, &group.app, &at, checker);
    }
}
