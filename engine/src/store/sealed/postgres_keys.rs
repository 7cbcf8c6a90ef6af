//! The keyring in PostgreSQL: keys wrapped by one that follows from `SECRET_KEY`.

use super::cipher::{DataKey, MasterKey};
use super::keys::{KeyError, SubjectKeys};
use async_trait::async_trait;
use deadpool_postgres::Pool;
use ocim_domain::system::Ids;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// How long one query may take, with the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The table `es.subject_keys`. Backups made before a key was shredded still hold it, wrapped.
#[derive(Debug)]
pub struct PostgresKeys {
    pool: Pool,
    master: MasterKey,
    ids: Arc<dyn Ids>,
}

impl PostgresKeys {
    /// Opens the keyring of a migrated database; the first one to do so binds it to its secret.
    ///
    /// # Errors
    /// [`KeyError::WrongSecretKey`] if the database was made with another one.
    pub async fn open(pool: Pool, secret_key: &[u8], ids: Arc<dyn Ids>) -> Result<Self, KeyError> {
        let keys = Self { pool, master: MasterKey::derive(secret_key), ids };
        let ours = keys.master.check_value.as_slice();
        let bind = "insert into es.key_check (value) values ($1) on conflict do nothing";
        keys.query(bind, &[&ours]).await?;
        let rows = keys.query("select value from es.key_check where value = $1", &[&ours]).await?;
        if rows.is_empty() { Err(KeyError::WrongSecretKey) } else { Ok(keys) }
    }

    /// Whether the database was made with this secret; `None` where it was not opened yet. Binds
    /// nothing.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] without a database.
    pub async fn is_bound_to(pool: &Pool, secret_key: &[u8]) -> Result<Option<bool>, KeyError> {
        let ours = MasterKey::derive(secret_key).check_value;
        let query = async {
            let client = pool.get().await.map_err(unavailable)?;
            client.query_opt("select value from es.key_check", &[]).await.map_err(unavailable)
        };
        let row = tokio::time::timeout(QUERY_TIMEOUT, query).await.map_err(unavailable)??;
        let bound: Option<Vec<u8>> =
            row.map(|row| row.try_get(0)).transpose().map_err(unavailable)?;
        Ok(bound.map(|bound| bound == ours))
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, KeyError> {
        let query = async {
            let client = self.pool.get().await.map_err(unavailable)?;
            let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
            client.query(&statement, parameters).await.map_err(unavailable)
        };
        tokio::time::timeout(QUERY_TIMEOUT, query).await.map_err(unavailable)?
    }

    fn unwrap(&self, subject: &str, row: &Row) -> Result<Option<DataKey>, KeyError> {
        let wrapped: Option<&[u8]> = row.try_get(0).map_err(unavailable)?;
        let key = wrapped.map(|wrapped| self.master.unwrap(subject, wrapped)).transpose();
        key.map_err(|_| KeyError::Damaged { subject: subject.to_owned() })
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> KeyError {
    KeyError::Unavailable(Box::new(error))
}

#[async_trait]
impl SubjectKeys for PostgresKeys {
    async fn get_or_create(&self, subject: &str) -> Result<DataKey, KeyError> {
        let select = "select wrapped_key from es.subject_keys where subject = $1";
        let mut rows = self.query(select, &[&subject]).await?;
        if rows.is_empty() {
            let wrapped = self
                .master
                .wrap(&*self.ids, subject, &DataKey::random(&*self.ids))
                .map_err(unavailable)?;
            let insert = "insert into es.subject_keys (subject, wrapped_key) values ($1, $2) \
                          on conflict do nothing";
            self.query(insert, &[&subject, &wrapped]).await?;
            // Read again: another node's key may have come first.
            rows = self.query(select, &[&subject]).await?;
        }
        let key = rows.first().map(|row| self.unwrap(subject, row)).transpose()?.flatten();
        key.ok_or_else(|| KeyError::Shredded { subject: subject.to_owned() })
    }

    async fn get(&self, subject: &str) -> Result<Option<DataKey>, KeyError> {
        let select = "select wrapped_key from es.subject_keys where subject = $1";
        let rows = self.query(select, &[&subject]).await?;
        Ok(rows.first().map(|row| self.unwrap(subject, row)).transpose()?.flatten())
    }

    async fn shred(&self, subject: &str) -> Result<(), KeyError> {
        let shred = "insert into es.subject_keys (subject, wrapped_key, shredded_at) \
                     values ($1, null, now()) on conflict (subject) do update \
                     set wrapped_key = null, \
                         shredded_at = coalesce(subject_keys.shredded_at, now())";
        self.query(shred, &[&subject]).await?;
        Ok(())
    }
}
