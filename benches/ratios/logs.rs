//! Log lines: masking, appending, reading.

use crate::measure::{Ratio, durable_database, measure_rate};
use crate::postgres::Database;
use futures_util::SinkExt as _;
use ocim::logs::masking::Masker;
use ocim::logs::{Logs, SourceRead};
use ocim_adapters::logs::Level;
use ocim_adapters::logs::postgres::PostgresLogs;
use ocim_adapters::playbooks::OutputLine;
use ocim_adapters::system::SystemClock;
use ocim_domain::ids::RunId;
use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use uuid::Uuid;

const LINES: usize = 40_000;
const BATCH: usize = 1_000;
const SINGLE_APPENDS: usize = 500;
const PAGE: usize = 1_000;
const SECRETS: usize = 60;

const RUN: RunId = RunId(Uuid::from_u128(1));

/// All ratios of this module.
pub(crate) async fn measure_logs() -> Vec<Ratio> {
    let database = durable_database().await;
    let logs = Logs::new(Arc::new(PostgresLogs::new(database.pool())), Arc::new(SystemClock));
    let masker = Masker::new((0..SECRETS).map(make_secret));
    let lines: Vec<_> = (0..LINES).map(make_line).collect();

    let copied = measure_copy(&database, &lines).await;
    let inserted = measure_inserts(&database).await;
    let appended = measure_rate(LINES, append_batches(&logs, &lines, &masker)).await;
    let single = measure_rate(SINGLE_APPENDS, append_singly(&logs, &masker)).await;
    let read = measure_rate(LINES, read_pages(&logs)).await;
    let ratio = |what, rate, baseline, baseline_rate, goal| Ratio {
        what,
        rate,
        baseline,
        baseline_rate,
        goal,
    };
    let mut ratios = vec![
        ratio("log lines appended, masked", appended, "rows copied in", copied, 0.3),
        ratio("log appends of one line", single, "inserts of one row", inserted, 0.5),
        ratio("log lines read", read, "rows copied in", copied, 1.0),
    ];
    ratios.push(measure_masking(&lines, &masker).await);
    ratios
}

fn make_secret(number: usize) -> String {
    format!("{:016x}", (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A line as Ansible prints it; one in ten shows a secret.
fn make_line(number: usize) -> OutputLine {
    let shown =
        if number.is_multiple_of(10) { make_secret(number % SECRETS) } else { String::new() };
    let text = format!(
        "changed: [203.0.113.{}] => (item={{'name': 'package-{number}', 'state': 'present{shown}'}})",
        number % 250
    );
    OutputLine { end: number as u64 + 1, ..OutputLine::new(false, text) }
}

/// One COPY of all lines, each a row with the columns that a line has.
async fn measure_copy(database: &Database, lines: &[OutputLine]) -> f64 {
    let client = database.client().await;
    client
        .batch_execute(
            "create table plain (run uuid, number bigint, at timestamptz, level text, step text,
             text text, primary key (run, number))",
        )
        .await
        .unwrap();
    measure_rate(lines.len(), async {
        let mut sink = pin!(client.copy_in("copy plain from stdin").await.unwrap());
        for (batch, lines) in lines.chunks(BATCH).enumerate() {
            let rows: String = (batch * BATCH..)
                .zip(lines)
                .map(|(number, line)| {
                    format!("{}\t{number}\t2026-01-01Z\tinfo\tconfigure\t{}\n", RUN.0, line.text)
                })
                .collect();
            sink.send(Cursor::new(rows.into_bytes())).await.unwrap();
        }
        sink.close().await.unwrap();
    })
    .await
}

async fn measure_inserts(database: &Database) -> f64 {
    let client = database.client().await;
    let insert = client
        .prepare("insert into plain values ($1, $2, now(), 'info', 'configure', 'a line')")
        .await
        .unwrap();
    measure_rate(SINGLE_APPENDS, async {
        for number in 0..SINGLE_APPENDS as i64 {
            client.execute(&insert, &[&Uuid::nil(), &number]).await.unwrap();
        }
    })
    .await
}

async fn append_batches(logs: &Logs, lines: &[OutputLine], masker: &Masker) {
    for lines in lines.chunks(BATCH) {
        let (from, to) = (lines[0].end - 1, lines[lines.len() - 1].end);
        let read = SourceRead { source: "play", from, start: from, to, lines };
        logs.append_from_source(RUN, "configure", read, masker).await.unwrap();
    }
}

async fn append_singly(logs: &Logs, masker: &Masker) {
    for _ in 0..SINGLE_APPENDS {
        logs.append(RunId(Uuid::nil()), "boot", Level::Info, "a line", masker).await.unwrap();
    }
}

async fn read_pages(logs: &Logs) {
    let mut next = 1;
    while let Some(last) = logs.read_lines(RUN, next, PAGE).await.unwrap().last() {
        next = last.number + 1;
    }
    assert_eq!(next, LINES as u64 + 1);
}

/// All secrets in one pass against one pass for each.
async fn measure_masking(lines: &[OutputLine], masker: &Masker) -> Ratio {
    let texts: Vec<_> = lines.iter().take(4_000).map(|line| line.text.as_str()).collect();
    let text = texts.join("\n");
    let masked = measure_rate(text.len(), async {
        std::hint::black_box(masker.mask(&text));
    })
    .await;
    let replaced = measure_rate(text.len(), async {
        let secrets = (0..SECRETS).map(make_secret);
        let replace = |text: String, secret: String| text.replace(&secret, "***");
        std::hint::black_box(secrets.fold(text.clone(), replace));
    })
    .await;
    Ratio {
        what: "bytes masked, all forms",
        rate: masked,
        baseline: "bytes by `replace`, plain form only",
        baseline_rate: replaced,
        goal: 1.0,
    }
}
