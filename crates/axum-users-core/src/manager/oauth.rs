//! Logging in by a provider, and linking an account with one.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Acting, Authenticated, UserManager};
use crate::{
    audit::Audit,
    database::{Conflict, DatabaseError},
    email::{Email, EmailKey},
    error::{BadOAuthState, Error},
    hooks::RequestInfo,
    id::UserId,
    oauth::{
        AnyOAuthClient, AuthorizationRequest, BrowserSecret, ExternalIdentity, NewOAuthAccount, OAuthClient as _,
        OAuthCode, OAuthFlow, OAuthIdentity, OAuthKeys, OAuthRules, OAuthState, OAuthToken, STATE_LIFETIME,
        code_challenge, keys::Part,
    },
    password::{PasswordHash, ValidatedPassword},
    profile::UserProfile,
    random,
    secret::Secret,
    session::next_valid_after,
    throttle::{BucketKey, Limit, Taken},
    user::{Fields, NewUser, User, UserCreate, UserUpdate},
};

/// A login by a provider that begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OAuthStart {
    /// Where the browser goes.
    pub url: String,
    /// What the browser keeps until it comes back, where no script and no other site reads it.
    pub browser_secret: Secret,
}

/// A browser that came back with a state that is right. It counts once: what takes it spends it.
#[derive(Debug)]
#[non_exhaustive]
pub struct OAuthReturn {
    /// What the state says.
    pub state: OAuthState,
    browser: BrowserSecret,
    once: String,
}

/// An account as the provider told of it, fit to be stored.
struct Told {
    identity: ExternalIdentity,
    account: NewOAuthAccount,
    email: String,
}

impl<P: UserProfile> UserManager<P> {
    /// Whether the store keeps accounts with providers, and keys for them are configured.
    #[must_use]
    pub fn keeps_oauth_accounts(&self) -> bool {
        self.0.keeps_oauth_accounts && self.0.oauth.is_some()
    }

    pub(super) fn oauth_keys(&self) -> Result<&OAuthKeys, Error> {
        self.0.oauth.as_ref().ok_or(Error::NotConfigured("oauth"))
    }

    /// Begins a login, or the linking of an account. `redirect_uri` is where the provider sends the browser, a constant of the
    /// application and never what a client says.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], [`Error::OAuthProvider`], [`Error::Internal`].
    pub async fn oauth_begin(
        &self,
        client: &AnyOAuthClient,
        flow: OAuthFlow,
        redirect_to: Option<String>,
        redirect_uri: &str,
        scopes: Vec<String>,
    ) -> Result<OAuthStart, Error> {
        let browser = BrowserSecret::generate();
        let state = OAuthState::new(client.name(), flow, redirect_to);
        let state = state.encode(self.oauth_keys()?, self.0.strict, &browser, self.0.clock.unix())?;
        let request = AuthorizationRequest {
            redirect_uri: redirect_uri.to_owned(),
            state: state.expose().to_owned(),
            scopes,
            code_challenge: code_challenge(&browser.verifier()),
            nonce: browser.nonce(),
        };
        let url = client.authorization_url(&request).await?;
        Ok(OAuthStart { url, browser_secret: browser.into_secret() })
    }

    /// Reads a state that came back: whether it is ours, not older than ten minutes, of this browser, this provider and this
    /// flow. Nothing is spent yet; one that is none counts as a wrong token of the client's address.
    ///
    /// # Errors
    /// [`Error::BadOAuthState`], [`Error::Throttled`] in its place, [`Error::NotConfigured`], [`Error::Database`].
    pub async fn oauth_return(
        &self,
        client: &AnyOAuthClient,
        flow: &OAuthFlow,
        state: &Secret,
        browser_secret: &Secret,
        request: Option<&RequestInfo>,
    ) -> Result<OAuthReturn, Error> {
        match self.read_state(client, flow, state, browser_secret) {
            Ok(returned) => Ok(returned),
            Err(error) => Err(self.failed_token(error, request).await),
        }
    }

    fn read_state(
        &self,
        client: &AnyOAuthClient,
        flow: &OAuthFlow,
        state: &Secret,
        browser_secret: &Secret,
    ) -> Result<OAuthReturn, Error> {
        let browser = BrowserSecret::sent(browser_secret.clone());
        let now = self.0.clock.unix();
        let (state, once) = OAuthState::decode(self.oauth_keys()?, self.0.strict, state, &browser, now)?;
        if state.provider != client.name() {
            return Err(BadOAuthState::Wrong.into());
        }
        match (&state.flow, flow) {
            (is, expected) if is == expected => Ok(OAuthReturn { state, browser, once }),
            (OAuthFlow::Associate { .. }, OAuthFlow::Associate { .. }) => Err(BadOAuthState::OtherUser.into()),
            _ => Err(BadOAuthState::Wrong.into()),
        }
    }

