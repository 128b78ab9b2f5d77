//! Names of hosts into addresses, for the data cores: they ask, and never wait.
//!
//! Invariants
//! - Asking is one message into a bounded channel. An answer comes for every question that was taken:
//!   as a [`Request::Resolved`] of the core, like everything the control thread has to say to it.
//! - At most [`LOOKUPS_MAX`] lookups of the system's resolver are under way, however long they take.
//! - Held: [`ENTRIES_MAX`] names. An answer is used for [`FOUND_FOR`], a failure for [`FAILED_FOR`], so
//!   that a hundred channels of one origin ask once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, mpsc};

use super::State;
use crate::shard::Request;

/// A core's end: asks.
#[derive(Clone, Debug)]
pub struct Resolver {
    core: usize,
    questions: mpsc::Sender<Question>,
}

/// The control thread's end.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<Question>);

/// One question of a core.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    core: usize,
    ticket: u64,
    host: String,
    port: u16,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What the question was asked with.
    pub ticket: u64,
    /// Addresses, in the order of the system's preference, at least one; or why there is none.
    pub addresses: Result<Vec<SocketAddr>, String>,
}

/// Makes the resolvers of this many cores, and the end that answers them.
pub fn resolvers(cores: usize) -> (Vec<Resolver>, Questions) {
    let (questions, receiver) = mpsc::channel(QUESTIONS_MAX);
    let resolver = |core| Resolver { core, questions: questions.clone() };
    ((0..cores).map(resolver).collect(), Questions(receiver))
}

impl Resolver {
    /// Asks for the addresses of a host; the answer names `ticket`. False when too many questions wait:
    /// ask again later.
    pub fn ask(&self, ticket: u64, host: &str, port: u16) -> bool {
        let question = Question { core: self.core, ticket, host: host.to_owned(), port };
        self.questions.try_send(question).is_ok()
    }
}

/// Answers the cores, for as long as they can ask.
pub(super) async fn serve(mut questions: Questions, state: Arc<State>) {
    let names = Arc::new(Names::default());
    while let Some(question) = questions.0.recv().await {
        let (names, state) = (Arc::clone(&names), Arc::clone(&state));
        tokio::spawn(async move {
            let Question { core, ticket, host, port } = question;
            let addresses = names.resolve(&host, port).await;
            let resolved = Resolved { ticket, addresses };
            // Its ring is full for moments only.
            while !state.links.tell(core, Request::Resolved(resolved.clone())) {
                tokio::time::sleep(RING_RETRY).await;
            }
        });
    }
}

type Addresses = Result<Vec<SocketAddr>, String>;

/// An answer and when it came, once it has. Locked while it is looked up.
type Entry = Arc<Mutex<Option<(Instant, Addresses)>>>;

/// What is known.
#[derive(Debug)]
struct Names {
    known: Mutex<HashMap<(String, u16), Entry>>,
    lookups: Arc<Semaphore>,
}

