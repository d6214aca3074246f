//! Every race over three nodes in this process, and stores with a guard taken out.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod clocks;
mod gaps;
mod races;

use std::{path::PathBuf, sync::Arc};

use axum_users::{Clock, random};
use axum_users_races::{Arena, Engine, Figures, Gap, Local, Provider, Race, Tables, Weak};
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

    async fn tables(&self, engine: Engine) -> Arc<Tables> {
        Arc::new(Tables::new(engine, &self.0).await.unwrap())
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
    async fn new(engine: Engine) -> Self {
        Self::over(engine, async |tables, clock, provider| {
            let mut nodes = Vec::new();
            for _ in 0..NODES {
                nodes.push(tables.store().await.unwrap().node(clock, provider).unwrap());
            }
            nodes
        })
        .await
    }

    /// With a guard taken out.
    async fn with_gap(engine: Engine, gap: Gap) -> Self {
        Self::over(engine, async |tables, clock, provider| {
            let mut stores = Vec::new();
            for _ in 0..NODES {
                stores.push(tables.sql_store().await.unwrap());
            }
            let weak = Weak::stores(stores, tables, gap, clock).into_iter();
            weak.map(|store| Local::new(store, clock, provider).unwrap()).collect()
        })
        .await
    }

    async fn over(engine: Engine, nodes: impl AsyncFnOnce(&Arc<Tables>, &Clock, &Provider) -> Vec<Local>) -> Self {
        let folder = Folder::new();
        let (tables, clock) = (folder.tables(engine).await, Clock::mock(START));
        let provider = Provider::start().await.unwrap();
        let nodes = nodes(&tables, &clock, &provider).await;
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
