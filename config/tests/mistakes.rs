//! What an operator reads after a mistake, to the letter.

use std::path::Path;

use corelay_config::Config;

/// The problems of `text`, one per line.
fn problems(text: &str) -> String {
    match Config::parse(text, "relay.toml") {
        Ok(_) => "no problem".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// Asserts that `text` has exactly the problems `expected`, each without the file's name.
#[track_caller]
fn assert_problems(text: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|p| format!("relay.toml:{p}")).collect();
    assert_eq!(problems(text), expected.join("\n"));
}

#[test]
fn a_misspelt_key_gets_the_key_that_was_meant() {
    assert_problems(
        "[rtmp]\nhandshake_timeout = 5000\n",
        &["2:1: rtmp.handshake_timeout: unknown key; did you mean `handshake_timeout_ms`?"],
    );
}

#[test]
fn a_misspelt_section_gets_the_section_that_was_meant() {
    assert_problems(
        "[rtpm]\nchunk_size_out = 4096\n",
        &["1:2: rtpm: unknown key; did you mean `rtmp`?"],
    );
}

#[test]
fn a_key_in_the_wrong_section_is_sent_to_the_right_one() {
    assert_problems(
        "[rtmp]\nallow_origin = \"*\"\n",
        &["2:1: rtmp.allow_origin: unknown key; did you mean to write it under [http]?"],
    );
}

#[test]
fn an_unknown_key_that_resembles_nothing_gets_the_keys_there_are() {
    assert_problems(
        "[applications.default]\nflush = { bananas = 4 }\n",
        &["2:11: applications.default.flush.bananas: unknown key; the keys here are min_ms, \
             max_ms"],
    );
}

#[test]
fn every_problem_is_told_in_the_order_of_the_file() {
    assert_problems(
        "[tcp]\nnodelay = \"yes\"\nbacklog = 0\n[rtmp]\nidle_timeout_ms = -1\n\
         ping_timeout_ms = 99999999999999999999\namf_depth_max = 3.5\n",
        &[
            "2:11: tcp.nodelay: expected a boolean, found the string \"yes\"; write true or false, \
             without quotes",
            "3:11: tcp.backlog: 0 is too small; use 1 to 65535",
            "5:19: rtmp.idle_timeout_ms: -1 is too small; use 1000 to 86400000 milliseconds",
            "6:19: rtmp.ping_timeout_ms: 99999999999999999999 is too large; use 100 to 600000 \
             milliseconds",
            "7:17: rtmp.amf_depth_max: expected a whole number, found the float 3.5; use 4 to 128",
        ],
    );
}

#[test]
fn a_duration_in_quotes_is_told_its_unit() {
    assert_problems(
        "[applications.default]\nlog_ms_max = \"10s\"\n",
        &["2:14: applications.default.log_ms_max: expected a whole number, found the string \
           \"10s\"; use 100 to 600000 milliseconds"],
    );
}

#[test]
fn a_decimal_unit_is_told_the_binary_ones() {
    assert_problems(
        "[rtmp]\nmessage_bytes_max = \"8 MB\"\nchunk_size_out = \"1 MiB\"\n",
        &[
            "2:21: rtmp.message_bytes_max: \"8 MB\" has the unknown unit \"MB\"; use \"64 KiB\" to \
             \"16777215 B\"; the units are B, KiB, MiB and GiB",
            "3:18: rtmp.chunk_size_out: \"1 MiB\" is too large; use \"128 B\" to \"64 KiB\"",
        ],
    );
}

#[test]
fn a_value_where_a_section_belongs_is_told_how_to_write_a_section() {
    assert_problems(
        "rtmp = 1935\n",
        &["1:8: rtmp: expected a table, found the integer 1935; write it as `[rtmp]` with its \
           keys below"],
    );
}

#[test]
fn a_word_outside_the_choices_gets_the_nearest_one() {
    assert_problems(
        "[cores]\nidle = \"spining\"\n[logging]\nformat = \"xml\"\nlevel = \"inof\"\n",
        &[
            "2:8: cores.idle: \"spining\" is not one of the choices; did you mean \"spin\"? The \
             choices are \"park\" or \"spin\"",
            "4:10: logging.format: \"xml\" is not one of the choices; use \"text\" or \"json\"",
            "5:9: logging.level: \"inof\" is not a log level; did you mean \"info\"?",
        ],
    );
}

#[test]
fn a_wrong_address_is_shown_what_an_address_looks_like() {
    const REMEDY: &str =
        "write ADDRESS:PORT, as in \"0.0.0.0:1935\", \"127.0.0.1:1935\" or \"[::]:1935\"";
    let expected = [
        "2:10: rtmp.listen: expected an array, found the string \"0.0.0.0:1935\"; write a list of \
         addresses, as in [\"0.0.0.0:1935\"]"
            .to_owned(),
        format!("4:11: http.listen[0]: expected a string, found the integer 8080; {REMEDY}"),
        format!("4:17: http.listen[1]: \"localhost:80\" is not a socket address; {REMEDY}"),
        format!("6:10: admin.listen: \":1985\" is not a socket address; {REMEDY}"),
    ];
    assert_problems(
        "[rtmp]\nlisten = \"0.0.0.0:1935\"\n[http]\nlisten = [8080, \"localhost:80\"]\n\
         [admin]\nlisten = \":1985\"\n",
        &expected.each_ref().map(String::as_str),
    );
}

#[test]
fn a_listener_table_is_read_like_any_section() {
    assert_problems(
        "[rtmp]\nlisten = [{ adress = \"0.0.0.0:1935\" }]\n",
        &[
            "2:11: rtmp.listen[0].address: is missing; add `address = ...`",
            "2:13: rtmp.listen[0].adress: unknown key; did you mean `address`?",
        ],
    );
}

#[test]
fn two_listeners_on_one_port_are_refused_across_sections() {
    assert_problems(
        "[http]\nlisten = [\"127.0.0.1:1935\", \"[::]:1985\"]\n",
        &["2:11: http.listen[0]: http.listen[0] (127.0.0.1:1935) and rtmp.listen[0] \
           (0.0.0.0:1935) overlap; choose another address or port"],
    );
}

#[test]
fn the_operator_s_listener_is_blamed_rather_than_the_default_in_its_way() {
    assert_problems(
        "[http]\nlisten = [\"0.0.0.0:1985\"]\n",
        &["2:11: http.listen[0]: admin.listen (127.0.0.1:1985) and http.listen[0] (0.0.0.0:1985) \
           overlap; choose another address or port"],
    );
}

#[test]
fn a_server_that_listens_nowhere_is_refused() {
    assert_problems(
        "[rtmp]\nlisten = []\n[http]\nlisten = []\n[ts]\nlisten = []\n",
        &["2:10: rtmp.listen: nothing is listened on; name an address under [rtmp], [http] or \
           [ts]"],
    );
    assert_eq!(problems("[rtmp]\nlisten = []\n"), "no problem");
    let channel = "[[channel]]\nname = \"a/b\"\ninput = [\"udp://239.1.1.1\"]\n";
    let nowhere = "[rtmp]\nlisten = []\n[http]\nlisten = []\n[ts]\nlisten = []\n";
    assert_eq!(problems(&format!("{channel}{nowhere}")), "no problem");
}

#[test]
fn cores_that_do_not_exist_or_repeat_are_refused() {
    assert_problems(
        "[cores]\ndata = [4, 5]\n[rtmp]\n\
         listen = [{ address = \"127.0.0.1:1935\", cores = [0, 2, 0] }]\n",
        &[
            "4:53: rtmp.listen[0].cores[1]: there is no core 2, as cores.data names 2 CPUs; use 0 \
             to 1, an index into cores.data",
            "4:56: rtmp.listen[0].cores[2]: core 0 is named twice; name each core once",
        ],
    );
    assert_problems(
        "[cores]\ndata = [1, 1]\ncontrol = \"none\"\n",
        &[
            "2:12: cores.data[1]: CPU 1 is named twice; name each CPU once",
            "3:11: cores.control: \"none\" is neither a CPU id nor \"any\"; write a CPU id without \
             quotes, as in 0, or \"any\"",
        ],
    );
}

#[test]
fn limits_of_a_log_fit_into_each_other() {
    assert_problems(
        "[rtmp]\nmessage_bytes_max = \"15 MiB\"\n[memory]\nlogs_bytes_max = \"20 MiB\"\n\
         [applications.default]\nbehind_ms_max = 20000\nbehind_bytes_max = \"14 MiB\"\n\
         log_bytes_max = \"13 MiB\"\n",
        &[
            "2:21: rtmp.message_bytes_max: \"15 MiB\" is above \
             applications.default.log_bytes_max, which is \"13 MiB\"; use at most \"13 MiB\", or \
             raise applications.default.log_bytes_max",
            "6:17: applications.default.behind_ms_max: 20000 is above \
             applications.default.log_ms_max, which is 10000; use at most 10000, or raise \
             applications.default.log_ms_max",
            "7:20: applications.default.behind_bytes_max: \"14 MiB\" is above \
             applications.default.log_bytes_max, which is \"13 MiB\"; use at most \"13 MiB\", or \
             raise applications.default.log_bytes_max",
        ],
    );
}

#[test]
fn an_application_is_blamed_for_what_it_sets_and_not_for_what_it_inherits() {
    assert_problems(
        "[applications.named.live]\nlog_bytes_max = \"2 GiB\"\n[applications.named.quiet]\n",
        &["2:17: applications.named.live.log_bytes_max: \"2 GiB\" is above \
           memory.logs_bytes_max, which is \"1 GiB\"; use at most \"1 GiB\", or raise \
           memory.logs_bytes_max"],
    );
    assert_problems(
        "[applications.default]\nlog_ms_max = 5000\nlinger_ms = -1\nfoo = 1\nflush = 4\n\
         [applications.named.quiet]\n",
        &[
            "2:14: applications.default.log_ms_max: 5000 is below \
             applications.default.behind_ms_max, which is 8000; use at least 8000, or lower \
             applications.default.behind_ms_max",
            "3:13: applications.default.linger_ms: -1 is too small; use 0 to 3600000 milliseconds",
            "4:1: applications.default.foo: unknown key; the keys here are publish, play, \
             takeover, publisher_grace_ms, publisher_idle_timeout_ms, play_wait_ms, linger_ms, \
             start, log_ms_max, log_bytes_max, behind_ms_max, behind_bytes_max, skips_max, \
             skips_window_ms, jump_ms, metadata_bytes_max, tracks_max, flush",
            "5:9: applications.default.flush: expected a table, found the integer 4; write it as \
             `[applications.default.flush]` with its keys below",
        ],
    );
}

#[test]
fn flush_and_ping_bounds_are_in_order() {
    assert_problems(
        "[rtmp]\nping_interval_ms = 20000\n[applications.default.flush]\nmin_ms = 70\n",
        &[
            "2:20: rtmp.ping_interval_ms: 20000 is below rtmp.ping_timeout_ms, which is 30000; \
             use at least 30000, or lower rtmp.ping_timeout_ms",
            "4:10: applications.default.flush.min_ms: 70 is above \
             applications.default.flush.max_ms, which is 60; use at most 60, or raise \
             applications.default.flush.max_ms",
        ],
    );
    assert_eq!(problems("[rtmp]\nping_interval_ms = 0\n"), "no problem");
}

#[test]
fn an_application_name_is_one_segment_of_an_address() {
    const REMEDY: &str = "use 1 to 128 letters, digits, `-`, `_`, `.` or `~`, the first not a `.`";
    for (name, what) in [
        ("a/b", "\"a/b\" holds the character '/'"),
        ("a?b", "\"a?b\" holds the character '?'"),
        ("", "\"\" is empty"),
        ("..", "\"..\" starts with a dot"),
        ("\u{e9}", "\"\u{e9}\" holds the character '\u{e9}'"),
    ] {
        let key = format!("applications.named.{name:?}");
        let expected = format!("1:21: {key}: the application name {what}; {REMEDY}");
        assert_problems(&format!("[applications.named.{name:?}]\n"), &[&expected]);
    }
    assert_eq!(problems("[applications.named.\"vod.v2~x_y-z\"]\n"), "no problem");
}

#[test]
fn an_origin_cannot_smuggle_a_header() {
    assert_problems(
        "[http]\nallow_origin = \"*\\r\\nSet-Cookie: a=b\"\n",
        &["2:16: http.allow_origin: \"*\\r\\nSet-Cookie: a=b\" is not an origin; use \"*\", \"\" \
           or one origin, as in \"https://tv.example.net\""],
    );
    assert_eq!(problems("[http]\nallow_origin = \"http://tv:8000\"\n"), "no problem");
}

/// Asserts the one problem of a group that has these members, and this name in the application live.
#[track_caller]
fn assert_group_problem(name: &str, members: &str, expected: &str) {
    assert_problems(
        &format!("[[hls.group]]\nname = \"live/{name}\"\nmembers = {members}\n"),
        &[expected],
    );
}

#[test]
fn a_group_has_a_name_and_members() {
    const NAME: &str = "write APP/NAME, as in \"live/news\" or \"live/*\"";
    assert_problems(
        "[[hls.group]]\nmembers = [\"a\"]\n[[hls.group]]\nname = \"news\"\nmember = [\"a\"]\n\
         [[hls.group]]\nname = \"*/news\"\nmembers = [\"a\"]\n",
        &[
            "1:1: hls.group[0].name: is missing; add `name = ...`",
            "3:1: hls.group[1].members: is missing; add `members = ...`",
            &format!("4:8: hls.group[1].name: \"news\" is not a stream; {NAME}"),
            "5:1: hls.group[1].member: unknown key; did you mean `members`?",
            &format!("7:8: hls.group[2].name: the application \"*\" has a `*`; {NAME}"),
        ],
    );
    assert_problems(
        "[hls.group]\nname = \"live/news\"\n",
        &["1:1: hls.group: expected an array, found a table; write each group below a line \
           `[[hls.group]]` of its own"],
    );
    assert_group_problem(
        "*_*",
        "[\"*\"]",
        "2:8: hls.group[0].name: \"*_*\" has more than one `*`; write one, or none",
    );
    assert_group_problem(
        "news",
        "[]",
        "3:11: hls.group[0].members: 0 names are not a group; write 1 to 32",
    );
}

#[test]
fn the_members_of_a_group_are_streams_of_its_application() {
    for (name, member, problem) in [
        (
            "news",
            "live/news_720",
            "members are streams of the application \"live\" anyway; write \"news_720\"",
        ),
        (
            "news",
            "vod/news",
            "\"vod/news\" is not the name of a stream; write the name of a stream, as in \
             \"news_720\" or \"*_720\"",
        ),
        (
            "news",
            "",
            "\"\" is not the name of a stream; write the name of a stream, as in \"news_720\" or \
             \"*_720\"",
        ),
        (
            "*",
            "news_720",
            "\"news_720\" has no `*`, but the name of the group has one; write it in both or in none",
        ),
        (
            "news",
            "*_720",
            "\"*_720\" has a `*`, but the name of the group has none; write it in both or in none",
        ),
        ("*", "*_*", "\"*_*\" has more than one `*`; write one, or none"),
    ] {
        let expected = format!("3:12: hls.group[0].members[0]: {problem}");
        assert_group_problem(name, &format!("[{member:?}]"), &expected);
    }
    assert_group_problem(
        "news",
        "[\"a\", \"a\"]",
        "3:17: hls.group[0].members[1]: \"a\" is named twice; name each stream once",
    );
}

#[test]
fn groups_have_names_of_their_own_and_served_applications() {
    let group = "[[hls.group]]\nname = \"live/news\"\nmembers = [\"a\"]\n";
    assert_problems(
        &format!("{group}{group}"),
        &[
            "5:8: hls.group[1].name: \"live/news\" is hls.group[0].name already; give each group its \
           own name",
        ],
    );
    assert_problems(
        &format!("applications.strict = true\n{group}"),
        &["3:8: hls.group[0].name: the application \"live\" is not served, as \
           applications.strict is true; add a line [applications.named.\"live\"]"],
    );
}

#[test]
fn lengths_and_sizes_of_hls_fit_into_each_other() {
    assert_problems(
        "[hls]\nsegment_ms = 12000\npart_ms = 100\n\
         form = \"mp4\"\n",
        &[
            "2:14: hls.segment_ms: 12000 is above hls.segment_ms_max, which is 10000; use at most \
             10000, or raise hls.segment_ms_max",
            "3:11: hls.part_ms: 100 is too small; use 200 to 2000 milliseconds",
            "4:8: hls.form: \"mp4\" is not one of the choices; did you mean \"fmp4\"? The choices \
             are \"auto\" or \"ts\" or \"fmp4\"",
        ],
    );
    assert_problems(
        "[hls]\nsegment_ms = 600\npart_ms = 601\nsegment_bytes_max = \"2 MiB\"\n",
        &[
            "3:11: hls.part_ms: 601 is above hls.segment_ms, which is 600; use at most 600, or \
             raise hls.segment_ms",
            "4:21: hls.segment_bytes_max: \"2 MiB\" is below rtmp.message_bytes_max, which is \
             \"4 MiB\"; use at least \"4 MiB\", or lower rtmp.message_bytes_max",
        ],
    );
}

#[test]
fn encryption_has_a_key_and_whole_segments_no_parts() {
    assert_problems(
        "[hls]\nkey = \"hls.key\"\nlow_latency = true\n",
        &["2:7: hls.key: hls.key and hls.low_latency do not go together: parts are not \
           encrypted; write encryption = \"sample-aes\", or leave one of them out"],
    );
    assert_problems(
        "[hls]\nkey_uri = \"https://keys.example.net\"\n",
        &["2:11: hls.key_uri: there is no hls.key for it; name the file of the key, or write \"\""],
    );
    assert_problems(
        "[hls]\nkey = \"hls.key\"\nkey_uri = \"a\\\",IV=0\"\n",
        &["3:11: hls.key_uri: \"a\\\",IV=0\" is not a URL; write a URL, as in \
           \"https://keys.example.net/news\", or \"\" to let the server serve it"],
    );
}

#[test]
fn a_listener_with_tls_has_a_certificate() {
    const MISSING: &str = "tls.certificates names no certificate for it; name one; `corelay cert` \
                           makes one for tests";
    assert_problems(
        "[rtmp]\nlisten = [\"0.0.0.0:1935\", { address = \"0.0.0.0:1936\", tls = true }]\n\
         [admin]\ntls = true\n",
        &[&format!("2:61: rtmp.listen[1].tls: {MISSING}"), &format!("4:7: admin.tls: {MISSING}")],
    );
    assert_problems(
        "[http]\nlisten = [{ address = \"0.0.0.0:8443\", tls = 1 }]\n",
        &[
            "2:45: http.listen[0].tls: expected a boolean, found the integer 1; write true or false, \
           without quotes",
        ],
    );
}

#[test]
fn what_only_tls_has_stands_beside_tls() {
    const NO_USE: &str =
        "is of no use, as no TLS is spoken here; add `tls = true`, or leave it out";
    assert_problems(
        "[http]\nlisten = [{ address = \"0.0.0.0:1\", certificates = [{ certificate = \"c\", key = \
         \"k\" }] }, { address = \"0.0.0.0:2\", tls = false, client_ca = \"ca.pem\" }]\n\
         [admin]\nclient_ca = \"\"\n",
        &[
            &format!("2:51: http.listen[0].certificates: {NO_USE}"),
            &format!("2:139: http.listen[1].client_ca: {NO_USE}"),
            &format!("4:13: admin.client_ca: {NO_USE}"),
        ],
    );
    assert_problems(
        "[http]\nlisten = [{ address = \"0.0.0.0:1\", tls = 1, client_ca = \"ca.pem\" }]\n\
         [admin]\ntls = true\ncertificates = [{ key = \"k\" }]\nclient_ca = 5\n",
        &[
            "2:42: http.listen[0].tls: expected a boolean, found the integer 1; write true or false, \
             without quotes",
            "5:17: admin.certificates[0].certificate: is missing; add `certificate = ...`",
            "6:13: admin.client_ca: expected a string, found the integer 5; write the path of a PEM \
             file, or \"\" to ask for no certificate",
        ],
    );
}

#[test]
fn a_certificate_is_two_files() {
    assert_problems(
        "[tls]\ncertificates = [{ certificate = \"c.pem\" }, { certificate = \"\", key = 5 }, \
         \"c.pem\"]\n",
        &[
            "2:17: tls.certificates[0].key: is missing; add `key = ...`",
            "2:60: tls.certificates[1].certificate: is empty; write the path of a PEM file",
            "2:70: tls.certificates[1].key: expected a string, found the integer 5; write the path \
             of a PEM file",
            "2:75: tls.certificates[2]: expected a table, found the string \"c.pem\"; write it as \
             `[tls.certificates[2]]` with its keys below",
        ],
    );
    assert_problems(
        "[tls]\ncertificates = \"c.pem\"\nversion_min = \"1.1\"\nhandshake_budget_us = 50\n\
         reload_s = 3601\nclient_ca = true\n",
        &[
            "2:16: tls.certificates: expected an array, found the string \"c.pem\"; write a list, as \
             in [{ certificate = \"certificate.pem\", key = \"key.pem\" }]",
            "3:15: tls.version_min: \"1.1\" is not one of the choices; use \"1.2\" or \"1.3\"",
            "4:23: tls.handshake_budget_us: 50 is too small; use 100 to 100000 microseconds",
            "5:12: tls.reload_s: 3601 is too large; use 0 to 3600 seconds",
            "6:13: tls.client_ca: expected a string, found the boolean true; write the path of a PEM \
             file, or \"\" to ask for no certificate",
        ],
    );
}

#[test]
fn a_syntax_error_is_told_with_its_place_and_key() {
    assert_problems(
        "[http]\nlisten = 0.0.0.0:80\n",
        &["2:13: http.listen: \"0.0.0.0:80\" is not a value; write numbers, true and false as \
           they are, and text in double quotes"],
    );
    assert_problems(
        "[rtmp]\nchunk_size_out = 64 KiB\n[rtmp]\n",
        &[
            "2:18: rtmp.chunk_size_out: \"64 KiB\" is not a value; write numbers, true and false \
             as they are, and text in double quotes",
            "3:2: \"rtmp\" stands here a second time; write it once",
        ],
    );
    assert_problems("[rtmp\n", &["1:6: unclosed table; expected `]`"]);
    assert_problems(
        "[tcp]\nbacklog =\n",
        &["2:10: tcp.backlog: the value is missing; write a value after the `=`"],
    );
    assert_problems(
        "# \u{fc}ber\n\u{fc} = 1\n",
        &["2:1: invalid unquoted key; expected letters, \
                                                   numbers, `-`, `_`"],
    );
}

/// Asserts the one problem of a channel that has these keys beside its name.
#[track_caller]
fn assert_channel_problem(keys: &str, expected: &str) {
    assert_problems(&format!("[[channel]]\nname = \"iptv/news\"\n{keys}\n"), &[expected]);
}

#[test]
fn a_channel_has_a_name_and_something_to_do() {
    assert_problems(
        "[[channel]]\ninput = [\"udp://239.1.1.1\"]\n\n[[channel]]\nname = \"iptv/sport\"\n",
        &[
            "1:1: channel[0].name: is missing; add `name = ...`",
            "4:1: channel[1]: has neither an input nor an output; add `input = [...]` or `output \
             = [...]`",
        ],
    );
    assert_channel_problem(
        "output = [\"udp://239.1.1.1\"]\nopen = \"demand\"",
        "4:8: channel[0].open: there is no input to open on demand; leave `open` out, or add \
         `input = [...]`",
    );
    for name in ["news", "/news", "iptv/", "iptv/news?key=1", "iptv/ne\\nws"] {
        assert_problems(
            &format!("[[channel]]\nname = \"{name}\"\ninput = [\"udp://239.1.1.1\"]\n"),
            &[&format!(
                "2:8: channel[0].name: \"{name}\" is not a stream; write APP/NAME, as in \
                 \"iptv/news\""
            )],
        );
    }
    assert_problems(
        "[[channel]]\nname = \"udp/news\"\ninput = [\"udp://239.1.1.1\"]\n",
        &["2:8: channel[0].name: the application \"udp\" cannot be watched over HTTP; choose \
           another name: /udp/ is where groups are asked for"],
    );
}

#[test]
fn the_keys_of_a_channel_are_read_like_those_of_any_section() {
    assert_channel_problem(
        "inputs = [\"udp://239.1.1.1\"]\noutput = [\"udp://239.1.1.2\"]",
        "3:1: channel[0].inputs: unknown key; did you mean `input`?",
    );
    assert_channel_problem(
        "input = \"udp://239.1.1.1\"",
        "3:9: channel[0].input: expected an array, found the string \"udp://239.1.1.1\"; write a \
         list of URLs, as in [\"udp://eth1@239.1.1.1:1234\"]",
    );
    assert_channel_problem(
        "input = [\"udp://239.1.1.1\"]\nfailover = { silence_ms = 5, silence = 1 }",
        "4:27: channel[0].failover.silence_ms: 5 is too small; use 100 to 60000 milliseconds\n\
         relay.toml:4:30: channel[0].failover.silence: unknown key; did you mean `silence_ms`?",
    );
    assert_channel_problem(
        "input = [\"udp://239.1.1.1\"]\nopen = \"allways\"",
        "4:8: channel[0].open: \"allways\" is not one of the choices; did you mean \"always\"? The \
         choices are \"always\" or \"demand\"",
    );
    assert_problems(
        "[channel]\nname = \"iptv/news\"\n",
        &["1:1: channel: expected an array, found a table; write each channel below a line \
           `[[channel]]` of its own"],
    );
    let many = vec!["\"tcp://10.0.0.1:1\""; 17].join(", ");
    let problems = problems(&format!("[[channel]]\nname = \"a/b\"\ninput = [{many}]\n"));
    assert_eq!(
        problems,
        "relay.toml:3:9: channel[0].input: 17 URLs are too many; write at most 16"
    );
}

#[test]
fn a_url_of_a_channel_is_blamed_where_it_stands() {
    for (list, problem) in [
        (
            "input = [\"udp://239.1.1.1\", \"udp://239.1.1.1:0\"]",
            "3:29: channel[0].input[1]: port: \"0\" is none; write 1 to 65535",
        ),
        (
            "input = [\"file:///clip.ts\"]",
            "3:10: channel[0].input[0]: scheme: file:// is not for channels; write one of udp://, \
             rtp://, tcp://, http://, rtmp://",
        ),
        (
            "output = [\"clip.ts\"]",
            "3:11: channel[0].output[0]: scheme: \"clip.ts\" has none; write one of udp://, \
             rtp://, tcp://, http://, rtmp://",
        ),
        (
            "input = [\"rtmp://10.0.0.7/live/news\"]",
            "3:10: channel[0].input[0]: scheme: rtmp:// is not pulled; leave input out and let the \
             source publish to this server under the channel's name",
        ),
        (
            "output = [\"http://10.0.0.7/news.ts\"]",
            "3:11: channel[0].output[0]: scheme: http:// is not pushed to; let the receiver get \
             the channel's name with .ts from [http], or push with tcp:// or rtmp://",
        ),
        (
            "input = [5]",
            "3:10: channel[0].input[0]: expected a string, found the integer 5; write a URL, as in \
             \"udp://eth1@239.1.1.1:1234\"",
        ),
    ] {
        assert_channel_problem(list, problem);
    }
}

#[test]
fn channels_have_names_of_their_own_and_served_applications() {
    let channel = "[[channel]]\nname = \"iptv/news\"\ninput = [\"udp://239.1.1.1\"]\n";
    assert_problems(
        &format!("{channel}{channel}"),
        &["5:8: channel[1].name: \"iptv/news\" is channel[0].name already; give each channel its \
           own name"],
    );
    assert_problems(
        &format!("applications.strict = true\n{channel}"),
        &[
            "3:8: channel[0].name: the application \"iptv\" is not served, as applications.strict is \
           true; add a line [applications.named.\"iptv\"]",
        ],
    );
    let named = "[applications]\nstrict = true\n[applications.named.iptv]\n";
    assert_eq!(problems(&format!("{channel}{named}")), "no problem");
    assert_problems(
        &format!("{channel}{}[limits]\nstreams_max = 1\n", channel.replace("news", "sport")),
        &["1:1: channel: 2 channels are above limits.streams_max, which is 1; raise \
           limits.streams_max"],
    );
}

#[test]
fn an_input_stands_in_a_channel_once_however_it_is_written() {
    for (first, second, shown) in [
        ("udp://239.1.1.1", "rtp://239.1.1.1:1234", "rtp://239.1.1.1:1234"),
        ("udp://eth1@239.1.1.1", "udp://eth1@239.1.1.1/", "udp://eth1@239.1.1.1:1234"),
        (
            "udp://239.1.1.1#src=10.0.0.1,10.0.0.2",
            "udp://239.1.1.1#src=10.0.0.2,10.0.0.1",
            "udp://239.1.1.1:1234#src=10.0.0.2,10.0.0.1",
        ),
        ("http://host/a.ts", "http://host:80/a.ts", "http://host:80/a.ts"),
    ] {
        let column = 14 + first.len();
        assert_channel_problem(
            &format!("input = [\"{first}\", \"{second}\"]"),
            &format!(
                "3:{column}: channel[0].input[1]: {shown} and channel[0].input[0] bring the same \
                 packets; name each input once"
            ),
        );
    }
    for second in [
        "udp://eth2@239.1.1.1",
        "udp://239.1.1.1:5",
        "udp://239.1.1.1#src=10.0.0.9",
        "udp://239.1.1.1#pnr=2",
    ] {
        let text =
            format!("[[channel]]\nname = \"a/b\"\ninput = [\"udp://239.1.1.1\", \"{second}\"]\n");
        assert_eq!(problems(&text), "no problem", "{second}");
    }
}

#[test]
fn an_output_does_not_come_back_as_an_input_of_its_channel() {
    for (input, output) in [
        ("udp://239.1.1.1", "udp://239.1.1.1"),
        ("udp://eth1@239.1.1.1", "rtp://eth1@239.1.1.1#ttl=4"),
        ("udp://eth1@239.1.1.1", "udp://239.1.1.1"),
        ("udp://eth1@10.0.0.7:5", "udp://eth2@10.0.0.7:5"),
        ("udp://:5000", "udp://127.0.0.1:5000"),
        ("udp://10.0.0.7@:5000", "udp://10.0.0.7:5000"),
        ("udp://239.1.1.1#src=10.0.0.1", "udp://239.1.1.1#src=10.0.0.1"),
    ] {
        let text = format!(
            "[[channel]]\nname = \"a/b\"\ninput = [\"{input}\"]\noutput = [\"{output}\"]\n"
        );
        let problems = problems(&text);
        let expected = "comes back as channel[0].input[0]; choose another group or port, or name \
                        another interface";
        assert!(problems.starts_with("relay.toml:4:11: channel[0].output[0]: "), "{problems}");
        assert!(problems.ends_with(expected), "{input} {output}: {problems}");
    }
    for (input, output) in [
        ("udp://eth1@239.1.1.1", "udp://eth2@239.1.1.1"),
        ("udp://239.1.1.1", "udp://239.1.1.1:5"),
        ("udp://239.1.1.1", "tcp://239.1.1.1:1234"),
        ("udp://:5000", "udp://10.0.0.7:5000"),
        ("udp://239.1.1.1#src=10.0.0.1", "udp://239.1.1.1#src=10.0.0.2"),
    ] {
        let text = format!(
            "[[channel]]\nname = \"a/b\"\ninput = [\"{input}\"]\noutput = [\"{output}\"]\n"
        );
        assert_eq!(problems(&text), "no problem", "{input} {output}");
    }
}

#[test]
fn two_outputs_do_not_send_to_one_place() {
    let channel = |name: &str, output: &str| {
        format!("[[channel]]\nname = \"{name}\"\noutput = [\"{output}\"]\n")
    };
    let two = |a, b| problems(&format!("{}{}", channel("a/b", a), channel("a/c", b)));
    assert_eq!(
        two("udp://239.1.1.1", "rtp://239.1.1.1#ttl=3"),
        "relay.toml:6:11: channel[1].output[0]: rtp://239.1.1.1:1234 is where \
         channel[0].output[0] sends to already; choose another group or port"
    );
    assert_eq!(two("udp://239.1.1.1", "udp://eth1@239.1.1.1"), "no problem");
    assert_eq!(two("tcp://10.0.0.1:9999", "tcp://10.0.0.1:9999"), "no problem");
}

#[test]
fn a_channel_is_blamed_for_what_it_sets_and_not_for_what_it_inherits() {
    let channel = "[[channel]]\nname = \"a/b\"\ninput = [\"udp://239.1.1.1\"]\n";
    assert_problems(
        &format!("{channel}[iptv]\nlinger_ms = -1\n[iptv.failover]\nbananas = 1\n"),
        &[
            "5:13: iptv.linger_ms: -1 is too small; use 0 to 3600000 milliseconds",
            "7:1: iptv.failover.bananas: unknown key; the keys here are silence_ms, tables_ms, \
             continuity_errors_max, scrambled, tracks_ms, bitrate_min_kbps, entry_wait_ms, \
             return_ms",
        ],
    );
    assert_problems(
        &format!("iptv = 4\n{channel}"),
        &["1:8: iptv: expected a table, found the integer 4; write it as `[iptv]` with its keys \
           below"],
    );
    assert_problems(
        &format!("{channel}standby = \"hot\"\n"),
        &["4:11: channel[0].standby: \"hot\" is not one of the choices; use \"warm\" or \"cold\""],
    );
}

#[test]
fn groups_that_may_be_asked_for_are_groups() {
    const REMEDY: &str = "write groups as in \"239.0.0.0/8\" or \"ff3e::/32\", or one as in \
                          \"239.1.1.1\", \"239.1.1.1:1234\" or \"[ff3e::1]:1234\"";
    assert_problems(
        "[iptv.udpxy]\nallow = [\"239.0.0.0/8\", \"10.0.0.0/8\", \"news\", \"239.1.1.1/8\"]\n\
         interface = \"a-very-long-interface\"\n",
        &[
            &format!("2:25: iptv.udpxy.allow[1]: \"10.0.0.0/8\" is no multicast group; {REMEDY}"),
            &format!("2:39: iptv.udpxy.allow[2]: \"news\" is no address; {REMEDY}"),
            "2:47: iptv.udpxy.allow[3]: \"239.1.1.1/8\" has bits beyond its prefix; write \
             \"239.0.0.0/8\"",
            "3:13: iptv.udpxy.interface: \"a-very-long-interface\" is no name of an interface; \
             write the name of an interface, as in \"eth1\", one of its addresses, or \"\" to let \
             the routing table decide",
        ],
    );
    assert_problems(
        "[iptv]\nretry_max_ms = 100\n[iptv.udpxy]\nlisten = [\"0.0.0.0:8080\"]\n",
        &[
            "2:16: iptv.retry_max_ms: 100 is below iptv.retry_min_ms, which is 500; use at least \
             500, or lower iptv.retry_min_ms",
            "4:11: iptv.udpxy.listen[0]: iptv.udpxy.listen[0] (0.0.0.0:8080) and http.listen[0] \
             (0.0.0.0:8080) overlap; choose another address or port",
        ],
    );
}

#[test]
fn columns_count_characters_rather_than_bytes() {
    assert_problems(
        "applications.named = { a = { \"\u{fc}\u{fc}\" = 1, linger_ms = -1 } }\n",
        &[
            "1:30: applications.named.a.\"\u{fc}\u{fc}\": unknown key; the keys here are publish, \
             play, takeover, publisher_grace_ms, publisher_idle_timeout_ms, play_wait_ms, \
             linger_ms, start, log_ms_max, log_bytes_max, behind_ms_max, behind_bytes_max, \
             skips_max, skips_window_ms, jump_ms, metadata_bytes_max, tracks_max, flush",
            "1:52: applications.named.a.linger_ms: -1 is too small; use 0 to 3600000 milliseconds",
        ],
    );
}

#[test]
fn the_hundred_first_problem_is_counted_and_not_listed() {
    let text: String = (0..103).map(|index| format!("zzz{index} = 1\n")).collect();
    let problems = Config::parse(&text, "relay.toml").expect_err("unknown keys");
    assert_eq!(problems.list().len(), 100);
    assert_eq!(problems.unlisted(), 3);
    assert!(problems.to_string().ends_with("\n... and 3 more"), "{problems}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_without_a_line() {
    let missing = Config::load(Some(Path::new("/nowhere/relay.toml"))).expect_err("no such file");
    assert_eq!(
        missing.to_string(),
        "/nowhere/relay.toml: cannot be opened: No such file or directory (os error 2); give the \
         path of a readable TOML file"
    );
    let folder = Config::load(Some(Path::new("/"))).expect_err("a directory");
    assert!(folder.to_string().starts_with("/: cannot be read: "), "{folder}");
}

#[test]
fn a_file_that_is_not_utf8_is_told_the_place_of_the_byte() {
    let name = format!("corelay-config-latin1-{}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, b"[rtmp]\n# f\xfcr\n").expect("the temporary folder is writable");
    let problems = Config::load(Some(&path)).expect_err("not UTF-8");
    std::fs::remove_file(&path).expect("it was just written");
    let problem = &problems.list()[0];
    assert_eq!((problem.line, problem.column), (2, 4));
    assert_eq!(problem.what, "is not UTF-8 text");
}
