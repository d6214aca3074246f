//! Fields of request bodies.

use axum_users_core::{
    Body, ColumnValue, FromBody, Issue, Json, Kind, Property, Value, ValueError,
    json::{JsonInput, parse},
};
use serde_json::json;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

pub(crate) fn body(text: &str) -> Body {
    Body::embedded(parse(text.as_bytes()).unwrap_or_default())
}

pub(crate) fn one(value: &str) -> Body {
    body(&format!("{{\"f\":{value}}}"))
}

fn shown(issues: &[Issue]) -> String {
    serde_json::to_string(issues).unwrap_or_default()
}

#[test]
fn a_registration() {
    let mut body =
        body(r#"{"is_active": "maybe", "is_superuser": [], "is_verified": 2, "password": "zzzz", "email": "f"}"#);
    assert!(body.email("email").is_none());
    assert_eq!(body.password("password").map(|it| it.expose().to_owned()).as_deref(), Some("zzzz"));
    assert_eq!((body.flag("is_active"), body.flag("is_superuser"), body.flag("is_verified")), (None, None, None));
    assert_eq!(
        shown(&body.finish().unwrap_err()),
        concat!(
            r#"[{"type":"value_error","loc":["body","email"],"msg":"value is not a valid email address: An email address must have an @-sign.","input":"f","ctx":{"reason":"An email address must have an @-sign."}},"#,
            r#"{"type":"bool_parsing","loc":["body","is_active"],"msg":"Input should be a valid boolean, unable to interpret input","input":"maybe"},"#,
            r#"{"type":"bool_type","loc":["body","is_superuser"],"msg":"Input should be a valid boolean","input":[]},"#,
            r#"{"type":"bool_parsing","loc":["body","is_verified"],"msg":"Input should be a valid boolean, unable to interpret input","input":2}]"#,
        )
    );
}

#[test]
fn absent_fields_are_reported_without_the_body() {
    for mut body in [body(r#"{"x":"canary"}"#), Body::embedded(JsonInput::Null), Body::embedded("canary".into())] {
        assert!(body.email("email").is_none() && body.password("password").is_none());
        assert_eq!(
            shown(&body.finish().unwrap_err()),
            r#"[{"type":"missing","loc":["body","email"],"msg":"Field required","input":null},{"type":"missing","loc":["body","password"],"msg":"Field required","input":null}]"#
        );
    }
}

#[test]
fn null_and_other_types_are_no_text() {
    let mut nulls = body(r#"{"email":null,"password":null}"#);
    assert!(nulls.email("email").is_none() && nulls.password("password").is_none());
    assert_eq!(
        shown(&nulls.finish().unwrap_err()),
        r#"[{"type":"string_type","loc":["body","email"],"msg":"Input should be a valid string","input":null},{"type":"string_type","loc":["body","password"],"msg":"Input should be a valid string","input":null}]"#
    );
    let mut numbers = body(r#"{"email":1,"token":5}"#);
    assert!(numbers.email("email").is_none() && numbers.token("token").is_none());
    assert_eq!(
        shown(&numbers.finish().unwrap_err()),
        r#"[{"type":"string_type","loc":["body","email"],"msg":"Input should be a valid string","input":1},{"type":"string_type","loc":["body","token"],"msg":"Input should be a valid string","input":null}]"#
    );
}

#[test]
fn whole_bodies() {
    for value in ["null", "[]", "\"canary\"", "12", "NaN"] {
        let issue = Body::new(parse(value.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(
            shown(&[issue]),
            r#"[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":null}]"#
        );
    }
    assert_eq!(
        shown(&[Issue::missing_body(), Issue::json_invalid(10, "Expecting value")]),
        r#"[{"type":"missing","loc":["body"],"msg":"Field required","input":null},{"type":"json_invalid","loc":["body",10],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}]"#
    );
}

#[test]
fn secrets_are_never_echoed() {
    for value in [r#"["canary"]"#, r#"{"a":"canary"}"#, "\"canary\\ud800\"", "4242", "NaN", "true", "1e999"] {
        let mut body = body(&format!(r#"{{"password":{value},"token":{value},"new":{value}}}"#));
        assert!(!format!("{body:?} {:?}", parse(value.as_bytes())).contains("canary"));
        assert!(body.password("password").is_none() && body.token("token").is_none());
        assert!(body.update_password("new").is_none());
        let issues = body.finish().unwrap_err();
        assert_eq!(shown(&issues).matches("\"input\":null").count(), 3);
        assert!(!format!("{issues:?}{}", shown(&issues)).contains("canary"));
        assert!(
            issues.iter().all(|it| it.kind() == if value.contains("ud800") { "string_unicode" } else { "string_type" })
        );
    }
    // A password may hold any character, the empty one may come, and blanks stay.
    for (value, password) in [("\"a\\u0000b\"", "a\0b"), ("\"\"", ""), ("\" é \"", " é ")] {
        assert_eq!(one(value).password("f").map(|it| it.expose().to_owned()).as_deref(), Some(password));
    }
}

#[test]
fn what_a_change_may_leave_out() {
    let mut absent = body("{}");
    assert_eq!(absent.update_email("email"), Some(None));
    assert!(matches!(absent.update_password("password"), Some(None)));
    assert_eq!((absent.flag("is_active"), absent.update_flag("is_active")), (Some(None), Some(None)));
    assert_eq!(absent.update::<String>("name"), Some(None));
    assert_eq!(absent.update::<Option<String>>("nick"), Some(None));
    assert_eq!(absent.value("age", Kind::Integer, true), Some(None));
    assert_eq!(absent.optional::<i64>("age", || 18), Some(18));
    assert_eq!(absent.finish(), Ok(()));

    let mut null = body(r#"{"password":null,"email":null,"seen":null,"is_active":null,"name":null,"nick":null}"#);
    assert!(matches!(null.update_password("password"), Some(None)));
    assert_eq!(null.update_email("email"), None);
    assert_eq!(null.flag("seen"), Some(None));
    assert_eq!(null.update_flag("is_active"), None);
    assert_eq!(null.update::<String>("name"), None);
    assert_eq!(null.update::<Option<String>>("nick"), Some(Some(None)));
    let kinds: Vec<_> = null.finish().unwrap_err().iter().map(|it| it.kind().to_owned()).collect();
    assert_eq!(kinds, ["string_type", "bool_type", "string_type"]);

    let mut set = body(r#"{"password":"p","email":"A@camelot.bt","is_active":"off","name":"x"}"#);
    assert_eq!(set.update_password("password").flatten().map(|it| it.expose().to_owned()).as_deref(), Some("p"));
    assert_eq!(set.update_email("email").flatten().map(|it| it.to_string()).as_deref(), Some("A@camelot.bt"));
    assert_eq!((set.update_flag("is_active"), set.update("name")), (Some(Some(false)), Some(Some("x".to_owned()))));
    assert_eq!(set.finish(), Ok(()));
}

#[derive(Debug, PartialEq)]
enum Plan {
    Free,
    Pro,
}

impl ColumnValue for Plan {
    const KIND: Kind = Kind::Text;
    fn to_value(&self) -> Value {
        Value::Text(if *self == Self::Free { "free" } else { "pro" }.to_owned())
    }
    fn from_value(value: Value) -> Result<Self, ValueError> {
        match String::from_value(value)?.as_str() {
            "free" => Ok(Self::Free),
            "pro" => Ok(Self::Pro),
            "gold" => Err(ValueError::Refused("gold is sold out".into())),
            _ => Err(ValueError::NotOneOf(&["free", "pro"])),
        }
    }
}

/// A profile of several columns, by hand.
#[derive(Debug, PartialEq)]
struct Knight {
    name: String,
    born: Option<Date>,
    plan: Plan,
    squires: i32,
    seen: Option<OffsetDateTime>,
    tags: Json<Vec<String>>,
    horse: Option<Uuid>,
}

impl FromBody for Knight {
    fn from_body(body: &mut Body) -> Option<Self> {
        let (name, born, plan) = (body.required("name"), body.optional("born", || None), body.required("plan"));
        let (squires, seen) = (body.optional("squires", || 0), body.optional("seen", || None));
        let (tags, horse) = (body.required("tags"), body.optional("horse", || None));
        Some(Self { name: name?, born: born?, plan: plan?, squires: squires?, seen: seen?, tags: tags?, horse: horse? })
    }
    fn properties() -> Vec<Property> {
        vec![Property::required::<String>("name"), Property::optional::<Option<Date>>("born")]
    }
}

#[test]
fn a_profile() {
    let knight: Knight = body(r#"{"plan":"pro","tags":["a"],"name":"Bors","born":null,"squires":"3"}"#).read().unwrap();
    let tags = Json(vec!["a".to_owned()]);
    let expected =
        Knight { name: "Bors".into(), born: None, plan: Plan::Pro, squires: 3, seen: None, tags, horse: None };
    assert_eq!(knight, expected);

    let issues =
        body(r#"{"tags":[1],"plan":"gold","born":"x","squires":3000000000,"seen":[],"horse":"","other":"ignored"}"#)
            .read::<Knight>()
            .unwrap_err();
    let all = serde_json::to_value(&issues).unwrap();
    let kinds: Vec<_> = issues.iter().map(Issue::kind).collect();
    assert_eq!(
        kinds,
        [
            "missing",
            "date_from_datetime_parsing",
            "value_error",
            "value_error",
            "datetime_type",
            "value_error",
            "uuid_parsing"
        ]
    );
    assert_eq!(
        all[2],
        json!({ "type": "value_error", "loc": ["body", "plan"], "msg": "Value error, gold is sold out", "input": "gold",
            "ctx": { "reason": "gold is sold out" } })
    );
    let issues = body(r#"{"name":"","tags":[],"plan":"x"}"#).read::<Knight>().unwrap_err();
    assert_eq!(
        shown(&issues),
        r#"[{"type":"enum","loc":["body","plan"],"msg":"Input should be 'free' or 'pro'","input":"x","ctx":{"expected":"'free' or 'pro'"}}]"#
    );
    assert_eq!(
        serde_json::to_value(
            Knight::properties().iter().map(|it| (&it.name, &it.schema, it.required)).collect::<Vec<_>>()
        )
        .unwrap(),
        json!([
            ["name", { "type": "string" }, true],
            ["born", { "anyOf": [{ "type": "string", "format": "date" }, { "type": "null" }] }, false],
        ])
    );
}
