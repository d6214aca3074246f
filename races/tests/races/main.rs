//! Every race over three nodes in this process, and stores with a guard taken out.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod clocks;
mod gaps;
mod races;

use std::{path::PathBuf, sync::Arc};

use axum_users::{AccessTokenDatabase, Clock, RefreshTokenDatabase, SqlStore, UserDatabase, random};
use axum_users_races::{Arena, Engine, Figures, Local, Provider, Race, Tables};
use time::{OffsetDateTime, macros::datetime};

const NODES: usize = 3;

/// Where mock clocks begin.
const START: OffsetDateTime = datetime!(2027-01-15 08:00 UTC);

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("axum-users-races-{}", random::uuid_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn tables(&self, engine: Engine) -> Arc<Tables> {
        Arc::new(Tables::new(engine, &self.0).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Three nodes, each over its own pool, and the folder of a database that is a file.
struct Ground {
    arena: Arena<Local>,
    _folder: Folder,
}

impl Ground {
    /// Over stores that `wrap` makes.
    async fn new<S>(engine: Engine, wrap: impl FnOnce(Vec<SqlStore<()>>, &Arc<Tables>, &Clock) -> Vec<S>) -> Self
    where
        S: UserDatabase<()> + AccessTokenDatabase<()> + RefreshTokenDatabase<()> + Clone,
    {
        let folder = Folder::new();
        let (tables, clock) = (folder.tables(engine), Clock::mock(START));
        let mut stores = Vec::new();
        for _ in 0..NODES {
            stores.push(tables.store().connect().await.unwrap());
        }
        let provider = Provider::start().await.unwrap();
        let stores = wrap(stores, &tables, &clock).into_iter();
        let nodes = stores.map(|store| Local::new(store, &clock, &provider).unwrap()).collect();
        let arena = Arena::new(nodes, tables, Local::params().unwrap(), Some(clock)).await.unwrap();
        Self { arena, _folder: folder }
    }

    async fn run(&self, race: Race, number: usize) -> Figures {
        race.round(&self.arena, number).await.unwrap();
        self.arena.figures()
    }

    async fn close(self) {
        self.arena.close().await.unwrap();
    }
}
