//! Does the time of an answer tell who has an account? Requests over loopback to a server in this process, on a core of its own,
//! with people of every kind drawn at random; then statistics that can fail, and controls that show it. Run by `cargo xtask timing`.

#![expect(clippy::print_stdout, reason = "it prints its table")]

mod client;
mod server;
mod statistics;

use std::{env, fs};

use anyhow::{Result, ensure};
use clap::Parser;
use rustix::thread::{CpuSet, sched_setaffinity};

use client::{Client, Draw, Request};
use server::{ACTOR, Kind, PASSWORD, Server};
use statistics::{Bounds, Comparison};

#[derive(Parser)]
struct Arguments {
    /// Answers of each kind of person on a route without a slow hash
    #[arg(long, default_value_t = 10_000)]
    quick: usize,
    /// Answers of each kind of person on a route with one
    #[arg(long, default_value_t = 1_000)]
    slow: usize,
    /// Only measurements with this in their name
    #[arg(long, default_value = "")]
    only: String,
}

/// One route, and the kinds of people whose answers must take equally long; the first is who has no account.
struct Measurement {
    name: &'static str,
    /// Whether it hashes a password.
    is_slow: bool,
    /// Whether it is a control with a planted difference, which must be found.
    is_planted: bool,
    kinds: &'static [Kind],
    request: fn(&Draw<'_>) -> Request,
}

impl Measurement {
    /// A route without a slow hash, and everybody.
    const fn new(name: &'static str, request: fn(&Draw<'_>) -> Request) -> Self {
        Self { name, is_slow: false, is_planted: false, kinds: &Kind::ALL, request }
    }
}

fn forgot(draw: &Draw<'_>) -> Request {
    Request::json("/auth/forgot-password", &serde_json::json!({ "email": draw.email }))
}

fn login(draw: &Draw<'_>) -> Request {
    Request::form(
        "/auth/jwt/login",
        &format!("username={}&password=wrong+tomato+engine", draw.email.replace('@', "%40")),
    )
}

fn request_verify(draw: &Draw<'_>) -> Request {
    Request::json("/auth/request-verify-token", &serde_json::json!({ "email": draw.email }))
}

fn register(draw: &Draw<'_>) -> Request {
    Request::json("/auth/register", &serde_json::json!({ "email": draw.email, "password": PASSWORD }))
}

fn change_address(draw: &Draw<'_>) -> Request {
    Request::patch("/users/me", draw.token, &serde_json::json!({ "email": draw.email }))
}

const MEASUREMENTS: &[Measurement] = &[
    Measurement { kinds: &[Kind::Unknown, Kind::UnknownToo], ..Measurement::new("control: twice the same", forgot) },
    Measurement {
        kinds: &[Kind::Unknown, Kind::Active],
        is_planted: true,
        ..Measurement::new("control: 0.2 ms more", |draw| {
            forgot(draw).planted(if draw.kind == Kind::Active { "200" } else { "000" })
        })
    },
    Measurement {
        kinds: &[Kind::Unknown, Kind::Active],
        is_slow: true,
        is_planted: true,
        ..Measurement::new("control: no hash for strangers", |draw| {
            login(draw).planted(if draw.kind == Kind::Unknown { "skip" } else { "0000" })
        })
    },
    Measurement::new("forgot-password", forgot),
    Measurement::new("request-verify-token", request_verify),
    Measurement::new("another address, strict", change_address),
    Measurement { is_slow: true, ..Measurement::new("registration, strict", register) },
    Measurement { is_slow: true, ..Measurement::new("login, wrong password", login) },
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = env::temp_dir().join(format!("axum-users-timing-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let server = Server::start(&folder)?;
    pin(1)?;
    println!(
        "| route | compared with no account | answers of each | p50 µs | difference of medians, 99 % | AUC | largest t | |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for measurement in MEASUREMENTS.iter().filter(|it| it.name.contains(&arguments.only)) {
        let samples = if measurement.is_slow { arguments.slow } else { arguments.quick };
        let mut client = Client::connect(server.address())?;
        client.log_in(ACTOR, PASSWORD)?;
        let waits = client.measure(measurement.kinds, samples, measurement.request)?;
        let bounds = if measurement.is_slow { Bounds::slow(&waits) } else { Bounds::quick() };
        let Some(((_, stranger), others)) = waits.split_first() else { continue };
        let mut differs = false;
        for (kind, waits) in others {
            let comparison = Comparison::new(stranger, waits);
            let is_equal = comparison.is_within(&bounds);
            differs |= !is_equal;
            let verdict = if is_equal { "equal" } else { "**differs**" };
            println!("| {} | {} | {samples} | {comparison} | {verdict} |", measurement.name, kind.name());
        }
        if differs != measurement.is_planted {
            wrong.push(measurement.name);
        }
    }
    drop(server);
    fs::remove_dir_all(&folder)?;
    ensure!(wrong.is_empty(), "not as it must be: {wrong:?}");
    Ok(())
}

/// Keeps the calling thread, and those that it starts from now on, on one core.
fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}
