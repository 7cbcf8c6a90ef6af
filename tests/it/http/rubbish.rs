//! What anybody may send: refused, and no reason for the log to cry.

use crate::support::ocim::Ground;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn rubbish_is_refused_without_a_warning_in_the_log() {
    let ground = Ground::serve().await;
    ground.expected.add(&[]);
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let cases = [
        ("\u{16}\u{3}\u{1} hello\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\n\r\n", "400"),
        ("GET /\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: \u{1}\r\n\r\n", "400"),
        ("POST /api/v1/instances HTTP/1.1\r\ncontent-length: many\r\n\r\n", "400"),
        (&long, "431"),
        ("BREW / HTTP/1.1\r\nconnection: close\r\n\r\n", "404"),
        ("GET /api/v1/runs HTTP/1.1\r\nconnection: close\r\n\r\n", "401"),
    ];
    for (text, status) in cases {
        let mut connection = TcpStream::connect(ground.address()).await.unwrap();
        // The server may refuse before it has read all.
        let _ = connection.write_all(text.as_bytes()).await;
        let mut answer = vec![];
        let _ = connection.read_to_end(&mut answer).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert_eq!(line.split(' ').nth(1), Some(status), "{text:.40}: {line}");
    }
}
