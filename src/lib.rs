//! Ocim: deploys and runs Open edX sites. The library behind the `ocim` binary, in reading order.

pub mod config;
pub mod data_folder;
pub mod metrics;
pub mod telemetry;

pub mod embedded_postgres;
pub mod migrations;

pub mod read_models;

pub mod log_head;

pub mod app;
pub mod logs;
pub mod processes;

pub mod balancer_keeper;
pub mod clean_up;
pub mod reconciler;

pub mod problem_pages;

pub mod boot;
pub mod cli;
pub mod demo;
pub mod http;
pub mod simulation;
