//! The rules of servers that sites share, and their texts as the original has them.

use crate::given::given;
use crate::sample::instance_id;
use crate::vectors;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{self, Instance};
use ocim_domain::protected::Protected;
use ocim_domain::shared_server::assigned::draw_below;
use ocim_domain::shared_server::url::{ServerUrl, parse_server_url};
use ocim_domain::shared_server::{
    Address, Assignable, Command, Event, Mongodb, Mysql, MysqlUse, Rabbitmq, Registration,
    Rejected, SharedServer, SharedServers,
};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use uuid::Uuid;

pub(crate) fn mysql() -> Mysql {
    Mysql { host: "db.example.com".to_owned(), port: 3306, tls: false }
}

pub(crate) fn mongodb() -> Mongodb {
    let hosts = ["b.example.com", "a.example.com"].map(str::to_owned);
    let [primary, _] = hosts.clone();
    Mongodb {
        hosts: hosts.to_vec(),
        primary,
        port: 27020,
        replica_set: Some("rs0".to_owned()),
        tls: false,
    }
}

pub(crate) fn rabbitmq() -> Rabbitmq {
    Rabbitmq {
        api_url: "https://mq.example.com:15671".to_owned(),
        instance_host: "mq.example.com".to_owned(),
        instance_port: 5671,
    }
}

fn registration<A: Address>(address: A) -> Registration<A> {
    let subject = address.server_id().to_string();
    Registration {
        name: address.default_name().to_owned(),
        description: "for tests".to_owned(),
        address,
        username: "root".to_owned(),
        password: Protected::new(subject, "a password"),
        accepts_new_clients: true,
    }
}

/// What an instance uses of a server of each kind.
pub(crate) fn servers() -> SharedServers {
    let (subject, fill) = (instance_id().to_string(), |bytes: &mut [u8]| bytes.fill(7));
    SharedServers {
        mysql: Some(Mysql::new_use(mysql().server_id(), "abcdef".to_owned(), &subject, &fill)),
        mongodb: Some(Mongodb::new_use(mongodb().server_id(), "mongo".to_owned(), &subject, &fill)),
        rabbitmq: Some(Rabbitmq::new_use(
            rabbitmq().server_id(),
            "/vhost".to_owned(),
            &subject,
            &fill,
        )),
    }
}

/// One event of each kind of a server, in an order that makes sense.
pub(crate) fn events_of<A: Address>(address: A) -> Vec<Event<A>> {
    let known = registration(address);
    let renamed = Registration { name: "the old one".to_owned(), ..known.clone() };
    vec![
        Event::Registered(known),
        Event::RegistrationChanged { registration: renamed, fields: vec!["name".to_owned()] },
        Event::ClientAdmitted { client: instance_id(), account: "abcdef".to_owned() },
        Event::AcceptanceChanged { accepts_new_clients: false },
        Event::ClientReleased { client: instance_id() },
        Event::Retired {},
    ]
}

fn register<A: Address>(address: A) -> Command<A> {
    Command::Register(Box::new(registration(address)))
}

fn change<A: Address>(registration: Registration<A>) -> Command<A> {
    Command::Change(Box::new(registration))
}

fn client(number: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(number))
}

fn admit<A: Address>(number: u128, account: &str) -> Command<A> {
    Command::Admit { client: client(number), account: account.to_owned() }
}

