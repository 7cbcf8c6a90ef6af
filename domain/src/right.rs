//! Rights: what one may be granted to do, and how much of what one may read is shown.
//!
//! Each operation of the API needs one right. Today a token's scope grants them in two bundles;
//! whoever is to have rights of their own gets them here, and no operation changes for it.

use crate::token::Scope;
use std::fmt;

macro_rules! rights {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $effect:ident;)*) => {
        /// What one may be granted to do; its name is `what:deed`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Right {
            $($(#[$doc])* $variant,)*
        }

        impl Right {
            /// Every right.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What people and programs call it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What one does by it.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect,)* }
            }
        }
    };
}

/// Whether one who uses a right looks or changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is different afterwards.
    Look,
    /// Something may be.
    Change,
}

rights! {
    /// See sites, their settings and their test logins.
    InstancesRead = "instances:read", Look;
    /// Make sites.
    InstancesCreate = "instances:create", Change;
    /// Change sites' settings.
    InstancesChange = "instances:change", Change;
    /// Take sites out of service.
    InstancesArchive = "instances:archive", Change;
    /// Bring archived sites back.
    InstancesUnarchive = "instances:unarchive", Change;
    /// Take all away that sites have.
    InstancesDelete = "instances:delete", Change;
    /// Keep others from changing sites, and let them again.
    InstancesHold = "instances:hold", Change;
    /// Say when sites' obsolete Appservers go.
    InstancesCleanUp = "instances:clean_up", Change;
    /// Give sites' visitors a page instead, and the site again.
    InstancesMaintain = "instances:maintain", Change;
    /// See Appservers and what they were made from.
    AppserversRead = "appservers:read", Look;
    /// Launch Appservers.
    AppserversLaunch = "appservers:launch", Change;
    /// Bring Appservers into traffic.
    AppserversActivate = "appservers:activate", Change;
    /// Take Appservers out of traffic.
    AppserversDeactivate = "appservers:deactivate", Change;
    /// Take Appservers and their machines away.
    AppserversTerminate = "appservers:terminate", Change;
    /// Restart Appservers' machines.
    AppserversRestart = "appservers:restart", Change;
    /// Make links that lead single browsers to Appservers.
    AppserversLink = "appservers:link", Change;
    /// Say how long failed Appservers keep their machines.
    AppserversKeep = "appservers:keep", Change;
    /// Take failed Appservers' machines away before their date.
    AppserversCleanUp = "appservers:clean_up", Change;
    /// See machines, and those that nothing accounts for.
    ServersRead = "servers:read", Look;
    /// Take machines away that nothing accounts for.
    ServersDelete = "servers:delete", Change;
    /// See what sites have outside, and ask providers what they have that no site has.
    ResourcesRead = "resources:read", Look;
    /// Have a site look after something that none has.
    ResourcesAdopt = "resources:adopt", Change;
    /// Take away what no site has.
    ResourcesDelete = "resources:delete", Change;
    /// Say that something of a site outside needs no looking after any more.
    ResourcesResolve = "resources:resolve", Change;
    /// See balancers.
    LoadBalancersRead = "load_balancers:read", Look;
    /// Add balancers.
    LoadBalancersAdd = "load_balancers:add", Change;
    /// Change what is known of balancers, and whether they take new sites.
    LoadBalancersChange = "load_balancers:change", Change;
    /// Retire balancers.
    LoadBalancersRetire = "load_balancers:retire", Change;
    /// Have balancers put right.
    LoadBalancersPrepare = "load_balancers:prepare", Change;
    /// See servers that sites share, and who uses them, and try whether they let Ocim do its work.
    SharedServersRead = "shared_servers:read", Look;
    /// Add servers that sites share.
    SharedServersAdd = "shared_servers:add", Change;
    /// Change what is known of servers that sites share, and whether they take new sites.
    SharedServersChange = "shared_servers:change", Change;
    /// Retire servers that sites share.
    SharedServersRetire = "shared_servers:retire", Change;
    /// See what is done to many sites at once.
    BulkRead = "bulk:read", Look;
    /// Redeploy and archive many sites at once.
    BulkRequest = "bulk:request", Change;
    /// See what comes by itself, and how it went.
    TimersRead = "timers:read", Look;
    /// Have something done now that comes every day.
    TimersRun = "timers:run", Change;
    /// See which mails were sent, and which could not be.
    MailsRead = "mails:read", Look;
    /// See regions and who waits in them.
    RegionsRead = "regions:read", Look;
    /// Say how many launches run in a region.
    RegionsChange = "regions:change", Change;
    /// See what is paused, and which providers keep failing.
    IncidentsRead = "incidents:read", Look;
    /// Have no work begin.
    IncidentsPause = "incidents:pause", Change;
    /// Let paused work go on.
    IncidentsResume = "incidents:resume", Change;
    /// See runs and how they went.
    RunsRead = "runs:read", Look;
    /// Have runs turn back.
    RunsCancel = "runs:cancel", Change;
    /// Help runs that can't go on by themselves.
    RunsOperate = "runs:operate", Change;
    /// Read what runs printed.
    LogsRead = "logs:read", Look;
    /// Read what happened, in sentences and in full, and hear of it live.
    EventsRead = "events:read", Look;
    /// Find out what a name stands for.
    ReferencesRead = "references:read", Look;
    /// See how far read models are.
    ProjectionsRead = "projections:read", Look;
    /// Have a read model step over an event.
    ProjectionsSkip = "projections:skip", Change;
    /// See who may come in.
    TokensRead = "tokens:read", Look;
    /// Let others in.
    TokensCreate = "tokens:create", Change;
    /// Shut others out.
    TokensRevoke = "tokens:revoke", Change;
    /// See what needs a person, and what runs.
    StatusRead = "status:read", Look;
    /// Read the metrics.
    MetricsRead = "metrics:read", Look;
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much is shown to one who may read. Every read of a read model takes one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReadScope {
    /// All there is.
    #[default]
    Everything,
}

impl Scope {
    /// How much a holder may do by a right; none where the right is not granted.
    #[must_use]
    pub fn grant(self, right: Right) -> Option<ReadScope> {
        let is_granted = self == Self::All || right.effect() == Effect::Look;
        is_granted.then_some(ReadScope::Everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_right_has_a_name_of_its_own_that_says_what_and_which_deed() {
        let names: BTreeSet<_> = Right::ALL.iter().map(|right| right.name()).collect();
        assert_eq!(names.len(), Right::ALL.len());
        for right in Right::ALL {
            let (what, deed) = right.name().split_once(':').unwrap();
            let is_word = |text: &str| text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
            assert!(is_word(what) && is_word(deed), "{right}");
            assert_eq!(deed == "read", right.effect() == Effect::Look, "{right}");
            assert_eq!(right.to_string(), right.name());
        }
    }

    #[test]
    fn who_may_look_may_change_nothing() {
        for right in Right::ALL {
            assert_eq!(Scope::All.grant(*right), Some(ReadScope::Everything), "{right}");
            let looks = right.effect() == Effect::Look;
            assert_eq!(Scope::Read.grant(*right).is_some(), looks, "{right}");
        }
    }
}
