//! What a user is in a document: the fields of FastAPI Users, the application's own, and one field of ours.
//!
//! `axum_users` holds what FastAPI Users does not know; it sets the fields of its model one by one, so ours outlive its writes.
//! Sessions stand beside it, in `axum_users_sessions`, since a projection picks an element of an array at the top only.

use axum_users_core::{
    Column, ColumnValue, DatabaseError, Email, EmailKey, Kind, NewUser, ObjectId, PasswordHash, Row, User, UserProfile,
    Value, ValueError,
};
use mongodb::bson::{Binary, Bson, DateTime, Document, doc, oid, spec::BinarySubtype};
use time::{OffsetDateTime, Time};
use uuid::Uuid;

/// The field of ours.
pub(crate) const OURS: &str = "axum_users";
/// The sessions of a user.
pub(crate) const SESSIONS: &str = "axum_users_sessions";
/// Linked accounts, as FastAPI Users keeps them.
pub(crate) const ACCOUNTS: &str = "oauth_accounts";

/// Names that no column of the application's own may have.
pub(crate) const RESERVED: [&str; 10] = [
    "_id",
    "email",
    "hashed_password",
    "is_active",
    "is_superuser",
    "is_verified",
    ACCOUNTS,
    "revision_id",
    OURS,
    SESSIONS,
];

/// An error of ours.
pub(crate) fn broken(what: impl Into<String>) -> DatabaseError {
    DatabaseError::Driver(what.into().into())
}

/// As it is stored.
///
/// # Errors
/// [`DatabaseError::OutOfRange`] for what BSON cannot hold.
pub(crate) fn to_bson(value: &Value) -> Result<Bson, DatabaseError> {
    Ok(match value {
        Value::Null => Bson::Null,
        Value::Bool(it) => Bson::Boolean(*it),
        Value::Integer(it) => integer(*it),
        Value::Real(it) => Bson::Double(*it),
        Value::Text(it) => Bson::String(it.clone()),
        Value::Bytes(it) => Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: it.clone() }),
        Value::Uuid(it) => Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: it.as_bytes().to_vec() }),
        Value::ObjectId(it) => Bson::ObjectId(oid::ObjectId::from_bytes(it.bytes())),
        Value::Date(it) => Bson::DateTime(instant(OffsetDateTime::new_utc(*it, Time::MIDNIGHT))),
        Value::Timestamp(it) => Bson::DateTime(instant(*it)),
        Value::Json(it) => from_json(it)?,
        _ => return Err(broken("a value of a kind that MongoDB does not keep")),
    })
}

/// As drivers of other languages write it: in 32 bits where it fits.
pub(crate) fn integer(value: i64) -> Bson {
    i32::try_from(value).map_or(Bson::Int64(value), Bson::Int32)
}

/// Milliseconds are the finest step.
pub(crate) fn instant(at: OffsetDateTime) -> DateTime {
    DateTime::from_millis(i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

/// The instant of these Unix seconds; far beyond any calendar, the last one.
pub(crate) fn instant_of(seconds: i64) -> DateTime {
    DateTime::from_millis(seconds.min(LAST_SECOND).saturating_mul(1000))
}

/// The end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

pub(crate) fn time_of(at: DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.timestamp_millis()) * 1_000_000).ok()
}

fn from_json(json: &serde_json::Value) -> Result<Bson, DatabaseError> {
    Ok(match json {
        serde_json::Value::Null => Bson::Null,
        serde_json::Value::Bool(it) => Bson::Boolean(*it),
        serde_json::Value::Number(it) => match (it.as_i64(), it.is_f64(), it.as_f64()) {
            (Some(number), ..) => integer(number),
            (None, true, Some(number)) => Bson::Double(number),
            _ => return Err(DatabaseError::OutOfRange("an integer of more than 64 bits with sign".into())),
        },
        serde_json::Value::String(it) => Bson::String(it.clone()),
        serde_json::Value::Array(items) => Bson::Array(items.iter().map(from_json).collect::<Result<_, _>>()?),
        serde_json::Value::Object(members) => {
            let member = |(name, value): (&String, &serde_json::Value)| match name.contains('\0') {
                true => Err(DatabaseError::OutOfRange("a name with a NUL character".into())),
                false => Ok((name.clone(), from_json(value)?)),
            };
            Bson::Document(members.iter().map(member).collect::<Result<_, _>>()?)
        }
    })
}

