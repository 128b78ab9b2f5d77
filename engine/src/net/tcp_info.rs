//! What the kernel knows of a connection (TCP_INFO).

use std::os::fd::RawFd;

/// A few of the kernel's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Bytes that the peer has acknowledged.
    pub bytes_acked: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Smoothed round trip time in microseconds.
    pub rtt_us: u32,
}

/// Asks the kernel; `None` when the connection is gone.
pub fn tcp_info(fd: RawFd) -> Option<TcpInfo> {
    // SAFETY: an all-zero tcp_info is valid; it holds only numbers.
    let mut info: TcpInfoRaw = unsafe { std::mem::zeroed() };
    let mut length = size_of::<TcpInfoRaw>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `info`, and fewer on old kernels.
    let result = unsafe {
        let into = (&raw mut info).cast();
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, into, &mut length)
    };
    (result == 0).then_some(TcpInfo {
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        rtt_us: info.rtt,
    })
}

/// The head of the kernel's `struct tcp_info` (include/uapi/linux/tcp.h), up to what is used here.
#[repr(C)]
struct TcpInfoRaw {
    bytes: [u8; 8],
    /// From `tcpi_rto` to `tcpi_rcv_ssthresh`: timeouts, segment counts, times.
    words: [u32; 15],
    rtt: u32,
    /// From `tcpi_rttvar` to `tcpi_total_retrans`.
    more: [u32; 8],
    /// `tcpi_pacing_rate` and `tcpi_max_pacing_rate`.
    pacing: [u64; 2],
    bytes_acked: u64,
    bytes_received: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    #[test]
    fn the_kernel_counts_what_was_sent_and_received() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[1; 1_000]).unwrap();
        server.read_exact(&mut [0; 1_000]).unwrap();
        server.write_all(&[2; 500]).unwrap();
        client.read_exact(&mut [0; 500]).unwrap();
        client.write_all(&[3]).unwrap();
        server.read_exact(&mut [0; 1]).unwrap();
        let info = tcp_info(server.as_raw_fd()).unwrap();
        assert_eq!(info.bytes_received, 1_001);
        assert_eq!(info.bytes_acked, 500);
        assert!(info.rtt_us > 0);
        assert_eq!(tcp_info(-1), None);
    }
}
