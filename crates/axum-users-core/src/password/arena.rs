//! The memory that Argon2 works in, kept between hashes: getting 64 MiB from the kernel costs a quarter of a hash.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::Block;
use zeroize::{Zeroize as _, Zeroizing};

use super::HasherError;

/// As many pieces of memory as hashes have run at the same time.
///
/// A piece is wiped after each hash. What Argon2 leaves in it, read from a core dump or from swap, would make the
/// slow hash a fast one: version 19 combines its passes by XOR, so from the whole memory of the last pass one can go
/// back to the first, whose first block is a single BLAKE2b of the password.
pub(super) struct Arenas {
    idle: Mutex<Vec<Arena>>,
    /// Held by the one hash that needs more than `ordinary`.
    large: Mutex<()>,
    /// Blocks of 1 KiB that a hash at the current parameters needs.
    ordinary: usize,
}

type Arena = Zeroizing<Vec<Block>>;

impl Arenas {
    pub(super) fn new(ordinary: usize) -> Self {
        Self { idle: Mutex::default(), large: Mutex::default(), ordinary }
    }

    /// Lends `blocks` blocks of memory; their content is arbitrary.
    ///
    /// At most one piece above the ordinary size exists at any time, and while it does, the piece that its thread would
    /// use otherwise does not. So `n` threads hold at most `n - 1` ordinary pieces and one large.
    pub(super) fn lend<T>(&self, blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, HasherError> {
        if blocks > self.ordinary {
            let _alone = lock(&self.large);
            drop(self.take());
            lend_from(&mut Arena::default(), blocks, work)
        } else {
            let mut arena = self.take();
            let result = lend_from(&mut arena, blocks, work);
            lock(&self.idle).push(arena);
            result
        }
    }

    /// Gives back what is not in use.
    pub(super) fn release(&self) {
        lock(&self.idle).clear();
    }

    fn take(&self) -> Arena {
        lock(&self.idle).pop().unwrap_or_default()
    }
}

fn lend_from<T>(arena: &mut Arena, blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, HasherError> {
    if let Some(missing) = blocks.checked_sub(arena.len()) {
        arena.try_reserve_exact(missing).map_err(HasherError::new)?;
        arena.resize(blocks, Block::new());
    }
    let lent = arena.get_mut(..blocks).unwrap_or_default();
    let result = work(lent);
    lent.iter_mut().zeroize();
    Ok(result)
}

/// A panic elsewhere leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(arenas: &Arenas) -> Vec<usize> {
        lock(&arenas.idle).iter().map(|arena| arena.len()).collect()
    }

    fn scribble(blocks: &mut [Block]) {
        for block in blocks {
            block.as_mut().fill(0xfeed);
        }
    }

    #[test]
    fn cr_04_memory_is_wiped_after_each_hash() {
        let arenas = Arenas::new(16);
        arenas.lend(16, scribble).unwrap();
        let clean = |blocks: &mut [Block]| blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0));
        assert!(arenas.lend(16, clean).unwrap());
    }

    #[test]
    fn memory_is_kept_grown_and_given_back() {
        let arenas = Arenas::new(32);
        arenas.lend(8, scribble).unwrap();
        assert_eq!(sizes(&arenas), [8]);
        arenas.lend(32, scribble).unwrap();
        arenas.lend(8, scribble).unwrap();
        assert_eq!(sizes(&arenas), [32]);
        arenas.release();
        assert!(sizes(&arenas).is_empty());
    }

    #[test]
    fn av_01_a_large_hash_takes_the_place_of_an_ordinary_one() {
        let arenas = Arenas::new(8);
        arenas.lend(8, |_| arenas.lend(8, scribble).unwrap()).unwrap();
        assert_eq!(sizes(&arenas), [8, 8]);
        let beside = arenas.lend(9, |_| (sizes(&arenas), arenas.large.try_lock().is_err())).unwrap();
        assert_eq!(beside, (vec![8], true));
        assert_eq!(sizes(&arenas), [8]);
    }

    #[test]
    fn pw_11_memory_that_is_not_there_is_an_error() {
        assert!(Arenas::new(8).lend(usize::MAX, |_| ()).is_err());
    }
}
