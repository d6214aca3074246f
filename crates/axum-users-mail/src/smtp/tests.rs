//! A server that says what it is told to, line by line.

use axum_users_core::{
    Email, Secret,
    mail::{MailKind, Mailer as _},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::*;

const ADDRESS: &str = "arthur@camelot.bt";

/// What a server answers, command by command; `...` is silence.
struct Script {
    listener: TcpListener,
    mailer: SmtpMailer,
}

impl Script {
    async fn new(deadline: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let mailer = SmtpMailer::builder(url, templates()).deadline(deadline).build().unwrap();
        Self { listener, mailer }
    }

    async fn accept(&self) -> BufReader<TcpStream> {
        BufReader::new(self.listener.accept().await.unwrap().0)
    }
}

fn templates() -> MailTemplates {
    MailTemplates::builder("noreply@camelot.bt", "https://users.camelot.bt").build().unwrap()
}

fn mail() -> Mail {
    let to = Email::parse(ADDRESS).unwrap();
    Mail::new(MailKind::ResetPassword, to, Some(Secret::from("token".to_owned())), "key")
}

/// Says these lines, one before each command of the client; the commands.
async fn converse(stream: &mut BufReader<TcpStream>, answers: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    for answer in answers {
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        if answer.starts_with("221") {
            break;
        }
        let mut command = String::new();
        if stream.read_line(&mut command).await.unwrap_or(0) == 0 {
            break;
        }
        if answer.starts_with("354") {
            while command.trim_end() != "." {
                command.clear();
                stream.read_line(&mut command).await.unwrap();
            }
        }
        commands.push(command.trim_end().to_owned());
    }
    commands
}

const GREETING: &str = "220 mail";
const HELLO: &str = "250 mail";
const OK: &str = "250 2.0.0 yes";
const DATA: &str = "354 go on";

#[tokio::test]
async fn av_07_what_a_server_says_decides_whether_to_try_again() {
    for (answers, is_permanent) in [
        (&["554 no mail here", "221 bye"][..], false),
        (&["421 too busy", "221 bye"], false),
        (&[GREETING, HELLO, "550 5.7.1 who are you", "221 bye"], true),
        (&[GREETING, HELLO, "530 5.7.0 log in first", "221 bye"], false),
        (&[GREETING, HELLO, OK, "450 4.2.1 later", "221 bye"], false),
        (&[GREETING, HELLO, OK, "550 5.1.1 <arthur@camelot.bt> is unknown", "221 bye"], true),
        (&[GREETING, HELLO, OK, OK, "451 4.3.0 later", "221 bye"], false),
        (&[GREETING, HELLO, OK, OK, DATA, "552 5.2.2 full", "221 bye"], true),
        (&[GREETING, HELLO, OK, OK, DATA, "451 4.3.0 later", "221 bye"], false),
        (&[GREETING, HELLO, OK, OK, DATA], false),
        (&[GREETING, HELLO, "nonsense", "221 bye"], false),
    ] {
        let script = Script::new(Duration::from_secs(20)).await;
        let mail = mail();
        let serve = async {
            let mut stream = script.accept().await;
            converse(&mut stream, answers).await
        };
        let (sent, _) = tokio::join!(script.mailer.send(&mail), serve);
        let error = sent.unwrap_err();
        assert_eq!(error.is_permanent(), is_permanent, "{answers:?}: {error:?}");
        assert!(!format!("{error:?}").contains(ADDRESS), "{error:?}");
    }
}

#[tokio::test]
async fn av_07_a_server_that_falls_silent_ends_the_attempt() {
    // After how many answers it says nothing more.
    for said in 0..=5 {
        let script = Script::new(Duration::from_millis(300)).await;
        let mail = mail();
        let serve = async {
            let mut stream = script.accept().await;
            converse(&mut stream, &[GREETING, HELLO, OK, OK, DATA][..said]).await;
            stream
        };
        let (sent, _stream) = tokio::join!(script.mailer.send(&mail), serve);
        assert!(!sent.unwrap_err().is_permanent());
        assert!(
            script.mailer.0.idle.lock().unwrap().is_empty(),
            "a connection in the middle of something is not used again"
        );
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_when_it_is_gone() {
    let script = Script::new(Duration::from_secs(20)).await;
    let mail = mail();
    let serve = async {
        let mut stream = script.accept().await;
        let commands = converse(&mut stream, &[GREETING, HELLO, OK, OK, DATA, OK, OK, OK, OK, DATA, OK]).await;
        assert_eq!(commands[5], "NOOP");
        assert!(commands[6].starts_with("MAIL FROM:<noreply@camelot.bt>"), "{commands:?}");
        drop(stream);
        let mut stream = script.accept().await;
        converse(&mut stream, &[GREETING, HELLO, OK, OK, DATA]).await;
        stream.get_mut().write_all(b"250 yes\r\n").await.unwrap();
        stream
    };
    let send = async {
        for _ in 0..2 {
            script.mailer.send(&mail).await.unwrap();
        }
        // The last word to the server, which it hangs up on.
        script.mailer.send(&mail).await.unwrap();
    };
    tokio::join!(send, serve);
}

#[tokio::test]
async fn cr_07_nothing_is_said_to_a_server_without_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mailer = SmtpMailer::builder(format!("smtp://u:canary@127.0.0.1:{port}"), templates());
    let mut mailer = mailer.build().unwrap();
    // As it is for a server elsewhere.
    let tls = TlsParameters::builder("localhost".into()).build_rustls().unwrap();
    Arc::get_mut(&mut mailer.0).unwrap().encryption = Encryption::StartTls(tls);
    let mail = mail();
    let serve = async {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let answers = [GREETING, "250-mail\r\n250 AUTH PLAIN LOGIN", "221 bye"];
        let commands = converse(&mut stream, &answers).await;
        assert!(commands.iter().all(|it| it.starts_with("EHLO") || it == "QUIT"), "{commands:?}");
    };
    let (sent, ()) = tokio::join!(mailer.send(&mail), serve);
    assert!(!sent.unwrap_err().is_permanent());
}

#[test]
fn cr_07_tls_is_asked_for_wherever_the_network_is() {
    let built = |url: &str| SmtpMailer::builder(url, templates()).build().unwrap();
    assert!(matches!(built("smtp://mail.camelot.bt").0.encryption, Encryption::StartTls(_)));
    assert!(matches!(built("smtps://mail.camelot.bt").0.encryption, Encryption::Tls(_)));
    assert!(matches!(built("smtps://localhost").0.encryption, Encryption::Tls(_)));
    assert!(matches!(built("smtp://localhost").0.encryption, Encryption::None));
    let danger = SmtpMailer::builder("smtp://mail.camelot.bt", templates()).danger_plaintext(true);
    assert!(matches!(danger.build().unwrap().0.encryption, Encryption::None));
    let nowhere = SmtpMailer::builder("smtp://localhost", templates()).ca_file("/nowhere");
    assert!(matches!(nowhere.build(), Err(SmtpConfigError::CaFile { .. })));
}
