//! A client and a server session with nothing but memory and a number for a clock between them.

use super::*;

pub(crate) struct Wire {
    pub(crate) client: ClientSession,
    pub(crate) server: ServerSession,
    pub(crate) now: Millis,
    /// Everything is handed over in pieces of this size.
    pub(crate) piece_bytes: usize,
    pub(crate) client_events: Vec<ClientEvent>,
    pub(crate) server_events: Vec<ServerEvent>,
    /// Tried on every question before it is accepted.
    pub(crate) refuse: Option<fn(&mut ServerSession)>,
    /// Questions are left to the test.
    pub(crate) leave_open: bool,
    pub(crate) acknowledgements_to_client: usize,
    /// All that went each way.
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
    media: BytesMut,
    chunk_size_out: u32,
}

pub(crate) fn publish(url: &str) -> ClientSettings {
    let url = StreamUrl::parse(url).unwrap();
    ClientSettings::new(url, ClientRole::Publish(PublishKind::Live))
}

pub(crate) fn play(url: &str) -> ClientSettings {
    let url = StreamUrl::parse(url).unwrap();
    ClientSettings::new(url, ClientRole::Play(PlayStart::LiveOrRecorded))
}

impl Wire {
    pub(crate) fn new(client: ClientSettings, server: ServerSettings) -> Self {
        let now = Millis(1_000_000);
        Self {
            chunk_size_out: server.chunk_size_out,
            client: ClientSession::new(Arc::new(client), [1; 8], now),
            server: ServerSession::new(Arc::new(server), [2; 8], now),
            now,
            piece_bytes: usize::MAX,
            client_events: Vec::new(),
            server_events: Vec::new(),
            refuse: None,
            leave_open: false,
            acknowledgements_to_client: 0,
            to_server: Vec::new(),
            to_client: Vec::new(),
            media: BytesMut::new(),
        }
    }

    /// Carries bytes both ways until neither side has more to say; the first error of the client.
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        loop {
            let to_server: Vec<u8> =
                std::iter::from_fn(|| self.client.poll_output()).flatten().collect();
            let mut to_client: Vec<u8> =
                std::iter::from_fn(|| self.server.poll_output()).flatten().collect();
            to_client.extend(self.media.split());
            if to_server.is_empty() && to_client.is_empty() {
                return Ok(());
            }
            for piece in to_server.chunks(self.piece_bytes) {
                self.server.handle_input(self.now, piece).unwrap();
                self.serve();
            }
            self.to_server.extend(&to_server);
            self.acknowledgements_to_client += acknowledgements(&to_client);
            self.to_client.extend(&to_client);
            for piece in to_client.chunks(self.piece_bytes) {
                let result = self.client.handle_input(self.now, piece);
                self.client_events.extend(std::iter::from_fn(|| self.client.poll_event()));
                result?;
            }
        }
    }

    /// Lets time pass second by second, with all timers and answers.
    pub(crate) fn pass(&mut self, ms: u64) -> Result<(), Error> {
        let end = self.now + ms;
        while self.now < end {
            self.now = end.min(self.now + 1000);
            self.server.handle_timeout(self.now).unwrap();
            self.client.handle_timeout(self.now)?;
            self.run()?;
        }
        Ok(())
    }

    /// Writes media to the player as the egress does: beside the session.
    pub(crate) fn server_media(&mut self, media: &[MediaMessage]) {
        for MediaMessage { kind, timestamp_ms, payload } in media {
            let (time, size) = (*timestamp_ms, self.chunk_size_out);
            write_media(*kind, time, S1, &[], payload, size, &mut self.media);
        }
    }

    fn serve(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let accept = accept(&event);
            self.server_events.push(event);
            let Some(accept) = accept else { continue };
            if self.leave_open {
                return;
            }
            if let Some(refuse) = self.refuse {
                refuse(&mut self.server);
            }
            // An answer that does not fit the question does nothing, so this accepts what was not refused.
            accept(&mut self.server);
        }
    }
}

/// An answer to a question.
pub(crate) type Accept = Box<dyn FnOnce(&mut ServerSession)>;

/// How to accept what an event asks for, if it asks for something.
pub(crate) fn accept(event: &ServerEvent) -> Option<Accept> {
    match *event {
        ServerEvent::Connect(_) => Some(Box::new(ServerSession::accept_connect)),
        ServerEvent::Publish(stream, _) => Some(Box::new(move |s| s.accept_publish(stream))),
        ServerEvent::Play(stream, _) => Some(Box::new(move |s| s.accept_play(stream))),
        _ => None,
    }
}

/// Counts acknowledgements: their chunk has this header and nothing else of the session has.
fn acknowledgements(bytes: &[u8]) -> usize {
    let header = [2, 0, 0, 0, 0, 0, 4, type_id::ACKNOWLEDGEMENT, 0, 0, 0, 0];
    bytes.windows(header.len()).filter(|window| *window == header).count()
}
