//! A playlist as it is sent.

use std::cell::RefCell;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// The bytes of a playlist, for as many viewers as want them. A clone is a reference count.
#[derive(Clone)]
pub struct Rendered {
    forms: Arc<Forms>,
}

struct Forms {
    text: Bytes,
    gzip: OnceLock<Bytes>,
    etag: String,
}

impl Rendered {
    /// A playlist of this text.
    pub fn new(text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let etag = format!("{:016x}", hasher.finish());
        let forms = Forms { text: Bytes::from(text), gzip: OnceLock::new(), etag };
        Self { forms: Arc::new(forms) }
    }

    /// The playlist in UTF-8.
    pub fn text(&self) -> &Bytes {
        &self.forms.text
    }

    /// The same with `Content-Encoding: gzip` (RFC 1952).
    ///
    /// # Cost
    /// The first call compresses.
    pub fn gzip(&self) -> &Bytes {
        self.forms.gzip.get_or_init(|| compress(&self.forms.text))
    }

    /// It is this very one, and not only of the same text.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.forms, &other.forms)
    }

    /// The entity tag of both, without quotes (RFC 9110 8.8.3). It is a weak one, because the two
    /// have different bytes. Every core of a process has the same tag for the same text.
    pub fn etag(&self) -> &str {
        &self.forms.etag
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forms { text, gzip, etag } = &*self.forms;
        f.debug_struct("Rendered")
            .field("text_bytes", &text.len())
            .field("has_gzip", &gzip.get().is_some())
            .field("etag", etag)
            .finish()
    }
}

thread_local! {
    /// One for all playlists of a thread: it is a quarter of a megabyte, and making it costs ten
    /// times as much as compressing a playlist.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// The text as one gzip member (RFC 1952 2.3).
fn compress(text: &[u8]) -> Bytes {
    let mut member = Vec::with_capacity(GZIP_HEADER.len() + text.len() / 2 + 64);
    member.extend_from_slice(&GZIP_HEADER);
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        loop {
            let taken = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
            let rest = text.get(taken..).unwrap_or_default();
            // Deflating into a Vec has no way to fail but for a flush that is not allowed here.
            match deflate.compress_vec(rest, &mut member, FlushCompress::Finish) {
                Ok(flate2::Status::StreamEnd) | Err(_) => break,
                Ok(_) => member.reserve(text.len() / 2 + 64),
            }
        }
    });
    let mut crc = Crc::new();
    crc.update(text);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&crc.amount().to_le_bytes());
    Bytes::from(member)
}

/// Deflate, no optional fields, no time, fastest compression, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 0xFF];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn gzip_decodes_to_the_same_text_and_is_made_once() {
        let text = "#EXTM3U\n#EXTINF:2.00000,\n1.ts\n".repeat(50);
        let rendered = Rendered::new(text.clone());
        assert_eq!(rendered.text(), text.as_bytes());
        let gzip = rendered.clone().gzip().clone();
        let mut decoded = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut decoded).unwrap();
        assert_eq!(decoded, text);
        assert!(gzip.len() < text.len() / 4, "{} of {}", gzip.len(), text.len());
        assert_eq!(rendered.gzip().as_ptr(), gzip.as_ptr());
    }

    #[test]
    fn texts_of_every_size_are_compressed_one_after_the_other() {
        // Noise does not get smaller: the output must grow.
        let noise = |len: usize| {
            let step = |state: &mut u32| {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Some(char::from(b' ' + (*state >> 25) as u8 % 95))
            };
            (0..len).scan(7_u32, |state, _| step(state)).collect::<String>()
        };
        for len in [0, 1, 100, 5_000, 300_000, 3, 70_000] {
            let rendered = Rendered::new(noise(len));
            let mut decoded = Vec::new();
            flate2::read::GzDecoder::new(&rendered.gzip()[..]).read_to_end(&mut decoded).unwrap();
            assert!(decoded == *rendered.text(), "{len}");
        }
    }

    #[test]
    fn the_tag_depends_on_the_text_alone() {
        let tag = |text: &str| Rendered::new(text.to_owned()).etag().to_owned();
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
        assert!(tag("").len() == 16 && tag("").bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
