use super::*;
use crate::container::flv::{header, mux};

/// ffmpeg's FLV; the listing beside it says how it was made.
const CAPTURE: &[u8] = include_bytes!("../../../../../tests/data/h264_aac.flv");

fn drain(demuxer: &mut Demuxer) -> Result<Vec<Tag>, Error> {
    let mut tags = Vec::new();
    while let Some(tag) = demuxer.next_tag()? {
        tags.push(tag);
    }
    Ok(tags)
}

fn demux(stream: &[u8], tag_bytes_max: usize) -> Result<Vec<Tag>, Error> {
    let mut demuxer = Demuxer::new(tag_bytes_max);
    demuxer.push(stream);
    drain(&mut demuxer)
}

fn stream_of(tags: &[(u8, &[u8])]) -> Vec<u8> {
    let mut stream = header::file_header(true, true).to_vec();
    for (type_byte, body) in tags {
        let at = stream.len();
        mux::write_tag(TagType::Script, 0, &[], body, &mut stream);
        stream[at] = *type_byte;
    }
    stream
}

#[test]
fn a_capture_of_ffmpeg_gives_the_tags_of_its_listing() {
    let listing = include_str!("../../../../../tests/data/h264_aac.txt");
    let rows = listing.lines().skip_while(|line| !line.starts_with("type")).skip(1);
    let tags = demux(CAPTURE, 1 << 20).expect("well formed");
    assert_eq!(tags.len(), rows.clone().count());
    for (tag, row) in tags.iter().zip(rows) {
        let mut fields = row.split_whitespace();
        let mut number = || fields.next().and_then(|field| field.parse::<usize>().ok());
        let listed = (number(), number(), number());
        let found = (tag.tag_type.id().into(), tag.body.len(), tag.timestamp_ms as usize);
        assert_eq!(listed, (Some(found.0), Some(found.1), Some(found.2)));
        let head: Vec<String> = fields.map(str::to_owned).collect();
        let body: Vec<String> = tag.body.iter().take(12).map(|b| format!("{b:02x}")).collect();
        assert_eq!(body, head);
    }
}

#[test]
fn a_capture_split_at_every_byte_gives_the_same_tags() {
    let whole = demux(CAPTURE, 1 << 20).expect("well formed");
    for at in 0..CAPTURE.len() {
        let mut demuxer = Demuxer::new(1 << 20);
        let mut tags = Vec::new();
        for part in [&CAPTURE[..at], &CAPTURE[at..]] {
            demuxer.push(part);
            tags.extend(drain(&mut demuxer).expect("well formed"));
        }
        assert_eq!(tags, whole, "split at {at}");
    }
}

#[test]
fn a_capture_pushed_byte_by_byte_gives_the_same_tags() {
    let mut demuxer = Demuxer::new(1 << 20);
    let mut tags = Vec::new();
    for byte in CAPTURE {
        demuxer.push(&[*byte]);
        tags.extend(drain(&mut demuxer).expect("well formed"));
    }
    assert_eq!(tags, demux(CAPTURE, 1 << 20).expect("well formed"));
    assert_eq!(demuxer.buffered_bytes(), 0);
}

#[test]
fn a_capture_written_again_is_the_same_file() {
    let mut stream = header::file_header(true, true).to_vec();
    for tag in demux(CAPTURE, 1 << 20).expect("well formed") {
        mux::write_tag(tag.tag_type, tag.timestamp_ms, &[], &tag.body, &mut stream);
    }
    assert_eq!(stream, CAPTURE);
}

#[test]
fn tags_of_unknown_type_and_encrypted_tags_are_skipped_and_counted() {
    let stream = stream_of(&[(8, b"a"), (7, b"unknown"), (0x20 | 9, b"encrypted"), (9, b"b")]);
    let mut demuxer = Demuxer::new(1);
    let mut tags = Vec::new();
    for byte in stream {
        demuxer.push(&[byte]);
        tags.extend(drain(&mut demuxer).expect("skipped tags have no limit"));
    }
    let bodies: Vec<&[u8]> = tags.iter().map(|tag| &tag.body[..]).collect();
    assert_eq!(bodies, [b"a", b"b"]);
    assert_eq!(demuxer.tags_skipped(), 2);
}

#[test]
fn the_reserved_bits_of_the_type_byte_are_ignored() {
    let tags = demux(&stream_of(&[(0xC0 | 8, b"a")]), 1).expect("well formed");
    assert_eq!(tags[0].tag_type, TagType::Audio);
}

#[test]
fn a_wrong_previous_tag_size_is_tolerated() {
    let mut stream = stream_of(&[(8, b"a"), (9, b"b")]);
    stream[13 + 11 + 1 + 3] = 99;
    assert_eq!(demux(&stream, 1).expect("tolerated").len(), 2);
}

#[test]
fn a_longer_file_header_is_skipped() {
    let mut stream = stream_of(&[(8, b"a")]);
    stream[8] = 12;
    stream.splice(9..9, [1, 2, 3]);
    assert_eq!(demux(&stream, 1).expect("well formed").len(), 1);
}

#[test]
fn a_tag_at_the_limit_is_accepted_and_one_byte_more_names_the_setting() {
    let stream = stream_of(&[(8, b"1234")]);
    assert_eq!(demux(&stream, 4).expect("inclusive").len(), 1);
    let error = Error::LimitExceeded { setting: "tag_bytes_max", bytes: 4, limit: 3 };
    assert_eq!(demux(&stream, 3), Err(error));
}

#[test]
fn the_limit_is_enforced_before_the_body_arrives() {
    let stream = stream_of(&[(8, &[0; 100])]);
    assert!(demux(&stream[..13 + 11], 99).is_err());
}

#[test]
fn a_stream_that_is_not_flv_is_refused_at_the_first_wrong_byte() {
    for garbage in [&b"G"[..], b"FL4", b"FLX123456789"] {
        let error = Error::Malformed { at: 0, what: "FLV signature" };
        assert_eq!(demux(garbage, 1 << 20), Err(error));
    }
    assert_eq!(demux(b"FL", 1 << 20), Ok(vec![]));
    let short_offset = b"FLV\x01\x05\x00\x00\x00\x08\x00\x00\x00\x00";
    assert_eq!(demux(short_offset, 1), Err(Error::Malformed { at: 0, what: "DataOffset" }));
}

#[test]
fn an_extended_timestamp_is_read_in_its_odd_byte_order() {
    let mut stream = header::file_header(true, false).to_vec();
    mux::write_tag(TagType::Audio, 0xFEDC_BA98, &[], b"a", &mut stream);
    assert_eq!(demux(&stream, 1).expect("well formed")[0].timestamp_ms, 0xFEDC_BA98);
}
