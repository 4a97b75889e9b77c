use std::process::{Command, Stdio};

use super::*;

/// A state directory that goes away.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique("actor-trust-test"));
        make_private(false, &path).unwrap();
        Self(path)
    }

    fn directory(&self) -> PathBuf {
        self.0.join("development-trust")
    }

    /// The names in a directory of it.
    fn entries(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn own(trust: &Trust) -> String {
    trust.identity().certificate_pem()
}

/// What so many threads find that ask at once.
fn at_once(threads: usize, directory: &Path) -> Vec<String> {
    std::thread::scope(|scope| {
        let open = || own(&Trust::development_in(directory).unwrap());
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn it_is_made_once_and_found_again() {
    let state = State::new();
    let first = Trust::development_in(&state.directory()).unwrap();
    let second = Trust::development_in(&state.directory()).unwrap();
    assert_eq!(own(&first), own(&second));
    assert_eq!(first.identity().names(), ["localhost", "127.0.0.1", "::1"]);
    assert_eq!(State::entries(&state.0), ["development-trust"]);
    assert_eq!(State::entries(&state.directory()), [FILE]);
}

#[test]
fn threads_that_come_at_once_find_the_same_one() {
    for _ in 0..8 {
        let state = State::new();
        let mut found = at_once(16, &state.directory());
        found.dedup();
        assert_eq!(found.len(), 1);
        assert_eq!(State::entries(&state.0), ["development-trust"], "nothing is left behind");
    }
}

const CHILD: &str = "ACTOR_TEST_DEVELOPMENT_TRUST";

#[test]
fn processes_that_come_at_once_find_the_same_one() {
    if let Some(directory) = std::env::var_os(CHILD) {
        println!("found:{:?}", own(&Trust::development_in(Path::new(&directory)).unwrap()));
        return;
    }
    let state = State::new();
    let name = std::thread::current().name().unwrap().to_owned();
    let start = |_| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--nocapture"]).env(CHILD, state.directory());
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(start).collect();
    let found = children.into_iter().map(|child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        // The harness may have written on the same line before.
        text.lines().find_map(|line| line.split_once("found:")).unwrap().1.to_owned()
    });
    let mut found: Vec<_> = found.collect();
    assert_eq!(found.len(), 8);
    found.dedup();
    assert_eq!(found.len(), 1);
}

#[test]
fn in_its_last_month_it_is_made_anew_once() {
    let now = clock::calendar();
    let last_days = now - 300 * DAY..now + 29 * DAY;
    let over = now - 300 * DAY..now - DAY;
    for validity in [last_days, over] {
        let state = State::new();
        let Found::Old = create(&state.directory(), validity).unwrap() else { panic!("not old") };
        // As a process leaves it that ends in the middle.
        fs::write(state.directory().join("trust.pem.new"), "half").unwrap();
        let before = fs::read_to_string(state.directory().join(FILE)).unwrap();

        let mut found = at_once(16, &state.directory());
        found.dedup();
        assert_eq!(found.len(), 1);
        assert!(!before.contains(&found[0]));
        assert_eq!(State::entries(&state.directory()).len(), 2, "the file and the lock");
    }
}

#[test]
fn one_that_is_not_valid_yet_is_not_replaced() {
    let state = State::new();
    let now = clock::calendar();
    let error = create(&state.directory(), now + DAY..now + 100 * DAY).map(drop).unwrap_err();
    assert!(matches!(error, TrustError::Broken { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_use_it() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let state = State::new();
    // Parents that are not there are made too, and are as private.
    let directory = state.0.join("a/b/development-trust");
    Trust::development_in(&directory).unwrap();
    assert_eq!([&state.0.join("a"), &state.0.join("a/b"), &directory].map(|path| mode(path)), [0o700; 3]);
    let file = directory.join(FILE);
    assert_eq!(mode(&file), 0o600);

    for (path, good, bad) in
        [(&file, 0o600, [0o644, 0o640, 0o620]), (&directory, 0o700, [0o755, 0o710, 0o702])]
    {
        for bad in bad {
            allow(path, bad);
            let error = Trust::development_in(&directory).unwrap_err();
            assert_eq!(error, TrustError::Exposed { path: path.clone(), mode: bad });
        }
        allow(path, good);
    }
    assert!(Trust::development_in(&directory).is_ok());
}

/// Only the superuser can give files away: elsewhere this says nothing.
#[cfg(unix)]
#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let state = State::new();
    let directory = state.directory();
    Trust::development_in(&directory).unwrap();
    for path in [directory.join(FILE), directory.clone()] {
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            return;
        }
        let error = Trust::development_in(&directory).unwrap_err();
        assert_eq!(error, TrustError::Foreign { path: path.clone(), owner: 12_345 });
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_directory_is_refused() {
    let state = State::new();
    make_private(false, &state.0.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(state.0.join("elsewhere"), state.directory()).unwrap();
    let error = Trust::development_in(&state.directory()).unwrap_err();
    assert!(matches!(error, TrustError::File { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_cut_off_is_refused_with_the_directory_to_remove() {
    let state = State::new();
    let directory = state.directory();
    let good = Trust::development_in(&directory).unwrap();
    let file = directory.join(FILE);
    let whole = fs::read(&file).unwrap();
    for length in (0..whole.len() - 1).step_by(41) {
        fs::write(&file, &whole[..length]).unwrap();
        let error = Trust::development_in(&directory).unwrap_err();
        assert!(matches!(error, TrustError::Broken { .. }), "{error:?}");
        assert!(error.to_string().contains(&*directory.to_string_lossy()), "{error}");
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(own(&Trust::development_in(&directory).unwrap()), own(&good));
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let state = State::new();
    let directory = state.directory();
    Trust::development_in(&directory).unwrap();
    let file = directory.join(FILE);
    let [ours, theirs] = [0, 1].map(|_| Authority::new("x").unwrap());
    let mine = ours.issue([HOST]).unwrap();
    for content in [
        mine.certificate_pem() + &theirs.certificate_pem() + &mine.key_pem(),
        mine.certificate_pem() + &ours.certificate_pem() + &theirs.issue([HOST]).unwrap().key_pem(),
        mine.certificate_pem() + &mine.key_pem(),
    ] {
        fs::write(&file, content).unwrap();
        let error = Trust::development_in(&directory).unwrap_err();
        assert!(matches!(error, TrustError::Broken { .. }), "{error:?}");
    }
}

#[test]
fn a_directory_without_the_file_is_refused_if_other_things_are_in_it() {
    let state = State::new();
    make_private(false, &state.directory()).unwrap();
    File::create(state.directory().join("else")).unwrap();
    let error = Trust::development_in(&state.directory()).unwrap_err();
    assert!(matches!(error, TrustError::Broken { .. }), "{error:?}");
    assert_eq!(State::entries(&state.0), ["development-trust"]);
}

#[test]
fn it_serves_loopback_addresses_only() {
    let state = State::new();
    let trust = Trust::development_in(&state.directory()).unwrap();
    assert!(trust.is_development());
    for good in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
        trust.check_address(good.parse().unwrap()).unwrap();
    }
    for bad in ["0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "fe80::1", "::ffff:10.0.0.1"] {
        let address = bad.parse().unwrap();
        assert_eq!(trust.check_address(address), Err(TrustError::NotLoopback { address }));
    }

    let authority = Authority::new("test").unwrap();
    let real = Trust::builder().identity(authority.issue(["a"]).unwrap()).authority(&authority);
    let real = real.build().unwrap();
    assert!(!real.is_development());
    real.check_address("10.0.0.1".parse().unwrap()).unwrap();
}

#[test]
fn its_authority_is_believed_for_loopback_names_only() {
    let validity = from_now(DAY);
    let authority = Authority::generate("test".into(), Reach::Loopback, validity).unwrap();
    for (names, good) in [
        ([HOST, "127.0.0.1"], true),
        ([HOST, "127.0.0.9"], true),
        ([HOST, "::1"], true),
        ([HOST, "10.0.0.1"], false),
        ([HOST, "::2"], false),
        ([HOST, "node.example"], false),
    ] {
        let trust = Trust::builder().identity(authority.issue(names).unwrap()).authority(&authority);
        let trust = trust.build().unwrap();
        assert_eq!(trust.is_valid_for(trust.identity().chain(), HOST), good, "{names:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_environment_says_where_it_is() {
    let found = |windows, variables: &[(&str, &str)]| {
        directory_from(windows, |name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
        })
    };
    let all = [("ACTOR_STATE_DIR", "/s"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h"), ("LOCALAPPDATA", "/l")];
    assert_eq!(found(false, &all).unwrap(), Path::new("/s/development-trust"));
    assert_eq!(found(true, &all).unwrap(), Path::new("/s/development-trust"));
    assert_eq!(found(false, &all[1..]).unwrap(), Path::new("/x/actor/development-trust"));
    assert_eq!(found(false, &all[2..]).unwrap(), Path::new("/h/.local/state/actor/development-trust"));
    assert_eq!(found(true, &all[1..]).unwrap(), Path::new("/l/actor/development-trust"));
    assert_eq!(
        found(false, &[("XDG_STATE_HOME", "x"), ("HOME", "/h")]).unwrap(),
        Path::new("/h/.local/state/actor/development-trust")
    );

    let nowhere = found(false, &[("LOCALAPPDATA", "/l")]).unwrap_err();
    assert!(matches!(nowhere, TrustError::NoStateDirectory { .. }));
    assert!(nowhere.to_string().contains("set HOME or ACTOR_STATE_DIR"), "{nowhere}");
    let nowhere = found(true, &[("HOME", "/h")]).unwrap_err();
    assert!(nowhere.to_string().contains("set LOCALAPPDATA"), "{nowhere}");
    let relative = found(false, &[("ACTOR_STATE_DIR", "s"), ("HOME", "/h")]).unwrap_err();
    assert_eq!(relative, TrustError::RelativeStateDirectory { path: "s".into() });
}
