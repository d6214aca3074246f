//! The races: what meets, and what must hold afterwards.

mod accounts;
mod leaving;
mod passwords;
mod refresh;
mod uniqueness;

use anyhow::{Context as _, Result};

use crate::{Arena, Node};

/// What meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Race {
    /// A new password, while other sessions of the user are at work: none of them counts for a request that was sent after the
    /// change was answered, and the one that made it lives on.
    PasswordChangeVsLiveSessions,
    /// A new password, and logins with the old one: what they gave counts for nothing afterwards.
    LoginVsPasswordChange,
    /// A new password, and logins that replace the outdated hash of the old one: the new one is the password.
    HashUpgradeVsPasswordChange,
    /// Two sessions choose new passwords: one of them ends the other, whose change is refused.
    PasswordChangeVsPasswordChange,
    /// A session is ended by another one of its user while it changes that user: it changes nothing any more.
    ChangeVsEndOfItsSession,
    /// Deactivation, logins, refreshes and live sessions: nothing counts afterwards, not even once the user is active again.
    DeactivationVsLoginAndRefresh,
    /// Deletion, logins, refreshes and live sessions: nothing counts afterwards, and nothing is left of the user.
    DeletionVsLoginAndRefresh,
    /// A logout, and refreshes of the same session: neither its access tokens nor its refresh tokens count afterwards.
    LogoutVsRefresh,
    /// A session is ended by another one of its user while it is refreshed: likewise.
    EndSessionVsRefresh,
    /// A refresh token is used many times at once: all get the same successor, and there is one family.
    ParallelRefresh,
    /// A new password, while another session is refreshed: nothing of that session counts afterwards.
    RefreshVsPasswordChange,
    /// One mailbox is registered many times, in many spellings: there is one user.
    Registration,
    /// Two superusers depose each other: one remains.
    LastSuperuser,
    /// Several users move to one address: one gets it.
    MoveToOneAddress,
    /// Several users link one account with a provider: one gets it.
    Linking,
    /// One account with a provider logs in for the first time, many times at once: there is one user.
    FirstLogin,
    /// An account is unlinked while it logs in: it stays unlinked.
    UnlinkVsLogin,
    /// A user is deleted while they link accounts: nothing is left of them, and others can have the accounts.
    DeletionVsLinking,
}

impl Race {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::PasswordChangeVsLiveSessions,
        Self::LoginVsPasswordChange,
        Self::HashUpgradeVsPasswordChange,
        Self::PasswordChangeVsPasswordChange,
        Self::ChangeVsEndOfItsSession,
        Self::DeactivationVsLoginAndRefresh,
        Self::DeletionVsLoginAndRefresh,
        Self::LogoutVsRefresh,
        Self::EndSessionVsRefresh,
        Self::ParallelRefresh,
        Self::RefreshVsPasswordChange,
        Self::Registration,
        Self::LastSuperuser,
        Self::MoveToOneAddress,
        Self::Linking,
        Self::FirstLogin,
        Self::UnlinkVsLogin,
        Self::DeletionVsLinking,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordChangeVsLiveSessions => "password change / live sessions",
            Self::LoginVsPasswordChange => "password change / login",
            Self::HashUpgradeVsPasswordChange => "password change / hash upgrade",
            Self::PasswordChangeVsPasswordChange => "password change / password change",
            Self::ChangeVsEndOfItsSession => "end of a session / its change",
            Self::DeactivationVsLoginAndRefresh => "deactivation / login, refresh",
            Self::DeletionVsLoginAndRefresh => "deletion / login, refresh",
            Self::LogoutVsRefresh => "logout / refresh",
            Self::EndSessionVsRefresh => "end of a session / refresh",
            Self::ParallelRefresh => "refresh / refresh",
            Self::RefreshVsPasswordChange => "password change / refresh",
            Self::Registration => "registration / registration",
            Self::LastSuperuser => "superuser / superuser",
            Self::MoveToOneAddress => "new address / new address",
            Self::Linking => "link / link",
            Self::FirstLogin => "first login / first login",
            Self::UnlinkVsLogin => "unlink / login by a provider",
            Self::DeletionVsLinking => "deletion / link",
        }
    }

    /// Runs it once. What must not be is among the arena's [figures](Arena::figures).
    ///
    /// # Errors
    /// When the race cannot be run.
    pub async fn round<N: Node>(self, arena: &Arena<N>, number: usize) -> Result<()> {
        match self {
            Self::PasswordChangeVsLiveSessions => passwords::change_vs_live_sessions(arena, number).await,
            Self::LoginVsPasswordChange => passwords::login_vs_change(arena, number).await,
            Self::HashUpgradeVsPasswordChange => passwords::hash_upgrade_vs_change(arena, number).await,
            Self::PasswordChangeVsPasswordChange => passwords::change_vs_change(arena, number).await,
            Self::ChangeVsEndOfItsSession => passwords::change_vs_end_of_its_session(arena, number).await,
            Self::DeactivationVsLoginAndRefresh => leaving::deactivation(arena).await,
            Self::DeletionVsLoginAndRefresh => leaving::deletion(arena).await,
            Self::LogoutVsRefresh => refresh::logout_vs_refresh(arena, number).await,
            Self::EndSessionVsRefresh => refresh::end_session_vs_refresh(arena, number).await,
            Self::ParallelRefresh => refresh::parallel(arena, number).await,
            Self::RefreshVsPasswordChange => refresh::refresh_vs_password_change(arena, number).await,
            Self::Registration => uniqueness::registration(arena).await,
            Self::LastSuperuser => uniqueness::last_superuser(arena, number).await,
            Self::MoveToOneAddress => uniqueness::move_to_one_address(arena).await,
            Self::Linking => accounts::link_vs_link(arena).await,
            Self::FirstLogin => accounts::first_login_vs_first_login(arena).await,
            Self::UnlinkVsLogin => accounts::unlink_vs_login(arena, number).await,
            Self::DeletionVsLinking => accounts::link_vs_deletion(arena, number).await,
        }
        .with_context(|| self.name())
    }
}
