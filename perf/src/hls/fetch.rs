//! One thing after the other from a server, waiting for each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use super::answer::Answer;

/// A connection to a server.
pub(crate) struct Source {
    stream: TcpStream,
    authority: String,
}

impl Source {
    /// Connects; `authority` is what the `Host` header says.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) fn connect(address: SocketAddr, authority: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Self { stream, authority: authority.to_owned() })
    }

    /// The body at a path.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.authority);
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Answer::new(true);
        let mut buffer = vec![0; READ_BYTES];
        while !answer.is_whole() {
            let read = self.stream.read(&mut buffer).with_context(|| format!("no `{path}`"))?;
            ensure!(read > 0, "the server closed the connection instead of sending `{path}`");
            let input = buffer.get(..read).unwrap_or_default();
            answer.handle_input(input).map_err(|why| anyhow!("`{path}`: {why}"))?;
        }
        Ok(answer.into_body())
    }
}

/// A server may hold a request until there is something to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
const READ_BYTES: usize = 64 << 10;
