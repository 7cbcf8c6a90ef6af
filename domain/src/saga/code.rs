//! Names for what keeps a step or a run from its goal; each has a page in `docs/problems`.

use super::event::ErrorClass;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($(#[$about:meta])* $code:ident { $($(#[$doc:meta])* $variant:ident = $name:literal;)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl $code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, which never changes its meaning: for programs, and for `ocim explain`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

codes! {
    /// Which kind of trouble keeps a run from going on by itself.
    StuckCode {
        /// An undo failed for a whole day.
        UndoFailed = "undo_failed";
        /// A step failed for good where there is no way back.
        StepFailed = "step_failed";
        /// No node knows the process.
        UnknownDefinition = "unknown_definition";
        /// Node after node died of it.
        CrashLoop = "crash_loop";
    }
}

codes! {
    /// Why a step failed for good.
    ErrorCode {
    /// All its attempts, or all its time, are used up; the last error says what kept failing.
    AttemptsExhausted = "attempts_exhausted";
    /// The last attempt's time was up.
    TimedOut = "timed_out";
    /// Ocim met a defect of its own.
    Defect = "defect";
    /// What an earlier step recorded can't be read.
    UnreadableRecord = "unreadable_record";
    /// A secret can't be opened: its key was deleted, or is another one.
    UnreadableSecret = "unreadable_secret";
    /// The state of what the step works on forbids it.
    StateForbids = "state_forbids";
    /// The region is not configured.
    RegionNotConfigured = "region_not_configured";
    /// No load balancer takes the site.
    NoLoadBalancer = "no_load_balancer";
    /// The balancer refuses its configuration.
    BalancerRefusedConfiguration = "balancer_refused_configuration";
    /// The host is not prepared as a balancer.
    BalancerUnprepared = "balancer_unprepared";
    /// The Appserver does not run, so it can't have traffic.
    AppserverNotRunning = "appserver_not_running";
    /// The Appserver and its machine are being taken away, or are gone.
    AppserverLeaving = "appserver_leaving";
    /// The instance is archived or deleted, or about to be.
    InstanceNotLive = "instance_not_live";
    /// A name is in a DNS that no service is configured for any more.
    DnsNotConfigured = "dns_not_configured";
    /// The DNS service refuses our key, or what we ask for.
    DnsRefused = "dns_refused";
    /// A name that a site needs is somebody else's in the DNS.
    DnsNameTaken = "dns_name_taken";
    /// A name is in no zone that Ocim writes into.
    DnsZoneMissing = "dns_zone_missing";
    /// The site's last active Appserver would be taken out of traffic.
    LastActiveAppserver = "last_active_appserver";
    /// Another Appserver answered in its place.
    WrongAppserverAnswered = "wrong_appserver_answered";
    /// The site can't be asked at this address.
    InvalidAddress = "invalid_address";
    /// The launch has ended already.
    LaunchSettled = "launch_settled";
    /// The settings don't make a playbook's variables.
    InvalidVariables = "invalid_variables";
    /// The playbook's repository, version or file is not there.
    PlaybookNotFound = "playbook_not_found";
    /// The playbook's requirements can't be installed.
    RequirementsNotInstallable = "requirements_not_installable";
    /// The playbook ended with an error.
    PlaybookFailed = "playbook_failed";
    /// No play of the playbook found a host.
    NoHostsMatched = "no_hosts_matched";
    /// The playbook took too long, or printed nothing for too long.
    PlaybookTimedOut = "playbook_timed_out";
    /// The playbook's process was killed.
    PlaybookKilled = "playbook_killed";
    /// A program that Ocim drives is not installed, or does not run.
    ProgramMissing = "program_missing";
    /// No flavor or image of the region fits what is wanted, or several do.
    MachineNotOffered = "machine_not_offered";
    /// The cloud refuses the region's credentials, or what is asked for.
    CloudRefused = "cloud_refused";
    /// The project's quota at the cloud is used up.
    QuotaExceeded = "quota_exceeded";
    /// The machine has no address yet.
    AddressUnknown = "address_unknown";
    /// The machine is in error.
    MachineFailed = "machine_failed";
    /// The machine is not there any more.
    MachineVanished = "machine_vanished";
    /// Something has it, or it is not ours: it is no orphan.
    NotAnOrphan = "not_an_orphan";
    /// The machine's SSH host keys are not known.
    HostKeyUnknown = "host_key_unknown";
    /// Somebody else answers at the machine's address.
    HostKeyMismatch = "host_key_mismatch";
    /// A command on the machine ended with an error.
    RemoteCommandFailed = "remote_command_failed";
    /// The mail server refuses the mail, its sender or all its recipients, or our login.
    MailRefused = "mail_refused";
    /// A page is watched by a service that no key is configured for any more.
    MonitoringNotConfigured = "monitoring_not_configured";
    /// The service that watches sites refuses our key, or what we ask for.
    MonitoringRefused = "monitoring_refused";
    /// Where metadata of sites is kept, our token or what we ask for is refused.
    MetadataRefused = "metadata_refused";
    /// A server that sites share refuses our account, its rights, or what we ask for.
    SharedServerRefused = "shared_server_refused";
    /// A container is in an account of Swift that no settings of its site name any more.
    StorageNotConfigured = "storage_not_configured";
    /// The lines of a log can't be read or written.
    DamagedLog = "damaged_log";
    }
}

impl ErrorCode {
    /// What the last failure of this class means where it has no code of its own.
    #[must_use]
    pub const fn of_class(class: ErrorClass) -> Self {
        match class {
            ErrorClass::Timeout => Self::TimedOut,
            ErrorClass::Permanent => Self::Defect,
            ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::Conflict
            | ErrorClass::Ambiguous => Self::AttemptsExhausted,
        }
    }
}
