//! Sites and their Appservers as the API reads them: in lists with what a list shows, and in full.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use ocim_domain::Timestamp;
use ocim_projections::appservers::columns as appserver_columns;
use ocim_projections::instances::columns as instance_columns;
use ocim_projections::row;

/// Where a site's balancer listens, and its newest Appserver: one of each, so that a page of sites
/// is one query.
const BESIDE_SITES: &str = " left join rm.load_balancers as b on b.id = t.load_balancer \
    left join lateral (select id, number, status, healthy from rm.appservers \
                        where instance = t.id order by number desc limit 1) as n on true";
/// The launches of a site that have not settled, the one under way first.
const LAUNCHES: &str =
    "array(select run from rm.instance_launches where instance = t.id order by queued, number)";
/// Whether all who receive a site's traffic are well, and all of its names lead to it.
const HEALTHY: &str = "(json_array_length(t.name_troubles) = 0 and not exists \
    (select 1 from rm.appservers where instance = t.id and active \
        and (trouble is not null or status <> 'running')))";

/// Whether its settings have changed since those were frozen that it is served with.
const AHEAD: &str = "exists (select 1 from rm.appservers \
    where instance = t.id and active and settings_version < t.settings_version)";

row! {
    /// A site as a list shows it.
    pub struct InstanceRow of instance_columns {
        id, name, domain, studio_domain, release, load_balancer, appserver_count,
        active_appservers, name_troubles, lifecycle, lifecycle_run, held_by, hold_reason, held_until,
        maintenance, maintenance_change, successfully_provisioned, owner, tags, creator, created_at, updated_at,
    }
    beside {
        /// `run_…` of launches that have not settled, the one under way first.
        launches: Vec<String> = LAUNCHES,
        /// Whether all who receive its traffic are well, and all of its names lead to it.
        healthy: bool = HEALTHY,
        /// Whether its settings have changed since those were frozen that it is served with.
        ahead: bool = AHEAD,
        /// Where its balancer listens for visitors.
        http_port: Option<i32> = "b.http_port",
        /// Where its balancer listens for visitors of its own machine.
        also_listens: Option<String> = "b.also_listens",
        /// `apps_…` of its newest Appserver.
        newest: Option<String> = "n.id",
        /// Its number.
        newest_number: Option<i32> = "n.number",
        /// How far it came.
        newest_status: Option<String> = "n.status",
        /// Whether nothing went wrong with it.
        newest_healthy: Option<bool> = "n.healthy",
    }
}

row! {
    /// What a site's own page shows beside that.
    pub struct InstanceDetailRow of instance_columns {
        settings, settings_version, notes, resources, mysql, mongodb, rabbitmq, clean_up,
    }
}

/// Which sites are wanted.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// Only those that are set to this release.
    pub release: Option<String>,
    /// Only those whose newest Appserver came so far.
    pub status: Option<String>,
    /// Only those that are well, or that are not.
    pub healthy: Option<bool>,
    /// Only those that are so far in their life.
    pub lifecycle: Option<String>,
    /// Only those that are neither archived nor deleted.
    pub in_service: bool,
    /// Only those whose name has this in it, in letters of any case.
    pub name: Option<String>,
    /// Only those one of whose domains for the LMS has this in it.
    pub domain: Option<String>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those whose settings have changed since they are served, or have not.
    pub ahead: Option<bool>,
}

/// The site of an Appserver, and its machine.
const BESIDE_APPSERVERS: &str = " left join rm.instances as i on i.id = t.instance \
    left join rm.servers as s on s.id = t.server";

row! {
    /// An Appserver as a list shows it.
    pub struct AppserverRow of appserver_columns {
        id, instance, number, attempt, attempts, first_run, status, healthy, failure, active, asked_active,
        last_activated, server, launch_run,
        latest_run, release, configuration_commit, keeps_server_until, trouble, created_at,
        updated_at, terminated_at,
    }
    beside {
        /// What people call its site.
        domain: String = "coalesce(i.domain, t.instance)",
        /// The address of its machine.
        public_ip: Option<String> = "s.public_ip",
        /// Where its web server listens.
        http_port: Option<i32> = "s.http_port",
    }
}

row! {
    /// What an Appserver's own page shows beside that: the settings that it was made from.
    pub struct AppserverDetailRow of appserver_columns { settings }
}

row! {
    /// An Appserver that has a machine, as the clean-up looks at it.
    pub struct StandingRow of appserver_columns {
        id, instance, number, status, active, last_activated, keeps_server_until, made_at,
    }
}

row! {
    /// What the clean-up asks of a site.
    pub struct CleanUpRow of instance_columns {
        id, lifecycle, held_by, hold_reason, held_until, clean_up,
    }
}

/// Which Appservers are wanted.
#[derive(Debug, Clone, Default)]
pub struct AppserverFilter {
    /// Only those of this site.
    pub instance: Option<String>,
    /// Only those that came so far.
    pub status: Option<String>,
    /// Only those that receive traffic, or that do not.
    pub active: Option<bool>,
    /// Only those with which nothing went wrong, or with which something did.
    pub healthy: Option<bool>,
    /// Only those that were made from this release.
    pub release: Option<String>,
}

