//! SQL that a bulk redeployment runs on a site's main database before it changes and launches the site.

use super::shared_servers::load;
use super::step::{StepContext, StepError};
use ocim_domain::bulk::Outcome;
use ocim_domain::bulk::sql::Sql;
use ocim_domain::instance::Present;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::provisioning::{Provisioned, Ran, Script, Service, main_database};
use ocim_domain::shared_server::Mysql;
use std::time::Duration;
use uuid::Uuid;

/// Tries while the server does not answer, and the pause after the first one; each is twice the one before.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Runs all of it once, however often it is asked for with that key; the outcome where the instance is done
/// with by that.
///
/// # Errors
/// Where the server is paused, or known to be down: the step waits.
pub(super) async fn run_sql(
    context: &StepContext,
    sql: &Sql,
    instance: &Present,
    key: Uuid,
) -> Result<Option<Outcome>, StepError> {
    let place = main_database(&instance.servers, instance.resources.as_ref());
    let (server, database) = match place {
        Ok(place) => place,
        Err(why) => return Ok(Some(Outcome::Skipped { why: why.to_owned() })),
    };
    let failed = |why: String| Ok(Some(Outcome::Failed { why }));
    let registration = load::<Mysql>(&context.world.app, server).await?;
    let (Some(service), Some(statements)) = (Mysql::service(registration), sql.open()) else {
        return failed("the SQL, or the password of its server, can't be read".to_owned());
    };
    let script = Script { key, database, statements };
    match run_patiently(context, &service, &script).await {
        Ok(ran) => {
            let (count, database) = (script.statements.len(), &script.database);
            let when = match ran {
                Ran::Now => "ran",
                Ran::Before => "had run before",
            };
            context
                .say(format!("{count} statements {when} on `{database}` of the {service}"))
                .await;
            Ok(None)
        }
        Err(error) if error.free_for.is_some() || error.paused_by.is_some() => Err(error.into()),
        Err(error) => failed(format!("its SQL failed: {}", error.message)),
    }
}

/// Asks again where that may help. What is known to be down is not asked.
async fn run_patiently(
    context: &StepContext,
    service: &Service,
    script: &Script,
) -> Result<Ran, PortError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        let error = match context.world.ports.provisioning.run_script(service, script).await {
            Ok(ran) => return Ok(ran),
            Err(error) => error,
        };
        let after = match error.class {
            _ if error.free_for.is_some() || error.paused_by.is_some() => return Err(error),
            Class::Transient | Class::Ambiguous => pause,
            Class::RateLimited(after) => after.clamp(pause, PAUSE_MAX),
            Class::Conflict | Class::Permanent => return Err(error),
        };
        context.say(format!("trying the SQL again: {}", error.message)).await;
        tokio::time::sleep(after).await;
        pause *= 2;
    }
    context.world.ports.provisioning.run_script(service, script).await
}
