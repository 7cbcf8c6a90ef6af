//! SQL that people want run in a site's database, once.
//!
//! All of it is one transaction, with a row of ours that tells how far it is. A try that breaks off leaves
//! nothing, and may be made again: unless a statement commits by itself (`ALTER TABLE`, …). That commits the
//! row, too, before it does anything else; whoever finds such a row knows that more must be left to people.

use super::{MysqlServer, Session, classify, quote_name, refer, refused};
use crate::provisioning::servers::failed;
use mysql_async::prelude::Queryable;
use mysql_async::{Error, ServerError};
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::provisioning::{Ran, Script};
use ocim_domain::saga::ErrorCode;
use std::time::Duration;
use tokio::time::timeout;

/// Where the rows are.
const TABLE: &str = "ocim_scripts";
/// Error by the server's number: there is such a row already.
const DUPLICATE: u16 = 1062;
/// Shortest literal that is looked for in what the server says, in bytes: shorter ones are in any sentence.
const LITERAL_MIN: usize = 4;

/// What a row tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// So many statements are committed.
    done: usize,
    /// All are.
    is_over: bool,
}

impl MysqlServer<'_> {
    /// Runs all of it, each statement in that time at most, unless it ran before.
    ///
    /// # Errors
    /// Permanent where a statement is refused or takes too long, or where a try broke off whose
    /// statements are partly committed; transient or ambiguous where nothing was kept.
    pub(in crate::provisioning::servers) async fn run_script(
        &self,
        script: &Script,
        statement_max: Duration,
    ) -> Result<Ran, PortError> {
        let rows = Rows::new(script)?;
        let mut session = self.connect().await?;
        session.run(&format!("USE {}", quote_name(&script.database)?)).await?;
        session.run(&rows.create()).await?;
        session.run("SET autocommit = 0").await?;
        if let Some(mark) = rows.insert(&mut session).await? {
            session.end().await;
            return match mark.is_over {
                true => Ok(Ran::Before),
                false => Err(self.tell_broken_off(script, mark)),
            };
        }
        let connection = session.connection.id();
        for (number, statement) in (1..).zip(&script.statements) {
            let ran = async {
                run_one(&mut session, statement, statement_max).await?;
                rows.advance(&mut session, number).await
            };
            if let Err(error) = ran.await {
                drop(session);
                return Err(self.tell_failure(&rows, script, number, error, connection).await);
            }
        }
        match session.run("COMMIT").await {
            Ok(()) => {
                session.end().await;
                Ok(Ran::Now)
            }
            Err(error) => Err(PortError { class: Class::Ambiguous, code: None, ..error }),
        }
    }

    /// What became of the statements before, after one has failed. What is left of its connection is ended,
    /// so that it undoes what it has not committed.
    async fn tell_failure(
        &self,
        rows: &Rows,
        script: &Script,
        number: usize,
        error: PortError,
        connection: u32,
    ) -> PortError {
        let kept = async {
            let mut session = self.connect().await?;
            // It may have gone by itself.
            drop(session.run(&format!("KILL {connection}")).await);
            let kept = rows.find(&mut session).await;
            session.end().await;
            kept
        };
        let count = script.statements.len();
        let told = format!("statement {number} of {count}: {}", error.message);
        match kept.await {
            Ok(None) => {
                let message = format!("{told}; nothing of what came before it was kept");
                PortError { message, ..error }
            }
            Ok(Some(mark)) => {
                let message = format!("{told}; {}", tell_kept(script, mark));
                let code = Some(ErrorCode::SharedServerRefused);
                PortError { message, code, class: Class::Permanent, blame: Blame::Caller, ..error }
            }
            // The next try sees by the row what there is.
            Err(unknown) => PortError { message: told, ..unknown },
        }
    }

    fn tell_broken_off(&self, script: &Script, mark: Mark) -> PortError {
        let told =
            format!("{}: an earlier try broke off: {}", self.name(), tell_kept(script, mark));
        PortError::permanent(ErrorCode::SharedServerRefused, told)
    }
}

/// One statement, and all that it answers.
async fn run_one(
    session: &mut Session,
    statement: &str,
    longest: Duration,
) -> Result<(), PortError> {
    match timeout(longest, session.connection.query_drop(statement)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let secrets: Vec<_> = literals(statement).chain(refer(&session.secrets)).collect();
            Err(classify(&session.name, &without_values(error), &secrets))
        }
        Err(_) => {
            let said =
                format!("it did not end within {} seconds, and was ended", longest.as_secs());
            Err(refused(&session.name, &said, &[]))
        }
    }
}

/// What was committed, where one of the statements did so by itself.
fn tell_kept(script: &Script, mark: Mark) -> String {
    let Script { key, database, statements } = script;
    let (done, next, count) = (mark.done, mark.done + 1, statements.len());
    let before = match done {
        0 => String::new(),
        1 => "statement 1 was carried out, ".to_owned(),
        _ => format!("statements 1 to {done} were carried out, "),
    };
    format!(
        "{before}statement {next} of {count} perhaps, since it commits by itself, and none after it: look at \
         `{database}`, whose row {key} in `{TABLE}` tells of it"
    )
}

