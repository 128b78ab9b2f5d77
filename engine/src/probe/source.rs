//! What is probed: datagrams, a connection, or a file.

use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use corelay_config::{Endpoint, Host, MediaUrl};

use super::http;
use super::measure::Measurement;
use crate::net::udp::{Inbox, SilenceWatch, UdpError, UdpInput, UdpSource};
use crate::rt::{Poller, Watch};

/// Why a source cannot be opened: one sentence with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The socket cannot be opened or the group not joined.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// The host's name has no address.
    #[error("{0} has no address ({1}); check the name, or write the address")]
    NoSuchHost(String, io::Error),
    /// Nobody answers there.
    #[error("cannot connect to {0}: {1}; check that the server runs and listens on that port")]
    Connect(SocketAddr, io::Error),
    /// The server's answer is no stream.
    #[error("{0}")]
    Http(#[from] http::HttpError),
    /// The file cannot be read.
    #[error("cannot read {path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
    /// The kernel has no more descriptors.
    #[error("cannot wait for a socket: {0}")]
    Wait(io::Error),
    /// Its access units have no transport stream to look at.
    #[error("{0}:// carries no transport stream; probe udp://, rtp://, tcp://, http:// or a file")]
    NoTransportStream(&'static str),
}

/// An open source.
pub(super) enum Source {
    /// A group or a port of this machine.
    Datagrams { input: Box<UdpInput>, inbox: Box<Inbox>, poller: Poller },
    /// A connection: its peer, and what comes.
    Stream { peer: String, reader: Box<dyn Read>, buffer: Vec<u8> },
    /// A file.
    File { path: PathBuf, file: File, buffer: Vec<u8> },
}

/// What one turn brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    Some,
    Nothing,
    End,
}

impl Source {
    pub(super) fn open(url: &MediaUrl) -> Result<Self, SourceError> {
        match &url.endpoint {
            Endpoint::Udp(place) | Endpoint::Rtp(place) => {
                let input = UdpInput::open(&UdpSource::new(place, &url.options))?;
                let poller = Poller::new().map_err(SourceError::Wait)?;
                // Like a listener: reported as long as there is something to receive.
                let watched = poller.registry().add(input.as_raw_fd(), 0, Watch::Listener);
                watched.map_err(SourceError::Wait)?;
                Ok(Self::Datagrams { input: Box::new(input), inbox: Box::default(), poller })
            }
            Endpoint::Tcp { host, port } => {
                let (stream, peer) = connect(host, *port)?;
                Ok(Self::stream(peer.to_string(), Box::new(stream)))
            }
            Endpoint::Http { host, port, path } => {
                let (reader, place) = http::open(host, *port, path)?;
                Ok(Self::stream(place, reader))
            }
            Endpoint::File(path) => {
                let file = File::open(path);
                let file = file.map_err(|error| SourceError::File(path.clone(), error))?;
                Ok(Self::File { path: path.clone(), file, buffer: vec![0; READ_BYTES] })
            }
            Endpoint::Rtmp { .. } => Err(SourceError::NoTransportStream("rtmp")),
        }
    }

    fn stream(peer: String, reader: Box<dyn Read>) -> Self {
        Self::Stream { peer, reader, buffer: vec![0; READ_BYTES] }
    }

    /// Begins to watch what to check if nothing comes.
    pub(super) fn silence_watch(&self) -> SilenceWatch {
        match self {
            Self::Datagrams { input, .. } => SilenceWatch::begin(input),
            _ => SilenceWatch::default(),
        }
    }

    /// Packets come as they were read or in bursts, so that only the stream's own clock tells times.
    pub(super) fn is_paced_by_its_clock(&self) -> bool {
        !matches!(self, Self::Datagrams { .. })
    }

    /// Waits up to `wait` for something, and hands on what there is.
    pub(super) fn pump(
        &mut self,
        wait: Duration,
        measurement: &mut Measurement,
    ) -> io::Result<Pumped> {
        match self {
            Self::Datagrams { input, inbox, poller } => {
                if !poller.wait(wait) {
                    return Ok(Pumped::Nothing);
                }
                let batch = match input.receive(inbox) {
                    Ok(batch) => batch,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Pumped::Nothing);
                    }
                    // Said once for each time the interface goes down; the socket goes on.
                    Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {
                        return Ok(Pumped::Nothing);
                    }
                    Err(error) => return Err(error),
                };
                batch.datagrams().for_each(|datagram| measurement.datagram(datagram));
                Ok(Pumped::Some)
            }
            Self::Stream { reader, buffer, .. } => match reader.read(buffer) {
                Ok(0) => Ok(Pumped::End),
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    measurement.bytes(Bytes::copy_from_slice(bytes));
                    Ok(Pumped::Some)
                }
                Err(error) if is_timeout(&error) => Ok(Pumped::Nothing),
                Err(error) => Err(error),
            },
            Self::File { file, buffer, .. } => match file.read(buffer)? {
                0 => Ok(Pumped::End),
                count => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    measurement.bytes(Bytes::copy_from_slice(bytes));
                    Ok(Pumped::Some)
                }
            },
        }
    }
}

/// Connects; reads then time out after 100 ms.
pub(super) fn connect(host: &Host, port: u16) -> Result<(TcpStream, SocketAddr), SourceError> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Address(address) => vec![SocketAddr::new(*address, port)],
        Host::Name(name) => (name.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| SourceError::NoSuchHost(name.clone(), error))?
            .collect(),
    };
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                let set = stream.set_read_timeout(Some(READ_TIMEOUT));
                set.map_err(|error| SourceError::Connect(address, error))?;
                return Ok((stream, address));
            }
            Err(error) => failure = Some(SourceError::Connect(address, error)),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let nothing = io::Error::from(io::ErrorKind::NotFound);
        SourceError::NoSuchHost(host.to_string(), nothing)
    }))
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// 87 packets: maxima are looked at as often (see `measure`).
const READ_BYTES: usize = 16 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_millis(100);
