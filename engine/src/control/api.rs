//! The admin API.
use std::net::TcpListener;
use std::sync::Arc;

use super::State;

/// Serves the API.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let _ = (listener, state);
}
