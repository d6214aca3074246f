//! Accounts with providers: elements of `oauth_accounts` as FastAPI Users has them, and our part beside them.
//!
//! FastAPI Users writes the whole array and knows nothing of ours, so tokens that are sealed, and the key that a unique index is
//! over, stand in an array of our own. An element without a key was made by FastAPI Users; a token in clear is newer than a
//! sealed one, as FastAPI Users wrote it later.

use axum_users_core::{
    AccountId, Condition, Conflict, DatabaseError, Message, NewOAuthAccount, OAuthAccount, OAuthIdentity, ObjectId,
    Outcome, User, UserId as _, UserProfile, WithOAuthAccount, oauth::ProviderToken,
};
use mongodb::bson::{Bson, Document, doc, oid};

use crate::{
    change::{Change, TURNS, before_turn, too_busy},
    document::{ACCOUNTS, OURS, broken, id_of, integer, items, number, optional, ours, text, user},
    error::{Failure, classify},
    pending::Entry,
    store::{Store, all, id_bson},
};

/// So many users may have accounts of one id, with whichever providers.
const FEW: i64 = 100;

fn path() -> String {
    format!("{OURS}.accounts")
}

fn key_path() -> String {
    format!("{OURS}.accounts.key")
}

/// Whether an element stands for this account.
fn is_of(element: &Document, identity: &OAuthIdentity) -> bool {
    text(element, "oauth_name") == Some(identity.oauth_name())
        && text(element, "account_id") == Some(identity.account_id())
}

pub(crate) fn has(user: &Document, identity: &OAuthIdentity) -> bool {
    items(user, ACCOUNTS).any(|element| is_of(element, identity))
}

/// Our part of an account.
fn part<'a>(user: &'a Document, key: &str) -> Option<&'a Document> {
    items(ours(user)?, "accounts").find(|part| text(part, "key") == Some(key))
}

/// The keys of a user's accounts.
pub(crate) fn keys(user: &Document) -> Vec<String> {
    let Some(ours) = ours(user) else { return Vec::new() };
    items(ours, "accounts").filter_map(|part| text(part, "key")).map(str::to_owned).collect()
}

/// A new element, in the order of FastAPI Users.
fn element(new: &NewOAuthAccount) -> Document {
    let id = ObjectId::generate().map(|id| oid::ObjectId::from_bytes(id.bytes()));
    doc! {
        "id": id,
        "oauth_name": new.identity.oauth_name(),
        "access_token": "",
        "account_id": new.identity.account_id(),
        "account_email": &new.account_email,
        "expires_at": new.expires_at.map_or(Bson::Null, integer),
        "refresh_token": Bson::Null,
    }
}

fn new_part(new: &NewOAuthAccount, refresh_token: Option<&str>) -> Document {
    doc! {
        "key": new.identity.key(),
        "access_token": &new.access_token,
        "refresh_token": optional(refresh_token),
    }
}

/// With a user that is about to be stored.
pub(crate) fn add_to(user: &mut Document, new: &NewOAuthAccount) {
    user.insert(ACCOUNTS, vec![element(new)]);
    if let Ok(ours) = user.get_document_mut(OURS) {
        ours.insert("accounts", vec![new_part(new, new.refresh_token.as_deref())]);
    }
}

/// An element as an account.
fn account<P: UserProfile>(user: &Document, element: &Document) -> Result<OAuthAccount<P>, DatabaseError> {
    let required = |name: &str| {
        text(element, name).map(str::to_owned).ok_or_else(|| broken(format!("an account without `{name}`")))
    };
    let (oauth_name, account_id) = (required("oauth_name")?, required("account_id")?);
    let part = OAuthIdentity::new(&oauth_name, &account_id).and_then(|identity| part(user, &identity.key()));
    let token = |name: &str| ProviderToken::stored(part.and_then(|part| text(part, name)), text(element, name));
    let id = match element.get("id") {
        Some(Bson::ObjectId(id)) => AccountId::ObjectId(ObjectId::from_bytes(id.bytes())),
        _ => return Err(broken("an account without an id")),
    };
    Ok(OAuthAccount {
        id,
        user_id: id_of::<P>(user, "_id")?,
        account_email: text(element, "account_email").unwrap_or_default().to_owned(),
        expires_at: number(element, "expires_at"),
        access_token: token("access_token").ok_or_else(|| broken("an account without an access token"))?,
        refresh_token: token("refresh_token"),
        oauth_name,
        account_id,
    })
}

