//! What several tests share.

pub(crate) mod api_server;
pub(crate) mod bind;
pub(crate) mod counts;
pub(crate) mod credentials;
pub(crate) mod http_double;
pub(crate) mod kurrentdb;
pub(crate) mod log_check;
pub(crate) mod machines;
pub(crate) mod ocim;
pub(crate) mod peers;
pub(crate) mod ports;
pub(crate) mod postgres;
pub(crate) mod private_openstack;
pub(crate) mod processes;
pub(crate) mod tcp_proxy;
