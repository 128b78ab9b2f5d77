//! One stream of an HTTP/2 connection: a request, and the driver that answers it.

use std::task::{Context as Task, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Request;

use super::message::{has_length, request_head, response_head};
use crate::clock::Micros;
use crate::driver::http::HttpDriver;
use crate::driver::{Context, Step};
use crate::hub::{Delivery, SubscriberId};
use crate::shard::Outbox;

/// See the module. To its driver the stream is a connection of HTTP/1.1 that ends with the response.
pub(super) struct Stream {
    /// The number of the stream, which tells its requests to the hub from those of others.
    pub(super) number: u32,
    pub(super) driver: HttpDriver,
    outbox: Outbox,
    shared: Option<SubscriberId>,
    request: Option<RecvStream>,
    /// Content ends with the stream, not by a length.
    is_open_ended: bool,
    reply: Reply,
    /// The driver has said all it has to say.
    is_over: bool,
    /// Since when the peer has taken nothing of what there is.
    blocked: Option<Micros>,
}

/// How far the response is.
enum Reply {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    Sent,
}

impl Stream {
    /// Takes a request, and has `driver` answer it.
    pub(super) fn begin(
        cx: &mut Context<'_>,
        request: Request<RecvStream>,
        reply: SendResponse<Bytes>,
        driver: HttpDriver,
    ) -> Self {
        let head = request_head(&request);
        let (parts, content) = request.into_parts();
        let mut stream = Self {
            number: reply.stream_id().as_u32(),
            driver,
            outbox: Outbox::default(),
            shared: None,
            is_open_ended: !has_length(&parts.headers),
            request: Some(content),
            reply: Reply::Head(reply),
            is_over: false,
            blocked: None,
        };
        stream.call(cx, |driver, cx| driver.handle_input(cx, &head));
        stream
    }

    /// Calls its driver, unless that has done with it.
    pub(super) fn call(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut HttpDriver, &mut Context<'_>) -> Step,
    ) {
        if self.is_over {
            return;
        }
        let Self { driver, outbox, shared, .. } = self;
        let mut own = Context {
            hub: &mut *cx.hub,
            applications: cx.applications,
            limits: cx.limits,
            stats: cx.stats,
            logger: &mut *cx.logger,
            now: cx.now,
            id: cx.id,
            peer: cx.peer,
            fd: cx.fd,
            is_secure: cx.is_secure,
            delivery: Delivery::Copied,
            links: &mut *cx.links,
            outbox,
            shared,
        };
        // Whatever ends it, its last words are in the outbox.
        if call(driver, &mut own).is_err() {
            driver.close(&mut own);
            self.is_over = true;
        }
    }

    /// Moves what has come to the driver, and what that has answered to the peer, as far as the stream's
    /// windows reach. True when something was moved.
    pub(super) fn exchange(&mut self, cx: &mut Context<'_>, task: &mut Task<'_>) -> bool {
        let received = self.receive(cx, task);
        self.call(cx, |driver, cx| {
            driver.drained(cx);
            Ok(())
        });
        let sent = self.send(task);
        if sent || self.outbox.is_empty() {
            self.blocked = None;
        } else {
            self.blocked.get_or_insert(cx.now);
        }
        received || sent
    }

    /// The response is with the connection, or the peer does not want it any more.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.reply, Reply::Sent)
    }

    /// Its driver leaves the hub, if it has not yet.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>) {
        self.call(cx, |driver, cx| {
            driver.close(cx);
            Ok(())
        });
        self.is_over = true;
    }

    /// Gives it up: the peer gets no more of it.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, reason: Reason) {
        self.leave(cx);
        match std::mem::replace(&mut self.reply, Reply::Sent) {
            Reply::Head(mut reply) => reply.send_reset(reason),
            Reply::Body(mut body) => body.send_reset(reason),
            Reply::Sent => {}
        }
    }

    /// Since when the peer has taken nothing of it though there is something.
    pub(super) fn blocked_since(&self) -> Option<Micros> {
        self.blocked
    }

    /// Hands the driver what it reads of the request's content: the windows open by as much.
    fn receive(&mut self, cx: &mut Context<'_>, task: &mut Task<'_>) -> bool {
        let mut has_received = false;
        while self.driver.wants_input() && !self.is_over {
            let Some(content) = &mut self.request else { break };
            match content.poll_data(task) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(bytes))) => {
                    // It fails only where there is nothing to release.
                    let _ = content.flow_control().release_capacity(bytes.len());
                    self.call(cx, |driver, cx| driver.handle_input(cx, &bytes));
                }
                Poll::Ready(None) => {
                    self.request = None;
                    if self.is_open_ended && self.driver.is_publishing() {
                        self.call(cx, HttpDriver::input_ended);
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.request = None;
                    self.give_up(cx, Reason::CANCEL);
                }
            }
            has_received = true;
        }
        has_received
    }

    fn send(&mut self, task: &mut Task<'_>) -> bool {
        let is_reset = match &mut self.reply {
            Reply::Head(reply) => reply.poll_reset(task).is_ready(),
            Reply::Body(body) => body.poll_reset(task).is_ready(),
            Reply::Sent => false,
        };
        if is_reset {
            return self.forget();
        }
        let mut has_sent = false;
        while match &self.reply {
            Reply::Head(_) => self.send_head(),
            Reply::Body(_) => self.send_body(),
            Reply::Sent => false,
        } {
            has_sent = true;
        }
        has_sent
    }

    /// The peer wants no more of the response.
    fn forget(&mut self) -> bool {
        self.outbox.clear();
        self.reply = Reply::Sent;
        true
    }

    fn send_head(&mut self) -> bool {
        let Reply::Head(reply) = &mut self.reply else { return false };
        let Some(mut message) = self.outbox.take(usize::MAX) else {
            if !self.is_over {
                return false;
            }
            // A driver that ends without a word has come upon a fault.
            reply.send_reset(Reason::INTERNAL_ERROR);
            self.reply = Reply::Sent;
            return true;
        };
        let Some(head) = response_head(&mut message) else {
            reply.send_reset(Reason::INTERNAL_ERROR);
            return self.forget();
        };
        self.outbox.push_rest(message);
        let sent = if head.status().is_informational() {
            reply.send_informational(head).map(|()| None)
        } else {
            let is_all = self.is_over && self.outbox.is_empty();
            reply.send_response(head, is_all).map(|body| Some((body, is_all)))
        };
        match sent {
            Ok(None) => {}
            Ok(Some((_, true))) => self.reply = Reply::Sent,
            Ok(Some((body, false))) => self.reply = Reply::Body(body),
            Err(_) => return self.forget(),
        }
        true
    }

    fn send_body(&mut self) -> bool {
        let Reply::Body(body) = &mut self.reply else { return false };
        let bytes = if self.outbox.is_empty() {
            if !self.is_over {
                return false;
            }
            Bytes::new()
        } else {
            body.reserve_capacity(self.outbox.len().min(DATA_BYTES_MAX));
            let room = body.capacity();
            let Some(bytes) = self.outbox.take(room) else { return false };
            bytes
        };
        let is_last = self.is_over && self.outbox.is_empty();
        if body.send_data(bytes, is_last).is_err() {
            return self.forget();
        }
        if is_last {
            self.reply = Reply::Sent;
        }
        true
    }
}

/// What of one response may wait in the connection. What waits there holds up other streams' bytes.
const DATA_BYTES_MAX: usize = 64 << 10;