/// The same rules for servers of one kind.
fn a_life_of<A: Address>(address: A) {
    let known = || given::<SharedServer<A>>([Event::Registered(registration(address.clone()))]);
    let unknown = given::<SharedServer<A>>([]);
    let registered = Event::Registered(registration(address.clone()));
    unknown.when_then(register(address.clone()), [registered.clone()]);
    unknown.when_refused(Command::Retire, Rejected::Absent);
    unknown.when_refused(admit(1, "a"), Rejected::Absent);

    known().when_refused(register(address.clone()), Rejected::Exists);
    known().when_silent(change(registration(address.clone())));
    let admitted = Event::ClientAdmitted { client: client(1), account: "a".to_owned() };
    known().when_then(admit(1, "a"), [admitted]);

    let used = || known().after(admit(1, "a"));
    used().when_silent(admit(1, "another"));
    used().when_refused(admit(2, "a"), Rejected::AccountTaken);
    used().when_refused(Command::Retire, Rejected::InUse { clients: vec![client(1)] });
    used().when_silent(Command::Release { client: client(2) });
    let closed = Registration { accepts_new_clients: false, ..registration(address.clone()) };
    let told = Event::AcceptanceChanged { accepts_new_clients: false };
    used().when_then(change(closed.clone()), [told]);
    let full = used().after(change(closed.clone()));
    full.when_refused(admit(2, "b"), Rejected::AcceptsNobody);
    full.when_silent(admit(1, "a"));
    let released = Event::ClientReleased { client: client(1) };
    full.when_then(Command::Release { client: client(1) }, [released]);

    let retired = || known().after(Command::Retire);
    known().when_then(Command::Retire, [Event::Retired {}]);
    retired().when_silent(Command::Retire);
    retired().when_refused(admit(1, "a"), Rejected::Retired);
    retired().when_refused(change(closed), Rejected::Retired);
    assert!(!retired().state().as_ref().unwrap().accepts());
    retired().when_then(register(address.clone()), [registered]);
    assert!(retired().after(register(address)).state().as_ref().unwrap().accepts());
}

#[test]
fn servers_of_all_kinds_have_one_life() {
    a_life_of(mysql());
    a_life_of(mongodb());
    a_life_of(rabbitmq());
}

#[test]
fn a_change_names_its_fields_and_leaves_who_may_come_to_another_event() {
    let known = given::<SharedServer<Mysql>>([Event::Registered(registration(mysql()))]);
    let before = registration(mysql());
    let wanted = Registration {
        name: "main".to_owned(),
        address: Mysql { port: 3307, ..mysql() },
        password: Protected::new(before.password.subject(), "another"),
        accepts_new_clients: false,
        ..before
    };
    let recorded = Registration { accepts_new_clients: true, ..wanted.clone() };
    let fields = ["name", "password", "port"].map(str::to_owned).to_vec();
    known.when_then(
        change(wanted),
        [
            Event::RegistrationChanged { registration: recorded, fields },
            Event::AcceptanceChanged { accepts_new_clients: false },
        ],
    );
}

#[test]
fn a_server_stays_where_it_is_while_members_of_a_deployment_come_and_go() {
    let known = given::<SharedServer<Mysql>>([Event::Registered(registration(mysql()))]);
    let elsewhere = Mysql { host: "other.example.com".to_owned(), ..mysql() };
    known.when_refused(change(registration(elsewhere)), Rejected::Moved);
    let known = given::<SharedServer<Rabbitmq>>([Event::Registered(registration(rabbitmq()))]);
    let elsewhere = Rabbitmq { api_url: "https://other.example.com".to_owned(), ..rabbitmq() };
    known.when_refused(change(registration(elsewhere)), Rejected::Moved);

    let known = given::<SharedServer<Mongodb>>([Event::Registered(registration(mongodb()))]);
    let hosts = ["a.example.com", "c.example.com"].map(str::to_owned).to_vec();
    let grown = Mongodb { primary: hosts[1].clone(), hosts, ..mongodb() };
    let changed =
        known.after(change(Registration { name: "rs0".to_owned(), ..registration(grown.clone()) }));
    assert_eq!(changed.state().as_ref().unwrap().registration.address, grown);
    let other = Mongodb { hosts: vec!["z".to_owned()], primary: "z".to_owned(), ..mongodb() };
    changed.when_refused(change(registration(other)), Rejected::Moved);
}

#[test]
fn a_refusal_names_ten_clients_and_counts_the_others() {
    let clients: Vec<_> = (1..=12).map(client).collect();
    let text = Rejected::InUse { clients: clients.clone() }.to_string();
    assert!(text.contains(&clients[9].to_string()), "{text}");
    assert!(!text.contains(&clients[10].to_string()) && text.ends_with(" and 2 more"), "{text}");
    let text = Rejected::InUse { clients: vec![client(1)] }.to_string();
    assert!(text.ends_with(&client(1).to_string()), "{text}");
}

