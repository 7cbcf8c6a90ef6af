//! Logs in memory, for tests.

use crate::faults::Faults;
use crate::logs::{LogLine, LogStore, NewLine, READ_BYTES, SourceOffset, SourcePlace};
use async_trait::async_trait;
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
        self.faults.before("append_lines")?;
        let last = self.lock().entry(run).or_default().append(lines, offset)?;
        self.faults.after("append_lines")?;
        Ok(last)
    }

    async fn read_source(&self, run: RunId, source: &str) -> Result<SourcePlace, PortError> {
        self.faults.before("read_source")?;
        let logs = self.lock();
        Ok(logs.get(&run).and_then(|log| log.sources.get(source)).copied().unwrap_or_default())
    }

    async fn read_lines(
        &self,
        run: RunId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, PortError> {
        self.faults.before("read_lines")?;
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
        self.faults.before("count_lines")?;
        Ok(self.lock().get(&run).map_or(0, |log| log.lines.len() as u64))
    }

    async fn finish_log(&self, run: RunId) -> Result<(), PortError> {
        self.faults.before("finish_log")?;
        self.lock().entry(run).or_default().is_finished = true;
        self.faults.after("finish_log")
    }

    async fn is_finished(&self, run: RunId) -> Result<bool, PortError> {
        self.faults.before("is_finished")?;
        Ok(self.lock().get(&run).is_some_and(|log| log.is_finished))
    }
}
