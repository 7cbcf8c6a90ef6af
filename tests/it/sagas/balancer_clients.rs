//! Who is given to a balancer stands with it, so that none is retired under its sites.

use super::stage::{BALANCER, Stage, registration, somebody};
use ocim::app::load_balancers::load_balancer_id;
use ocim::app::{AppError, Caller};
use ocim_domain::instance::Instance;
use ocim_domain::load_balancer::{Command, LoadBalancer};

#[tokio::test(start_paused = true)]
async fn a_balancer_is_retired_once_its_sites_are_released_and_nothing_brings_it_back() {
    let (stage, id) = (Stage::new().await, load_balancer_id(BALANCER));
    let app = stage.app();
    stage.launch_active().await;
    let known = app.journal().load::<LoadBalancer>(&id.stream()).await.unwrap().state.unwrap();
    assert!(known.clients.contains(&stage.instance));
    let by = Caller { reason: Some("a newer one".to_owned()), ..somebody() };
    let refused = app.retire_load_balancer(&by, id).await.unwrap_err();
    let AppError::Rejected { detail, .. } = refused else { panic!("{refused:?}") };
    assert!(detail.contains(&stage.instance.to_string()), "{detail}");
    let meta = somebody().metadata();
    for _ in 0..2 {
        app.release_balancers(&meta, stage.instance).await.unwrap();
    }
    app.retire_load_balancer(&by, id).await.unwrap();
    assert_eq!(app.list_registered_balancers().await.unwrap(), [], "nobody looks at it any more");
    let edit = |known: &mut ocim_domain::load_balancer::Registration| {
        known.accepts_new_backends = true;
    };
    app.edit_load_balancer(&somebody(), id, edit).await.unwrap_err();
    app.add_load_balancer(&somebody(), registration()).await.unwrap();
    assert_eq!(app.list_registered_balancers().await.unwrap().len(), 1, "but people");
}

#[tokio::test(start_paused = true)]
async fn who_was_let_in_before_a_crash_is_given_to_that_balancer() {
    let (stage, id) = (Stage::new().await, load_balancer_id(BALANCER));
    let (app, meta) = (stage.app(), somebody().metadata());
    let execute = async |command| {
        app.journal().execute::<LoadBalancer>(&id.stream(), &meta, command).await.unwrap()
    };
    execute(Command::Admit { client: stage.instance }).await;
    execute(Command::AcceptBackends(false)).await;
    for number in 0..3 {
        let mut other = registration();
        other.domain = format!("other{number}.example.com");
        app.register_load_balancer(&somebody(), other).await.unwrap();
    }
    stage.launch().await;
    let instance = app.journal().load::<Instance>(&stage.instance.stream()).await.unwrap().state;
    assert_eq!(instance.present().unwrap().load_balancer, Some(id));
}
