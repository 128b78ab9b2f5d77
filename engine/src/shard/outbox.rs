//! A connection's own bytes: whole protocol messages that no other connection gets.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::hub::Gather;

/// Messages to send, oldest first.
#[derive(Debug, Default)]
pub struct Outbox {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    /// Adds whole messages.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.parts.push_back(bytes);
        }
    }

    /// Makes room for so many messages more, or pieces of one.
    pub fn reserve(&mut self, pieces: usize) {
        self.parts.reserve(pieces);
    }

    /// Puts the rest of a half-sent message in front of everything.
    pub fn push_rest(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.parts.push_front(bytes);
        }
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Forgets everything: the peer is gone.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.bytes = 0;
    }

    /// Adds what waits to a gathered write; gives the bytes added.
    pub fn gather<'a>(&'a self, slices_max: usize, out: &mut Gather<'a>) -> usize {
        let room = slices_max.saturating_sub(out.len());
        self.parts.iter().take(room).fold(0, |bytes, part| {
            out.push(IoSlice::new(part));
            bytes + part.len()
        })
    }

    /// Takes bytes off the front: at most one message, and at most `bytes_max` of it.
    pub fn take(&mut self, bytes_max: usize) -> Option<Bytes> {
        let front = self.parts.front_mut().filter(|_| bytes_max > 0)?;
        let bytes = front.split_to(front.len().min(bytes_max));
        if front.is_empty() {
            self.parts.pop_front();
        }
        self.bytes -= bytes.len();
        Some(bytes)
    }

    /// Takes off what was sent.
    pub fn advance(&mut self, mut sent: usize) {
        self.bytes -= sent;
        while sent > 0 {
            let Some(front) = self.parts.front_mut() else { return };
            let part = front.len().min(sent);
            front.advance(part);
            sent -= part;
            if front.is_empty() {
                self.parts.pop_front();
            }
        }
        if self.parts.is_empty() {
            // A player has nothing of its own for hours: give the memory back.
            self.parts.shrink_to(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(outbox: &Outbox) -> Vec<u8> {
        let mut slices = Gather::new();
        outbox.gather(64, &mut slices);
        slices.iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn messages_leave_in_order_and_the_rest_of_one_goes_first() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"second"));
        outbox.push(Bytes::from_static(b"third"));
        outbox.push_rest(Bytes::from_static(b"first"));
        assert_eq!(content(&outbox), b"firstsecondthird");
        outbox.advance(7);
        assert_eq!(content(&outbox), b"condthird");
        assert_eq!(outbox.len(), 9);
        outbox.advance(9);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_taken_is_part_of_one_message() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.take(9), None);
        outbox.push(Bytes::from_static(b"first"));
        outbox.push(Bytes::from_static(b"second"));
        assert_eq!(outbox.take(0), None);
        assert_eq!(outbox.take(2).as_deref(), Some(&b"fi"[..]));
        assert_eq!(outbox.take(9).as_deref(), Some(&b"rst"[..]));
        assert_eq!((outbox.len(), content(&outbox)), (6, b"second".to_vec()));
        assert_eq!(outbox.take(6).as_deref(), Some(&b"second"[..]));
        assert!(outbox.is_empty());
    }
}
