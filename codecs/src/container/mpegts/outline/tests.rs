use super::*;
use crate::codec::CodecId;
use crate::container::mpegts::test_stream::{Field, TestStream, pat, pes, pmt};
use crate::container::mpegts::{PACKET_SIZE, timestamp};

/// Made by ffmpeg: see tests/data/README.md. 50 pictures, one every 40 ms, with B-frames.
const H264: &[u8] = include_bytes!("../../../../tests/data/h264_aac.ts");
const HEVC: &[u8] = include_bytes!("../../../../tests/data/hevc_ac3.ts");
const AUDIO: &[u8] = include_bytes!("../../../../tests/data/audios.ts");
/// What ffprobe sees in it: stream, PTS, DTS ...
const H264_PACKETS: &str = include_str!("../../../../tests/data/h264_aac.packets");

const VIDEO: u16 = 0x100;
const SOUND: u16 = 0x101;
const CUES: u16 = 0x102;
const AVC: u8 = 0x1B;
const HEVC_TYPE: u8 = 0x24;
const MPEG2: u8 = 2;
const ADTS: u8 = 0x0F;
const SCTE35: u8 = 0x86;
const FRAME: u64 = 3_600;

/// stream_type, PID and descriptors.
type Stream<'a> = (u8, u16, &'a [u8]);

fn push(outline: &mut Outline, packets: &[u8]) -> Vec<Event> {
    let block = TsBlock::new(Bytes::copy_from_slice(packets)).expect("whole packets");
    let mut events = Vec::new();
    outline.push(&block, |event| events.push(event));
    events
}

/// Events of a whole stream in blocks of so many packets; starts counted from its beginning.
fn events(stream: &[u8], block_packets: usize) -> Vec<Event> {
    let mut outline = Outline::default();
    let mut all = Vec::new();
    for (index, block) in stream.chunks(block_packets * PACKET_SIZE).enumerate() {
        for event in push(&mut outline, block) {
            all.push(match event {
                Event::Start { packet, dts, pts } => {
                    Event::Start { packet: index * block_packets + packet, dts, pts }
                }
                other => other,
            });
        }
    }
    all
}

fn starts(events: &[Event]) -> Vec<(i64, i64)> {
    let start = |event: &Event| match *event {
        Event::Start { dts, pts, .. } => Some((dts, pts)),
        _ => None,
    };
    events.iter().filter_map(start).collect()
}

fn descriptions(events: &[Event]) -> Vec<&Description> {
    let mut found = Vec::new();
    for event in events {
        if let Event::Described(description) = event {
            found.push(description);
        }
    }
    found
}

fn count(events: &[Event], wanted: &Event) -> usize {
    events.iter().filter(|event| *event == wanted).count()
}

/// PAT and a PMT of one program with its clock in the pictures.
fn tables_of(version: u8, streams: &[Stream<'_>]) -> TestStream {
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    stream.sections(0x20, &pmt(1, version, VIDEO, streams));
    stream
}

fn picture(stream: &mut TestStream, time: u64) {
    let time = timestamp::wrap(time as i64);
    stream.pes(VIDEO, Field::default(), &pes(0xE0, time, time, &[9; 300]));
}

#[test]
fn every_picture_starts_where_and_when_ffprobe_says() {
    let expected: Vec<(i64, i64)> = H264_PACKETS
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[0] == "0")
        .map(|fields| (fields[2].parse().expect("a DTS"), fields[1].parse().expect("a PTS")))
        .collect();
    assert_eq!(expected.len(), 50);
    let at_once = events(H264, 10_000);
    assert_eq!(starts(&at_once), expected);
    for event in &at_once {
        if let Event::Start { packet, .. } = event {
            let packet = Packet::parse(&H264[packet * PACKET_SIZE..]).expect("a packet");
            assert!(packet.starts_unit() && packet.pid().value() == VIDEO);
        }
    }
    for block_packets in [1, 2, 7, 50] {
        let without = |events: Vec<Event>| {
            events.into_iter().filter(|e| !matches!(e, Event::Described(_))).collect::<Vec<_>>()
        };
        let in_blocks = without(events(H264, block_packets));
        assert_eq!(in_blocks, without(at_once.clone()), "{block_packets}");
    }
}

