//! When the restart sampler goes back, and how far.

use crate::diffusion::Restart;

/// For a run of `steps` steps: how many go straight down, and how the others are spent (the Stable Diffusion web UI's
/// `restart_sampler`, which makes Xu et al. 2023 fit the number of steps asked for). Short runs have no restart.
///
/// The web UI also takes Karras spacing whenever it restarts; here the schedule is the request's.
pub(super) fn usual(steps: usize) -> (usize, Option<Restart>) {
    let (again, repeats) = match steps {
        0..20 => return (steps, None),
        20..36 => (9, 1),
        _ => (steps / 4, 2),
    };
    (steps - again * repeats, Some(Restart { from: 0.1, to: 2.0, steps: again, repeats }))
}

#[cfg(test)]
mod tests {
    use super::usual;

    #[test]
    fn the_steps_asked_for_are_neither_more_nor_fewer() {
        for steps in 1..=150 {
            let (straight, restart) = usual(steps);
            let again = restart.map_or(0, |restart| restart.steps * restart.repeats);
            assert_eq!(straight + again, steps);
            assert_eq!(restart.is_some(), steps >= 20);
        }
    }
}
