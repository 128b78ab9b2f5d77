//! What a session has for its peer.

use std::mem;

use bytes::Bytes;

/// Bytes to send, in order: written here, or shared with other sessions.
#[derive(Debug)]
pub(super) enum Output {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Output {
    /// Where to append. What is shared is copied first.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if let Self::Shared(bytes) = self {
            *self = Self::Own(bytes.to_vec());
        }
        match self {
            Self::Own(buffer) => buffer,
            Self::Shared(_) => unreachable!("it was made ours above"),
        }
    }

    /// Appends `bytes`, without a copy when they are all there is.
    pub(super) fn share(&mut self, bytes: Bytes) {
        if matches!(self, Self::Own(buffer) if buffer.is_empty()) {
            *self = Self::Shared(bytes);
        } else {
            self.buffer().extend_from_slice(&bytes);
        }
    }

    /// All of it, if there is any.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let bytes = match mem::take(self) {
            Self::Own(buffer) => buffer.into(),
            Self::Shared(bytes) => bytes,
        };
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_not_copied_when_it_is_alone() {
        let page = Bytes::from(b"page".to_vec());
        let mut output = Output::default();
        output.share(page.clone());
        let taken = output.take().expect("the page");
        assert_eq!(taken.as_ptr(), page.as_ptr());
        assert_eq!(output.take(), None);
    }

    #[test]
    fn everything_leaves_in_order() {
        let mut output = Output::default();
        output.buffer().extend_from_slice(b"a");
        output.share(Bytes::from_static(b"b"));
        output.buffer().push(b'c');
        assert_eq!(output.take().as_deref(), Some(&b"abc"[..]));
        output.share(Bytes::from_static(b"d"));
        output.share(Bytes::from_static(b"e"));
        output.buffer().push(b'f');
        assert_eq!(output.take().as_deref(), Some(&b"def"[..]));
    }
}
