//! What anybody may send without a token: refused, and no reason for the log to cry.

use crate::support::ocim::Ground;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Heads that the HTTP parser refuses itself, with an empty body.
const NO_HEADS: [(&[u8], &str); 7] = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
    (b"\xff\xfe hello\r\n\r\n", "400"),
    (b"GET / HTTP/9.9\r\n\r\n", "400"),
    (b"GET /\r\n\r\n", "400"),
    (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
    (b"GET / HTTP/1.1\r\nhost: \x01\r\n\r\n", "400"),
    (b"POST /api/v1/instances HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n", "400"),
];

/// Requests, without the last line of their heads, that are answered with a problem.
const REQUESTS: [(&str, &str); 8] = [
    ("BREW / HTTP/1.1", "404"),
    ("GET /no/such/page HTTP/1.1", "404"),
    ("GET /api/v1/runs HTTP/1.1", "401"),
    ("BREW /api/v1/runs HTTP/1.1", "401"),
    ("GET /api/v1/runs HTTP/1.1\r\nauthorization: Bearer x", "401"),
    ("GET /api/v1/runs HTTP/1.1\r\nauthorization: Basic eDp5", "401"),
    ("GET /api/v1/%ff%00 HTTP/1.1", "401"),
    ("GET /metrics HTTP/1.1", "401"),
];

/// What is answered to these bytes, after which nothing more is sent.
async fn send(ground: &Ground, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(ground.address()).await.unwrap();
    // The server may refuse before it has read all.
    let _ = connection.write_all(bytes).await;
    let mut answer = vec![];
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> Option<&str> {
    answer.lines().next()?.split(' ').nth(1)
}

#[tokio::test]
async fn rubbish_is_refused_without_a_warning_in_the_log() {
    let mut ground = Ground::prepare().await;
    ground.start_with(&[("OCIM_CLOUDS", r#"{"sim": {"kind": "simulated"}}"#)]).await;
    for (bytes, wanted) in NO_HEADS {
        let text = String::from_utf8_lossy(bytes);
        let answer = send(&ground, bytes).await;
        assert_eq!(status(&answer), Some(wanted), "{text:?}: {answer}");
    }
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    assert_eq!(status(&send(&ground, long.as_bytes()).await), Some("431"));
    for (head, wanted) in REQUESTS {
        let text = format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = send(&ground, text.as_bytes()).await;
        assert_eq!(status(&answer), Some(wanted), "{head}: {answer}");
        assert!(answer.contains("application/problem+json"), "{head}: {answer}");
    }

    // With a token, since nobody else's body is read.
    let (_, token) = ground.access();
    let head = format!(
        "POST /api/v1/instances HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    );
    for (rest, wanted) in [
        ("content-length: 3\r\n\r\n{,}", "400"),
        ("content-encoding: gzip\r\ncontent-length: 4\r\n\r\ngzip", "415"),
    ] {
        let answer = send(&ground, format!("{head}{rest}").as_bytes()).await;
        assert_eq!(status(&answer), Some(wanted), "{rest}: {answer}");
    }
    // Chunks that are none: the framework hangs up.
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n");
    let answer = send(&ground, chunks.as_bytes()).await;
    assert!([None, Some("400")].contains(&status(&answer)), "{answer}");
    // Somebody who goes in the middle of a body.
    let mut connection = TcpStream::connect(ground.address()).await.unwrap();
    let begun = format!("{head}content-length: 1000\r\n\r\n{{");
    connection.write_all(begun.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer).await;
    assert_eq!(status(&answer), Some("400"), "{answer}");
    assert!(answer.contains("ends before its announced length"), "{answer}");
    assert_eq!(ground.try_get("/ready").await.unwrap().0, 200);
}
