//! Both directions of a connection in memory: the transport that the `h2` crate reads from and writes to.
//!
//! `h2` asks for the I/O traits of tokio and needs nothing else of it. Nobody is woken here: what comes
//! from the peer is put in, `h2` is polled, what it has written is taken out.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module. Clones are the same wire.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire(Rc<RefCell<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    /// From the peer.
    input: BytesMut,
    /// The peer sends no more.
    has_ended: bool,
    /// To the peer.
    output: Vec<u8>,
    /// Bytes that `output` may hold.
    room: usize,
}

impl Wire {
    /// Adds what came from the peer.
    pub(super) fn put(&self, input: &[u8]) {
        self.0.borrow_mut().input.extend_from_slice(input);
    }

    /// The peer sends no more.
    pub(super) fn end(&self) {
        self.0.borrow_mut().has_ended = true;
    }

    /// Input waits: frames to the peer must leave before more of it is read.
    pub(super) fn has_input(&self) -> bool {
        !self.0.borrow().input.is_empty()
    }

    /// Lets so many bytes be written until [`Self::take`].
    pub(super) fn set_room(&self, bytes: usize) {
        self.0.borrow_mut().room = bytes;
    }

    /// More may be written.
    pub(super) fn has_room(&self) -> bool {
        let ends = self.0.borrow();
        ends.output.len() < ends.room
    }

    /// What is to be sent.
    pub(super) fn take(&self) -> Bytes {
        std::mem::take(&mut self.0.borrow_mut().output).into()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.0.borrow_mut();
        let length = ends.input.len().min(buffer.remaining());
        if length == 0 && !ends.has_ended {
            return Poll::Pending;
        }
        buffer.put_slice(&ends.input[..length]);
        ends.input.advance(length);
        if ends.input.is_empty() {
            // A connection is quiet most of the time: it needs no memory then.
            ends.input = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.borrow_mut();
        if ends.output.len() >= ends.room {
            return Poll::Pending;
        }
        let before = ends.output.len();
        slices.iter().for_each(|slice| ends.output.extend_from_slice(slice));
        Poll::Ready(Ok(ends.output.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn write(wire: &mut Wire, slices: &[&[u8]]) -> Poll<usize> {
        let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let task = &mut Context::from_waker(Waker::noop());
        Pin::new(wire).poll_write_vectored(task, &slices).map(Result::unwrap)
    }

    fn read(wire: &mut Wire, room: usize) -> Poll<Vec<u8>> {
        let mut bytes = vec![0; room];
        let mut buffer = ReadBuf::new(&mut bytes);
        let task = &mut Context::from_waker(Waker::noop());
        let polled = Pin::new(wire).poll_read(task, &mut buffer);
        polled.map(|result| result.map(|()| buffer.filled().to_vec()).unwrap())
    }

    #[test]
    fn input_is_read_in_pieces_and_its_end_is_said_once_it_is_empty() {
        let mut wire = Wire::default();
        assert_eq!(read(&mut wire, 4), Poll::Pending);
        wire.put(b"abcd");
        wire.put(b"ef");
        wire.end();
        assert!(wire.has_input());
        assert_eq!(read(&mut wire, 5), Poll::Ready(b"abcde".to_vec()));
        assert_eq!(read(&mut wire, 5), Poll::Ready(b"f".to_vec()));
        assert!(!wire.has_input());
        assert_eq!(read(&mut wire, 5), Poll::Ready(Vec::new()));
    }

    #[test]
    fn output_waits_for_room() {
        let mut wire = Wire::default();
        assert_eq!(write(&mut wire, &[b"abc"]), Poll::Pending);
        wire.set_room(4);
        assert_eq!(write(&mut wire, &[b"abc", b"def"]), Poll::Ready(6));
        assert!(!wire.has_room());
        assert_eq!(write(&mut wire, &[b"g"]), Poll::Pending);
        assert_eq!(wire.take(), "abcdef");
        assert_eq!(write(&mut wire, &[b"g"]), Poll::Ready(1));
        assert_eq!(wire.take(), "g");
    }
}
