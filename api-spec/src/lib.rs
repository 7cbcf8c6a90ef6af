//! Ocim's HTTP contract: what travels over `/api/v1`, and the problems it answers with.
//!
//! `openapi.json` beside this crate is made from these types and the routes; a test compares it.

pub mod appserver;
pub mod appserver_status;
pub mod bulk;
pub mod clean_up;
pub mod dns_record;
pub mod event;
pub mod examples;
pub mod health;
pub mod hold;
pub mod incident;
pub mod instance;
pub mod launch_plan;
pub mod lifecycle;
pub mod log;
pub mod mail;
pub mod maintenance;
pub mod operator;
pub mod orphan;
pub mod page;
pub mod problem;
pub mod projection;
pub mod reference;
pub mod region;
pub mod resource;
pub mod run;
pub mod server;
pub mod settings_version;
pub mod shared_server;
pub mod status;
pub mod test_link;
pub mod texts;
pub mod timeline;
pub mod timer;
pub mod token;
pub mod variable;

pub use appserver::{
    ActivateAppserver, Appserver, AppserverDetail, CleanUpAppserver, DeactivateAppserver,
    KeepServer, LaunchAppserver, LaunchedAppserver, RestartAppserver, TerminateAppserver,
};
pub use appserver_status::AppserverStatus;
pub use bulk::{
    ArchiveInstances, BulkItem, BulkItemState, BulkOperation, BulkPlan, BulkState, BulkWork,
    ChosenInstance, RedeployInstances, StartedBulkOperation, SteerBulkOperation,
};
pub use clean_up::{
    ChangeCleanUp, CleanUpMode, CleanUpPlan, CleanUpReason, CleanUpRule, CleanUpVerdict,
    PlannedAppserver,
};
pub use dns_record::{DnsRecord, DnsRecordState, DnsRecordType, DnsRecords};
pub use event::{AppendedEvent, RecordedEvent};
pub use examples::Example;
pub use health::{Health, Readiness};
pub use hold::{Hold, HoldInstance, ReleaseHold};
pub use incident::{Incident, IncidentSubject, PauseWork, ResumeWork, Trouble};
pub use instance::{
    ChangeDetails, ChangeSettings, CreateInstance, CreatedInstance, Instance, InstanceDetail,
    InstanceServers, MongodbAccount, MysqlAccount, NewestAppserver, RabbitmqAccount, ResourceNames,
    Settings, SettingsChange, Site,
};
pub use launch_plan::{
    LaunchPlan, PlanProblem, PlannedSetting, PlannedStep, Playbook, VariableDifference,
};
pub use lifecycle::{
    ArchiveInstance, DeleteInstance, InstanceLifecycle, LifecyclePlan, ResolveResource,
    StartedTermination, StartedTerminations, TerminateAppservers, UnarchiveInstance,
};
pub use log::{LogLevel, LogLine, LogPage};
pub use mail::{Mail, MailAbout, MailState};
pub use maintenance::{EndMaintenance, Maintenance, MaintenanceChange, StartMaintenance};
pub use operator::{OperateRun, RunExplanation, RunOperation, RunVerb};
pub use orphan::{
    AdoptResource, DeleteResource, MissingResource, OrphanedResource, ResourceScan,
    UnansweredProvider,
};
pub use page::Page;
pub use problem::{FieldError, PROBLEMS_PATH, Problem, ProblemType};
pub use projection::{Projection, ProjectionFailure, ProjectionState, SkipEvent};
pub use reference::{Reference, ReferenceKind};
pub use region::{ChangeRegion, QueuedRun, Region};
pub use resource::{Resource, ResourceKind, ResourceState};
pub use run::{
    AttemptOutcome, CancelRun, DefinitionStatistics, Durations, Run, RunAttempt, RunDetail,
    RunPhase, RunStatistics, RunStep, StartedRun, StepState, StepStatistics,
};
pub use server::{
    AddLoadBalancer, DeleteOrphan, EditLoadBalancer, LoadBalancer, Orphan, OrphanDeletionPlan,
    PreparationPlan, PrepareLoadBalancer, RegionLook, Server, ServerPower, ServerStatus,
};
pub use settings_version::{RestoreSettings, SettingChange, SettingsHistory, SettingsVersion};
pub use shared_server::{
    AddMongodbServer, AddMysqlServer, AddRabbitmqServer, AddedServer, EditMongodbServer,
    EditMysqlServer, EditRabbitmqServer, MongodbServer, MysqlServer, RabbitmqServer, RetireServer,
    TestedServer,
};
pub use status::{Need, NeedCode, Notice, NoticeCode, Running, Status};
pub use test_link::{MakeTestLink, TestLink};
pub use timeline::TimelineItem;
pub use timer::{RunTimer, Timer};
pub use token::{CreateToken, CreatedToken, Token, TokenScope, TokenState};
pub use variable::{SettingEdit, VariableExplanation, VariableLayer, VariableSource};
