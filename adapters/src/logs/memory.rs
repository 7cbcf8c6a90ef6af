//! Logs in memory, for tests.

use crate::faults::Faults;
use crate::logs::{LogLine, LogStore, NewLine, READ_BYTES, SourceOffset, SourcePlace};
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::{Class, PortError};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps all logs until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryLogs {
    /// What is to fail.
    pub faults: Faults,
    logs: Mutex<HashMap<RunId, Log>>,
}

#[derive(Debug, Default, Clone)]
struct Log {
    lines: Vec<NewLine>,
    sources: HashMap<String, SourcePlace>,
    is_finished: bool,
    finished_at: Option<Timestamp>,
    /// In whose name its lines were deleted, and how many they were.
    replaced: Option<(RunId, u64)>,
}

impl Log {
    fn append(
        &mut self,
        lines: Vec<NewLine>,
        offset: Option<SourceOffset>,
    ) -> Result<u64, PortError> {
        let place = |offset: &SourceOffset| self.sources.get(&offset.source).copied();
        let held = |offset: &SourceOffset| place(offset).unwrap_or_default().bytes;
        let is_repetition = offset.as_ref().is_some_and(|offset| held(offset) != offset.from);
        if !is_repetition {
            if self.is_finished {
                return Err(PortError::new(Class::Conflict, "the log is finished"));
            }
            self.lines.extend(lines);
            self.sources.extend(offset.map(|offset| {
                (offset.source, SourcePlace { bytes: offset.to, context: offset.context })
            }));
        }
        Ok(self.lines.len() as u64)
    }
}

impl MemoryLogs {
    /// Logs like these are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), logs: Mutex::new(self.lock().clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LogStore for MemoryLogs {
    async fn append_lines(
        &self,
        run: RunId,
        lines: Vec<NewLine>,
        offset: Option<SourceOffset>,
    ) -> Result<u64, PortError> {
        self.faults.before("append_lines").await?;
        let last = self.lock().entry(run).or_default().append(lines, offset)?;
        self.faults.after("append_lines")?;
        Ok(last)
    }

    async fn read_source(&self, run: RunId, source: &str) -> Result<SourcePlace, PortError> {
        self.faults.before("read_source").await?;
        let logs = self.lock();
        Ok(logs.get(&run).and_then(|log| log.sources.get(source)).copied().unwrap_or_default())
    }

    async fn read_lines(
        &self,
        run: RunId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, PortError> {
        self.faults.before("read_lines").await?;
        let logs = self.lock();
        let lines = logs.get(&run).map(|log| log.lines.iter()).into_iter().flatten();
        let numbered =
            (1..).zip(lines).map(|(number, line)| LogLine { number, line: line.clone() });
        let mut bytes = 0;
        let fits = |line: &LogLine| {
            let has_room = bytes < READ_BYTES;
            bytes += line.line.text.len();
            has_room
        };
        Ok(numbered.skip_while(|line| line.number < from).take(limit).take_while(fits).collect())
    }

    async fn count_lines(&self, run: RunId) -> Result<u64, PortError> {
        self.faults.before("count_lines").await?;
        Ok(self.lock().get(&run).map_or(0, |log| log.lines.len() as u64))
    }

    async fn finish_log(&self, run: RunId, at: Timestamp) -> Result<(), PortError> {
        self.faults.before("finish_log").await?;
        let mut logs = self.lock();
        let log = logs.entry(run).or_default();
        log.is_finished = true;
        log.finished_at.get_or_insert(at);
        drop(logs);
        self.faults.after("finish_log")
    }

    async fn list_old_logs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, u64)>, PortError> {
        self.faults.before("list_old_logs").await?;
        let logs = self.lock();
        let old = logs.iter().filter(|(_, log)| log.replaced.is_none());
        let mut old: Vec<_> = old
            .filter_map(|(run, log)| Some((log.finished_at?, *run, log.lines.len() as u64)))
            .filter(|(finished, ..)| *finished < before)
            .collect();
        old.sort_unstable();
        Ok(old.into_iter().map(|(_, run, lines)| (run, lines)).take(limit).collect())
    }

    async fn replace_log(&self, run: RunId, line: NewLine, by: RunId) -> Result<(), PortError> {
        self.faults.before("replace_log").await?;
        if let Some(log) = self.lock().get_mut(&run).filter(|log| log.replaced.is_none()) {
            let count = log.lines.len() as u64;
            log.replaced = Some((by, count));
            log.lines = if count > 0 { vec![line] } else { vec![] };
            log.sources.clear();
        }
        self.faults.after("replace_log")
    }

    async fn count_replaced(&self, by: RunId) -> Result<(u64, u64), PortError> {
        self.faults.before("count_replaced").await?;
        let logs = self.lock();
        let own = logs.values().filter_map(|log| log.replaced).filter(|(it, _)| *it == by);
        let counts: Vec<_> = own.map(|(_, lines)| lines).filter(|lines| *lines > 0).collect();
        Ok((counts.len() as u64, counts.iter().sum()))
    }

    async fn is_finished(&self, run: RunId) -> Result<bool, PortError> {
        self.faults.before("is_finished").await?;
        Ok(self.lock().get(&run).is_some_and(|log| log.is_finished))
    }
}
