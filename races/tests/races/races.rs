//! No guard is missing.

use axum_users_races::{Engine, Race};

use crate::Ground;

const ROUNDS: usize = 5;

/// No violation on any engine, and few requests that have to come back.
async fn holds(race: Race) {
    for engine in Engine::ALL {
        let ground = Ground::new(engine).await;
        for number in 0..ROUNDS {
            let figures = ground.run(race, number).await;
            let name = engine.name();
            assert!(figures.violations.is_empty(), "{name}, round {number}: {:?}", figures.violations);
            assert!(figures.requests > 0, "{name}, round {number}: nobody raced");
            assert!(figures.unavailable * 10 <= figures.requests, "{name}, round {number}: {figures:?}");
        }
        ground.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_se_07_no_old_session_counts_once_a_new_password_is_answered() {
    holds(Race::PasswordChangeVsLiveSessions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_se_07_no_login_with_the_old_password_outlives_the_change() {
    holds(Race::LoginVsPasswordChange).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_se_07_an_upgraded_hash_never_takes_the_place_of_a_new_password() {
    holds(Race::HashUpgradeVsPasswordChange).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_se_07_one_of_two_sessions_that_set_a_new_password_ends_the_other() {
    holds(Race::PasswordChangeVsPasswordChange).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_jw_08_an_ended_session_changes_nothing_any_more() {
    holds(Race::ChangeVsEndOfItsSession).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_se_06_nothing_outlives_a_deactivation() {
    holds(Race::DeactivationVsLoginAndRefresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_se_06_nothing_outlives_a_deletion() {
    holds(Race::DeletionVsLoginAndRefresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_jw_08_nothing_outlives_a_logout() {
    holds(Race::LogoutVsRefresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_jw_08_nothing_outlives_the_end_of_a_session() {
    holds(Race::EndSessionVsRefresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_mf_01_one_refresh_token_has_one_successor() {
    holds(Race::ParallelRefresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_mf_01_no_refresh_outlives_a_new_password() {
    holds(Race::RefreshVsPasswordChange).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_rg_01_one_of_many_registrations_of_one_mailbox_wins() {
    holds(Race::Registration).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_az_04_one_of_two_superusers_remains() {
    holds(Race::LastSuperuser).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_rg_01_one_of_many_who_move_to_one_address_gets_it() {
    holds(Race::MoveToOneAddress).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_oa_06_one_of_several_users_who_link_one_identity_gets_it() {
    holds(Race::Linking).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_oa_13_many_first_logins_by_one_identity_make_one_user() {
    holds(Race::FirstLogin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_oa_14_no_login_links_again_what_is_unlinked() {
    holds(Race::UnlinkVsLogin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn av_08_oa_06_no_link_outlives_its_user() {
    holds(Race::DeletionVsLinking).await;
}
