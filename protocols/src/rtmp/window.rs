//! Acknowledgement both ways (Adobe RTMP 1.0, 5.4.3 to 5.4.5).

use super::error::Error;
use super::message::{parse_u32, type_id};
use super::output::Output;

/// When to acknowledge, and what the peer has acknowledged.
///
/// Nothing is withheld until the peer acknowledges: TCP's own window does that better.
#[derive(Debug)]
pub(super) struct Window {
    /// An acknowledgement is due after so many bytes.
    size: u32,
    acknowledged: u64,
    peer_acknowledged: u32,
}

impl Window {
    /// Acknowledges every `size` bytes until the peer says otherwise.
    pub(super) fn new(size: u32) -> Self {
        Self { size, acknowledged: 0, peer_acknowledged: 0 }
    }

    /// The peer's last sequence number; wraps at 32 bits.
    pub(super) fn peer_acknowledged(&self) -> u32 {
        self.peer_acknowledged
    }

    /// Takes one of the three messages that are about windows.
    ///
    /// # Errors
    /// The body is too short; `at` is for the error.
    pub(super) fn handle(
        &mut self,
        type_id: u8,
        payload: &[u8],
        at: u64,
        output: &mut Output,
    ) -> Result<(), Error> {
        let number = parse_u32(payload, at)?;
        match type_id {
            type_id::ACKNOWLEDGEMENT => self.peer_acknowledged = number,
            // 0 would ask for acknowledgements without end.
            type_id::WINDOW_ACK_SIZE if number > 0 => self.size = number,
            // The answer that the specification asks for.
            type_id::SET_PEER_BANDWIDTH => {
                output.control(type_id::WINDOW_ACK_SIZE, &number.to_be_bytes());
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends an acknowledgement of `received` bytes if one is due.
    pub(super) fn acknowledge(&mut self, received: u64, output: &mut Output) {
        if received - self.acknowledged >= u64::from(self.size) {
            self.acknowledged = received;
            // The sequence number is the low 32 bits by its definition.
            let sequence_number = received as u32;
            output.control(type_id::ACKNOWLEDGEMENT, &sequence_number.to_be_bytes());
        }
    }
}
