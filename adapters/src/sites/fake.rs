//! Sites that answer as they are told.

use crate::balancer::fake::FakeLoadBalancer;
use crate::faults::Faults;
use crate::sites::{SiteAnswer, SiteProbe};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One request that a [`FakeSite`] got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRequest {
    /// HTTP method.
    pub method: String,
    /// Where it was sent.
    pub to: SocketAddr,
    /// The Host header.
    pub host: String,
    /// Path and query.
    pub path: String,
}

/// A [`SiteProbe`] that asks nobody. Hosts without an answer refuse connections.
#[derive(Debug, Default)]
pub struct FakeSite {
    /// What fails: `request_site`.
    pub faults: Faults,
    balancer: Option<Arc<FakeLoadBalancer>>,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    by_host: BTreeMap<String, SiteAnswer>,
    by_place: BTreeMap<SocketAddr, SiteAnswer>,
    requests: Vec<SiteRequest>,
}

impl FakeSite {
    /// Sites that answer like these do now, and go their own way from here on; behind no balancer.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = Mutex::new(self.lock().clone());
        Self { faults: self.faults.fork(), balancer: None, state }
    }

    /// The same sites, behind balancers that tell by which way an answer came, unless it says so
    /// itself.
    #[must_use]
    pub fn behind(self, balancer: Arc<FakeLoadBalancer>) -> Self {
        Self { balancer: Some(balancer), ..self }
    }

    /// What a host answers from now on, wherever it is asked; `None`: nothing.
    pub fn set_answer(&self, host: &str, answer: Option<SiteAnswer>) {
        let mut state = self.lock();
        match answer {
            Some(answer) => state.by_host.insert(host.to_owned(), answer),
            None => state.by_host.remove(host),
        };
    }

    /// What is answered at a place from now on, whatever the host; comes before the host's answer.
    pub fn set_answer_at(&self, to: SocketAddr, answer: Option<SiteAnswer>) {
        let mut state = self.lock();
        match answer {
            Some(answer) => state.by_place.insert(to, answer),
            None => state.by_place.remove(&to),
        };
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<SiteRequest> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SiteProbe for FakeSite {
    async fn request_site(
        &self,
        method: &str,
        to: SocketAddr,
        host: &str,
        path: &str,
        _timeout: Duration,
    ) -> Result<SiteAnswer, PortError> {
        self.faults.before("request_site").await?;
        let answer = {
            let mut state = self.lock();
            state.requests.push(SiteRequest {
                method: method.to_owned(),
                to,
                host: host.to_owned(),
                path: path.to_owned(),
            });
            state.by_place.get(&to).or_else(|| state.by_host.get(host)).cloned()
        };
        self.faults.after("request_site")?;
        if let Some(route) = self.balancer.as_ref().and_then(|it| it.find_page(to, host)) {
            return Ok(SiteAnswer { status: 503, route: Some(route), ..SiteAnswer::default() });
        }
        let answer = answer.map(|answer| {
            let told = || self.balancer.as_ref()?.name_route(host);
            SiteAnswer { route: answer.route.clone().or_else(told), ..answer }
        });
        answer.ok_or_else(|| PortError::transient(format!("{host} at {to} does not answer")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::port_error::Class;

    fn answer(appserver: &str) -> SiteAnswer {
        SiteAnswer { status: 200, appserver: Some(appserver.to_owned()), ..SiteAnswer::default() }
    }

    #[tokio::test]
    async fn a_place_answers_before_its_host_and_silence_is_transient() {
        let site = FakeSite::default();
        let (here, there) =
            ("198.51.100.1:80".parse().unwrap(), "198.51.100.2:80".parse().unwrap());
        let ask = |to| site.request_site("GET", to, "example.com", "/", Duration::from_secs(1));
        assert_eq!(ask(here).await.unwrap_err().class, Class::Transient);
        site.set_answer("example.com", Some(answer("1")));
        site.set_answer_at(there, Some(answer("2")));
        assert_eq!(ask(here).await.unwrap(), answer("1"));
        assert_eq!(ask(there).await.unwrap(), answer("2"));
        site.set_answer("example.com", None);
        assert!(ask(here).await.is_err());
        assert_eq!(site.requests().len(), 4);
        assert_eq!(site.faults.calls("request_site"), 4);
    }
}