fn broken<A: Address>(registration: &Registration<A>) -> BTreeSet<String> {
    registration.check().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn every_broken_rule_is_named() {
    for sound in [
        registration(mysql()).check(),
        registration(mongodb()).check(),
        registration(rabbitmq()).check(),
    ] {
        assert_eq!(sound, []);
    }
    let long = |length| "x".repeat(length);
    let wrong = Registration {
        name: " ".to_owned(),
        description: long(251),
        address: Mysql { host: "db.example.com:3306".to_owned(), port: 0, tls: false },
        username: long(65),
        password: Protected::new("msql_1", long(129)),
        accepts_new_clients: true,
    };
    let fields = ["description", "host", "name", "password", "port", "username"];
    assert_eq!(broken(&wrong), fields.map(str::to_owned).into());
    let at_their_limits = Registration {
        name: long(250),
        description: long(250),
        address: Mysql { host: long(128), port: 65_535, tls: false },
        username: long(64),
        password: Protected::new("msql_1", long(128)),
        accepts_new_clients: true,
    };
    assert_eq!(at_their_limits.check(), []);
    for host in ["", "a b", "a/b", "u@h", "-h", ".h", "a\nb", "ä", &long(129)] {
        let address = Mysql { host: host.to_owned(), ..mysql() };
        let named = Registration { name: "main".to_owned(), ..registration(address) };
        assert_eq!(broken(&named), ["host".to_owned()].into(), "{host:?}");
    }
    for host in ["127.0.0.1", "::1", "db_1", "localhost"] {
        let address = Mysql { host: host.to_owned(), ..mysql() };
        assert_eq!(address.check(), [], "{host}");
    }
}

#[test]
fn a_deployment_is_one_host_or_a_named_set_with_a_primary_of_its_own() {
    let fields = |address: Mongodb| broken(&registration(address));
    let several = Mongodb { replica_set: None, ..mongodb() };
    assert_eq!(fields(several), ["replica_set".to_owned()].into());
    let unnamed = Mongodb { replica_set: Some(" ".to_owned()), ..mongodb() };
    assert!(fields(unnamed).contains("replica_set"));
    let strange = Mongodb { primary: "c.example.com".to_owned(), ..mongodb() };
    assert_eq!(fields(strange), ["primary".to_owned()].into());
    let twice = Mongodb { hosts: vec!["b.example.com".to_owned(); 2], ..mongodb() };
    assert_eq!(fields(twice), ["hosts".to_owned()].into());
    let nobody = Mongodb { hosts: vec![], ..mongodb() };
    assert!(fields(nobody).contains("hosts"));
    let alone = Mongodb { hosts: vec!["b.example.com".to_owned()], replica_set: None, ..mongodb() };
    assert_eq!(alone.check(), []);
}

#[test]
fn messages_need_an_administrator_and_a_plain_url() {
    let nobody = Registration {
        username: String::new(),
        password: Protected::new("rbmq_1", ""),
        ..registration(rabbitmq())
    };
    assert_eq!(broken(&nobody), ["password", "username"].map(str::to_owned).into());
    for api_url in [
        "mq.example.com",
        "amqp://mq",
        "https://",
        "https://u:p@mq",
        "http://mq?a",
        "http://:1",
        "http://mq a",
    ] {
        let address = Rabbitmq { api_url: api_url.to_owned(), ..rabbitmq() };
        assert_eq!(broken(&registration(address)), ["api_url".to_owned()].into(), "{api_url}");
    }
}

#[test]
fn one_place_has_one_id_however_it_is_written() {
    let spelled = Mysql { host: " DB.Example.com".to_owned(), port: 3307, tls: false };
    assert_eq!(spelled.normalized().server_id(), mysql().server_id());
    let mut turned = mongodb();
    turned.hosts.reverse();
    assert_eq!(turned.server_id(), mongodb().server_id());
    let spelled = Rabbitmq { api_url: "HTTPS://MQ.example.com:15671/".to_owned(), ..rabbitmq() };
    assert_eq!(spelled.normalized(), rabbitmq());
    let path = Rabbitmq { api_url: "https://MQ/Prefix/".to_owned(), ..rabbitmq() };
    assert_eq!(path.normalized().api_url, "https://mq/Prefix");
    let host = Rabbitmq { instance_host: " MQ.example.com ".to_owned(), ..rabbitmq() };
    assert_eq!(host.normalized(), rabbitmq());
}

#[test]
fn urls_and_display_texts_are_the_originals() {
    let vectors = vectors::read("mysql.json");
    let recorded = vectors["server_urls"].as_array().unwrap();
    assert_eq!(recorded.len(), 5);
    for vector in recorded {
        let text = |name: &str| vector["fields"][name].as_str().unwrap_or_default().to_owned();
        let port = |default| {
            vector["fields"]["port"].as_u64().map_or(default, |it| u16::try_from(it).unwrap())
        };
        let (host, user, password) = (text("hostname"), text("username"), text("password"));
        let (url, port, shown) = match vector["kind"].as_str().unwrap() {
            "mysql" => {
                let address = Mysql { host, port: port(Mysql::PORT), tls: false };
                let port = address.port;
                (address.url(&user, &password), port, named("n", "", address))
            }
            _ => {
                let port = port(Mongodb::PORT);
                let (hosts, primary) = (vec![host.clone()], host);
                let address = Mongodb { hosts, primary, port, replica_set: None, tls: false };
                (address.url(&user, &password), port, named("n", "", address))
            }
        };
        assert_eq!(vector["url"], Value::from(url), "{vector}");
        assert_eq!(vector["port_after_save"], Value::from(port), "{vector}");
        assert_eq!(vector["str"], Value::from(shown), "{vector}");
    }
    assert_eq!(named("main", "on bare metal", mysql()), "main (on bare metal)");
}

fn named<A: Address>(name: &str, description: &str, address: A) -> String {
    let (name, description) = (name.to_owned(), description.to_owned());
    Registration { name, description, ..registration(address) }.to_string()
}

#[test]
fn accounts_and_passwords_are_as_long_as_the_originals_and_of_its_letters() {
    let state = Cell::new(1_u64);
    // Any numbers do that are not all the same.
    let fill = |bytes: &mut [u8]| {
        for byte in bytes {
            state.set(state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            *byte = state.get().to_be_bytes()[0];
        }
    };
    let is_lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let user = Mysql::new_account(&fill);
    assert!(user.len() == 6 && is_lower(&user), "{user}");
    let user = Mongodb::new_account(&fill);
    assert!(user.len() == 16 && is_lower(&user), "{user}");
    let vhost = Rabbitmq::new_account(&fill);
    assert!(vhost.len() == 15 && vhost.starts_with('/') && is_lower(&vhost[1..]), "{vhost}");

    let subject = instance_id().to_string();
    let mysql = Mysql::new_use(mysql().server_id(), "abcdef".to_owned(), &subject, &fill);
    let used = Rabbitmq::new_use(rabbitmq().server_id(), vhost.clone(), &subject, &fill);
    assert_eq!((mysql.user.as_str(), &used.vhost), ("abcdef", &vhost));
    for (password, length) in
        [(&mysql.password, 32), (&used.provider.password, 64), (&used.consumer.password, 64)]
    {
        let text = password.open().unwrap();
        assert!(text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(!is_lower(text), "{text}");
        assert_eq!(password.subject(), subject);
    }
    assert!(used.provider.user.len() == 32 && is_lower(&used.provider.user));
    assert_ne!(used.provider, used.consumer);
    let drawn: BTreeSet<_> = (0..200).map(|_| draw_below(3, &fill)).collect();
    assert_eq!(drawn, [0, 1, 2].into(), "each is drawn, and nothing else");
}

#[test]
fn an_instance_keeps_the_first_server_of_each_kind() {
    let assign =
        |servers: SharedServers| instance::Command::AssignServers { servers: Box::new(servers) };
    let told =
        |servers: SharedServers| instance::Event::ServersAssigned { servers: Box::new(servers) };
    let settings = Box::new(crate::sample::settings());
    let created = given::<Instance>([instance::Event::Created { settings }]);
    let mysql_alone = SharedServers { mysql: servers().mysql, ..SharedServers::default() };
    let others = SharedServers { mysql: None, ..servers() };
    created.when_silent(assign(SharedServers::default()));
    created.when_then(assign(mysql_alone.clone()), [told(mysql_alone.clone())]);
    let later = created.after(assign(mysql_alone.clone()));
    let elsewhere = MysqlUse { user: "other".to_owned(), ..mysql_alone.mysql.clone().unwrap() };
    let wanted = SharedServers { mysql: Some(elsewhere), ..servers() };
    later.when_then(assign(wanted.clone()), [told(others)]);
    let all = later.after(assign(wanted.clone()));
    all.when_silent(assign(wanted));
    assert_eq!(all.state().present().unwrap().servers, servers());
    given::<Instance>([]).when_refused(assign(servers()), instance::Rejected::Absent);
}

#[test]
fn a_url_is_taken_apart_as_it_is_written() {
    let url = |text| parse_server_url(text).unwrap();
    let full = ServerUrl {
        scheme: "mysql".to_owned(),
        username: "ro%6ft".to_owned(),
        password: "p:@ss".to_owned(),
        host: "db.example.com".to_owned(),
        port: Some(3307),
        rest: "/x?y".to_owned(),
    };
    assert_eq!(url("MySQL://ro%6ft:p:@ss@DB.example.com:3307/x?y"), full);
    assert_eq!(url("mysql://h").port, None);
    assert_eq!(
        (url("mysql://u@[::1]:1").host.as_str(), url("mysql://u@[::1]:1").port),
        ("::1", Some(1))
    );
    for odd in [
        "",
        "mysql",
        "mysql://",
        "mysql://u:p@",
        "://h",
        "mysql://h:0",
        "mysql://h:x",
        "mysql://[::1",
        "m://[::1]1",
    ] {
        assert_eq!(parse_server_url(odd), None, "{odd}");
    }
    let written = Mysql { host: "::1".to_owned(), port: 1, tls: false }.url("u", "p");
    assert_eq!(written, "mysql://u:p@[::1]:1");
}

#[test]
fn a_client_of_messages_is_told_a_url_with_its_account() {
    let told = |address: Rabbitmq| address.url("site", "secret");
    assert_eq!(told(rabbitmq()), "amqps://site:secret@mq.example.com");
    let elsewhere = Rabbitmq { instance_port: 5673, ..rabbitmq() };
    assert_eq!(told(elsewhere), "amqps://site:secret@mq.example.com:5673");
}

#[test]
fn what_an_instance_uses_is_told_by_kind() {
    let all = servers();
    assert_eq!(Mysql::used(&all), all.mysql.as_ref());
    assert_eq!(Mongodb::used(&all), all.mongodb.as_ref());
    assert_eq!(Rabbitmq::used(&all), all.rabbitmq.as_ref());
    assert!(!all.is_empty());
    let none = SharedServers::default();
    assert!(none.is_empty() && Mysql::used(&none).is_none());
    assert!(Mongodb::used(&none).is_none() && Rabbitmq::used(&none).is_none());
}

#[test]
fn what_goes_over_tls_is_recorded_and_what_is_in_clear_is_not() {
    let read = |json: &Value| serde_json::from_value::<Mysql>(json.clone()).unwrap();
    let clear = serde_json::to_value(mysql()).unwrap();
    assert_eq!((clear.get("tls"), read(&clear)), (None, mysql()), "as it was before there was any");
    let over_tls = Mysql { tls: true, ..mysql() };
    let json = serde_json::to_value(&over_tls).unwrap();
    assert_eq!((json["tls"].as_bool(), read(&json)), (Some(true), over_tls));
    let over_tls = Mongodb { tls: true, ..mongodb() };
    assert_eq!(serde_json::to_value(over_tls).unwrap()["tls"], true);
    assert_eq!(serde_json::to_value(mongodb()).unwrap().get("tls"), None);
}
