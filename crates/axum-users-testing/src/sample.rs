//! Profiles with a column of every kind.

use axum_users_core::{Json, ObjectId, UserProfile};
use axum_users_macros::{ColumnValue, UserProfile};
use serde_json::json;
use time::{Date, Month, OffsetDateTime};
use uuid::Uuid;

/// An enumeration.
#[derive(Clone, Copy, Debug, Default, PartialEq, ColumnValue)]
#[profile(crate = axum_users_core)]
#[expect(clippy::exhaustive_enums, reason = "a sample")]
pub enum Tier {
    /// Stored as `free`.
    #[default]
    Free,
    /// Stored as `PRO`.
    #[column("PRO")]
    Pro,
}

macro_rules! sample {
    ($(#[$meta:meta])* $name:ident, $update:ident, $id:ty) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, UserProfile)]
        #[profile(crate = axum_users_core, id = $id)]
        #[expect(clippy::exhaustive_structs, reason = "a sample")]
        pub struct $name {
            /// Text that is always there.
            pub first_name: String,
            /// Unique, under another name in the table, may be null.
            #[profile(unique, column = "nick")]
            pub handle: Option<String>,
            /// A date.
            pub birthdate: Option<Date>,
            /// A word.
            #[profile(default)]
            pub tier: Tier,
            /// Any JSON.
            #[profile(default)]
            pub settings: Json<serde_json::Value>,
            /// An integer.
            #[profile(default)]
            pub points: i64,
            /// A number.
            pub ratio: Option<f64>,
            /// An instant; the sample has milliseconds, which every store keeps.
            pub seen: Option<OffsetDateTime>,
            /// A reference.
            pub team: Option<Uuid>,
            /// Bytes.
            pub avatar: Option<Vec<u8>>,
            /// Yes or no.
            #[profile(default)]
            pub newsletter: bool,
        }

        impl SampleProfile for $name {
            fn sample(number: usize) -> Self {
                Self {
                    first_name: format!("Zoë {number} ; DROP TABLE \"user\"; --"),
                    handle: Some(format!("handle-{number}")),
                    birthdate: Date::from_calendar_date(1999, Month::February, 28).ok(),
                    tier: Tier::Pro,
                    settings: Json(json!({ "theme": "dark", "sizes": [1, 2.5, null], "ü": "ß" })),
                    points: i64::MAX - 7,
                    ratio: Some(0.1),
                    seen: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_000_000).ok(),
                    team: Some(Uuid::from_u128(0x4fd3_477b_eccf_4ee3_8f7d_68ad_7226_1476)),
                    avatar: Some(vec![0, 255, 10, 13, 26]),
                    newsletter: true,
                }
            }
            fn set_handle(handle: Option<&str>) -> Self::Update {
                $update { handle: Some(handle.map(str::to_owned)), ..Default::default() }
            }
            fn set_points(points: i64) -> Self::Update {
                $update { points: Some(points), ..Default::default() }
            }
            fn handle(&self) -> Option<&str> {
                self.handle.as_deref()
            }
            fn points(&self) -> i64 {
                self.points
            }
        }
    };
}
sample! {
    /// A profile whose users have UUIDs.
    Sample, SampleUpdate, Uuid
}
sample! {
    /// A profile whose users have numbers, which the database counts.
    CountedSample, CountedSampleUpdate, i64
}

sample! {
    /// A profile whose users have the object ids of MongoDB.
    ObjectSample, ObjectSampleUpdate, ObjectId
}

/// What the suites need of a profile; implement it to test with one of your own.
pub trait SampleProfile: UserProfile + std::fmt::Debug + PartialEq {
    /// Different handles for different numbers; every column filled.
    fn sample(number: usize) -> Self;
    /// Sets a unique column.
    fn set_handle(handle: Option<&str>) -> Self::Update;
    /// Sets another column.
    fn set_points(points: i64) -> Self::Update;
    /// The unique column.
    fn handle(&self) -> Option<&str>;
    /// The other column.
    fn points(&self) -> i64;
}
