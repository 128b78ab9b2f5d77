//! The opening handshake, server side (RFC 6455 4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::http::error::Refusal;

/// The fields by which a request asks for a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Upgrade<'a> {
    /// `Connection` holds the token `Upgrade`.
    pub(in crate::http) connection: bool,
    /// `Sec-WebSocket-Key`.
    pub(in crate::http) key: Option<&'a [u8]>,
    /// `Sec-WebSocket-Version`.
    pub(in crate::http) version: Option<&'a [u8]>,
}

impl Upgrade<'_> {
    /// Checks the request as RFC 6455 4.2.1 says and returns the value of `Sec-WebSocket-Accept`.
    ///
    /// # Errors
    /// 426 for another version, 400 for a field that is missing or wrong.
    pub(in crate::http) fn accept(&self) -> Result<String, Refusal> {
        if !self.connection {
            return Err(Refusal::violation(400, "a WebSocket upgrade without Connection: Upgrade"));
        }
        if self.version != Some(b"13") {
            return Err(Refusal::unsupported(426, "a WebSocket version other than 13"));
        }
        let key = self.key.unwrap_or_default();
        let nonce_bytes = STANDARD.decode(key).map(|nonce| nonce.len());
        if nonce_bytes != Ok(NONCE_BYTES) {
            return Err(Refusal::violation(
                400,
                "a Sec-WebSocket-Key that is not 16 bytes in base64",
            ));
        }
        Ok(accept_key(key))
    }
}

/// The answer to a `Sec-WebSocket-Key` (RFC 6455 4.2.2, 5).
pub fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const NONCE_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

    // RFC 6455 1.3: the example of the specification.
    #[test]
    fn the_accept_key_is_the_one_of_the_specification() {
        assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_complete_request_is_accepted() {
        let upgrade = Upgrade { connection: true, key: Some(KEY), version: Some(b"13") };
        assert_eq!(upgrade.accept().as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn each_missing_or_wrong_field_is_refused() {
        let good = Upgrade { connection: true, key: Some(KEY), version: Some(b"13") };
        let status = |upgrade: Upgrade<'_>| upgrade.accept().map_err(|refusal| refusal.status);
        assert_eq!(status(Upgrade { connection: false, ..good }), Err(400));
        assert_eq!(status(Upgrade { version: None, ..good }), Err(426));
        assert_eq!(status(Upgrade { version: Some(b"8"), ..good }), Err(426));
        assert_eq!(status(Upgrade { key: None, ..good }), Err(400));
        assert_eq!(status(Upgrade { key: Some(b"c2hvcnQ="), ..good }), Err(400));
        assert_eq!(status(Upgrade { key: Some(b"not base64!"), ..good }), Err(400));
    }
}
