//! A connection that does with notices what the shard and its driver do.

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use corelay_codecs::container::flv::header::file_header;

use crate::clock::Micros;
use crate::hub::*;
use crate::mesh::CoreIndex;
use crate::net;
use crate::shard::Outbox;

/// A connection: a viewer, a publisher, or both in turn.
pub struct Peer {
    pub id: ConnectionId,
    pub publisher: Option<PublisherId>,
    pub accepted: bool,
    pub watched: bool,
    pub refused: Option<Refusal>,
    pub publish_ended: Option<EndReason>,
    pub play: Option<SubscriberId>,
    pub egress: Egress,
    pub delivery: Delivery,
    wait_ms: u64,
    pub started: Option<(bool, bool)>,
    pub play_ended: Option<EndReason>,
    pub closed: Option<CloseReason>,
    /// To what it asked for by HLS.
    pub answers: Vec<hls::Answer>,
    /// The client reads what it gets.
    pub reads: bool,
    pub got: Vec<u8>,
    socket: UnixStream,
    client: UnixStream,
    outbox: Outbox,
    /// What is encrypted and not sent.
    ciphertext: RefCell<Vec<u8>>,
    blocked: bool,
}

/// What a viewer is.
#[derive(Clone, Copy)]
pub struct Watch {
    pub egress: Egress,
    pub delivery: Delivery,
    pub wait_ms: u64,
    pub reads: bool,
    /// `SO_SNDBUF`; 0: the kernel's default.
    pub send_buffer: usize,
}

impl Watch {
    pub fn form(form: Form) -> Self {
        let egress = Egress::new(form, corelay_codecs::TrackFilter::ALL);
        let delivery = Delivery::Shared;
        Self { egress, delivery, wait_ms: 10_000, reads: true, send_buffer: 0 }
    }

    /// A player whose client does not read, on a socket that holds little.
    pub fn stuck(form: Form) -> Self {
        Self { reads: false, send_buffer: 4_096, ..Self::form(form) }
    }
}

impl Peer {
    pub fn new(core: usize, slot: usize, watch: Watch) -> Self {
        let (socket, client) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        if watch.send_buffer > 0 {
            socket2::SockRef::from(&socket).set_send_buffer_size(watch.send_buffer).unwrap();
        }
        let slot = slot as u32;
        let id = ConnectionId { core: CoreIndex(core as u16), slot, serial: slot + 1_000 };
        Self {
            id,
            publisher: None,
            accepted: false,
            watched: false,
            refused: None,
            publish_ended: None,
            play: None,
            egress: watch.egress,
            delivery: watch.delivery,
            wait_ms: watch.wait_ms,
            started: None,
            play_ended: None,
            closed: None,
            answers: Vec::new(),
            reads: watch.reads,
            got: Vec::new(),
            socket,
            client,
            outbox: Outbox::default(),
            ciphertext: RefCell::default(),
            blocked: false,
        }
    }

    pub fn play_options(&self) -> PlayOptions {
        let Self { egress, delivery, wait_ms, .. } = *self;
        PlayOptions { egress, fd: self.socket.as_raw_fd(), delivery, wait_ms }
    }

    /// Does what the shard and its driver do.
    pub fn handle(&mut self, hub: &mut Hub, notice: Notice, now: Micros) {
        match notice {
            Notice::PublishAccepted(_) => self.accepted = true,
            Notice::Hls(_, answer) => self.answers.push(*answer),
            Notice::Watched(_, watched) => self.watched = watched,
            Notice::PublishRefused(_, why) => {
                self.refused = Some(why);
                self.publisher = None;
            }
            Notice::PublishEnded(_, why) => {
                self.publish_ended = Some(why);
                self.publisher = None;
            }
            Notice::PlayStarting { video, audio, .. } => {
                assert_eq!(self.started.replace((video, audio)), None, "started twice");
                if self.egress.form == Form::HttpFlv {
                    let tracks = self.egress.tracks;
                    let header = file_header(audio && tracks.audio, video && tracks.video);
                    self.outbox.push(header.to_vec().into());
                }
            }
            Notice::Private(_, bytes) => {
                if let Some(play) = self.play {
                    self.outbox.push(bytes);
                    if self.is_readdressed() {
                        hub.release(play);
                    }
                }
            }
            Notice::Rest(bytes) => self.outbox.push_rest(bytes),
            Notice::Blocked => self.blocked = true,
            // The rig sends after every notice.
            Notice::Sendable => {}
            Notice::Readable => self.read_log(hub),
            Notice::PlayEnded(_, why) => {
                self.play_ended = Some(why);
                if let Some(play) = self.play.take() {
                    hub.stop(play, now);
                }
            }
            Notice::Wanted(_) => unreachable!("it is no channel"),
            Notice::Close(why) => {
                self.closed.get_or_insert(why);
                if let Some(play) = self.play.take() {
                    hub.stop(play, now);
                }
            }
        }
    }

