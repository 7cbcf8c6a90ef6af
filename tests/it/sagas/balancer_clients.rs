//! Who is given to a balancer stands with it, so that none is retired under its sites.

use super::scenarios::confirmed;
use super::stage::{BALANCER, Stage, registration, somebody};
use ocim::app::lifecycle::LifecycleAsk;
use ocim::app::load_balancers::load_balancer_id;
use ocim::app::{AppError, Caller};
use ocim_domain::instance::Instance;
use ocim_domain::load_balancer::{Command, LoadBalancer};
use ocim_domain::saga::Phase;
use ocim_domain::shared_server::Mysql;

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

#[tokio::test(start_paused = true)]
async fn archived_sites_leave_their_balancer_and_deleted_ones_their_shared_servers() {
    let (stage, id) = (Stage::new().await, load_balancer_id(BALANCER));
    stage.launch_active().await;
    let mysql = stage.app().list_shared_servers::<Mysql>().await.unwrap()[0].0;
    let journal = stage.app().journal();
    let clients = async || {
        let balancer = journal.load::<LoadBalancer>(&id.stream()).await.unwrap().state.unwrap();
        let server = stage.app().shared_server::<Mysql>(mysql).await.unwrap();
        (balancer.clients.len(), server.clients.len())
    };
    assert_eq!(clients().await, (1, 1));
    let change = async |ask| {
        let run = stage.begin_change(ask).await;
        assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    };
    change(LifecycleAsk::Archive).await;
    assert_eq!(clients().await, (0, 1), "its databases are kept");
    change(LifecycleAsk::Unarchive { launch: false }).await;
    assert_eq!(clients().await, (1, 1));
    change(LifecycleAsk::Delete(confirmed())).await;
    assert_eq!(clients().await, (0, 0));
}
