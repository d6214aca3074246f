//! What one would write by hand: JWT, one query, JSON; a token, one join or Redis and one query, JSON; a form, one query, one
//! Argon2 verification, JWT.

use anyhow::{Context as _, Result};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Form, Json, Router,
    extract::{FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use mongodb::{
    Database,
    bson::doc,
    options::{Collation, CollationStrength},
};
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row as _, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use crate::SECRET;

#[derive(Clone)]
struct Stores {
    pool: Pool,
    redis: MultiplexedConnection,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    Mongo(Database),
}

/// A user as a document.
#[derive(Deserialize)]
struct UserDocument {
    #[serde(rename = "_id")]
    id: mongodb::bson::Uuid,
    email: String,
    hashed_password: String,
    is_active: bool,
    is_superuser: bool,
    is_verified: bool,
}

#[derive(Deserialize)]
struct TokenDocument {
    user_id: mongodb::bson::Uuid,
    created_at: mongodb::bson::DateTime,
}

impl From<UserDocument> for User {
    fn from(document: UserDocument) -> Self {
        let UserDocument { id, email, hashed_password, is_active, is_superuser, is_verified } = document;
        Self { id: Uuid::from_bytes(id.bytes()), email, hashed_password, is_active, is_superuser, is_verified }
    }
}

/// A user as this program reads it.
#[derive(Serialize)]
struct User {
    id: Uuid,
    email: String,
    #[serde(skip)]
    hashed_password: String,
    is_active: bool,
    is_superuser: bool,
    is_verified: bool,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: Vec<String>,
    exp: i64,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// `/users/me` by each kind of token, and login.
pub(crate) async fn router(url: &str, redis: &str) -> Result<Router> {
    let pool = if url.starts_with("sqlite") {
        Pool::Sqlite(SqlitePoolOptions::new().test_before_acquire(false).max_connections(10).connect(url).await?)
    } else if url.starts_with("mongodb") {
        let client = mongodb::Client::with_uri_str(url).await?;
        Pool::Mongo(client.default_database().context("no database in the URL")?)
    } else {
        Pool::Postgres(PgPoolOptions::new().max_connections(10).connect(url).await?)
    };
    let redis = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    Ok(Router::new()
        .route("/jwt/users/me", get(async |ByJwt(user): ByJwt| Json(user)))
        .route("/database/users/me", get(async |ByRow(user): ByRow| Json(user)))
        .route("/redis/users/me", get(async |ByRedis(user): ByRedis| Json(user)))
        .route("/auth/jwt/login", post(login))
        .with_state(Stores { pool, redis }))
}

async fn login(
    State(stores): State<Stores>,
    Form(form): Form<Credentials>,
) -> Result<Json<serde_json::Value>, StatusCode> {
    let user = stores.pool.by_email(&form.username).await.ok().flatten().ok_or(StatusCode::BAD_REQUEST)?;
    let hash = user.hashed_password.clone();
    let verified = tokio::task::spawn_blocking(move || verify(&hash, &form.password)).await;
    if !matches!(verified, Ok(Ok(true))) || !user.is_active {
        return Err(StatusCode::BAD_REQUEST);
    }
    let claims = Claims { sub: user.id.to_string(), aud: vec!["fastapi-users:auth".into()], exp: 4_102_444_800 };
    let token = encode(&Header::new(JwtAlgorithm::HS256), &claims, &EncodingKey::from_secret(SECRET))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(serde_json::json!({ "access_token": token, "token_type": "bearer" })))
}

struct ByJwt(User);

impl FromRequestParts<Stores> for ByJwt {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, stores: &Stores) -> Result<Self, StatusCode> {
        let mut validation = Validation::new(JwtAlgorithm::HS256);
        validation.set_audience(&["fastapi-users:auth"]);
        let claims = decode::<Claims>(bearer(parts)?, &DecodingKey::from_secret(SECRET), &validation)
            .map_err(|_| StatusCode::UNAUTHORIZED)?
            .claims;
        let id = claims.sub.parse().map_err(|_| StatusCode::UNAUTHORIZED)?;
        active(stores.pool.by_id(id).await).map(Self)
    }
}

struct ByRow(User);

impl FromRequestParts<Stores> for ByRow {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, stores: &Stores) -> Result<Self, StatusCode> {
        active(stores.pool.by_token(&stored(bearer(parts)?)).await).map(Self)
    }
}

struct ByRedis(User);

impl FromRequestParts<Stores> for ByRedis {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, stores: &Stores) -> Result<Self, StatusCode> {
        let key = format!("fastapi_users_token:{}", stored(bearer(parts)?));
        let value: Option<String> =
            stores.redis.clone().get(key).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        // The id is the first word.
        let id = value.as_deref().and_then(|value| value.split(' ').next()?.parse().ok());
        active(stores.pool.by_id(id.ok_or(StatusCode::UNAUTHORIZED)?).await).map(Self)
    }
}

fn bearer(parts: &Parts) -> Result<&str, StatusCode> {
    let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)
}

