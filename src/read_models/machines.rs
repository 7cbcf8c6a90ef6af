//! Machines, balancers and regions as the API reads them.

use super::condition::Clause;
use super::{QueryError, Reads, limit_value};
use ocim_projections::inventories::columns as orphan_columns;
use ocim_projections::load_balancers::columns as load_balancer_columns;
use ocim_projections::regions::columns as region_columns;
use ocim_projections::regions::run_columns as region_run_columns;
use ocim_projections::row;
use ocim_projections::servers::columns as server_columns;

row! {
    /// A machine.
    pub struct ServerRow of server_columns {
        id, appserver, region, name, status, machine, public_ip, ssh_port, http_port, ssh_user,
        host_keys, reason, power, created_at, updated_at,
    }
}

row! {
    /// Something that nobody accounts for.
    pub struct OrphanRow of orphan_columns {
        place, kind, key, name, made_with_key, power, deletion_run, found_at,
    }
}

row! {
    /// A balancer.
    pub struct LoadBalancerRow of load_balancer_columns {
        id, domain, public_ip, ssh_username, ssh_port, host_keys, http_port, also_listens,
        accepts_new_backends, troubles, preparation_run, retired_at, created_at, updated_at,
    }
    beside {
        /// How many instances are given to it.
        instance_count: i64 =
            "(select count(*) from rm.instances as i where i.load_balancer = t.id)",
        /// The oldest hundred of them.
        instances: Vec<String> =
            "array(select i.id from rm.instances as i where i.load_balancer = t.id \
             order by i.id limit 100)",
    }
}

row! {
    /// A region of a cloud.
    pub struct RegionRow of region_columns {
        id, name, launches_max, created_at, updated_at,
    }
}

row! {
    /// A run that has a slot in a region, or waits for one.
    pub struct RegionRunRow of region_run_columns { region, run, state, since }
}

/// Which machines are wanted.
#[derive(Debug, Clone, Default)]
pub struct ServerFilter {
    /// Only those that do so.
    pub status: Option<String>,
    /// Only those of this region.
    pub region: Option<String>,
}

impl Reads<'_> {
    /// At most `limit` of the wanted machines, newest first, those after the id `after`.
    pub async fn list_servers(
        &self,
        filter: &ServerFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<ServerRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("")
            .and_some("t.id < $", after.as_ref())
            .and_some("t.status = $", filter.status.as_ref())
            .and_some("t.region = $", filter.region.as_ref())
            .end("t.id desc", &limit);
        self.rows(&clause).await
    }

    /// One machine.
    pub async fn read_server(&self, id: &str) -> Result<Option<ServerRow>, QueryError> {
        self.one(&Clause::new("").and_value("t.id = $", &id)).await
    }

    /// All that was found or is taken away, and nobody accounts for, by place; of one kind if one is named.
    pub async fn list_orphans(&self, kind: Option<&str>) -> Result<Vec<OrphanRow>, QueryError> {
        let clause = Clause::new("").and_some("t.kind = $", kind.as_ref());
        self.rows(&clause.ordered("t.place, t.kind, t.key")).await
    }

    /// At most `limit` balancers, those after the one with the id `after`. Their ids follow from
    /// their domains, so they are sorted by the time of their registration.
    pub async fn list_load_balancers(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Vec<LoadBalancerRow>, QueryError> {
        let limit = limit_value(limit);
        let beyond = "(t.created_at, t.id) < \
                      (select created_at, id from rm.load_balancers where id = $)";
        let clause = Clause::new("")
            .and_some(beyond, after.as_ref())
            .end("t.created_at desc, t.id desc", &limit);
        self.rows(&clause).await
    }

    /// At most `limit` balancers that are not as they should be.
    pub async fn list_troubled_balancers(
        &self,
        limit: usize,
    ) -> Result<Vec<LoadBalancerRow>, QueryError> {
        let limit = limit_value(limit);
        let clause = Clause::new("").and("json_array_length(t.troubles) > 0").end("t.id", &limit);
        self.rows(&clause).await
    }

    /// One balancer.
    pub async fn read_load_balancer(
        &self,
        id: &str,
    ) -> Result<Option<LoadBalancerRow>, QueryError> {
        self.one(&Clause::new("").and_value("t.id = $", &id)).await
    }

    /// All regions by name.
    pub async fn list_regions(&self) -> Result<Vec<RegionRow>, QueryError> {
        self.rows(&Clause::new("").ordered("t.name")).await
    }

    /// The runs of all regions, in the order in which they came.
    pub async fn list_region_runs(&self) -> Result<Vec<RegionRunRow>, QueryError> {
        self.rows(&Clause::new("").ordered("t.in_bulk, t.queued")).await
    }
}
