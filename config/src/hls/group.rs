//! `[[hls.group]]`: streams that are one programme in several qualities.

use std::collections::HashSet;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::document::quoted;
use crate::section::{Section, Value};
use crate::{Config, ts};

/// A name whose multivariant playlist has the streams of other names as its variants.
///
/// `name` and `members` have one `*` each, which stands for the same text, at least one character,
/// in all of them; or none of them has one. With a `*` the stream `name` itself is a member too, so
/// that a stream without other qualities has a playlist as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HlsGroup {
    /// The application of the group and of its members.
    pub app: String,
    /// The name: the playlist of the group is `/app/name.m3u8`.
    pub name: String,
    /// The names of the streams, 1 to 32, none twice.
    pub members: Vec<String>,
}

/// More qualities of one programme than this are a mistake.
const MEMBERS_MAX: usize = 32;

const NAME: &str = "write APP/NAME, as in \"live/news\" or \"live/*\"";
const MEMBER: &str = "write the name of a stream, as in \"news_720\" or \"*_720\"";

impl Config {
    /// The streams that are the variants of `/app/name.m3u8`, in the order of the file: those of
    /// the first group that has this name. Empty: there is none, `name` is a stream alone. Which of
    /// them are published is another matter.
    pub fn hls_members(&self, app: &str, name: &str) -> Vec<String> {
        let groups = self.hls.groups.iter().filter(|group| group.app == app);
        let mut found = groups.filter_map(|group| Some((group, covered(&group.name, name)?)));
        let Some((group, text)) = found.next() else { return Vec::new() };
        let filled = |member: &String| member.replacen('*', text, 1);
        let mut members: Vec<String> = group.members.iter().map(filled).collect();
        if group.has_star() && !members.iter().any(|member| member == name) {
            members.push(name.to_owned());
        }
        members
    }
}

/// What the `*` of `pattern` stands for in `name`; nothing where it has none and is `name`.
fn covered<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    match pattern.split_once('*') {
        Some((before, after)) => {
            name.strip_prefix(before)?.strip_suffix(after).filter(|text| !text.is_empty())
        }
        None => (pattern == name).then_some(""),
    }
}

impl HlsGroup {
    fn has_star(&self) -> bool {
        self.name.contains('*')
    }

    /// Reads every group of the file, of which there may be none.
    pub(crate) fn read_list(hls: &mut Section<'_>) -> Vec<HlsGroup> {
        const LIST: &str = "write each group below a line `[[hls.group]]` of its own";
        let items = hls.optional("group").and_then(|value| value.items(LIST));
        items.into_iter().flatten().map(|item| item.section(HlsGroup::read)).collect()
    }

    fn read(section: &mut Section<'_>) -> HlsGroup {
        let group = section.value("name").and_then(name);
        let members = section.value("members").map(|value| members(value, group.as_ref()));
        let (app, name) = group.unwrap_or_default();
        HlsGroup { app, name, members: members.unwrap_or_default() }
    }
}

fn name(value: Value<'_>) -> Option<(String, String)> {
    let (app, name) = ts::stream(&value, NAME)?;
    if app.contains('*') {
        value.reject(format!("the application {app:?} has a `*`"), NAME);
        return None;
    }
    has_one_star_at_most(&value, name).then(|| (app.to_owned(), name.to_owned()))
}

fn has_one_star_at_most(value: &Value<'_>, name: &str) -> bool {
    let has = name.matches('*').count() <= 1;
    if !has {
        value.reject(format!("{} has more than one `*`", quoted(name)), "write one, or none");
    }
    has
}

/// `group`: application and name of the group, where they could be read.
fn members(value: Value<'_>, group: Option<&(String, String)>) -> Vec<String> {
    const LIST: &str = "write a list of names, as in [\"news_1080\", \"news_720\"]";
    let Some(items) = value.items(LIST) else { return Vec::new() };
    if items.is_empty() || items.len() > MEMBERS_MAX {
        let what = format!("{} names are not a group", items.len());
        value.reject(what, format!("write 1 to {MEMBERS_MAX}"));
    }
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for item in items {
        let Some(name) = member(&item, group) else { continue };
        if !seen.insert(name) {
            item.reject(format!("{} is named twice", quoted(name)), "name each stream once");
        }
        names.push(name.to_owned());
    }
    names
}

fn member<'a>(value: &Value<'a>, group: Option<&(String, String)>) -> Option<&'a str> {
    let name = value.text(MEMBER)?;
    let in_app = |(app, _): &(String, String)| {
        let own = name.strip_prefix(app.as_str())?.strip_prefix('/')?;
        Some((app.clone(), own))
    };
    let star_of_group = group.map(|(_, name)| name.contains('*'));
    if let Some((app, own)) = group.and_then(in_app) {
        let what = format!("members are streams of the application {app:?} anyway");
        value.reject(what, format!("write {}", quoted(own)));
    } else if name.is_empty() || name.contains(['/', '?']) || name.chars().any(char::is_control) {
        value.reject(format!("{} is not the name of a stream", quoted(name)), MEMBER);
    } else if has_one_star_at_most(value, name) {
        let what = match (name.contains('*'), star_of_group) {
            (false, Some(true)) => "has no `*`, but the name of the group has one",
            (true, Some(false)) => "has a `*`, but the name of the group has none",
            _ => return Some(name),
        };
        value.reject(format!("{} {what}", quoted(name)), "write it in both or in none");
    }
    Some(name)
}

impl Serialize for HlsGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("HlsGroup", 2)?;
        table.serialize_field("name", &format_args!("{}/{}", self.app, self.name))?;
        table.serialize_field("members", &self.members)?;
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(groups: &str) -> Config {
        Config::parse(groups, "relay.toml").unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn a_group_has_the_members_that_it_names() {
        let config = config(
            "[[hls.group]]\nname = \"live/news\"\nmembers = [\"news_1080\", \"news\"]\n\
             [[hls.group]]\nname = \"tv/a/news\"\nmembers = [\"other\"]\n",
        );
        assert_eq!(config.hls_members("live", "news"), ["news_1080", "news"]);
        assert_eq!(config.hls_members("tv/a", "news"), ["other"]);
        assert_eq!(config.hls_members("tv", "news"), [""; 0]);
        assert_eq!(config.hls_members("live", "news_1080"), [""; 0]);
    }

    #[test]
    fn a_star_stands_for_the_same_text_in_the_name_and_the_members() {
        let config = config(
            "[[hls.group]]\nname = \"live/*\"\nmembers = [\"*_1080\", \"low_*_q\"]\n\
             [[hls.group]]\nname = \"tv/x_*\"\nmembers = [\"x_*\", \"*_720\"]\n",
        );
        assert_eq!(config.hls_members("live", "news"), ["news_1080", "low_news_q", "news"]);
        assert_eq!(config.hls_members("live", "*"), ["*_1080", "low_*_q", "*"]);
        assert_eq!(config.hls_members("tv", "x_y"), ["x_y", "y_720"]);
        assert_eq!(config.hls_members("tv", "x_"), [""; 0]);
    }

    #[test]
    fn the_first_group_of_the_file_counts() {
        let config = config(
            "[[hls.group]]\nname = \"live/news\"\nmembers = [\"news_hd\"]\n\
             [[hls.group]]\nname = \"live/*\"\nmembers = [\"*_hd\", \"*_sd\"]\n",
        );
        assert_eq!(config.hls_members("live", "news"), ["news_hd"]);
        assert_eq!(config.hls_members("live", "sport"), ["sport_hd", "sport_sd", "sport"]);
    }
}
