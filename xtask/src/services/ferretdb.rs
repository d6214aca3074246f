//! FerretDB: the protocol of MongoDB over PostgreSQL with DocumentDB. It is another implementation than that beside it, with other
//! limits: no transactions, no unique index with a collation.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::{
    Kind, Server,
    home::{Home, free_ports},
    mongodb::answers_ping,
};

pub(super) const FERRETDB: Kind =
    Kind { name: "FerretDB", variables: &["AXUM_USERS_TEST_FERRETDB_URL"], start, replaceable: Some("ferret") };

const INSTALL: &str = include_str!("ferretdb-install.sh");

/// What PostgreSQL needs to hold documents, and as little durability as possible.
const SETTINGS: &str = "
shared_preload_libraries = 'pg_cron, pg_documentdb_core, pg_documentdb'
cron.database_name = 'postgres'
cron.use_background_workers = on
cron.log_statement = off
cron.log_run = off
documentdb_core.enableCollation = on
documentdb.enableCollationWithNonUniqueOrderedIndexes = on
max_connections = 200
max_worker_processes = 20
fsync = off
timezone = 'UTC'
";

/// Expired documents go after seconds instead of a minute.
const SETUP: &str = "SET client_min_messages = warning; CREATE EXTENSION documentdb CASCADE; \
    DO $$ BEGIN PERFORM cron.alter_job(jobid, schedule := '2 seconds') FROM cron.job WHERE jobname LIKE '%ttl%'; END $$";

fn start(home: &Home) -> Result<Server> {
    let installed = install(home)?;
    let bin = installed.join("root/usr/lib/postgresql/18/bin");
    let (data, folder) = (home.path("data"), home.path(""));
    let folder = folder.to_string_lossy().trim_end_matches('/').to_owned();
    let initdb =
        ["--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync", "--no-instructions"];
    let arguments = [words(&["-D"]), vec![data.clone().into_os_string()], words(&initdb)].concat();
    home.run(&bin.join("initdb"), &borrowed(&arguments))?;
    home.append("data/postgresql.conf", SETTINGS)?;

    // No port at all: FerretDB and the extension find it by its socket in this folder.
    let settings = [
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={folder}"),
        format!("documentdb.localhost_connection_string=host={folder}"),
    ];
    let mut arguments = vec![OsString::from("-D"), data.into_os_string()];
    arguments.extend(settings.iter().flat_map(|setting| [OsString::from("-c"), setting.into()]));
    let psql = |command: &str| words(&["-q", "-h", &folder, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-c", command]);
    let is_up = || home.run(&bin.join("psql"), &borrowed(&psql("SELECT 1"))).is_ok();
    let postgres = home.serve(&bin.join("postgres"), &borrowed(&arguments), Signal::INT, is_up)?;
    home.run(&bin.join("psql"), &borrowed(&psql(SETUP)))?;

    let [port] = free_ports()?;
    let arguments = words(&[
        "--no-auth",
        "--telemetry=disable",
        &format!("--state-dir={folder}"),
        "--debug-addr=-",
        &format!("--listen-addr=127.0.0.1:{port}"),
        &format!("--postgresql-url=postgres://postgres@/postgres?host={folder}"),
    ]);
    let ready = || answers_ping(port);
    let ferretdb = home.serve(&installed.join("bin/ferretdb"), &borrowed(&arguments), Signal::TERM, ready)?;
    Ok(Server { processes: vec![ferretdb, postgres], values: vec![format!("mongodb://127.0.0.1:{port}/")] })
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

fn borrowed(words: &[OsString]) -> Vec<&OsStr> {
    words.iter().map(AsRef::as_ref).collect()
}

/// Minutes when it is not there yet; so it is kept where the next run finds it.
fn install(home: &Home) -> Result<PathBuf> {
    let folder = env::temp_dir().join("axum-users-ferretdb-2.7.0");
    let script = home.write("install.sh", INSTALL)?;
    // As ourselves, with our environment: it says where packages come from. The servers only read them.
    let log = File::options().create(true).append(true).open(home.path("log"))?;
    let mut command = Command::new("bash");
    command.arg(&script).arg(&folder).stdout(log.try_clone()?).stderr(log);
    if !command.status().context("cannot run bash")?.success() {
        bail!("it could not be installed\n{}", home.log_tail());
    }
    is_ours(&folder)?;
    Ok(folder)
}

/// That nobody else made what is about to be run.
fn is_ours(folder: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(folder)?.uid();
    if owner != rustix::process::getuid().as_raw() {
        bail!("{} belongs to somebody else", folder.display());
    }
    Ok(())
}
