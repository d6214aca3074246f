//! `[throttle]`.

use std::time::Duration;

use axum_users::{Limit, Throttle};

use super::keys::Keys;

/// How often the public routes may be used; `None`: without a limit.
pub(super) fn read(keys: &mut Keys, warnings: &mut Vec<String>) -> Option<Throttle> {
    let enabled = keys.get("throttle.enabled", true);
    let usual = Throttle::HARD_CAP;
    let failures = count(keys, "account_failures", 10, usual);
    let minutes = count(keys, "account_minutes", 15, u32::MAX);
    let account = Limit::new(failures, Duration::from_secs(u64::from(minutes) * 60));
    let address = Limit::new(count(keys, "address_failures_per_minute", 30, u32::MAX), MINUTE);
    let registrations = Limit::new(count(keys, "address_registrations_per_hour", 20, u32::MAX), HOUR);
    let total_registrations = Limit::new(count(keys, "registrations_per_hour", 1000, u32::MAX), HOUR);
    let mail_requests = Limit::new(count(keys, "address_mail_requests_per_hour", 20, u32::MAX), HOUR);
    let mailbox = Limit::never_more(count(keys, "mailbox_mails_per_hour", 5, u32::MAX), HOUR);
    let total_mails = Limit::new(count(keys, "mails_per_hour", 1000, u32::MAX), HOUR);
    if !enabled {
        warnings.push("throttle.enabled = false: passwords may be tried without end".into());
        return None;
    }
    let throttle = Throttle::default()
        .account(account)
        .address(address)
        .registrations(registrations)
        .total_registrations(total_registrations)
        .mail_requests(mail_requests)
        .mailbox(mailbox)
        .total_mails(total_mails);
    Some(throttle)
}

fn count(keys: &mut Keys, name: &str, default: u32, most: u32) -> u32 {
    let key = format!("throttle.{name}");
    let count = keys.get(&key, default);
    if count == 0 {
        keys.wrong(&key, "1 at least: throttle.enabled = false switches limits off");
    } else if count > most {
        keys.wrong(&key, format!("{most} at most (NIST SP 800-63B-4 section 3.2.2)"));
    }
    count
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
