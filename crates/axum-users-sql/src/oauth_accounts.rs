//! Accounts with providers in SQL: the table of FastAPI Users, with columns of ours.
//!
//! A row of ours holds its tokens sealed, of any length, in columns of ours, and a key that a unique index is over. Rows of the
//! other system hold tokens in clear and have no key until they are written here; it may have several for one account.

use axum_users_core::{
    AccountId, Condition, Conflict, DatabaseError, Kind, Message, NewOAuthAccount, NewUser, OAuthAccount,
    OAuthIdentity, Outcome, User, UserId as _, UserProfile, Value, WithOAuthAccount, oauth::ProviderToken,
};

use crate::{
    engine::Engine,
    names::counts,
    pool::Connection,
    store::{Failure, Store, retried, text},
    users::read,
};

/// A row.
struct StoredAccount<P: UserProfile> {
    account: OAuthAccount<P>,
    has_key: bool,
}

impl<P: UserProfile> StoredAccount<P> {
    /// Whether it stands for this account. The engine may find more: some compare in any case.
    fn is_of(&self, identity: &OAuthIdentity) -> bool {
        self.account.oauth_name == identity.oauth_name() && self.account.account_id == identity.account_id()
    }
}

impl<P: UserProfile, E: Engine> Store<P, E> {
    pub(crate) async fn get_by_oauth_account(
        &self,
        identity: &OAuthIdentity,
    ) -> Result<Option<WithOAuthAccount<P>>, DatabaseError> {
        let rows = self.fetch(&self.sql.accounts.find, identity_values(identity)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let stored = self.account(row, self.sql.columns.len())?;
            if stored.is_of(identity) {
                found.push((self.user(row)?, stored));
            }
        }
        // Whoever has the key has the account; rows of the other system alone may contradict each other.
        let owner = found.iter().position(|(_, stored)| stored.has_key);
        let first = found.first().map(|(user, _)| user.id.clone());
        if owner.is_none() && found.iter().any(|(user, _)| Some(&user.id) != first.as_ref()) {
            return Err(DatabaseError::Conflict(Conflict::OAuthAccount));
        }
        Ok(found.into_iter().nth(owner.unwrap_or(0)).map(|(user, stored)| (user, stored.account)))
    }

    pub(crate) async fn create_with_oauth_account(
        &self,
        user: NewUser<P>,
        account: NewOAuthAccount,
    ) -> Result<User<P>, DatabaseError> {
        retried!(self, self.try_create_with_oauth_account(&user, &account))
    }

    async fn try_create_with_oauth_account(
        &self,
        user: &NewUser<P>,
        account: &NewOAuthAccount,
    ) -> Result<User<P>, Failure> {
        let mut transaction = self.pool.begin().await?;
        let user = self.create_in(&mut transaction, user.clone()).await?;
        self.put_oauth_account_in(&mut transaction, &user.id, account).await?;
        transaction.commit().await?;
        Ok(user)
    }

    pub(crate) async fn put_oauth_account(
        &self,
        id: &P::Id,
        account: NewOAuthAccount,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<User<P>>, DatabaseError> {
        retried!(self, self.try_put_oauth_account(id, &account, &only_if, &messages))
    }

    async fn try_put_oauth_account(
        &self,
        id: &P::Id,
        account: &NewOAuthAccount,
        only_if: &[Condition],
        messages: &[(Message, i64)],
    ) -> Result<Outcome<User<P>>, Failure> {
        let mut transaction = self.pool.begin().await?;
        let user = match self.lock_and_check(&mut transaction, id, only_if).await? {
            Ok(user) => user,
            Err(ended) => return Ok(ended.into_outcome()),
        };
        self.put_oauth_account_in(&mut transaction, id, account).await?;
        self.put_messages_in(&mut transaction, messages).await?;
        transaction.commit().await?;
        Ok(Outcome::Done(user))
    }

    /// In the transaction of somebody who has locked or made the user.
    async fn put_oauth_account_in(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
        new: &NewOAuthAccount,
    ) -> Result<(), Failure> {
        let rows = self.of_identity_in(transaction, &new.identity).await?;
        let owner = rows.iter().find(|row| row.has_key).map(|row| row.account.user_id.clone());
        let (mine, theirs): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.account.user_id == *id);
        if owner.as_ref().map_or(!theirs.is_empty(), |owner| owner != id) {
            return Err(DatabaseError::Conflict(Conflict::OAuthAccount).into());
        }
        if mine.is_empty() {
            let arguments = self.arguments(self.account_values(id, new))?;
            transaction.execute(self.sql.accounts.insert.clone(), arguments).await?;
            return Ok(());
        }
        let keeps_key = mine.iter().position(|row| row.has_key).unwrap_or(0);
        for (index, row) in mine.iter().enumerate() {
            let key = (index == keeps_key).then(|| new.identity.key());
            let mut values = vec![
                text(&new.account_email),
                (Kind::Integer, new.expires_at.map_or(Value::Null, Value::Integer)),
                text(""),
                text(&new.access_token),
                optional(key),
            ];
            let statement = match &new.refresh_token {
                Some(token) => {
                    values.push(text(token));
                    &self.sql.accounts.update_with_refresh_token
                }
                None => &self.sql.accounts.update,
            };
            values.push(account_id(row.account.id));
            transaction.execute(statement.clone(), self.arguments(values)?).await?;
        }
        Ok(())
    }

