//! The binary from outside: started in a folder of its own, on a port of its own, spoken to over the network.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "server/breached.rs"]
mod breached;
#[path = "server/browser.rs"]
mod browser;
#[path = "server/columns.rs"]
mod columns;
#[path = "server/configuration.rs"]
mod configuration;
#[path = "server/faults.rs"]
mod faults;
#[path = "server/faults_kill.rs"]
mod faults_kill;
#[path = "server/faults_proxy.rs"]
mod faults_proxy;
#[path = "server/faults_redis.rs"]
mod faults_redis;
#[path = "server/faults_sqlite.rs"]
mod faults_sqlite;
#[path = "server/flow.rs"]
mod flow;
#[path = "server/harness.rs"]
mod harness;
#[path = "server/limits.rs"]
mod limits;
#[path = "server/logs.rs"]
mod logs;
#[path = "server/mail.rs"]
mod mail;
#[path = "server/oauth.rs"]
mod oauth;
#[path = "server/outbox.rs"]
mod outbox;
#[path = "server/pages.rs"]
mod pages;
#[path = "server/secrets.rs"]
mod secrets;
#[path = "server/sessions.rs"]
mod sessions;
#[path = "server/start.rs"]
mod start;
#[path = "server/storm.rs"]
mod storm;
#[path = "server/throttle.rs"]
mod throttle;
#[path = "server/users.rs"]
mod users;
#[path = "server/visitor.rs"]
mod visitor;
#[path = "server/webdriver.rs"]
mod webdriver;