/// What a token is stored as.
fn stored(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

fn active(user: Result<Option<User>>) -> Result<User, StatusCode> {
    let user = user.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    user.filter(|user| user.is_active).ok_or(StatusCode::UNAUTHORIZED)
}

impl Pool {
    async fn by_id(&self, id: Uuid) -> Result<Option<User>> {
        const SQL: &str =
            "SELECT id, email, hashed_password, is_active, is_superuser, is_verified FROM bench_user WHERE id = $1";
        match self {
            Self::Sqlite(pool) => {
                let row = sqlx::query(SQL).bind(id.to_string()).fetch_optional(pool).await?;
                row.map(|row| sqlite(&row)).transpose()
            }
            Self::Postgres(pool) => {
                let row = sqlx::query(SQL).bind(id).fetch_optional(pool).await?;
                row.map(|row| postgres(&row)).transpose()
            }
            Self::Mongo(database) => {
                let id = mongodb::bson::Uuid::from_bytes(id.into_bytes());
                let users = database.collection::<UserDocument>("bench_user");
                Ok(users.find_one(doc! { "_id": id }).await?.map(User::from))
            }
        }
    }

    async fn by_token(&self, stored: &str) -> Result<Option<User>> {
        const SQL: &str = "SELECT u.id, u.email, u.hashed_password, u.is_active, u.is_superuser, u.is_verified, t.created_at \
                           FROM bench_token t JOIN bench_user u ON u.id = t.user_id WHERE t.token = $1";
        let (user, created_at) = match self {
            Self::Sqlite(pool) => {
                let row = sqlx::query(SQL).bind(stored).fetch_optional(pool).await?;
                let Some(row) = row else { return Ok(None) };
                (sqlite(&row)?, row.try_get::<PrimitiveDateTime, _>(6)?.assume_utc())
            }
            Self::Postgres(pool) => {
                let row = sqlx::query(SQL).bind(stored).fetch_optional(pool).await?;
                let Some(row) = row else { return Ok(None) };
                (postgres(&row)?, row.try_get::<OffsetDateTime, _>(6)?)
            }
            Self::Mongo(database) => {
                let tokens = database.collection::<TokenDocument>("bench_token");
                let Some(token) = tokens.find_one(doc! { "token": stored }).await? else { return Ok(None) };
                let users = database.collection::<UserDocument>("bench_user");
                let Some(user) = users.find_one(doc! { "_id": token.user_id }).await? else { return Ok(None) };
                let created_at = i128::from(token.created_at.timestamp_millis()) * 1_000_000;
                (user.into(), OffsetDateTime::from_unix_timestamp_nanos(created_at)?)
            }
        };
        Ok((created_at + Duration::HOUR > now()).then_some(user))
    }

    async fn by_email(&self, email: &str) -> Result<Option<User>> {
        match self {
            Self::Sqlite(pool) => {
                let sql = "SELECT id, email, hashed_password, is_active, is_superuser, is_verified FROM bench_user WHERE lower(email) = lower($1)";
                let row = sqlx::query(sql).bind(email).fetch_optional(pool).await?;
                row.map(|row| sqlite(&row)).transpose()
            }
            Self::Postgres(pool) => {
                let sql = "SELECT id, email, hashed_password, is_active, is_superuser, is_verified FROM bench_user WHERE lower(email COLLATE \"C\") = lower($1)";
                let row = sqlx::query(sql).bind(email).fetch_optional(pool).await?;
                row.map(|row| postgres(&row)).transpose()
            }
            Self::Mongo(database) => {
                let collation = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
                let users = database.collection::<UserDocument>("bench_user");
                let user = users.find_one(doc! { "email": email }).collation(collation).await?;
                Ok(user.map(User::from))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "as one would by hand")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn sqlite(row: &sqlx::sqlite::SqliteRow) -> Result<User> {
    Ok(User {
        id: row.try_get::<String, _>(0)?.parse()?,
        email: row.try_get(1)?,
        hashed_password: row.try_get(2)?,
        is_active: row.try_get(3)?,
        is_superuser: row.try_get(4)?,
        is_verified: row.try_get(5)?,
    })
}

fn postgres(row: &sqlx::postgres::PgRow) -> Result<User> {
    Ok(User {
        id: row.try_get(0)?,
        email: row.try_get(1)?,
        hashed_password: row.try_get(2)?,
        is_active: row.try_get(3)?,
        is_superuser: row.try_get(4)?,
        is_verified: row.try_get(5)?,
    })
}

/// The usual call: fresh memory each time. Parameters are those that we write.
fn verify(stored: &str, password: &str) -> Result<bool> {
    let mut parts = stored.rsplit('$');
    let (digest, salt) = (parts.next().context("digest")?, parts.next().context("salt")?);
    let (digest, salt) = (STANDARD_NO_PAD.decode(digest)?, STANDARD_NO_PAD.decode(salt)?);
    let mut out = vec![0; digest.len()];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(65_536, 3, 4, Some(digest.len()))?)
        .hash_password_into(password.as_bytes(), &salt, &mut out)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(out == digest)
}
