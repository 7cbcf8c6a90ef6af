//! Ocim: deploys and runs Open edX sites. The library behind the `ocim` binary, in reading order.

pub mod config;
pub mod data_folder;
pub mod metrics;
pub mod telemetry;

pub mod outside_text;
pub mod ports;

pub mod database;
pub mod embedded_postgres;
pub mod migrations;
pub mod store;

pub mod projector;
pub mod read_models;

pub mod log_head;

pub mod app;
pub mod log_tail;
pub mod logs;
pub mod sagas;

pub mod balancer_keeper;
pub mod clean_up;
pub mod reconciler;

pub mod adapters;

pub mod problem_pages;

pub mod boot;
pub mod cli;
pub mod demo;
pub mod http;
pub mod simulation;
