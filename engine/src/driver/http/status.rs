//! `/status`: what is relayed, for those who know the page of udpxy.

use std::fmt::Write as _;

use super::HttpDriver;
use crate::driver::Context;

impl HttpDriver {
    /// Lists what the viewers of this core watch. The API has all cores.
    pub(super) fn answer_status(&mut self, cx: &Context<'_>) {
        let core = cx.hub.core().0;
        let mut page =
            format!("corelay {}, core {core}: what its viewers watch\n", env!("CARGO_PKG_VERSION"));
        let mut streams = cx.hub.viewer_snapshots();
        streams.sort_by(|one, other| one.key.cmp(&other.key));
        for stream in streams {
            let served: usize = stream.by_form.iter().map(|(_, viewers)| viewers).sum();
            let viewers = served + stream.hls.iter().map(|one| one.viewers.len()).sum::<usize>();
            // Writing to a string cannot fail.
            let _ = writeln!(page, "{} viewers={viewers}", stream.key);
        }
        self.session.answer(200, "text/plain; charset=utf-8", &page);
    }
}