impl<P: UserProfile> Store<P> {
    fn fields_with_accounts(&self) -> Document {
        let mut fields = self.fields.clone();
        fields.insert(ACCOUNTS, 1);
        fields.insert(path(), 1);
        fields
    }

    /// Whoever has it by our key; else those who have it by an element of FastAPI Users.
    async fn owners(&self, identity: &OAuthIdentity) -> Result<Vec<Document>, DatabaseError> {
        let by_key = self.users.find_one(doc! { key_path(): identity.key() }).projection(self.fields_with_accounts());
        if let Some(owner) = by_key.await.map_err(classify)?.filter(|owner| has(owner, identity)) {
            return Ok(vec![owner]);
        }
        // An index is over the id alone; whether the name is of the same element is seen here.
        let by_id = self.users.find(doc! { format!("{ACCOUNTS}.account_id"): identity.account_id() });
        let by_id = by_id.projection(self.fields_with_accounts()).limit(FEW).await.map_err(classify)?;
        let found = all(by_id).await.map_err(Failure::into_error)?;
        Ok(found.into_iter().filter(|user| has(user, identity)).collect())
    }

    pub(crate) async fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> Result<Option<WithOAuthAccount<P>>, DatabaseError> {
        let owners = self.owners(identity).await?;
        let owner = match owners.as_slice() {
            [] => return Ok(None),
            [owner] => owner,
            _ => return Err(DatabaseError::Conflict(Conflict::OAuthAccount)),
        };
        let element = items(owner, ACCOUNTS).find(|element| is_of(element, identity));
        let element = element.ok_or_else(|| broken("an account that was there"))?;
        Ok(Some((user(owner)?, account::<P>(owner, element)?)))
    }

    /// That nobody but `me` has the account by an element of FastAPI Users, which no index decides.
    pub(crate) async fn check_is_free(&self, new: &NewOAuthAccount, me: Option<&Bson>) -> Result<(), DatabaseError> {
        let owners = self.owners(&new.identity).await?;
        if owners.iter().any(|owner| owner.get("_id") != me) {
            return Err(DatabaseError::Conflict(Conflict::OAuthAccount));
        }
        Ok(())
    }