impl Default for Names {
    fn default() -> Self {
        Self { known: Mutex::default(), lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Names {
    /// The addresses of a host, of this minute or looked up now. Those who ask for the same name at the
    /// same time wait for one lookup.
    async fn resolve(&self, host: &str, port: u16) -> Addresses {
        let entry = {
            let mut known = self.known.lock().await;
            if known.len() >= ENTRIES_MAX {
                // Names under way are held by those who ask for them.
                known.retain(|_, entry| Arc::strong_count(entry) > 1);
            }
            Arc::clone(known.entry((host.to_owned(), port)).or_default())
        };
        let mut entry = entry.lock().await;
        if let Some((since, addresses)) = &*entry
            && since.elapsed() < if addresses.is_ok() { FOUND_FOR } else { FAILED_FOR }
        {
            return addresses.clone();
        }
        let addresses = self.look_up(host, port).await;
        *entry = Some((Instant::now(), addresses.clone()));
        addresses
    }

    async fn look_up(&self, host: &str, port: u16) -> Addresses {
        let (lookups, place) = (Arc::clone(&self.lookups), (host.to_owned(), port));
        // The system's resolver goes on behind our back when it is not waited for any more: the permit
        // goes with it.
        let lookup = tokio::spawn(async move {
            let _permit = lookups.acquire_owned().await;
            tokio::net::lookup_host(place).await.map(Vec::<SocketAddr>::from_iter)
        });
        match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(Ok(addresses))) if !addresses.is_empty() => Ok(addresses),
            Ok(Ok(Ok(_))) => Err(format!("{host} has no address")),
            Ok(Ok(Err(error))) => Err(format!("{host} has no address: {error}")),
            Ok(Err(error)) => Err(format!("the lookup of {host} failed: {error}")),
            Err(_) => {
                let seconds = LOOKUP_TIMEOUT.as_secs();
                Err(format!("the resolver did not answer for {host} within {seconds} s"))
            }
        }
    }
}

/// Questions that wait for the control thread: as many channels may lose one origin at once.
const QUESTIONS_MAX: usize = 1_024;
/// Threads of the system's resolver in use at once.
pub const LOOKUPS_MAX: usize = 16;
/// Names kept: more than a server has origins.
pub const ENTRIES_MAX: usize = 256;
/// How long an answer is good; the resolver of the C library does not tell what the zone says.
pub const FOUND_FOR: Duration = Duration::from_secs(30);
/// How long a failure stands for those who ask next: as short as their first pause may be.
pub const FAILED_FOR: Duration = Duration::from_millis(500);
/// What the C library takes for one server that does not answer, twice.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
const RING_RETRY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn a_name_of_this_machine_has_addresses_with_the_port_asked_for() {
        run(async {
            let names = Names::default();
            let addresses = names.resolve("localhost", 1935).await.expect("every machine has it");
            assert!(addresses.iter().all(|address| address.ip().is_loopback()));
            assert!(addresses.iter().all(|address| address.port() == 1935));
        });
    }

    #[test]
    fn a_name_that_nobody_has_is_named_in_the_error() {
        run(async {
            let error = Names::default().resolve("nobody.invalid", 80).await.unwrap_err();
            assert!(error.contains("nobody.invalid"), "{error}");
        });
    }

    #[test]
    fn an_answer_is_kept_for_a_while_and_names_are_forgotten_when_there_are_many() {
        run(async {
            let names = Names::default();
            let kept: Addresses = Ok(vec!["192.0.2.1:80".parse().unwrap()]);
            let failed: Addresses = Err("no".to_owned());
            let put = async |host: &str, age: Duration, answer: &Addresses| {
                let since = Instant::now().checked_sub(age).expect("the machine runs as long");
                let entry = Arc::new(Mutex::new(Some((since, answer.clone()))));
                names.known.lock().await.insert((host.to_owned(), 80), entry);
            };
            for (answer, good_for) in [(&kept, FOUND_FOR), (&failed, FAILED_FOR)] {
                put("localhost", good_for / 2, answer).await;
                assert_eq!(&names.resolve("localhost", 80).await, answer, "not looked up");
                put("localhost", good_for, answer).await;
                assert_ne!(&names.resolve("localhost", 80).await, answer, "looked up");
            }
            for number in 0..ENTRIES_MAX {
                put(&format!("h{number}"), Duration::ZERO, &kept).await;
            }
            names.resolve("localhost", 81).await.expect("it has addresses");
            assert!(names.known.lock().await.len() <= 2);
        });
    }

    #[test]
    fn questions_are_taken_up_to_a_limit() {
        let (resolvers, mut questions) = resolvers(2);
        assert!((0..QUESTIONS_MAX as u64).all(|ticket| resolvers[1].ask(ticket, "h", 1)));
        assert!(!resolvers[0].ask(0, "h", 1));
        let first = questions.0.try_recv().expect("a question");
        assert_eq!((first.core, first.ticket, first.port), (1, 0, 1));
        assert!(resolvers[0].ask(0, "h", 1));
    }
}