#[test]
fn the_tracks_are_described_once_and_whole() {
    let cases = [(H264, CodecId::H264, CodecId::Aac), (HEVC, CodecId::H265, CodecId::Ac3)];
    for (stream, video, audio) in cases {
        let events = events(stream, 7);
        let descriptions = descriptions(&events);
        assert_eq!(descriptions.len(), 1);
        let [pictures, sound] = &descriptions[0].tracks[..] else { panic!("two tracks") };
        assert_eq!((pictures.info.codec, sound.info.codec), (video, audio));
        assert_eq!((pictures.info.width, pictures.info.height), (160, 90));
        assert_eq!((sound.info.sample_rate_hz, sound.info.channels), (48_000, 1));
        assert!(!pictures.config.is_empty());
        assert_eq!(sound.config.is_empty(), audio == CodecId::Ac3, "AC-3 has no record");
    }
    assert_eq!(descriptions(&events(H264, 7))[0].tracks[1].language, "deu");
}

#[test]
fn a_program_of_sound_follows_its_first_track() {
    let events = events(AUDIO, 7);
    let times = starts(&events);
    assert!(times.len() > 2 && times.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let found = descriptions(&events);
    let tracks = &found.last().expect("a description").tracks;
    let codecs: Vec<_> = tracks.iter().map(|track| track.info.codec).collect();
    use CodecId::{Aac, Eac3, Mp2, Mp3, Opus};
    assert_eq!(codecs, [Mp2, Opus, Eac3, Mp3, Aac]);
    let languages: Vec<_> = tracks.iter().map(|track| track.language.as_str()).collect();
    assert_eq!(languages, ["fra", "eng", "", "", ""]);
}

#[test]
fn tracks_that_never_tell_do_not_keep_the_others_back() {
    // ffmpeg's stream, its PMT replaced by one with a second sound that never comes and pictures
    // that nobody reads here.
    let streams: [Stream<'_>; 4] =
        [(AVC, VIDEO, &[]), (ADTS, SOUND, &[]), (ADTS, 0x110, &[]), (MPEG2, 0x111, &[])];
    let mut stream = Vec::new();
    let mut tables = TestStream::new();
    for packet in H264.chunks(PACKET_SIZE) {
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        match pid {
            0 => tables.sections(0, &pat(0, &[(1, 0x1000)])),
            0x1000 => tables.sections(0x1000, &pmt(1, 0, VIDEO, &streams)),
            _ => {}
        }
        stream.extend_from_slice(if pid == 0 || pid == 0x1000 { &tables.bytes } else { packet });
        tables.bytes.clear();
    }
    let all = events(&stream, 7);
    let found = descriptions(&all);
    assert_eq!(found.len(), 1);
    let tracks = &found[0].tracks;
    let known: Vec<_> = tracks.iter().map(|t| (t.info.codec, t.config.is_empty())).collect();
    let sound = CodecId::Aac;
    assert_eq!(
        known,
        [(CodecId::H264, false), (sound, false), (sound, true), (CodecId::Unknown, true)]
    );
    let at = all.iter().position(|event| matches!(event, Event::Described(_))).expect("one");
    let waited = starts(&all[..at]).len();
    assert!((27..30).contains(&waited), "one second of pictures is waited for: {waited}");
    // Where the packets are over before that, what is known then is all.
    let settings = Settings { probe_packets_max: 30, ..Settings::default() };
    let mut outline = Outline::new(settings);
    let at_end = stream.chunks(7 * PACKET_SIZE).flat_map(|block| push(&mut outline, block));
    let at_end: Vec<_> = at_end.collect();
    assert_eq!(descriptions(&at_end).len(), 1);
    assert!(outline.probe.is_none());
}

#[test]
fn the_line_goes_on_over_the_wrap_and_takes_in_times_of_cues() {
    let mut stream = tables_of(0, &[(AVC, VIDEO, &[])]);
    let first = (1 << 33) - 10 * FRAME;
    (0..20).for_each(|index| picture(&mut stream, first + index * FRAME));
    let mut outline = Outline::default();
    let times = starts(&push(&mut outline, &stream.take()));
    let expected: Vec<_> = (0..20).map(|index| (first + index * FRAME) as i64).collect();
    assert_eq!(times.iter().map(|(dts, _)| *dts).collect::<Vec<_>>(), expected);
    assert_eq!(outline.unwrap(90_000), Some((1 << 33) + 90_000));
    assert_eq!(Outline::default().unwrap(0), None);
}

#[test]
fn a_jump_of_the_times_is_said_in_front_of_the_first_picture_behind_it() {
    let mut stream = tables_of(0, &[(AVC, VIDEO, &[])]);
    for time in [100, 101, 5_000_000, 5_003_600, 100] {
        picture(&mut stream, time);
    }
    let events = events(&stream.take(), 3);
    let jumps: Vec<_> = events.iter().map(|event| *event == Event::Jump).collect();
    assert_eq!(jumps, [false, false, true, false, false, true, false]);
    assert_eq!(starts(&events).last(), Some(&(100, 100)));
}

#[test]
fn a_clock_that_jumps_as_announced_is_said_once() {
    let mut stream = tables_of(0, &[(AVC, VIDEO, &[])]);
    stream.pcr(VIDEO, 27_000_000);
    picture(&mut stream, 100_000);
    let at = stream.bytes.len();
    stream.pcr(VIDEO, 270_000_000);
    stream.bytes[at + 5] |= 0x80;
    for time in [2_980_000, 2_983_600] {
        picture(&mut stream, time);
    }
    // On another clock, but nothing moved: only the counter was announced to jump.
    let at = stream.bytes.len();
    stream.pcr(VIDEO, 271_000_000);
    stream.bytes[at + 5] |= 0x80;
    picture(&mut stream, 2_987_200);
    let events = events(&stream.take(), 350);
    assert_eq!(count(&events, &Event::Jump), 1);
    assert_eq!(events[1], Event::Jump, "before the next picture");
}

#[test]
fn other_pids_or_codings_of_pictures_and_sound_are_a_change_and_nothing_else_is() {
    let base: &[Stream<'_>] = &[(AVC, VIDEO, &[]), (ADTS, SOUND, &[])];
    let cases: [(&[Stream<'_>], usize); 6] = [
        (base, 0),
        (&[(AVC, VIDEO, &[]), (ADTS, SOUND, &[]), (SCTE35, CUES, &[]), (6, 0x103, &[])], 0),
        (&[(AVC, VIDEO, &[]), (ADTS, SOUND, b"\x0A\x04eng\x00")], 0),
        (&[(HEVC_TYPE, VIDEO, &[]), (ADTS, SOUND, &[])], 1),
        (&[(AVC, VIDEO, &[]), (ADTS, 0x104, &[])], 1),
        (&[(AVC, VIDEO, &[]), (ADTS, SOUND, &[]), (ADTS, 0x104, &[])], 1),
    ];
    for (streams, changes) in cases {
        let mut stream = tables_of(0, base);
        picture(&mut stream, 1_000);
        stream.sections(0x20, &pmt(1, 1, VIDEO, streams));
        picture(&mut stream, 1_000 + FRAME);
        let events = events(&stream.take(), 2);
        assert_eq!(count(&events, &Event::TracksChanged), changes, "{streams:?}");
        assert_eq!(starts(&events).len(), 2);
    }
}

#[test]
fn what_the_tracks_become_is_described_again() {
    let mut stream = H264.to_vec();
    let mut change = TestStream::new();
    // The sound moves to a PID that ffmpeg's stream does not have; the pictures stay.
    change.sections(0x1000, &pmt(1, 9, VIDEO, &[(AVC, VIDEO, &[])]));
    let mut outline = Outline::default();
    let mut all: Vec<_> =
        stream.chunks(7 * PACKET_SIZE).flat_map(|block| push(&mut outline, block)).collect();
    assert!(outline.probe.is_none(), "nothing runs beside when all is known");
    // One picture later in the program that is now without sound.
    for packet in stream.chunks_mut(PACKET_SIZE) {
        if u16::from_be_bytes([packet[1] & 0x1F, packet[2]]) == 0x1000 {
            packet.copy_from_slice(&change.bytes);
        }
    }
    all.clear();
    for block in stream.chunks(7 * PACKET_SIZE) {
        all.extend(push(&mut outline, block));
    }
    assert_eq!(count(&all, &Event::TracksChanged), 1);
    assert_eq!(count(&all, &Event::Jump), 1, "the stream begins again");
    let found = descriptions(&all);
    assert_eq!((found.len(), found[0].tracks.len()), (1, 1));
    assert_eq!(found[0].tracks[0].info.width, 160);
}

#[test]
fn cues_come_whole_with_the_time_of_the_pictures() {
    // A splice_null, as the standard sends it, and one over two packets.
    let short = cue(&[]);
    let long = cue(&[[0xF0, 200].as_slice(), &[7; 200]].concat());
    let mut stream = tables_of(0, &[(AVC, VIDEO, &[]), (SCTE35, CUES, &[])]);
    stream.payload(CUES, &[&[0], &short[..]].concat());
    picture(&mut stream, 900);
    stream.payload(CUES, &[&[0], &long[..]].concat());
    picture(&mut stream, 900 + FRAME);
    let mut damaged = short.clone();
    damaged[5] ^= 1;
    stream.payload(CUES, &[&[0], &damaged[..]].concat());
    stream.payload(CUES, &[&[0, 0xC0, 0x30], &short[2..]].concat());
    for block_packets in [1, 3, 100] {
        let events = events(&stream.bytes, block_packets);
        let found: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Cue { section, pts } => Some((section.to_vec(), *pts)),
                _ => None,
            })
            .collect();
        assert_eq!(found, [(short.clone(), None), (long.clone(), Some(900))]);
        assert!(scte35::SpliceInfo::parse(&found[0].0).is_ok());
    }
}

/// A splice_null with these descriptors.
fn cue(descriptors: &[u8]) -> Vec<u8> {
    let size = 17 + descriptors.len();
    let mut bytes = vec![0xFC, 0x30 | (size >> 8) as u8, size as u8, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&[0xFF, 0xF0, 0, 0, 0, descriptors.len() as u8]);
    bytes.extend_from_slice(descriptors);
    let crc = libmpegts::utils::crc32b(&bytes[..]);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn the_program_that_is_asked_for_is_followed() {
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20), (2, 0x21)]));
    stream.sections(0x20, &pmt(1, 0, VIDEO, &[(AVC, VIDEO, &[])]));
    stream.sections(0x21, &pmt(2, 0, 0x200, &[(ADTS, 0x201, &[]), (AVC, 0x200, &[])]));
    picture(&mut stream, 1);
    stream.pes(0x200, Field::default(), &pes(0xE0, 2, 2, &[9]));
    let stream = stream.take();
    for (program_number, pid, time) in [(None, VIDEO, 1), (Some(1), VIDEO, 1), (Some(2), 0x200, 2)]
    {
        let mut outline = Outline::new(Settings { program_number, ..Settings::default() });
        assert_eq!(starts(&push(&mut outline, &stream)), [(time, time)]);
        let main = outline.main().expect("pictures");
        assert_eq!((main.pid.value(), main.kind), (pid, TrackKind::Video));
        assert_eq!(
            outline.program().map(|program| program.program_number),
            program_number.or(Some(1))
        );
    }
    let mut outline = Outline::new(Settings { program_number: Some(3), ..Settings::default() });
    assert_eq!(push(&mut outline, &stream), []);
    assert_eq!(outline.main(), None);
}

