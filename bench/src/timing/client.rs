//! One connection, one request after the other; the kind of person is drawn anew each time.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::server::Kind;

/// Who is asked about.
pub(crate) struct Draw<'a> {
    pub(crate) kind: Kind,
    pub(crate) email: &'a str,
    /// Of somebody who is logged in.
    pub(crate) token: &'a str,
}

/// A request as it is sent.
pub(crate) struct Request {
    method: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: String,
    /// Header lines, each with its end.
    headers: String,
}

impl Request {
    pub(crate) fn json(path: &'static str, body: &serde_json::Value) -> Self {
        let body = body.to_string();
        Self { method: "POST", path, content_type: "application/json", body, headers: String::new() }
    }

    pub(crate) fn form(path: &'static str, body: &str) -> Self {
        Self {
            content_type: "application/x-www-form-urlencoded",
            body: body.to_owned(),
            ..Self::json(path, &().into())
        }
    }

    /// A change that somebody who is logged in asks for.
    pub(crate) fn patch(path: &'static str, token: &str, body: &serde_json::Value) -> Self {
        let headers = format!("authorization: Bearer {token}\r\n");
        Self { method: "PATCH", headers, ..Self::json(path, body) }
    }

    /// With a difference that a control plants; `server.rs` says which.
    pub(crate) fn planted(mut self, planted: &'static str) -> Self {
        self.headers = format!("x-planted: {planted}\r\n");
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { method, path, content_type, body, headers } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// How long each answer took, in microseconds, by kind of person.
pub(crate) type Waits = Vec<(Kind, Vec<f64>)>;

pub(crate) struct Client {
    stream: TcpStream,
    random: Random,
    token: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, random: Random(0x9e37_79b9_7f4a_7c15), token: String::new() })
    }

    /// As somebody who has an account.
    pub(crate) fn log_in(&mut self, email: &str, password: &str) -> Result<()> {
        let form = format!("username={}&password={}", email.replace('@', "%40"), password.replace(' ', "+"));
        let (_, answer) = self.send(&Request::form("/auth/jwt/login", &form).bytes())?;
        let body = answer.split_once('{').map(|(_, body)| format!("{{{body}")).context("no login")?;
        let body: serde_json::Value = serde_json::from_str(&body)?;
        self.token = body.get("access_token").and_then(serde_json::Value::as_str).context("no token")?.to_owned();
        Ok(())
    }

    /// So many answers of each kind, after a tenth of that which does not count.
    pub(crate) fn measure(
        &mut self,
        kinds: &[Kind],
        samples: usize,
        request: fn(&Draw<'_>) -> Request,
    ) -> Result<Waits> {
        let mut waits: Waits = kinds.iter().map(|kind| (*kind, Vec::with_capacity(samples))).collect();
        let mut warm_up = samples * kinds.len() / 10;
        let mut shape = None;
        while waits.iter().any(|(_, waits)| waits.len() < samples) {
            let index = self.random.below(kinds.len() as u64) as usize;
            let Some((kind, waits)) = waits.get_mut(index) else { continue };
            let email = kind.email(self.random.below(100_000_000));
            let token = self.token.clone();
            let (wait, answer) = self.send(&request(&Draw { kind: *kind, email: &email, token: &token }).bytes())?;
            // What the answer says must not differ either; one that repeats the address, or makes an id, has its length.
            let is_like = |expected: &String| expected.get(..12) == answer.get(..12) && expected.len() == answer.len();
            let expected = shape.get_or_insert_with(|| answer.clone());
            ensure!(is_like(expected), "{answer} where others get {expected}");
            if warm_up > 0 {
                warm_up -= 1;
            } else if waits.len() < samples {
                waits.push(wait);
            }
        }
        Ok(waits)
    }

    /// How long the answer took from the last byte written to the first one read, and its status and body.
    fn send(&mut self, request: &[u8]) -> Result<(f64, String)> {
        self.stream.write_all(request)?;
        let start = Instant::now();
        let mut buffer = vec![0; 16 << 10];
        let mut length = self.stream.read(&mut buffer)?;
        let wait = start.elapsed().as_secs_f64() * 1e6;
        loop {
            let text = std::str::from_utf8(buffer.get(..length).context("too long")?)?;
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if body.len() == announced.map_or(Ok(0), str::parse)? {
                    let status = head.lines().next().unwrap_or_default();
                    return Ok((wait, format!("{status} {body}")));
                }
            }
            let more = self.stream.read(buffer.get_mut(length..).context("too long")?)?;
            ensure!(more > 0, "the connection was closed");
            length += more;
        }
    }
}

/// SplitMix64: the order need not be secret, and is the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
