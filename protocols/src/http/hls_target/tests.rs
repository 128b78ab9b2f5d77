use proptest::prelude::*;

use super::*;
use crate::http::hls_request::Skip;
use crate::http::target::{self, Target};

const TS: Rendition = Rendition::main(Form::Ts);
const FMP4: Rendition = Rendition::main(Form::Fmp4);
const SOUND: Rendition = Rendition::audio(Form::Fmp4, 1);
const SUBTITLES: Rendition = Rendition::subtitles(Form::Fmp4, 2);

fn parse(path: &str) -> Result<Target<'_>, u16> {
    target::parse(path, &Settings::default()).map_err(|refusal| refusal.status)
}

fn hls(path: &str) -> HlsTarget<'_> {
    match parse(path) {
        Ok(Target::Hls(target)) => target,
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn every_resource_has_its_path() {
    let (nested, flat) =
        (Resource::Multivariant { nested: true }, Resource::Multivariant { nested: false });
    for (path, resource) in [
        ("/live/news.m3u8", flat),
        ("/live/news/index.m3u8", nested),
        ("/live/news.hls/ts/index.m3u8", Resource::Playlist(TS)),
        ("/live/news.hls/fmp4-audio1/index.m3u8", Resource::Playlist(SOUND)),
        ("/live/news.hls/ts/0.ts", Resource::Segment(TS, 0)),
        ("/live/news.hls/fmp4/17.m4s", Resource::Segment(FMP4, 17)),
        ("/live/news.hls/ts/17.0.ts", Resource::Part(TS, 17, 0)),
        ("/live/news.hls/fmp4-audio1/17.23.m4s", Resource::Part(SOUND, 17, 23)),
        ("/live/news.hls/fmp4/init1.mp4", Resource::Init(FMP4, 1)),
        ("/live/news.hls/fmp4-subtitles2/index.m3u8", Resource::Playlist(SUBTITLES)),
        ("/live/news.hls/fmp4-subtitles2/17.vtt", Resource::Segment(SUBTITLES, 17)),
        ("/live/news.hls/fmp4-subtitles2/key0", Resource::Key(SUBTITLES, 0)),
        ("/live/news.hls/ts/key5", Resource::Key(TS, 5)),
        ("/live/news.hls/ts/18446744073709551615.ts", Resource::Segment(TS, u64::MAX)),
    ] {
        let target = hls(path);
        assert_eq!((&*target.app, &*target.name), ("live", "news"), "{path}");
        assert_eq!(target.resource, resource, "{path}");
    }
}

#[test]
fn applications_may_have_slashes_and_names_escapes() {
    for (path, app, name) in [
        ("/a/b/c/x.y.m3u8", "a/b/c", "x.y"),
        ("/a/b/c/x.y/index.m3u8", "a/b/c", "x.y"),
        ("/a/b/c/x.y.hls/ts/1.ts", "a/b/c", "x.y"),
        ("/a%20b/c/caf%C3%A9.hls/ts/1.ts", "a b/c", "café"),
        ("/a/b/x%2ehls/ts/1%2ets", "a/b", "x"),
        ("/live/%e5%a4%ae.m3u8", "live", "央"),
        // What could be the nested form of a stream without an application is a stream.
        ("/live/index.m3u8", "live", "index"),
        ("/live/index/index.m3u8", "live", "index"),
        ("/live/ts/1.m3u8", "live/ts", "1"),
        ("/news.hls/live.hls/ts/1.ts", "news.hls", "live"),
    ] {
        let target = hls(path);
        assert_eq!((&*target.app, &*target.name), (app, name), "{path}");
    }
}

#[test]
fn names_without_an_escape_are_not_copied() {
    let target = hls("/a/b/c/news.hls/ts/1.ts?token=a%20b");
    assert!(matches!((target.app, target.name), (Cow::Borrowed("a/b/c"), Cow::Borrowed("news"))));
}

#[test]
fn what_is_not_quite_a_resource_is_nothing() {
    for file in [
        "index.M3U8",
        "index.m3u",
        "a.m3u8",
        "1.m4s",
        "1.mp4",
        "1",
        "1.",
        ".ts",
        "-1.ts",
        "+1.ts",
        "01.ts",
        "00.ts",
        "1_0.ts",
        " 1.ts",
        "%31x.ts",
        "18446744073709551616.ts",
        "1.01.ts",
        "1.4294967296.ts",
        "1.2.3.ts",
        "1..ts",
        ".1.ts",
        "1.ts.ts",
        "1.ts.bak",
        "init1.mp4",
        "init1.ts",
        "key",
        "key01",
        "key1.key",
        "x.flv",
        "x.ts",
    ] {
        let path = format!("/live/news.hls/ts/{file}");
        assert_eq!(parse(&path), Ok(Target::Unknown), "{path}");
    }
    for path in [
        "/live/news.hls/fmp4/1.ts",
        "/live/news.hls/fmp4/init.mp4",
        "/live/news.hls/fmp4/init4294967296.mp4",
        "/live/news.hls/fmp4/init01.mp4",
        "/live/news.hls/TS/1.ts",
        "/live/news.hls/ts-audio0/1.ts",
        "/live/news.hls/1.ts",
        "/live/news.hls/index.m3u8",
        "/live/news.hls/x.m3u8",
        "/live/news.hls/ts/a/1.ts",
        "/live/news.hls/a/b/x.flv",
        "/live/news.hls/a/b/c.m3u8",
        "/live/news.hls/a/b/c/index.m3u8",
        "/live.hls/news.flv",
        "/live/news.hls",
        "/live/news.hls/",
        "/live/news.hls//",
        "/live/news.hls//1.ts",
        "/live/news.hls/ts/",
        "/live/news.hls/ts//1.ts",
        "/live/news.hls/../1.ts",
        "/live/news.hls/ts/../../1.ts",
        "/live/news.hls/ts/%ff.ts",
        "/live/news.hls/ts/%",
        "/live/news.hls/ts/a%2fb.ts",
        "/live/.hls/ts/1.ts",
        "/live/..hls/ts/1.ts",
        "/live/...hls/ts/1.ts",
        "/news.hls/",
        "/news.m3u8",
        "/index.m3u8",
        "/news.hls/ts/1.ts",
    ] {
        assert_eq!(parse(path), Ok(Target::Unknown), "{path}");
    }
}

#[test]
fn names_that_leave_their_place_are_refused() {
    for path in [
        "/live/.m3u8",
        "/live/..m3u8",
        "/live/...m3u8",
        "/live/../news.m3u8",
        "/live/%2e%2e/index.m3u8",
        "/live//news.hls/ts/1.ts",
        "/live/%ff/news.hls/ts/1.ts",
        "/live/a%2fb.m3u8",
        "/live/a%00.m3u8",
    ] {
        assert_eq!(parse(path), Err(400), "{path}");
    }
    let long = "a".repeat(256);
    for path in [
        format!("/live/{long}.m3u8"),
        format!("/{long}/b.hls/ts/1.ts"),
        format!("/a/{long}/index.m3u8"),
    ] {
        assert_eq!(parse(&path), Err(414), "{path}");
    }
}

#[test]
fn the_query_of_a_playlist_says_what_is_wanted_of_it() {
    let playlist = |query: &str| {
        let path = format!("/live/news.hls/ts/index.m3u8?{query}");
        hls(&path).directives
    };
    let none = Directives::default();
    assert_eq!(playlist(""), Ok(none));
    assert_eq!(playlist("token=x&session=a"), Ok(none));
    assert_eq!(playlist("low_latency"), Ok(Directives { low_latency: true, ..none }));
    assert_eq!(playlist("low_latency=1&low_latency=0"), Ok(none));
    let msn = Directives { msn: Some(17), ..none };
    assert_eq!(playlist("_HLS_msn=17"), Ok(msn));
    let all = Directives { low_latency: true, part: Some(3), skip: Some(Skip::Segments), ..msn };
    assert_eq!(playlist("_HLS_part=3&low_latency=true&_HLS_msn=17&_HLS_skip=YES"), Ok(all));
    assert_eq!(playlist("_HLS_skip=v2"), Ok(Directives { skip: Some(Skip::DateRanges), ..none }));
    assert_eq!(playlist("_HLS_skip=NO&_HLS_push=1&_hls_msn=x"), Ok(none));
    for wrong in ["", "a", "-1", "+1", "1.0", "1%30", "18446744073709551616", " 1"] {
        let query = format!("_HLS_msn={wrong}");
        assert_eq!(playlist(&query), Err("_HLS_msn is no number"), "{query}");
        let query = format!("_HLS_msn=1&_HLS_part={wrong}");
        assert_eq!(playlist(&query), Err("_HLS_part is no number"), "{query}");
    }
    assert_eq!(playlist("_HLS_msn"), Err("_HLS_msn is no number"));
    assert_eq!(playlist("_HLS_msn=1&_HLS_part=4294967296"), Err("_HLS_part is no number"));
    assert_eq!(playlist("_HLS_part=1"), Err("_HLS_part without _HLS_msn"));
}

#[test]
fn the_query_of_a_multivariant_playlist_chooses_a_form_and_no_segment() {
    let directives = |path| hls(path).directives;
    let none = Directives::default();
    assert_eq!(
        directives("/live/news.m3u8?form=fmp4&low_latency&_HLS_msn=x"),
        Ok(Directives { low_latency: true, form: Some(Form::Fmp4), ..none })
    );
    assert_eq!(
        directives("/live/news.m3u8?form=ts"),
        Ok(Directives { form: Some(Form::Ts), ..none })
    );
    assert_eq!(directives("/live/news/index.m3u8?form=ts-audio1"), Ok(none));
    assert_eq!(directives("/live/news.hls/ts/1.ts?_HLS_msn=x&low_latency"), Ok(none));
}

proptest! {
    #[test]
    fn every_stream_is_found_below_its_escaped_name(
        app in "[^/\\p{C}]{1,8}(/[^/\\p{C}]{1,8}){0,2}",
        name in "[^/\\p{C}]{1,12}",
        msn: u64,
        part: u32,
    ) {
        prop_assume!(app.split('/').chain([name.as_str()]).all(|segment| !is_dots(segment)));
        let escape = |text: &str| -> String {
            text.split('/')
                .map(|s| s.bytes().map(|b| format!("%{b:02x}")).collect::<String>())
                .collect::<Vec<_>>()
                .join("/")
        };
        let path = format!("/{}/{}.hls/ts/{msn}.{part}.ts", escape(&app), escape(&name));
        let target = hls(&path);
        prop_assert_eq!((&*target.app, &*target.name), (&*app, &*name));
        prop_assert_eq!(target.resource, Resource::Part(TS, msn, part));
    }

    #[test]
    fn no_path_gets_through_with_a_segment_that_is_unsafe(
        path in "/[a%./2ehls0\\x00]{0,20}(\\.hls/ts/1\\.ts|\\.m3u8|/index\\.m3u8)",
    ) {
        if let Ok(Target::Hls(target)) = parse(&path) {
            let full = format!("{}/{}", target.app, target.name);
            prop_assert!(full.split('/').all(|s| !s.is_empty() && !is_dots(s)), "{}", full);
            prop_assert!(!full.contains(char::is_control) && !target.name.contains('/'));
        }
    }
}
