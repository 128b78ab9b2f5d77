//! One file per target: `run` takes the fuzzer's bytes and panics when a promise is broken.

pub mod amf0;
pub mod amf3;
pub mod codec_config;
pub mod flv_stream;
pub mod flv_tag;
pub mod fmp4;
pub mod id3;
pub mod latm;
pub mod nal_units;
pub mod rtp;
pub mod rtp_reorder;
pub mod scte35;
pub mod teletext;
pub mod ts_align;
pub mod ts_analysis;
pub mod ts_demux;
pub mod ts_filter;
pub mod ts_mux;
pub mod ts_outline;
pub mod ts_pace;
pub mod ts_pes;
pub mod ts_psi;
pub mod ts_scan;
pub mod ts_splice;
pub mod ts_streams;

/// A target: its name, which is also that of its corpus folder, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the replay test runs them all.
pub const ALL: &[Target] = &[
    ("amf0", amf0::run),
    ("amf3", amf3::run),
    ("codec_config", codec_config::run),
    ("flv_stream", flv_stream::run),
    ("flv_tag", flv_tag::run),
    ("fmp4", fmp4::run),
    ("id3", id3::run),
    ("latm", latm::run),
    ("nal_units", nal_units::run),
    ("rtp", rtp::run),
    ("rtp_reorder", rtp_reorder::run),
    ("scte35", scte35::run),
    ("teletext", teletext::run),
    ("ts_align", ts_align::run),
    ("ts_analysis", ts_analysis::run),
    ("ts_demux", ts_demux::run),
    ("ts_filter", ts_filter::run),
    ("ts_mux", ts_mux::run),
    ("ts_outline", ts_outline::run),
    ("ts_pace", ts_pace::run),
    ("ts_pes", ts_pes::run),
    ("ts_psi", ts_psi::run),
    ("ts_scan", ts_scan::run),
    ("ts_splice", ts_splice::run),
    ("ts_streams", ts_streams::run),
];
