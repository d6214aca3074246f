//! Over a real network: what is too slow, too large, or sends us elsewhere.

use axum_users_core::oauth::{OAuthClient as _, OAuthClientError, OAuthToken};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Duration, sleep},
};

use super::{code, told};
use crate::{OAuth2, OAuth2Endpoints};

/// What becomes of a profile that a server on this machine answers so.
async fn profile<F: Future<Output = ()> + Send>(
    answer: impl Fn(TcpStream) -> F + Send + 'static,
) -> Result<String, OAuthClientError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            answer(stream).await;
        }
    });
    let endpoints = OAuth2Endpoints::new(format!("{base}/a"), format!("{base}/t"));
    let identity =
        |profile: &serde_json::Value| Some(axum_users_core::oauth::ExternalIdentity::new(profile.get("id")?.as_str()?));
    let client = OAuth2::new("stub", endpoints, "CID", "CSEC", format!("{base}/me"), identity).unwrap();
    client.identity(&OAuthToken::new("AT"), &code()).await.map(|who| who.account_id)
}

async fn write(mut stream: TcpStream, text: String) {
    let _ = stream.write_all(text.as_bytes()).await;
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn oa_12_answers_are_small_and_stay_where_they_were_asked() {
    assert_eq!(profile(|stream| write(stream, ok(r#"{"id":"7"}"#))).await.unwrap(), "7");
    let huge = format!(r#"{{"id":"{}"}}"#, "x".repeat(2 << 20));
    let error = profile(move |stream| write(stream, ok(&huge))).await.unwrap_err();
    assert!(told(&error).contains("1 MiB"), "{}", told(&error));
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let error = profile(|stream| write(stream, elsewhere.into())).await.unwrap_err();
    assert!(told(&error).contains("redirect"), "{}", told(&error));
    let error = profile(|stream| write(stream, ok("<html>"))).await.unwrap_err();
    assert!(matches!(error, OAuthClientError::Answer(_)));
    let error = profile(|stream| async { drop(stream) }).await.unwrap_err();
    assert!(
        matches!(error, OAuthClientError::Unavailable(_)) && !told(&error).contains("127.0.0.1"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn oa_12_a_drip_ends_when_the_time_is_over() {
    let error = profile(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    });
    assert!(matches!(error.await.unwrap_err(), OAuthClientError::Unavailable(_)));
}
