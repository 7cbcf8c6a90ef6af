//! Logs: numbers without gap or repeat, whoever writes and whatever breaks; nothing secret in them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers fail a test by a panic")]

use crate::support::postgres::Database;
use futures_util::{FutureExt as _, StreamExt as _};
use ocim::logs::masking::Masker;
use ocim::logs::{LineRange, Logs, SourceRead};
use ocim_adapters::faults::Fault;
use ocim_adapters::logs::memory::MemoryLogs;
use ocim_adapters::logs::postgres::PostgresLogs;
use ocim_adapters::logs::{Level, LogLine, LogStore, NewLine, SourceOffset, SourcePlace};
use ocim_adapters::playbooks::OutputLine;
use ocim_adapters::system::FixedClock;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// No test waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// Each engine with empty logs.
struct Stores {
    all: [Arc<dyn LogStore>; 2],
    database: Database,
}

async fn fresh_stores() -> Stores {
    let database = Database::migrated().await;
    let postgres = PostgresLogs::new(database.pool());
    Stores { all: [Arc::new(MemoryLogs::default()), Arc::new(postgres)], database }
}

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn logs_in(store: Arc<dyn LogStore>) -> Logs {
    Logs::new(store, Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH)))
}

fn new_line(text: impl Into<String>) -> NewLine {
    let step = "configure".to_owned();
    NewLine { at: Timestamp::UNIX_EPOCH, level: Level::Info, step, text: text.into() }
}

fn new_lines(texts: impl IntoIterator<Item = impl Into<String>>) -> Vec<NewLine> {
    texts.into_iter().map(new_line).collect()
}

fn numbered(range: Range<u64>) -> Vec<NewLine> {
    new_lines(range.map(|number| format!("line {number}")))
}

fn offset(source: &str, from: u64, to: u64) -> Option<SourceOffset> {
    Some(SourceOffset { source: source.to_owned(), from, to, context: to })
}

/// Lines of a source that holds `from` bytes before them, each with its line end.
fn output(from: u64, texts: &[&str]) -> Vec<OutputLine> {
    let mut end = from;
    let lines = texts.iter().map(|text| {
        end += text.len() as u64 + 1;
        OutputLine { end, ..OutputLine::new(false, *text) }
    });
    lines.collect()
}

/// What a reader of the source "play" has that begins at `from`, all of it new.
fn read(from: u64, lines: &[OutputLine]) -> SourceRead<'_> {
    let to = lines.last().map_or(from, |line| line.end);
    SourceRead { source: "play", from, start: from, to, lines }
}

/// Takes what is new of the lines that the source has by now, as a step does.
async fn take_in(logs: &Logs, lines: &[OutputLine], masker: &Masker) {
    let held = logs.read_source(run(1), "play").await.unwrap();
    let context = lines.partition_point(|line| line.end <= held.context);
    let lines = &lines[context..];
    let read = SourceRead { from: held.bytes, start: held.context, ..read(0, lines) };
    logs.append_from_source(run(1), "configure", read, masker).await.unwrap();
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.line.text.as_str()).collect()
}

async fn read_all(store: &dyn LogStore, run: RunId) -> Vec<LogLine> {
    store.read_lines(run, 1, usize::MAX).await.unwrap()
}

fn assert_numbers_have_no_gap(lines: &[LogLine]) {
    assert!(lines.iter().map(|line| line.number).eq(1..=lines.len() as u64));
}

#[tokio::test]
async fn lines_keep_their_numbers_and_any_range_can_be_read() {
    for store in fresh_stores().await.all {
        assert_eq!(store.count_lines(run(1)).await.unwrap(), 0);
        assert_eq!(store.append_lines(run(1), numbered(1..2), None).await.unwrap(), 1);
        assert_eq!(store.append_lines(run(1), vec![], None).await.unwrap(), 1);
        assert_eq!(store.append_lines(run(1), numbered(2..2_501), None).await.unwrap(), 2_500);
        assert_eq!(store.append_lines(run(2), new_lines(["other"]), None).await.unwrap(), 1);

        for (from, limit, first, count) in [
            (0, 2, 1, 2),
            (1, 2, 1, 2),
            (2, 1, 2, 1),
            (995, 1_010, 995, 1_010),
            (2_499, 10, 2_499, 2),
            (2_501, 10, 0, 0),
            (u64::MAX - 1, usize::MAX, 0, 0),
            (5, 0, 0, 0),
        ] {
            let lines = store.read_lines(run(1), from, limit).await.unwrap();
            assert!(lines.iter().map(|line| line.number).eq(first..first + count), "{from}");
            assert!(lines.into_iter().map(|line| line.line).eq(numbered(first..first + count)));
        }
        assert_eq!(texts(&read_all(&*store, run(2)).await), ["other"]);
        assert_eq!(store.count_lines(run(1)).await.unwrap(), 2_500);
    }
}

