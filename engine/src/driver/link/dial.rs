//! When a link connects, and where: names resolved, addresses tried in turn, redirects followed, pauses
//! kept. Sans-IO.
//!
//! ```text
//!          due             addresses          the shard connects
//! Pausing ------> Resolving ---------> Trying -------------------> Open
//!    ^                |                  ^                           |
//!    |                | no address       | another address           | ended
//!    `----------------+------------------+---------------------------'
//!                                          failure or redirect
//! ```
//!
//! Invariants
//! - It never gives up: a failure is followed by a pause ([`Backoff`]) and the next attempt, which begins
//!   at the URL that was given, not at where it led to.

use std::collections::VecDeque;
use std::net::SocketAddr;

use corelay_protocols::http::client::REDIRECTS_MAX;

use super::{LinkEvent, LinkKind};
use crate::clock::Micros;
use crate::net::Backoff;

/// What the shard is to do for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dial {
    /// Resolve this host and port, and tell [`Dialer::resolved`].
    Resolve(String, u16),
    /// Connect to this address, with a driver for [`Dialer::kind`].
    Connect(SocketAddr),
    /// Nothing before this time.
    Wait(Micros),
    /// Nothing: something is under way.
    Busy,
}

/// See the module.
///
/// Calls: [`Self::poll`] whenever time or one of the others may have changed something; the events of its
/// connection to [`Self::handle`], in order.
#[derive(Debug)]
pub struct Dialer {
    home: LinkKind,
    /// Where it led to.
    place: LinkKind,
    redirects: usize,
    addresses: VecDeque<SocketAddr>,
    backoff: Backoff,
    state: State,
    /// The connection has been accepted by the other side.
    is_accepted: bool,
    /// The connection has named another place.
    is_redirected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pausing(Micros),
    Resolving,
    Trying,
    Open,
}

impl Dialer {
    /// A dialer that begins at once.
    pub fn new(kind: LinkKind, backoff: Backoff, now: Micros) -> Self {
        Self {
            place: kind.clone(),
            home: kind,
            redirects: 0,
            addresses: VecDeque::new(),
            backoff,
            state: State::Pausing(now),
            is_accepted: false,
            is_redirected: false,
        }
    }

