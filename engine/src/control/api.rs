//! The admin API: read calls in the shape of SRS under `/api/v1`, `/metrics` and `/healthz`.
//!
//! Invariants
//! - Everything is read; nothing can be changed here.
//! - The cores are asked by one request at a time: however many clients ask, a core answers one.

pub(super) mod certificates;
mod channels;
mod clients;
mod envelope;
mod history;
mod inputs;
mod outputs;
mod place;
pub(super) mod process;
#[cfg(test)]
pub(super) mod samples;
mod secure;
pub(super) mod sources;
mod streams;
pub(super) mod summaries;
#[cfg(test)]
mod tests;
mod tracks;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{self, Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::certificates::Certificate;
use self::envelope::{Identity, Page, Refusal};
use self::history::History;
use self::process::Usage;
use self::secure::SecureListener;
use self::summaries::{Summary, Version, Whole};
use super::{State, metrics};
use crate::net::tls::Entrance;
use crate::shard::{Look, ShardSnapshot};
use crate::stats::CoreStats;

/// Serves the API until the control thread ends.
pub(super) async fn serve(listener: TcpListener, tls: Option<Entrance>, state: Arc<State>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("the admin API cannot be served: {error}"),
    };
    let api = Arc::new(Api::new(state));
    tokio::spawn(keep_history(Arc::clone(&api)));
    let served = match tls {
        None => axum::serve(listener, router(api)).await,
        Some(tls) => axum::serve(SecureListener::new(listener, tls), router(api)).await,
    };
    if let Err(error) = served {
        tracing::error!("the admin API has ended: {error}");
    }
}

/// What the handlers share.
struct Api {
    state: Arc<State>,
    identity: Identity,
    /// Locked while the cores are asked.
    history: Mutex<History>,
}

type Shared = extract::State<Arc<Api>>;
type Words = Query<Vec<(String, String)>>;

fn router(api: Arc<Api>) -> axum::Router {
    let routes: [(&str, MethodRouter<Arc<Api>>); 10] = [
        ("/api/v1/versions", get(versions)),
        ("/api/v1/summaries", get(summaries)),
        ("/api/v1/streams", get(streams)),
        ("/api/v1/streams/{id}", get(stream)),
        ("/api/v1/channels", get(channels)),
        ("/api/v1/clients", get(clients)),
        ("/api/v1/clients/{id}", get(client)),
        ("/api/v1/certificates", get(certificates)),
        ("/metrics", get(prometheus)),
        ("/healthz", get(healthz)),
    ];
    let mut router = axum::Router::new().route("/", get(async || INDEX));
    for (path, method) in routes {
        // Clients of SRS ask with and without the last slash.
        router = router.route(&format!("{path}/"), method.clone()).route(path, method);
    }
    router.fallback(no_such_path).method_not_allowed_fallback(read_only).with_state(api)
}

#[derive(Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Serialize)]
struct StreamList<'a> {
    total: usize,
    streams: Vec<streams::Stream<'a>>,
}

#[derive(Serialize)]
struct OneStream<'a> {
    stream: streams::Stream<'a>,
}

#[derive(Serialize)]
struct ChannelList<'a> {
    total: usize,
    channels: Vec<channels::Channel<'a>>,
}

#[derive(Serialize)]
struct ClientList<'a> {
    total: usize,
    clients: Vec<clients::Client<'a>>,
}

#[derive(Serialize)]
struct CertificateList<'a> {
    total: usize,
    certificates: &'a [Certificate],
}

#[derive(Serialize)]
struct OneClient<'a> {
    client: clients::Client<'a>,
}

async fn versions(extract::State(api): Shared) -> Response {
    api.identity.reply(Data { data: Version::of_this_program() })
}

async fn summaries(extract::State(api): Shared) -> Response {
    let shards = api.glance().await;
    api.identity.reply(Data { data: Summary::of(&api.whole(shards)) })
}

async fn streams(extract::State(api): Shared, Query(words): Words) -> Response {
    let is_full = words.iter().any(|(key, value)| key == "analysis" && value == "1");
    let (shards, history) = api.look(is_full).await;
    let all = streams::sorted(&shards);
    let page = Page::from_query(&words).cut(&all);
    let streams = streams::describe(page, &shards, &history, is_full);
    api.identity.reply(StreamList { total: all.len(), streams })
}

async fn stream(extract::State(api): Shared, Path(id): Path<String>) -> Response {
    let (shards, history) = api.look(true).await;
    let mut all = streams::sorted(&shards);
    all.retain(|stream| stream.id.to_string() == id);
    match streams::describe(&all, &shards, &history, true).pop() {
        Some(stream) => api.identity.reply(OneStream { stream }),
        None => api.identity.refuse(Refusal::NoSuchStream),
    }
}

async fn channels(extract::State(api): Shared, Query(words): Words) -> Response {
    let shards = api.glance().await;
    let all = channels::sorted(&shards);
    let channels = channels::describe(Page::from_query(&words).cut(&all), &shards);
    api.identity.reply(ChannelList { total: all.len(), channels })
}

async fn clients(extract::State(api): Shared, Query(words): Words) -> Response {
    let (shards, history) = api.look(false).await;
    let all = clients::sorted(&shards);
    let page = Page::from_query(&words).cut(&all);
    let clients = clients::describe(page, &shards, &history);
    api.identity.reply(ClientList { total: all.len(), clients })
}

