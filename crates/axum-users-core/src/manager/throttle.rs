//! What counts by which bucket.

use std::{sync::Once, time::Duration};

use super::UserManager;
use crate::{
    error::Error,
    hooks::RequestInfo,
    outbox::Task,
    profile::UserProfile,
    throttle::{BucketKey, Buckets, KnownDevice, KnownDevices, Limit, Taken, Throttle},
    user::{Fields, User},
};

/// The limits of one manager, and what it counts itself.
#[derive(Debug)]
pub(super) struct Throttling {
    limits: Option<Throttle>,
    devices: Option<KnownDevices>,
    /// For a store that keeps none.
    buckets: Option<Buckets>,
    /// Whether it was said that no address is known.
    said: Once,
}

impl Throttling {
    pub(super) fn new(limits: Option<Throttle>, devices: Option<KnownDevices>, keeps_buckets: bool) -> Self {
        Self { limits, devices, buckets: (!keeps_buckets).then(Buckets::default), said: Once::new() }
    }
}

/// An attempt at a login that was taken out of its buckets.
#[must_use]
pub(super) struct Attempt {
    /// Full again once the password was right: only failures in a row count.
    own: Option<(BucketKey, Limit)>,
    /// It gets this one back, and no more: what others failed at from here still counts.
    address: Option<(BucketKey, Limit)>,
}

/// Whether a mail may leave now.
pub(super) enum Leave {
    /// What it took.
    Now(Vec<(BucketKey, Limit)>),
    Later(Duration),
    Never,
}

/// What of an address counts together: wrong passwords, wrong tokens and states, logins by providers that come to nothing.
const FAILURES: &str = "failures";

impl<P: UserProfile> UserManager<P> {
    /// The device of a text that [`device_token`](Self::device_token) gave to one.
    #[must_use]
    pub fn known_device(&self, token: &str) -> Option<KnownDevice> {
        self.0.throttling.devices.as_ref()?.read(token)
    }

    /// What a device keeps with which `user` has just proved who they are, so that it is known the next time; `None` where devices
    /// are not made known.
    #[must_use]
    pub fn device_token(&self, user: &User<P>, request: Option<&RequestInfo>) -> Option<String> {
        let throttling = &self.0.throttling;
        throttling.limits?;
        let known = request.and_then(|request| request.device.clone()).filter(|device| device.is_of(&user.id));
        Some(throttling.devices.as_ref()?.token(&known.unwrap_or_else(|| KnownDevice::new(&user.id))))
    }