/// As JSON; what JSON has no form of is text.
fn to_json(bson: &Bson) -> serde_json::Value {
    match bson {
        Bson::Null | Bson::Undefined => serde_json::Value::Null,
        Bson::Boolean(it) => (*it).into(),
        Bson::Int32(it) => (*it).into(),
        Bson::Int64(it) => (*it).into(),
        Bson::Double(it) => serde_json::Number::from_f64(*it).map_or(serde_json::Value::Null, Into::into),
        Bson::String(it) | Bson::Symbol(it) => it.clone().into(),
        Bson::Array(items) => items.iter().map(to_json).collect(),
        Bson::Document(members) => {
            serde_json::Value::Object(members.iter().map(|(name, value)| (name.clone(), to_json(value))).collect())
        }
        Bson::ObjectId(it) => it.to_hex().into(),
        Bson::DateTime(it) => it.try_to_rfc3339_string().unwrap_or_default().into(),
        other => other.to_string().into(),
    }
}

/// As it is read; what is not there is null.
pub(crate) fn from_bson(bson: Option<&Bson>, kind: Kind) -> Result<Value, ValueError> {
    let wrong = || ValueError::Kind { expected: kind };
    let Some(bson) = bson.filter(|bson| !matches!(bson, Bson::Null | Bson::Undefined)) else {
        return Ok(Value::Null);
    };
    Ok(match (kind, bson) {
        (Kind::Bool, Bson::Boolean(it)) => Value::Bool(*it),
        (Kind::Integer, bson) => Value::Integer(whole(bson).ok_or_else(wrong)?),
        (Kind::Real, Bson::Double(it)) => Value::Real(*it),
        (Kind::Real, Bson::Int32(it)) => Value::Real(f64::from(*it)),
        #[expect(clippy::cast_precision_loss, reason = "a number that another program wrote without a point")]
        (Kind::Real, Bson::Int64(it)) => Value::Real(*it as f64),
        (Kind::Text, Bson::String(it) | Bson::Symbol(it)) => Value::Text(it.clone()),
        (Kind::Bytes, Bson::Binary(it)) => Value::Bytes(it.bytes.clone()),
        (Kind::Uuid, Bson::Binary(it)) => Value::Uuid(Uuid::from_slice(&it.bytes).map_err(|_| wrong())?),
        (Kind::ObjectId, Bson::ObjectId(it)) => Value::ObjectId(ObjectId::from_bytes(it.bytes())),
        (Kind::Date, Bson::DateTime(it)) => Value::Date(time_of(*it).ok_or_else(wrong)?.date()),
        (Kind::Date, Bson::String(it)) => Value::Date(Value::parse_date(it).ok_or_else(wrong)?),
        (Kind::Timestamp, Bson::DateTime(it)) => Value::Timestamp(time_of(*it).ok_or_else(wrong)?),
        (Kind::Json, bson) => Value::Json(to_json(bson)),
        _ => return Err(wrong()),
    })
}

/// An integer of whichever width.
pub(crate) fn whole(bson: &Bson) -> Option<i64> {
    match bson {
        Bson::Int32(it) => Some(i64::from(*it)),
        Bson::Int64(it) => Some(*it),
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and fits")]
        Bson::Double(it) if it.fract() == 0.0 && it.abs() < 9e15 => Some(*it as i64),
        _ => None,
    }
}

/// The part of a user's document that is ours.
pub(crate) fn ours(document: &Document) -> Option<&Document> {
    document.get_document(OURS).ok()
}

/// A text of a document, if there is one.
pub(crate) fn text<'a>(document: &'a Document, name: &str) -> Option<&'a str> {
    document.get(name).and_then(Bson::as_str)
}

/// An integer of a document, if there is one.
pub(crate) fn number(document: &Document, name: &str) -> Option<i64> {
    document.get(name).and_then(whole)
}

/// The documents of an array; none where there is no array.
pub(crate) fn items<'a>(document: &'a Document, name: &str) -> impl Iterator<Item = &'a Document> + use<'a> {
    let items = document.get(name).and_then(Bson::as_array);
    items.into_iter().flatten().filter_map(Bson::as_document)
}

/// A text, or null.
pub(crate) fn optional(text: Option<&str>) -> Bson {
    text.map_or(Bson::Null, |text| Bson::String(text.to_owned()))
}

/// The id of a user or of a document that names one.
pub(crate) fn id_of<P: UserProfile>(document: &Document, name: &str) -> Result<P::Id, DatabaseError> {
    from_bson(document.get(name), <P::Id as ColumnValue>::KIND)
        .and_then(P::Id::from_value)
        .map_err(|error| broken(format!("`{name}` cannot be read: {error}")))
}