    /// Logs somebody in whom a provider knows. An identity that nobody has yet becomes a new user, unless its address belongs to
    /// one; `rules` may allow that it is linked to that one.
    ///
    /// It counts as a failure of the client's address before the provider is asked, and no more once somebody is logged in: so a
    /// client makes us ask no more often than it may.
    ///
    /// # Errors
    /// [`Error::BadOAuthState`] (used already), [`Error::OAuthProvider`], [`Error::OAuthEmailUnavailable`],
    /// [`Error::UserAlreadyExists`], [`Error::OAuthAccountAlreadyExists`], [`Error::ValueAlreadyExists`],
    /// [`Error::BadCredentials`] (inactive), [`Error::Veto`], [`Error::Throttled`], [`Error::NotConfigured`] (no
    /// [profile](crate::UserHooks::oauth_profile)), [`Error::Busy`], [`Error::Database`].
    pub async fn oauth_login(
        &self,
        client: &AnyOAuthClient,
        returned: OAuthReturn,
        code: Secret,
        redirect_uri: &str,
        rules: OAuthRules,
        request: Option<&RequestInfo>,
    ) -> Result<Authenticated<P>, Error> {
        let audit = || Audit::of("login", request).method("oauth").provider(client.name());
        let found = async {
            let attempt = self.begin_oauth(request).await?;
            let told = self.oauth_told(client, returned, code, redirect_uri).await?;
            let (user, read_at) = self.oauth_user(client, told, rules, request).await?;
            Ok((user, read_at, attempt))
        };
        let (user, read_at, attempt) = found.await.inspect_err(|error| audit().ended_by(error))?;
        let audit = audit().user(&user.id);
        if !user.is_active {
            audit.refused("inactive");
            return Err(Error::BadCredentials);
        }
        if let Err(veto) = self.0.hooks.before_login(&user, request).await {
            let error = Error::Veto(veto);
            audit.ended_by(&error);
            return Err(error);
        }
        self.attempt_was_none(attempt).await;
        audit.succeeded();
        Ok(Authenticated::danger_without_password(user, read_at))
    }

    /// Links an account to a user who is logged in; one that is linked to them already is brought up to date. `acting` is the
    /// session that asks.
    ///
    /// # Errors
    /// As [`oauth_login`](Self::oauth_login); [`Error::OAuthAccountAlreadyExists`] when it is another user's,
    /// [`Error::SessionEnded`], [`Error::UserNotExists`].
    pub async fn oauth_associate(
        &self,
        client: &AnyOAuthClient,
        returned: OAuthReturn,
        code: Secret,
        redirect_uri: &str,
        acting: &Acting<P>,
        request: Option<&RequestInfo>,
    ) -> Result<User<P>, Error> {
        let audit = || Audit::of("oauth_link", request).user(&acting.user_id).provider(client.name());
        let linked = async {
            let attempt = self.begin_oauth(request).await?;
            let told = self.oauth_told(client, returned, code, redirect_uri).await?;
            let user = self.put_for(acting, &told.account, client, request).await?;
            self.attempt_was_none(attempt).await;
            Ok(user)
        };
        let user = linked.await.inspect_err(|error| audit().ended_by(error))?;
        audit().succeeded();
        self.0.hooks.on_after_update(&user, &UserUpdate::default(), request).await;
        Ok(user)
    }

    /// Spends state and code, in this order, and asks who that is.
    async fn oauth_told(
        &self,
        client: &AnyOAuthClient,
        returned: OAuthReturn,
        code: Secret,
        redirect_uri: &str,
    ) -> Result<Told, Error> {
        // A bucket of one, which is not full again before the state has expired, on a node whose clock is behind either.
        let once = (BucketKey::of("oauth state", &returned.once), Limit::new(1, STATE_LIFETIME + CLOCKS_DIFFER));
        if self.try_take(&once).await? != Taken::Yes {
            return Err(BadOAuthState::Wrong.into());
        }
        let (verifier, nonce) = (returned.browser.verifier(), returned.browser.nonce());
        let code = OAuthCode::new(code, redirect_uri.to_owned(), verifier, nonce);
        let token = client.exchange(&code).await?;
        let identity = client.identity(&token, &code).await?;
        let known = OAuthIdentity::new(client.name(), &identity.account_id)
            .ok_or_else(|| crate::OAuthClientError::Answer("the id of the account is none".into()))?;
        let email =
            identity.email.clone().filter(|it| !it.is_empty() && it.chars().count() <= 320 && !it.contains('\0'));
        let email = email.ok_or(Error::OAuthEmailUnavailable)?;
        let proved = Email::parse(&email).ok().filter(|_| identity.email_is_verified).map(|email| email.key());
        let proved = proved.as_ref().map(EmailKey::as_str);
        let account = self.sealed_account(known, email.clone(), &token, proved)?;
        Ok(Told { identity, account, email })
    }

