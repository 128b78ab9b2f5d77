//! What a rendition carries, in the words of a multivariant playlist.

use corelay_codecs::codec::rfc6381;
use corelay_codecs::container::mpegts::outline;
use corelay_codecs::{TrackInfo, TrackKind};

use super::tracks::Track;
use crate::hls::segment::Description;

/// Describes a rendition of these tracks.
pub(super) fn of_tracks<'a>(tracks: impl Iterator<Item = &'a Track>) -> Description {
    let mut description = Description::default();
    for track in tracks {
        add(&mut description, track.id.kind, &track.info, &track.config, "");
    }
    description
}

/// Describes a transport stream.
pub(super) fn of_transport(stream: &outline::Description) -> Description {
    let mut description = Description::default();
    // The order of the PMT is that of its makers; pictures come first here.
    for kind in [TrackKind::Video, TrackKind::Audio] {
        for track in stream.tracks.iter().filter(|track| track.kind == kind) {
            add(&mut description, kind, &track.info, &track.config, &track.language);
        }
    }
    description
}

/// Adds a track; pictures and sound are described by the first of each.
fn add(
    description: &mut Description,
    kind: TrackKind,
    info: &TrackInfo,
    config: &[u8],
    language: &str,
) {
    if let Some(name) = rfc6381(info, config)
        && !description.codecs.contains(&name)
    {
        description.codecs.push(name);
    }
    match kind {
        TrackKind::Video if description.width == 0 => {
            (description.width, description.height) = (info.width, info.height);
            description.frame_rate = info.frame_rate;
        }
        TrackKind::Audio if description.channels == 0 => {
            description.channels = info.channels;
            language.clone_into(&mut description.language);
        }
        _ => {}
    }
}
