//! The folder of one run, which goes away with it.

use std::{
    env,
    fs::{self, DirBuilder, File, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};

use super::home::random_hex;

const PREFIX: &str = "axum-users-services-";
const LOCK: &str = "lock";

/// A folder under the system's folder for temporary files, removed on drop.
///
/// A lock tells whether its run is alive: the kernel drops it with the process, and no number is used twice. It is
/// taken before the folder gets its final name, so whoever sees that name without the lock held sees a dead run's.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn new() -> Result<Self> {
        Self::new_in(&env::temp_dir())
    }

    fn new_in(parent: &Path) -> Result<Self> {
        let name = format!("{PREFIX}{}-{}", process::id(), random_hex(4)?);
        let unborn = parent.join(format!(".{name}"));
        DirBuilder::new().mode(0o700).create(&unborn).with_context(|| format!("cannot make {}", unborn.display()))?;
        // The servers run as another user, who must get through to their own folders below.
        fs::set_permissions(&unborn, Permissions::from_mode(0o711))?;
        let lock = File::create_new(unborn.join(LOCK))?;
        lock.lock()?;
        let path = parent.join(name);
        fs::rename(&unborn, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Removes what dead runs have left behind. What cannot be removed is someone else's.
    pub(super) fn sweep() {
        Self::sweep_in(&env::temp_dir());
    }

    fn sweep_in(parent: &Path) {
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) && !is_alive(&entry.path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A folder without a lock file is one whose removal was interrupted.
fn is_alive(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_takes_dead_folders_and_leaves_living_ones_and_strangers() {
        let parent = env::temp_dir().join(format!("xtask-test-{}", random_hex(8).unwrap()));
        fs::create_dir(&parent).unwrap();
        let living = Folder::new_in(&parent).unwrap();
        let dead = parent.join(format!("{PREFIX}1-dead"));
        let half_removed = parent.join(format!("{PREFIX}1-half"));
        let stranger = parent.join("stranger");
        for folder in [&dead, &half_removed, &stranger] {
            fs::create_dir_all(folder.join("data")).unwrap();
        }
        File::create(dead.join(LOCK)).unwrap();

        Folder::sweep_in(&parent);

        assert!(living.path().is_dir());
        assert!(stranger.is_dir());
        assert!(!dead.exists());
        assert!(!half_removed.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
        fs::remove_dir_all(parent).unwrap();
    }
}
