//! What a hash costs: what ours cost, and what a stored one may.

/// The cost of an Argon2id hash (RFC 9106). By default that of FastAPI Users, so that both can share a table without
/// hashing each other's rows anew: 65,536 KiB, 3 iterations, parallelism 4.
///
/// Salt (16 bytes), digest (32 bytes) and version (19) are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
}

impl Argon2Params {
    /// The least that [`new`](Self::new) takes, by the OWASP Password Storage Cheat Sheet: 19,456 KiB, 2 iterations,
    /// parallelism 1.
    pub const FLOOR: Self = Self { memory_kib: 19_456, iterations: 2, parallelism: 1 };

    /// `memory_kib` in KiB for each hash that runs; `iterations` over it; `parallelism` in lanes (at most 255).
    ///
    /// More lanes do not make a hash faster here: every hash runs on one thread, as many at a time as there are cores.
    ///
    /// # Errors
    /// [`ParamsError::BelowFloor`] if memory or iterations are below [`FLOOR`](Self::FLOOR) (ASVS 11.4.2);
    /// [`ParamsError::Impossible`] as for [`danger_below_floor`](Self::danger_below_floor).
    pub const fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, ParamsError> {
        if memory_kib < Self::FLOOR.memory_kib || iterations < Self::FLOOR.iterations {
            return Err(ParamsError::BelowFloor);
        }
        Self::danger_below_floor(memory_kib, iterations, parallelism)
    }

    /// As [`new`](Self::new) without the floor, for tests: `(8, 1, 1)` is the cheapest.
    ///
    /// # Security
    /// Whoever gets hold of the table tries passwords as fast as this hash is cheap: thousands of times faster than
    /// at the default cost.
    ///
    /// # Errors
    /// [`ParamsError::Impossible`] if Argon2 has no such hash: no iterations, no lanes or more than 255, or less than
    /// 8 KiB for each lane.
    pub const fn danger_below_floor(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, ParamsError> {
        if iterations == 0 || parallelism == 0 || parallelism > 255 || memory_kib < 8 * parallelism {
            return Err(ParamsError::Impossible);
        }
        Ok(Self { memory_kib, iterations, parallelism })
    }

    /// Memory of one hash, in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn iterations(self) -> u32 {
        self.iterations
    }

    /// Lanes.
    #[must_use]
    pub const fn parallelism(self) -> u32 {
        self.parallelism
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory_kib: 65_536, iterations: 3, parallelism: 4 }
    }
}

/// Why there are no such [`Argon2Params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// Cheaper than the recommended minimum.
    #[error("Argon2 needs at least 19456 KiB of memory and 2 iterations")]
    BelowFloor,
    /// Not a cost that Argon2 knows.
    #[error("Argon2 needs 1 iteration or more, 1 to 255 lanes, and 8 KiB of memory for each lane")]
    Impossible,
}

/// What a stored hash may cost to verify. A stored text names its own cost, and it may come from an import or from
/// someone who can write to the table: what costs more is [`Unusable`](super::Verification::Unusable), found before
/// anything is allocated.
///
/// Own parameters above the ceiling raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostCeiling {
    pub(super) memory_kib: u32,
    pub(super) iterations: u32,
    pub(super) parallelism: u32,
    pub(super) bcrypt_cost: u32,
}

impl CostCeiling {
    /// Argon2 memory in KiB. Default: 131,072 (128 MiB). Beyond the memory of own hashes, one such hash runs at a time,
    /// and the memory budget of the pool reserves that much.
    #[must_use]
    pub const fn memory_kib(self, memory_kib: u32) -> Self {
        Self { memory_kib, ..self }
    }

    /// Argon2 iterations. Default: 16.
    #[must_use]
    pub const fn iterations(self, iterations: u32) -> Self {
        Self { iterations, ..self }
    }

    /// Argon2 lanes. Default: 64.
    #[must_use]
    pub const fn parallelism(self, parallelism: u32) -> Self {
        Self { parallelism, ..self }
    }

    /// Cost of bcrypt, the logarithm of its rounds. Default: 14, which takes about a second.
    #[must_use]
    pub const fn bcrypt_cost(self, bcrypt_cost: u32) -> Self {
        Self { bcrypt_cost, ..self }
    }

    /// At least what own hashes cost, or nobody could log in.
    pub(super) fn covering(self, own: Argon2Params) -> Self {
        Self {
            memory_kib: self.memory_kib.max(own.memory_kib),
            iterations: self.iterations.max(own.iterations),
            parallelism: self.parallelism.max(own.parallelism),
            ..self
        }
    }
}

impl Default for CostCeiling {
    fn default() -> Self {
        Self { memory_kib: 131_072, iterations: 16, parallelism: 64, bcrypt_cost: 14 }
    }
}
