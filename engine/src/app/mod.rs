//! Applications: what may be published and played, and by whom.
//!
//! An application is a name on the wire (`rtmp://host/APP/stream`), a policy in the TOML and,
//! optionally, code: anything that implements [`Application`]. Where an application has none of its own,
//! [`live::Live`] decides by the policy alone.
//!
//! To add one: one file here, its section in the configuration, one arm in [`Applications::new`]; or,
//! outside this crate, [`crate::ServerBuilder::application`].

pub mod live;

use std::collections::HashMap;
use std::sync::Arc;

use corelay_config::Policy;

use crate::hub::Hub;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The application's name.
    pub app: &'a str,
    /// The stream's name; empty when only a connection is asked for.
    pub name: &'a str,
    /// The queries of application and stream, joined by `&`: tokens live here.
    pub query: &'a str,
    /// The policy of the application.
    pub policy: &'a Policy,
}

/// Why an application refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no such application.
    NoSuchApplication,
    /// The stream's name cannot be one.
    BadName,
    /// It does not allow that, in words for the peer.
    Forbidden(&'static str),
}

impl Denied {
    /// In words for the peer.
    pub fn text(&self) -> &'static str {
        match self {
            Self::NoSuchApplication => "no such application",
            Self::BadName => "not a stream name: 1 to 255 bytes without control characters",
            Self::Forbidden(why) => why,
        }
    }

    /// The status of an HTTP reply.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::NoSuchApplication => 404,
            Self::BadName => 400,
            Self::Forbidden(_) => 403,
        }
    }
}

/// Decides what may be done in an application. Called on data cores: it must not block.
pub trait Application: Send + Sync {
    /// May this be published?
    ///
    /// # Errors
    /// Why not.
    fn may_publish(&self, request: Request<'_>) -> Result<(), Denied>;

    /// May this be played? By HLS, this is asked for each playlist and key, and not for segments: they have
    /// the same URLs for all viewers, without a query.
    ///
    /// # Errors
    /// Why not.
    fn may_play(&self, request: Request<'_>) -> Result<(), Denied>;
}

/// The applications of a server.
pub struct Applications {
    own: HashMap<String, Arc<dyn Application>>,
    default: Arc<dyn Application>,
}

impl Applications {
    /// The applications that come with code of their own, and [`live::Live`] for all others.
    pub fn new(own: HashMap<String, Arc<dyn Application>>) -> Self {
        Self { own, default: Arc::new(live::Live) }
    }

    /// May a client connect to `app`?
    ///
    /// # Errors
    /// There is no such application.
    pub fn may_connect(&self, hub: &mut Hub, app: &str) -> Result<Arc<Policy>, Denied> {
        hub.policy(app).ok_or(Denied::NoSuchApplication)
    }

    /// May `app/name` be published?
    ///
    /// # Errors
    /// Why not.
    pub fn may_publish(
        &self,
        hub: &mut Hub,
        app: &str,
        name: &str,
        query: &str,
    ) -> Result<(), Denied> {
        let policy = self.check(hub, app, name)?;
        self.of(app).may_publish(Request { app, name, query, policy: &policy })
    }

    /// May `app/name` be played?
    ///
    /// # Errors
    /// Why not.
    pub fn may_play(
        &self,
        hub: &mut Hub,
        app: &str,
        name: &str,
        query: &str,
    ) -> Result<(), Denied> {
        let policy = self.check(hub, app, name)?;
        self.of(app).may_play(Request { app, name, query, policy: &policy })
    }

    fn check(&self, hub: &mut Hub, app: &str, name: &str) -> Result<Arc<Policy>, Denied> {
        let usable = |part: &str| {
            !part.is_empty() && part.len() <= NAME_BYTES_MAX && !part.chars().any(char::is_control)
        };
        if !usable(app) || !usable(name) {
            return Err(Denied::BadName);
        }
        hub.policy(app).ok_or(Denied::NoSuchApplication)
    }

    fn of(&self, app: &str) -> &dyn Application {
        &**self.own.get(app).unwrap_or(&self.default)
    }
}

/// Names go into log lines, metrics and, later, file names.
const NAME_BYTES_MAX: usize = 255;
