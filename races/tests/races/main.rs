//! Every race over three nodes in this process, and stores with a guard taken out.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod gaps;
mod races;

use std::{path::PathBuf, sync::Arc};

use axum_users::{AccessTokenDatabase, Clock, RefreshTokenDatabase, SqlStore, UserDatabase, random};
use axum_users_races::{Arena, Engine, Figures, Local, Race, Tables};
use time::OffsetDateTime;

const NODES: usize = 3;

/// Three nodes, each over its own pool, and the folder of a database that is a file.
struct Ground {
    arena: Arena<Local>,
    folder: PathBuf,
}

impl Ground {
    /// Over stores that `wrap` makes.
    async fn new<S>(engine: Engine, wrap: impl FnOnce(Vec<SqlStore<()>>, &Arc<Tables>, &Clock) -> Vec<S>) -> Self
    where
        S: UserDatabase<()> + AccessTokenDatabase<()> + RefreshTokenDatabase<()> + Clone,
    {
        let folder = std::env::temp_dir().join(format!("axum-users-races-{}", random::uuid_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let tables = Arc::new(Tables::new(engine, &folder).unwrap());
        let clock = Clock::mock(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let mut stores = Vec::new();
        for _ in 0..NODES {
            stores.push(tables.store().connect().await.unwrap());
        }
        let nodes = wrap(stores, &tables, &clock).into_iter().map(|store| Local::new(store, &clock).unwrap()).collect();
        Self { arena: Arena::new(nodes, tables, Local::params().unwrap(), Some(clock)).await.unwrap(), folder }
    }

    async fn run(&self, race: Race, number: usize) -> Figures {
        race.round(&self.arena, number).await.unwrap();
        self.arena.figures()
    }

    async fn close(self) {
        self.arena.close().await.unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