    pub(crate) async fn put_oauth_account(
        &self,
        id: &P::Id,
        new: &NewOAuthAccount,
        only_if: &[Condition],
        messages: &[(Message, i64)],
    ) -> Result<Outcome<User<P>>, DatabaseError> {
        let mut is_healed = false;
        for turn in 0..TURNS {
            before_turn(turn).await;
            let Some(found) = self.found(id).await? else { return Ok(Outcome::Missing) };
            if let Some(broken) = only_if.iter().find(|condition| !found.holds(condition)) {
                return Ok(Outcome::Refused(broken.clone()));
            }
            self.check_is_free(new, Some(&found.id())).await?;
            let (and, mut change) = put(&found.document, new);
            Entry::told(found.next_change(), self.clock.unix(), messages).add_to_change(&mut change);
            match self.write(&found, and, change).await {
                Ok(Some(document)) => {
                    self.move_pending(&document).await?;
                    return user(&document).map(Outcome::Done);
                }
                Ok(None) => {}
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Duplicate(_)) => {
                    let wanted = doc! { "_id": found.id(), OURS: { "accounts": [{ "key": new.identity.key() }] } };
                    if is_healed || !self.heal_accounts(&wanted).await? {
                        return Err(DatabaseError::Conflict(Conflict::OAuthAccount));
                    }
                    is_healed = true;
                }
            }
        }
        Err(too_busy())
    }

    pub(crate) async fn oauth_accounts(&self, id: &P::Id) -> Result<Vec<OAuthAccount<P>>, DatabaseError> {
        let found = self.users.find_one(doc! { "_id": id_bson(id)? }).projection(self.fields_with_accounts());
        let Some(user) = found.await.map_err(classify)? else { return Ok(Vec::new()) };
        items(&user, ACCOUNTS).map(|element| account(&user, element)).collect()
    }

    pub(crate) async fn remove_oauth_account(
        &self,
        id: &P::Id,
        removed: AccountId,
        only_if: &[Condition],
        messages: &[(Message, i64)],
    ) -> Result<Outcome<bool>, DatabaseError> {
        let of_accounts = |condition: &&Condition| matches!(condition, Condition::AnotherOAuthAccountRemains);
        for turn in 0..TURNS {
            before_turn(turn).await;
            let Some(found) = self.found(id).await? else { return Ok(Outcome::Missing) };
            if let Some(broken) = only_if.iter().find(|it| !of_accounts(it) && !found.holds(it)) {
                return Ok(Outcome::Refused(broken.clone()));
            }
            let accounts = items(&found.document, ACCOUNTS)
                .map(|element| account::<P>(&found.document, element))
                .collect::<Result<Vec<_>, _>>()?;
            let Some(removed) = accounts.iter().find(|account| account.id == removed) else {
                return Ok(Outcome::Done(false));
            };
            let name_and_id = |account: &OAuthAccount<P>| (account.oauth_name.clone(), account.account_id.clone());
            let remains = accounts.iter().any(|account| name_and_id(account) != name_and_id(removed));
            if let (false, Some(broken)) = (remains, only_if.iter().find(of_accounts)) {
                return Ok(Outcome::Refused(broken.clone()));
            }
            let mut pull = doc! {
                ACCOUNTS: { "oauth_name": &removed.oauth_name, "account_id": &removed.account_id },
            };
            if let Some(identity) = removed.identity() {
                pull.insert(path(), doc! { "key": identity.key() });
            }
            let as_read = doc! { ACCOUNTS: found.document.get(ACCOUNTS).cloned() };
            let mut change = Change { pull, ..Change::default() };
            Entry::told(found.next_change(), self.clock.unix(), messages).add_to_change(&mut change);
            if let Some(document) = self.write(&found, as_read, change).await.map_err(Failure::into_error)? {
                self.move_pending(&document).await?;
                return Ok(Outcome::Done(true));
            }
        }
        Err(too_busy())
    }

    /// Who has the key of an account that is theirs no more loses it; answers whether anybody had.
    pub(crate) async fn heal_accounts(&self, wanted: &Document) -> Result<bool, DatabaseError> {
        let mut healed = false;
        for key in keys(wanted) {
            let owner = self.users.find_one(doc! { key_path(): &key }).projection(doc! { ACCOUNTS: 1 }).await;
            let Some(owner) = owner.map_err(classify)? else { continue };
            let is_theirs = items(&owner, ACCOUNTS).any(|element| {
                let name_and_id = text(element, "oauth_name").zip(text(element, "account_id"));
                name_and_id.and_then(|(name, id)| OAuthIdentity::new(name, id)).is_some_and(|it| it.key() == key)
            });
            if !is_theirs {
                let as_read = doc! { "_id": owner.get("_id").cloned(), ACCOUNTS: owner.get(ACCOUNTS).cloned() };
                let pull = doc! { "$pull": { path(): { "key": &key } } };
                self.users.update_one(as_read, pull).await.map_err(classify)?;
                healed = true;
            }
        }
        Ok(healed)
    }
}

/// Adds an account to a user, or brings every element up to date that stands for it.
fn put(user: &Document, new: &NewOAuthAccount) -> (Document, Change) {
    let key = new.identity.key();
    let mut and = doc! { ACCOUNTS: user.get(ACCOUNTS).cloned() };
    let mut change = Change::default();
    let mut is_new = true;
    let mut plain = None;
    for (index, element) in items(user, ACCOUNTS).enumerate().filter(|(_, element)| is_of(element, &new.identity)) {
        is_new = false;
        plain = plain.or(text(element, "refresh_token").filter(|token| !token.is_empty()));
        let at = |name: &str| format!("{ACCOUNTS}.{index}.{name}");
        change.set.insert(at("account_email"), &new.account_email);
        change.set.insert(at("expires_at"), new.expires_at.map_or(Bson::Null, integer));
        change.set.insert(at("access_token"), "");
        if new.refresh_token.is_some() {
            change.set.insert(at("refresh_token"), Bson::Null);
        }
    }
    if is_new {
        if !user.contains_key(ACCOUNTS) {
            and = doc! { ACCOUNTS: { "$exists": false } };
        }
        change.push.insert(ACCOUNTS, element(new));
    }
    let known = part(user, &key).and_then(|part| text(part, "refresh_token"));
    // One in clear is kept where it is.
    let kept = new.refresh_token.as_deref().or(if plain.is_some() { None } else { known });
    match ours(user).and_then(|ours| items(ours, "accounts").position(|part| text(part, "key") == Some(&key))) {
        Some(index) => {
            change.set.insert(format!("{}.{index}", path()), new_part(new, kept));
        }
        None => {
            change.push.insert(path(), new_part(new, kept));
        }
    }
    (and, change)
}
