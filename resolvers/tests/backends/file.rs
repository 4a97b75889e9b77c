//! Files that are written, replaced, spoilt and deleted.

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use actor_resolvers::FileResolver;
use actor_runtime::{BoxStream, Namespace, ResolveError, ResolveResult, Resolver};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::server::{Folder, example, until};

type Watched = BoxStream<'static, Result<ResolveResult, ResolveError>>;

/// A file of actors in a folder of its own.
struct Actors {
    _folder: Folder,
    path: PathBuf,
}

impl Actors {
    fn new() -> Self {
        let folder = Folder::new("file");
        Self { path: folder.path().join("actors.toml"), _folder: folder }
    }

    fn resolver(&self) -> FileResolver {
        FileResolver::new(&self.path).poll_every(Duration::from_millis(20))
    }

    /// Writes it in place.
    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.path, text).expect("a file");
    }

    /// Writes another one and renames it.
    fn replace(&self, text: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, text).expect("a file");
        fs::rename(new, &self.path).expect("a file");
    }
}

fn calc(ports: &[u16]) -> String {
    let addresses: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!("[calc]\nendpoints = [{}]\n", addresses.join(", "))
}

fn ports(result: &ResolveResult) -> Vec<u16> {
    let port = |text: String| text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    result.endpoints.iter().map(|endpoint| port(endpoint.address.to_string())).collect()
}

async fn ask(file: &FileResolver) -> Result<ResolveResult, String> {
    file.resolve(&Namespace::local(), "calc").await.map_err(|error| error.to_string())
}

async fn next(watched: &mut Watched) -> Result<ResolveResult, String> {
    let next = timeout(Duration::from_secs(20), watched.next()).await.expect("a result in time");
    next.expect("a watch without an end").map_err(|error| error.to_string())
}

fn watch(file: &FileResolver) -> Watched {
    file.watch(&Namespace::local(), "calc")
}

#[tokio::test]
async fn a_file_that_is_renamed_or_written_is_read_anew() {
    let actors = Actors::new();
    actors.write(calc(&[1]));
    let file = actors.resolver();
    let mut watched = watch(&file);
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1]);
    actors.replace(&calc(&[1, 2]));
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1, 2]);
    actors.write(calc(&[3, 2]));
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [3, 2]);
    assert_eq!(ports(&ask(&file).await.unwrap()), [3, 2]);
    let other = file.resolve(&Namespace::local(), "other").await.unwrap();
    assert_eq!(other.known, ["\"calc\" in <local>"]);
}

#[tokio::test]
async fn what_is_written_piece_by_piece_is_not_seen_half() {
    let actors = Actors::new();
    actors.write(calc(&[1]));
    let mut watched = watch(&actors.resolver());
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1]);
    let all: Vec<u16> = (100..150).collect();
    for pieces in 0..=all.len() {
        // Each piece is a file that can be read.
        actors.write(if pieces == 0 { String::new() } else { calc(&all[..pieces]) });
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ports(&next(&mut watched).await.unwrap()), all);
}

#[tokio::test]
async fn a_file_that_never_stays_the_same_is_a_failure() {
    let actors = Actors::new();
    actors.write(calc(&[1]));
    let file = actors.resolver();
    let mut watched = watch(&file);
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1]);
    let writing = async {
        for port in 2.. {
            actors.replace(&calc(&[port]));
            sleep(Duration::from_millis(5)).await;
        }
    };
    let result = tokio::select! {
        result = next(&mut watched) => result.unwrap(),
        () = writing => unreachable!(),
    };
    assert_eq!(ports(&result), [1]);
    assert!(result.stale.unwrap().reason.contains("changes all the time"));
    assert_eq!(next(&mut watched).await.unwrap().stale, None);
}

#[tokio::test]
async fn a_symlink_that_is_swapped_is_followed() {
    let actors = Actors::new();
    let folder = actors.path.parent().expect("its folder");
    // As Kubernetes mounts a ConfigMap.
    for (version, port) in [("first", 1), ("second", 2)] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("actors.toml"), calc(&[port])).unwrap();
    }
    symlink("first", folder.join("..data")).unwrap();
    symlink("..data/actors.toml", &actors.path).unwrap();
    let mut watched = watch(&actors.resolver());
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1]);
    symlink("second", folder.join("..new")).unwrap();
    fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    fs::remove_dir_all(folder.join("first")).unwrap();
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [2]);
}

