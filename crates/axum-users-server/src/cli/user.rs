//! `axum-users user …`.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use axum_users::{Body, Email, Fields, Secret, UserCreate, UserId, UserManager, UserRead, UserUpdate, json};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{block_on, print, quiet_log};
use crate::{
    Config, Failure, app,
    logging::escape,
    profile::{Registration, ServerProfile},
    storage::{Storage, for_store},
};

#[derive(Subcommand)]
pub(super) enum User {
    /// Create a user; the password comes from standard input, or is asked for
    Create {
        /// The e-mail address
        email: String,
        /// May manage other users
        #[arg(long)]
        superuser: bool,
        /// The address needs no proof
        #[arg(long)]
        verified: bool,
        /// Values of own columns, as a JSON object
        #[arg(long, value_name = "JSON", default_value = "{}")]
        profile: String,
        #[command(flatten)]
        output: Output,
    },
    /// List all users
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Set a password, and end the sessions of the user; it comes from standard input, or is asked for
    SetPassword {
        /// The e-mail address
        email: String,
        #[command(flatten)]
        output: Output,
    },
    /// Delete a user and everything that is theirs
    Delete {
        /// The e-mail address
        email: String,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Args, Clone, Copy)]
pub(super) struct Output {
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Users that one question brings.
const PAGE: u32 = 500;

impl User {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        quiet_log(config);
        block_on(async {
            for_store!(config, Store => {
                let store = Store::open(config).await?;
                let done = self.run_on(config, store.clone()).await;
                store.close().await;
                done
            })
        })
    }

    async fn run_on<S: Storage>(&self, config: &Config, store: S) -> Result<(), Failure> {
        let users = app::manager(config, store)?;
        match self {
            Self::Create { email, superuser, verified, profile, output } => {
                let email = Email::parse(email).map_err(Failure::usage)?;
                let profile = read_profile(profile)?.into();
                let create = UserCreate {
                    is_superuser: Some(*superuser),
                    is_verified: Some(*verified),
                    ..UserCreate::new(email, new_password()?, profile)
                };
                let user = users.create(create, Fields::All, None).await?;
                output.user("created", user)
            }
            Self::List { output } => list(&users, *output).await,
            Self::SetPassword { email, output } => {
                let user = find(&users, email).await?;
                let update = UserUpdate { password: Some(new_password()?), ..UserUpdate::default() };
                let user = users.update(&user, update, Fields::All, None, None).await?;
                output.user("password set, sessions ended:", user)
            }
            Self::Delete { email, output } => {
                let user = find(&users, email).await?;
                users.delete(&user, None).await?;
                output.user("deleted", user)
            }
        }
    }
}

async fn list<Id: UserId>(users: &UserManager<ServerProfile<Id>>, output: Output) -> Result<(), Failure> {
    let mut after = None;
    let mut is_first = true;
    loop {
        let page = users.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for user in page {
            if output.json {
                print(format_args!("{}{}", if is_first { "[" } else { "," }, to_json(&UserRead::from(user))?))?;
            } else {
                print(line(&user))?;
            }
            is_first = false;
        }
    }
    match (output.json, is_first) {
        (true, true) => print("[]"),
        (true, false) => print("]"),
        (false, _) => Ok(()),
    }
}

async fn find<Id: UserId>(
    users: &UserManager<ServerProfile<Id>>,
    email: &str,
) -> Result<axum_users::User<ServerProfile<Id>>, Failure> {
    users.get_by_email(email).await?.ok_or_else(|| Failure::failed("there is no user with this e-mail address"))
}

impl Output {
    /// Says what was done to whom.
    fn user<Id: UserId>(self, done: &str, user: axum_users::User<ServerProfile<Id>>) -> Result<(), Failure> {
        if self.json {
            return print(to_json(&UserRead::from(user))?);
        }
        print(format_args!("{done} {}", line(&user)))
    }
}

/// One user on one line; addresses of an adopted table may hold anything.
fn line<Id: UserId>(user: &axum_users::User<ServerProfile<Id>>) -> String {
    let mut line = format!("{}  {}", user.id, escape(user.email.as_str(), false));
    for (holds, word) in
        [(!user.is_active, "inactive"), (user.is_superuser, "superuser"), (user.is_verified, "verified")]
    {
        if holds {
            line.push_str("  ");
            line.push_str(word);
        }
    }
    line
}

fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map(|text| escape(&text, true)).map_err(Failure::failed)
}

fn read_profile(text: &str) -> Result<Registration, Failure> {
    let not_an_object = |_| Failure::usage("--profile: this is not a JSON object");
    let value = json::parse(text.as_bytes()).map_err(|error| Failure::usage(format!("--profile: {error}")))?;
    Body::new(value).map_err(not_an_object)?.read::<Registration>().map_err(|issues| {
        let told = issues.iter().map(|issue| {
            let field = issue.loc().last().map_or_else(String::new, |loc| match loc {
                axum_users::Loc::Name(name) => name.to_string(),
                _ => String::new(),
            });
            format!("--profile: {field}: {}", issue.msg())
        });
        Failure::usage(told.collect::<Vec<_>>().join("\n"))
    })
}

/// Asked for twice without an echo, or the first line of standard input. Never an argument: those are seen by every user of
/// the machine.
fn new_password() -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Secret::from).map_err(Failure::failed);
        let password = ask("Password: ")?;
        if !ask("Once more: ")?.ct_eq(password.expose()) {
            return Err(Failure::failed("the two are not the same"));
        }
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin().lock().take(1 << 16).read_line(&mut line).map_err(Failure::failed)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Failure::failed("there is no password on standard input"));
    }
    Ok(Secret::from(password))
}
