//! The hasher we ship: Argon2id, and bcrypt for what is there already.

use std::{fmt, hint};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    Argon2Params, CostCeiling, HasherError, PasswordHash, PasswordHasher, ValidatedPassword, Verification,
    arena::Arenas,
    phc::{self, Argon2Hash, Stored},
};
use crate::random;

/// Hashes with Argon2id; verifies Argon2id, Argon2i, Argon2d (any parameters, versions 16 and 19) and bcrypt (`$2a$`,
/// `$2b$`, `$2x$`, `$2y$`), and says of everything but its own current parameters that it is outdated. Its hashes and
/// those of FastAPI Users are interchangeable.
///
/// Passwords are taken as their UTF-8 bytes, all of them, as they were typed. bcrypt sees 72 bytes: a longer password
/// does not match any bcrypt hash.
///
/// # Security
/// The time of a wrong answer should not tell what kind of user was asked for (ASVS 6.3.8). Work is therefore counted
/// (KiB of memory × passes), and what an answer fell short of a hash at the current parameters is worked off for
/// nothing: for an unknown user all of it, likewise for a hash that cannot be used, and the difference for one that is
/// cheaper. A right password is not held up. One gap is left by default: a hash that costs *more* than the current
/// parameters takes longer, and so tells that the address belongs to one of those users. bcrypt at cost 12, which many systems
/// used, takes 2.4 times as long. Closing the gap makes every failed login dearer, so it is not done where no such hash can be:
/// [`level_with_bcrypt`](Self::level_with_bcrypt) is for tables that were taken over.
pub struct DefaultHasher {
    params: Argon2Params,
    ceiling: CostCeiling,
    /// The cost of bcrypt in every wrong answer, beside Argon2.
    bcrypt: Option<u32>,
    arenas: Arenas,
    #[cfg(test)]
    pub(super) spent: std::sync::atomic::AtomicU64,
}

const SALT_LENGTH: usize = 16;
const DIGEST_LENGTH: usize = 32;

/// bcrypt takes no more.
const BCRYPT_MAX_BYTES: usize = 72;

/// Work of one of the 2^cost rounds of bcrypt, in KiB × passes of Argon2: measured at 110 to 120 on x86-64 with AVX2.
const BCRYPT_ROUND: u64 = 115;

