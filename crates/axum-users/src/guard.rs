//! Who may pass.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, request::Parts};

use crate::{User, UserProfile, respond};

/// Who may pass: the second parameter of [`CurrentUser`](crate::CurrentUser).
///
/// ```
/// use axum_users::{Denied, Guard, User};
///
/// /// Users of our own domain.
/// struct Colleague;
///
/// impl Guard<()> for Colleague {
///     fn check(user: &User<()>) -> Result<(), Denied> {
///         axum_users::Active::check(user)?;
///         if user.email.domain() == "camelot.bt" { Ok(()) } else { Err(Denied::FORBIDDEN) }
///     }
/// }
/// ```
pub trait Guard<P: UserProfile>: Send + 'static {
    /// Whether this user may pass.
    ///
    /// # Errors
    /// [`Denied`] is the answer otherwise.
    fn check(user: &User<P>) -> Result<(), Denied>;

    /// Whether the backend of this name may be tried for this request. Default: all of them.
    fn enabled(backend: &str, request: &Parts) -> bool {
        let _ = (backend, request);
        true
    }
}

/// Why someone may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(StatusCode);

impl Denied {
    /// Nobody is known: 401 with `WWW-Authenticate: Bearer`.
    pub const UNAUTHORIZED: Self = Self(StatusCode::UNAUTHORIZED);
    /// Known, and not allowed: 403.
    pub const FORBIDDEN: Self = Self(StatusCode::FORBIDDEN);
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        respond::detail(self.0, self.0.canonical_reason().unwrap_or_default())
    }
}

/// Everybody with a token that counts, inactive users too.
#[derive(Clone, Copy, Debug)]
pub enum Anyone {}

/// Active users; 401 for others. The default.
#[derive(Clone, Copy, Debug)]
pub enum Active {}

/// Active users who proved their address; 401 for inactive ones, else 403.
#[derive(Clone, Copy, Debug)]
pub enum Verified {}

/// Active superusers; 401 for inactive users, else 403.
#[derive(Clone, Copy, Debug)]
pub enum Superuser {}

impl<P: UserProfile> Guard<P> for Anyone {
    fn check(_user: &User<P>) -> Result<(), Denied> {
        Ok(())
    }
}

impl<P: UserProfile> Guard<P> for Active {
    fn check(user: &User<P>) -> Result<(), Denied> {
        if user.is_active { Ok(()) } else { Err(Denied::UNAUTHORIZED) }
    }
}

impl<P: UserProfile> Guard<P> for Verified {
    fn check(user: &User<P>) -> Result<(), Denied> {
        Active::check(user)?;
        if user.is_verified { Ok(()) } else { Err(Denied::FORBIDDEN) }
    }
}

impl<P: UserProfile> Guard<P> for Superuser {
    fn check(user: &User<P>) -> Result<(), Denied> {
        Active::check(user)?;
        if user.is_superuser { Ok(()) } else { Err(Denied::FORBIDDEN) }
    }
}

macro_rules! all_of {
    ($($guard:ident),*) => {
        /// All of them, in order; a backend must be enabled by all.
        impl<P: UserProfile, $($guard: Guard<P>),*> Guard<P> for ($($guard,)*) {
            fn check(user: &User<P>) -> Result<(), Denied> {
                $($guard::check(user)?;)*
                Ok(())
            }
            fn enabled(backend: &str, request: &Parts) -> bool {
                true $(&& $guard::enabled(backend, request))*
            }
        }
    };
}
all_of!(A, B);
all_of!(A, B, C);
all_of!(A, B, C, D);
