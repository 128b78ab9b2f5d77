//! Codecs whose PES packets hold whole units: Opus packets behind their control headers, and AV1
//! temporal units.

use bytes::{Buf, Bytes, BytesMut};

use super::StreamFault;
use super::stream::{Found, Unit};
use super::timeline::Times;
use crate::access_unit::UnitKind;
use crate::codec::{CodecId, av1, opus};

#[derive(Debug)]
pub(super) struct PacketStream {
    /// Opus or AV1.
    codec: CodecId,
    bytes: BytesMut,
    times: Option<Times>,
    /// OpusHead until it was handed out; av1C in force.
    config: Option<Bytes>,
    is_config_out: bool,
    unit_bytes_max: usize,
}

impl PacketStream {
    /// `config`: OpusHead of the descriptor; `None` for AV1.
    pub(super) fn new(codec: CodecId, config: Option<Bytes>, unit_bytes_max: usize) -> Self {
        Self {
            codec,
            bytes: BytesMut::new(),
            times: None,
            config,
            is_config_out: false,
            unit_bytes_max,
        }
    }

    /// A PES packet starts.
    pub(super) fn start(&mut self, times: Option<Times>) {
        self.bytes.clear();
        self.times = times;
    }

    /// The next bytes of its payload.
    pub(super) fn data(&mut self, data: &[u8], on_found: &mut impl FnMut(Found)) {
        self.bytes.extend_from_slice(data);
        if self.bytes.len() > self.unit_bytes_max {
            self.lose();
            on_found(Found::Fault(StreamFault::TooLong));
        }
    }

    /// Its payload is complete.
    pub(super) fn end(&mut self, on_found: &mut impl FnMut(Found)) {
        let bytes = self.bytes.split().freeze();
        let Some(times) = self.times.take().filter(|_| !bytes.is_empty()) else {
            return;
        };
        match self.codec {
            CodecId::Opus => self.hand_out_opus(bytes, times.pts, on_found),
            _ => self.hand_out_av1(&bytes, times, on_found),
        }
    }

    /// Bytes are missing: the packet is left out. True when there was something to leave out.
    pub(super) fn lose(&mut self) -> bool {
        let had_bytes = !self.bytes.is_empty();
        self.bytes.clear();
        self.times = None;
        had_bytes
    }

    fn hand_out_opus(&mut self, mut bytes: Bytes, from: i64, on_found: &mut impl FnMut(Found)) {
        let mut samples = 0;
        while !bytes.is_empty() {
            let header = opus::ControlHeader::parse(&bytes);
            let packet = header.and_then(|header| {
                let end = header.size.checked_add(header.packet_size)?;
                (header.packet_size > 0 && end <= bytes.len())
                    .then(|| bytes.slice(header.size..end))
            });
            let (Some(packet), Some(header)) = (packet, header) else {
                return on_found(Found::Fault(StreamFault::Malformed("Opus control header")));
            };
            bytes.advance(header.size + header.packet_size);
            let time = from + i64::from(samples) * 90_000 / 48_000;
            samples += opus::packet_samples(&packet).unwrap_or(0);
            if let (Some(head), false) = (&self.config, self.is_config_out) {
                self.is_config_out = true;
                on_found(Found::config(CodecId::Opus, time, head.clone()));
            }
            on_found(Found::audio(CodecId::Opus, time, packet));
        }
    }

    fn hand_out_av1(&mut self, bytes: &[u8], times: Times, on_found: &mut impl FnMut(Found)) {
        let Some(unit) = av1::unit::from_transport_stream(bytes) else {
            return on_found(Found::Fault(StreamFault::Malformed("AV1 temporal unit")));
        };
        let record = unit.sequence_header.as_deref().and_then(av1::unit::configuration_record);
        if let Some(record) = record.map(Bytes::from)
            && self.config.as_ref() != Some(&record)
        {
            self.config = Some(record.clone());
            on_found(Found::config(CodecId::Av1, times.dts, record));
        }
        if self.config.is_none() {
            return on_found(Found::Fault(StreamFault::NoConfig));
        }
        let kind = UnitKind::Frame { random_access: unit.is_random_access };
        on_found(Found::Unit(Unit { kind, codec: CodecId::Av1, times, payload: unit.obus }));
    }
}

#[cfg(test)]
mod tests;
