//! What one would write by hand: JWT, one query, JSON; a form, one query, one Argon2 verification, JWT.

use anyhow::{Context as _, Result};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::{
    Form, Json, Router,
    extract::{FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row as _, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use uuid::Uuid;

use crate::SECRET;

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
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

/// The two routes.
pub(crate) async fn router(url: &str) -> Result<Router> {
    let pool = if url.starts_with("sqlite") {
        Pool::Sqlite(SqlitePoolOptions::new().test_before_acquire(false).max_connections(10).connect(url).await?)
    } else {
        Pool::Postgres(PgPoolOptions::new().max_connections(10).connect(url).await?)
    };
    Ok(Router::new().route("/users/me", get(me)).route("/auth/jwt/login", post(login)).with_state(pool))
}

async fn me(Caller(user): Caller) -> Json<User> {
    Json(user)
}

async fn login(State(pool): State<Pool>, Form(form): Form<Credentials>) -> Result<Json<serde_json::Value>, StatusCode> {
    let user = pool.by_email(&form.username).await.ok().flatten().ok_or(StatusCode::BAD_REQUEST)?;
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

struct Caller(User);

impl FromRequestParts<Pool> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, pool: &Pool) -> Result<Self, StatusCode> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
        let mut validation = Validation::new(JwtAlgorithm::HS256);
        validation.set_audience(&["fastapi-users:auth"]);
        let claims = decode::<Claims>(token, &DecodingKey::from_secret(SECRET), &validation)
            .map_err(|_| StatusCode::UNAUTHORIZED)?
            .claims;
        let id = claims.sub.parse().map_err(|_| StatusCode::UNAUTHORIZED)?;
        let user = pool.by_id(id).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        user.filter(|user| user.is_active).map(Self).ok_or(StatusCode::UNAUTHORIZED)
    }
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
        }
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
        }
    }
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
