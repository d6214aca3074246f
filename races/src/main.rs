//! Runs every race on real servers, one and three, on each engine, and prints what was seen. Run by `cargo xtask races`.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::{
    env, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use axum_users_races::{Arena, Engine, Provider, Race, Server, Tables};
use clap::Parser;

/// Of a thousand requests, so many may be told to come back later.
const UNAVAILABLE_OF_1000: usize = 50;

#[derive(Parser)]
struct Arguments {
    /// How often each race is run on each engine, with one server and with three
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Only races with this in their name
    #[arg(long, default_value = "")]
    only: String,
    /// Only on engines with this in their name
    #[arg(long, default_value = "")]
    engine: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = env::temp_dir().join(format!("axum-users-races-{}", std::process::id()));
    println!("{:<34} {:<10} nodes rounds requests   503s violations seconds", "race", "engine");
    let provider = Provider::start().await?;
    let mut wrong = 0;
    for engine in Engine::ALL.into_iter().filter(|engine| engine.name().contains(&arguments.engine)) {
        for nodes in [1, 3] {
            let folder = folder.join(format!("{}-{nodes}", engine.name()));
            fs::create_dir_all(&folder)?;
            wrong += run(engine, nodes, &folder, &provider, &arguments).await?;
        }
    }
    ensure!(wrong == 0, "{wrong} violations; the servers' logs are in {}", folder.display());
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// How many violations there were.
async fn run(engine: Engine, nodes: usize, folder: &Path, provider: &Provider, arguments: &Arguments) -> Result<usize> {
    let tables = Arc::new(Tables::new(engine, folder).await?);
    let servers = (0..nodes).map(|number| Server::start(folder, number, &tables, provider)).collect::<Result<_>>()?;
    let arena = Arena::new(servers, Arc::clone(&tables), Server::params()?, None).await?;
    let mut wrong = 0;
    for race in Race::ALL.into_iter().filter(|race| race.name().contains(&arguments.only)) {
        let began = Instant::now();
        for number in 0..arguments.rounds {
            race.round(&arena, number).await?;
        }
        let mut figures = arena.figures();
        let bound = figures.requests * UNAVAILABLE_OF_1000 / 1000;
        if figures.unavailable > bound {
            figures.violations.push(format!("{} answers are 503, more than {bound}", figures.unavailable));
        }
        println!(
            "{:<34} {:<10} {nodes:>5} {:>6} {:>8} {:>6} {:>10} {:>7.1}",
            race.name(),
            engine.name(),
            arguments.rounds,
            figures.requests,
            figures.unavailable,
            figures.violations.len(),
            began.elapsed().as_secs_f64(),
        );
        for violation in figures.violations.iter().take(5) {
            println!("    {violation}");
        }
        wrong += figures.violations.len();
    }
    // The servers go first: one that lost its tables would complain.
    tokio::time::sleep(Duration::from_millis(50)).await;
    arena.close().await?;
    Ok(wrong)
}
