//! What texts look like: the pattern, length and example of each kind of text on the wire.
//!
//! On the wire they are plain texts. A field names its kind by `#[schema(value_type = …)]`, so that
//! the document says it once.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! texts {
    ($($name:ident = $description:literal, $example:expr $(, $set:ident: $value:expr)*;)*) => {
        $(
        #[doc = concat!($description, ".")]
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl $name {
            /// One that could be real.
            pub const EXAMPLE: &'static str = $example;
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($description))
                    .examples([$example])
                    $(.$set(Some($value)))*
                    .into()
            }
        }

        impl ToSchema for $name {}
        )*

        /// Every kind of text, by its name.
        #[must_use]
        pub fn schemas() -> Vec<(String, RefOr<Schema>)> {
            vec![$(($name::name().into_owned(), $name::schema())),*]
        }
    };
}

/// The pattern of a UUID behind a prefix.
macro_rules! id {
    ($prefix:literal) => {
        concat!("^", $prefix, "_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    };
}

/// The pattern of a text without U+0000, which nothing can store.
const STORABLE: &str = r"^[^\u0000]*$";
/// As [`STORABLE`], and not blank.
const SAYING: &str = r"^[^\u0000]*[^\s\u0000][^\u0000]*$";

texts! {
    InstanceId = "The id of an instance", "inst_01985f6e-3c0a-7d52-9c1b-0a4f6f5d2e11",
        pattern: id!("inst");
    AppserverId = "The id of an Appserver", "apps_01985f70-91b4-7e0e-8a35-5b1f0c7d9a42",
        pattern: id!("apps");
    ServerId = "The id of a machine", "serv_01985f70-91f0-7aa1-b0d6-7f3c2b1e8d53",
        pattern: id!("serv");
    LoadBalancerId = "The id of a balancer", "lbal_3b0c1f5e-6a2d-5f84-9d1e-2c7b8a9f0e64",
        pattern: id!("lbal");
    MysqlServerId = "The id of a MySQL server", "msql_7c1e2f5a-0b3d-5e86-8f4a-1d9c6b5a2e73",
        pattern: id!("msql");
    MongodbServerId = "The id of a MongoDB server", "mngo_2a9d4c7e-5b1f-5c38-9e6d-3f8b7a0c4d15",
        pattern: id!("mngo");
    RabbitmqServerId = "The id of a RabbitMQ server",
        "rbmq_9e5b3a1c-7d2f-5f64-8c0e-6a4d1b9f7e28", pattern: id!("rbmq");
    RunId = "The id of a run", "run_01985f70-91b2-7c33-a7f8-6d4e1b0c9f75", pattern: id!("run");
    RegionId = "The id of a region", "regn_5d2e8c4a-1f7b-5a39-8e6d-4b0c9a7f3e86",
        pattern: id!("regn");
    BulkId = "The id of a bulk operation", "bulk_01985f6c-5b1f-7e36-8c0d-6a4d1b9f7e28",
        pattern: id!("bulk");
    MailId = "The id of a mail", "mail_8d3a5e1c-2f7b-5a94-b6c0-4e9d1f8a7b32", pattern: id!("mail");
    IncidentId = "The id of known trouble of one kind and subject",
        "incd_8d0f4b2e-6c1a-5e73-9b4d-7f2a0c8e5d61", pattern: id!("incd");
    TokenId = "The id of a token", "tokn_01985f6b-0d4e-7b17-9f2a-8c6e5d3b1a97",
        pattern: id!("tokn");
    ThingId = "The id of any thing; its prefix says of which kind", RunId::EXAMPLE,
        pattern: id!("[a-z]{3,4}");
    ResourceId = "What a resource is known by among all: its instance, kind and key",
        "inst_01985f6e-3c0a-7d52-9c1b-0a4f6f5d2e11/dns_name/alpha.example.com",
        pattern: r"^inst_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[a-z_]+/[^\u0000]+$";
    OrphanId = "Where something that no instance has is, and what it is: its kind, place and key",
        "dns_name/dns/alpha.example.com", pattern: r"^[a-z_]+/[^\u0000]+/[^\u0000]+$";
    LogPosition = "Where an event stands in the log. Opaque; sorts as text",
        "00000000000000000042.00000000000000000000", pattern: r"^(0[0-9]|1[0-7])[0-9]{18}\.(0[0-9]|1[0-7])[0-9]{18}$";
    StreamName = "Whose events: a category and a UUID",
        "instance-01985f6e-3c0a-7d52-9c1b-0a4f6f5d2e11",
        pattern: "^[a-z_]+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
    EventKind = "What happened, for programs", "appserver.running_started",
        pattern: r"^[a-z_]+\.[a-z_]+$";
    Actor = "Who did it: `token:<name>`, `local:<os user>`, `saga:<run>` or `system`",
        "token:alice", min_length: 1, max_length: 1000;
    Word = "A word for programs, of a list that grows", "launch_appserver",
        pattern: "^[a-z][a-z0-9_]{0,99}$";
    StepPath = "The path of a step in its process", "run_main_playbook",
        pattern: "^[a-z0-9_]+(/[a-z0-9_]+)*$", max_length: 200;
    VariableName = "The name of a variable of a playbook", "EDXAPP_LMS_BASE",
        pattern: STORABLE, min_length: 1, max_length: 1000;
    SettingName = "The name of a setting of an instance", "external_lms_domain",
        pattern: "^[a-z][a-z0-9_]{0,99}$";
    Reason = "Why, for people who look back; not blank where it is given", "agreed with the customer",
        pattern: SAYING, min_length: 1, max_length: 2000;
    NeededReason = "Why, for people who look back; required, and not blank",
        "agreed with the customer",
        pattern: SAYING, min_length: 1, max_length: 2000;
    VisitorsMessage = "What visitors are told; not blank, and without control characters but ends of lines",
        "We move to faster machines.",
        pattern: SAYING, min_length: 1, max_length: 500;
    SqlStatement = "A statement of SQL, which may hold secrets",
        "DELETE FROM django_session WHERE expire_date < NOW()", pattern: SAYING, min_length: 1,
        max_length: 20_000;
    SearchText = "A text to be looked for", "alpha", pattern: STORABLE, max_length: 1000;
    Prose = "A text for people", "no hosts matched", max_length: 100_000;
    Name = "What people call it", "alpha.example.com", min_length: 1, max_length: 300;
    Note = "What people should know of it", "the one in the cellar", pattern: STORABLE,
        max_length: 250;
    Owner = "The organization that owns it; blank for none", "Alpha University", pattern: STORABLE,
        max_length: 250;
    Notes = "Notes of people; blank for none", "Courses begin in May.", pattern: STORABLE,
        max_length: 10_000;
    Tag = "A tag", "pilot", pattern: "^[-_0-9A-Za-z]{1,100}$";
    Login = "The name of an account", "root", pattern: STORABLE, max_length: 64;
    Password = "A password, which is never shown", "hardly-a-secret", pattern: STORABLE,
        max_length: 128;
    ShortName = "What people call it, in short", "main", pattern: STORABLE, min_length: 1,
        max_length: 250;
    HostName = "A host name, in letters of any language", "alpha.example.com",
        min_length: 1, max_length: 253;
    Url = "An address on the web", "https://alpha.example.com/", pattern: r"^https?://\S+$";
    IpAddress = "An IP address, of version 4 or 6", "203.0.113.7",
        pattern: "^[0-9a-fA-F.:]{2,45}$";
    SocketAddress = "An IP address with its port", "127.0.0.1:8080", pattern: r"^\S+:[0-9]{1,5}$";
    Commit = "A commit, in full", "6ee9dd6b1d4a4c1e0b9f8a7d6c5b4a3928170f6e",
        pattern: "^[0-9a-f]{7,64}$";
    HostKey = "An SSH host key: its kind and the key",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDkNCq9nPmV0nq2b", pattern: r"^\S+ \S+$";
    Secret = "What only its holder knows", "hardly-a-secret", min_length: 1, max_length: 1000;
    TraceParent = "A W3C trace context",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        pattern: "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";
}