impl Reads<'_> {
    /// At most `limit` of the wanted sites, newest first, those after the id `after`.
    pub async fn list_instances(
        &self,
        filter: &InstanceFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<InstanceRow>, QueryError> {
        let limit = limit_value(limit);
        let (is_healthy, is_ahead) = (format!("{HEALTHY} = $"), format!("{AHEAD} = $"));
        let mut clause = Clause::new(BESIDE_SITES);
        if filter.in_service {
            clause = clause.and("t.lifecycle not in ('archived', 'deleted')");
        }
        let clause = clause
            .and_some("t.lifecycle = $", filter.lifecycle.as_ref())
            .and_some("t.id < $", after.as_ref())
            .and_some("t.release = $", filter.release.as_ref())
            .and_some("n.status = $", filter.status.as_ref())
            .and_some(&is_healthy, filter.healthy.as_ref())
            .and_some("position(lower($::text) in lower(t.name)) > 0", filter.name.as_ref())
            .and_some(
                "position(lower($::text) in t.internal_domain || ' ' || lower(t.external_domain)) > 0",
                filter.domain.as_ref(),
            )
            .and_some("t.tags @> array[$::text]", filter.tag.as_ref())
            .and_some("t.owner = $", filter.owner.as_ref())
            .and_some(&is_ahead, filter.ahead.as_ref())
            .end("t.id desc", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` sites some of whose names lead elsewhere.
    pub async fn list_misled_instances(
        &self,
        limit: usize,
    ) -> Result<Vec<InstanceRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new(BESIDE_SITES)
            .and("json_array_length(t.name_troubles) > 0")
            .end("t.id", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` sites that somebody holds at that time, those first whose hold ends first.
    pub async fn list_held_instances(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<InstanceRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new(BESIDE_SITES)
            .and_value("t.held_until > $", &now)
            .end("t.held_until, t.id", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` sites that are under maintenance.
    pub async fn list_maintained_instances(
        &self,
        limit: usize,
    ) -> Result<Vec<InstanceRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new(BESIDE_SITES).and("t.maintenance is not null").end("t.id", &limit);
        self.rows(&clause).await
    }

    /// One site as a list shows it.
    pub async fn read_instance(&self, id: &str) -> Result<Option<InstanceRow>, QueryError> {
        self.one(&Clause::new(BESIDE_SITES).and_value("t.id = $", &id)).await
    }

    /// One site in full.
    pub async fn read_instance_detail(
        &self,
        id: &str,
    ) -> Result<Option<(InstanceRow, InstanceDetailRow)>, QueryError> {
        self.one(&Clause::new(BESIDE_SITES).and_value("t.id = $", &id)).await
    }

    /// At most `limit` of the wanted Appservers, newest first, those after the id `after`.
    pub async fn list_appservers(
        &self,
        filter: &AppserverFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<AppserverRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new(BESIDE_APPSERVERS)
            .and_some("t.id < $", after.as_ref())
            .and_some("t.instance = $", filter.instance.as_ref())
            .and_some("t.status = $", filter.status.as_ref())
            .and_some("t.active = $", filter.active.as_ref())
            .and_some("t.healthy = $", filter.healthy.as_ref())
            .and_some("t.release = $", filter.release.as_ref())
            .end("t.id desc", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` Appservers, newest first, that get traffic and are not well, or that failed
    /// and keep their machines.
    pub async fn list_troubled_appservers(
        &self,
        limit: usize,
    ) -> Result<Vec<AppserverRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new(BESIDE_APPSERVERS)
            .and(
                "(t.active and (t.trouble is not null \
                     or coalesce(t.own_status, t.launch_outcome, '') <> 'running') \
                  or t.keeps_server_until is not null)",
            )
            .end("t.id desc", &limit);
        self.rows(&clause).await
    }

    /// The Appservers of these sites that have machines.
    pub async fn list_standing(&self, sites: &[String]) -> Result<Vec<StandingRow>, QueryError> {
        let clause = Clause::new("")
            .and("t.made_at is not null and not t.machine_gone")
            .and_value("t.instance = any($)", &sites);
        self.rows(&clause).await
    }

    /// What the clean-up asks of these sites.
    pub async fn list_clean_ups(&self, sites: &[String]) -> Result<Vec<CleanUpRow>, QueryError> {
        self.rows(&Clause::new("").and_value("t.id = any($)", &sites)).await
    }

    /// One Appserver as a list shows it.
    pub async fn read_appserver(&self, id: &str) -> Result<Option<AppserverRow>, QueryError> {
        self.one(&Clause::new(BESIDE_APPSERVERS).and_value("t.id = $", &id)).await
    }

    /// One Appserver in full.
    pub async fn read_appserver_detail(
        &self,
        id: &str,
    ) -> Result<Option<(AppserverRow, AppserverDetailRow)>, QueryError> {
        self.one(&Clause::new(BESIDE_APPSERVERS).and_value("t.id = $", &id)).await
    }
}
