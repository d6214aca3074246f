//! `axum-users serve`.

use std::net::SocketAddr;

use tokio::{net::TcpListener, task::JoinHandle};

use super::{block_on, print};
use crate::{
    Config, Failure,
    app::App,
    housekeeping, logging, serve,
    storage::{Storage, for_store},
};

/// Serves until a signal says to stop.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    logging::start(config.server.log_format, &config.server.log_filter);
    panics_into_the_log();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    block_on(async { for_store!(config, Store => run_for::<Store>(config).await) })
}

async fn run_for<S: Storage>(config: &Config) -> Result<(), Failure> {
    // Before anything else, so that no signal is missed.
    let stop = stop_signal()?;
    let secrets = config.secrets.or_make(config.uses())?;
    let App { users, store, router } = App::<S>::open(config, &secrets).await?;
    let housekeeping =
        tokio::spawn(housekeeping::run(users.manager().clone(), store.clone(), housekeeping::token_lifetime(config)));
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Failure::failed(format!("{listen} cannot be listened on: {error}")))?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    if users.list(None, 1).await?.is_empty() {
        welcome(config, address)?;
    }
    print(format_args!("Listening on http://{address}"))?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    serve::serve(listener, router, &config.server, async {
        // An error means that the task is gone, and with it the only way to stop in order.
        let _ = stop.await;
    })
    .await;
    housekeeping.abort();
    let _ = tokio::time::timeout(config.server.stop_timeout, store.close()).await;
    tracing::info!("stopped");
    Ok(())
}

/// What somebody wants to know who started this for the first time. It is shown until there is a user.
fn welcome(config: &Config, address: SocketAddr) -> Result<(), Failure> {
    let folder = std::path::absolute(&config.folder).unwrap_or_else(|_| config.folder.clone());
    print(format_args!("axum-users {}\n", env!("CARGO_PKG_VERSION")))?;
    if config.pages.is_some() {
        print(format_args!("  For people   http://{address}/"))?;
    }
    if config.server.docs {
        print(format_args!("  Try it       http://{address}/docs"))?;
    }
    print(format_args!("  Database     {} (from {})", config.database.shown, folder.display()))?;
    if config.secrets.is_configured(config.uses()) {
        print("  Secrets      as configured")?;
    } else {
        let file = std::path::absolute(&config.secrets.file).unwrap_or_else(|_| config.secrets.file.clone());
        print(format_args!("  Secrets      {} (keep this file, and keep it to yourself)", file.display()))?;
    }
    print("  There are no users yet. To make one who may manage the others:\n")?;
    print("      axum-users user create you@example.com --superuser\n")
}

/// The first SIGTERM or SIGINT ends in order, the second at once.
fn stop_signal() -> Result<JoinHandle<()>, Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
        Ok(tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                std::process::exit(1);
            });
        }))
    }
    #[cfg(not(unix))]
    Ok(tokio::spawn(async {
        let _ = tokio::signal::ctrl_c().await;
        tokio::spawn(async {
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(1);
        });
    }))
}

/// Where it happened, and not what was said: a message may hold what a request brought along.
fn panics_into_the_log() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(location, "a panic");
    }));
}
