//! From what people call things to ids: the server knows the names.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::Output;
use ocim_api_spec::{Page, Reference, ReferenceKind};
use ocim_domain::ids::{
    AppserverId, InstanceId, LoadBalancerId, MongodbServerId, MysqlServerId, RabbitmqServerId,
    RegionId, RunId, ServerId,
};

/// Lists the things that a text stands for.
///
/// # Errors
/// What the server says.
pub(super) async fn run(text: &str, client: &Client, output: &mut Output) -> Result<(), CliError> {
    let query = [("text", text.to_owned())];
    let page: Page<Reference> = client.get_with("/references", &query).await?;
    output.table(
        &page.items,
        &[
            ("ID", &|it| it.id.clone()),
            ("KIND", &|it| it.kind.word().to_owned()),
            ("NAME", &|it| it.name.clone()),
        ],
    )
}

impl Client {
    /// The id of the one thing of this kind that a text stands for: a name, a domain or its first
    /// label, `alpha/2` for an appserver, an id or the beginning of one. A whole id is not looked up.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none, [`Kind::Usage`] where there are several.
    pub(super) async fn find_id(
        &self,
        kind: ReferenceKind,
        text: &str,
    ) -> Result<String, CliError> {
        if is_id(kind, text) {
            return Ok(text.to_owned());
        }
        let query = [("text", text.to_owned()), ("kind", kind.word().to_owned())];
        let page: Page<Reference> = self.get_with("/references", &query).await?;
        choose(kind, text, page.items)
    }

    /// The id of what a run may be about; the text itself where nothing is called so, e.g. a
    /// region's name.
    ///
    /// # Errors
    /// [`Kind::Usage`] where several things are called so.
    pub(super) async fn find_subject(&self, text: &str) -> Result<String, CliError> {
        for kind in [ReferenceKind::Instance, ReferenceKind::Appserver, ReferenceKind::LoadBalancer]
        {
            match self.find_id(kind, text).await {
                Err(error) if error.kind == Kind::NotFound => {}
                found => return found,
            }
        }
        Ok(text.to_owned())
    }
}

fn is_id(kind: ReferenceKind, text: &str) -> bool {
    match kind {
        ReferenceKind::Instance => text.parse::<InstanceId>().is_ok(),
        ReferenceKind::Appserver => text.parse::<AppserverId>().is_ok(),
        ReferenceKind::Server => text.parse::<ServerId>().is_ok(),
        ReferenceKind::LoadBalancer => text.parse::<LoadBalancerId>().is_ok(),
        ReferenceKind::MysqlServer => text.parse::<MysqlServerId>().is_ok(),
        ReferenceKind::MongodbServer => text.parse::<MongodbServerId>().is_ok(),
        ReferenceKind::RabbitmqServer => text.parse::<RabbitmqServerId>().is_ok(),
        ReferenceKind::Run => text.parse::<RunId>().is_ok(),
        ReferenceKind::Region => text.parse::<RegionId>().is_ok(),
    }
}

fn choose(kind: ReferenceKind, text: &str, mut found: Vec<Reference>) -> Result<String, CliError> {
    let what = kind.word().replace('_', " ");
    match found.len() {
        0 => {
            let message = format!("there is no {what} `{text}`");
            Err(CliError::new(Kind::NotFound, message))
        }
        1 => Ok(found.remove(0).id),
        _ => {
            let all: Vec<_> = found.iter().map(|it| format!("{} ({})", it.id, it.name)).collect();
            let message =
                format!("`{text}` may be any {what} of {}: write more of it", all.join(", "));
            Err(CliError::new(Kind::Usage, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(id: &str) -> Reference {
        let (id, name) = (id.to_owned(), format!("{id}.example.com"));
        Reference { kind: ReferenceKind::Instance, id, name }
    }

    #[test]
    fn one_match_is_taken_and_several_are_listed() {
        let chosen = |ids: &[&str]| {
            choose(ReferenceKind::Instance, "al", ids.iter().map(|id| reference(id)).collect())
        };
        assert_eq!(chosen(&["inst_1"]).unwrap(), "inst_1");
        assert_eq!(chosen(&[]).unwrap_err().kind, Kind::NotFound);
        let error = chosen(&["inst_1", "inst_2"]).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains("inst_1 (inst_1.example.com), inst_2"), "{error}");
    }
}
