//! Own columns of the users that are known at run time only, from the configuration.
//!
//! A profile describes its columns by type, not by value; so the columns of this process stand in one place, set once before
//! the first user is read.

use std::{marker::PhantomData, sync::OnceLock};

use axum_users::{
    Body, Changes, Column, FromBody, Issue, ProfileRead, Property, Row, UserId, UserProfile, Value, ValueError,
};
use serde::ser::SerializeMap;
use serde_json::json;

use crate::config::OwnColumn;

static COLUMNS: OnceLock<Columns> = OnceLock::new();

struct Columns {
    own: Vec<OwnColumn>,
    described: Vec<Column>,
}

/// Sets the columns of this process; answers whether they are in force, which fails when others are already.
#[must_use]
pub(crate) fn install(own: &[OwnColumn]) -> bool {
    let installed =
        COLUMNS.get_or_init(|| Columns { described: own.iter().map(describe).collect(), own: own.to_vec() });
    installed.own == own
}

fn describe(own: &OwnColumn) -> Column {
    // Once in the life of the process: the names of columns are `'static` everywhere else.
    let field: &'static str = Box::leak(own.field.clone().into_boxed_str());
    let name: &'static str = Box::leak(own.column.clone().into_boxed_str());
    let column = Column::new(field, own.kind, !own.required).stored_as(name);
    if own.unique { column.unique() } else { column }
}

/// The columns of this process.
pub(crate) fn own() -> &'static [OwnColumn] {
    COLUMNS.get().map_or(&[], |columns| &columns.own)
}

/// One value for each own column.
#[derive(Clone, Debug)]
pub(crate) struct ServerProfile<Id> {
    values: Vec<Value>,
    id: PhantomData<fn() -> Id>,
}

/// What an answer shows: all but the hidden ones.
pub(crate) struct Shown(Vec<Value>);

/// What a registration says.
pub(crate) struct Registration(Vec<Value>);

/// What a change sets: column and value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change(Vec<(usize, Value)>);

impl<Id: UserId> UserProfile for ServerProfile<Id> {
    type Id = Id;
    type Read = Shown;
    type Create = Registration;
    type Update = Change;

    fn columns() -> &'static [Column] {
        COLUMNS.get().map_or(&[], |columns| &columns.described)
    }

    fn encode(&self) -> Vec<Value> {
        self.values.clone()
    }

    fn decode(row: &dyn Row) -> Result<Self, ValueError> {
        let values = own().iter().enumerate().map(|(index, own)| row.value(index, own.kind));
        Ok(Self { values: values.collect::<Result<_, _>>()?, id: PhantomData })
    }

    fn changes(update: &Change) -> Changes {
        let mut changes = Changes::new();
        for (index, value) in &update.0 {
            changes.set(*index, value.clone());
        }
        changes
    }
}

impl<Id> From<Registration> for ServerProfile<Id> {
    fn from(registration: Registration) -> Self {
        Self { values: registration.0, id: PhantomData }
    }
}

impl<Id> From<ServerProfile<Id>> for Shown {
    fn from(profile: ServerProfile<Id>) -> Self {
        Self(profile.values)
    }
}

impl ProfileRead for Shown {
    fn serialize_members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        own()
            .iter()
            .zip(&self.0)
            .filter(|(own, _)| !own.hidden)
            .try_for_each(|(own, value)| map.serialize_entry(&own.field, value))
    }

    fn properties() -> Vec<Property> {
        own().iter().filter(|own| !own.hidden).map(|own| Property::new(own.field.as_str(), schema(own), true)).collect()
    }
}

impl FromBody for Registration {
    fn from_body(body: &mut Body) -> Option<Self> {
        // Every field is asked for, so that every mistake is told.
        let values: Vec<Option<Value>> = own().iter().map(|own| registered(body, own)).collect();
        values.into_iter().collect::<Option<_>>().map(Self)
    }

    fn properties() -> Vec<Property> {
        writable().map(|(_, own)| Property::new(own.field.as_str(), schema(own), own.required)).collect()
    }
}

fn registered(body: &mut Body, own: &OwnColumn) -> Option<Value> {
    if !own.is_writable() {
        return Some(Value::Null);
    }
    match body.value(&own.field, own.kind, !own.required)? {
        None if own.required => {
            body.report(Issue::missing(["body".into(), own.field.clone().into()]));
            None
        }
        given => Some(given.unwrap_or(Value::Null)),
    }
}

impl FromBody for Change {
    fn from_body(body: &mut Body) -> Option<Self> {
        let mut is_right = true;
        let mut changes = Vec::new();
        for (index, own) in writable() {
            match body.value(&own.field, own.kind, !own.required) {
                Some(given) => changes.extend(given.map(|value| (index, value))),
                None => is_right = false,
            }
        }
        is_right.then_some(Self(changes))
    }

    fn properties() -> Vec<Property> {
        writable().map(|(_, own)| Property::new(own.field.as_str(), or_null(own.kind.schema()), false)).collect()
    }
}

fn writable() -> impl Iterator<Item = (usize, &'static OwnColumn)> {
    own().iter().enumerate().filter(|(_, own)| own.is_writable())
}

impl OwnColumn {
    /// Whether requests may set it.
    pub(crate) fn is_writable(&self) -> bool {
        !self.read_only && !self.hidden
    }
}

fn schema(own: &OwnColumn) -> serde_json::Value {
    if own.required { own.kind.schema() } else { or_null(own.kind.schema()) }
}

fn or_null(schema: serde_json::Value) -> serde_json::Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}
