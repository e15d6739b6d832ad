//! `secateur pull` when it is stopped, disturbed or short of room, and when it is not alone.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use secateur_tests::binary;
use secateur_tests::fixtures::fixture;
use secateur_tests::hub_client::{Home, ran};
use secateur_tests::hub_server::{Fault, HubModel};
use secateur_tests::random::Random;

const REPO: &str = "org/model";

/// More than two pieces of a large file.
const LARGE: usize = (70 << 20) + 321;

fn random_bytes(length: usize) -> Arc<[u8]> {
    let mut random = Random::new(length as u64);
    let bytes: Vec<u8> =
        (0..length.div_ceil(8)).flat_map(|_| random.bits().to_le_bytes()).take(length).collect();
    bytes.into()
}

fn home(weights: usize) -> Home {
    let home = Home::new();
    let model =
        HubModel::new('c').with("config.json", b"{}").with_large("model.safetensors", random_bytes(weights));
    home.server.add(REPO, model);
    home
}

fn assert_whole(home: &Home, weights: usize) {
    let path = home.repo(REPO).join("snapshots").join("c".repeat(40)).join("model.safetensors");
    assert!(fs::read(path).unwrap() == *random_bytes(weights));
    assert!(home.files().iter().all(|file| !file.contains("incomplete")), "{:?}", home.files());
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

/// Bytes of the weights that the server was asked for.
fn asked_bytes(home: &Home, size: u64) -> u64 {
    let requests = home.server.take_requests();
    let length = |range: Option<(u64, Option<u64>)>| match range {
        Some((first, last)) => last.map_or(size, |last| last + 1) - first,
        None => size,
    };
    requests.iter().filter(|request| request.is_storage).map(|request| length(request.range)).sum()
}

#[test]
fn ctrl_c_leaves_what_has_come_and_ends_with_130() {
    let mut home = home(LARGE);
    home.set("HF_HUB_DOWNLOAD_TIMEOUT", "30");
    home.server.fail("model.safetensors", Fault::Stall(4_000_000), 9);
    let mut child = home.start(&["pull", REPO]);
    while !home.server.requests().iter().any(|request| request.is_storage) {
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(300));
    let pressed = Instant::now();
    signal("-INT", child.id());
    child.wait().unwrap();
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert!(ran.stderr.contains("run the same command again to go on"), "{}", ran.stderr);
    assert!(!home.repo(REPO).join("refs").exists());

    home.server.repair();
    home.server.take_requests();
    home.pull(&[REPO]);
    assert_whole(&home, LARGE);
    assert!(asked_bytes(&home, LARGE as u64) <= LARGE as u64 - 4_000_000, "what had come came again");
}

#[test]
fn ctrl_c_is_heard_while_the_hub_says_nothing() {
    let mut home = home(1000);
    home.set("HF_HUB_DOWNLOAD_TIMEOUT", "30");
    home.server.fail("api", Fault::Stall(0), 9);
    let child = home.start(&["pull", REPO]);
    while home.server.requests().is_empty() {
        sleep(Duration::from_millis(10));
    }
    let pressed = Instant::now();
    signal("-INT", child.id());
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
}

#[test]
fn a_process_killed_at_any_byte_is_gone_on_with() {
    let home = home(LARGE);
    let mut random = Random::new(7);
    // slow enough that each kill hits a running process
    for _ in 0..12 {
        home.server.repair();
        home.server.fail("model.safetensors", Fault::Slow(100_000, Duration::from_millis(20)), 99);
        let mut child = home.start(&["pull", REPO, "--quiet"]);
        sleep(Duration::from_millis(50 + random.bits() % 300));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it was done before it was killed");
    }
    home.server.repair();
    let before = home.pull(&[REPO, "--dry-run"]);
    let missing = before["missing_bytes"].as_u64().unwrap();
    assert!(missing < LARGE as u64, "twelve runs brought nothing");
    home.server.take_requests();
    home.pull(&[REPO]);
    assert_whole(&home, LARGE);
    let weights = asked_bytes(&home, LARGE as u64);
    assert!(weights <= missing, "{weights} bytes were asked for, {missing} were missing");
    // and once it is finished, nothing is asked for
    home.pull(&[REPO]);
    assert_eq!(asked_bytes(&home, LARGE as u64), 0);
}

#[test]
fn a_terminal_sees_bytes_rate_and_remaining_time() {
    let home = home(20 << 20);
    home.server.fail("model.safetensors", Fault::Slow(1 << 20, Duration::from_millis(60)), 9);
    let script = "import os, pty, sys\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))\n";
    let mut command = home.command(&fixture("venv/bin/python"));
    command.args(["-c", script]).arg(binary::path()).args(["pull", REPO]).stdin(Stdio::null());
    let terminal = ran(&command.output().unwrap());
    assert_eq!(terminal.code, 0, "{}", terminal.stdout);
    let is_bar = |text: &str| {
        let lines = text.split('\r').filter(|line| line.contains(" MB of 20.97 MB"));
        lines.filter(|line| line.contains("MB/s") && line.contains("left")).count() > 1
    };
    assert!(is_bar(&terminal.stdout), "{}", terminal.stdout);
    // and what is no terminal sees none
    let again = self::home(1000).run(&["pull", REPO]);
    assert!(!again.stderr.contains('\r') && !again.stderr.contains("left"), "{}", again.stderr);
}

#[test]
fn two_processes_share_the_work() {
    let home = home(LARGE);
    // slow enough that both are there at the same time
    home.server.fail("model.safetensors", Fault::Slow(1 << 20, Duration::from_millis(20)), 99);
    let children = [home.start(&["pull", REPO]), home.start(&["pull", REPO])];
    for child in children {
        let ran = ran(&child.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
    assert_whole(&home, LARGE);
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for request in home.server.requests().into_iter().filter(|request| request.is_storage) {
        *counts.entry(request.range).or_default() += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|&count| count == 1), "{counts:?}");
}

#[test]
fn a_lock_of_python_is_waited_for() {
    let home = home(1_000_000);
    let locks = home.cache().join(".locks/models--org--model");
    fs::create_dir_all(&locks).unwrap();
    let sha256 = home.pull(&[REPO, "--dry-run"]);
    assert_eq!(sha256["missing_bytes"], 1_000_002);
    let etag = {
        let model = HubModel::new('c').with_large("x", random_bytes(1_000_000));
        model.files["x"].etag().to_owned()
    };
    let script = "import filelock, sys, time\n\
                  with filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()\n";
    let mut python = Command::new(fixture("venv/bin/python"))
        .args(["-c", script])
        .arg(locks.join(format!("{etag}.lock")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 4];
    std::io::Read::read_exact(python.stdout.as_mut().unwrap(), &mut word).unwrap();
    let child = home.start(&["pull", REPO]);
    sleep(Duration::from_millis(700));
    assert!(!home.server.requests().iter().any(|request| request.is_storage), "the lock was not respected");
    drop(python.stdin.take());
    python.wait().unwrap();
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("waiting for another process that fetches `model.safetensors`"),
        "{}",
        ran.stderr
    );
    assert_whole(&home, 1_000_000);
}

#[test]
fn a_full_disk_is_said_and_what_has_come_is_kept() {
    let home = home(LARGE);
    // writing fails from 40 MiB on, with an error in place of a signal
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", (40 << 20) / 512);
    let output = home
        .command(Path::new("sh"))
        .args(["-c", &limited])
        .arg(binary::path())
        .args(["pull", REPO])
        .output()
        .unwrap();
    let ran = ran(&output);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("the cache cannot be written"), "{}", ran.stderr);
    assert!(ran.stderr.contains("make room"), "{}", ran.stderr);
    let missing = home.pull(&[REPO, "--dry-run"])["missing_bytes"].as_u64().unwrap();
    assert!(missing < LARGE as u64, "nothing was kept");
    home.pull(&[REPO]);
    assert_whole(&home, LARGE);
}

/// A command with a file system of its own.
fn with_own_mounts(home: &Home, script: &str) -> Command {
    let allowed =
        Command::new("unshare").args(["-rm", "true"]).output().is_ok_and(|output| output.status.success());
    assert!(
        allowed,
        "this test needs user namespaces: util-linux' unshare, and sysctl user.max_user_namespaces"
    );
    let mut command = home.command(Path::new("unshare"));
    command.args(["-rm", "sh", "-c", script]).arg(binary::path()).arg(home.path());
    command
}

#[test]
fn a_disk_without_room_is_one_sentence() {
    let home = home(LARGE);
    let script = "mount -t tmpfs -o size=60M none \"$1\"; \"$0\" pull org/model";
    let mut command = with_own_mounts(&home, script);
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("bytes are to be fetched and"), "{}", ran.stderr);

    // enough room at first, and somebody else takes it
    let script = "mount -t tmpfs -o size=90M none \"$1\"; \"$0\" pull org/model & \
                  sleep 0.6; head -c 60000000 /dev/zero > \"$1/other\"; wait $!";
    home.server.fail("model.safetensors", Fault::Slow(1 << 20, Duration::from_millis(60)), 99);
    let ran = self::ran(&with_own_mounts(&home, script).output().unwrap());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
}

#[test]
fn a_cache_that_cannot_be_written_can_be_read() {
    let home = home(1_000_000);
    home.pull(&[REPO]);
    home.server
        .add("org/other", HubModel::new('d').with("config.json", b"{}").with_large("m.gguf", *b"GGUF"));
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,ro,bind \"$1\" && \
                  { \"$0\" pull org/model && \"$0\" pull org/other; }";
    let mut command = with_own_mounts(&home, script);
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stdout.contains("model.safetensors"), "what is there is found: {}", ran.stderr);
    assert!(
        ran.stderr.contains("Read-only file system") && ran.stderr.contains("HF_HUB_CACHE"),
        "{}",
        ran.stderr
    );
}
