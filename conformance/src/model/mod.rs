//! Random operations against an ordered map; a failure is shrunk to the shortest sequence that still fails.

mod operation;
mod play;
mod shrink;

use crate::case::{Case, CaseResult, Finding};
use crate::check::failed;
use crate::fixture::Fixture;
use crate::random::Random;
use operation::Abilities;
pub(crate) use operation::{Step, Traceable};
use play::play;
pub(crate) use play::{changes_batch, range};
use std::time::{Duration, Instant};

/// Steps that begin with an empty storage.
const EPISODE_STEPS: usize = 5_000;
const EPISODES: usize = 20;
/// Time that shrinking may take.
const SHRINK_TIME: Duration = Duration::from_secs(30);

pub(crate) const CASES: &[Case] = &[
    Case::new(
        'M',
        "model.random",
        &[1, 5, 6, 7, 8, 10, 14, 30],
        "A hundred thousand random operations give what an ordered map gives.",
        random,
    )
    .deadline(600),
    Case::new(
        'M',
        "model.short_episodes",
        &[6, 7, 8, 10],
        "Two hundred episodes of fifty random operations each give what an ordered map gives.",
        short_episodes,
    )
    .deadline(300),
];

fn random(f: &mut Fixture) -> CaseResult {
    episodes(f, EPISODES, EPISODE_STEPS)
}

fn short_episodes(f: &mut Fixture) -> CaseResult {
    episodes(f, 200, 50)
}

fn episodes(f: &mut Fixture, episodes: usize, steps: usize) -> CaseResult {
    let abilities = Abilities::of(f);
    for episode in 0..episodes {
        let mut random = Random::new(f.seed(), &format!("episode {episode} of {steps}"));
        let steps: Vec<Step> = (0..steps).map(|_| Step::random(&mut random, abilities)).collect();
        if let Err(found) = play_anew(f, &steps) {
            return report(f, steps, episode, found);
        }
    }
    Ok(())
}

/// What went wrong: the step's number and what differed.
struct Difference {
    step: usize,
    what: String,
}

/// Plays `steps` on a storage of its own.
fn play_anew(f: &mut Fixture, steps: &[Step]) -> Result<(), Difference> {
    let dir = f.other_dir();
    let played = play(f, &dir, steps);
    // The next episode has its own directory; a leftover only takes space.
    let _ = std::fs::remove_dir_all(&dir);
    played
}

fn report(f: &mut Fixture, mut steps: Vec<Step>, episode: usize, found: Difference) -> CaseResult {
    steps.truncate(found.step + 1);
    let (played, mut last) = (steps.len(), found);
    let until = Instant::now() + SHRINK_TIME;
    let shortest = shrink::shrink(steps, |steps| {
        if Instant::now() > until {
            return false;
        }
        match play_anew(f, steps) {
            Ok(()) => false,
            Err(difference) => {
                last = difference;
                true
            }
        }
    });
    // The last failing play was of the shortest sequence or of one that led to it; play it once more to name its own difference.
    let what = play_anew(f, &shortest).err().map_or(last.what, |difference| difference.what);
    let trace: Vec<_> = shortest.iter().map(|step| format!("  {step:?}")).collect();
    failed(format!(
        "seed {}, episode {episode}, {played} operations shrunk to {}:\n{}\n  {what}",
        f.seed(),
        shortest.len(),
        trace.join("\n")
    ))
}

impl From<(usize, Finding)> for Difference {
    fn from((step, finding): (usize, Finding)) -> Self {
        let (Finding::Failed(what) | Finding::Skipped(what)) = finding;
        Self { step, what }
    }
}
