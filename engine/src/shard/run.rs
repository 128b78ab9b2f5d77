//! The tasks of a core.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::poll_fn;
use rtrb::Consumer;
use slab::Slab;
use tokio::sync::oneshot;
use tracing::Level;

use super::turn::Next;
use super::wheel::Wheel;
use super::{ListenerSpec, Protocols, Shard, ShardSnapshot, tick};
use crate::app::Applications;
use crate::clock::Clock;
use crate::hub::{ConnectionId, Control, Hub, HubParts, Inbox, Media};
use crate::limits::Limits;
use crate::log::Logger;
use crate::mesh::Port;
use crate::net;
use crate::rt::{self, Doorbell, DoorbellWait, Socket};
use crate::stats::CoreStats;

/// What the control thread asks of a core.
pub enum Request {
    /// What the core holds, for the API.
    Snapshot {
        /// Every connection too: a system call and a few strings for each.
        clients: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<ShardSnapshot>,
    },
    /// Send everybody home, and end within this many milliseconds.
    Stop {
        /// The deadline.
        deadline_ms: u64,
    },
}

/// What a core is made of. Everything in it may be moved to the core's thread.
pub struct CoreParts {
    /// Its line to the other cores.
    pub mesh: Port<Control, Media>,
    /// Its doorbell.
    pub bell: Doorbell,
    /// Requests of the control thread.
    pub requests: Consumer<Request>,
    /// The server's clock.
    pub clock: Clock,
    /// The settings.
    pub config: Arc<corelay_config::Config>,
    /// The memory ceiling that all cores share.
    pub budget: Arc<crate::hub::Budget>,
    /// Who may do what.
    pub applications: Arc<Applications>,
    /// What protocols need of the settings.
    pub protocols: Arc<Protocols>,
    /// The limits that all cores share.
    pub limits: Arc<Limits>,
    /// The core's counters.
    pub stats: Arc<CoreStats>,
    /// The log.
    pub logger: Logger,
    /// The sockets it accepts on.
    pub listeners: Vec<ListenerSpec>,
}

type Shared = Rc<RefCell<Shard>>;

/// Runs a core until it is asked to stop.
pub async fn run(parts: CoreParts) {
    let CoreParts { bell, mut requests, listeners, .. } = parts;
    let now = parts.clock.now();
    let hub = Hub::new(HubParts {
        mesh: parts.mesh,
        clock: parts.clock,
        config: Arc::clone(&parts.config),
        budget: parts.budget,
        stats: Arc::clone(&parts.stats),
    });
    let shard = Rc::new(RefCell::new(Shard {
        core: hub.core(),
        clock: parts.clock,
        hub,
        connections: Slab::new(),
        wheel: Wheel::new(now),
        applications: parts.applications,
        protocols: parts.protocols,
        limits: parts.limits,
        stats: parts.stats,
        logger: parts.logger,
        scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
        serial: 0,
        touched: Vec::new(),
        flush_left: false,
        flusher: None,
        busy: tick::BusyMeter::default(),
        idle_swept: now,
        stopping: false,
    }));
    let Ok(waiter) = bell.waiter() else {
        return shard.borrow_mut().logger.core(Level::ERROR, "out of descriptors".to_owned());
    };
    let tcp = Arc::new(net::TcpOptions::from_config(&parts.config.tcp));
    for listener in listeners {
        rt::spawn(accept(Rc::clone(&shard), listener, Arc::clone(&tcp)));
    }
    rt::spawn(flush(Rc::clone(&shard)));
    rt::spawn(tick(Rc::clone(&shard)));
    let deadline_ms = serve(&shard, &waiter, &mut requests).await;
    stop(&shard, &waiter, &mut requests, deadline_ms).await;
}

/// The doorbell's task: other cores, and the control thread, until that says stop.
async fn serve(shard: &Shared, waiter: &DoorbellWait, requests: &mut Consumer<Request>) -> u64 {
    let mut inbox = Inbox::default();
    loop {
        let deadline = shard.borrow_mut().handle_requests(requests);
        if let Some(deadline_ms) = deadline {
            return deadline_ms;
        }
        receive_or_wait(shard, waiter, requests, &mut inbox).await;
    }
}

/// One batch from other cores; or, if there is none, a wait for the bell.
async fn receive_or_wait(
    shard: &Shared,
    waiter: &DoorbellWait,
    requests: &Consumer<Request>,
    inbox: &mut Inbox,
) {
    if shard.borrow_mut().receive(inbox) {
        rt::let_io_in().await;
        return;
    }
    waiter.about_to_sleep();
    if !shard.borrow().hub.has_input() && requests.is_empty() {
        waiter.wait().await;
    }
    waiter.awake();
}

