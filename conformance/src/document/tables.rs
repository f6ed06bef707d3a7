//! The tables in text.

/// A backend with a mistake.
#[derive(Debug)]
pub(super) struct BrokenBackend {
    /// The mistake in a sentence.
    pub(super) mistake: &'static str,
    /// The cases that catch it.
    pub(super) cases: Vec<&'static str>,
}

/// A suite of somebody else.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) suite: &'static str,
    pub(super) tests: Vec<PeerTest>,
}

#[derive(Debug)]
pub(super) struct PeerTest {
    pub(super) name: &'static str,
    pub(super) cases: Vec<&'static str>,
    /// What stands for a behaviour that is not there as such.
    pub(super) note: Option<&'static str>,
}

/// The lines of a table, without comments and empty ones.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Each clause in a sentence.
pub(super) fn clause_titles() -> Vec<(u8, &'static str)> {
    let numbered = |line: &'static str| {
        let (number, title) = line.split_once(' ')?;
        Some((number.parse().ok()?, title))
    };
    let titles = lines(include_str!("clauses.txt")).map(numbered);
    titles.collect::<Option<_>>().expect("each line of clauses.txt is a number and a sentence")
}

pub(super) fn broken_backends() -> Vec<BrokenBackend> {
    let mut backends: Vec<BrokenBackend> = Vec::new();
    for line in lines(include_str!("../../tests/faults/caught.txt")) {
        match (line.split_once(": "), backends.last_mut()) {
            (Some((_, mistake)), _) => backends.push(BrokenBackend { mistake, cases: Vec::new() }),
            (None, Some(backend)) => backend.cases.extend(line.split_whitespace().next()),
            (None, None) => panic!("caught.txt begins with a case: {line}"),
        }
    }
    backends
}

pub(super) fn peers() -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for line in lines(include_str!("peers.txt")) {
        if let Some(suite) = line.strip_prefix("suite ") {
            peers.push(Peer { suite, tests: Vec::new() });
            continue;
        }
        let tests = &mut peers.last_mut().expect("peers.txt begins with a suite").tests;
        if line.starts_with(' ') {
            let test = tests.last_mut().expect("a note follows a test");
            test.note = Some(line.trim());
        } else {
            let (name, ids) = line.split_once(": ").expect("a test has a colon and ids");
            tests.push(PeerTest { name, cases: ids.split(' ').collect(), note: None });
        }
    }
    peers
}
