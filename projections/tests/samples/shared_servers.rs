//! Events of servers that sites share, and what an instance uses of them.

use super::{INSTANCE, recorded};
use ocim_domain::event::Recorded;
use ocim_domain::protected::Protected;
use ocim_domain::shared_server::{self, Address, Mongodb, Mysql, Rabbitmq, SharedServers};

/// What an instance uses of servers of each kind, as it lies in the store.
pub(super) fn used() -> SharedServers {
    serde_json::from_str(include_str!("servers_used.json")).unwrap()
}

fn shared_server_events<A: Address>(address: A) -> Vec<Recorded> {
    let server = address.server_id();
    let registration = shared_server::Registration {
        name: "main".to_owned(),
        description: String::new(),
        address,
        username: "root".to_owned(),
        password: Protected::new(server.to_string(), "not to be seen"),
        accepts_new_clients: true,
    };
    let fields = vec!["name".to_owned()];
    let events = [
        shared_server::Event::Registered(registration.clone()),
        shared_server::Event::RegistrationChanged { registration, fields },
        shared_server::Event::AcceptanceChanged { accepts_new_clients: false },
        shared_server::Event::ClientAdmitted { client: INSTANCE, account: "abcdef".to_owned() },
        shared_server::Event::ClientReleased { client: INSTANCE },
        shared_server::Event::Retired {},
    ];
    events.iter().map(|event| recorded(A::stream(server), event)).collect()
}

/// All events of servers of each kind, as the store returns them.
pub(super) fn all_events() -> Vec<Recorded> {
    let host = || "db.example.com".to_owned();
    let mysql = Mysql { host: host(), port: 3306, tls: false };
    let mongodb = Mongodb {
        hosts: vec![host(), "other.example.com".to_owned()],
        primary: host(),
        port: 27017,
        replica_set: Some("rs0".to_owned()),
        tls: false,
    };
    let rabbitmq = Rabbitmq {
        api_url: "https://mq.example.com:15671".to_owned(),
        instance_host: "mq.example.com".to_owned(),
        instance_port: 5671,
    };
    [shared_server_events(mysql), shared_server_events(mongodb), shared_server_events(rabbitmq)]
        .concat()
}
