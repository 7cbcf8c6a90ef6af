//! What a page of a list costs: CPU time of the whole process, from the request's bytes to the answer's.
//!
//! PostgreSQL is another process and does not count. The client writes and reads bytes, no more. The
//! goal is that of the release profile; with `--gate` the process fails when it is missed.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails should panic")]

#[allow(dead_code, unreachable_pub, reason = "it belongs to the tests, which need more of it")]
#[path = "../../tests/it/support/api_server.rs"]
mod api_server;
#[allow(dead_code, unreachable_pub, reason = "it belongs to the tests, which need more of it")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;

/// What the server of the tests takes from those of the program.
mod ocim {
    /// Pause between two looks.
    pub(crate) const POLL: std::time::Duration = std::time::Duration::from_millis(20);
}

use api_server::ApiServer;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

/// Instances of a page.
const PAGE: usize = 50;
/// Pages that are read.
const PAGES: u32 = 1_000;
/// Most CPU time of a page, in milliseconds.
const GOAL_MS: f64 = 0.4;
/// Clock ticks a second, in which Linux counts CPU time for programs.
const TICKS: f64 = 100.0;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let server = ApiServer::start().await;
    for number in 0..PAGE + 10 {
        server.given_instance(&format!("site-{number}")).await;
    }
    server.catch_up().await;
    let (address, token) = (server.url.replace("http://", ""), server.token.clone());
    let mut worst = 0.0_f64;
    for path in ["/api/v1/instances?limit=50", "/api/v1/appservers?limit=50"] {
        let (address, token) = (address.clone(), token.clone());
        let measured = tokio::task::spawn_blocking(move || measure(&address, &token, path));
        let (milliseconds, bytes) = measured.await.unwrap();
        println!("{milliseconds:.3} ms of CPU a page of {bytes} bytes  {path}  (goal {GOAL_MS})");
        worst = worst.max(milliseconds);
    }
    server.stop().await;
    let is_gate = std::env::args().any(|argument| argument == "--gate");
    if is_gate && worst > GOAL_MS { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// CPU time of a page, in milliseconds, and its length.
fn measure(address: &str, token: &str, path: &str) -> (f64, usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: ocim\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut length = 0;
    let mut read_pages = |count: u32| {
        for _ in 0..count {
            stream.write_all(request.as_bytes()).unwrap();
            length = read_answer(&mut stream);
        }
    };
    // Until statements are prepared and pools are filled.
    read_pages(50);
    let before = cpu_seconds();
    read_pages(PAGES);
    ((cpu_seconds() - before) * 1_000.0 / f64::from(PAGES), length)
}

/// Reads one answer; the length of its body.
fn read_answer(stream: &mut TcpStream) -> usize {
    let mut answer = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the server closed the connection");
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").trim().parse().unwrap();
        if answer.len() >= end + 4 + length {
            return length;
        }
    }
}

/// CPU time that this process has used, in user code and in the kernel.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}
