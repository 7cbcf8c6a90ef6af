//! What people call things, and which ids that stands for. One query knows all the names.

use super::{QueryError, Reads, limit_value};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// One thing that a text may stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceRow {
    /// `instance`, `appserver`, `server`, `load_balancer`, `run`, `region`, `mysql_server`,
    /// `mongodb_server` or `rabbitmq_server`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
}

impl Reads<'_> {
    /// At most `limit` things that `text` may stand for, newest first: those that are called so;
    /// where there is none, those whose domain begins with it as a label; else those whose id
    /// does, with or without its prefix. Upper and lower case are the same.
    ///
    /// # Errors
    /// [`QueryError`] without a database.
    pub async fn find_references(
        &self,
        kind: Option<&str>,
        text: &str,
        limit: usize,
    ) -> Result<Vec<ReferenceRow>, QueryError> {
        let text = text.trim().to_lowercase();
        let (site, number) = split_number(&text).unzip();
        self.query(&REFERENCES, &[&kind, &text, &site, &number, &limit_value(limit)]).await
    }
}

/// `alpha/2` and `alpha 2`: a site, and the number of its Appserver.
fn split_number(text: &str) -> Option<(&str, i32)> {
    let (site, number) = text.rsplit_once(['/', ' '])?;
    Some((site.trim_end(), number.parse().ok()?))
}

/// How well a thing fits a text, 0 best, null not at all.
fn rank(text: &str, id: &str, names: &str, domain: &str) -> String {
    format!(
        "case when {id} = {text} or {text} in ({names}) then 0 \
              when starts_with({domain}, {text} || '.') then 1 \
              when starts_with({id}, {text}) or starts_with(split_part({id}, '_', 2), {text}) \
              then 2 end"
    )
}

static REFERENCES: LazyLock<String> = LazyLock::new(|| {
    let site = |text: &str| {
        let names = "lower(i.name), lower(i.domain), lower(i.internal_domain), \
                     lower(i.external_domain)";
        // A deleted site's names are others', if anybody's.
        let by_id = rank(text, "i.id", "''", "''");
        let by_name = rank(text, "i.id", names, "lower(i.internal_domain)");
        format!("case when i.lifecycle = 'deleted' then ({by_id}) else ({by_name}) end")
    };
    let named = |name: &str| rank("$2::text", "id", &format!("lower({name})"), "''");
    let (instance, its_site) = (site("$2::text"), site("$3::text"));
    let appserver = rank("$2::text", "a.id", "''", "''");
    let (server, balancer, run) = (named("name"), named("domain"), named("''"));
    let shared = rank("$2::text", "id", "select lower(name) union all select unnest(places)", "''");
    // Only the tables of what is asked for are read.
    let asked = |kind: &str| format!("where coalesce($1::text, '{kind}') = '{kind}'");
    let kinds = ["instance", "appserver", "server", "load_balancer", "run", "region"];
    let [sites, appservers, servers, balancers, runs, regions] = kinds.map(asked);
    format!(
        "with found as (
           select 'instance' as kind, i.id, i.domain as name, {instance} as rank
             from rm.instances as i {sites}
           union all
           select 'appserver', a.id, i.domain || '/' || a.number,
                  coalesce(case when a.number = $4::integer then {its_site} end, {appserver})
             from rm.appservers as a join rm.instances as i on i.id = a.instance
                  {appservers}
           union all select 'server', id, name, {server} from rm.servers {servers}
           union all select 'load_balancer', id, domain, {balancer} from rm.load_balancers
                  {balancers}
           union all select 'run', id, definition, {run} from rm.runs {runs}
           union all select 'region', id, name, {server} from rm.regions {regions}
           union all select kind, id, name, {shared} from rm.shared_servers
                  where coalesce($1::text, kind) = kind)
         select kind, id, name from found
          where rank = (select min(rank) from found)
          order by id desc limit $5::bigint"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appserver_is_a_site_and_a_number() {
        assert_eq!(split_number("alpha.example.com/12"), Some(("alpha.example.com", 12)));
        assert_eq!(split_number("a site 2"), Some(("a site", 2)));
        for other in ["alpha", "alpha/two", "2", "alpha/99999999999"] {
            assert_eq!(split_number(other), None, "{other}");
        }
    }
}
