//! A replica set whose primary steps down. Its two members are proxies before one server: they say who is primary, and answer what a
//! member answers that no longer is.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum_users_core::{NewSession, Outcome, SessionId, UserChange, UserDatabase};
use axum_users_mongodb::MongoStore;
use mongodb::bson::{DateTime, Document, doc, oid};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    documents::{Plain, new},
    servers::Server,
};

const SET: &str = "camelot";
/// `OP_MSG`.
const MESSAGE: i32 = 2013;
/// Length, number, number of the request, operation; flags and the kind of the first section.
const HEAD: usize = 21;
const WRITES: [&str; 4] = ["insert", "update", "delete", "findAndModify"];

/// When the primary steps down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Before the next write: it says that it is not primary any more.
    Before,
    /// After the next write, whose answer is lost with the connection.
    After,
}

/// Two members.
struct Members {
    addresses: [String; 2],
    upstream: String,
    /// How often somebody was elected; the first member has the even terms.
    term: AtomicUsize,
    fault: Mutex<Option<Fault>>,
    /// Answers to writes, by session and number: a write that comes again is not done again. `None`: it is.
    done: Option<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Members {
    async fn start(upstream: &str, remembers: bool) -> Arc<Self> {
        let listeners =
            [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
        let members = Arc::new(Self {
            addresses,
            upstream: upstream.to_owned(),
            term: AtomicUsize::new(0),
            fault: Mutex::default(),
            done: remembers.then(Mutex::default),
        });
        for (number, listener) in listeners.into_iter().enumerate() {
            let members = Arc::clone(&members);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let members = Arc::clone(&members);
                    tokio::spawn(async move { members.serve(number, stream).await });
                }
            });
        }
        members
    }

    fn term(&self) -> usize {
        self.term.load(Ordering::SeqCst)
    }

    fn is_primary(&self, number: usize) -> bool {
        self.term() % 2 == number
    }

    /// Until either side is gone.
    async fn serve(&self, number: usize, mut client: TcpStream) -> io::Result<()> {
        let mut upstream = TcpStream::connect(&self.upstream).await?;
        loop {
            let mut request = read(&mut client).await?;
            let mut command = command_of(&request)?;
            let name = command.keys().next().cloned().unwrap_or_default();
            if ["hello", "isMaster", "ismaster"].contains(&name.as_str()) {
                client.write_all(&answer(&request, &self.hello(number))).await?;
                continue;
            }
            if !self.is_primary(number) {
                client.write_all(&answer(&request, &not_primary())).await?;
                continue;
            }
            if !WRITES.contains(&name.as_str()) {
                upstream.write_all(&request).await?;
                client.write_all(&read(&mut upstream).await?).await?;
                continue;
            }
            let fault = self.fault.lock().unwrap().take();
            if fault == Some(Fault::Before) {
                self.term.fetch_add(1, Ordering::SeqCst);
                client.write_all(&answer(&request, &not_primary())).await?;
                continue;
            }
            // The server behind is no replica set, which alone takes such numbers.
            let of_session = command.remove("txnNumber").zip(command.get("lsid").cloned());
            let kept = of_session.map(|(number, session)| format!("{session} {number}")).zip(self.done.as_ref());
            let known = kept.as_ref().and_then(|(key, done)| done.lock().unwrap().get(key).cloned());
            let done = match known {
                Some(done) => again(&request, done),
                None => {
                    request = with_command(&request, &command);
                    upstream.write_all(&request).await?;
                    read(&mut upstream).await?
                }
            };
            if let Some((key, all)) = kept {
                all.lock().unwrap().insert(key, done.clone());
            }
            if fault == Some(Fault::After) {
                self.term.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            client.write_all(&done).await?;
        }
    }

    fn hello(&self, number: usize) -> Document {
        let is_primary = self.is_primary(number);
        let mut hello = doc! {
            "ok": 1.0, "helloOk": true, "isWritablePrimary": is_primary, "ismaster": is_primary, "secondary": !is_primary,
            "setName": SET, "setVersion": 1, "hosts": self.addresses.to_vec(), "me": &self.addresses[number],
            "minWireVersion": 0, "maxWireVersion": 21, "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30, "localTime": DateTime::now(),
        };
        if is_primary {
            let mut election = [0; 12];
            election[4..].copy_from_slice(&(self.term() as u64).to_be_bytes());
            hello.insert("electionId", oid::ObjectId::from_bytes(election));
        }
        hello
    }
}

