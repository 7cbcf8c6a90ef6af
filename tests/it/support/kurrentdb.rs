//! A KurrentDB for tests: its gRPC services over the store in memory, after the protocol's documents.
//!
//! Several nodes may share one log, as those of a cluster do. Each runs on threads of its own, so that
//! it can be killed with all its connections, and can be told to misbehave.
#![expect(clippy::result_large_err, reason = "services of tonic answer with its errors")]

mod services;
mod wire;

use futures_util::stream::BoxStream;
use ocim_adapters::system::SystemClock;
use ocim_domain::event::StreamId;
use ocim_engine::store::memory::MemoryStore;
use ocim_kurrentdb_protocol::event_store::client::gossip::gossip_server::GossipServer;
use ocim_kurrentdb_protocol::event_store::client::server_features::server_features_server::ServerFeaturesServer;
use ocim_kurrentdb_protocol::event_store::client::streams::streams_server::StreamsServer;
use services::Services;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::Status;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use uuid::Uuid;

/// What nodes answer with, one message after the other.
pub(crate) type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The largest message that a client may send.
const MESSAGE_BYTES_MAX: usize = 17 * 1024 * 1024;

/// What the nodes of a cluster share: the log, and who leads.
#[derive(Debug)]
pub(crate) struct Cluster {
    log: MemoryStore,
    /// One append at a time, as the leader does.
    turn: tokio::sync::Mutex<()>,
    members: Mutex<Vec<Member>>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    port: u16,
    is_alive: bool,
    is_leader: bool,
}

/// How a subscription is ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// Without an error: the stream of messages is over.
    Clean,
    /// With one.
    Broken,
}

/// What a node does wrong.
#[derive(Debug, Default)]
struct Faults {
    /// So many appends are carried out, and not answered.
    lost_answers: u32,
    /// So many calls are refused.
    refusals: u32,
    /// No call is answered.
    hangs: bool,
    /// Subscriptions keep what happens to themselves.
    is_silent: bool,
}

/// One node, as its services see it.
#[derive(Debug)]
struct Node {
    cluster: Arc<Cluster>,
    port: u16,
    version: Mutex<String>,
    /// `user:password`; anybody may come in without.
    login: Mutex<Option<String>>,
    faults: Mutex<Faults>,
    endings: watch::Sender<Option<Ending>>,
    subscriptions: AtomicU32,
    /// Reads from the log's end: looks at the head.
    looks: AtomicU32,
}

/// A node that runs.
#[derive(Debug)]
pub(crate) struct KurrentDb {
    node: Arc<Node>,
    tls: Option<Identity>,
    runtime: Option<Runtime>,
}

impl KurrentDb {
    /// A cluster of one.
    pub(crate) fn start() -> Self {
        Self::join(&Cluster::new())
    }

    /// A cluster of one that speaks TLS alone.
    pub(crate) fn start_with_tls(identity: Identity) -> Self {
        Self::start_node(&Cluster::new(), Some(identity))
    }

    /// One more node of the cluster; the first one leads.
    pub(crate) fn join(cluster: &Arc<Cluster>) -> Self {
        Self::start_node(cluster, None)
    }

    fn start_node(cluster: &Arc<Cluster>, tls: Option<Identity>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        {
            let mut members = cluster.members();
            let is_leader = members.is_empty();
            members.push(Member { port, is_alive: true, is_leader });
        }
        let node = Arc::new(Node {
            cluster: Arc::clone(cluster),
            port,
            version: Mutex::new("25.1.0".to_owned()),
            login: Mutex::default(),
            faults: Mutex::default(),
            endings: watch::Sender::default(),
            subscriptions: AtomicU32::default(),
            looks: AtomicU32::default(),
        });
        let mut this = Self { node, tls, runtime: None };
        this.serve(listener);
        this
    }