    /// What is to be connected to now.
    pub fn kind(&self) -> &LinkKind {
        &self.place
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// The other side has accepted, and the connection stands.
    pub fn is_up(&self) -> bool {
        self.state == State::Open && self.is_accepted
    }

    /// What is to be done. Each thing is said once; then it is under way.
    pub fn poll(&mut self, now: Micros) -> Dial {
        if let State::Pausing(at) = self.state {
            if now < at {
                return Dial::Wait(at);
            }
            let (host, port) = self.place.place();
            let Ok(ip) = host.parse() else {
                let question = Dial::Resolve(host.to_owned(), port);
                self.state = State::Resolving;
                return question;
            };
            self.addresses = VecDeque::from([SocketAddr::new(ip, port)]);
            self.state = State::Trying;
        }
        if self.state != State::Trying {
            return Dial::Busy;
        }
        let Some(address) = self.addresses.pop_front() else { return Dial::Wait(self.fail(now)) };
        (self.state, self.is_accepted) = (State::Open, false);
        Dial::Connect(address)
    }

    /// Takes the answer to [`Dial::Resolve`].
    ///
    /// # Errors
    /// Why there is no address, as it was given: the attempt has failed.
    pub fn resolved(
        &mut self,
        addresses: Result<Vec<SocketAddr>, String>,
        now: Micros,
    ) -> Result<(), String> {
        if self.state != State::Resolving {
            return Ok(());
        }
        let addresses = addresses.inspect_err(|_| {
            self.fail(now);
        })?;
        (self.state, self.addresses) = (State::Trying, addresses.into());
        Ok(())
    }

    /// The question could not be asked: too many wait.
    pub fn not_asked(&mut self, now: Micros) {
        self.state = State::Pausing(now.after_millis(ASK_AGAIN_MS));
    }

    /// Takes an event of the connection, of which the last is its end; an attempt that cannot even be
    /// begun ends too. Gives why the attempt has failed, if it has and there is no other address.
    pub fn handle(&mut self, event: &LinkEvent, now: Micros) -> Option<String> {
        match event {
            LinkEvent::Accepted => {
                self.is_accepted = true;
                self.backoff.succeeded(now);
                None
            }
            LinkEvent::Redirected(url) => {
                self.is_redirected = true;
                self.redirects += 1;
                self.place = LinkKind::HttpPull(url.clone());
                None
            }
            LinkEvent::Ended(end) if self.state == State::Open => self.ended(&end.why, now),
            LinkEvent::Ended(_) | LinkEvent::Connected | LinkEvent::Packets(_) => None,
        }
    }

    fn ended(&mut self, why: &str, now: Micros) -> Option<String> {
        let is_redirected = std::mem::take(&mut self.is_redirected);
        if is_redirected && self.redirects <= REDIRECTS_MAX {
            self.addresses.clear();
            self.state = State::Pausing(now);
            return None;
        }
        if !is_redirected && !self.is_accepted && !self.addresses.is_empty() {
            self.state = State::Trying;
            return None;
        }
        let why = match is_redirected {
            true => format!("more than {REDIRECTS_MAX} redirects in a row, the last: {why}"),
            false => why.to_owned(),
        };
        self.fail(now);
        Some(why)
    }

    /// Pauses, and begins again from home then. Gives the time.
    fn fail(&mut self, now: Micros) -> Micros {
        self.place = self.home.clone();
        self.redirects = 0;
        self.addresses.clear();
        let at = self.backoff.next(now);
        self.state = State::Pausing(at);
        at
    }
}

/// When a question found too many others waiting.
const ASK_AGAIN_MS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::super::LinkEnd;
    use super::*;
    use corelay_protocols::http::client::Url;

    const T0: Micros = Micros(1_000_000);

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn dialer(text: &str) -> Dialer {
        Dialer::new(LinkKind::HttpPull(url(text)), Backoff::new(500, 15_000, 1), T0)
    }

    fn addresses(texts: &[&str]) -> Result<Vec<SocketAddr>, String> {
        Ok(texts.iter().map(|text| text.parse().expect(text)).collect())
    }

    fn connect(text: &str) -> Dial {
        Dial::Connect(text.parse().expect(text))
    }

    fn end() -> LinkEvent {
        LinkEvent::Ended(LinkEnd { is_orderly: false, why: "refused".to_owned() })
    }

    #[test]
    fn an_address_needs_no_resolver() {
        for (text, address) in
            [("http://10.0.0.1/a", "10.0.0.1:80"), ("http://[::1]:81/a", "[::1]:81")]
        {
            let mut dialer = dialer(text);
            assert_eq!(dialer.poll(T0), connect(address));
            assert_eq!(dialer.poll(T0), Dial::Busy);
        }
    }

    #[test]
    fn every_address_of_a_name_is_tried_before_a_pause() {
        let mut dialer = dialer("http://h/a");
        assert_eq!(dialer.poll(T0), Dial::Resolve("h".to_owned(), 80));
        assert_eq!(dialer.poll(T0), Dial::Busy);
        dialer.resolved(addresses(&["[::1]:80", "127.0.0.1:80"]), T0).expect("addresses");
        assert_eq!(dialer.poll(T0), connect("[::1]:80"));
        assert_eq!(dialer.handle(&end(), T0), None, "it has not failed yet");
        assert_eq!(dialer.poll(T0), connect("127.0.0.1:80"));
        assert_eq!(dialer.handle(&end(), T0).as_deref(), Some("refused"));
        // The first retry is at once, and asks anew: the address may have changed.
        assert_eq!(dialer.poll(T0), Dial::Resolve("h".to_owned(), 80));
        dialer.resolved(addresses(&["127.0.0.1:80"]), T0).expect("addresses");
        assert_eq!(dialer.poll(T0), connect("127.0.0.1:80"));
        dialer.handle(&end(), T0);
        let Dial::Wait(at) = dialer.poll(T0) else { panic!("it pauses") };
        assert!(at > T0 && dialer.failures() == 2);
        assert_eq!(dialer.poll(Micros(at.0 - 1)), Dial::Wait(at));
        assert!(matches!(dialer.poll(at), Dial::Resolve(..)));
    }

