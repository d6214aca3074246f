//! Mail for axum-users: what it looks like, and how it leaves.
//!
//! [`MailTemplates`] makes a mail of a fact, in the language of its reader, with links that come from the configuration and never
//! from a request. [`SmtpMailer`] hands it to a server; [`DevelopmentMailer`] prints it.
//!
//! ```
//! use axum_users_core::{Email, Secret, mail::{Mail, MailKind, Mailer}};
//! use axum_users_mail::{DevelopmentMailer, MailTemplates};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let templates = MailTemplates::builder("Camelot <noreply@camelot.bt>", "https://users.camelot.bt")
//!     .product_name("Camelot")
//!     .build()?;
//! let mailer = DevelopmentMailer::new(templates);
//!
//! let to = Email::parse("arthur@camelot.bt")?;
//! mailer.send(&Mail::new(MailKind::VerifyAddress, to, Some(Secret::from("token".to_owned())), "key")).await?;
//! assert_eq!(mailer.mails()[0].link(), Some("https://users.camelot.bt/verify?token=token"));
//! # Ok(()) }
//! ```
//!
//! # Languages and templates
//!
//! English and German are built in; the header `Accept-Language` of the request that asked for a mail picks one. Files of a folder
//! ([`MailTemplatesBuilder::folder`]) replace ours one by one, or add a language:
//!
//! | file | what |
//! |---|---|
//! | `<kind>.<language>.subject` | one line of text |
//! | `<kind>.<language>.txt` | the mail as text |
//! | `<kind>.<language>.html` | the mail as HTML; values are escaped |
//! | `layout.html` | what our HTML extends |
//!
//! The kinds are `verify`, `reset_password`, `password_changed`, `email_changed`, `account_linked`, `account_unlinked`,
//! `already_registered`, `confirm_email_change`, `address_in_use`, `email_change_requested` and `undo_email_change`. The files are
//! templates of Jinja, over these values:
//!
//! | value | what |
//! |---|---|
//! | `product_name`, `site`, `email`, `language` | always: the name of the product, its URL, the reader's address and language |
//! | `link`, `minutes`, `hours` | in `verify`, `reset_password`, `confirm_email_change` and `undo_email_change`: the link, and how long it works; `hours` only where it is two or more |
//! | `days` | in the same: how many whole days the link works |
//! | `old_email`, `new_email` | in `email_changed` and `undo_email_change`; `new_email` in `email_change_requested`, too |
//! | `provider` | in `account_linked` and `account_unlinked`: what people call the provider |
//! | `subject` | in HTML and text |
//!
//! A template that does not render, or is not named like that, is an error at the start.

mod development;
mod language;
mod message;
mod smtp;
mod templates;

pub use development::DevelopmentMailer;
pub use smtp::{SmtpConfigError, SmtpMailer, SmtpMailerBuilder};
pub use templates::{MailTemplates, MailTemplatesBuilder, RenderedMail, TemplateError};