#[tokio::test]
async fn a_repeated_source_chunk_is_ignored() {
    for store in fresh_stores().await.all {
        let append = |texts: &[&'static str], offset| {
            store.append_lines(run(1), new_lines(texts.iter().copied()), offset)
        };
        assert_eq!(append(&["a", "b"], offset("play", 0, 4)).await.unwrap(), 2);
        assert_eq!(append(&["a", "b"], offset("play", 0, 4)).await.unwrap(), 2);
        assert_eq!(append(&["b", "c"], offset("play", 2, 6)).await.unwrap(), 2);
        assert_eq!(append(&["later"], offset("play", 9, 15)).await.unwrap(), 2);
        assert_eq!(append(&["step"], None).await.unwrap(), 3);
        assert_eq!(append(&["x"], offset("balancer", 0, 2)).await.unwrap(), 4);
        assert_eq!(append(&[], offset("play", 4, 7)).await.unwrap(), 4);
        assert_eq!(append(&["d"], offset("play", 7, 9)).await.unwrap(), 5);

        assert_eq!(texts(&read_all(&*store, run(1)).await), ["a", "b", "step", "x", "d"]);
        assert_eq!(store.read_source(run(1), "play").await.unwrap().bytes, 9);
        assert_eq!(store.read_source(run(1), "balancer").await.unwrap().bytes, 2);
        assert_eq!(store.read_source(run(2), "play").await.unwrap(), SourcePlace::default());
    }
}

#[tokio::test]
async fn a_finished_log_takes_no_more_lines() {
    for store in fresh_stores().await.all {
        assert!(!store.is_finished(run(1)).await.unwrap());
        store.append_lines(run(1), new_lines(["a"]), offset("play", 0, 2)).await.unwrap();
        assert!(!store.is_finished(run(1)).await.unwrap());
        for _ in 0..2 {
            store.finish_log(run(1), Timestamp::UNIX_EPOCH).await.unwrap();
            assert!(store.is_finished(run(1)).await.unwrap());
        }
        for offset in [None, offset("play", 2, 4)] {
            let refused = store.append_lines(run(1), new_lines(["b"]), offset).await.unwrap_err();
            assert_eq!(refused.class, Class::Conflict);
        }
        let repeated = store.append_lines(run(1), new_lines(["a"]), offset("play", 0, 2)).await;
        assert_eq!(repeated.unwrap(), 1);
        assert_eq!(texts(&read_all(&*store, run(1)).await), ["a"]);
    }
}

