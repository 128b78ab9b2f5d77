//! A small FLV reader of the rig's own, and the comparison of what went in with what came out.
//! Adobe Flash Video File Format 10.1, annex E; Enhanced RTMP v2 for the bit that marks FourCC tags.

/// Tag type of audio.
pub const AUDIO: u8 = 8;
/// Tag type of video.
pub const VIDEO: u8 = 9;
/// Tag type of script data.
pub const SCRIPT: u8 = 18;

/// One FLV tag, which is also one RTMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 8, 9 or 18.
    pub kind: u8,
    /// Decode time in milliseconds.
    pub timestamp_ms: u32,
    /// Tag body, with its codec header.
    pub body: Vec<u8>,
}

impl Tag {
    fn is_enhanced_video(&self) -> bool {
        self.kind == VIDEO && self.body.first().is_some_and(|byte| byte & 0x80 != 0)
    }

    /// A keyframe's frame type, whatever the codec.
    pub fn is_keyframe(&self) -> bool {
        self.kind == VIDEO && self.body.first().is_some_and(|byte| (byte >> 4) & 7 == 1)
    }

    /// Audio or video that is shown or heard: neither configuration, nor end of sequence, nor script.
    pub fn is_media(&self) -> bool {
        let Some(&first) = self.body.first() else { return false };
        match self.kind {
            VIDEO if self.is_enhanced_video() => matches!(first & 0x0f, 1 | 3),
            VIDEO if matches!(first & 0x0f, 7 | 12) => self.body.get(1) == Some(&1),
            AUDIO if first >> 4 == 9 => first & 0x0f == 1,
            AUDIO if first >> 4 == 10 => self.body.get(1) == Some(&1),
            AUDIO | VIDEO => true,
            _ => false,
        }
    }

    /// A decoder configuration record.
    pub fn is_config(&self) -> bool {
        let Some(&first) = self.body.first() else { return false };
        match self.kind {
            VIDEO if self.is_enhanced_video() => first & 0x0f == 0,
            VIDEO if matches!(first & 0x0f, 7 | 12) => self.body.get(1) == Some(&0),
            AUDIO if first >> 4 == 9 => first & 0x0f == 0,
            AUDIO if first >> 4 == 10 => self.body.get(1) == Some(&0),
            _ => false,
        }
    }
}

/// Reads a file or a received body. A tag that is cut at the end, as when a viewer was stopped, is
/// left out.
///
/// # Panics
/// If the bytes are not FLV.
pub fn read(bytes: &[u8]) -> Vec<Tag> {
    assert_eq!(bytes.get(..3), Some(&b"FLV"[..]), "no FLV signature in {} bytes", bytes.len());
    let header = be(&bytes[5..9]) as usize;
    assert_eq!(be(&bytes[header..header + 4]), 0, "PreviousTagSize0");
    let mut at = header + 4;
    let mut tags = Vec::new();
    while let Some(head) = bytes.get(at..at + 11) {
        let length = be(&head[1..4]) as usize;
        let Some(body) = bytes.get(at + 11..at + 11 + length) else { break };
        let Some(back) = bytes.get(at + 11 + length..at + 15 + length) else { break };
        assert!([AUDIO, VIDEO, SCRIPT].contains(&head[0]), "tag type {} at {at}", head[0]);
        assert_eq!(be(&head[8..11]), 0, "stream id at {at}");
        assert_eq!(be(back) as usize, length + 11, "PreviousTagSize at {at}");
        let timestamp_ms = be(&head[4..7]) | u32::from(head[7]) << 24;
        tags.push(Tag { kind: head[0], timestamp_ms, body: body.to_vec() });
        at += 15 + length;
    }
    tags
}

fn be(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

/// A run of frames that was received, found again in what was sent.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Index of its first frame among the frames sent.
    pub first: usize,
    /// Number of frames.
    pub count: usize,
    /// Received time minus sent time of its first frame, in milliseconds.
    pub shift_ms: i64,
}

/// The frames of one kind.
pub fn frames(tags: &[Tag], kind: u8) -> Vec<&Tag> {
    tags.iter().filter(|tag| tag.kind == kind && tag.is_media()).collect()
}

/// Where time jumps among the pictures: whether it jumps to a keyframe. Reading proves that every tag is
/// whole.
pub fn landings(bytes: &[u8]) -> Vec<bool> {
    let tags = read(bytes);
    let pictures = frames(&tags, VIDEO);
    let jumps =
        pictures.windows(2).filter(|pair| pair[1].timestamp_ms.abs_diff(pair[0].timestamp_ms) > 60);
    jumps.map(|pair| pair[1].is_keyframe()).collect()
}

/// Proves that the frames of one kind that came out are an unbroken run of those that went in:
/// the same bytes, in the same order, at the same distances in time. The publisher may repeat
/// `sent` from its start any number of times.
///
/// # Panics
/// If they are not, naming the first frame that differs.
pub fn assert_run(kind: u8, sent: &[Tag], received: &[Tag]) -> Run {
    let sent = frames(sent, kind);
    let received = frames(received, kind);
    assert!(!received.is_empty(), "no frame of kind {kind} came out");
    assert!(!sent.is_empty(), "no frame of kind {kind} went in");
    let mut longest = (0, 0);
    for first in (0..sent.len()).filter(|&first| sent[first].body == received[0].body) {
        let same = received
            .iter()
            .zip(sent.iter().cycle().skip(first))
            .take_while(|(out, put)| out.body == put.body)
            .count();
        if same == received.len() {
            let shift_ms = shift(received[0], sent[first]);
            assert_even(&sent, &received, first);
            return Run { first, count: same, shift_ms };
        }
        longest = longest.max((same, first));
    }
    let (same, first) = longest;
    panic!(
        "kind {kind}: {} frames came out; the first {same} are those sent from {first} on, then \
         comes one of {} bytes at {} ms instead of frame {} of {} bytes; it is {:?} of those sent",
        received.len(),
        received[same.min(received.len() - 1)].body.len(),
        received[same.min(received.len() - 1)].timestamp_ms,
        (first + same) % sent.len(),
        sent[(first + same) % sent.len()].body.len(),
        sent.iter().position(|put| put.body == received[same].body),
    );
}

fn shift(received: &Tag, sent: &Tag) -> i64 {
    i64::from(received.timestamp_ms) - i64::from(sent.timestamp_ms)
}

/// The distances in time are kept, within the millisecond that a rewriting player may round.
fn assert_even(sent: &[&Tag], received: &[&Tag], first: usize) {
    for (index, pair) in received.windows(2).enumerate() {
        let at = (first + index) % sent.len();
        let Some(next) = sent.get(at + 1) else { continue };
        let put = i64::from(next.timestamp_ms) - i64::from(sent[at].timestamp_ms);
        let out = i64::from(pair[1].timestamp_ms) - i64::from(pair[0].timestamp_ms);
        assert!((put - out).abs() <= 1, "frame {at} lasts {put} ms, and came out as {out} ms");
    }
}

/// Proves that time never runs backward within one kind.
pub fn assert_monotonic(tags: &[Tag], kind: u8) {
    let times: Vec<u32> = frames(tags, kind).iter().map(|tag| tag.timestamp_ms).collect();
    for (index, pair) in times.windows(2).enumerate() {
        let around = &times[index.saturating_sub(5)..(index + 7).min(times.len())];
        assert!(pair[0] <= pair[1], "kind {kind}: time runs backward: {around:?}");
    }
}