/// The user in a document.
pub(crate) fn user<P: UserProfile>(document: &Document) -> Result<User<P>, DatabaseError> {
    let required = |name: &str| text(document, name).ok_or_else(|| broken(format!("a user without `{name}`")));
    // Null, which FastAPI Users lets be written, is no.
    let flag = |name: &str| document.get_bool(name).unwrap_or(false);
    let profile = P::decode(&Profile { document, columns: P::columns() })
        .map_err(|error| broken(format!("a column of the profile cannot be read: {error}")))?;
    let ours = ours(document);
    let new = NewUser {
        id: None,
        email: Email::from_stored(required("email")?.to_owned()),
        hashed_password: PasswordHash::from_stored(required("hashed_password")?.to_owned()),
        is_active: flag("is_active"),
        is_superuser: flag("is_superuser"),
        is_verified: flag("is_verified"),
        tokens_valid_after: ours.and_then(|ours| number(ours, "tokens_valid_after")),
        profile,
        consumes: None,
    };
    let mut user = User::from_new(id_of::<P>(document, "_id")?, new);
    user.reset_token_hash = ours.and_then(|ours| text(ours, "reset_token_hash")).map(str::to_owned);
    Ok(user)
}

/// The document of a new user, with the fields in the order of FastAPI Users; `revision` tells it from any other.
pub(crate) fn new_user<P: UserProfile>(
    id: &Bson,
    user: &NewUser<P>,
    revision: &str,
) -> Result<Document, DatabaseError> {
    let mut document = doc! {
        "_id": id.clone(),
        "email": user.email.as_str(),
        "hashed_password": user.hashed_password.as_str(),
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "is_verified": user.is_verified,
        ACCOUNTS: [],
    };
    for (column, value) in P::columns().iter().zip(user.profile.encode()) {
        document.insert(column.name, to_bson(&value)?);
    }
    let mut ours = doc! { "email_key": email_key(&user.email), "revision": revision };
    if let Some(limit) = user.tokens_valid_after {
        ours.insert("tokens_valid_after", limit);
    }
    document.insert(OURS, ours);
    Ok(document)
}

/// What our unique index over addresses is over.
pub(crate) fn email_key(email: &Email) -> String {
    email.key().as_str().to_owned()
}

/// Whether the document has this mailbox: its key may be older than its address, which FastAPI Users changes alone.
pub(crate) fn is_mailbox(document: &Document, email: &EmailKey) -> bool {
    text(document, "email").is_some_and(|stored| email.matches(stored))
}

/// The application's own columns within a document. One that is not there has its default.
struct Profile<'a> {
    document: &'a Document,
    columns: &'static [Column],
}

impl Row for Profile<'_> {
    fn value(&self, index: usize, kind: Kind) -> Result<Value, ValueError> {
        let column = self.columns.get(index).ok_or(ValueError::Kind { expected: kind })?;
        match (self.document.get(column.name), column.default) {
            (None, Some(default)) => Ok(default()),
            (bson, _) => from_bson(bson, kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::{Date, Month};

    use super::*;

    fn back(value: &Value) -> Value {
        from_bson(Some(&to_bson(value).unwrap()), value.kind().unwrap()).unwrap()
    }

    #[test]
    fn values_come_back_as_they_were() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(-1_123_000_000).unwrap();
        for value in [
            Value::Bool(true),
            Value::Integer(i64::MIN),
            Value::Integer(7),
            Value::Real(-0.1),
            Value::Text("ß\u{1f5e1}".into()),
            Value::Bytes(vec![0, 255]),
            Value::Uuid(Uuid::from_u128(7)),
            Value::ObjectId(ObjectId::from_bytes([7; 12])),
            Value::Date(Date::from_calendar_date(1, Month::January, 1).unwrap()),
            Value::Date(Date::from_calendar_date(9999, Month::December, 31).unwrap()),
            Value::Timestamp(at),
            Value::Json(json!({ "$a.b": [1, 2.0, null, { "": i64::MAX }], "x": "\u{0}" })),
        ] {
            assert_eq!(back(&value), value);
        }
    }

    #[test]
    fn an_instant_is_cut_to_the_millisecond_before_it() {
        let at = |nanos| Value::Timestamp(OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap());
        assert_eq!(back(&at(1_999_999)), at(1_000_000));
        assert_eq!(back(&at(-1)), at(-1_000_000));
    }

    #[test]
    fn what_bson_cannot_hold_is_out_of_range() {
        for json in [json!(u64::MAX), json!({ "a\0b": 1 }), json!([[u64::MAX]])] {
            assert!(matches!(to_bson(&Value::Json(json)), Err(DatabaseError::OutOfRange(_))));
        }
    }
}
