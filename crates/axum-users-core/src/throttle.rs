//! How often something may be tried: one rule, and what it counts by.
//!
//! A *bucket* holds so many attempts and is refilled one by one ([`Limit`]). Each attempt is taken out of its bucket before
//! anything is checked, in one atomic step of the store, so that attempts in parallel, on one node or on several, are never more
//! than the bucket holds (ASVS 6.3.1). What proved right is put back. Buckets are kept with the users
//! ([`UserDatabase::keeps_buckets`](crate::UserDatabase::keeps_buckets)); for a store that keeps none, each process counts for
//! itself, in memory.
//!
//! A bucket is one number, the generic cell rate algorithm's *theoretical arrival time*: when it will be full again.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    derive::derived,
    email::EmailKey,
    jwt::{WeakSecret, check_secret},
    random,
    session::TokenHash,
};

/// What a bucket holds, and how fast it is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    burst: i64,
    interval: i64,
}

impl Limit {
    /// `count` at once, and `count` more for each `per` that passes, evenly. 0 counts as 1; milliseconds are the finest step.
    #[must_use]
    pub fn new(count: u32, per: Duration) -> Self {
        let count = i64::from(count.max(1));
        Self { burst: count, interval: (millis(per) / count).max(1) }
    }

    /// Never more than `count` within any `per`: half of them at once, rounded up, the others spread.
    #[must_use]
    pub fn never_more(count: u32, per: Duration) -> Self {
        let count = i64::from(count.max(1));
        let burst = (count + 1) / 2;
        let per = millis(per).max(1);
        // The last one of the spread falls on the end of the time, which is the next one's.
        let spread = count - burst + 1;
        Self { burst, interval: (per + spread - 1) / spread }
    }

    /// How many are let through at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        u32::try_from(self.burst).unwrap_or(u32::MAX)
    }

    /// After how many milliseconds another one is let through.
    #[must_use]
    pub fn interval(&self) -> i64 {
        self.interval
    }

    /// The latest time at which a bucket may be full again, so that one can be taken at `now` (Unix milliseconds).
    #[must_use]
    pub fn latest(&self, now: i64) -> i64 {
        now.saturating_add((self.burst - 1).saturating_mul(self.interval))
    }

    /// The rule: takes one out of a bucket that is full again at `full_at` (Unix milliseconds; `None`: there is none yet).
    ///
    /// # Errors
    /// When there is none left: how long until there is.
    pub fn take(&self, full_at: Option<i64>, now: i64) -> Result<i64, Duration> {
        let full_at = full_at.unwrap_or(now);
        let wait = full_at.saturating_sub(self.latest(now));
        if wait <= 0 {
            return Ok(full_at.max(now).saturating_add(self.interval));
        }
        // A clock that was put back must not make it longer.
        Err(Duration::from_millis(u64::try_from(wait.min(self.burst.saturating_mul(self.interval))).unwrap_or(0)))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How an attempt to take one out of a bucket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "adapters answer exactly these")]
pub enum Taken {
    /// There was one.
    Yes,
    /// There is none; in so long there will be.
    No(Duration),
}

impl From<Result<i64, Duration>> for Taken {
    fn from(taken: Result<i64, Duration>) -> Self {
        taken.map_or_else(Self::No, |_| Self::Yes)
    }
}

/// What a bucket is known by: a hash of what it counts, never an address in clear. 43 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey(TokenHash);

impl BucketKey {
    /// What is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Of the attempts at a mailbox, whether or not anybody has it: by the key that it is looked up by.
    pub(crate) fn account(email: &str) -> Self {
        Self::of("account", EmailKey::of_typed(email).as_str())
    }

    /// Of the mails to a mailbox: those that tell its owner of a change, and all others.
    pub(crate) fn mailbox(email: &str, owed: bool) -> Self {
        Self::of(if owed { "owed" } else { "mailbox" }, EmailKey::of_typed(email).as_str())
    }

    /// Of what comes from an address; where none is known, of all that comes from nobody knows where.
    pub(crate) fn address(kind: &str, address: Option<IpAddr>) -> Self {
        Self::of(kind, &address.map_or_else(|| "unknown".to_owned(), network))
    }

    /// Of the attempts of a device.
    pub(crate) fn device(device: &KnownDevice) -> Self {
        Self::of("device", &device.id)
    }

    /// Of all that happens of one kind.
    pub(crate) fn total(kind: &str) -> Self {
        Self::of("total", kind)
    }

