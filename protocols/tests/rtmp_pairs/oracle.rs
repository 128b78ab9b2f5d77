//! Our sessions against those of rml_rtmp, which shares no line with them.

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions as oracle;
use rml_rtmp::sessions::{
    ClientSessionEvent, ClientSessionResult, PublishRequestType, ServerSessionEvent,
    ServerSessionResult,
};
use rml_rtmp::time::RtmpTimestamp;

use super::*;

/// The oracle as a client of our server.
struct OracleClient {
    session: oracle::ClientSession,
    events: Vec<ClientSessionEvent>,
    server: ServerSession,
    server_events: Vec<ServerEvent>,
}

impl OracleClient {
    fn new() -> Self {
        let settings = Arc::new(ServerSettings::default());
        let mut server = ServerSession::new(settings, [3; 8], Millis(0));
        let mut handshake = Handshake::new(PeerType::Client);
        let hello = handshake.generate_outbound_p0_and_p1().unwrap();
        server.handle_input(Millis(0), &hello).unwrap();
        let answer = server.poll_output().unwrap();
        let HandshakeProcessResult::Completed { response_bytes, .. } =
            handshake.process_bytes(&answer).unwrap()
        else {
            panic!("S0, S1 and S2 are all a client waits for")
        };
        server.handle_input(Millis(0), &response_bytes).unwrap();
        let (session, _) = oracle::ClientSession::new(oracle::ClientSessionConfig::new()).unwrap();
        Self { session, events: Vec::new(), server, server_events: Vec::new() }
    }

    fn send(&mut self, result: ClientSessionResult) {
        self.take(vec![result]);
    }

    fn take(&mut self, results: Vec<ClientSessionResult>) {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.server.handle_input(Millis(0), &packet.bytes).unwrap();
                    self.serve();
                }
                ClientSessionResult::RaisedEvent(event) => self.events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
    }

    fn serve(&mut self) {
        while let Some(event) = self.server.poll_event() {
            let accept = wire::accept(&event);
            self.server_events.push(event);
            accept.into_iter().for_each(|accept| accept(&mut self.server));
        }
        while let Some(output) = self.server.poll_output() {
            let results = self.session.handle_input(&output).unwrap();
            self.take(results);
        }
    }

    fn connect(&mut self) {
        let request = self.session.request_connection("live".to_owned()).unwrap();
        self.send(request);
        assert!(self.events.contains(&ClientSessionEvent::ConnectionRequestAccepted));
    }
}

#[test]
fn the_oracle_publishes_to_our_server() {
    let mut pair = OracleClient::new();
    pair.connect();
    let request = pair.session.request_publishing("a".to_owned(), PublishRequestType::Live);
    pair.send(request.unwrap());
    assert!(pair.events.contains(&ClientSessionEvent::PublishRequestAccepted));

    pair.server_events.clear();
    let mut metadata = oracle::StreamMetadata::new();
    metadata.video_width = Some(160);
    let sent = pair.session.publish_metadata(&metadata).unwrap();
    pair.send(sent);
    for time in [0, 40, 0x0100_0000] {
        let payload = Bytes::from(vec![0x17; 5000]);
        let sent = pair.session.publish_video_data(payload, RtmpTimestamp::new(time), false);
        pair.send(sent.unwrap());
    }
    let seen = |event: &ServerEvent| match event {
        ServerEvent::Media(S1, media) => (media.kind, media.timestamp_ms, media.payload.len()),
        other => panic!("{other:?}"),
    };
    let seen: Vec<_> = pair.server_events.iter().map(seen).collect();
    let video = |time| (MediaKind::Video, time, 5000);
    assert_eq!(seen[1..], [video(0), video(40), video(0x0100_0000)]);
    let ServerEvent::Media(_, data) = &pair.server_events[0] else { panic!("metadata first") };
    let values = amf0::decode_all(&data.payload, &Default::default()).unwrap();
    assert_eq!(values[0].as_str(), Some("onMetaData"));
    assert_eq!(values[1].get("width"), Some(&Value::Number(160.0)));

    let results = pair.session.stop_publishing().unwrap();
    pair.take(results);
    assert_eq!(pair.server_events.last(), Some(&ServerEvent::Unpublish(S1)));
}

#[test]
fn the_oracle_plays_from_our_server() {
    let mut pair = OracleClient::new();
    pair.connect();
    let request = pair.session.request_playback("a".to_owned()).unwrap();
    pair.send(request);
    assert!(pair.events.contains(&ClientSessionEvent::PlaybackRequestAccepted));
    assert!(matches!(pair.server_events.last(), Some(ServerEvent::Play(S1, _))));

    let mut out = BytesMut::new();
    let size = ServerSettings::default().chunk_size_out;
    write_media(MediaKind::Data, 0, S1, &[], &metadata(), size, &mut out);
    write_media(MediaKind::Video, 0x0100_0000, S1, &[0x17], &[1; 9000], size, &mut out);
    write_media(MediaKind::Audio, 40, S1, &[0xaf], &[1], size, &mut out);
    let results = pair.session.handle_input(&out).unwrap();
    pair.events.clear();
    pair.take(results);
    let [
        ClientSessionEvent::StreamMetadataReceived { metadata },
        ClientSessionEvent::VideoDataReceived { data: video, timestamp },
        ClientSessionEvent::AudioDataReceived { data: audio, .. },
    ] = &pair.events[..]
    else {
        panic!("{:?}", pair.events)
    };
    assert_eq!(metadata.video_width, Some(160));
    assert_eq!((video.len(), timestamp.value), (9001, 0x0100_0000));
    assert_eq!(audio[..], [0xaf, 1]);

    let results = pair.session.stop_playback().unwrap();
    pair.take(results);
    assert_eq!(pair.server_events.last(), Some(&ServerEvent::Stop(S1)));
}

