//! The application's own columns.

use serde::{Serialize, ser::SerializeMap};

use crate::{
    body::{FromBody, Property},
    id::UserId,
    value::{Column, ColumnValue, Row, Value, ValueError},
};

/// The application's own columns of a user, and the type of the user's id.
///
/// Derive it (`#[derive(UserProfile)]`); by hand it is what the derive writes. `()` has no columns and a UUID.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a user profile",
    label = "not a profile",
    note = "derive it: `#[derive(Clone, Debug, UserProfile)] struct {Self} {{ … }}`"
)]
pub trait UserProfile: Clone + Send + Sync + 'static {
    /// The id of a user: [`uuid::Uuid`] or `i64`.
    type Id: UserId;
    /// What an answer shows of it.
    type Read: ProfileRead + From<Self>;
    /// What a registration may say of it.
    type Create: FromBody + Into<Self> + Send;
    /// What an update may say of it; absent keeps, null clears (RFC 7396).
    type Update: FromBody + Default + Clone + Send + Sync;

    /// The columns, in the order of [`encode`](Self::encode) and [`decode`](Self::decode).
    fn columns() -> &'static [Column];
    /// One value a column.
    fn encode(&self) -> Vec<Value>;
    /// From one row, which holds exactly the columns.
    ///
    /// # Errors
    /// [`ValueError`] when a column holds something else.
    fn decode(row: &dyn Row) -> Result<Self, ValueError>;
    /// What an update sets, nothing else.
    fn changes(update: &Self::Update) -> Changes;
}

/// What an answer shows of a profile: members of the JSON object of the user.
pub trait ProfileRead: Send {
    /// Writes its members, in schema order.
    ///
    /// # Errors
    /// Only what the map itself answers.
    fn serialize_members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
    /// Their schema.
    #[must_use]
    fn properties() -> Vec<Property>;
}

/// The columns that an update sets: index into [`UserProfile::columns`] and value.
#[derive(Clone, Debug, Default)]
pub struct Changes(Vec<(usize, Value)>);

impl Changes {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a column.
    pub fn set(&mut self, index: usize, value: Value) {
        self.0.push((index, value));
    }

    /// Sets a column if there is a value for it.
    pub fn set_if<T: ColumnValue>(&mut self, index: usize, value: Option<&T>) {
        if let Some(value) = value {
            self.set(index, value.to_value());
        }
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is set.
    pub fn iter(&self) -> impl Iterator<Item = &(usize, Value)> {
        self.0.iter()
    }
}

/// No columns of the application's own, ids are UUIDs.
impl UserProfile for () {
    type Id = uuid::Uuid;
    type Read = ();
    type Create = ();
    type Update = ();

    fn columns() -> &'static [Column] {
        &[]
    }
    fn encode(&self) -> Vec<Value> {
        Vec::new()
    }
    fn decode(_row: &dyn Row) -> Result<Self, ValueError> {
        Ok(())
    }
    fn changes(_update: &()) -> Changes {
        Changes::new()
    }
}

impl ProfileRead for () {
    fn serialize_members<M: SerializeMap>(&self, _map: &mut M) -> Result<(), M::Error> {
        Ok(())
    }
    fn properties() -> Vec<Property> {
        Vec::new()
    }
}

/// Writes one member; used by the derive.
///
/// # Errors
/// Only what the map itself answers.
pub fn serialize_member<M: SerializeMap, T: ColumnValue>(map: &mut M, name: &str, value: &T) -> Result<(), M::Error> {
    map.serialize_entry(name, &Wire(value))
}

struct Wire<'a, T>(&'a T);

impl<T: ColumnValue> Serialize for Wire<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_value().serialize(serializer)
    }
}
