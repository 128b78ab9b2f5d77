//! The elementary stream descriptor of MP4 (ISO/IEC 14496-1 7.2.6, 14496-14 5.6).

/// Content of an `esds` box: a stream of sound of this objectTypeIndication, with the decoder's
/// configuration when it has one. `None` when that is longer than a descriptor can be.
pub(super) fn sound(object_type: u8, config: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = vec![object_type, STREAM_TYPE_AUDIO];
    decoder.extend_from_slice(&[0; 3 + 4 + 4]); // buffer size, bit rates: unknown
    if !config.is_empty() {
        descriptor(&mut decoder, TAG_DECODER_SPECIFIC_INFO, config)?;
    }
    let mut stream = vec![0, 0, 0]; // ES_ID and flags: none
    descriptor(&mut stream, TAG_DECODER_CONFIG, &decoder)?;
    descriptor(&mut stream, TAG_SYNC_LAYER_CONFIG, &[SYNC_LAYER_MP4])?;
    let mut content = vec![0; 4]; // version and flags
    descriptor(&mut content, TAG_ELEMENTARY_STREAM, &stream)?;
    Some(content)
}

/// The size takes four bytes of seven bits, as most writers have it (14496-1 8.3.3).
fn descriptor(out: &mut Vec<u8>, tag: u8, content: &[u8]) -> Option<()> {
    let size = u32::try_from(content.len()).ok().filter(|size| *size < 1 << 28)?;
    let more = |shift: u32| 0x80 | (size >> shift & 0x7F) as u8;
    out.extend_from_slice(&[tag, more(21), more(14), more(7), (size & 0x7F) as u8]);
    out.extend_from_slice(content);
    Some(())
}

const TAG_ELEMENTARY_STREAM: u8 = 3;
const TAG_DECODER_CONFIG: u8 = 4;
const TAG_DECODER_SPECIFIC_INFO: u8 = 5;
const TAG_SYNC_LAYER_CONFIG: u8 = 6;
/// streamType 5 of six bits, no upstream, a reserved bit that is set.
const STREAM_TYPE_AUDIO: u8 = 5 << 2 | 1;
/// Predefined: the file keeps the times.
const SYNC_LAYER_MP4: u8 = 2;
