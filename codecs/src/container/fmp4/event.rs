//! Event messages: timed metadata in front of a fragment (ISO/IEC 23009-1 5.10.3.3).

use super::TIMESCALE_HZ;
use super::boxes::Writer;
use crate::access_unit::Timestamp;

/// Scheme of an ID3v2 tag as the message's data ("Carriage of ID3 Timed Metadata in CMAF", AOM).
pub const SCHEME_ID3: &str = "https://aomedia.org/emsg/ID3";

/// Duration of an event that lasts until something else ends it.
pub const DURATION_UNKNOWN: u32 = u32::MAX;

/// Something that happens at a time of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Says what `data` is: [`SCHEME_ID3`].
    pub scheme: &'a str,
    /// Tells events of one scheme apart; may be empty.
    pub value: &'a str,
    /// When it happens; what is before the timeline's zero happens at zero.
    pub at: Timestamp,
    /// Ticks, or [`DURATION_UNKNOWN`].
    pub duration: u32,
    /// Messages of one scheme and value with the same number are the same event.
    pub id: u32,
    /// What is said.
    pub data: &'a [u8],
}

/// The `emsg` box of an event, version 1: it stands in front of the fragment that it is sent with,
/// which need not contain its time.
pub fn event_message(event: &Event<'_>) -> Vec<u8> {
    let texts = event.scheme.len() + event.value.len();
    let mut out = Writer::with_capacity(FIXED_SIZE + texts + event.data.len());
    out.full_box(b"emsg", 1, 0, |out| {
        out.u32(TIMESCALE_HZ);
        out.u64(event.at.0.max(0) as u64);
        out.u32(event.duration);
        out.u32(event.id);
        out.text(event.scheme);
        out.text(event.value);
        out.put(event.data);
    });
    out.into_vec()
}

/// Everything but the texts and the data.
const FIXED_SIZE: usize = 34;

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode as _, Emsg, EmsgTimestamp};

    use super::*;
    use crate::codec::hex;

    const EVENT: Event<'_> = Event {
        scheme: SCHEME_ID3,
        value: "v",
        at: Timestamp(1 << 33),
        duration: DURATION_UNKNOWN,
        id: 3,
        data: b"ID3\x04",
    };

    #[test]
    fn a_message_is_these_bytes() {
        // Written by hand from ISO/IEC 23009-1 5.10.3.3.3.
        let expected = hex(concat!(
            "00000043 656d7367 01000000 00015f90 0000000200000000 ffffffff 00000003",
            "68747470733a2f2f616f6d656469612e6f72672f656d73672f49443300", // the scheme
            "7600 49443304",
        ));
        assert_eq!(event_message(&EVENT), expected);
        assert_eq!(expected.len(), FIXED_SIZE + SCHEME_ID3.len() + 1 + 4);
    }

    #[test]
    fn an_independent_reader_finds_every_field() {
        let event = Event { value: "a\0b", at: Timestamp(-5), ..EVENT };
        let read = Emsg::decode(&mut &event_message(&event)[..]).expect("readable");
        let expected = Emsg {
            timescale: 90_000,
            presentation_time: EmsgTimestamp::Absolute(0),
            event_duration: u32::MAX,
            id: 3,
            scheme_id_uri: SCHEME_ID3.to_owned(),
            value: "ab".to_owned(),
            message_data: b"ID3\x04".to_vec(),
        };
        assert_eq!(read, expected);
    }
}
