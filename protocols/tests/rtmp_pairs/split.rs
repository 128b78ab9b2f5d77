//! The same bytes, cut in two at every place, must have the same effect.

use super::*;

/// A whole life of a publisher and of a player: what went each way.
fn life(settings: ClientSettings) -> Wire {
    let mut wire = Wire::new(settings, ServerSettings::default());
    wire.run().unwrap();
    wire.client.send_media(MediaKind::Data, 0, &metadata());
    wire.client.send_media(MediaKind::Video, 0x0100_0000, &[9; 300]);
    wire.client.send_media(MediaKind::Audio, 20, &[1, 2, 3]);
    wire.server_media(&[media(MediaKind::Video, 0x0100_0000, &[9; 300])]);
    wire.server_media(&[media(MediaKind::Audio, 5, &[1, 2, 3])]);
    wire.run().unwrap();
    wire
}

fn lives() -> [(ClientSettings, Wire); 2] {
    ["publish", "play"].map(|role| {
        let url = "rtmp://h/live/a?token=t";
        let settings = if role == "publish" { publish(url) } else { play(url) };
        (settings.clone(), life(settings))
    })
}

/// Every place behind the handshake; within it, which has tests of its own, some.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let handshake_bytes = 1 + 2 * 1536;
    (0..handshake_bytes).step_by(97).chain(handshake_bytes..bytes.len())
}

fn server_events(pieces: [&[u8]; 2]) -> (Vec<ServerEvent>, Vec<u8>) {
    let settings = Arc::new(ServerSettings::default());
    let mut server = ServerSession::new(settings, [2; 8], Millis(0));
    let (mut events, mut output) = (Vec::new(), Vec::new());
    for piece in pieces {
        server.handle_input(Millis(0), piece).unwrap();
        while let Some(event) = server.poll_event() {
            let accept = wire::accept(&event);
            events.push(event);
            accept.into_iter().for_each(|accept| accept(&mut server));
        }
        output.extend(std::iter::from_fn(|| server.poll_output()).flatten());
    }
    (events, output)
}

#[test]
fn server_is_indifferent_to_where_its_input_is_cut() {
    for (_, wire) in lives() {
        let bytes = &wire.to_server[..];
        let whole = server_events([bytes, &[]]);
        assert_eq!(whole.0, wire.server_events, "and to getting all of it at once");
        for at in places(bytes) {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(server_events([head, tail]), whole, "cut at {at}");
        }
    }
}

fn client_events(settings: &ClientSettings, pieces: [&[u8]; 2]) -> (Vec<ClientEvent>, Vec<u8>) {
    let mut client = ClientSession::new(Arc::new(settings.clone()), [1; 8], Millis(0));
    let (mut events, mut output) = (Vec::new(), Vec::new());
    for piece in pieces {
        client.handle_input(Millis(0), piece).unwrap();
        events.extend(std::iter::from_fn(|| client.poll_event()));
        output.extend(std::iter::from_fn(|| client.poll_output()).flatten());
    }
    (events, output)
}

#[test]
fn client_is_indifferent_to_where_its_input_is_cut() {
    for (settings, wire) in lives() {
        let bytes = &wire.to_client[..];
        let whole = client_events(&settings, [bytes, &[]]);
        assert_eq!(whole.0, wire.client_events, "and to getting all of it at once");
        for at in places(bytes) {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(client_events(&settings, [head, tail]), whole, "cut at {at}");
        }
    }
}

#[test]
fn input_that_ends_anywhere_is_no_error() {
    for (_, wire) in lives() {
        for end in places(&wire.to_server) {
            let events = server_events([&wire.to_server[..end], &[]]).0;
            assert_eq!(events, wire.server_events[..events.len()]);
        }
    }
}
