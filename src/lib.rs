//! Ocim: deploys and runs Open edX sites. The library behind the `ocim` binary, in reading order.

pub mod config;
pub mod data_folder;
pub mod embedded_postgres;
mod held_address;
pub mod log_head;
pub mod migrations;
pub mod nodes;

pub mod logs;
pub mod metrics;
pub mod trace_context;

pub mod telemetry;

pub mod read_models;

pub mod app;
pub mod mails;

pub mod processes;

pub mod balancer_keeper;
pub mod clean_up;
pub mod dns_records;
pub mod incident_keeper;
pub mod launch_plan;
pub mod observer;
pub mod reconciler;
pub mod resource_scan;
pub mod tested_servers;
pub mod timers;

pub mod problem_pages;

pub mod boot;
pub mod cli;
pub mod default_servers;
pub mod demo;
pub mod http;
pub mod simulation;
