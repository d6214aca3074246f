//! Two answers, field by field.

use axum_users_parity::Answer;
use serde_json::Value;

/// Headers that a client of the recorded system may rely on.
const HEADERS: [&str; 3] = ["content-type", "location", "set-cookie"];
/// The statuses that are documented for bad input.
const DOCUMENTED: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// What differs; `None` when nothing does, but for what is always allowed.
pub(crate) fn difference(recorded: &Answer, ours: &Answer, translate: impl Fn(&str) -> String) -> Option<String> {
    if recorded.status == 500 {
        // Odd input gets the documented 4xx of its route.
        let fine = DOCUMENTED.contains(&ours.status) && ours.json().get("detail").is_some();
        return (!fine).then(|| format!("recorded a failure, ours is {} {}", ours.status, ours.body));
    }
    if recorded.status != ours.status {
        return Some(format!("status {} {}, ours {} {}", recorded.status, recorded.body, ours.status, ours.body));
    }
    for name in HEADERS {
        let (theirs, mine) = (recorded.header(name).map(&translate), ours.header(name).map(str::to_owned));
        if theirs != mine {
            return Some(format!("{name}: {theirs:?}, ours {mine:?}"));
        }
    }
    let theirs = translate(&recorded.body);
    if theirs == ours.body || recorded.status == 200 && recorded.json().get("access_token").is_some() {
        return None;
    }
    let (mut theirs_json, mut mine_json) = (serde_json::from_str(&theirs).unwrap_or(Value::Null), ours.json());
    if let (Some(theirs), Some(mine)) =
        (theirs_json["authorization_url"].as_str(), mine_json["authorization_url"].as_str())
    {
        return (!is_extended(theirs, mine)).then(|| format!("{theirs}, ours {mine}"));
    }
    for json in [&mut theirs_json, &mut mine_json] {
        // Accounts have no order.
        if let Some(accounts) = json.get_mut("oauth_accounts").and_then(Value::as_array_mut) {
            accounts.sort_by_key(|account| account["account_id"].to_string());
        }
    }
    if theirs_json == mine_json && theirs_json.get("oauth_accounts").is_some() {
        return None;
    }
    if recorded.status == 422 {
        // Secrets, and bodies that hold them, are not echoed.
        let silent = silenced(&mut mine_json, &mut theirs_json);
        if silent && theirs_json == mine_json {
            return None;
        }
    }
    Some(format!("body {theirs}, ours {}", ours.body))
}

/// Whether our address of a provider is theirs, with PKCE and a nonce at its end.
fn is_extended(theirs: &str, mine: &str) -> bool {
    let more = mine.strip_prefix(theirs).unwrap_or_default();
    let names: Vec<_> = more.split('&').filter_map(|pair| pair.split('=').next()).collect();
    names == ["", "code_challenge", "code_challenge_method", "nonce"]
}

/// Takes the recorded `input` out of items of which ours is null and that concern a secret, a file or a whole body.
fn silenced(mine: &mut Value, theirs: &mut Value) -> bool {
    let items = |value: &mut Value| value.get_mut("detail").and_then(Value::as_array_mut).map(std::mem::take);
    let (Some(mine_items), Some(mut their_items)) = (items(mine), items(theirs)) else { return false };
    for (mine, theirs) in mine_items.iter().zip(&mut their_items) {
        let loc = theirs.get("loc").cloned().unwrap_or_default();
        let whole = theirs["type"] == "missing" || loc.as_array().is_some_and(|loc| loc.len() == 1);
        let secret = matches!(loc[1].as_str(), Some("password" | "token"));
        let file = theirs["input"].get("filename").is_some();
        if mine["input"].is_null() && (whole || secret || file) {
            theirs["input"] = Value::Null;
        }
    }
    let same = mine_items == their_items;
    mine["detail"] = mine_items.into();
    theirs["detail"] = their_items.into();
    same
}
