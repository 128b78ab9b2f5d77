//! A server with an application of its own: `vip` may be published by anybody, and played only with
//! `?token=open-sesame`.
//!
//! ```text
//! cargo run --example own_application
//! ffplay 'rtmp://127.0.0.1/vip/test?token=open-sesame'
//! ```

use std::sync::Arc;

use corelay::app::{Application, Denied, Request};
use corelay::{Server, banner};
use corelay_config::Config;

struct Vip;

impl Application for Vip {
    fn may_publish(&self, _: Request<'_>) -> Result<(), Denied> {
        Ok(())
    }

    fn may_play(&self, request: Request<'_>) -> Result<(), Denied> {
        if request.query.split('&').any(|pair| pair == "token=open-sesame") {
            return Ok(());
        }
        Err(Denied::Forbidden("a token is needed here"))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(std::env::args_os().nth(1).as_deref().map(AsRef::as_ref))?;
    let server = Server::builder(config.clone()).application("vip", Arc::new(Vip)).start()?;
    print!("{}", banner::text(server.listening(), &config));
    server.run()?;
    Ok(())
}
