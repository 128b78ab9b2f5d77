//! The rule checker finds what it is there to find: every rule is broken once.

#[path = "support/hls_rules.rs"]
mod hls_rules;

use hls_rules::{Checker, check_multivariant, compare};

/// Three segments of a low-latency playlist and two parts of the next one.
const GOOD: &str = "\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.00000
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"init1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:00.000Z
#EXTINF:2.00000,
10.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"init2.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:12.000Z
#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-11-22T15:58:13.000Z\",PLANNED-DURATION=30.000,SCTE35-OUT=0xFC
#EXTINF:2.40000,
11.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:14.400Z
#EXT-X-PART:DURATION=1.00000,URI=\"12.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI=\"12.1.m4s\"
#EXTINF:1.50000,
12.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:15.900Z
#EXTINF:2.30000,
13.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:18.200Z
#EXT-X-PART:DURATION=1.00000,URI=\"14.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"
";

/// What became of it: another part, and the first segment has left.
fn next() -> String {
    let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"\n";
    let first = GOOD.find("#EXT-X-PROGRAM").unwrap()..GOOD.find("#EXT-X-DISCONTINUITY\n").unwrap();
    let without = GOOD.replace(&GOOD[first], "").replace("#EXT-X-MAP:URI=\"init1.mp4\"\n", "");
    without.replace("SEQUENCE:10", "SEQUENCE:11").replace(
        hint,
        "#EXT-X-PART:DURATION=0.90000,URI=\"14.1.m4s\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.2.m4s\"\n",
    )
}

fn rules(texts: &[&str]) -> Vec<&'static str> {
    let mut checker = Checker::default();
    (checker.short_parts, checker.pace) = (true, true);
    let mut found = Vec::new();
    for (at_ms, text) in (0..).step_by(1000).zip(texts) {
        found.extend(checker.take(at_ms, text).into_iter().map(|violation| violation.rule));
    }
    found.dedup();
    found
}

/// Replaces what must be there.
fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is not in {text}");
    text.replace(old, new)
}

#[test]
fn good_playlists_break_no_rule() {
    assert_eq!(rules(&[GOOD, GOOD, &next()]), Vec::<&str>::new());
}

