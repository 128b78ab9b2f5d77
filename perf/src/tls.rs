//! The client's side of TLS, without a socket: ciphertext in, plain bytes out, and the other way
//! round.
//!
//! Clients take any certificate: they measure a server and have no secrets to keep from it.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

/// One client's TLS.
#[derive(Debug)]
pub struct Tls(Box<ClientConnection>);

impl Tls {
    /// A client that begins. Its first output is there at once.
    ///
    /// # Errors
    /// `host` is neither a name nor an address.
    pub fn new(config: &Arc<ClientConfig>, host: &str) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| format!("`{host}` is no name for TLS"))?;
        let connection = ClientConnection::new(Arc::clone(config), name);
        connection.map(|connection| Self(Box::new(connection))).map_err(say)
    }

    /// Takes bytes from the server and appends what they say to `plain`.
    ///
    /// # Errors
    /// Why the connection is over; an alert for the server is in the output then.
    pub fn handle_input(&mut self, mut input: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
        while !input.is_empty() {
            self.0.read_tls(&mut input).map_err(|error| error.to_string())?;
            let state = self.0.process_new_packets().map_err(say)?;
            let before = plain.len();
            plain.resize(before + state.plaintext_bytes_to_read(), 0);
            let room = plain.get_mut(before..).unwrap_or_default();
            self.0.reader().read_exact(room).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Takes bytes for the server. Before the end of the handshake they wait.
    ///
    /// # Errors
    /// More wait than a client has to say.
    pub fn write(&mut self, plain: &[u8]) -> Result<(), String> {
        self.0.writer().write_all(plain).map_err(|error| error.to_string())
    }

    /// Appends what is to be sent now.
    pub fn take_output(&mut self, out: &mut BytesMut) {
        while self.0.wants_write() {
            // Memory takes everything.
            let _ = self.0.write_tls(&mut out.writer());
        }
    }

    /// True until both sides have agreed.
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }
}

fn say(error: Error) -> String {
    format!("TLS: {error}")
}

/// Clients that ask for AES-128-GCM first, and know no session from before.
pub fn client_config() -> Arc<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    // Stable: the order of the others stays.
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let provider = Arc::new(provider);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider's suites serve both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    let mut config = config.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Takes every certificate whose key the server holds.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    /// A server with a certificate of its own.
    pub(crate) fn server_config() -> Arc<ServerConfig> {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key);
        Arc::new(config.unwrap())
    }

    #[test]
    fn bytes_go_both_ways_by_aes_128_wherever_they_are_split() {
        let mut client = Tls::new(&client_config(), "127.0.0.1").unwrap();
        let mut server = ServerConnection::new(server_config()).unwrap();
        client.write(b"question").unwrap();
        let (mut asked, mut answer, mut answered) = (Vec::new(), Vec::new(), false);
        for _ in 0..8 {
            let mut to_server = BytesMut::new();
            client.take_output(&mut to_server);
            let mut rest = &to_server[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
                let _ = server.reader().read_to_end(&mut asked);
            }
            if asked == b"question" && !answered {
                server.writer().write_all(&[7; 40_000]).unwrap();
                answered = true;
            }
            let mut to_client = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut to_client).unwrap();
            }
            to_client.chunks(99).for_each(|part| client.handle_input(part, &mut answer).unwrap());
        }
        assert!(!client.is_handshaking());
        assert_eq!(answer, [7; 40_000]);
        let suite = server.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
    }

    #[test]
    fn plain_bytes_from_a_server_end_it() {
        let mut client = Tls::new(&client_config(), "localhost").unwrap();
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert!(client.handle_input(answer, &mut Vec::new()).unwrap_err().starts_with("TLS: "));
        assert!(Tls::new(&client_config(), "").is_err());
    }
}