async fn client(extract::State(api): Shared, Path(id): Path<String>) -> Response {
    let (shards, history) = api.look(false).await;
    let mut all = clients::sorted(&shards);
    all.retain(|(_, client)| client.id == id);
    match clients::describe(&all, &shards, &history).pop() {
        Some(client) => api.identity.reply(OneClient { client }),
        None => api.identity.refuse(Refusal::NoSuchClient),
    }
}

async fn certificates(extract::State(api): Shared, Query(words): Words) -> Response {
    let all = Certificate::all(&api.state.acceptors);
    let page = Page::from_query(&words).cut(&all);
    api.identity.reply(CertificateList { total: all.len(), certificates: page })
}

async fn prometheus(extract::State(api): Shared) -> Response {
    let shards = api.glance().await;
    match metrics::text(api.whole(shards)) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// 200 as soon as the heart of every core has beaten once; 503 with the names of those that stand
/// still.
async fn healthz(extract::State(api): Shared) -> (StatusCode, String) {
    let stats = api.state.links.stats();
    let before: Vec<u64> = stats.iter().map(|core| core.heartbeat.load()).collect();
    let until = Instant::now() + HEALTH_WAIT;
    loop {
        let still = standing_still(&stats, &before);
        if still.is_empty() {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        if Instant::now() >= until {
            let names: Vec<String> = still.iter().map(|core| format!("core {core}")).collect();
            let text = format!("standing still: {}\n", names.join(", "));
            return (StatusCode::SERVICE_UNAVAILABLE, text);
        }
        tokio::time::sleep(HEALTH_POLL).await;
    }
}

fn standing_still(stats: &[Arc<CoreStats>], before: &[u64]) -> Vec<usize> {
    let beats = stats.iter().zip(before).enumerate();
    beats
        .filter(|(_, (core, beat))| core.heartbeat.load() == **beat)
        .map(|(core, _)| core)
        .collect()
}

async fn no_such_path(extract::State(api): Shared) -> Response {
    api.identity.refuse(Refusal::NoSuchPath)
}

async fn read_only(extract::State(api): Shared) -> Response {
    api.identity.refuse(Refusal::ReadOnly)
}

impl Api {
    fn new(state: Arc<State>) -> Self {
        let (identity, history) = (Identity::of_this_process(), Mutex::default());
        Self { state, identity, history }
    }

    /// Asks the cores what they hold, and keeps it for the rates. `tables`: with all that is measured of
    /// transport streams.
    async fn look(&self, tables: bool) -> (Vec<ShardSnapshot>, MutexGuard<'_, History>) {
        let mut history = self.history.lock().await;
        let mut shards = self.state.links.snapshots(Look { clients: true, tables }).await;
        clients::merge_sessions(&mut shards);
        history.observe(self.uptime_ms(), &shards);
        (shards, history)
    }

    /// Asks the cores what they hold, without their connections: cheap for the cores however many.
    async fn glance(&self) -> Vec<ShardSnapshot> {
        let _one_at_a_time = self.history.lock().await;
        self.state.links.snapshots(Look { clients: false, tables: false }).await
    }

    fn whole(&self, shards: Vec<ShardSnapshot>) -> Whole {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Whole {
            stats: self.state.links.stats(),
            shards,
            usage: Usage::now(),
            uptime_ms: self.uptime_ms(),
            now_ms: now.as_millis() as u64,
            rescues: self.state.links.rescues(),
            budget_used: self.state.budget.used(),
            budget_max: self.state.budget.bytes_max(),
            certificates: Certificate::all(&self.state.acceptors),
        }
    }

    fn uptime_ms(&self) -> u64 {
        self.state.started.elapsed().as_millis() as u64
    }
}

/// Looks now and then, so that the first client to ask finds rates. Where there are many
/// connections an answer costs a core some milliseconds, and nobody's media waits for numbers that
/// nobody asked for.
async fn keep_history(api: Arc<Api>) {
    let mut every = tokio::time::interval(HISTORY_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let stats = api.state.links.stats();
        let most = stats.iter().map(|core| core.connections.load()).max().unwrap_or(0);
        if (1..=HISTORY_CONNECTIONS_MAX).contains(&most) {
            drop(api.look(false).await);
        }
    }
}

/// Three samples within the time that rates cover.
const HISTORY_EVERY: Duration = Duration::from_secs(10);
/// Connections of one core; each costs it a call of the kernel and a few allocations, a microsecond
/// or two.
const HISTORY_CONNECTIONS_MAX: u64 = 500;
/// A core beats every 25 ms or faster; one that does not for this long has stopped, or is
/// hopelessly behind.
const HEALTH_WAIT: Duration = Duration::from_secs(1);
const HEALTH_POLL: Duration = Duration::from_millis(2);

const INDEX: &str = "\
corelay

/api/v1/streams         streams, ?start=0&count=10
                        &analysis=1: with all that is measured of transport streams
/api/v1/streams/ID      one stream, with all that is measured
/api/v1/channels        channels, ?start=0&count=10
/api/v1/clients         connections, ?start=0&count=10
/api/v1/clients/ID      one connection
/api/v1/certificates    what is shown by TLS, on which listener, and until when it is valid
/api/v1/summaries       the server, its cores, its memory, what was dropped and why
/api/v1/versions        version
/metrics                for Prometheus
/healthz                200 when every core runs, 503 with the core that does not
";
