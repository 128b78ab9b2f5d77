use super::*;

/// The sample messages of ANSI/SCTE 35, section 14, as they are printed there in base64; their CRCs
/// are those of the standard.
const TIME_SIGNAL_OPPORTUNITY: &str =
    "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==";
const SPLICE_INSERT: &str = "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo=";
const TIME_SIGNAL_OPPORTUNITY_END: &str =
    "/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g=";
const TIME_SIGNAL_TWO_PROGRAMMES: &str = "/DBIAAAAAAAA///wBQb+ek2ItgAyAhdDVUVJSAAAGH+fCAgAAAAALMvDRBE\
     AAAIXQ1VFSUgAABl/nwgIAAAAACyk26AQAACZcuND";

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<_> = text.chars().filter_map(|digit| DIGITS.find(digit)).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits =
            group.iter().fold(0, |bits, &digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&(bits as u32).to_be_bytes()[1..group.len()]);
    }
    bytes
}

fn parse(text: &str) -> SpliceInfo {
    SpliceInfo::parse(&base64(text)).expect("a message of the standard")
}

/// A message of these parts, its lengths and CRC made right.
fn section(adjustment: u64, command: &[u8], descriptors: &[u8]) -> Vec<u8> {
    let mut bytes = vec![TABLE_ID, 0x30, 0, 0];
    bytes.extend_from_slice(&adjustment.to_be_bytes()[3..]);
    let (kind, content) = command.split_first().expect("a command");
    bytes.extend_from_slice(&[0xFF, 0xFF, 0xF0 | (content.len() >> 8) as u8, content.len() as u8]);
    bytes.push(*kind);
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(&(descriptors.len() as u16).to_be_bytes());
    bytes.extend_from_slice(descriptors);
    finish(bytes)
}

fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2] = (bytes.len() + CRC_BYTES - 3) as u8;
    let crc = crc32b(&bytes[..]);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

fn descriptor(tag: u8, identifier: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&[tag, (content.len() + 4) as u8], &identifier[..], content].concat()
}

