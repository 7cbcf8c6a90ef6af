//! Visitors of a site: a steady stream of plain HTTP requests, each judged, none ever repeated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Longest time that a visitor waits for a whole answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Visitors at once; every other one opens a fresh connection for each request.
const VISITORS: usize = 4;
/// Pause between two requests of one visitor: 4 visitors make 100 requests a second.
const INTERVAL: Duration = Duration::from_millis(40);

/// One request and what came of it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// When it was sent.
    pub started: Instant,
    /// When the answer was whole, or the failure clear.
    pub ended: Instant,
    /// What was shown, or why the visit failed.
    pub outcome: Result<Shown, String>,
}

/// What a visitor was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The site, by the Appserver of this number.
    Site(u32),
    /// The page of a site under maintenance: 503, with the time when to come back.
    Maintenance,
}

/// What all visits add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub requests: usize,
    /// Not 200, a wrong body, over two seconds, or a broken connection.
    pub failed: usize,
    /// Answered by the old Appserver though sent after the new one had answered somebody.
    pub out_of_order: usize,
    /// Answered by each of the two.
    pub answered: [usize; 2],
}

/// People who visit until they are stopped.
#[derive(Debug)]
pub struct Visitors {
    leave: watch::Sender<bool>,
    count: Arc<AtomicUsize>,
    visitors: JoinSet<Vec<Visit>>,
}

impl Visitors {
    /// Sends visitors to `host`, found at `address`.
    #[must_use]
    pub fn arrive(address: SocketAddr, host: &str) -> Self {
        let (leave, left) = watch::channel(false);
        let host: Arc<str> = host.into();
        let count = Arc::new(AtomicUsize::new(0));
        let mut visitors = JoinSet::new();
        for number in 0..VISITORS {
            let keeps_connection = number % 2 == 0;
            let visitor = Visitor { address, host: Arc::clone(&host), keeps_connection };
            visitors.spawn(visitor.visit(Arc::clone(&count), left.clone()));
        }
        Self { leave, count, visitors }
    }

    /// How many requests they have made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until they have made so many requests in all.
    pub async fn wait_for(&self, requests: usize) {
        while self.count() < requests {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until they have made so many more.
    pub async fn wait_for_more(&self, requests: usize) {
        self.wait_for(self.count() + requests).await;
    }

    /// Stops them; returns all visits in the order in which they were sent.
    pub async fn stop(mut self) -> Vec<Visit> {
        self.leave.send_replace(true);
        let mut visits = Vec::new();
        while let Some(ended) = self.visitors.join_next().await {
            visits.extend(ended.unwrap_or_default());
        }
        visits.sort_by_key(|visit| visit.started);
        visits
    }
}

/// Judges visits during which `numbers[0]` gave way to `numbers[1]`.
#[must_use]
pub fn tally(visits: &[Visit], numbers: [u32; 2]) -> Tally {
    let [old, new]: [Result<Shown, String>; 2] = numbers.map(|number| Ok(Shown::Site(number)));
    let answered_by = |shown: &Result<Shown, String>| {
        visits.iter().filter(|visit| visit.outcome == *shown).count()
    };
    let new_since = visits.iter().filter(|v| v.outcome == new).map(|v| v.ended).min();
    let late = |visit: &&Visit| {
        visit.outcome == old && new_since.is_some_and(|since| visit.started > since)
    };
    let known = |visit: &&Visit| visit.outcome == old || visit.outcome == new;
    Tally {
        requests: visits.len(),
        failed: visits.len() - visits.iter().filter(known).count(),
        out_of_order: visits.iter().filter(late).count(),
        answered: [answered_by(&old), answered_by(&new)],
    }
}

/// What visitors were shown around a maintenance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaintenanceTally {
    /// Requests sent.
    pub requests: usize,
    /// Neither the site nor the page, over two seconds, or a broken connection.
    pub failed: usize,
    /// Shown the page.
    pub pages: usize,
    /// Whether the first and the last of them saw the site.
    pub is_framed: bool,
}

/// Judges visits during which the site of that Appserver was under maintenance for a while.
#[must_use]
pub fn tally_maintenance(visits: &[Visit], number: u32) -> MaintenanceTally {
    let site = Ok(Shown::Site(number));
    let pages = visits.iter().filter(|visit| visit.outcome == Ok(Shown::Maintenance)).count();
    let served = visits.iter().filter(|visit| visit.outcome == site).count();
    let ends = [visits.first(), visits.last()];
    MaintenanceTally {
        requests: visits.len(),
        failed: visits.len() - pages - served,
        pages,
        is_framed: ends.into_iter().all(|end| end.is_some_and(|visit| visit.outcome == site)),
    }
}

struct Visitor {
    address: SocketAddr,
    host: Arc<str>,
    keeps_connection: bool,
}

impl Visitor {
    async fn visit(self, count: Arc<AtomicUsize>, mut left: watch::Receiver<bool>) -> Vec<Visit> {
        let mut visits = Vec::new();
        let mut connection = None;
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = left.changed() => return visits,
                _ = ticks.tick() => {}
            }
            let started = Instant::now();
            let asked = ask(&mut connection, self.address, &self.host, self.keeps_connection);
            let outcome = match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answered) => answered.and_then(|answer| answer.shown()),
                Err(_) => Err(format!("no whole answer within {} s", PATIENCE.as_secs())),
            };
            if outcome.is_err() {
                connection = None;
            }
            visits.push(Visit { started, ended: Instant::now(), outcome });
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The first page of a site as anybody gets it.
///
/// # Errors
/// A sentence that says what went wrong.
pub async fn fetch_page(address: SocketAddr, host: &str) -> Result<String, String> {
    let mut fresh = None;
    let fetched = ask(&mut fresh, address, host, false);
    let fetched = tokio::time::timeout(PATIENCE, fetched).await;
    fetched.unwrap_or_else(|_| Err("no answer".to_owned()))?.page()
}