impl DefaultHasher {
    /// With these parameters for new hashes. No memory is taken before the first one.
    #[must_use]
    pub fn new(params: Argon2Params) -> Self {
        Self {
            params,
            ceiling: CostCeiling::default().covering(params),
            bcrypt: None,
            arenas: Arenas::new(params.memory_kib() as usize),
            #[cfg(test)]
            spent: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// What a stored hash may cost. Default: [`CostCeiling::default`].
    #[must_use]
    pub fn ceiling(self, ceiling: CostCeiling) -> Self {
        Self { ceiling: ceiling.covering(self.params), ..self }
    }

    /// Makes every wrong answer do both, bcrypt of this cost (31 at most) and Argon2 at the current parameters, whatever is stored:
    /// how long one of them takes in terms of the other differs from machine to machine. Default: off.
    ///
    /// For tables in which bcrypt hashes are left: without it, the time of an answer tells that an address belongs to
    /// one of those users. With cost 12 a failed login costs the server 3.4 times as much. Take it out when the last such
    /// user has logged in.
    #[must_use]
    pub fn level_with_bcrypt(self, cost: u32) -> Self {
        Self { bcrypt: Some(cost.clamp(4, 31)), ..self }
    }

    fn verify_argon2(&self, password: &str, stored: &Argon2Hash) -> Result<Verification, HasherError> {
        let mut digest = Zeroizing::new(vec![0; stored.digest.len()]);
        self.argon2(stored, password, &mut digest)?;
        if !bool::from(digest.as_slice().ct_eq(&stored.digest)) {
            return Ok(Verification::Invalid);
        }
        let current = matches!(stored.algorithm, Algorithm::Argon2id)
            && matches!(stored.version, Version::V0x13)
            && stored.memory_kib == self.params.memory_kib()
            && stored.iterations == self.params.iterations()
            && stored.parallelism == self.params.parallelism()
            && stored.salt.len() == SALT_LENGTH
            && stored.digest.len() == DIGEST_LENGTH;
        Ok(if current { Verification::Valid } else { Verification::ValidButOutdated })
    }

    fn verify_bcrypt(&self, password: &str, stored: &PasswordHash, cost: u32) -> Verification {
        self.count(bcrypt_work(cost));
        // This call cuts a longer password, and the one that does not cut refuses 72 bytes as well. So the length is ours
        // to check, after the same work.
        match bcrypt::verify(password, stored.as_str()) {
            Ok(true) if password.len() <= BCRYPT_MAX_BYTES => Verification::ValidButOutdated,
            Ok(_) => Verification::Invalid,
            Err(_) => unusable(phc::Unusable::Damaged),
        }
    }

    /// Works off what is missing: both kinds where they are levelled, else Argon2 for whatever was done.
    fn make_up(&self, password: &str, done: Done) -> Result<(), HasherError> {
        let Some(level) = self.bcrypt else {
            return self.make_up_argon2(password, done.argon2 + done.bcrypt.map_or(0, bcrypt_work));
        };
        match done.bcrypt {
            None => self.bcrypt_for_nothing(level)?,
            // 2^a + 2^(a+1) + … + 2^(b-1) = 2^b - 2^a
            Some(cost) => (cost..level).try_for_each(|cost| self.bcrypt_for_nothing(cost))?,
        }
        self.make_up_argon2(password, done.argon2)
    }

    fn bcrypt_for_nothing(&self, cost: u32) -> Result<(), HasherError> {
        self.count(bcrypt_work(cost));
        // It takes as long for any text, and refuses some.
        let digest = bcrypt::hash_with_salt(hint::black_box("a text"), cost, [0; SALT_LENGTH]);
        hint::black_box(&digest.map_err(|error| HasherError::new(error.to_string()))?);
        Ok(())
    }

    fn make_up_argon2(&self, password: &str, done: u64) -> Result<(), HasherError> {
        let missing = argon2_work(self.params.memory_kib(), self.params.iterations()).saturating_sub(done);
        let least = 8 * u64::from(self.params.parallelism());
        if missing < least {
            return Ok(());
        }
        let iterations = missing.div_ceil(self.params.memory_kib().into());
        let dummy = Argon2Hash {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            memory_kib: saturated((missing / iterations).max(least)),
            iterations: saturated(iterations),
            parallelism: self.params.parallelism(),
            salt: vec![0; SALT_LENGTH],
            digest: Vec::new(),
        };
        let mut digest = Zeroizing::new([0; DIGEST_LENGTH]);
        self.argon2(&dummy, password, digest.as_mut())?;
        hint::black_box(&digest);
        Ok(())
    }

    /// `digest` decides the length; that of `hash` is not looked at.
    fn argon2(&self, hash: &Argon2Hash, password: &str, digest: &mut [u8]) -> Result<(), HasherError> {
        self.count(argon2_work(hash.memory_kib, hash.iterations));
        let params = Params::new(hash.memory_kib, hash.iterations, hash.parallelism, Some(digest.len()))
            .map_err(|error| HasherError::new(error.to_string()))?;
        let blocks = params.block_count();
        let argon2 = Argon2::new(hash.algorithm, hash.version, params);
        self.arenas
            .lend(blocks, |memory| {
                argon2.hash_password_into_with_memory(password.as_bytes(), &hash.salt, digest, memory)
            })?
            .map_err(|error| HasherError::new(error.to_string()))
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests count the work, per hasher"))]
    fn count(&self, _work: u64) {
        #[cfg(test)]
        self.spent.fetch_add(_work, std::sync::atomic::Ordering::Relaxed);
    }
}

impl fmt::Debug for DefaultHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultHasher")
            .field("params", &self.params)
            .field("ceiling", &self.ceiling)
            .field("bcrypt", &self.bcrypt)
            .finish_non_exhaustive()
    }
}

impl Default for DefaultHasher {
    fn default() -> Self {
        Self::new(Argon2Params::default())
    }
}

impl PasswordHasher for DefaultHasher {
    fn hash(&self, password: &ValidatedPassword) -> Result<PasswordHash, HasherError> {
        let (memory_kib, iterations, parallelism) =
            (self.params.memory_kib(), self.params.iterations(), self.params.parallelism());
        let mut salt = vec![0; SALT_LENGTH];
        random::fill(&mut salt);
        let hash = Argon2Hash {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            memory_kib,
            iterations,
            parallelism,
            salt,
            digest: Vec::new(),
        };
        let mut digest = Zeroizing::new([0; DIGEST_LENGTH]);
        self.argon2(&hash, password.expose(), digest.as_mut())?;
        let (salt, digest) = (STANDARD_NO_PAD.encode(&hash.salt), STANDARD_NO_PAD.encode(digest.as_ref()));
        Ok(PasswordHash::from_stored(format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${digest}"
        )))
    }

    fn verify(&self, password: &str, stored: &PasswordHash) -> Result<Verification, HasherError> {
        let (verification, done) = match phc::read(stored.as_str(), &self.ceiling) {
            Ok(Stored::Argon2(hash)) => {
                let done = Done { argon2: argon2_work(hash.memory_kib, hash.iterations), bcrypt: None };
                (self.verify_argon2(password, &hash)?, done)
            }
            Ok(Stored::Bcrypt { cost }) => {
                (self.verify_bcrypt(password, stored, cost), Done { argon2: 0, bcrypt: Some(cost) })
            }
            Err(reason) => (unusable(reason), Done::default()),
        };
        if !verification.is_valid() {
            self.make_up(password, done)?;
        }
        Ok(verification)
    }

    fn verify_dummy(&self, password: &str) -> Result<(), HasherError> {
        self.make_up(password, Done::default())
    }

    /// Counts the current parameters for each call, and for one of them the ceiling: a stored hash may need that.
    fn concurrency_within(&self, budget: usize) -> usize {
        let (budget_kib, largest, each) =
            (budget / 1024, self.ceiling.memory_kib as usize, self.params.memory_kib() as usize);
        budget_kib.checked_sub(largest).map_or(1, |rest| 1 + rest / each)
    }

    fn release(&self) {
        self.arenas.release();
    }
}

/// What an answer cost so far.
#[derive(Clone, Copy, Default)]
struct Done {
    /// KiB × passes.
    argon2: u64,
    /// The cost of a bcrypt hash.
    bcrypt: Option<u32>,
}

/// Says why in the log. Which user it is, only the caller knows.
fn unusable(reason: phc::Unusable) -> Verification {
    tracing::warn!(%reason, "a stored password hash cannot be used");
    Verification::Unusable
}

fn argon2_work(memory_kib: u32, iterations: u32) -> u64 {
    u64::from(memory_kib) * u64::from(iterations)
}

fn bcrypt_work(cost: u32) -> u64 {
    BCRYPT_ROUND << cost.min(31)
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
