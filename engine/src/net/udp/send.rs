//! Datagrams into `sendmmsg`, joined where the kernel splits them (UDP GSO).

use std::io;
use std::os::fd::RawFd;

/// One datagram to send: what is put in front (an RTP header; may be empty), and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// In front of the payload.
    pub header: &'a [u8],
    /// The rest.
    pub payload: &'a [u8],
}

impl Outgoing<'_> {
    fn bytes(&self) -> usize {
        self.header.len() + self.payload.len()
    }
}

/// How far one system call came.
pub(super) struct Progress {
    /// Datagrams that the kernel took.
    pub(super) datagrams: usize,
    /// Messages that they went in.
    pub(super) messages: usize,
}

/// Sends the first of `datagrams`, at most [`DATAGRAMS_MAX`], on a connected socket.
pub(super) fn send_some(
    fd: RawFd,
    datagrams: &[Outgoing<'_>],
    joins: bool,
) -> io::Result<Progress> {
    // SAFETY: all-zero iovecs are valid.
    let mut slices: [libc::iovec; 2 * DATAGRAMS_MAX] = unsafe { std::mem::zeroed() };
    // SAFETY: all-zero headers are valid: no address, no control data, no slices.
    let mut headers: [libc::mmsghdr; DATAGRAMS_MAX] = unsafe { std::mem::zeroed() };
    let mut controls = [Control([0; CONTROL_WORDS]); DATAGRAMS_MAX];
    // Datagrams of each message.
    let mut counts = [0_usize; DATAGRAMS_MAX];

    let mut rest = datagrams.get(..DATAGRAMS_MAX.min(datagrams.len())).unwrap_or_default();
    for (slot, datagram) in slices.as_chunks_mut::<2>().0.iter_mut().zip(rest) {
        *slot = [datagram.header, datagram.payload].map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
    }
    let mut next_slices: &mut [libc::iovec] = &mut slices;
    let mut messages = 0;
    for ((header, control), count) in headers.iter_mut().zip(&mut controls).zip(&mut counts) {
        let Some(first) = rest.first() else { break };
        *count = if joins { joinable(rest) } else { 1 };
        let (own, others) = next_slices.split_at_mut(2 * *count);
        next_slices = others;
        header.msg_hdr.msg_iov = own.as_mut_ptr();
        header.msg_hdr.msg_iovlen = own.len() as _;
        if *count > 1 {
            ask_to_split(&mut header.msg_hdr, control, first.bytes());
        }
        rest = rest.get(*count..).unwrap_or_default();
        messages += 1;
    }
    let sent = send_messages(fd, &mut headers, messages)?;
    Ok(Progress { datagrams: counts.iter().take(sent).sum(), messages: sent })
}

/// How many datagrams at the front fit one message: all of one size, but the last may be shorter.
fn joinable(datagrams: &[Outgoing<'_>]) -> usize {
    let size = datagrams.first().map_or(0, Outgoing::bytes);
    let mut total = 0;
    let mut count = 0;
    for datagram in datagrams.iter().take(SEGMENTS_MAX) {
        let bytes = datagram.bytes();
        if bytes == 0 || bytes > size || total + bytes > MESSAGE_BYTES_MAX {
            break;
        }
        (total, count) = (total + bytes, count + 1);
        if bytes < size {
            break;
        }
    }
    count.max(1)
}

/// Adds the UDP_SEGMENT control message.
fn ask_to_split(header: &mut libc::msghdr, control: &mut Control, datagram_bytes: usize) {
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: only computes; there is room for it (CONTROL_WORDS).
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as libc::c_uint) } as _;
    // SAFETY: the control data is large enough for one control message with an u16, and aligned.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = libc::SOL_UDP;
        (*message).cmsg_type = libc::UDP_SEGMENT;
        (*message).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as libc::c_uint) as _;
        libc::CMSG_DATA(message).cast::<u16>().write_unaligned(datagram_bytes as u16);
    }
}

fn send_messages(
    fd: RawFd,
    headers: &mut [libc::mmsghdr; DATAGRAMS_MAX],
    count: usize,
) -> io::Result<usize> {
    loop {
        // SAFETY: the first `count` headers point to slices and control data that live in the caller,
        // which the kernel only reads; a stale descriptor only yields an error.
        let sent = unsafe {
            libc::sendmmsg(
                fd,
                headers.as_mut_ptr(),
                count.min(DATAGRAMS_MAX) as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        if sent >= 0 {
            return Ok(sent as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u64; CONTROL_WORDS]);

/// Datagrams of one system call. The headers for them are 12 KiB on the stack.
pub(super) const DATAGRAMS_MAX: usize = 64;
/// UDP_MAX_SEGMENTS of kernels before 6.9.
const SEGMENTS_MAX: usize = 64;
/// Below the largest IPv4 datagram (65,507 bytes).
const MESSAGE_BYTES_MAX: usize = 65_000;
/// One control message header and an u16, padded: 24 bytes.
const CONTROL_WORDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(sizes: &[usize]) -> Vec<Outgoing<'static>> {
        static BYTES: [u8; 2_000] = [0; 2_000];
        let datagram = |&size: &usize| Outgoing { header: &[], payload: &BYTES[..size] };
        sizes.iter().map(datagram).collect()
    }

    #[test]
    fn datagrams_of_one_size_are_joined_and_the_last_may_be_shorter() {
        for (sizes, count) in [
            (vec![1_316; 3], 3),
            (vec![1_316, 1_316, 188, 1_316], 3),
            (vec![188, 1_316], 1),
            (vec![1_316, 0], 1),
            (vec![0, 0], 1),
            (vec![188; 100], 64),
            (vec![1_400; 64], 46),
        ] {
            assert_eq!(joinable(&sized(&sizes)), count, "{sizes:?}");
        }
    }
}