/// One request on the connection at hand, or on a new one. A kept connection that turns out to be
/// closed is a failure: a visitor's browser might repeat the request, but not everybody can.
async fn ask(
    connection: &mut Option<BufReader<TcpStream>>,
    address: SocketAddr,
    host: &str,
    keeps_connection: bool,
) -> Result<Answer, String> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => BufReader::new(TcpStream::connect(address).await.map_err(says("connect"))?),
    };
    let close = if keeps_connection { "" } else { "Connection: close\r\n" };
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ocim-demo\r\n{close}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(says("send"))?;
    let head = read_head(&mut stream).await?;
    let mut body = vec![0; head.length];
    stream.read_exact(&mut body).await.map_err(says("read the body"))?;
    if keeps_connection && !head.closes {
        *connection = Some(stream);
    }
    let body = String::from_utf8(body).map_err(|_| "a body that is not text".to_owned())?;
    Ok(Answer { head, body })
}

struct Answer {
    head: Head,
    body: String,
}

impl Answer {
    fn page(self) -> Result<String, String> {
        match self.head.status {
            200 => Ok(self.body),
            status => Err(format!("status {status}")),
        }
    }

    fn shown(self) -> Result<Shown, String> {
        if self.head.status == 503 && self.head.says_when_back {
            return Ok(Shown::Maintenance);
        }
        self.page().and_then(|body| number_in(&body)).map(Shown::Site)
    }
}

#[derive(Default)]
struct Head {
    status: u16,
    length: usize,
    closes: bool,
    /// Whether it has a `Retry-After`, as nothing has but a page of maintenance.
    says_when_back: bool,
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Result<Head, String> {
    let mut head = Head::default();
    loop {
        let mut line = String::new();
        let read = stream.read_line(&mut line).await.map_err(says("read the answer"))?;
        if read == 0 {
            return Err("the connection was closed before the answer".to_owned());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            return Ok(head);
        }
        if let Some(status) = line.strip_prefix("http/1.1 ") {
            head.status = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        } else if let Some(length) = line.strip_prefix("content-length:") {
            head.length = length.trim().parse().map_err(says("read the length"))?;
        } else if let Some(value) = line.strip_prefix("connection:") {
            head.closes = value.trim() == "close";
        } else if line.starts_with("retry-after:") {
            head.says_when_back = true;
        }
    }
}

fn says<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> String {
    move |error| format!("could not {doing}: {error}")
}

/// The number behind "AppServer " in a page.
fn number_in(body: &str) -> Result<u32, String> {
    let digits = body
        .split("AppServer ")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| "a body that names no AppServer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits(outcomes: &[(u64, u64, Result<u32, &str>)]) -> Vec<Visit> {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        outcomes
            .iter()
            .map(|(from, to, outcome)| Visit {
                started: at(*from),
                ended: at(*to),
                outcome: (*outcome).map(Shown::Site).map_err(str::to_owned),
            })
            .collect()
    }

    #[test]
    fn overlapping_answers_are_in_order_and_later_ones_of_the_old_are_not() {
        let seen = visits(&[(0, 9, Ok(1)), (5, 20, Ok(1)), (6, 12, Ok(2)), (13, 15, Ok(1))]);
        let expected = Tally { requests: 4, failed: 0, out_of_order: 1, answered: [3, 1] };
        assert_eq!(tally(&seen, [1, 2]), expected);
    }

    #[test]
    fn an_error_and_a_strange_number_are_failures() {
        let seen = visits(&[(0, 1, Err("status 503")), (1, 2, Ok(7)), (2, 3, Ok(2))]);
        let expected = Tally { requests: 3, failed: 2, out_of_order: 0, answered: [0, 1] };
        assert_eq!(tally(&seen, [1, 2]), expected);
    }

    #[test]
    fn a_maintenance_is_seen_between_two_views_of_the_site() {
        let mut seen = visits(&[(0, 1, Ok(3)), (1, 2, Ok(3)), (2, 3, Ok(3))]);
        seen[1].outcome = Ok(Shown::Maintenance);
        let expected = MaintenanceTally { requests: 3, failed: 0, pages: 1, is_framed: true };
        assert_eq!(tally_maintenance(&seen, 3), expected);
        // Another appserver's answer is none, and the page must be gone at the end.
        assert_eq!(tally_maintenance(&seen, 2).failed, 2);
        assert!(!tally_maintenance(&seen[..2], 3).is_framed);
    }

    #[test]
    fn the_number_is_read_from_the_page() {
        assert_eq!(number_in("<h2>AppServer 12</h2>"), Ok(12));
        assert!(number_in("<h2>Welcome</h2>").is_err());
    }
}
