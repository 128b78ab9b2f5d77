//! TLS by the kernel (kTLS, Documentation/networking/tls.rst): after the handshake the keys go to the
//! socket, and what is written to it in plain is encrypted on its way.
//!
//! It saves the copy into records and lets a viewer be served straight from the log again. It is off by
//! default (`tls.kernel`): the kernel must have CONFIG_TLS, a peer that changes its keys (RFC 8446 4.6.3)
//! or sends any other record but data is cut off, and the end is told by the socket's end alone.
//!
//! Only the layout of what the kernel is given is tested: no machine of the project has CONFIG_TLS.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, RawFd};

use libc::{
    tls_crypto_info, tls12_crypto_info_aes_gcm_128 as Aes128,
    tls12_crypto_info_aes_gcm_256 as Aes256,
};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};

use super::stream::Stream;

/// What became of an attempt.
#[derive(Debug)]
pub enum TakeOver {
    /// The socket encrypts.
    Done,
    /// It stays as it is: the kernel has not got it, or not for this connection.
    Not(Box<Stream>),
    /// The keys are gone, and the kernel did not take them: the connection must be closed.
    Failed(io::Error),
}

/// Looks whether the kernel has it, with a connection of our own.
///
/// # Errors
/// What the kernel says: `ENOENT` when it has no CONFIG_TLS.
pub fn probe() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    attach(client.as_raw_fd())
}

/// Gives an established connection to the kernel. It must be between records
/// ([`Stream::is_between_records`]).
pub fn take_over(fd: RawFd, stream: Box<Stream>) -> TakeOver {
    if !stream.is_between_records() || !is_gcm(&stream) || attach(fd).is_err() {
        return TakeOver::Not(stream);
    }
    let connection = stream.into_connection();
    let is_v13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let version = if is_v13 { libc::TLS_1_3_VERSION } else { libc::TLS_1_2_VERSION };
    let taken = connection.dangerous_extract_secrets().map_err(io::Error::other);
    let taken = taken.and_then(|secrets| {
        install(fd, libc::TLS_TX, version, secrets.tx.0, &secrets.tx.1)?;
        install(fd, libc::TLS_RX, version, secrets.rx.0, &secrets.rx.1)
    });
    match taken {
        Ok(()) => TakeOver::Done,
        Err(error) => TakeOver::Failed(error),
    }
}

/// Every kernel with TLS has these suites; the others came later.
fn is_gcm(stream: &Stream) -> bool {
    stream.suite().is_some_and(|name| name.contains("_GCM_"))
}

fn attach(fd: RawFd) -> io::Result<()> {
    set(fd, libc::SOL_TCP, libc::TCP_ULP, c"tls".to_bytes_with_nul())
}

fn install(
    fd: RawFd,
    direction: libc::c_int,
    version: u16,
    sequence: u64,
    secrets: &ConnectionTrafficSecrets,
) -> io::Result<()> {
    let info = crypto_info(version, sequence, secrets)
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    set(fd, libc::SOL_TLS, direction, &info)
}

/// The bytes of `struct tls12_crypto_info_aes_gcm_*` (linux/tls.h): version, cipher, then the explicit
/// part of the nonce, the key, the implicit part and the number of the next record.
fn crypto_info(version: u16, sequence: u64, secrets: &ConnectionTrafficSecrets) -> Option<Vec<u8>> {
    let (cipher_type, key, iv) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (libc::TLS_CIPHER_AES_GCM_128, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (libc::TLS_CIPHER_AES_GCM_256, key, iv),
        _ => return None,
    };
    let (salt, explicit) = iv.as_ref().split_at_checked(libc::TLS_CIPHER_AES_GCM_128_SALT_SIZE)?;
    let mut bytes = Vec::with_capacity(size_of::<Aes256>());
    bytes.extend_from_slice(&version.to_ne_bytes());
    bytes.extend_from_slice(&cipher_type.to_ne_bytes());
    bytes.extend_from_slice(explicit);
    bytes.extend_from_slice(key.as_ref());
    bytes.extend_from_slice(salt);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    Some(bytes)
}

fn set(fd: RawFd, level: libc::c_int, name: libc::c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel copies as many bytes as the slice has; a stale descriptor only yields an error.
    let result = unsafe {
        libc::setsockopt(fd, level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

// What is put together by hand above has the layout that the kernel's header gives it.
const _: () = {
    assert!(size_of::<tls_crypto_info>() == 4);
    assert!(size_of::<Aes128>() == 4 + 8 + 16 + 4 + 8 && size_of::<Aes256>() == 4 + 8 + 32 + 4 + 8);
    assert!(std::mem::offset_of!(Aes128, iv) == 4 && std::mem::offset_of!(Aes128, key) == 12);
    assert!(
        std::mem::offset_of!(Aes128, salt) == 28 && std::mem::offset_of!(Aes128, rec_seq) == 32
    );
    assert!(std::mem::offset_of!(Aes256, iv) == 4 && std::mem::offset_of!(Aes256, key) == 12);
    assert!(
        std::mem::offset_of!(Aes256, salt) == 44 && std::mem::offset_of!(Aes256, rec_seq) == 48
    );
};

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::{AeadKey, Iv};

    use super::*;

    #[test]
    fn the_kernel_is_given_version_cipher_nonce_key_salt_and_record_number_in_this_order() {
        let iv = Iv::copy(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let secrets = ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([0x77; 32]), iv };
        let bytes = crypto_info(libc::TLS_1_3_VERSION, 0x0102, &secrets).unwrap();
        assert_eq!(bytes.len(), size_of::<Aes256>());
        assert_eq!(bytes[..2], 0x0304u16.to_ne_bytes());
        assert_eq!(bytes[2..4], 52u16.to_ne_bytes());
        assert_eq!(bytes[4..12], [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(bytes[12..44], [0x77; 32]);
        assert_eq!(bytes[44..48], [1, 2, 3, 4]);
        assert_eq!(bytes[48..], [0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn the_probe_says_what_the_kernel_has() {
        // Either answer is right; that it is one, and that it costs nothing, is what is tested.
        match probe() {
            Ok(()) => {}
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{error}"),
        }
    }
}
