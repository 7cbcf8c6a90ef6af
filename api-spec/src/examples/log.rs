//! Examples: lines of logs.

use super::{Example, second};
use crate::texts::RunId;
use crate::{LogLevel, LogLine, LogPage};

impl Example for LogLine {
    fn example() -> Self {
        Self {
            number: 128,
            at: second(900),
            level: LogLevel::Info,
            step: "run_main_playbook".to_owned(),
            text: "TASK [nginx : install] ok: [alpha-2]".to_owned(),
            more_bytes: 0,
        }
    }
}

impl Example for LogPage {
    fn example() -> Self {
        Self { run: RunId::EXAMPLE.to_owned(), lines: vec![LogLine::example()], next: 129 }
    }
}