    /// Whether an account is linked to a user whom the transaction has locked: whoever unlinks one locks its user too.
    pub(crate) async fn is_linked_in(
        &self,
        transaction: &mut Connection<E>,
        id: &P::Id,
        identity: &OAuthIdentity,
    ) -> Result<bool, Failure> {
        let rows = self.of_identity_in(transaction, identity).await?;
        Ok(rows.iter().any(|row| row.account.user_id == *id))
    }

    async fn of_identity_in(
        &self,
        transaction: &mut Connection<E>,
        identity: &OAuthIdentity,
    ) -> Result<Vec<StoredAccount<P>>, Failure> {
        let arguments = self.arguments(identity_values(identity))?;
        let rows = transaction.fetch(self.sql.accounts.of_identity.clone(), arguments).await?;
        let rows = rows.iter().map(|row| self.account(row, 0)).collect::<Result<Vec<_>, _>>()?;
        Ok(rows.into_iter().filter(|row| row.is_of(identity)).collect())
    }

    pub(crate) async fn oauth_accounts(&self, id: &P::Id) -> Result<Vec<OAuthAccount<P>>, DatabaseError> {
        let rows = self.fetch(&self.sql.accounts.of_user, vec![self.id(id)]).await?;
        rows.iter().map(|row| Ok(self.account(row, 0)?.account)).collect()
    }

    pub(crate) async fn remove_oauth_account(
        &self,
        id: &P::Id,
        account: AccountId,
        only_if: Vec<Condition>,
        messages: Vec<(Message, i64)>,
    ) -> Result<Outcome<bool>, DatabaseError> {
        retried!(self, self.try_remove_oauth_account(id, account, &only_if, &messages))
    }

    async fn try_remove_oauth_account(
        &self,
        id: &P::Id,
        account: AccountId,
        only_if: &[Condition],
        messages: &[(Message, i64)],
    ) -> Result<Outcome<bool>, Failure> {
        let of_accounts = |condition: &&Condition| matches!(condition, Condition::AnotherOAuthAccountRemains);
        let of_user: Vec<_> = only_if.iter().filter(|condition| !of_accounts(condition)).cloned().collect();
        let mut transaction = self.pool.begin().await?;
        if let Err(ended) = self.lock_and_check(&mut transaction, id, &of_user).await? {
            return Ok(ended.into_outcome());
        }
        let arguments = self.arguments(vec![self.id(id)])?;
        let rows = transaction.fetch(self.sql.accounts.of_user.clone(), arguments).await?;
        let rows = rows.iter().map(|row| self.account(row, 0)).collect::<Result<Vec<_>, _>>()?;
        let Some(removed) = rows.iter().find(|row| row.account.id == account) else { return Ok(Outcome::Done(false)) };
        let name_and_id = |row: &StoredAccount<P>| (row.account.oauth_name.clone(), row.account.account_id.clone());
        let (gone, remaining): (Vec<_>, Vec<_>) = rows.iter().partition(|row| name_and_id(row) == name_and_id(removed));
        if remaining.is_empty()
            && let Some(broken) = only_if.iter().find(of_accounts)
        {
            return Ok(Outcome::Refused(broken.clone()));
        }
        for row in gone {
            let arguments = self.arguments(vec![account_id(row.account.id)])?;
            transaction.execute(self.sql.accounts.delete.clone(), arguments).await?;
        }
        self.put_messages_in(&mut transaction, messages).await?;
        transaction.commit().await?;
        Ok(Outcome::Done(true))
    }

    fn account_values(&self, id: &P::Id, new: &NewOAuthAccount) -> Vec<(Kind, Value)> {
        let own = if counts::<P>() { None } else { P::Id::generate() };
        let mut values: Vec<_> = own.iter().map(|own| self.id(own)).collect();
        values.extend([
            self.id(id),
            text(new.identity.oauth_name()),
            text(new.identity.account_id()),
            text(&new.account_email),
            (Kind::Integer, new.expires_at.map_or(Value::Null, Value::Integer)),
            text(""),
            text(&new.access_token),
            optional(new.refresh_token.clone()),
            text(&new.identity.key()),
        ]);
        values
    }

    /// The account in a row, from `index` on.
    fn account(&self, row: &E::Row, index: usize) -> Result<StoredAccount<P>, DatabaseError> {
        let optional = |at| read::<Option<String>, E>(row, index + at);
        let token =
            |sealed: Option<String>, plain: Option<String>| ProviderToken::stored(sealed.as_deref(), plain.as_deref());
        let account = OAuthAccount {
            id: AccountId::of(&read::<P::Id, E>(row, index)?)
                .ok_or_else(|| DatabaseError::Driver("an account with an id of another kind".into()))?,
            user_id: read::<P::Id, E>(row, index + 1)?,
            oauth_name: read::<String, E>(row, index + 2)?,
            account_id: read::<String, E>(row, index + 3)?,
            account_email: read::<String, E>(row, index + 4)?,
            expires_at: read::<Option<i64>, E>(row, index + 5)?,
            access_token: token(optional(8)?, optional(6)?)
                .ok_or_else(|| DatabaseError::Driver("an account without an access token".into()))?,
            refresh_token: token(optional(9)?, optional(7)?),
        };
        Ok(StoredAccount { account, has_key: optional(10)?.is_some() })
    }
}

fn identity_values(identity: &OAuthIdentity) -> Vec<(Kind, Value)> {
    vec![text(identity.account_id()), text(identity.oauth_name())]
}

fn account_id(id: AccountId) -> (Kind, Value) {
    let value = id.to_value();
    (value.kind().unwrap_or(Kind::Text), value)
}

fn optional(value: Option<String>) -> (Kind, Value) {
    (Kind::Text, value.map_or(Value::Null, Value::Text))
}
