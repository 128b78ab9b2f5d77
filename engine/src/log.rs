//! Log lines of data cores: small records in a ring, written out by the control thread.
//!
//! Invariants
//! - Writing a line never blocks a core: when the ring is full the line is lost and counted.
//! - Every line of a connection carries the connection's id.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};
use tracing::Level;

use crate::hub::ConnectionId;
use crate::stats::CoreStats;

/// One line.
#[derive(Debug)]
pub struct Record {
    level: Level,
    connection: Option<ConnectionId>,
    text: String,
}

/// A core's end: where lines go in.
pub struct Logger {
    ring: Producer<Record>,
    stats: Arc<CoreStats>,
}

/// The control thread's end: where lines come out.
pub struct LogDrain {
    ring: Consumer<Record>,
}

/// Makes the ring between one core and the control thread.
pub fn ring(stats: Arc<CoreStats>) -> (Logger, LogDrain) {
    let (producer, consumer) = RingBuffer::new(RECORDS);
    (Logger { ring: producer, stats }, LogDrain { ring: consumer })
}

impl Logger {
    /// Writes a line about a connection.
    pub fn connection(&mut self, level: Level, id: ConnectionId, text: String) {
        self.push(Record { level, connection: Some(id), text });
    }

    /// Writes a line about the core.
    pub fn core(&mut self, level: Level, text: String) {
        self.push(Record { level, connection: None, text });
    }

    fn push(&mut self, record: Record) {
        if !tracing::level_filters::LevelFilter::current().ge(&record.level) {
            return;
        }
        if self.ring.push(record).is_err() {
            self.stats.log_lines_lost.add(1);
        }
    }
}

impl LogDrain {
    /// Writes out what has come in.
    pub fn drain(&mut self) {
        while let Ok(Record { level, connection, text }) = self.ring.pop() {
            match connection {
                Some(id) => write(level, Some(&id.to_string()), &text),
                None => write(level, None, &text),
            }
        }
    }
}

fn write(level: Level, connection: Option<&str>, text: &str) {
    match level {
        Level::ERROR => tracing::error!(connection, "{text}"),
        Level::WARN => tracing::warn!(connection, "{text}"),
        Level::INFO => tracing::info!(connection, "{text}"),
        Level::DEBUG => tracing::debug!(connection, "{text}"),
        Level::TRACE => tracing::trace!(connection, "{text}"),
    }
}

/// Lines that fit between two visits of the control thread: a storm of 10,000 connections a second at
/// two lines each, for 200 ms.
const RECORDS: usize = 4_096;
