//! The names of an instance's databases, containers, buckets and accounts: given once, when needed.

use super::App;
use super::error::AppError;
use super::reservations::Claim;
use ocim_domain::decider::Decider;
use ocim_domain::event::Metadata;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{self, Instance};
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_engine::journal::JournalError;

/// How often names are given anew because somebody else wrote first.
const CHANGES_MAX: usize = 16;
/// How many sets of names are tried: all but the first bear digits of the instance's own.
const ATTEMPTS_MAX: u32 = 16;

impl App {
    /// The names of what the instance uses outside its machines. The first time that they are
    /// needed they are calculated, reserved and recorded; from then on they are what they are,
    /// whatever changes.
    ///
    /// # Errors
    /// [`AppError::NotFound`], and what the store says.
    pub async fn name_resources(
        &self,
        meta: &Metadata,
        id: InstanceId,
        prefixes: &ResourcePrefixes,
    ) -> Result<ResourceNames, AppError> {
        for _ in 0..CHANGES_MAX {
            let loaded = self.journal.load::<Instance>(&id.stream()).await?;
            let Some(present) = loaded.state.present() else {
                return Err(AppError::not_found("instance", id));
            };
            if let Some(names) = &present.resources {
                return Ok(names.clone());
            }
            let domain = &present.settings.internal_lms_domain;
            let names = self.reserve_resources(meta, id, domain, prefixes).await?;
            let command = instance::Command::NameResources { names: names.clone() };
            let events = Instance::decide(&loaded.state, command, self.journal.now())
                .map_err(AppError::rejected)?;
            match self.journal.append::<Instance>(&id.stream(), meta, loaded, events).await {
                Ok(_) => return Ok(names),
                Err(JournalError::VersionConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::VersionConflict)
    }

    /// The names that [`App::name_resources`] would give now; none is reserved.
    ///
    /// # Errors
    /// What the store says; [`AppError::Rejected`] where every name is taken.
    pub async fn foresee_resources(
        &self,
        id: InstanceId,
        domain: &str,
        prefixes: &ResourcePrefixes,
    ) -> Result<ResourceNames, AppError> {
        for attempt in 0..ATTEMPTS_MAX {
            let names = ResourceNames::propose(domain, prefixes, id, attempt);
            if self.are_names_free(id, &claims(&names)).await? {
                return Ok(names);
            }
        }
        Err(all_taken(domain))
    }

    /// Reserves the first set of names that nobody else has a part of.
    async fn reserve_resources(
        &self,
        meta: &Metadata,
        id: InstanceId,
        domain: &str,
        prefixes: &ResourcePrefixes,
    ) -> Result<ResourceNames, AppError> {
        for attempt in 0..ATTEMPTS_MAX {
            let names = ResourceNames::propose(domain, prefixes, id, attempt);
            match self.reserve_names(meta, id, &claims(&names)).await {
                Ok(_) => return Ok(names),
                Err(AppError::NamesTaken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(all_taken(domain))
    }
}

fn claims(names: &ResourceNames) -> [Claim; 5] {
    let field = "internal_lms_domain";
    names.reserved().map(|(kind, name)| Claim { kind, name: name.to_owned(), field })
}

fn all_taken(domain: &str) -> AppError {
    AppError::rejected(format!(
        "every name tried for the databases and buckets of {domain} is taken"
    ))
}
