//! Who is calling: the enabled backends in order, the first token that yields a user wins.

use std::sync::Arc;

use http::request::Parts;

use crate::{Acting, Audit, Error, Guard, Secret, Strategy, UserManager, UserProfile, Users, backend::AuthBackend};
use axum_users_core::{DatabaseError, RequestInfo, TokenOwner};

/// A token that counts, its owner, and the backend that accepted it.
pub(crate) struct Session<P: UserProfile> {
    pub(crate) owner: TokenOwner<P>,
    pub(crate) token: Secret,
    pub(crate) backend: AuthBackend<P>,
}

impl<P: UserProfile> Session<P> {
    /// What was found for this request before.
    pub(crate) fn found(parts: &Parts) -> Option<&Self> {
        parts.extensions.get::<Found<P>>()?.session.as_deref()
    }

    /// Ends this session with its token, at the wish of its user.
    pub(crate) async fn log_out(&self, users: &UserManager<P>, request: Option<&RequestInfo>) -> Result<(), Error> {
        self.backend.end(self, users, request).await?;
        Audit::of("token_ended", request).user(&self.owner.user.id).succeeded_because("logout");
        Ok(())
    }

    /// This session as the one that asks for a change.
    pub(crate) fn acting(&self, request: Option<&RequestInfo>) -> Acting<P> {
        Acting {
            user_id: self.owner.user.id.clone(),
            session: self.owner.session(self.backend.name(), request),
            stored_token: self.owner.stored_token.clone(),
            tokens_valid_after: self.owner.user.tokens_valid_after,
            authenticated_at: self.owner.authenticated_at,
        }
    }
}

/// What was found for one request, kept in its extensions, so that several extractors ask once.
struct Found<P: UserProfile> {
    /// A bit a backend, in their order.
    enabled: u64,
    session: Option<Arc<Session<P>>>,
}

impl<P: UserProfile> Clone for Found<P> {
    fn clone(&self) -> Self {
        Self { enabled: self.enabled, session: self.session.clone() }
    }
}

impl<P: UserProfile> Users<P> {
    /// The session of a request, among the backends that the guard enables.
    pub(crate) async fn session<G: Guard<P>>(&self, parts: &mut Parts) -> Result<Option<Arc<Session<P>>>, Error> {
        let bits = self.backends().iter().rev().map(|backend| u64::from(G::enabled(backend.name(), parts)));
        let enabled = bits.fold(0, |all, bit| all << 1 | bit);
        if let Some(found) = parts.extensions.get::<Found<P>>().filter(|found| found.enabled == enabled) {
            return Ok(found.session.clone());
        }
        let backends = self.backends().iter().enumerate().filter(|(index, _)| enabled >> index & 1 == 1);
        let backends = backends.map(|(_, backend)| backend);
        let session = self.first_session(backends, parts).await?.map(Arc::new);
        parts.extensions.insert(Found { enabled, session: session.clone() });
        Ok(session)
    }

    /// The first of these backends that accepts a token of this request. One that cannot be asked now stops none of the others;
    /// it is an error only when none of them accepts.
    pub(crate) async fn first_session<'a>(
        &self,
        backends: impl Iterator<Item = &'a AuthBackend<P>>,
        parts: &Parts,
    ) -> Result<Option<Session<P>>, Error> {
        let mut unavailable = None;
        for backend in backends {
            let Some(token) = backend.transport().read_token(&parts.headers) else { continue };
            match backend.strategy().read_token(token.expose(), self.manager()).await {
                Ok(None) => {}
                Ok(Some(owner)) => {
                    let session = || owner.session(backend.name(), Some(&self.request_info(parts)));
                    self.manager().session_seen(&owner, session);
                    return Ok(Some(Session { owner, token, backend: backend.clone() }));
                }
                Err(error @ Error::Database(DatabaseError::Unavailable(_))) => unavailable = Some(error),
                Err(error) => return Err(error),
            }
        }
        unavailable.map_or(Ok(None), Err)
    }

    /// The token that the last of the enabled backends saw, whether it counts or not.
    pub(crate) fn presented_token<G: Guard<P>>(&self, parts: &Parts) -> Option<Secret> {
        self.backends()
            .iter()
            .rfind(|backend| G::enabled(backend.name(), parts))
            .and_then(|backend| backend.transport().read_token(&parts.headers))
    }
}