/// Our client at the oracle as a server, which accepts everything.
struct OracleServer {
    session: oracle::ServerSession,
    events: Vec<ServerSessionEvent>,
    client: ClientSession,
    client_events: Vec<ClientEvent>,
}

impl OracleServer {
    fn new(settings: ClientSettings) -> Self {
        let mut client = ClientSession::new(Arc::new(settings), [4; 8], Millis(0));
        let mut handshake = Handshake::new(PeerType::Server);
        let hello = client.poll_output().unwrap();
        let HandshakeProcessResult::InProgress { response_bytes } =
            handshake.process_bytes(&hello).unwrap()
        else {
            panic!("C2 is still to come")
        };
        client.handle_input(Millis(0), &response_bytes).unwrap();
        let answer = client.poll_output().unwrap();
        let HandshakeProcessResult::Completed { remaining_bytes, .. } =
            handshake.process_bytes(&answer).unwrap()
        else {
            panic!("the handshake is complete")
        };
        let (session, results) =
            oracle::ServerSession::new(oracle::ServerSessionConfig::new()).unwrap();
        let mut pair = Self { session, events: Vec::new(), client, client_events: Vec::new() };
        pair.take(results);
        let results = pair.session.handle_input(&remaining_bytes).unwrap();
        pair.take(results);
        pair.run();
        pair
    }

    fn run(&mut self) {
        while let Some(output) = self.client.poll_output() {
            let results = self.session.handle_input(&output).unwrap();
            self.take(results);
        }
    }

    fn take(&mut self, results: Vec<ServerSessionResult>) {
        for result in results {
            match result {
                ServerSessionResult::OutboundResponse(packet) => {
                    self.client.handle_input(Millis(0), &packet.bytes).unwrap();
                    self.client_events.extend(std::iter::from_fn(|| self.client.poll_event()));
                }
                ServerSessionResult::RaisedEvent(event) => {
                    let question = match &event {
                        ServerSessionEvent::ConnectionRequested { request_id, .. }
                        | ServerSessionEvent::ReleaseStreamRequested { request_id, .. }
                        | ServerSessionEvent::PublishStreamRequested { request_id, .. }
                        | ServerSessionEvent::PlayStreamRequested { request_id, .. } => {
                            Some(*request_id)
                        }
                        _ => None,
                    };
                    self.events.push(event);
                    if let Some(id) = question {
                        // The oracle asks about releaseStream and cannot be answered on it.
                        let results = self.session.accept_request(id).unwrap_or_default();
                        self.take(results);
                    }
                }
                ServerSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        self.run();
    }
}

#[test]
fn our_client_publishes_to_the_oracle() {
    let mut pair = OracleServer::new(publish("rtmp://h/live/a"));
    assert_eq!(codes(&pair.client_events), ["connected", "publishing"]);
    pair.events.clear();
    assert!(pair.client.send_media(MediaKind::Data, 0, &metadata()));
    assert!(pair.client.send_media(MediaKind::Video, 0x0100_0000, &[0x17; 9000]));
    assert!(pair.client.send_media(MediaKind::Audio, 40, &[0xaf, 1]));
    pair.run();
    let [
        ServerSessionEvent::StreamMetadataChanged { metadata, stream_key, app_name },
        ServerSessionEvent::VideoDataReceived { data: video, timestamp, .. },
        ServerSessionEvent::AudioDataReceived { data: audio, .. },
    ] = &pair.events[..]
    else {
        panic!("{:?}", pair.events)
    };
    assert_eq!((app_name.as_str(), stream_key.as_str()), ("live", "a"));
    assert_eq!(metadata.video_width, Some(160));
    assert_eq!((video.len(), timestamp.value), (9000, 0x0100_0000));
    assert_eq!(audio[..], [0xaf, 1]);
}

#[test]
fn our_client_plays_from_the_oracle() {
    let mut pair = OracleServer::new(play("rtmp://h/live/a"));
    assert_eq!(codes(&pair.client_events), ["connected", "playing"]);
    let stream = pair.events.iter().find_map(|event| match event {
        ServerSessionEvent::PlayStreamRequested { stream_id, .. } => Some(*stream_id),
        _ => None,
    });
    let stream = stream.unwrap();
    pair.client_events.clear();
    let payload = Bytes::from(vec![0x17; 9000]);
    let time = RtmpTimestamp::new(0x0100_0000);
    let packet = pair.session.send_video_data(stream, payload.clone(), time, false).unwrap();
    pair.take(vec![ServerSessionResult::OutboundResponse(packet)]);
    let expected = MediaMessage { kind: MediaKind::Video, timestamp_ms: 0x0100_0000, payload };
    assert_eq!(pair.client_events, [ClientEvent::Media(expected)]);
    let packet = pair.session.finish_playing(stream).unwrap();
    pair.take(vec![ServerSessionResult::OutboundResponse(packet)]);
}