/// The rows of a script: there is one, or none.
struct Rows {
    /// With its database: statements may choose another one.
    table: String,
    key: String,
    count: usize,
}

impl Rows {
    fn new(script: &Script) -> Result<Self, PortError> {
        let table = format!("{}.`{TABLE}`", quote_name(&script.database)?);
        Ok(Self { table, key: script.key.to_string(), count: script.statements.len() })
    }

    fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id CHAR(36) CHARACTER SET ascii NOT NULL PRIMARY KEY, \
             statements INT NOT NULL, done INT NOT NULL, begun DATETIME NOT NULL, ended DATETIME NULL) \
             ENGINE = InnoDB",
            self.table
        )
    }

    /// Makes the row, or gives the one that is there. Another try that is still at work is waited for.
    async fn insert(&self, session: &mut Session) -> Result<Option<Mark>, PortError> {
        let Self { table, key, count } = self;
        let sql = format!(
            "INSERT INTO {table} (id, statements, done, begun) VALUES ('{key}', {count}, 0, UTC_TIMESTAMP())"
        );
        match session.run_unless(&sql, DUPLICATE).await? {
            true => Ok(None),
            false => match self.find(session).await? {
                Some(mark) => Ok(Some(mark)),
                None => Err(failed(&session.name, "the row of the script comes and goes", &[])),
            },
        }
    }

    /// The row, once nobody is at work on it.
    async fn find(&self, session: &mut Session) -> Result<Option<Mark>, PortError> {
        let Self { table, key, .. } = self;
        let sql =
            format!("SELECT done, ended IS NOT NULL FROM {table} WHERE id = '{key}' FOR UPDATE");
        let rows: Vec<(usize, bool)> = session.rows(&sql).await?;
        Ok(rows.first().map(|(done, is_over)| Mark { done: *done, is_over: *is_over }))
    }

    /// Records that one more statement was carried out; with the last one, that all were.
    async fn advance(&self, session: &mut Session, done: usize) -> Result<(), PortError> {
        let Self { table, key, count } = self;
        let ended = if done == *count { ", ended = UTC_TIMESTAMP()" } else { "" };
        let sql = format!(
            "UPDATE {table} SET done = {done}{ended} WHERE id = '{key}' AND done = {}",
            done - 1
        );
        session.run(&sql).await?;
        if session.connection.affected_rows() == 1 {
            return Ok(());
        }
        let said =
            "it undid what came before it, or ended the transaction in which all of them run";
        Err(refused(&session.name, said, &[]))
    }
}

/// What the server says, without values: they may be secrets, or people's. Names stay.
fn without_values(error: Error) -> Error {
    match error {
        Error::Server(ServerError { code, message, state }) => {
            let message = ["near '", "entry '", "value: '"].into_iter().fold(message, blank_after);
            Error::Server(ServerError { code, message, state })
        }
        error => error,
    }
}

/// The text with `…` for what is quoted there.
fn blank_after(text: String, before: &str) -> String {
    let Some((head, rest)) = text.split_once(before) else { return text };
    let tail = rest.rsplit_once("' ").map(|(_, tail)| format!(" {tail}")).unwrap_or_default();
    format!("{head}{before}…'{tail}")
}

/// What stands in quotes in a statement.
fn literals(statement: &str) -> impl Iterator<Item = &str> {
    let parts = statement.split(['\'', '"']).skip(1).step_by(2);
    parts.filter(|literal| literal.len() >= LITERAL_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> String {
        let state = "42000".to_owned();
        let error = ServerError { code: 1, message: message.to_owned(), state };
        let Error::Server(error) = without_values(Error::Server(error)) else { panic!() };
        error.message
    }

    #[test]
    fn what_the_server_says_is_told_without_values() {
        let syntax = "You have an error in your SQL syntax near 'IDENTIFIED BY 'hush' at line 2";
        assert_eq!(told(syntax), "You have an error in your SQL syntax near '…' at line 2");
        let twice = "Duplicate entry 'ada@example.com' for key 'email'";
        assert_eq!(told(twice), "Duplicate entry '…' for key 'email'");
        let number = "Incorrect integer value: 'hush' for column `a`.`t`.`n` at row 1";
        assert_eq!(told(number), "Incorrect integer value: '…' for column `a`.`t`.`n` at row 1");
        assert_eq!(told("Table 'a.t' doesn't exist"), "Table 'a.t' doesn't exist");
        assert_eq!(told("cut near 'hus"), "cut near '…'");
        let statement = "UPDATE t SET a = 'hush-hush', b = \"quiet\", c = 'x'";
        assert_eq!(literals(statement).collect::<Vec<_>>(), ["hush-hush", "quiet"]);
    }
}