/// Sends everybody home, and waits until they are gone or the deadline has passed.
async fn stop(
    shard: &Shared,
    waiter: &DoorbellWait,
    requests: &mut Consumer<Request>,
    deadline_ms: u64,
) {
    shard.borrow_mut().begin_stop();
    let clock = shard.borrow().clock;
    let mut until = clock.now().after_millis(deadline_ms);
    let mut inbox = Inbox::default();
    while clock.now() < until {
        let more = shard.borrow_mut().receive(&mut inbox);
        if let Some(sooner_ms) = shard.borrow_mut().handle_requests(requests) {
            until = until.min(clock.now().after_millis(sooner_ms));
        }
        if shard.borrow().connections.is_empty() && !more {
            break;
        }
        waiter.awake();
        rt::sleep(STOP_POLL).await;
    }
}

/// Accepts connections: everything in the queue, then a wait.
async fn accept(shard: Shared, listener: ListenerSpec, tcp: Arc<net::TcpOptions>) {
    let burst = listener.accept_burst.max(1);
    loop {
        if rt::readable_once(listener.socket.as_fd()).await.is_err() {
            rt::sleep(ACCEPT_PAUSE).await;
        }
        let mut taken = 0;
        loop {
            if shard.borrow().stopping {
                return;
            }
            match net::accept(&listener.socket, &tcp) {
                Ok(Some((socket, peer))) => admit(&shard, &listener, socket, peer),
                Ok(None) => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors or memory: the queue stays, so a short pause is all there is
                    // to do.
                    let text = format!("cannot accept: {error}");
                    shard.borrow_mut().logger.core(Level::WARN, text);
                    rt::sleep(ACCEPT_PAUSE).await;
                    break;
                }
            }
            taken += 1;
            if taken % burst == 0 {
                rt::let_io_in().await;
            }
        }
    }
}

fn admit(shard: &Shared, listener: &ListenerSpec, socket: OwnedFd, peer: SocketAddr) {
    let admitted = shard.borrow_mut().admit(listener.protocol, socket.as_raw_fd(), peer);
    if let Ok(id) = admitted {
        rt::spawn(serve_connection(Rc::clone(shard), id, socket));
    }
}

/// A connection's task.
async fn serve_connection(shard: Shared, id: ConnectionId, socket: OwnedFd) {
    let mut socket = Socket::new(socket);
    loop {
        let next = poll_fn(|cx| shard.borrow_mut().poll_connection(id, &mut socket, cx)).await;
        match next {
            Next::End => break,
            Next::LetIoIn => rt::let_io_in().await,
        }
    }
    shard.borrow_mut().remove(id);
}

/// Goes on with flushes that a turn had no time for, in slices, letting I/O in between them.
async fn flush(shard: Shared) {
    loop {
        poll_fn(|cx| {
            let mut shard = shard.borrow_mut();
            if shard.flush_left {
                return Poll::Ready(());
            }
            if shard.flusher.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                shard.flusher = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
        rt::let_io_in().await;
        let mut shard = shard.borrow_mut();
        let now = shard.clock.now();
        shard.finish_turn(now);
    }
}

/// The coarse clock of the core.
async fn tick(shard: Shared) {
    loop {
        let pause = if shard.borrow().hub.defers() { TICK } else { TICK_AT_LEISURE };
        rt::sleep(pause).await;
        shard.borrow_mut().tick();
    }
}

impl Shard {
    fn receive(&mut self, inbox: &mut Inbox) -> bool {
        let now = self.clock.now();
        let more = self.hub.receive(now, inbox);
        self.finish_turn(now);
        more
    }

    /// Answers the control thread; gives the deadline if it says stop.
    fn handle_requests(&mut self, requests: &mut Consumer<Request>) -> Option<u64> {
        let mut deadline = None;
        while let Ok(request) = requests.pop() {
            match request {
                Request::Snapshot { clients, answer } => {
                    // A caller that has gone away needs no answer.
                    let _ = answer.send(self.snapshot(clients));
                }
                Request::Stop { deadline_ms } => deadline = Some(deadline_ms),
            }
        }
        deadline
    }

    fn begin_stop(&mut self) {
        let now = self.clock.now();
        self.stopping = true;
        self.hub.begin_stop(now);
        self.finish_turn(now);
        let ids: Vec<ConnectionId> = self.connections.iter().map(|(_, found)| found.id).collect();
        for id in ids {
            self.close(id, super::Ending::Done("the server is stopping".to_owned()), now);
        }
        self.finish_turn(now);
    }
}

/// The read buffer of a core: large enough that a fast publisher is read in few calls.
const SCRATCH_BYTES: usize = 128 << 10;
/// The coarse tick while flushes wait for their time.
const TICK: Duration = Duration::from_millis(5);
/// The tick while nothing does: a wake-up costs some 40 us, and timeouts are coarser than this.
const TICK_AT_LEISURE: Duration = Duration::from_millis(25);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const STOP_POLL: Duration = Duration::from_millis(10);
