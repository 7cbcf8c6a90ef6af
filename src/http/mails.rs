//! Mails that Ocim sends, to look at.

use super::Api;
use super::convert::word;
use super::extract::Params;
use super::health::HEALTH;
use super::paging::{Choice, answer_with_page};
use super::problem::HttpError;
use super::routes::{Access, Answer, AnswerHeader, Content, Input, Link, Route, Verb, handler};
use crate::app::Caller;
use crate::read_models::MailRow;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{Mail, MailState, texts};
use ocim_domain::ids::{InstanceId, MailId};
use ocim_domain::right::Right;
use serde::Deserialize;
use utoipa::IntoParams;

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(list_mails),
    method: Verb::Get,
    path: "/api/v1/mails",
    tag: HEALTH,
    summary: "Lists the mails that Ocim sends",
    description: "The newest first. There is one for each launch that failed, to those whom `ADMINS` \
        names.",
    access: Access::Granted(Right::MailsRead),
    takes: Input::NOTHING.query::<MailParams>(),
    answers: &[Answer {
        status: 200,
        description: "A page of mails",
        content: &[Content::page::<Mail>()],
        headers: &[AnswerHeader::Link],
        links: &[Link {
            name: "run",
            to: "read_run",
            parameter: "id",
            from: "$response.body#/items/0/run",
        }],
    }],
    refuses: &[],
}];

/// Which mails are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MailParams {
    /// Only those in this state.
    state: Option<MailState>,
    /// Only those about the instance with this id.
    #[param(value_type = Option<texts::InstanceId>)]
    instance: Option<InstanceId>,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::MailId>)]
    after: Option<String>,
}

/// Lists the mails that Ocim sends.
async fn list_mails(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<MailParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<MailId>(params.limit, params.after.as_deref())?;
    let state = params.state.map(|state| state.word().to_owned());
    let instance = params.instance.map(|id| id.to_string());
    let (limit, after) = (choice.rows_to_read(), choice.after.as_ref());
    let reads = api.app.reads(&by);
    let rows = reads.list_mails(state.as_ref(), instance.as_ref(), limit, after).await?;
    let page = choice.page(rows, |row: &MailRow| row.id.clone(), show_mail)?;
    answer_with_page(&request, &page)
}

fn show_mail(row: MailRow) -> Result<Mail, HttpError> {
    Ok(Mail {
        id: row.id,
        about: word(row.about)?,
        instance: row.instance,
        appserver: row.appserver,
        about_run: row.about_run,
        run: row.run,
        recipients: row.recipients,
        state: word(row.state)?,
        refused: row.refused,
        reason: row.reason,
        created: row.created_at,
        modified: row.updated_at,
    })
}
