//! The integration tests, from outside and against real peers: one binary, a module for each part.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by breaking off")]

mod ansible;
mod balancers;
mod cli;
mod commands;
mod consul;
mod contract;
mod cost;
mod crash;
mod disk_full;
mod dns;
mod full_launch;
mod haproxy;
mod http;
mod journey;
mod local_cloud;
mod logs;
mod mail;
mod migrations;
mod names;
mod new_relic;
mod openapi;
mod openstack;
mod platform;
mod plays;
mod private_sshd;
mod projections;
mod provisioning;
mod readme;
mod recipes;
mod runbook;
mod sagas;
mod simulation;
mod store;
mod support;
mod tidy;