    /// Removes buckets that are full, at most `limit`; answers how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn delete_full_buckets(&self, limit: u32) -> Result<u64, Error> {
        Ok(self.0.database.delete_full_buckets(self.now_in_millis(), limit).await?)
    }

    /// Before a password is looked at. `user` is who has this address, if anybody does: strangers and nobodies count alike.
    pub(super) async fn begin_attempt(
        &self,
        email: &str,
        user: Option<&User<P>>,
        request: Option<&RequestInfo>,
    ) -> Result<Attempt, Error> {
        let Some(limits) = &self.0.throttling.limits else { return Ok(Attempt { own: None, address: None }) };
        let device = request.and_then(|request| request.device.as_ref());
        // Strangers at the same address do not keep it out either.
        if let Some(device) = device.filter(|device| user.is_some_and(|user| device.is_of(&user.id))) {
            let own = (BucketKey::device(device), limits.account);
            self.take(&own).await?;
            return Ok(Attempt { own: Some(own), address: None });
        }
        let address = request.map(|request| (self.address(FAILURES, request), limits.address));
        if let Some(address) = &address {
            self.take(address).await?;
        }
        let own = (BucketKey::account(email), limits.account);
        self.take(&own).await?;
        Ok(Attempt { own: Some(own), address })
    }

    /// The password was right, and nothing else stood in the way.
    pub(super) async fn attempt_succeeded(&self, attempt: Attempt) {
        if let Some((key, _)) = &attempt.own {
            self.fill(key).await;
        }
        if let Some(address) = &attempt.address {
            self.give_back(address).await;
        }
    }

    /// The password was not looked at; or there was none, and the login succeeded.
    pub(super) async fn attempt_was_none(&self, attempt: Attempt) {
        for bucket in attempt.own.iter().chain(&attempt.address) {
            self.give_back(bucket).await;
        }
    }

    /// Before a provider is asked who somebody is; [put back](Self::attempt_was_none) once it is clear.
    pub(super) async fn begin_oauth(&self, request: Option<&RequestInfo>) -> Result<Attempt, Error> {
        let (Some(limits), Some(request)) = (&self.0.throttling.limits, request) else {
            return Ok(Attempt { own: None, address: None });
        };
        let address = (self.address(FAILURES, request), limits.address);
        self.take(&address).await?;
        Ok(Attempt { own: None, address: Some(address) })
    }

    /// Whoever reads the mail of an address may log in again at once.
    pub(super) async fn fill_account(&self, email: &str) {
        if self.0.throttling.limits.is_some() {
            self.fill(&BucketKey::account(email)).await;
        }
    }

    /// A token that counts for nothing counts for its address. One that is right is let through whatever failed before, since
    /// nobody guesses it.
    pub(crate) async fn failed_token(&self, error: Error, request: Option<&RequestInfo>) -> Error {
        let is_wrong = matches!(
            error,
            Error::InvalidVerifyToken | Error::InvalidResetToken | Error::InvalidRefreshToken | Error::BadOAuthState(_)
        );
        let (Some(limits), Some(request), true) = (&self.0.throttling.limits, request, is_wrong) else { return error };
        let bucket = (self.address(FAILURES, request), limits.address);
        self.take(&bucket).await.err().unwrap_or(error)
    }

    /// What a visitor asks for; programs create as many users as they like.
    pub(super) async fn may_register(&self, fields: Fields, request: Option<&RequestInfo>) -> Result<(), Error> {
        let (Some(limits), Some(request), Fields::Safe) = (&self.0.throttling.limits, request, fields) else {
            return Ok(());
        };
        self.take(&(self.address("registrations", request), limits.registrations)).await?;
        self.take(&(BucketKey::total("registrations"), limits.total_registrations)).await
    }

    /// By the address that asks alone: by mailbox the worker counts, so that an answer does not tell what others asked for.
    pub(super) async fn may_ask_for_mail(&self, request: Option<&RequestInfo>) -> Result<(), Error> {
        let (Some(limits), Some(request)) = (&self.0.throttling.limits, request) else { return Ok(()) };
        self.take(&(self.address("mails", request), limits.mail_requests)).await
    }

    /// Before a mail is sent. What is owed to a user counts for itself, so that others cannot use it up.
    pub(super) async fn may_leave(&self, task: &Task) -> Result<Leave, Error> {
        let Some(limits) = &self.0.throttling.limits else { return Ok(Leave::Now(Vec::new())) };
        let mailbox = (BucketKey::mailbox(task.mailbox(), task.is_owed()), limits.mailbox);
        match (self.try_take(&mailbox).await?, task) {
            (Taken::Yes, _) => {}
            // Whoever changed the address could use up what is owed to the owner.
            (Taken::No(wait), Task::UndoEmailChange(_)) => return Ok(Leave::Later(wait)),
            (Taken::No(_), _) => return Ok(Leave::Never),
        }
        if task.is_owed() {
            return Ok(Leave::Now(vec![mailbox]));
        }
        let total = (BucketKey::total("mails"), limits.total_mails);
        match self.try_take(&total).await? {
            Taken::Yes => Ok(Leave::Now(vec![mailbox, total])),
            Taken::No(wait) => {
                self.give_back(&mailbox).await;
                Ok(Leave::Later(wait))
            }
        }
    }

    /// It did not leave after all.
    pub(super) async fn did_not_leave(&self, taken: Vec<(BucketKey, Limit)>) {
        for bucket in &taken {
            self.give_back(bucket).await;
        }
    }

    fn address(&self, kind: &str, request: &RequestInfo) -> BucketKey {
        if request.client_address.is_none() {
            self.0.throttling.said.call_once(|| {
                tracing::warn!(
                    "no client address is known, so all clients share one limit: serve with \
                     `into_make_service_with_connect_info::<SocketAddr>()`"
                );
            });
        }
        BucketKey::address(kind, request.client_address)
    }

    async fn take(&self, bucket: &(BucketKey, Limit)) -> Result<(), Error> {
        match self.try_take(bucket).await? {
            Taken::Yes => Ok(()),
            Taken::No(retry_after) => Err(Error::Throttled { retry_after }),
        }
    }

    pub(super) async fn try_take(&self, (key, limit): &(BucketKey, Limit)) -> Result<Taken, Error> {
        let now = self.now_in_millis();
        match &self.0.throttling.buckets {
            Some(buckets) => Ok(buckets.take(key, *limit, now)),
            None => Ok(self.0.database.take_from_bucket(key, *limit, now).await?),
        }
    }

    async fn give_back(&self, (key, limit): &(BucketKey, Limit)) {
        let given = match &self.0.throttling.buckets {
            Some(buckets) => {
                buckets.give_back(key, *limit);
                Ok(())
            }
            None => self.0.database.give_back_to_bucket(key, *limit).await,
        };
        if let Err(error) = given {
            tracing::warn!(%error, "what proved right counts as if it had failed");
        }
    }

    async fn fill(&self, key: &BucketKey) {
        let filled = match &self.0.throttling.buckets {
            Some(buckets) => {
                buckets.fill(key);
                Ok(())
            }
            None => self.0.database.fill_bucket(key).await,
        };
        if let Err(error) = filled {
            tracing::warn!(%error, "failed attempts count on, though one proved right");
        }
    }

    fn now_in_millis(&self) -> i64 {
        i64::try_from(self.0.clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
    }
}