#[tokio::test]
async fn an_old_log_is_replaced_by_one_line_once_and_others_stay() {
    let at = |day: i64| Timestamp::UNIX_EPOCH + chrono::TimeDelta::days(day);
    for store in fresh_stores().await.all {
        for (number, day) in [(1, 1), (2, 2), (3, 9), (4, 1)] {
            let lines: &[&str] = if number == 4 { &[] } else { &["a", "b", "c"] };
            store.append_lines(run(number), new_lines(lines.to_vec()), None).await.unwrap();
            store.finish_log(run(number), at(day)).await.unwrap();
            // What is said later changes nothing.
            store.finish_log(run(number), at(40)).await.unwrap();
        }
        store.append_lines(run(5), new_lines(["goes on"]), None).await.unwrap();
        let old = store.list_old_logs(at(9), 10).await.unwrap();
        assert_eq!(old, [(run(1), 3), (run(4), 0), (run(2), 3)], "strictly before, oldest first");
        assert_eq!(store.list_old_logs(at(9), 1).await.unwrap().len(), 1);
        for (run_replaced, _) in old {
            let line = || new_lines(["3 lines were deleted"]).remove(0);
            store.replace_log(run_replaced, line(), run(7)).await.unwrap();
            store.replace_log(run_replaced, line(), run(8)).await.unwrap();
        }
        assert_eq!(store.list_old_logs(at(9), 10).await.unwrap(), []);
        assert_eq!(store.count_replaced(run(7)).await.unwrap(), (2, 6));
        assert_eq!(store.count_replaced(run(8)).await.unwrap(), (0, 0));
        for replaced in [1, 2] {
            assert_eq!(texts(&read_all(&*store, run(replaced)).await), ["3 lines were deleted"]);
            assert_eq!(store.count_lines(run(replaced)).await.unwrap(), 1);
            assert!(store.is_finished(run(replaced)).await.unwrap());
        }
        assert_eq!(store.count_lines(run(4)).await.unwrap(), 0, "there was nothing to speak of");
        assert_eq!(texts(&read_all(&*store, run(3)).await), ["a", "b", "c"]);
        assert_eq!(texts(&read_all(&*store, run(5)).await), ["goes on"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_leave_no_gap_and_stay_together() {
    const WRITERS: usize = 8;
    const APPENDS: usize = 20;
    for store in fresh_stores().await.all {
        let write = |writer: usize| {
            let store = Arc::clone(&store);
            async move {
                for append in 0..APPENDS {
                    let lines = (0..=writer).map(|line| format!("{writer} {append} {line}"));
                    store.append_lines(run(1), new_lines(lines), None).await.unwrap();
                }
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }

        let lines = read_all(&*store, run(1)).await;
        assert_eq!(lines.len(), (1..=WRITERS).sum::<usize>() * APPENDS);
        assert_numbers_have_no_gap(&lines);
        let mut next = [(0, 0); WRITERS];
        let mut open: Option<usize> = None;
        for line in &lines {
            let writer: usize = line.line.text.split(' ').next().unwrap().parse().unwrap();
            assert!(open.is_none_or(|open| open == writer), "{} stands in a batch", line.number);
            let (append, place) = next[writer];
            assert_eq!(line.line.text, format!("{writer} {append} {place}"));
            let is_last = place == writer;
            next[writer] = if is_last { (append + 1, 0) } else { (append, place + 1) };
            open = (!is_last).then_some(writer);
        }
    }
}

/// Reads a source of `lines` lines of 10 bytes from where the log stands, until all is there.
async fn pump_source(store: &dyn LogStore, lines: u64) {
    loop {
        let Ok(SourcePlace { bytes: from, .. }) = store.read_source(run(1), "play").await else {
            continue;
        };
        let first = from / 10 + 1;
        if first > lines {
            return;
        }
        let last = (first + 6).min(lines);
        // What is not written now is read again.
        let _ = store
            .append_lines(run(1), numbered(first..last + 1), offset("play", from, last * 10))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readers_of_one_source_store_each_line_once() {
    for store in fresh_stores().await.all {
        let pumps = (0..4).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { pump_source(&*store, 300).await })
        });
        for pump in pumps.collect::<Vec<_>>() {
            pump.await.unwrap();
        }
        let lines = read_all(&*store, run(1)).await;
        assert_numbers_have_no_gap(&lines);
        assert!(lines.into_iter().map(|line| line.line).eq(numbered(1..301)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_during_an_append_leaves_all_or_nothing() {
    let stores = fresh_stores().await;
    let [_, store] = &stores.all;
    store.append_lines(run(1), numbered(1..6), offset("play", 0, 50)).await.unwrap();

    let mut blocker = stores.database.client().await;
    let lock = blocker.transaction().await.unwrap();
    lock.execute("select from logs.heads for update", &[]).await.unwrap();
    let append = tokio::spawn({
        let store = Arc::clone(store);
        async move { store.append_lines(run(1), numbered(6..10), None).await }
    });
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'";
    let killer = stores.database.client().await;
    let killed = async { while killer.execute(kill, &[]).await.unwrap() == 0 {} };
    tokio::time::timeout(DEADLINE, killed).await.expect("the append waits for the lock");
    assert_eq!(append.await.unwrap().unwrap_err().class, Class::Ambiguous);
    lock.rollback().await.unwrap();

    assert_eq!(store.count_lines(run(1)).await.unwrap(), 5);
    assert_eq!(store.read_source(run(1), "play").await.unwrap().bytes, 50);
    let next = store.append_lines(run(1), numbered(6..10), offset("play", 50, 90)).await;
    assert_eq!(next.unwrap(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_stored_once_though_connections_die_again_and_again() {
    let stores = fresh_stores().await;
    let [_, store] = &stores.all;
    let killer = stores.database.client().await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
    let pump = tokio::spawn({
        let store = Arc::clone(store);
        async move { pump_source(&*store, 2_000).await }
    });
    let mut kills = 0;
    while !pump.is_finished() {
        // Only between two kills that met somebody is there progress to be disturbed.
        kills += killer.execute(kill, &[]).await.unwrap();
        let before = store.count_lines(run(1)).await.unwrap_or(0);
        let moved = async {
            while !pump.is_finished() && store.count_lines(run(1)).await.unwrap_or(0) < before + 50
            {
            }
        };
        tokio::time::timeout(DEADLINE, moved).await.expect("the log grows again");
    }
    pump.await.unwrap();
    assert!(kills > 3, "only {kills} connections were cut");
    let lines = read_all(&**store, run(1)).await;
    assert_numbers_have_no_gap(&lines);
    assert!(lines.into_iter().map(|line| line.line).eq(numbered(1..2_001)));
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_see_each_line_once_while_two_nodes_write() {
    for store in fresh_stores().await.all {
        let nodes = [logs_in(Arc::clone(&store)), logs_in(Arc::clone(&store))];
        let masker = Masker::default();
        nodes[0].append(run(1), "launch", Level::Info, "1\n2\n3\n", &masker).await.unwrap();
        let from_start = tokio::spawn(nodes[0].follow(run(1), 0).collect::<Vec<_>>());
        let resumed = tokio::spawn(nodes[1].follow(run(1), 500).collect::<Vec<_>>());
        for number in 4..=1_200 {
            let node = &nodes[number % 2];
            let text = number.to_string();
            node.append(run(1), "launch", Level::Info, &text, &masker).await.unwrap();
        }
        nodes[0].finish(run(1)).await.unwrap();
        for (follower, first) in [(from_start, 1), (resumed, 500)] {
            let lines = tokio::time::timeout(DEADLINE, follower).await.unwrap().unwrap();
            assert!(lines.iter().map(|line| line.number).eq(first..=1_200));
            assert!(lines.iter().all(|line| line.number.to_string() == line.line.text));
        }
        let after = nodes[1].follow(run(1), 1_201).collect::<Vec<_>>();
        assert_eq!(tokio::time::timeout(DEADLINE, after).await.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_woken_here_and_finds_what_other_nodes_wrote_by_itself() {
    let store: Arc<dyn LogStore> = Arc::new(MemoryLogs::default());
    let (here, elsewhere) = (logs_in(Arc::clone(&store)), logs_in(store));
    let mut follower = here.follow(run(1), 1);
    assert!(follower.next().now_or_never().is_none());

    let start = tokio::time::Instant::now();
    let masker = Masker::default();
    here.append(run(1), "launch", Level::Info, "here", &masker).await.unwrap();
    assert_eq!(follower.next().await.unwrap().line.text, "here");
    assert_eq!(start.elapsed(), Duration::ZERO);

    elsewhere.append(run(1), "launch", Level::Info, "elsewhere", &masker).await.unwrap();
    assert_eq!(follower.next().await.unwrap().line.text, "elsewhere");
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_while_the_store_is_away() {
    let store = Arc::new(MemoryLogs::default());
    let logs = logs_in(Arc::clone(&store) as Arc<dyn LogStore>);
    let masker = Masker::default();
    logs.append(run(1), "launch", Level::Info, "line", &masker).await.unwrap();
    store.faults.fail_always("read_lines", Fault::Before(Class::Transient));
    let mut follower = logs.follow(run(1), 1);
    assert!(tokio::time::timeout(DEADLINE, follower.next()).await.is_err());
    store.faults.clear();
    assert_eq!(follower.next().await.unwrap().line.text, "line");
}

#[tokio::test(start_paused = true)]
async fn only_appends_that_can_do_no_harm_are_repeated() {
    let store = Arc::new(MemoryLogs::default());
    let logs = logs_in(Arc::clone(&store) as Arc<dyn LogStore>);
    let masker = Masker::default();
    let plain = async |text| logs.append(run(1), "launch", Level::Info, text, &masker).await;

    store.faults.fail("append_lines", 1, Fault::Before(Class::Transient));
    assert_eq!(plain("refused, then stored").await.unwrap(), 1);
    store.faults.fail("append_lines", 3, Fault::After(Class::Ambiguous));
    assert_eq!(plain("stored, reply lost").await.unwrap_err().class, Class::Ambiguous);
    store.faults.fail("append_lines", 4, Fault::After(Class::Ambiguous));
    let lines = output(0, &["from a source, reply lost"]);
    let stored = logs.append_from_source(run(1), "play", read(0, &lines), &masker).await;
    assert_eq!(stored.unwrap(), 3);

    let lines = logs.read_lines(run(1), 1, 10).await.unwrap();
    assert_eq!(
        texts(&lines),
        ["refused, then stored", "stored, reply lost", "from a source, reply lost"]
    );
    store.faults.fail_always("append_lines", Fault::Before(Class::Transient));
    assert_eq!(plain("never stored").await.unwrap_err().class, Class::Transient);
    assert_eq!(store.faults.calls("append_lines"), 8);
}

#[tokio::test]
async fn what_is_stored_is_clean_masked_and_cut() {
    for store in fresh_stores().await.all {
        let logs = logs_in(store);
        let masker = Masker::new(["hunter-22".to_owned(), "ab\ncd\nef".to_owned()]);
        let text = "the \u{1b}[31mhunter\u{1b}[0m-22 ran\nab\ncd\nef";
        logs.append(run(1), "launch", Level::Error, text, &masker).await.unwrap();
        let long = "é".repeat(600_000);
        let mut lines = output(0, &["hunter-22\rhunter-22", &long, "ab", "cd", "ef", "ab"]);
        lines[0].is_error = true;
        lines[1].at = Some(Timestamp::UNIX_EPOCH + Duration::from_secs(7));
        take_in(&logs, &lines[..3], &masker).await;
        take_in(&logs, &lines, &masker).await;

        let lines = logs.read_lines(run(1), 1, 100).await.unwrap();
        let cut = format!("{}… [151424 more bytes]", "é".repeat(524_288));
        assert_eq!(
            texts(&lines),
            ["the *** ran", "***", "***", "***", "***", &cut, "ab", "***", "***", "ab"]
        );
        let levels: Vec<_> = lines.iter().map(|line| line.line.level).collect();
        assert_eq!(levels[..4], [Level::Error; 4]);
        assert_eq!(levels[4..6], [Level::Warning, Level::Info]);
        assert_eq!(lines[9].line.step, "configure");
        assert_eq!((logs.count_lines(run(1)).await.unwrap(), lines[9].number), (10, 10));
        let times: Vec<_> = lines.iter().map(|line| line.line.at.timestamp()).collect();
        assert_eq!(times[4..7], [0, 7, 0], "when it was written, else when it was read");
        let held = logs.read_source(run(1), "play").await.unwrap();
        assert_eq!(held.bytes, 1_200_000 + 33);
    }
}

/// A secret whose halves are in two reads, with a line of the other stream between, is masked by
/// whoever takes the second half: the log itself knows what is open.
#[tokio::test]
async fn a_secret_split_by_a_crash_is_masked_after_it() {
    for store in fresh_stores().await.all {
        let masker = Masker::new(["hunter-twenty-two".to_owned(), "correct horse".to_owned()]);
        let split = ["a hun", "warning", "ter-twenty-two b", "correct", "horse c", "hunter-twenty"];
        let mut lines = output(0, &split);
        lines[1].is_error = true;
        for count in 1..=lines.len() {
            // Each a process of its own.
            take_in(&logs_in(Arc::clone(&store)), &lines[..count], &masker).await;
        }
        let stored = read_all(&*store, run(1)).await;
        assert_eq!(texts(&stored), ["a hun", "warning", "*** b", "***", "*** c", "***"]);
    }
}

/// What a play may print for long can't keep a log from being written.
#[tokio::test]
async fn long_lines_are_kept_whole_and_read_in_parts_that_fit_into_memory() {
    for store in fresh_stores().await.all {
        let logs = logs_in(store);
        let long = "x".repeat(1024 * 1024);
        let lines = output(0, &[long.as_str(); 20]);
        take_in(&logs, &lines, &Masker::default()).await;
        let first = logs.read_lines(run(1), 1, 20).await.unwrap();
        assert!((8..12).contains(&first.len()), "{}", first.len());
        assert!(first.iter().all(|line| line.line.text == long));
        let range = LineRange { from: 1, to: u64::MAX, step: None };
        let mut found = 0;
        let mut next = range.from;
        while next <= 20 {
            let (lines, after) = logs
                .read_range(run(1), &LineRange { from: next, ..range.clone() }, 100)
                .await
                .unwrap();
            assert!(!lines.is_empty() && lines.len() < 20);
            found += lines.len();
            next = after;
        }
        assert_eq!(found, 20);
    }
}

/// Whoever wrote the line, and whether the password was known as a secret or not.
#[tokio::test]
async fn urls_lose_their_credentials_in_every_line() {
    let logs = logs_in(Arc::new(MemoryLogs::default()));
    let masker = Masker::new(["known-pw".to_owned()]);
    let told = "pip: foo @ https://user:pw@host/simple and https://user:known-pw@host";
    logs.append(run(1), "launch", Level::Error, told, &masker).await.unwrap();
    take_in(&logs, &output(0, &[told]), &masker).await;
    let lines = logs.read_lines(run(1), 1, 10).await.unwrap();
    assert_eq!(texts(&lines), ["pip: foo @ https://***@host/simple and https://***@host"; 2]);
}
