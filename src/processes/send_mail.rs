//! `send_mail`: one mail about one cause, handed to the mail server however long that takes.

use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::world::World;
use crate::app::AppError;
use crate::mails::failed_launch::{FailedLaunch, WriteError};
use crate::mails::{MailSetting, Written};
use ocim_adapters::logs::Level;
use ocim_adapters::mail::OutgoingMail;
use ocim_domain::mail::{About, Command, Mail};
use ocim_domain::run_record::{DeliveredMail, MailInput};
use ocim_domain::saga::ErrorCode;
use ocim_engine::call;
use ocim_engine::sagas::host::Host;
use std::time::Duration;

/// So many attempts, five minutes apart, all recipients wait for those that the mail server asks patience
/// for: longer than greylists want.
const PATIENT_ATTEMPTS: u32 = 6;

/// The process.
///
/// Failure policy: nothing waits for a mail. A mail server that does not answer costs no attempt, and one
/// that asks for patience gets a day of it; for some recipients half an hour, then the others get the mail. One that refuses the mail leaves the run stuck, to be tried
/// again once that is mended, or abandoned. The same mail that comes twice has the same id.
pub static SEND_MAIL: Definition = Definition {
    name: "send_mail",
    version: 1,
    deadline: Some(|limits| limits.traffic_time),
    on_abandoned: Some(call!(give_up_mail)),
    settles_on_undo: false,
    steps: &[
        Step::new(
            "request_mail",
            call!(request_mail),
            Kind::Compensable(call!(give_up_mail)),
            20,
            |_| Duration::from_secs(60),
        ),
        Step::new(
            "deliver_mail",
            call!(deliver_mail),
            Kind::Pivot("what the mail server has, it sends"),
            300,
            |_| Duration::from_secs(300),
        ),
        Step::new(
            "record_delivery",
            call!(record_delivery),
            Kind::Retryable("the mail server has the mail"),
            20,
            |_| Duration::from_secs(60),
        ),
    ],
};

/// Whether anybody would get this mail.
#[must_use]
pub fn has_recipients(setting: &MailSetting, about: &About) -> bool {
    match about {
        About::LaunchFailed { .. } => !setting.admins.is_empty(),
    }
}

async fn request_mail(context: StepContext) -> Result<Progress, StepError> {
    let MailInput { about } = context.input()?;
    let setting = &context.world.deployment.mail;
    let recipients = u32::try_from(setting.admins.len()).unwrap_or(u32::MAX);
    let command = Command::Request { about, run: context.run, recipients };
    execute(&context, command).await?;
    done(())
}

async fn deliver_mail(context: StepContext) -> Result<Progress, StepError> {
    let MailInput { about } = context.input()?;
    let setting = &context.world.deployment.mail;
    if !has_recipients(setting, &about) {
        let message = "nobody is to get it any more: see ADMINS";
        return Err(StepError::permanent(ErrorCode::MailRefused, message));
    }
    let written = write(&context.world, &about, &setting.subject_prefix).await?;
    let now = context.world.app.journal().now();
    let addressed = written.addressed(about.mail_id(), setting, now);
    let mail = OutgoingMail { is_overdue: context.attempt > PATIENT_ATTEMPTS, ..addressed };
    let refused = context.world.ports.mailer.send_mail(&mail).await?;
    for recipient in &refused {
        let text = format!("not for {}: {}", recipient.address, recipient.answer);
        context.world.say(context.run, context.step, Level::Warning, text).await;
    }
    let refused = u32::try_from(refused.len()).unwrap_or(u32::MAX);
    done(DeliveredMail { refused })
}

async fn write(world: &World, about: &About, prefix: &str) -> Result<Written, StepError> {
    let About::LaunchFailed { instance, appserver, launch } = *about;
    let failed = FailedLaunch { instance, appserver, launch };
    failed.write(&world.app, prefix).await.map_err(|error| match error {
        WriteError::App(error) => error.into(),
        WriteError::Logs(error) => error.into(),
        WriteError::Text(error) => {
            StepError::permanent(ErrorCode::Defect, ocim_domain::error_chain::chain(&error))
        }
    })
}

async fn record_delivery(context: StepContext) -> Result<Progress, StepError> {
    let DeliveredMail { refused } = context.need("deliver_mail")?;
    execute(&context, Command::Deliver { refused }).await?;
    done(())
}

async fn give_up_mail(context: StepContext) -> Result<Progress, StepError> {
    let reason = super::failure::describe(context.cause.as_ref());
    let given_up = execute(&context, Command::GiveUp { reason }).await;
    match given_up {
        // Nobody had asked for it yet.
        Err(error) if error.code == Some(ErrorCode::StateForbids) => {}
        other => other?,
    }
    undone("nobody gets the mail")
}

async fn execute(context: &StepContext, command: Command) -> Result<(), StepError> {
    let MailInput { about } = context.input()?;
    let stream = about.mail_id().stream();
    let journal = context.world.app.journal();
    let executed = journal.execute::<Mail>(&stream, &context.metadata(), command).await;
    executed.map(|_| ()).map_err(|error| AppError::from(error).into())
}
