//! Certificate files that are valid, invalid and changed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConnection, StreamOwned};
use sglang_server_args::ServerArgs;
use sglang_tls::{ServerTls, TlsFiles, connect};

/// Writes `NAME.key` and `NAME.crt`.
fn make(dir: &Path, name: &str) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join(format!("{name}.crt")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), signing_key.serialize_pem()).unwrap();
}

fn files(dir: &Path, key: &str, cert: &str, more: &[&str]) -> TlsFiles {
    let path = |name: &str| dir.join(name).display().to_string();
    let mut argv = vec!["x".to_owned(), "--model-path".into(), "m".into()];
    argv.extend(["--ssl-keyfile".into(), path(key), "--ssl-certfile".into(), path(cert)]);
    argv.extend(more.iter().map(|flag| (*flag).to_owned()));
    TlsFiles::from_server_args(&ServerArgs::parse_from(argv).unwrap_or_else(|_| panic!("flags"))).unwrap()
}

/// Serves one connection and returns what a client that trusts only the certificate of `client` receives.
fn talk(server: &ServerTls, client: &TlsFiles) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(server.config().unwrap());
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut byte = [0];
        // Fails if the client rejects the certificate.
        if tls.read_exact(&mut byte).is_ok() {
            tls.write_all(b"hello").unwrap();
            tls.conn.send_close_notify();
            tls.flush().unwrap();
        }
    });
    let heard = (|| {
        let mut stream = connect(client, TcpStream::connect(address)?)?;
        stream.write_all(b"?")?;
        stream.flush()?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })();
    serving.join().unwrap();
    heard
}

#[test]
fn wrong_files_are_named_with_their_flag() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    make(dir, "a");
    make(dir, "b");
    std::fs::write(dir.join("empty"), "").unwrap();
    std::fs::write(dir.join("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    files(dir, "a.key", "a.crt", &[]).check().unwrap();
    let wrong = |key: &str, cert: &str, more: &[&str], expected: &str| {
        let error = files(dir, key, cert, more).check().unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    };
    wrong("none", "a.crt", &[], "--ssl-keyfile ");
    wrong("none", "a.crt", &[], "No such file");
    wrong("a.key", "none", &[], "--ssl-certfile ");
    wrong("a.key", "empty", &[], "found none in it");
    wrong("a.key", "broken", &[], "not a PEM file");
    wrong("a.crt", "a.crt", &[], "expected a PEM file with a private key");
    wrong("b.key", "a.crt", &[], "not the key of the certificate in");
    let empty = dir.join("empty").display().to_string();
    wrong("a.key", "a.crt", &["--ssl-ca-certs", &empty], "--ssl-ca-certs ");
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let check = |more: &[&str]| files(&dir, "encrypted.key", "encrypted.crt", more).check();
    check(&["--ssl-keyfile-password", "secret"]).unwrap();
    assert!(check(&[]).unwrap_err().to_string().contains("give --ssl-keyfile-password"));
    let wrong = check(&["--ssl-keyfile-password", "guess"]).unwrap_err().to_string();
    assert!(wrong.contains("cannot be decrypted"), "{wrong}");
    let old =
        files(&dir, "old-encryption.key", "encrypted.crt", &["--ssl-keyfile-password", "secret"]).check();
    assert!(old.unwrap_err().to_string().contains("openssl pkcs8 -topk8"));
}

#[test]
fn changed_files_are_reloaded_unless_they_are_invalid() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    make(dir, "a");
    make(dir, "b");
    let served = files(dir, "s.key", "s.crt", &[]);
    let put = |name: &str| {
        for kind in ["key", "crt"] {
            std::fs::copy(dir.join(format!("{name}.{kind}")), dir.join(format!("s.{kind}"))).unwrap();
        }
    };
    put("a");
    let server = ServerTls::new(served).unwrap();
    let (a, b) = (files(dir, "a.key", "a.crt", &[]), files(dir, "b.key", "b.crt", &[]));
    assert_eq!(talk(&server, &a).unwrap(), "hello");
    assert!(talk(&server, &b).unwrap_err().to_string().contains("not the certificate"));
    assert!(server.refresh().is_none(), "nothing has changed");
    std::fs::write(dir.join("s.crt"), "half").unwrap();
    assert!(server.refresh().unwrap().is_err());
    assert_eq!(talk(&server, &a).unwrap(), "hello", "what was read before goes on");
    // A file system's clock may be too coarse to tell two writes apart.
    std::thread::sleep(std::time::Duration::from_millis(20));
    put("b");
    server.refresh().unwrap().unwrap();
    assert_eq!(talk(&server, &b).unwrap(), "hello");
    assert!(talk(&server, &a).is_err());
}
