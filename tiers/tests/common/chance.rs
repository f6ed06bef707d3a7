//! What is left to chance, and what the environment decides instead.

use std::time::SystemTime;

/// The number that the variable has, or `default`.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The seed that the variable has, or another one each time. It is printed, so that a run can be replayed.
pub(crate) fn seed(variable: &str) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number(variable, now.as_nanos() as u64);
    println!("{variable}={seed}");
    seed
}

/// Moments to kill at, which `SUPERVM_KILL_SEED` decides.
pub(crate) struct Moments(u64);

impl Moments {
    pub(crate) fn new() -> Self {
        Self(seed("SUPERVM_KILL_SEED"))
    }

    /// From 0 to 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}
