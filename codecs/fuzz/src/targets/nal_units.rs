//! Parsers of NAL units, audio frame headers, AV1 temporal units and Opus control headers, and the
//! records that are made of them.

use corelay_codecs::codec::{aac, ac3, annexb, av1, h264, h265, mp3, opus};

/// A record that was made can be read, and a frame header never announces a frame of no size.
pub fn run(data: &[u8]) {
    let mut units = Vec::new();
    let mut next = annexb::find_start_code(data, 0);
    while let Some(at) = next {
        next = annexb::find_start_code(data, at + 3);
        units.push(at + 3..annexb::trim_zeros(data, at + 3, next.unwrap_or(data.len())));
    }
    let size: usize = units.iter().map(|unit| 4 + unit.len()).sum();
    assert_eq!(annexb::to_length_prefixed(data.into(), &units).len(), size);
    let units: Vec<_> = units.into_iter().map(|unit| &data[unit]).chain([data]).collect();
    for unit in &units {
        h264(unit);
        h265(unit);
    }
    slices(&units);
    frames(data);
}

/// A slice's header is within the slice.
fn slices(units: &[&[u8]]) {
    let mut of_h264 = h264::slice::SliceReader::default();
    let mut of_h265 = h265::slice::SliceReader::default();
    for unit in units {
        of_h264.learn(unit);
        of_h265.learn(unit);
        for size in [of_h264.header_size(unit), of_h265.header_size(unit)] {
            assert!(size.is_none_or(|size| size <= unit.len()));
        }
    }
}

fn h264(unit: &[u8]) {
    let _ = h264::nal::pps_ids(unit);
    let _ = h264::nal::has_recovery_point(unit);
    if let Some(record) = h264::nal::configuration_record(&[unit], &[unit]) {
        let read = h264::ConfigurationRecord::parse(&record).expect("readable");
        assert_eq!((read.sps, read.pps, read.nal_length_size), (vec![unit], vec![unit], 4));
    }
    let sps = h264::nal::SpsFields::parse(unit);
    if let (Some(slice), Some(sps)) = (h264::nal::SliceStart::parse(unit), sps) {
        let _ = slice.field(unit, &sps);
    }
}

fn h265(unit: &[u8]) {
    let _ = (h265::nal::pps_id(unit), h265::nal::vps_id(unit), h265::nal::is_first_slice(unit));
    if let Some(record) = h265::nal::configuration_record(&[], &[unit], &[unit]) {
        let read = h265::ConfigurationRecord::parse(&record).expect("readable");
        assert_eq!((read.sps, read.pps, read.nal_length_size), (vec![unit], vec![unit], 4));
    }
}

fn frames(data: &[u8]) {
    if let Some(header) = aac::adts::Header::parse(data) {
        assert!(header.frame_size > header.header_size && header.sample_rate_hz() > 0);
        assert!(aac::from_config(&header.audio_specific_config()).is_some());
    }
    if let Some(header) = mp3::FrameHeader::parse(data) {
        assert!(header.samples > 0 && header.sample_rate_hz > 0);
    }
    if let Some(frame) = ac3::SyncFrame::parse(data) {
        assert!(frame.size > 0 && frame.samples > 0 && frame.sample_rate_hz > 0);
    }
    if let Some(unit) = av1::unit::from_transport_stream(data)
        && let Some(header) = unit.sequence_header
    {
        let _ = av1::unit::configuration_record(&header);
    }
    let _ = (opus::ControlHeader::parse(data), opus::packet_samples(data));
}