    /// Of what is counted, and by what.
    #[must_use]
    pub fn of(kind: &str, what: &str) -> Self {
        Self(TokenHash::of(&format!("axum-users bucket {kind} {what}")))
    }
}

/// What counts as one client: an IPv4 address in either spelling, or the 64 bits of IPv6 that one customer has to themselves.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// How often the public routes may be used. The defaults are those of OWASP ASVS 5 and NIST SP 800-63B-4 section 3.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub(crate) account: Limit,
    pub(crate) address: Limit,
    pub(crate) registrations: Limit,
    pub(crate) total_registrations: Limit,
    pub(crate) mail_requests: Limit,
    pub(crate) mailbox: Limit,
    pub(crate) total_mails: Limit,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            account: Limit::new(10, MINUTE * 15),
            address: Limit::new(30, MINUTE),
            registrations: Limit::new(20, HOUR),
            total_registrations: Limit::new(1000, HOUR),
            mail_requests: Limit::new(20, HOUR),
            mailbox: Limit::never_more(5, HOUR),
            total_mails: Limit::new(1000, HOUR),
        }
    }
}

impl Throttle {
    /// The most wrong passwords in a row that one account may be let try, whatever is configured (NIST SP 800-63B-4).
    pub const HARD_CAP: u32 = 100;

    /// Wrong passwords of one account, from wherever they come; and of a known device, which has as many for itself. Default: 10
    /// in 15 minutes. At most [`HARD_CAP`](Self::HARD_CAP) at once; more counts as that.
    #[must_use]
    pub fn account(mut self, limit: Limit) -> Self {
        self.account = Limit { burst: limit.burst.min(Self::HARD_CAP.into()), ..limit };
        self
    }

    /// Wrong passwords and wrong tokens of one address, and logins by providers that come to nothing. Default: 30 in a minute.
    #[must_use]
    pub fn address(mut self, limit: Limit) -> Self {
        self.address = limit;
        self
    }

    /// Registrations of one address, also those that are refused. Default: 20 in an hour.
    #[must_use]
    pub fn registrations(mut self, limit: Limit) -> Self {
        self.registrations = limit;
        self
    }

    /// Registrations of all addresses together. Default: 1000 in an hour.
    #[must_use]
    pub fn total_registrations(mut self, limit: Limit) -> Self {
        self.total_registrations = limit;
        self
    }

    /// Requests of one address for a mail. Default: 20 in an hour.
    #[must_use]
    pub fn mail_requests(mut self, limit: Limit) -> Self {
        self.mail_requests = limit;
        self
    }

    /// Mails to one mailbox that anybody can ask for, of all kinds together; what is more is dropped. As many may tell its owner
    /// of changes of the account, whatever others ask for. Default: never more than 5 in any hour, 3 of them at once.
    #[must_use]
    pub fn mailbox(mut self, limit: Limit) -> Self {
        self.mailbox = limit;
        self
    }

    /// Mails to all mailboxes together, but for those that tell an owner of a change; what is more waits. Default: 1000 in an
    /// hour.
    #[must_use]
    pub fn total_mails(mut self, limit: Limit) -> Self {
        self.total_mails = limit;
        self
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Makes devices known that a user logged in with, so that strangers who try passwords do not keep the user out (ASVS 6.1.1).
///
/// All nodes need the same secret.
#[derive(Clone)]
pub struct KnownDevices(hmac::Key);

impl KnownDevices {
    /// Signs with a key that is derived from this secret by HKDF (RFC 5869); it may be the secret of something else.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is short, guessable or published: whoever knows it tries passwords without a limit by account.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        check_secret(secret)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, derived(secret, INFO).as_ref())))
    }

    /// What the device keeps: `<user>.<device>.<signature>`, in base64url.
    pub(crate) fn token(&self, device: &KnownDevice) -> String {
        let signed = device.signed();
        let tag = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The device that this was given to.
    pub(crate) fn read(&self, token: &str) -> Option<KnownDevice> {
        let (signed, tag) = token.rsplit_once('.')?;
        hmac::verify(&self.0, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let (user, id) = signed.split_once('.')?;
        Some(KnownDevice { user: String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?, id: id.to_owned() })
    }
}

const INFO: &[u8] = b"known device";

impl fmt::Debug for KnownDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownDevices(…)")
    }
}

/// A device that a user has logged in with before; it proves nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    user: String,
    id: String,
}

