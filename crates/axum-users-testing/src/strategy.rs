//! What every `Strategy` does, over any store.

use axum_users_core::{
    Acting, Authenticated, EndTokens, Error, Fields, IssuedToken, KeptSession, Strategy, TokenOwner, UserChange,
    UserDatabase, UserManager, UserUpdate,
};

use crate::{SampleProfile, users::new_user};

/// Runs every check, each with what `make` gives: a manager over an empty store, that store, and the strategy. Its tokens live
/// for longer than the checks take.
///
/// # Panics
/// When the strategy does not do what is expected.
pub async fn strategy<P: SampleProfile, D: UserDatabase<P>, S: Strategy<P>>(
    make: impl AsyncFn() -> (UserManager<P>, D, S),
) {
    Case::of(make().await).tokens_are_their_users().await;
    Case::of(make().await).other_texts_are_nobodys().await;
    Case::of(make().await).an_ended_session_stays_ended().await;
    Case::of(make().await).a_change_of_password_ends_all_but_one().await;
    Case::of(make().await).a_late_token_is_dead().await;
    Case::of(make().await).nothing_outlives_its_user().await;
    Case::of(make().await).a_session_has_several_tokens().await;
}

struct Case<P: SampleProfile, D, S> {
    users: UserManager<P>,
    store: D,
    strategy: S,
}

impl<P: SampleProfile, D: UserDatabase<P>, S: Strategy<P>> Case<P, D, S> {
    fn of((users, store, strategy): (UserManager<P>, D, S)) -> Self {
        Self { users, store, strategy }
    }

    async fn user(&self, number: usize) -> P::Id {
        self.store.create(new_user(number)).await.expect("a user").id
    }

    /// The proof of a login that reads the user now.
    async fn proof(&self, id: &P::Id) -> Authenticated<P> {
        let read_at = self.users.clock().now();
        let user = self.users.get(id).await.expect("an answer").expect("the user");
        Authenticated::danger_without_password(user, read_at).through("backend", None)
    }

    async fn login(&self, id: &P::Id) -> IssuedToken {
        self.strategy.write_token(&self.proof(id).await, &self.users).await.expect("a token")
    }

    async fn read(&self, token: &str) -> Option<TokenOwner<P>> {
        self.strategy.read_token(token, &self.users).await.expect("an answer")
    }

    async fn owner(&self, token: &IssuedToken) -> TokenOwner<P> {
        self.read(token.token.expose()).await.expect("the token counts")
    }

    async fn counts(&self, token: &IssuedToken) -> bool {
        self.read(token.token.expose()).await.is_some()
    }

    async fn logout(&self, token: &IssuedToken) {
        let owner = self.owner(token).await;
        self.users.end_session(&owner.user, owner.session("backend", None)).await.expect("ended");
        self.strategy.destroy_token(token.token.expose(), &owner, &self.users).await.expect("destroyed");
    }

    async fn end_tokens(&self, id: &P::Id, keep: Option<&TokenOwner<P>>) {
        let keep = keep.map(|owner| KeptSession {
            session: owner.session("backend", None),
            stored_token: owner.stored_token.clone(),
        });
        let end_tokens = Some(EndTokens { now: self.users.clock().unix(), keep });
        let change = UserChange { end_tokens, ..UserChange::default() };
        let _ = self.store.update(id, change).await.expect("changed");
    }

    async fn tokens_are_their_users(self) {
        let (a, b) = (self.user(1).await, self.user(2).await);
        let (first, second, other) = (self.login(&a).await, self.login(&a).await, self.login(&b).await);
        for (token, id) in [(&first, &a), (&second, &a), (&other, &b)] {
            let owner = self.owner(token).await;
            assert_eq!(&owner.user.id, id);
            let (expires, promised) = (owner.expires_at.unwrap_or(i64::MAX), token.expires_at.unwrap_or(i64::MAX));
            assert!(expires.abs_diff(promised) <= 1, "give or take a second: {expires}, {promised}");
            let now = self.users.clock().unix();
            assert!(owner.authenticated_at.is_some_and(|at| (now - 60..=now + 2).contains(&at)), "{owner:?}");
        }
        let (one, two) = (self.owner(&first).await, self.owner(&second).await);
        assert_ne!(one.session, two.session, "two logins are two sessions, also within one second");
        assert!(!first.token.ct_eq(second.token.expose()));
        let listed = self.users.sessions(&one.user).await.expect("a list");
        for owner in [one, two] {
            assert!(listed.iter().any(|session| session.id == owner.session && session.backend == "backend"));
        }
        assert_eq!(listed.len(), 2);
    }

    async fn other_texts_are_nobodys(self) {
        let id = self.user(1).await;
        let token = self.login(&id).await;
        let text = token.token.expose();
        let swapped: String = text
            .chars()
            .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let (long, short) = (format!("{text}A"), &text[..text.len() - 1]);
        let huge = "a".repeat(100_000);
        for odd in ["", " ", "x", "null", "a.b.c", "*", "?", "\0", "\u{1f5e1}", &swapped, &long, short, &huge] {
            assert!(self.read(odd).await.is_none(), "{odd:.100}");
        }
        let hash = axum_users_core::TokenHash::of(text);
        assert!(self.read(hash.as_str()).await.is_none(), "what is stored is no token");
        assert!(self.counts(&token).await);
    }