fn not_primary() -> Document {
    doc! {
        "ok": 0.0, "code": 10_107, "codeName": "NotWritablePrimary", "errmsg": "not primary",
        "errorLabels": ["RetryableWriteError"],
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message).await?;
    let length = i32::from_le_bytes(message[..4].try_into().unwrap());
    message.resize(length.try_into().unwrap(), 0);
    stream.read_exact(&mut message[4..]).await?;
    Ok(message)
}

/// The first section, which is the command.
fn command_of(request: &[u8]) -> io::Result<Document> {
    assert_eq!(request[12..16], MESSAGE.to_le_bytes());
    assert_eq!(request[HEAD - 1], 0, "the command comes first");
    Document::from_reader(&request[HEAD..]).map_err(io::Error::other)
}

/// The same with another command.
fn with_command(request: &[u8], command: &Document) -> Vec<u8> {
    let old = i32::from_le_bytes(request[HEAD..HEAD + 4].try_into().unwrap());
    let rest = &request[HEAD + usize::try_from(old).unwrap()..];
    sized([&request[..HEAD], &command.to_vec().unwrap(), rest].concat())
}

fn answer(request: &[u8], document: &Document) -> Vec<u8> {
    let head = [[0; 4], [0; 4], request[4..8].try_into().unwrap(), MESSAGE.to_le_bytes(), [0; 4]].concat();
    sized([head, vec![0], document.to_vec().unwrap()].concat())
}

/// An answer that was given before, to this request.
fn again(request: &[u8], mut done: Vec<u8>) -> Vec<u8> {
    done[8..12].copy_from_slice(&request[4..8]);
    done
}

fn sized(mut message: Vec<u8>) -> Vec<u8> {
    let length = i32::try_from(message.len()).unwrap().to_le_bytes();
    message[..4].copy_from_slice(&length);
    message
}

/// The primary steps down at every kind of write, before it and after it: every call succeeds, and does its work once. Where a server
/// does a write again that the driver sends twice, too; but who is gone is not found to be deleted then.
async fn steps_down(remembers: bool) {
    let url = Server::Mongo.empty();
    let (upstream, database) = url.strip_prefix("mongodb://").unwrap().split_once('/').unwrap();
    let members = Members::start(upstream, remembers).await;
    let set = format!("mongodb://{}/{database}?replicaSet={SET}", members.addresses.join(","));
    let store = MongoStore::<Plain>::connect(&set).await.unwrap();
    for (number, fault) in [Fault::Before, Fault::After, Fault::Before, Fault::After].into_iter().enumerate() {
        let term = members.term();
        let falls = || *members.fault.lock().unwrap() = Some(fault);
        let email = format!("a{number}@camelot.bt");
        falls();
        let user = store.create(new(&email)).await.unwrap();
        falls();
        let change = UserChange { is_verified: Some(true), ..UserChange::default() };
        let changed = store.update(&user.id, change).await.unwrap();
        assert!(matches!(changed, Outcome::Done(user) if user.is_verified), "{fault:?}");
        falls();
        let session = NewSession::of(SessionId::generate(), "jwt", 1_800_000_000, i64::MAX, None);
        assert!(store.begin_session(&user.id, session).await.unwrap(), "{fault:?}");
        assert_eq!(members.term(), term + 3, "{fault:?}: each of the three stepped down once");
        let user = store.get(&user.id).await.unwrap().unwrap();
        assert!(user.is_verified && user.email.as_str() == email);
        assert_eq!(store.sessions(&user.id).await.unwrap().len(), 1);
        if number < 2 {
            falls();
            let deleted = store.delete(&user.id, Vec::new()).await.unwrap();
            let is_found = remembers || fault == Fault::Before;
            assert_eq!(matches!(deleted, Outcome::Done(())), is_found, "{fault:?}: {deleted:?}");
            assert!(store.get(&user.id).await.unwrap().is_none());
        }
    }
    assert_eq!(store.list(None, 10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn av_03_av_05_a_step_down_is_survived() {
    steps_down(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn av_03_av_05_a_step_down_is_survived_where_writes_are_done_again() {
    steps_down(false).await;
}
