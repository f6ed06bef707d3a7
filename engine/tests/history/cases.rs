//! The list of the rules, and of their tests.

use crate::backend::Backend;
use crate::{changed, kill, modes, pruning, reading, trace, windows};

pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) run: fn(&Backend),
    /// Why the backend cannot be tried, if it cannot.
    pub(crate) needs: Option<fn(&Backend) -> Option<String>>,
}

const fn case(id: &'static str, rule: &'static str, run: fn(&Backend)) -> Case {
    Case { id, rule, run, needs: None }
}

const fn case_for(
    id: &'static str,
    rule: &'static str,
    run: fn(&Backend),
    needs: fn(&Backend) -> Option<String>,
) -> Case {
    Case { id, rule, run, needs: Some(needs) }
}

pub(crate) const ALL: &[Case] = &[
    case("R01", "every_version_reads_as_it_was_committed", reading::every_version),
    case("R02", "a_deleted_key_is_absent_until_it_is_written_again", reading::deleted),
    case("R03", "a_scan_has_the_entries_of_its_range_in_both_directions", reading::ranges),
    case("R04", "a_key_with_thousands_of_values_hides_no_other", reading::many_values),
    case("R05", "the_state_after_a_block_is_that_of_its_version", reading::blocks),
    case("R06", "the_versions_of_a_key_tell_its_life", reading::versions),
    case("R07", "changed_keys_are_those_of_the_versions_between", reading::changed_keys),
    case("R08", "keys_and_values_have_their_limits_and_no_more", reading::limits),
    case("R09", "a_version_that_is_not_there_yet_is_refused", reading::too_new),
    case("R10", "a_view_reads_the_same_whatever_is_committed", reading::view_and_commits),
    case("R11", "many_threads_read_one_view", reading::threads),
    case("R12", "a_digest_depends_on_the_state_alone", reading::digests),
    case("R13", "damaged_bytes_are_corruption_and_never_a_value", reading::damage),
    case("R14", "below_the_floor_everything_is_refused", pruning::below_the_floor),
    case("R15", "the_newest_value_at_or_below_the_floor_stays", pruning::newest_stays),
    case("R16", "a_pruned_state_holds_what_a_readable_version_needs", pruning::leaves_nothing),
    case("R17", "a_pruning_stopped_after_any_step_goes_on", pruning::stopped),
    case("R18", "a_pruning_without_anything_to_do_changes_nothing", pruning::idempotent),
    case("R19", "a_step_is_no_larger_than_asked_and_progress_is_told", pruning::steps),
    case("R20", "a_block_or_a_time_names_what_stays_readable", pruning::targets),
    case("R21", "commits_and_reads_go_on_beside_a_pruning", pruning::beside_commits),
    case("R22", "a_view_of_before_a_pruning_is_never_wrong", pruning::views),
    case("R23", "compaction_changes_nothing_that_can_be_read", pruning::compaction),
    case("R24", "a_window_keeps_the_last_blocks", modes::window),
    case("R25", "without_history_only_the_newest_version_is_read", modes::none),
    case("R26", "keeping_begins_at_the_newest_version", modes::to_archive),
    case("R27", "giving_up_history_deletes_it_and_can_be_resumed", modes::to_none),
    case("R28", "a_mode_that_is_set_lasts_and_a_wrong_one_is_refused", modes::lasts),
    case_for(
        "R29",
        "history_is_the_same_after_reopening",
        kill::reopening,
        Backend::forgets_plainly,
    ),
    case_for(
        "R30",
        "a_pruning_killed_at_any_step_is_finished_by_the_next",
        kill::pruning,
        Backend::forgets,
    ),
    case("R31", "random_traces_agree_with_the_oracle", trace::random_traces),
    case("R32", "a_window_counts_the_blocks_that_exist", windows::gaps),
    case("R33", "a_window_of_more_blocks_than_there_are_gives_nothing_up", windows::short),
    case("R34", "random_windows_with_random_gaps_keep_the_last_blocks", windows::random),
    case("R35", "changed_keys_in_little_memory_are_the_same_and_in_order", changed::little_memory),
    case("R36", "a_stream_of_changed_keys_outlives_pruning_or_says_so", changed::pruned_meanwhile),
];