    async fn an_ended_session_stays_ended(self) {
        let id = self.user(1).await;
        let (token, other) = (self.login(&id).await, self.login(&id).await);
        self.logout(&token).await;
        assert!(!self.counts(&token).await && self.counts(&other).await);
        // From elsewhere, by the id that the list shows.
        let owner = self.owner(&other).await;
        assert!(self.users.end_session_by_id(&owner.user, &owner.session, None).await.expect("an answer"));
        assert!(!self.counts(&other).await);
        assert!(!self.users.end_session_by_id(&owner.user, &owner.session, None).await.expect("an answer"));
        assert!(self.users.sessions(&owner.user).await.expect("a list").is_empty());
    }

    async fn a_change_of_password_ends_all_but_one(self) {
        let (id, other) = (self.user(1).await, self.user(2).await);
        let (acting, old, bystander) = (self.login(&id).await, self.login(&id).await, self.login(&other).await);
        let owner = self.owner(&acting).await;
        self.end_tokens(&id, Some(&owner)).await;
        assert!(self.counts(&acting).await && !self.counts(&old).await && self.counts(&bystander).await);
        let new = self.login(&id).await;
        assert!(self.counts(&new).await, "the same second, after the change");
        let owner = self.owner(&acting).await;
        self.end_tokens(&id, Some(&owner)).await;
        assert!(self.counts(&acting).await && !self.counts(&new).await, "once more");
        // Through the manager: a kept session writes, an ended one does not.
        let owner = self.owner(&acting).await;
        let session = Acting {
            user_id: id.clone(),
            session: owner.session("backend", None),
            stored_token: owner.stored_token.clone(),
            tokens_valid_after: owner.user.tokens_valid_after,
            authenticated_at: owner.authenticated_at,
        };
        self.users.end_sessions(&owner.user, Some(&session), None).await.expect("ended");
        assert!(self.counts(&acting).await);
        self.end_tokens(&id, None).await;
        assert!(!self.counts(&acting).await && self.counts(&bystander).await);
        let update = UserUpdate { is_verified: Some(true), ..UserUpdate::default() };
        let refused = self.users.update(&owner.user, update, Fields::All, Some(&session), None).await;
        assert!(matches!(refused, Err(Error::SessionEnded)), "{refused:?}");
    }

    /// A login that proved the old password, and writes its token after the change.
    async fn a_late_token_is_dead(self) {
        let id = self.user(1).await;
        let proof = self.proof(&id).await;
        self.end_tokens(&id, None).await;
        match self.strategy.write_token(&proof, &self.users).await {
            Ok(token) => assert!(!self.counts(&token).await),
            Err(error) => assert!(matches!(error, Error::SessionEnded), "{error:?}"),
        }
        let fresh = self.login(&id).await;
        assert!(self.counts(&fresh).await);
    }

    async fn nothing_outlives_its_user(self) {
        let id = self.user(1).await;
        let (token, late) = (self.login(&id).await, self.proof(&id).await);
        // Deactivated and active again.
        let owner = self.owner(&token).await;
        for is_active in [Some(false), Some(true)] {
            let update = UserUpdate { is_active, ..UserUpdate::default() };
            self.users.update(&owner.user, update, Fields::All, None, None).await.expect("changed");
        }
        assert!(!self.counts(&token).await);
        let token = self.login(&id).await;
        self.users.delete(&owner.user, None).await.expect("deleted");
        assert!(!self.counts(&token).await);
        let refused = self.strategy.write_token(&late, &self.users).await;
        assert!(matches!(refused, Err(Error::SessionEnded)), "nobody is left to log in");
        // A number that is given out again.
        self.user(1).await;
        assert!(!self.counts(&token).await);
    }

    async fn a_session_has_several_tokens(self) {
        if !self.strategy.names_sessions() {
            return;
        }
        let id = self.user(1).await;
        let until = self.users.clock().unix() + 100_000;
        let proof = self.proof(&id).await.session_until(until);
        let first = self.strategy.write_token(&proof, &self.users).await.expect("a token");
        let session = self.owner(&first).await.session;
        let again = async || {
            let proof = self.proof(&id).await.continuing(session.clone(), until);
            self.strategy.write_token(&proof, &self.users).await
        };
        let second = again().await.expect("another token");
        let owner = self.owner(&second).await;
        assert_eq!(owner.session, session);
        assert_eq!(self.users.sessions(&owner.user).await.expect("a list").len(), 1);
        self.end_tokens(&id, Some(&owner)).await;
        assert!(self.counts(&first).await && self.counts(&second).await, "a session is kept with all its tokens");
        self.logout(&second).await;
        assert!(!self.counts(&first).await && !self.counts(&second).await, "and ends with all of them");
        match again().await {
            Ok(token) => assert!(!self.counts(&token).await),
            Err(error) => assert!(matches!(error, Error::SessionEnded), "{error:?}"),
        }
    }
}
