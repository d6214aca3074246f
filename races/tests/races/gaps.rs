//! A race notices when a guard is missing.

use axum_users_races::{Engine, Gap, Race};

use crate::Ground;

/// Far more than it takes.
const ROUNDS: usize = 40;

/// A violation within some rounds.
async fn notices(race: Race, gap: Gap) {
    notices_on(Engine::Sqlite, race, gap).await;
}

async fn notices_on(engine: Engine, race: Race, gap: Gap) {
    let ground = Ground::with_gap(engine, gap).await;
    let mut number = 0;
    while ground.run(race, number).await.violations.is_empty() {
        number += 1;
        assert!(number < ROUNDS, "{gap:?} is not noticed");
    }
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_07_a_node_that_keeps_users_is_noticed() {
    notices(Race::PasswordChangeVsLiveSessions, Gap::Cached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_07_a_node_that_forgets_when_tokens_were_ended_is_noticed() {
    notices(Race::PasswordChangeVsLiveSessions, Gap::ValidAfter).await;
    notices(Race::LoginVsPasswordChange, Gap::ValidAfter).await;
    notices(Race::RefreshVsPasswordChange, Gap::ValidAfter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_07_a_token_that_is_dated_when_it_is_written_is_noticed() {
    notices(Race::LoginVsPasswordChange, Gap::DatedWhenWritten).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_06_se_07_a_session_that_begins_in_any_case_is_noticed() {
    notices(Race::LoginVsPasswordChange, Gap::BegunInAnyCase).await;
    notices(Race::DeactivationVsLoginAndRefresh, Gap::BegunInAnyCase).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_07_a_hash_that_is_replaced_whatever_it_is_is_noticed() {
    notices(Race::HashUpgradeVsPasswordChange, Gap::HashIs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jw_08_an_ended_session_that_goes_on_is_noticed() {
    notices(Race::PasswordChangeVsPasswordChange, Gap::EndedSessionsChange).await;
    notices(Race::ChangeVsEndOfItsSession, Gap::EndedSessionsChange).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_06_a_node_that_keeps_users_is_noticed() {
    notices(Race::DeactivationVsLoginAndRefresh, Gap::Cached).await;
    notices(Race::DeletionVsLoginAndRefresh, Gap::Cached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_06_a_deactivation_that_keeps_tokens_is_noticed() {
    notices(Race::DeactivationVsLoginAndRefresh, Gap::DeactivationKeepsTokens).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn se_06_a_token_that_is_dated_when_it_is_written_is_noticed() {
    notices(Race::DeactivationVsLoginAndRefresh, Gap::DatedWhenWritten).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jw_08_a_node_that_forgets_ended_sessions_is_noticed() {
    notices(Race::LogoutVsRefresh, Gap::EndedForgotten).await;
    notices(Race::EndSessionVsRefresh, Gap::EndedForgotten).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jw_08_refresh_tokens_that_outlive_their_session_are_noticed() {
    notices(Race::LogoutVsRefresh, Gap::RefreshTokensLeft).await;
    notices(Race::EndSessionVsRefresh, Gap::RefreshTokensLeft).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mf_01_a_rotation_without_a_lock_is_noticed() {
    notices(Race::ParallelRefresh, Gap::RotatedWithoutLock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mf_01_a_refresh_that_does_not_look_at_its_session_is_noticed() {
    // Here writes queue for the user's row: the change comes between the two of a refresh.
    notices_on(Engine::Postgres, Race::RefreshVsPasswordChange, Gap::SessionNotLookedAt).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn az_04_a_look_before_the_write_is_noticed() {
    notices(Race::LastSuperuser, Gap::SuperuserCheckedBefore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn oa_06_a_link_that_is_looked_up_before_is_noticed() {
    notices(Race::Linking, Gap::LinkedWithoutLock).await;
    notices(Race::DeletionVsLinking, Gap::LinkedWithoutLock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn oa_13_a_user_who_is_stored_before_the_link_is_noticed() {
    notices(Race::FirstLogin, Gap::LinkedWithoutLock).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn oa_14_a_login_that_links_whatever_became_of_the_account_is_noticed() {
    notices(Race::UnlinkVsLogin, Gap::LinkedInAnyCase).await;
}
