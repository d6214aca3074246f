//! The derive macros of axum-users: `UserProfile` and `ColumnValue`. Use them through `axum_users`.

mod column_value;
mod profile;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Describes the application's own columns of a user.
///
/// The struct holds the columns, one a field; each type implements `ColumnValue`. Beside the trait it makes three structs:
/// `<Name>Read` (what answers show), `<Name>Create` (what a registration may say) and `<Name>Update` (every field an
/// `Option`: absent keeps).
///
/// On the struct: `#[profile(id = i64)]` (default: `Uuid`), `#[profile(create = SignUp)]` (a type of your own that implements
/// `FromBody` and `Into<Self>`), `#[profile(derive(Debug, …))]` (more derives for the three structs).
///
/// On a field: `read_only` (shown, never taken from a body), `hidden` (neither shown nor taken from a body), `unique` (no two
/// users with the same value), `column = "other_name"` (its name in the table), `default` or `default = expression` (what it
/// is when a registration does not say).
#[proc_macro_derive(UserProfile, attributes(profile))]
pub fn user_profile(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    profile::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Lets an enumeration without fields or a newtype stand in a column.
///
/// An enumeration is stored and sent as text: the variant's name in `snake_case`, or what `#[column("PRO")]` on the variant
/// says. A newtype is stored and sent as what it holds.
#[proc_macro_derive(ColumnValue, attributes(column, profile))]
pub fn column_value(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    column_value::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