#[test]
fn every_rule_of_one_playlist_is_found() {
    let after_13 = "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:15.900Z\n";
    for (old, new, rule) in [
        ("#EXTM3U\n", "", "format"),
        ("#EXTM3U\n", "#EXTM3U\n#EXT-X-VERSION:6\n", "format"),
        ("14.1.m4s\"\n", "14.1.m4s\"", "format"),
        ("12.m4s\n", "12 .m4s\n", "format"),
        ("INDEPENDENT-SEGMENTS", "INDEPENDENT-SEGMENT", "format"),
        ("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL =12.0", "format"),
        ("#EXT-X-MAP", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP", "format"),
        ("#EXT-X-MAP", "#EXT-X-KEY:METHOD=AES-128\n#EXT-X-MAP", "format"),
        ("VERSION:6", "VERSION:9", "version"),
        ("VERSION:6", "VERSION:3", "version"),
        ("#EXT-X-TARGETDURATION:2\n", "", "target duration"),
        ("EXTINF:2.30000,\n13", "EXTINF:2.50000,\n13", "target duration"),
        ("#EXT-X-PART-INF", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-PART-INF", "playlist type"),
        ("#EXT-X-DISCONTINUITY-SEQUENCE:4\n", "", "discontinuity sequence"),
        ("#EXT-X-MAP:URI=\"init1.mp4\"\n", "", "map"),
        ("13.m4s", "12.m4s", "uri"),
        ("12.1.m4s", "12.0.m4s", "uri"),
        ("DURATION=0.50000", "DURATION=0.60000", "parts of a segment"),
        (
            "#EXTINF:2.00000,\n10",
            "#EXT-X-PART:DURATION=1.00000,URI=\"a\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=1.00000,URI=\"b\"\n#EXTINF:2.00000,\n10",
            "old parts",
        ),
        ("#EXT-X-PART-INF:PART-TARGET=1.00000\n", "", "part target"),
        ("PART-TARGET=1.00000", "PART-TARGET=0.90000", "part target"),
        ("12.0.m4s\",INDEPENDENT=YES", "12.0.m4s\"", "independent segments"),
        ("PART-HOLD-BACK=3.0", "PART-HOLD-BACK=2.9", "server control"),
        (",PART-HOLD-BACK=3.0", "", "server control"),
        ("HOLD-BACK=6.0", "HOLD-BACK=5.9", "server control"),
        ("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.0", "server control"),
        ("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"\n", "", "preload hint"),
        ("TYPE=PART,URI=\"14.1.m4s\"", "TYPE=PART,URI=\"14.0.m4s\"", "preload hint"),
        ("TYPE=PART", "TYPE=MAP", "preload hint"),
        ("14.1.m4s\"\n", "14.1.m4s\"\n#EXT-X-ENDLIST\n", "preload hint"),
        ("ID=\"a\",", "", "date range"),
        (",SCTE35-OUT=0xFC", "", "date range"),
        ("0xFC", "0xF", "date range"),
        ("START-DATE=\"2026-11-22T15:58:13.000Z\"", "START-DATE=\"2026\"", "date range"),
        (
            after_13,
            &format!(
                "{after_13}#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-11-22T15:58:14.000Z\",SCTE35-IN=0xFC\n"
            ),
            "date range",
        ),
        (after_13, "", "date"),
        (after_13, &after_13.replace("15.900", "16.000"), "date"),
    ] {
        let found = rules(&[&with(GOOD, old, new)]);
        assert!(found.contains(&rule), "{rule}: {old:?} -> {new:?} gave {found:?}");
    }
    let without_parts = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n";
    assert_eq!(rules(&[without_parts]), Vec::<&str>::new());
    assert_eq!(rules(&["#EXTM3U\n#EXT-X-VERSION:3\n"]), ["target duration"]);
}

#[test]
fn every_rule_of_two_playlists_is_found() {
    let next = next();
    let more = |text: &str| {
        with(
            text,
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.2.m4s\"",
            "#EXTINF:1.90000,\n14.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"15.0.m4s\"",
        )
    };
    let without = |text: &str, from: &str, to: &str| {
        let range = text.find(from).unwrap()..text.find(to).unwrap();
        text.replace(&text[range], "")
    };
    for (later, rule) in [
        (with(&next, "TARGETDURATION:2", "TARGETDURATION:3"), "constant"),
        (with(&next, "HOLD-BACK=6.0", "HOLD-BACK=7.0"), "constant"),
        (with(&next, "SEQUENCE:11", "SEQUENCE:9"), "media sequence"),
        (with(&next, "SEQUENCE:11", "SEQUENCE:15"), "media sequence"),
        (with(&next, "SEQUENCE:11", "SEQUENCE:10"), "changed segment"),
        (without(GOOD, "#EXTINF:2.30000,\n13", "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:18"), "removed"),
        (with(&next, "DISCONTINUITY-SEQUENCE:4", "DISCONTINUITY-SEQUENCE:3"), "discontinuity sequence"),
        (with(&next, "DISCONTINUITY-SEQUENCE:4", "DISCONTINUITY-SEQUENCE:5"), "changed segment"),
        (with(&next, "\"init2.mp4\"", "\"init3.mp4\""), "changed segment"),
        (
            with(&next, "\n12.m4s", "\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n12.m4s"),
            "changed segment",
        ),
        (with(&next, "15:58:12.000", "15:58:12.001"), "changed segment"),
        (with(&next, "EXTINF:1.50000", "EXTINF:1.50010"), "changed segment"),
        (with(&next, "13.m4s", "thirteen.m4s"), "changed segment"),
        (with(&next, "14.0.m4s", "0.14.m4s"), "changed part"),
        (with(&next, "PLANNED-DURATION=30", "PLANNED-DURATION=31"), "date range"),
        (without(&next, "#EXT-X-DATERANGE", "#EXTINF:2.40000,\n11"), "date range"),
        (with(&next, "SEQUENCE:11\n", "SEQUENCE:11\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"), "changed segment"),
        (with(&next, "0.90000,URI=\"14.1.m4s\"", "0.80000,URI=\"14.1.m4s\"").replace(
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.2.m4s\"",
            "#EXT-X-PART:DURATION=0.90000,URI=\"14.2.m4s\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.3.m4s\"",
        ), "short part"),
    ] {
        let found = rules(&[GOOD, &later]);
        assert!(found.contains(&rule), "{rule}: {found:?} of {later}");
    }
    assert_eq!(rules(&[GOOD, &next, &more(&next)]), Vec::<&str>::new());
    // 3.8 s are left, and six are wanted.
    let few =
        without(&next, "#EXT-X-DISCONTINUITY\n", "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:58:14");
    let few = with(&few, "SEQUENCE:11", "SEQUENCE:12").replace("SEQUENCE:4", "SEQUENCE:5");
    let few = with(&few, "SEGMENTS\n", "SEGMENTS\n#EXT-X-MAP:URI=\"init2.mp4\"\n");
    assert_eq!(rules(&[GOOD, &few]), ["removed", "date range"]);
    let unknown = with(GOOD, "SEQUENCE:10\n", "SEQUENCE:10\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n");
    assert!(rules(&[GOOD, &unknown.replace("SEQUENCE:10", "SEQUENCE:3")]).contains(&"skip"));
}

#[test]
fn an_end_is_the_end_until_the_source_is_back() {
    let end = |text: &str, hint: &str| with(text, hint, "#EXT-X-ENDLIST\n");
    let ended = end(GOOD, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"14.1.m4s\"\n");
    assert_eq!(rules(&[GOOD, &ended, &ended]), Vec::<&str>::new());
    assert_eq!(rules(&[GOOD, &ended, GOOD]), ["end"]);
    let mut checker = Checker::default();
    assert_eq!(checker.take(0, &ended), []);
    checker.reopen();
    assert_eq!(checker.take(0, GOOD), []);
}

#[test]
fn a_playlist_that_stands_still_is_found() {
    assert_eq!(rules(&[GOOD; 4]), Vec::<&str>::new());
    assert_eq!(rules(&[GOOD; 5]), ["pace"]);
}

#[test]
fn renditions_that_disagree_are_found() {
    let parse = |text: &str| {
        let mut checker = Checker::default();
        checker.take(0, text);
        checker.playlist().unwrap().clone()
    };
    let main = parse(GOOD);
    assert_eq!(compare(0, &main, &parse(&next())), []);
    for (old, new) in [
        ("TARGETDURATION:2", "TARGETDURATION:3"),
        ("HOLD-BACK=6.0", "HOLD-BACK=7.0"),
        ("DISCONTINUITY-SEQUENCE:4", "DISCONTINUITY-SEQUENCE:5"),
    ] {
        assert!(!compare(0, &main, &parse(&with(GOOD, old, new))).is_empty(), "{old}");
    }
}

#[test]
fn every_rule_of_multivariant_playlists_is_found() {
    let good = "#EXTM3U\n#EXT-X-VERSION:4\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"eng\",LANGUAGE=\"eng\",DEFAULT=YES,AUTOSELECT=YES\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"deu\",LANGUAGE=\"deu\",AUTOSELECT=YES,URI=\"x\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"fra\",FORCED=NO,URI=\"z\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2,AVERAGE-BANDWIDTH=1,AUDIO=\"a\",CLOSED-CAPTIONS=NONE\nx\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3,SUBTITLES=\"s\",AUDIO=\"a\",CLOSED-CAPTIONS=NONE\ny\n";
    assert_eq!(check_multivariant(good), Vec::<String>::new());
    for (old, new) in [
        ("#EXTM3U\n", ""),
        ("VERSION:4", "VERSION:3"),
        ("BANDWIDTH=2", "BANDWIDTH=0"),
        ("AVERAGE-BANDWIDTH=1", "AVERAGE-BANDWIDTH=3"),
        ("AUDIO=\"a\",CLOSED-CAPTIONS=NONE\ny", "CLOSED-CAPTIONS=NONE,AUDIO=\"b\"\ny"),
        (",CLOSED-CAPTIONS=NONE\ny", "\ny"),
        ("\ny\n", "\na b\n"),
        ("\ny\n", "\n"),
        ("NAME=\"deu\"", "NAME=\"eng\""),
        ("LANGUAGE=\"deu\"", "LANGUAGE=\"eng\""),
        ("LANGUAGE=\"deu\",", "LANGUAGE=\"deu\",DEFAULT=YES,"),
        ("GROUP-ID=\"a\",NAME=\"deu\"", "NAME=\"deu\""),
        ("NAME=\"deu\"", "NAME=\"deu"),
        ("SUBTITLES=\"s\"", "SUBTITLES=\"a\""),
        (",FORCED=NO,URI=\"z\"", ",FORCED=NO"),
        ("GROUP-ID=\"a\",NAME=\"deu\"", "GROUP-ID=\"a\",FORCED=NO,NAME=\"deu\""),
    ] {
        let wrong = check_multivariant(&with(good, old, new));
        assert!(!wrong.is_empty(), "{old:?} -> {new:?}");
    }
}