impl KnownDevice {
    /// One that was not known before.
    pub(crate) fn new(user: &impl fmt::Display) -> Self {
        Self { user: user.to_string(), id: random::short_token() }
    }

    /// Whether it is a device of this user.
    pub(crate) fn is_of(&self, user: &impl fmt::Display) -> bool {
        self.user == user.to_string()
    }

    fn signed(&self) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&self.user), self.id)
    }
}

/// The buckets of one process, for stores that keep none. Their number is bounded.
#[derive(Debug)]
pub(crate) struct Buckets([Mutex<HashMap<BucketKey, i64>>; SHARDS]);

const SHARDS: usize = 16;
/// So many buckets of a shard that are not full are remembered; then those that are full first are forgotten.
const REMEMBERED: usize = if cfg!(test) { 64 } else { 16_384 };

impl Default for Buckets {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Buckets {
    pub(crate) fn take(&self, key: &BucketKey, limit: Limit, now: i64) -> Taken {
        let Some(mut shard) = self.shard(key) else { return Taken::Yes };
        let taken = limit.take(shard.get(key).copied(), now);
        if let Ok(full_at) = taken {
            if shard.len() >= REMEMBERED && !shard.contains_key(key) {
                make_room(&mut shard, now);
            }
            shard.insert(key.clone(), full_at);
        }
        taken.into()
    }

    pub(crate) fn give_back(&self, key: &BucketKey, limit: Limit) {
        if let Some(full_at) = self.shard(key).as_mut().and_then(|shard| shard.get_mut(key)) {
            *full_at = full_at.saturating_sub(limit.interval);
        }
    }

    pub(crate) fn fill(&self, key: &BucketKey) {
        if let Some(mut shard) = self.shard(key) {
            shard.remove(key);
        }
    }

    #[cfg(feature = "memory")]
    pub(crate) fn delete_full(&self, now: i64, limit: u32) -> u64 {
        let mut deleted = 0;
        for shard in &self.0 {
            shard.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, full_at| {
                let stays = *full_at > now || deleted >= u64::from(limit);
                deleted += u64::from(!stays);
                stays
            });
        }
        deleted
    }

