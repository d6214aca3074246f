//! The binary `axum-users`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    axum_users_server::run(std::env::args_os())
}
