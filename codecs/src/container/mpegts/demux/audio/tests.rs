use super::*;
use crate::access_unit::UnitKind;
use crate::container::mpegts::demux::stream::Unit;

/// An ADTS frame, AAC LC, 48 kHz, stereo: `size` bytes with its header of 7.
fn adts(size: usize, fill: u8) -> Vec<u8> {
    let mut frame = vec![0xFF, 0xF1, 0x4C, 0x80 | (size >> 11) as u8, (size >> 3) as u8];
    frame.extend([(size << 5) as u8 | 0x1F, 0xFC]);
    frame.resize(size, fill);
    frame
}

/// An AC-3 or E-AC-3 frame: 48 kHz. `head` is what follows the sync word up to bsid.
fn ac3(head: [u8; 4], size: usize) -> Vec<u8> {
    let mut frame = [&[0x0B, 0x77], &head[..]].concat();
    frame.resize(size, 0x55);
    frame
}

/// E-AC-3 with six blocks: a frame of 64 bytes.
fn eac3(stream_type: u8, substream: u8) -> Vec<u8> {
    ac3([stream_type << 6 | substream << 3, 31, 0x30 | 4 << 1, 16 << 3], 64)
}

/// PES payloads with their times; units as codec, time and size, and the faults.
fn run(
    syntax: Syntax,
    payloads: &[(Option<i64>, &[u8])],
) -> (Vec<(CodecId, i64, usize)>, Vec<StreamFault>) {
    let mut stream = FrameStream::new(syntax);
    let (mut units, mut faults) = (Vec::new(), Vec::new());
    for (time, payload) in payloads {
        let mut take = |found| match found {
            Found::Unit(Unit { kind: UnitKind::Config, .. }) => {}
            Found::Unit(unit) => units.push((unit.codec, unit.times.pts, unit.payload.len())),
            Found::Fault(fault) => faults.push(fault),
        };
        stream.start(time.map(|time| Times { dts: time, pts: time }));
        for piece in payload.chunks(50) {
            stream.data(piece, &mut take);
        }
        stream.end(&mut take);
    }
    (units, faults)
}

const AAC: CodecId = CodecId::Aac;

#[test]
fn frames_over_the_borders_of_pes_packets_have_the_time_of_where_they_start() {
    let frames = [adts(100, 1), adts(120, 2), adts(90, 3)].concat();
    let expected = [(AAC, 1_000, 93), (AAC, 2_920, 113), (AAC, 4_840, 83)];
    assert_eq!(run(Syntax::Adts, &[(Some(1_000), &frames)]), (expected.to_vec(), vec![]));
    // The second packet starts inside the second frame: its time is that of the third.
    let (first, second) = frames.split_at(150);
    let (units, faults) = run(Syntax::Adts, &[(Some(1_000), first), (Some(9_000), second)]);
    assert_eq!(units, [(AAC, 1_000, 93), (AAC, 2_920, 113), (AAC, 9_000, 83)]);
    assert!(faults.is_empty());
    let (units, _) = run(Syntax::Adts, &[(Some(1_000), first), (None, second)]);
    assert_eq!(units, expected, "counted on when there is no time");
}

#[test]
fn bytes_between_frames_are_passed_over_and_told() {
    let good = [adts(100, 1), adts(100, 1)].concat();
    // A sync word that is none: what follows it is no frame.
    let noise = [&[0x11; 20][..], &adts(60, 9)[..30], &[0x22; 20]].concat();
    let payload = [&noise[..], &good, &noise, &good].concat();
    let (units, faults) = run(Syntax::Adts, &[(Some(0), &payload)]);
    assert_eq!(units.len(), 4);
    let skipped: usize = faults
        .iter()
        .map(|fault| match fault {
            StreamFault::NoFrame { bytes } => *bytes,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(skipped, 2 * noise.len());
}

#[test]
fn frames_before_the_first_time_are_left_out() {
    let (units, _) = run(Syntax::Adts, &[(None, &adts(50, 1)), (Some(5), &adts(50, 1))]);
    assert_eq!(units, [(AAC, 5, 43)]);
}

#[test]
fn times_counted_for_hours_do_not_drift() {
    let mut stream = FrameStream::new(Syntax::Adts);
    let mut last = 0;
    stream.start(Some(Times { dts: 0, pts: 0 }));
    let mut frame = adts(20, 1);
    frame[2] = 0x50; // 44.1 kHz
    for _ in 0..441_000 {
        stream.data(&frame, &mut |found| {
            if let Found::Unit(unit) = found {
                last = unit.times.pts;
            }
        });
    }
    assert_eq!(last, 440_999 * 1024 * 90_000 / 44_100);
}

#[test]
fn substreams_of_eac3_are_one_unit() {
    let frame = [eac3(0, 0), eac3(1, 0), eac3(1, 1)].concat();
    let payload = [&frame[..], &frame, &eac3(0, 0)].concat();
    let (units, faults) = run(Syntax::Ac3, &[(Some(0), &payload)]);
    let expected = [(0, 192), (2_880, 192), (5_760, 64)];
    assert_eq!(units, expected.map(|(time, size)| (CodecId::Eac3, time, size)));
    assert!(faults.is_empty());
}

#[test]
fn ac3_frames_have_the_size_of_the_table() {
    // 48 kHz, 32 kbit/s: 128 bytes; 44.1 kHz, 640 kbit/s with and without the odd word.
    for (code, size, step) in
        [(0x00, 128, 2_880), (0x40 | 36, 2_786, 3_134), (0x40 | 37, 2_788, 3_134)]
    {
        let frame = ac3([0, 0, code, 8 << 3], size);
        let (units, faults) = run(Syntax::Ac3, &[(Some(0), &frame.repeat(2))]);
        assert_eq!(units, [(CodecId::Ac3, 0, size), (CodecId::Ac3, step, size)]);
        assert!(faults.is_empty());
    }
}

#[test]
fn layers_of_mpeg_audio_are_told_apart_by_their_frames() {
    // Layer II, 48 kHz, 192 kbit/s: 576 bytes; layer III, 44.1 kHz, 128 kbit/s: 417, padded 418;
    // layer I, 48 kHz, 384 kbit/s: 384; MPEG-2 layer III, 24 kHz, 64 kbit/s: 192.
    for (head, size, codec) in [
        ([0xFF, 0xFD, 0xA4, 0x00], 576, CodecId::Mp2),
        ([0xFF, 0xFB, 0x90, 0x00], 417, CodecId::Mp3),
        ([0xFF, 0xFB, 0x92, 0x00], 418, CodecId::Mp3),
        ([0xFF, 0xFF, 0xC4, 0x00], 384, CodecId::Mp2),
        ([0xFF, 0xF3, 0x84, 0x00], 192, CodecId::Mp3),
    ] {
        let mut frame = head.to_vec();
        frame.resize(size, 0x55);
        let (units, faults) = run(Syntax::MpegAudio, &[(Some(0), &frame.repeat(3))]);
        assert_eq!(units.len(), 3, "{codec:?} of {size}");
        assert!(units.iter().all(|unit| (unit.0, unit.2) == (codec, size)));
        assert!(faults.is_empty());
    }
}

#[test]
fn what_adts_does_not_tell_is_not_handed_out() {
    let mut several = adts(100, 1);
    several[6] |= 1;
    let mut channels = adts(100, 1);
    channels[3] &= 0x3F;
    for frame in [several, channels] {
        let (units, faults) = run(Syntax::Adts, &[(Some(0), &frame)]);
        assert!(units.is_empty() && matches!(faults[..], [StreamFault::Unsupported(_)]));
    }
}