    /// As `shard::Connection::pump`: the rest of a message, own messages, the log. True when drained.
    fn send(&mut self, hub: &mut Hub) -> bool {
        let shared = self.play.filter(|_| !self.is_readdressed());
        loop {
            if !self.send_ciphertext() {
                return self.note_blocked(hub, shared);
            }
            let (sent, wanted) = {
                let mut slices = Gather::new();
                if let Some(play) = shared {
                    hub.gather_rest(play, &mut slices);
                }
                self.outbox.gather(64, &mut slices);
                if let Some(play) = shared.filter(|_| slices.len() < 64) {
                    hub.gather_log(play, &mut slices);
                }
                let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
                if wanted == 0 {
                    break;
                }
                match self.take(&slices) {
                    Ok(sent) => (sent, wanted),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => (0, wanted),
                    Err(error) => panic!("the test's own socket fails: {error}"),
                }
            };
            let rest = shared.map_or(0, |play| hub.gather_rest(play, &mut Gather::new()));
            let of_rest = sent.min(rest);
            let of_outbox = (sent - of_rest).min(self.outbox.len());
            self.outbox.advance(of_outbox);
            for bytes in [of_rest, sent - of_rest - of_outbox] {
                if let Some(play) = shared.filter(|_| bytes > 0) {
                    hub.advance(play, bytes);
                }
            }
            if sent < wanted && self.delivery != Delivery::Encrypted {
                return self.note_blocked(hub, shared);
            }
        }
        self.blocked = false;
        if let Some(play) = shared {
            hub.set_blocked(play, false);
        }
        true
    }

    /// Sends, or encrypts a part.
    fn take(&self, slices: &[IoSlice<'_>]) -> std::io::Result<usize> {
        if self.delivery != Delivery::Encrypted {
            return net::send(self.socket.as_raw_fd(), slices);
        }
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        let mut ciphertext = self.ciphertext.borrow_mut();
        ciphertext.extend(all.take(CIPHERTEXT_MAX).map(|byte| byte ^ KEY));
        Ok(ciphertext.len())
    }

    /// True when nothing that is encrypted is left.
    fn send_ciphertext(&self) -> bool {
        let mut ciphertext = self.ciphertext.borrow_mut();
        if !ciphertext.is_empty() {
            let sent = net::send(self.socket.as_raw_fd(), &[IoSlice::new(&ciphertext)]);
            ciphertext.drain(..sent.unwrap_or(0));
        }
        ciphertext.is_empty()
    }

    fn note_blocked(&mut self, hub: &mut Hub, shared: Option<SubscriberId>) -> bool {
        self.blocked = true;
        if let Some(play) = shared {
            hub.set_blocked(play, true);
        }
        false
    }

    fn is_readdressed(&self) -> bool {
        self.delivery == Delivery::Copied
    }

    /// What the shard does when a socket may have room.
    pub fn pump(&mut self, hub: &mut Hub) {
        while self.send(hub) && self.is_readdressed() {
            self.read_log(hub);
            if self.outbox.is_empty() {
                return;
            }
        }
    }

    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Its connection has something to say.
    pub fn say(&mut self, message: Vec<u8>) {
        self.outbox.push(message.into());
    }

    /// The client closes its end.
    pub fn hang_up(&self) {
        self.client.shutdown(std::net::Shutdown::Both).unwrap();
    }

    fn read_log(&mut self, hub: &mut Hub) {
        let Some(play) = self.play.filter(|_| self.is_readdressed()) else { return };
        while self.outbox.len() < 64 << 10 {
            let bytes = hub.read(play, 64 << 10);
            if bytes.is_empty() {
                return;
            }
            self.outbox.push(bytes.into());
        }
    }

    /// The client takes up to `bytes_max` bytes. True when it got any.
    pub fn client_reads(&mut self, bytes_max: usize) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.client.read(&mut buffer[..bytes_max]) {
            Ok(bytes) => {
                let key = if self.delivery == Delivery::Encrypted { KEY } else { 0 };
                self.got.extend(buffer[..bytes].iter().map(|byte| byte ^ key));
                bytes > 0
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }
}

/// What a viewer encrypts at a time: less than most chunks, so that it stands inside one.
const CIPHERTEXT_MAX: usize = 1_000;
/// Cipher enough to tell what went past it.
const KEY: u8 = 0x5a;