#[test]
fn a_first_program_without_pmt_is_waited_for_and_then_left_out() {
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20), (2, 0x21)]));
    stream.sections(0x21, &pmt(2, 0, 0x200, &[(AVC, 0x200, &[])]));
    let mut outline = Outline::default();
    push(&mut outline, &stream.take());
    let nulls = [0x47, 0x1F, 0xFF, 0x10].into_iter().chain([0; 184]).collect::<Vec<_>>();
    for _ in 0..199 {
        push(&mut outline, &nulls.repeat(100));
    }
    assert_eq!(outline.main(), None);
    for _ in 0..2 {
        push(&mut outline, &nulls.repeat(100));
    }
    assert_eq!(outline.program().map(|program| program.program_number), Some(2));
}

#[test]
fn what_is_scrambled_damaged_or_without_times_does_not_start() {
    let mut stream = tables_of(0, &[(AVC, VIDEO, &[])]);
    let at = stream.bytes.len();
    (0..3).for_each(|index| picture(&mut stream, index));
    stream.pes(VIDEO, Field::default(), &[0, 0, 1, 0xE0, 0, 0, 0x80, 0, 0, 9]);
    stream.pes(VIDEO, Field::default(), &[0, 0, 2, 0xE0, 0, 0, 0x80, 0, 0, 9]);
    let size = 2 * PACKET_SIZE;
    stream.bytes[at + 3] |= 0x80;
    stream.bytes[at + size + 1] |= 0x80;
    stream.bytes[at + 2 * size] = 0x48;
    assert_eq!(events(&stream.take(), 350), []);
}

#[test]
fn a_reset_forgets_the_line_and_the_tables() {
    let mut outline = Outline::default();
    push(&mut outline, H264);
    assert!(outline.main().is_some() && outline.unwrap(0).is_some());
    outline.reset();
    assert_eq!((outline.main(), outline.unwrap(0)), (None, None));
}
