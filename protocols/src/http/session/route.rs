//! What becomes of a request whose head is complete.

use std::sync::Arc;

use super::{Session, TEXT};
use crate::http::error::Refusal;
use crate::http::request::{Method, Request};
use crate::http::response::{self, Reply};
use crate::http::target::{self, Target};

impl Session {
    /// Answers a request, or asks the driver to.
    pub(super) fn route(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        self.body_left = request.content.skippable_bytes().unwrap_or(0);
        let settings = Arc::clone(&self.settings);
        match request.method {
            Method::Get | Method::Head => self.route_get(request),
            Method::Post => self.route_post(request),
            Method::Options => {
                let fields = response::preflight_fields(&settings);
                self.reply(Reply { status: 204, fields, ..page(request, "") });
                Ok(())
            }
            Method::Other => {
                self.reply_not_allowed(request);
                Ok(())
            }
        }
    }

    fn route_get(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let settings = Arc::clone(&self.settings);
        let head_only = request.method == Method::Head;
        let policy = || response::cross_domain_policy(&settings);
        match target::parse(request.origin_form, &settings)? {
            Target::Root => {
                self.reply(page(request, &response::root_page(request.host, &settings)));
            }
            Target::Stream(target) => return self.ask_play(request, target),
            Target::Hls(target) => self.ask_hls(request, target),
            Target::Relay(Ok(target)) => return self.ask_relay(request, target),
            Target::Relay(Err(what)) => {
                let text = format!("{what}; write /udp/[SOURCE@]GROUP[:PORT]");
                self.reply_text(400, &text, head_only, request.keep_alive);
            }
            Target::Status => self.ask_status(request),
            Target::CrossDomain if let Some(policy) = policy() => {
                self.reply(Reply { media_type: "application/xml", ..page(request, &policy) });
            }
            Target::CrossDomain | Target::Unknown => {
                self.reply_text(404, "nothing is served here", head_only, request.keep_alive);
            }
        }
        Ok(())
    }

    fn route_post(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let settings = Arc::clone(&self.settings);
        match target::parse(request.origin_form, &settings)? {
            Target::Stream(target) => self.ask_publish(request, target),
            Target::Unknown => {
                let text = "nothing is taken here; publish to /APP/NAME.ts";
                self.reply_text(404, text, false, request.keep_alive);
            }
            Target::Root
            | Target::CrossDomain
            | Target::Hls(_)
            | Target::Relay(_)
            | Target::Status => self.reply_not_allowed(request),
        }
        Ok(())
    }

    fn reply_not_allowed(&mut self, request: &Request<'_>) {
        self.reply_text(405, "GET, HEAD and OPTIONS are served", false, request.keep_alive);
    }
}

/// A page of text as the reply to `request`.
fn page<'a>(request: &Request<'_>, body: &'a str) -> Reply<'a> {
    let (head_only, keep_alive) = (request.method == Method::Head, request.keep_alive);
    Reply { status: 200, media_type: TEXT, body, fields: "", head_only, keep_alive }
}