/// An uncancelled splice_insert with these flags.
fn insert(flags: u8, rest: &[u8]) -> Result<Insert, Error> {
    let command = [&[0x05, 0, 0, 0, 9, 0x7F, flags], rest].concat();
    SpliceInfo::parse(&section(0, &command, &[])).map(|info| match info.command {
        Command::Insert(insert) => insert,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_opportunity_of_the_standard_leaves_for_five_minutes_and_comes_back() {
    let segmentation = Segmentation {
        event_id: 0x4800_008E,
        is_cancelled: false,
        duration_ticks: Some(27_630_000),
        type_id: 0x34,
        number: 2,
        expected: 0,
    };
    let start = parse(TIME_SIGNAL_OPPORTUNITY);
    assert_eq!(start.command, Command::TimeSignal { pts: Some(0x0_72BD_0050) });
    assert_eq!(start.segmentations, [segmentation]);
    let cue = Cue {
        kind: CueKind::Out,
        event_id: 0x4800_008E,
        is_cancelled: false,
        pts: Some(0x0_72BD_0050),
        duration_ticks: Some(27_630_000),
        auto_return: false,
    };
    assert_eq!(start.cues(), [cue]);
    let end = parse(TIME_SIGNAL_OPPORTUNITY_END);
    let cue = Cue { kind: CueKind::In, pts: Some(0x0_7462_90A0), duration_ticks: None, ..cue };
    assert_eq!(end.cues(), [cue]);
}

#[test]
fn the_splice_insert_of_the_standard_leaves_for_a_minute_and_returns_by_itself() {
    let info = parse(SPLICE_INSERT);
    let break_duration = BreakDuration { ticks: 0x0052_CCF5, auto_return: true };
    let expected = Insert {
        event_id: 0x4800_008F,
        is_cancelled: false,
        is_out: true,
        pts: Some(0x0_7369_C02E),
        break_duration: Some(break_duration),
    };
    assert_eq!(info.command, Command::Insert(expected));
    assert_eq!(info.segmentations, [], "an avail_descriptor");
    let cues = info.cues();
    assert_eq!((cues.len(), cues[0].kind, cues[0].auto_return), (1, CueKind::Out, true));
}

#[test]
fn every_segmentation_is_a_cue_and_programmes_are_no_breaks() {
    let cues = parse(TIME_SIGNAL_TWO_PROGRAMMES).cues();
    let ids: Vec<_> = cues.iter().map(|cue| (cue.event_id, cue.kind)).collect();
    assert_eq!(ids, [(0x4800_0018, CueKind::Command), (0x4800_0019, CueKind::Command)]);
    assert!(cues.iter().all(|cue| cue.pts == Some(0x0_7A4D_88B6)));
    for (start, end) in [(0x22, 0x23), (0x30, 0x31), (0x32, 0x33), (0x34, 0x35), (0x46, 0x47)] {
        assert_eq!((kind_of(start), kind_of(end)), (CueKind::Out, CueKind::In));
    }
}

#[test]
fn the_adjustment_is_in_the_time_and_wraps() {
    let time_signal = [0x06, 0xFF, 0xFF, 0xFF, 0xFF, 0xF0];
    let info = SpliceInfo::parse(&section(0x20, &time_signal, &[])).expect("a message");
    assert_eq!(info.command, Command::TimeSignal { pts: Some(0x10) });
    assert_eq!(info.cues(), [Cue { pts: Some(0x10), ..Cue::command(0) }]);
}

#[test]
fn an_insert_is_read_whatever_its_flags() {
    let unsaid = [0, 0, 0, 0];
    let now = insert(0x40 | 0x10, &unsaid).expect("immediate");
    assert_eq!((now.is_out, now.pts, now.break_duration), (false, None, None));
    let timeless = insert(0x40, &[&[0x7F], &unsaid[..]].concat()).expect("no time specified");
    assert_eq!(timeless.pts, None);
    // Three components, of which the first has no time, and a break that must be ended.
    let components =
        [&[3, 1, 0x7F, 2, 0xFE, 0, 0, 0, 5, 3, 0xFE, 0, 0, 0, 6][..], &[0x7E, 0, 0, 0, 7], &unsaid]
            .concat();
    let insert = insert(0x80 | 0x20, &components).expect("by components");
    assert_eq!((insert.is_out, insert.pts), (true, Some(5)));
    assert_eq!(insert.break_duration, Some(BreakDuration { ticks: 7, auto_return: false }));
}

#[test]
fn what_is_cancelled_is_a_command() {
    let info = SpliceInfo::parse(&section(0, &[0x05, 0, 0, 0, 9, 0xFF], &[])).expect("a message");
    let cancelled = Cue { is_cancelled: true, ..Cue::command(9) };
    assert_eq!(info.cues(), [cancelled]);
    let descriptor = descriptor(0x02, b"CUEI", &[0, 0, 0, 9, 0xFF]);
    let info = SpliceInfo::parse(&section(0, &[0x06, 0x7F], &descriptor)).expect("a message");
    assert_eq!(info.cues(), [cancelled]);
}

#[test]
fn segments_by_components_and_other_descriptors_are_passed_over() {
    let components = [&[0, 0, 0, 3, 0x7F, 0x00, 2], &[0; 12][..], &[0, 0, 0x30, 1, 1, 9, 9]];
    let descriptors = [
        descriptor(0x00, b"CUEI", &[0, 0, 1, 0x35]),
        descriptor(0x02, b"ACME", &[1]),
        descriptor(0x02, b"CUEI", &components.concat()),
    ];
    let message = section(0, &[0x06, 0x7F], &descriptors.concat());
    let info = SpliceInfo::parse(&message).expect("a message");
    let expected = Segmentation {
        event_id: 3,
        type_id: 0x30,
        number: 1,
        expected: 1,
        ..Segmentation::default()
    };
    assert_eq!(info.segmentations, [expected]);
}

#[test]
fn a_command_of_unknown_length_tells_its_own() {
    let mut bytes = base64(SPLICE_INSERT);
    bytes.truncate(bytes.len() - CRC_BYTES);
    (bytes[11], bytes[12]) = (0xFF, 0xFF);
    let info = SpliceInfo::parse(&finish(bytes)).expect("an old message");
    assert_eq!(info, parse(SPLICE_INSERT));
}

#[test]
fn other_commands_say_nothing() {
    let commands = [
        (0x00, Command::Null),
        (0x04, Command::Schedule),
        (0x07, Command::BandwidthReservation),
        (0xFF, Command::Other(0xFF)),
    ];
    for (kind, command) in commands {
        let info = SpliceInfo::parse(&section(0, &[kind], &[])).expect("a message");
        assert_eq!(info.cues(), []);
        assert_eq!(info.command, command);
    }
}

#[test]
fn encrypted_and_later_messages_are_refused() {
    let refused = |at: usize, mask: u8| {
        let mut bytes = base64(TIME_SIGNAL_OPPORTUNITY);
        bytes.truncate(bytes.len() - CRC_BYTES);
        bytes[at] |= mask;
        SpliceInfo::parse(&finish(bytes))
    };
    assert_eq!(refused(4, 0x80), Err(Error::Unsupported("encrypted_packet")));
    assert_eq!(refused(3, 1), Err(Error::Unsupported("protocol_version is not 0")));
}

#[test]
fn a_message_cut_anywhere_or_with_one_wrong_bit_is_refused() {
    for message in [TIME_SIGNAL_OPPORTUNITY, SPLICE_INSERT, TIME_SIGNAL_TWO_PROGRAMMES] {
        let mut bytes = base64(message);
        assert!(is_section(&bytes));
        for end in 0..bytes.len() {
            assert!(matches!(SpliceInfo::parse(&bytes[..end]), Err(Error::Malformed { .. })));
            assert!(!is_section(&bytes[..end]));
        }
        for at in 0..bytes.len() * 8 {
            bytes[at / 8] ^= 1 << (at % 8);
            // sap_type and the bits beside it are covered by the CRC like everything else.
            assert!(SpliceInfo::parse(&bytes).is_err(), "bit {at}");
            bytes[at / 8] ^= 1 << (at % 8);
        }
    }
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let at = |result: Result<SpliceInfo, Error>| match result {
        Err(Error::Malformed { at, what }) => (at, what),
        other => panic!("{other:?}"),
    };
    // A time_signal of one byte that announces a time of five.
    assert_eq!(at(SpliceInfo::parse(&section(0, &[0x06, 0xFE], &[]))), (15, "splice_time"));
    let mut long_loop = section(0, &[0x00], &[]);
    long_loop.truncate(16);
    long_loop[15] = 1;
    assert_eq!(at(SpliceInfo::parse(&finish(long_loop))), (16, "splice_descriptors"));
    let long = descriptor(0x02, b"CUEI", &[0, 0, 0, 9, 0x7F, 0xBF, 0, 200, 1]);
    let section = section(0, &[0x06, 0x7F], &long);
    assert_eq!(at(SpliceInfo::parse(&section)).1, "segmentation_upid");
    assert_eq!(at(SpliceInfo::parse(&[0xFC, 0x30, 5, 0, 0, 0, 0, 0])), (1, "section_length"));
    assert_eq!(at(SpliceInfo::parse(&[0x02, 0x30, 5])), (0, "table_id"));
}