    #[test]
    fn a_connection_that_was_accepted_ends_without_a_try_of_the_other_addresses() {
        let mut dialer = dialer("http://h/a");
        dialer.poll(T0);
        dialer.resolved(addresses(&["10.0.0.1:80", "10.0.0.2:80"]), T0).expect("addresses");
        assert_eq!(dialer.poll(T0), connect("10.0.0.1:80"));
        assert!(!dialer.is_up());
        dialer.handle(&LinkEvent::Accepted, T0);
        assert!(dialer.is_up());
        let later = T0.after_millis(60_000);
        dialer.handle(&end(), later);
        assert!(!dialer.is_up());
        assert!(matches!(dialer.poll(later), Dial::Resolve(..)), "at once, from the beginning");
    }

    #[test]
    fn a_name_without_address_is_asked_for_again_after_a_pause() {
        let mut dialer = dialer("http://h/a");
        for retry in 0..10 {
            let mut now = T0;
            while let Dial::Wait(at) = dialer.poll(now) {
                now = at;
            }
            let resolved = dialer.resolved(Err("nobody".to_owned()), T0);
            assert_eq!(resolved, Err("nobody".to_owned()));
            assert_eq!(dialer.failures(), retry + 1);
        }
        let mut now = T0;
        while let Dial::Wait(at) = dialer.poll(now) {
            now = at;
        }
        dialer.not_asked(now);
        assert_eq!(dialer.poll(now), Dial::Wait(now.after_millis(ASK_AGAIN_MS)));
        // An answer that nobody waits for any more changes nothing.
        assert_eq!(dialer.resolved(addresses(&["10.0.0.1:80"]), now), Ok(()));
        assert!(matches!(dialer.poll(now), Dial::Wait(_)));
    }

    #[test]
    fn a_redirect_is_followed_at_once_and_a_failure_leads_home() {
        let mut dialer = dialer("http://10.0.0.1/a");
        assert_eq!(dialer.poll(T0), connect("10.0.0.1:80"));
        dialer.handle(&LinkEvent::Redirected(url("http://10.0.0.2:81/b")), T0);
        dialer.handle(&end(), T0);
        assert_eq!(dialer.poll(T0), connect("10.0.0.2:81"));
        assert_eq!(dialer.kind().url(), "http://10.0.0.2:81/b");
        dialer.handle(&LinkEvent::Accepted, T0);
        dialer.handle(&end(), T0);
        assert_eq!(dialer.poll(T0), connect("10.0.0.1:80"));
        assert_eq!(dialer.kind().url(), "http://10.0.0.1/a");
    }

    #[test]
    fn places_that_name_each_other_are_a_failure() {
        let mut dialer = dialer("http://10.0.0.1/a");
        let mut attempts = 0;
        let why = loop {
            assert!(matches!(dialer.poll(T0), Dial::Connect(_)));
            attempts += 1;
            dialer.handle(&LinkEvent::Redirected(url("http://10.0.0.1/a")), T0);
            if let Some(why) = dialer.handle(&end(), T0) {
                break why;
            }
        };
        assert_eq!((attempts, dialer.failures()), (1 + REDIRECTS_MAX, 1));
        assert!(why.starts_with("more than 5 redirects in a row"), "{why}");
    }
}