    fn serve(&mut self, listener: std::net::TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let services = Services(Arc::clone(&self.node));
        let streams = StreamsServer::new(services.clone());
        let streams = streams.max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut server = Server::builder();
        if let Some(identity) = self.tls.clone() {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        let router = server
            .add_service(streams)
            .add_service(GossipServer::new(services.clone()))
            .add_service(ServerFeaturesServer::new(services));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            // As servers do: else small messages wait for each other.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming(incoming).await
        });
        self.runtime = Some(runtime);
    }

    /// The address that Ocim takes, without TLS.
    pub(crate) fn url(&self) -> String {
        format!("kurrentdb://127.0.0.1:{}?tls=false", self.node.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.node.port
    }

    /// Ends it at once, with all its connections.
    pub(crate) fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
        self.node.cluster.change_member(self.node.port, |member| member.is_alive = false);
    }

    /// Starts it again where it was.
    pub(crate) fn revive(&mut self) {
        let listener = loop {
            // Its threads may still be on their way out.
            match std::net::TcpListener::bind(("127.0.0.1", self.node.port)) {
                Ok(listener) => break listener,
                Err(_) => std::thread::yield_now(),
            }
        };
        self.serve(listener);
        self.node.cluster.change_member(self.node.port, |member| member.is_alive = true);
    }

    /// Makes it the leader.
    pub(crate) fn lead(&self) {
        self.node.cluster.members().iter_mut().for_each(|member| member.is_leader = false);
        self.node.cluster.change_member(self.node.port, |member| member.is_leader = true);
    }

    /// Has it say that it is of this version.
    pub(crate) fn pretend_version(&self, version: &str) {
        version.clone_into(&mut self.node.version.lock().unwrap());
    }

    /// Lets in only who says `user:password`.
    pub(crate) fn require_login(&self, login: &str) {
        *self.node.login.lock().unwrap() = Some(login.to_owned());
    }

    /// Carries out so many appends without answering them.
    pub(crate) fn lose_answers(&self, count: u32) {
        self.node.faults().lost_answers = count;
    }

    /// Refuses so many calls.
    pub(crate) fn refuse_calls(&self, count: u32) {
        self.node.faults().refusals = count;
    }

    /// Answers nothing any more, or answers again.
    pub(crate) fn hang(&self, hangs: bool) {
        self.node.faults().hangs = hangs;
    }

    /// Lets subscriptions keep to themselves what happens, or tell it again.
    pub(crate) fn silence(&self, is_silent: bool) {
        self.node.faults().is_silent = is_silent;
    }

    /// Ends all subscriptions that there are.
    pub(crate) fn end_subscriptions(&self, ending: Ending) {
        self.node.endings.send_replace(Some(ending));
    }

    /// How many subscriptions were ever begun.
    pub(crate) fn count_subscriptions(&self) -> u32 {
        self.node.subscriptions.load(Ordering::SeqCst)
    }

    /// How often the log's head was asked for.
    pub(crate) fn count_looks(&self) -> u32 {
        self.node.looks.load(Ordering::SeqCst)
    }

    /// Writes an event of KurrentDB's own.
    pub(crate) async fn write_system_event(&self) {
        self.write_raw(&StreamId::new("$stats", Uuid::from_u128(rand::random())), "{}").await;
    }

    /// Writes an event with this text as its metadata, as another program might.
    pub(crate) async fn write_raw(&self, stream: &StreamId, metadata: &str) {
        let event = wire::Entry {
            id: Uuid::from_u128(rand::random()),
            data: "{}".to_owned(),
            metadata: metadata.to_owned(),
        };
        self.node.cluster.append(stream, "somebody.wrote", event).await;
    }
}

impl Drop for KurrentDb {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test's own runtime must not wait for another one.
            runtime.shutdown_background();
        }
    }
}

impl Cluster {
    /// A cluster without nodes, and an empty log.
    pub(crate) fn new() -> Arc<Self> {
        let log = MemoryStore::with_gaps(Arc::new(SystemClock));
        Arc::new(Self { log, turn: tokio::sync::Mutex::default(), members: Mutex::default() })
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap()
    }

    fn change_member(&self, port: u16, change: impl Fn(&mut Member)) {
        self.members().iter_mut().filter(|member| member.port == port).for_each(change);
    }

    fn leader(&self) -> Option<Member> {
        self.members().iter().find(|member| member.is_leader).copied()
    }
}

impl Node {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    fn leads(&self) -> bool {
        self.cluster.leader().is_some_and(|leader| leader.port == self.port)
    }
}