    fn shard(&self, key: &BucketKey) -> Option<MutexGuard<'_, HashMap<BucketKey, i64>>> {
        let index = key.as_str().bytes().next().map_or(0, |byte| usize::from(byte) % SHARDS);
        self.0.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Many at a time, so that a full shard costs each caller little.
fn make_room(shard: &mut HashMap<BucketKey, i64>, now: i64) {
    shard.retain(|_, full_at| *full_at > now);
    if shard.len() < REMEMBERED {
        return;
    }
    let mut instants: Vec<i64> = shard.values().copied().collect();
    let (_, eighth, _) = instants.select_nth_unstable(REMEMBERED / 8);
    shard.retain(|_, full_at| *full_at > *eighth);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    /// Takes at these instants; answers those at which it was let through.
    fn let_through(limit: Limit, instants: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut full_at = None;
        let take = |now| match limit.take(full_at, now) {
            Ok(next) => {
                full_at = Some(next);
                Some(now)
            }
            Err(_) => None,
        };
        instants.into_iter().filter_map(take).collect()
    }

    #[test]
    fn au_01_so_many_at_once_and_then_one_by_one() {
        let limit = Limit::new(10, MINUTE * 15);
        assert_eq!((limit.burst(), limit.interval()), (10, 90_000));
        assert_eq!(let_through(limit, vec![NOW; 200]).len(), 10);
        let full_at = NOW + 10 * 90_000;
        assert_eq!(limit.take(Some(full_at), NOW), Err(Duration::from_secs(90)));
        assert_eq!(limit.take(Some(full_at), NOW + 89_999), Err(Duration::from_millis(1)));
        assert_eq!(limit.take(Some(full_at), NOW + 90_000), Ok(full_at + 90_000));
        // A bucket that is full does not get fuller.
        assert_eq!(limit.take(Some(NOW - 1_000_000), NOW), Ok(NOW + 90_000));
        assert_eq!(limit.take(Some(i64::MAX), NOW), Err(Duration::from_secs(900)), "a clock that was put back");
        assert_eq!(Limit::new(0, Duration::ZERO), Limit::new(1, Duration::from_millis(1)));
        assert_eq!(Throttle::default().account(Limit::new(1000, HOUR)).account.burst(), Throttle::HARD_CAP);
    }

    proptest! {
        #[test]
        fn rg_09_never_more_than_so_many_within_any_time(
            count in 1_u32..20,
            steps in prop::collection::vec(0_i64..400_000, 1..300),
        ) {
            let instants = steps.iter().scan(NOW, |now, step| { *now += step; Some(*now) });
            let through = let_through(Limit::never_more(count, HOUR), instants);
            for (index, first) in through.iter().enumerate() {
                let within = through.iter().skip(index).take_while(|it| **it < first + 3_600_000).count();
                prop_assert!(within <= count as usize, "{within} of {count}");
            }
        }
    }

    #[test]
    fn au_02_all_spellings_of_an_address_are_one_bucket() {
        let of = |address: &str| BucketKey::address("failures", Some(address.parse().unwrap()));
        let one = of("2001:db8:1:2::1");
        for other in ["2001:0db8:0001:0002:0000:0000:0000:0001", "2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"] {
            assert_eq!(one, of(other), "{other}");
        }
        assert_ne!(one, of("2001:db8:1:3::1"));
        assert_eq!(of("192.0.2.7"), of("::ffff:192.0.2.7"));
        assert_eq!(of("192.0.2.7"), of("::ffff:c000:207"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
        assert_ne!(of("192.0.2.7"), BucketKey::address("failures", None));
        assert_ne!(of("192.0.2.7"), BucketKey::address("registrations", "192.0.2.7".parse().ok()));
        for spelling in ["ÉLODIE@camelot.bt", "e\u{301}lodie@CAMELOT.BT", "élodie@camelot.bt"] {
            assert_eq!(BucketKey::account(spelling), BucketKey::account("Élodie@camelot.bt"), "{spelling}");
        }
        assert_eq!(BucketKey::account("a@xn--bcher-kva.example"), BucketKey::account("A@BÜCHER.example"));
        assert_ne!(BucketKey::account("elodie@camelot.bt"), BucketKey::account("élodie@camelot.bt"));
        assert!(!format!("{:?}", BucketKey::account("king@camelot.bt")).contains("king"));
    }

    #[test]
    fn au_05_only_the_device_that_was_given_a_token_is_known_by_it() {
        let secret = b"w7Pj2mQ9sVbX4nRtZ1cYkL8dFhG3aE6u";
        let devices = KnownDevices::new(secret).unwrap();
        let device = KnownDevice::new(&"a.b;ü");
        let token = devices.token(&device);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{token}");
        assert_eq!(devices.read(&token), Some(device.clone()));
        assert!(device.is_of(&"a.b;ü") && !device.is_of(&"a.b"));
        for index in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            let read = devices.read(&String::from_utf8(other).unwrap());
            // The last character of 32 bytes holds two bits that stand for nothing, and those must be zero.
            assert_eq!(read, None, "{index}");
        }
        let other = KnownDevices::new(b"another secret: Zq8Lr5Tn2Wx7Kv4B").unwrap();
        assert_eq!(other.read(&token), None);
        for odd in ["", ".", "..", "a.b.c", &token[..token.len() - 1]] {
            assert_eq!(devices.read(odd), None, "{odd}");
        }
        assert!(KnownDevices::new(b"secret").is_err());
        assert!(!format!("{devices:?}").contains('['));
    }

    #[test]
    fn au_03_the_buckets_in_memory_are_bounded_and_keep_the_emptiest() {
        let buckets = Buckets::default();
        let limit = Limit::new(2, MINUTE);
        let attacked = BucketKey::account("king@camelot.bt");
        assert_eq!([buckets.take(&attacked, limit, NOW), buckets.take(&attacked, limit, NOW)], [Taken::Yes; 2]);
        assert_eq!(buckets.take(&attacked, limit, NOW), Taken::No(Duration::from_secs(30)));
        for number in 0..(SHARDS * REMEMBERED * 5 / 4) {
            let _ = buckets.take(&BucketKey::account(&number.to_string()), limit, NOW);
        }
        let kept: usize = buckets.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * REMEMBERED, "{kept}");
        assert!(matches!(buckets.take(&attacked, limit, NOW), Taken::No(_)), "not forgotten for all of them");
        buckets.give_back(&attacked, limit);
        assert_eq!(buckets.take(&attacked, limit, NOW), Taken::Yes);
        buckets.fill(&attacked);
        assert_eq!(buckets.take(&attacked, limit, NOW), Taken::Yes);
    }
}