    pub(super) fn sealed_account(
        &self,
        identity: OAuthIdentity,
        account_email: String,
        token: &OAuthToken,
        proved: Option<&str>,
    ) -> Result<NewOAuthAccount, Error> {
        let keys = self.oauth_keys()?;
        if [Some(&token.access_token), token.refresh_token.as_ref()]
            .iter()
            .flatten()
            .any(|it| it.expose().len() > MAX_TOKEN)
        {
            return Err(crate::OAuthClientError::Answer("a token is too long".into()).into());
        }
        let access_token = keys.seal_access(&identity, &token.access_token, proved)?;
        let refresh_token = token.refresh_token.as_ref().filter(|token| !token.expose().is_empty());
        let refresh_token = refresh_token.map(|token| keys.seal(Part::Refresh, &identity, token)).transpose()?;
        let expires_at = token.expires_at.map(|at| at.clamp(0, i32::MAX.into()));
        Ok(NewOAuthAccount { identity, account_email, expires_at, access_token, refresh_token })
    }

    /// The user of an identity, found, linked or made, and an instant from before they were read.
    async fn oauth_user(
        &self,
        client: &AnyOAuthClient,
        told: Told,
        rules: OAuthRules,
        request: Option<&RequestInfo>,
    ) -> Result<(User<P>, OffsetDateTime), Error> {
        let Told { identity, account, email } = told;
        // What an address means here is for our rule to say, not for the provider's (ASVS 6.8.1).
        let email = Email::parse(&email).ok();
        let mut new = None;
        for _ in 0..TURNS {
            let read_at = self.0.clock.now();
            if let Some((user, _)) = self.0.database.get_by_oauth_account(&account.identity).await? {
                // Who unlinks it meanwhile has the last word.
                match self.refresh_if_active(user, &account).await? {
                    Some(user) => return Ok((user, read_at)),
                    None => continue,
                }
            }
            // An address that nobody proved is none where the mailbox is proved first: it would be taken before its owner comes, and
            // the answer would tell whether it is.
            let is_told = identity.email_is_verified || !self.0.prove_mailbox_first;
            let email = email.as_ref().filter(|_| is_told).ok_or(Error::OAuthEmailUnavailable)?;
            if let Some(user) = self.0.database.get_by_email(&email.key()).await? {
                if rules.associate_by_email && identity.email_is_verified && user.is_verified {
                    let Some(user) = self.link_if_active(user, &account, client, request).await? else { continue };
                    if user.is_active {
                        let audit = Audit::of("oauth_link", request).user(&user.id).provider(client.name());
                        audit.succeeded_because("same_address");
                    }
                    return Ok((user, read_at));
                }
                // The same login in parallel may have made this user, with the account.
                if self.0.database.get_by_oauth_account(&account.identity).await?.is_some() {
                    continue;
                }
                return Err(Error::UserAlreadyExists);
            }
            let user = match &new {
                Some(user) => user,
                None => {
                    let verified = rules.is_verified_by_default && identity.email_is_verified;
                    new.insert(self.oauth_new_user(client.name(), &identity, email.clone(), verified, request).await?)
                }
            };
            match self.0.database.create_with_oauth_account(user.clone(), account.clone()).await {
                Ok(user) => {
                    Audit::of("register", request).user(&user.id).method("oauth").provider(client.name()).succeeded();
                    self.0.hooks.on_after_register(&user, request).await;
                    return Ok((user, read_at));
                }
                Err(DatabaseError::Conflict(Conflict::Email | Conflict::OAuthAccount)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::OAuthAccountAlreadyExists)
    }

    async fn oauth_new_user(
        &self,
        provider: &str,
        identity: &ExternalIdentity,
        email: Email,
        is_verified: bool,
        request: Option<&RequestInfo>,
    ) -> Result<NewUser<P>, Error> {
        self.may_register(Fields::Safe, request).await?;
        let profile = self.0.hooks.oauth_profile(provider, identity).await;
        let profile = profile.ok_or(Error::NotConfigured("the hook `oauth_profile`"))?;
        let create = UserCreate { is_verified: Some(is_verified), ..UserCreate::new(email, random::token(), profile) };
        self.0.hooks.before_register(&create, request).await.map_err(Error::Veto)?;
        let hash = self.0.passwords.hash(ValidatedPassword::accepted_by_hook(create.password)).await?;
        let id = P::Id::generate();
        Ok(NewUser {
            tokens_valid_after: id.is_none().then(|| next_valid_after(self.0.clock.unix(), None)),
            id,
            email: create.email,
            hashed_password: PasswordHash::of_nobody(hash),
            is_active: true,
            is_superuser: false,
            is_verified,
            profile: create.profile,
            consumes: None,
        })
    }
}

/// Each turn is another request that was faster.
pub(super) const TURNS: usize = 5;
/// In bytes; no provider has longer ones, and the smallest column of ours has room for it.
const MAX_TOKEN: usize = 40_000;
/// How far the clocks of two nodes may differ for a state to count once.
const CLOCKS_DIFFER: Duration = Duration::from_secs(600);
