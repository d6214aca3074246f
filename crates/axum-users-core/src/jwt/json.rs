//! The objects in a token: UTF-8, every name once (RFC 7515, 4; RFC 7519, 4), so that nobody can read them in another way.

use std::{collections::HashSet, fmt};

use serde::{
    Deserializer as _, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::Value;

/// The members of an object in their order; `None` if this is anything else.
pub(super) fn members(text: &[u8]) -> Option<Vec<(String, Value)>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut input = serde_json::Deserializer::from_str(text);
    let members = input.deserialize_map(Members).ok()?;
    input.end().ok()?;
    Some(members)
}

/// An object with these members in this order, compact.
pub(super) fn object<'a>(members: impl Iterator<Item = (&'a str, &'a Value)> + Clone) -> serde_json::Result<String> {
    serde_json::to_string(&Object(members))
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with unique names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut names) = (Vec::new(), HashSet::new());
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name occurs twice"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

struct Object<I>(I);

impl<'a, I: Iterator<Item = (&'a str, &'a Value)> + Clone> Serialize for Object<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.clone() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
