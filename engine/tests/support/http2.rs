//! A client of HTTP/2 that can be told when to read, and how much the server may send before it does.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Method, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::LIMIT;

/// One connection. Nothing is read from it but in calls of its methods.
pub struct Client {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// The head of an answer, and its body to be read.
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Fields.
    pub fields: HeaderMap,
    /// See [`Client::read`].
    pub body: RecvStream,
}

impl Client {
    /// Connects; the server may send `window` bytes of each answer before they are read, and any number
    /// of all of them together.
    pub fn connect(config: Arc<ClientConfig>, address: SocketAddr, window: u32) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opening = async {
            let socket = TcpStream::connect(address).await.expect("it listens");
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
            h2::client::Builder::new()
                .initial_window_size(window)
                .initial_connection_window_size(1 << 30)
                .handshake(stream.expect("a TLS handshake"))
                .await
                .expect("an HTTP/2 handshake")
        };
        let (requests, connection) = runtime.block_on(opening);
        let connection = runtime.spawn(connection);
        Self { runtime, requests, connection }
    }

    /// Sends a request without content, when the server lets it.
    pub fn ask(&mut self, path: &str) -> ResponseFuture {
        let requests = self.requests.clone();
        let ready = self.within(requests.ready()).expect("a stream may be opened");
        let uri = format!("https://localhost{path}");
        let request = Request::builder().method(Method::GET).uri(uri).body(()).unwrap();
        ready.expect("it is open").send_request(request, true).expect("a request").0
    }

    /// Sends a request and takes it back. False when the connection is over.
    pub fn ask_and_forget(&mut self, path: &str) -> bool {
        let Self { runtime, requests, .. } = self;
        runtime.block_on(async {
            let Ok(mut requests) = requests.clone().ready().await else { return false };
            let uri = format!("https://localhost{path}");
            let request = Request::builder().uri(uri).body(()).unwrap();
            let Ok((answer, mut content)) = requests.send_request(request, false) else {
                return false;
            };
            content.send_reset(h2::Reason::CANCEL);
            drop(answer);
            tokio::task::yield_now().await;
            true
        })
    }

    /// No answer comes for a moment.
    pub fn is_pending(&mut self, asked: &mut ResponseFuture) -> bool {
        let moment = Duration::from_millis(500);
        self.runtime.block_on(async { timeout(moment, asked).await.is_err() })
    }

    /// Waits for the head of an answer.
    pub fn reply(&mut self, asked: ResponseFuture) -> Reply {
        let answer = self.within(asked).expect("an answer in time").expect("an answer");
        let (head, body) = answer.into_parts();
        Reply { status: head.status.as_u16(), fields: head.headers, body }
    }

    /// Asks, and waits for the whole answer.
    pub fn get(&mut self, path: &str) -> (u16, HeaderMap, Vec<u8>) {
        let asked = self.ask(path);
        let reply = self.reply(asked);
        (reply.status, reply.fields.clone(), self.rest_of(reply))
    }

    /// Reads an answer to its end.
    pub fn rest_of(&mut self, mut reply: Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(part) = self.read(&mut reply.body).expect("no reset") {
            bytes.extend_from_slice(&part);
        }
        bytes
    }

    /// The next bytes of an answer, which lets the server send as many more; `None` at its end.
    ///
    /// # Errors
    /// The stream was reset.
    pub fn read(&mut self, body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
        let read = self.within(poll_fn(|task| body.poll_data(task))).expect("bytes in time");
        let part = read.transpose()?;
        if let Some(part) = &part {
            body.flow_control().release_capacity(part.len())?;
        }
        Ok(part)
    }

    /// How the connection ended.
    pub fn await_end(mut self) -> Result<(), h2::Error> {
        drop(self.requests);
        let ended = self.runtime.block_on(async { timeout(LIMIT, &mut self.connection).await });
        ended.expect("it ends in time").expect("no panic")
    }

    /// Lets the connection go on for a moment.
    pub fn rest(&mut self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    fn within<F: Future>(&mut self, what: F) -> Option<F::Output> {
        self.runtime.block_on(async { timeout(LIMIT, what).await.ok() })
    }
}
