//! Servers of databases and messages that sites share: add, list, read, edit, retire.

use super::Api;
use super::extract::{Body, Params};
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::{HttpError, internal, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::app::{Caller, Done};
use crate::read_models::SharedServerRow;
use crate::tested_servers::test_server;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::page::Listed;
use ocim_api_spec::{
    AddMongodbServer, AddMysqlServer, AddRabbitmqServer, AddedServer, EditMongodbServer,
    EditMysqlServer, EditRabbitmqServer, MongodbServer, MysqlServer, ProblemType, RabbitmqServer,
    RetireServer, TestedServer, texts,
};
use ocim_domain::ids::{MongodbServerId, MysqlServerId, RabbitmqServerId};
use ocim_domain::protected::Protected;
use ocim_domain::provisioning::Provisioned;
use ocim_domain::right::Right;
use ocim_domain::shared_server::{Address, Mongodb, Mysql, NewServer, Rabbitmq, Registration};
use ocim_projections::shared_servers;

const SHARED_SERVERS: Tag = Tag {
    name: "shared servers",
    description: "Servers of databases and messages that sites share",
};

/// What travels of a kind of servers, and how that becomes ours.
trait Wire: Address {
    /// What adds one.
    type Add;
    /// What changes one.
    type Edit;
    /// What is shown of one.
    type Shown: Listed;
    /// Where they are listed.
    const PATH: &'static str;

    /// The server that is to be added, and why.
    fn new_server(body: Self::Add) -> (NewServer<Self>, Option<String>);
    /// Changes what is known as it is said.
    fn apply(body: &Self::Edit, known: &mut Registration<Self>);
    /// As people see it.
    fn show(row: SharedServerRow) -> Result<Self::Shown, HttpError>;
}

/// The types of one kind, as they come and go. What is the kind's own is its address.
macro_rules! wire {
    (
        $kind:ident, $path:literal, $add:ident, $edit:ident, $shown:ident,
        new |$body:ident| $new:expr,
        edit |$edited:ident, $address:ident| $change:block
        shows { $($field:ident),* }
    ) => {
        impl Wire for $kind {
            type Add = $add;
            type Edit = $edit;
            type Shown = $shown;
            const PATH: &'static str = $path;

            fn new_server($body: $add) -> (NewServer<Self>, Option<String>) {
                let address = $new;
                let server = NewServer {
                    name: $body.name.unwrap_or_default(),
                    description: $body.description,
                    address,
                    username: $body.username,
                    password: $body.password,
                    accepts_new_clients: $body.accepts_new_clients,
                };
                (server, $body.reason)
            }

            fn apply($edited: &$edit, known: &mut Registration<Self>) {
                let texts = [
                    (&mut known.name, &$edited.name),
                    (&mut known.description, &$edited.description),
                    (&mut known.username, &$edited.username),
                ];
                for (text, wanted) in texts {
                    replace(text, wanted.as_ref());
                }
                if let Some(password) = &$edited.password {
                    known.password = Protected::new(known.password.subject(), password);
                }
                replace(&mut known.accepts_new_clients, $edited.accepts_new_clients.as_ref());
                let $address = &mut known.address;
                $change
            }

            fn show(row: SharedServerRow) -> Result<$shown, HttpError> {
                let address: Self =
                    serde_json::from_value(row.address).map_err(|error| internal(&error))?;
                Ok($shown {
                    $($field: address.$field,)*
                    id: row.id,
                    name: row.name,
                    description: row.description,
                    username: row.username,
                    url: row.url,
                    accepts_new_clients: row.accepts_new_clients,
                    instance_count: row.instance_count,
                    instances: row.instances,
                    retired: row.retired_at,
                    created: row.created_at,
                    modified: row.updated_at,
                })
            }
        }
    };
}

/// Sets what is wanted otherwise.
pub(super) fn replace<T: Clone>(value: &mut T, wanted: Option<&T>) {
    if let Some(wanted) = wanted {
        value.clone_from(wanted);
    }
}

wire! {
    Mysql, "/api/v1/mysql_servers", AddMysqlServer, EditMysqlServer, MysqlServer,
    new |body| Mysql {
        host: body.host,
        port: body.port.unwrap_or(Mysql::PORT),
        tls: body.tls,
    },
    edit |body, address| {
        replace(&mut address.port, body.port.as_ref());
        replace(&mut address.tls, body.tls.as_ref());
    }
    shows { host, port, tls }
}

wire! {
    Mongodb, "/api/v1/mongodb_servers", AddMongodbServer, EditMongodbServer, MongodbServer,
    new |body| Mongodb {
        primary: body.primary.or_else(|| body.hosts.first().cloned()).unwrap_or_default(),
        hosts: body.hosts,
        port: body.port.unwrap_or(Mongodb::PORT),
        replica_set: body.replica_set,
        tls: body.tls,
    },
    edit |body, address| {
        replace(&mut address.hosts, body.hosts.as_ref());
        replace(&mut address.primary, body.primary.as_ref());
        replace(&mut address.port, body.port.as_ref());
        if body.replica_set.is_some() {
            address.replica_set.clone_from(&body.replica_set);
        }
        replace(&mut address.tls, body.tls.as_ref());
    }
    shows { hosts, primary, port, replica_set, tls }
}

wire! {
    Rabbitmq, "/api/v1/rabbitmq_servers", AddRabbitmqServer, EditRabbitmqServer, RabbitmqServer,
    new |body| Rabbitmq {
        api_url: body.api_url,
        instance_host: body.instance_host,
        instance_port: body.instance_port.unwrap_or(Rabbitmq::PORT),
    },
    edit |body, address| {
        replace(&mut address.instance_host, body.instance_host.as_ref());
        replace(&mut address.instance_port, body.instance_port.as_ref());
    }
    shows { api_url, instance_host, instance_port }
}

/// The handlers of one kind, and what is said of them.
macro_rules! routes {
    (
        $kind:ident, $id:ident, $what:literal, $several:literal, $path:literal,
        $list:ident, $add:ident, $read:ident, $edit:ident, $test:ident, $retire:ident
    ) => {{
        async fn $list(
            api: Data<Api>,
            by: ReqData<Caller>,
            Params(params): Params<PageParams>,
            request: HttpRequest,
        ) -> Result<HttpResponse, HttpError> {
            let choice = Choice::new::<$id>(params.limit, params.after.as_deref())?;
            list::<$kind>(&api, &by, &choice, &request).await
        }

        async fn $add(
            api: Data<Api>,
            by: ReqData<Caller>,
            Body(body): Body<<$kind as Wire>::Add>,
        ) -> Result<HttpResponse, HttpError> {
            add::<$kind>(&api, by.into_inner(), body).await
        }

        async fn $read(
            api: Data<Api>,
            by: ReqData<Caller>,
            id: Path<$id>,
        ) -> Result<HttpResponse, HttpError> {
            Ok(HttpResponse::Ok().json(read::<$kind>(&api, &by, *id).await?))
        }

        async fn $edit(
            api: Data<Api>,
            by: ReqData<Caller>,
            id: Path<$id>,
            Body(body): Body<<$kind as Wire>::Edit>,
        ) -> Result<HttpResponse, HttpError> {
            let by = Caller { reason: body.reason.clone(), ..by.into_inner() };
            let by = by.with_checked_reason()?;
            let edit = |known: &mut _| <$kind as Wire>::apply(&body, known);
            let done = api.app.edit_server::<$kind>(&by, *id, edit).await?;
            answer::<$kind>(&api, &by, *id, done).await
        }

        async fn $test(
            api: Data<Api>,
            id: Path<$id>,
        ) -> Result<HttpResponse, HttpError> {
            test::<$kind>(&api, *id).await
        }

        async fn $retire(
            api: Data<Api>,
            by: ReqData<Caller>,
            id: Path<$id>,
            Body(body): Body<RetireServer>,
        ) -> Result<HttpResponse, HttpError> {
            let by = Caller { reason: Some(body.reason), ..by.into_inner() };
            let done = api.app.retire_server::<$kind>(&by, *id).await?;
            answer::<$kind>(&api, &by, *id, done).await
        }

        const ID: PathPart = PathPart {
            name: "id",
            description: concat!("Which ", $what),
            shape: Shape::of::<texts::$id>(),
        };
        const NOW: Answer = Answer {
            status: 200,
            description: concat!("The ", $what, " as it is now"),
            content: &[Content::json::<<$kind as Wire>::Shown>()],
            headers: &[AnswerHeader::Stale],
            links: &[],
        };
        [
            Route {
                handler: handler!($list),
                method: Verb::Get,
                path: $path,
                tag: SHARED_SERVERS,
                summary: concat!("Lists ", $several, ", newest first"),
                description: "Also those that are retired. Passwords are never shown.",
                access: Access::Granted(Right::SharedServersRead),
                takes: Input::NOTHING.page_after::<texts::$id>(),
                answers: &[Answer {
                    status: 200,
                    description: concat!("A page of ", $several),
                    content: &[Content::page::<<$kind as Wire>::Shown>()],
                    headers: &[AnswerHeader::Link],
                    links: &[Link {
                        name: "server",
                        to: stringify!($read),
                        parameter: "id",
                        from: "$response.body#/items/0/id",
                    }],
                }],
                refuses: &[],
            },
            Route {
                handler: handler!($add),
                method: Verb::Post,
                path: $path,
                tag: SHARED_SERVERS,
                summary: concat!("Adds a ", $what),
                description: "Its id follows from where it is, and no other of its kind is there. \
                    Nothing is asked of the server itself.",
                access: Access::Granted(Right::SharedServersAdd),
                takes: Input::NOTHING.body::<<$kind as Wire>::Add>(),
                answers: &[Answer {
                    status: 201,
                    description: "It is added",
                    content: &[Content::json::<AddedServer>()],
                    headers: &[AnswerHeader::Location, AnswerHeader::Stale],
                    links: &[Link {
                        name: "server",
                        to: stringify!($read),
                        parameter: "id",
                        from: "$response.body#/id",
                    }],
                }],
                refuses: &[ProblemType::NameTaken, ProblemType::CommandRejected],
            },
            Route {
                handler: handler!($read),
                method: Verb::Get,
                path: concat!($path, "/{id}"),
                tag: SHARED_SERVERS,
                summary: concat!("Reads a ", $what),
                description: "With the instances that use it. Its password is never shown.",
                access: Access::Granted(Right::SharedServersRead),
                takes: Input::NOTHING.path(&[ID]),
                answers: &[Answer {
                    status: 200,
                    description: concat!("The ", $what),
                    content: &[Content::json::<<$kind as Wire>::Shown>()],
                    headers: &[],
                    links: &[],
                }],
                refuses: &[],
            },
            Route {
                handler: handler!($edit),
                method: Verb::Patch,
                path: concat!($path, "/{id}"),
                tag: SHARED_SERVERS,
                summary: concat!("Changes what is known of a ", $what),
                description: "Also whether it takes new instances, which nothing but a person \
                    changes. Instances that use it keep it; their next launch takes what is known \
                    then.",
                access: Access::Granted(Right::SharedServersChange),
                takes: Input::NOTHING.path(&[ID]).body::<<$kind as Wire>::Edit>(),
                answers: &[NOW],
                refuses: &[ProblemType::NameTaken, ProblemType::CommandRejected],
            },
            Route {
                handler: handler!($test),
                method: Verb::Get,
                path: concat!($path, "/{id}/test"),
                tag: SHARED_SERVERS,
                summary: concat!("Tries a ", $what),
                description: "Logs in as its administrator, and looks whether that account may do what \
                    sites need. Nothing is changed there. A server that does not answer is waited for \
                    for half a minute.",
                access: Access::Granted(Right::SharedServersRead),
                takes: Input::NOTHING.path(&[ID]),
                answers: &[Answer {
                    status: 200,
                    description: "What was found",
                    content: &[Content::json::<TestedServer>()],
                    headers: &[],
                    links: &[],
                }],
                refuses: &[],
            },
            Route {
                handler: handler!($retire),
                method: Verb::Post,
                path: concat!($path, "/{id}/retire"),
                tag: SHARED_SERVERS,
                summary: concat!("Has nobody use a ", $what, " any more"),
                description: "Refused while instances use it. Nothing is asked of the server itself; \
                    who wants it back adds it again.",
                access: Access::Granted(Right::SharedServersRetire),
                takes: Input::NOTHING.path(&[ID]).body::<RetireServer>(),
                answers: &[NOW],
                refuses: &[ProblemType::CommandRejected],
            },
        ]
    }};
}

pub(super) const MYSQL_ROUTES: &[Route] = &routes! {
    Mysql, MysqlServerId, "MySQL server", "MySQL servers", "/api/v1/mysql_servers",
    list_mysql_servers, add_mysql_server, read_mysql_server, edit_mysql_server, test_mysql_server,
    retire_mysql_server
};
pub(super) const MONGODB_ROUTES: &[Route] = &routes! {
    Mongodb, MongodbServerId, "MongoDB server", "MongoDB servers", "/api/v1/mongodb_servers",
    list_mongodb_servers, add_mongodb_server, read_mongodb_server, edit_mongodb_server, test_mongodb_server,
    retire_mongodb_server
};
pub(super) const RABBITMQ_ROUTES: &[Route] = &routes! {
    Rabbitmq, RabbitmqServerId, "RabbitMQ server", "RabbitMQ servers", "/api/v1/rabbitmq_servers",
    list_rabbitmq_servers, add_rabbitmq_server, read_rabbitmq_server, edit_rabbitmq_server, test_rabbitmq_server,
    retire_rabbitmq_server
};

async fn list<K: Wire>(
    api: &Api,
    by: &Caller,
    choice: &Choice,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.reads(by).list_shared_servers(K::CATEGORY, limit, after).await?;
    let page = choice.page(rows, |row: &SharedServerRow| row.id.clone(), K::show)?;
    answer_with_page(request, &page)
}

/// Asks the server itself; an answer that says what is wrong is an answer.
async fn test<K: Provisioned>(api: &Api, id: K::Id) -> Result<HttpResponse, HttpError> {
    let problem = test_server::<K>(&api.app, &*api.provisioning, id).await?;
    Ok(HttpResponse::Ok().json(TestedServer { problem }))
}

async fn add<K: Wire>(api: &Api, by: Caller, body: K::Add) -> Result<HttpResponse, HttpError> {
    let (server, reason) = K::new_server(body);
    let by = Caller { reason, ..by };
    let done = api.app.add_server(&by, server).await?;
    let id: String = done.value.into();
    let names = &[shared_servers::PROJECTOR.name];
    let mut answer = api.answer_to(names, done.position, HttpResponse::Created()).await;
    answer.insert_header((LOCATION, format!("{}/{id}", K::PATH)));
    Ok(answer.json(AddedServer { id }))
}

async fn read<K: Wire>(api: &Api, by: &Caller, id: K::Id) -> Result<K::Shown, HttpError> {
    let row = api.app.reads(by).read_shared_server(&id.to_string()).await?;
    K::show(row.ok_or_else(|| not_found(&format!("such {}", K::NOUN)))?)
}

/// The server as it is after a command.
async fn answer<K: Wire>(
    api: &Api,
    by: &Caller,
    id: K::Id,
    done: Done<()>,
) -> Result<HttpResponse, HttpError> {
    let names = &[shared_servers::PROJECTOR.name];
    let mut answer = api.answer_to(names, done.position, HttpResponse::Ok()).await;
    Ok(answer.json(read::<K>(api, by, id).await?))
}