/// What is there is served while the file is such, and the file again after it.
async fn serves_the_last_good_one(spoil: impl FnOnce(&Actors), reason: &str) {
    let actors = Actors::new();
    actors.write(calc(&[1]));
    let file = actors.resolver();
    let mut watched = watch(&file);
    assert_eq!(ports(&next(&mut watched).await.expect("a result")), [1]);
    spoil(&actors);
    let result = next(&mut watched).await.expect("a result");
    assert_eq!(ports(&result), [1]);
    let stale = result.stale.expect("a stale result");
    assert!(stale.reason.contains(reason), "{stale}");
    until("its age grows", async || {
        let stale = ask(&file).await.expect("a result").stale.expect("a stale result");
        stale.age > Duration::from_millis(300)
    })
    .await;
    drop((fs::remove_file(&actors.path), fs::remove_dir(&actors.path)));
    let began = Instant::now();
    actors.write(calc(&[1, 2]));
    loop {
        let result = next(&mut watched).await.expect("a result");
        if result.stale.is_none() {
            assert_eq!(ports(&result), [1, 2]);
            break;
        }
    }
    eprintln!("{reason:?}: fresh {:.1?} after the file was good again", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_file_that_is_deleted_is_missed_until_it_returns() {
    let delete = |actors: &Actors| fs::remove_file(&actors.path).unwrap();
    serves_the_last_good_one(delete, "cannot be read: No such file or directory").await;
}

#[tokio::test]
async fn wrong_toml_says_where() {
    let wrong = |actors: &Actors| actors.write("[calc]\nendpoints = [\n  1,\n  =\n");
    serves_the_last_good_one(wrong, "is no TOML at line 4, column 3: ").await;
}

#[tokio::test]
async fn an_empty_file_is_no_empty_set() {
    serves_the_last_good_one(|actors| actors.write(""), "is empty; if there are no actors").await;
}

#[tokio::test]
async fn a_huge_file_is_not_read() {
    let huge = |actors: &Actors| actors.write(calc(&[2]) + &"# a comment\n".repeat(400_000));
    serves_the_last_good_one(huge, "it has more than 4194304 bytes").await;
}

#[tokio::test]
async fn a_folder_in_its_place_is_a_failure() {
    let folder = |actors: &Actors| {
        fs::remove_file(&actors.path).unwrap();
        fs::create_dir(&actors.path).unwrap();
    };
    serves_the_last_good_one(folder, "is a directory").await;
}

#[tokio::test]
async fn a_pipe_in_its_place_is_a_failure() {
    let pipe = |actors: &Actors| {
        fs::remove_file(&actors.path).unwrap();
        let made = Command::new("mkfifo").arg(&actors.path).status().unwrap();
        assert!(made.success());
    };
    serves_the_last_good_one(pipe, "it is no regular file").await;
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_an_error_and_then_an_answer() {
    let actors = Actors::new();
    let file = actors.resolver();
    let error = ask(&file).await.unwrap_err();
    let path = format!("{:?}", actors.path);
    assert!(error.contains(&path) && error.contains("cannot be read: No such file"), "{error}");
    let mut watched = watch(&file);
    assert!(next(&mut watched).await.is_err());
    actors.write("# nobody yet\n");
    assert!(next(&mut watched).await.unwrap().is_empty());
    actors.write(calc(&[1]));
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1]);
}

#[tokio::test]
async fn one_that_was_changed_reads_beside_the_other() {
    let actors = Actors::new();
    actors.write(calc(&[1]));
    let file = actors.resolver();
    let other = file.clone().poll_every(Duration::from_millis(30));
    for port in 1..10 {
        actors.write(calc(&[port]));
        for file in [&file, &other] {
            until("both read it", async || ports(&ask(file).await.expect("an answer")) == [port]).await;
            assert_eq!(ask(file).await.unwrap().stale, None);
        }
    }
}

#[tokio::test]
async fn changes_are_told_within_the_second_in_which_it_is_read() {
    let actors = Actors::new();
    actors.write(calc(&[1]));
    let mut watched = watch(&FileResolver::new(&actors.path));
    assert_eq!(ports(&next(&mut watched).await.unwrap()), [1]);
    let mut times = Vec::new();
    for port in 2..22 {
        sleep(Duration::from_millis(u64::from(port) * 97 % 500)).await;
        let began = Instant::now();
        actors.replace(&calc(&[port]));
        assert_eq!(ports(&next(&mut watched).await.unwrap()), [port]);
        times.push(began.elapsed());
    }
    times.sort();
    eprintln!("a change of a file is told after {:.2?} (half of 20), {:.2?} (all)", times[9], times[19]);
    assert!(times[19] < Duration::from_secs(2));
}

#[tokio::test]
async fn the_examples_tell_their_stories() {
    let run = async |name: &str| {
        let mut program = tokio::process::Command::new(example(name));
        let output = timeout(Duration::from_secs(60), program.kill_on_drop(true).output()).await;
        let output = output.expect("an example that ends").expect("an example that runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let file = run("file").await;
    let (ada, grace) = (file.find("the desk is Ada's"), file.find("the desk is Grace's"));
    assert!(ada.is_some() && ada < grace, "{file}");
    let chain = run("chain").await;
    for line in [
        "  calc: actor://10.0.0.1:7000/calc\n    although the file",
        "some failed, and the others have nothing: the file",
        "  calc: actor://127.0.0.1:7000/calc\n",
        "  store: actor://10.0.0.1:7001/store\n",
        "  calc: actor://127.0.0.1:7000/calc, actor://10.0.0.1:7000/calc\n",
    ] {
        assert!(chain.contains(line), "{line:?} is not in\n{chain}");
    }
}
