//! How a request head is gathered and cut off the input.

use std::mem;
use std::sync::Arc;

use super::{Session, Timer, Wait};
use crate::http::error::Error;
use crate::http::request::{Request, check_head, head_end};
use crate::session::Millis;

impl Session {
    pub(super) fn read_head(&mut self, now: Millis, input: &mut &[u8]) -> Result<(), Error> {
        if self.head.is_empty() {
            // Empty lines before a request are left-overs of old clients (RFC 9112 2.2).
            let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            *input = input.get(blank..).unwrap_or_default();
            if input.is_empty() {
                return Ok(());
            }
            self.begin_head(now);
        }
        if self.head.is_empty() && self.read_whole_head(input)? {
            return Ok(());
        }
        let had = self.head.len();
        let room = self.settings.header_bytes_max.saturating_add(1).saturating_sub(had);
        let (taken, rest) = input.split_at(room.min(input.len()));
        self.head.extend_from_slice(taken);
        let end = head_end(&self.head, had.saturating_sub(2));
        let mut head = mem::take(&mut self.head);
        head.truncate(end.unwrap_or(head.len()));
        check_head(&head, &self.settings).map_err(|refusal| self.fail(refusal))?;
        if end.is_none() {
            self.head = head;
            *input = rest;
            return Ok(());
        }
        *input = input.get(head.len().saturating_sub(had)..).unwrap_or_default();
        let settings = Arc::clone(&self.settings);
        let answered = Request::parse(&head, &settings).and_then(|request| self.route(&request));
        answered.map_err(|refusal| self.fail(refusal))
    }

    /// Takes a good head that has come in one piece, as nearly all do, without gathering it first.
    fn read_whole_head(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        if let Some(length) = self.ask_again(input) {
            *input = input.get(length..).unwrap_or_default();
            return Ok(true);
        }
        let settings = Arc::clone(&self.settings);
        let front = input.get(..settings.header_bytes_max).unwrap_or(input);
        let Some((request, length)) = Request::parse_first(front, &settings) else {
            return Ok(false);
        };
        *input = input.get(length..).unwrap_or_default();
        self.route(&request).map_err(|refusal| self.fail(refusal))?;
        self.remember(front.get(..length).unwrap_or_default());
        Ok(true)
    }

    fn begin_head(&mut self, now: Millis) {
        if self.timer.is_none_or(|timer| timer.wait != Wait::Request) {
            let at = Some(now + self.settings.request_timeout_ms);
            self.timer = Some(Timer { wait: Wait::Request, at });
        }
    }
}
