//! The conformance suite finds what is wrong: for each law there is a store that breaks it, and that
//! law fails there, with its sentence, and no other.
//!
//! Each pair of a store and a law is run in a process of its own, whose exit and output are judged
//! from outside.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::match_bool, reason = "both sides of a choice, side by side")]
#![allow(clippy::print_stdout, reason = "this is its own test harness")]

mod store;

use std::{
    env,
    process::{Command, ExitCode, Output},
    sync::Arc,
    time::Duration,
};

use socketioxide_session::testing::conformance as laws;
use store::{Wrong, WrongStore};

/// The name and the sentence of each law, and the store that breaks it.
const LAWS: [(&str, &str, Wrong); 20] = [
    (
        "create_never_overwrites",
        "create never overwrites",
        Wrong::CreateOverwrites,
    ),
    ("expired_is_gone", "expired is gone", Wrong::ExpiredIsThere),
    (
        "save_is_compare_and_swap_and_keeps_the_ttl",
        "save is compare-and-swap and keeps the TTL",
        Wrong::SaveExtends,
    ),
    (
        "save_and_touch_never_create",
        "save and touch never create",
        Wrong::TouchCreates,
    ),
    (
        "touch_never_shortens",
        "touch never shortens",
        Wrong::TouchShortens,
    ),
    (
        "rename_is_atomic_against_saves",
        "rename is atomic against saves",
        Wrong::RenameCopiesFirst,
    ),
    ("delete_wins", "delete wins", Wrong::SaveRevives),
    (
        "concurrent_updates_lose_nothing",
        "concurrent updates lose nothing",
        Wrong::SaveLooksFirst,
    ),
    (
        "awkward_ids_and_data_survive",
        "ids and data of awkward shapes survive",
        Wrong::IdsWithoutCase,
    ),
    (
        "changes_are_reported",
        "changes are reported",
        Wrong::DeletesAreNotReported,
    ),
    (
        "every_call_ends",
        "every call ends",
        Wrong::DeleteOfNothingHangs,
    ),
    (
        "dropped_calls_leave_nothing_half_done",
        "a dropped call leaves nothing half done",
        Wrong::CreateInTwoSteps,
    ),
    (
        "created_sessions_are_listed",
        "created sessions are listed",
        Wrong::CreateIsNotListed,
    ),
    (
        "stored_sessions_are_listed",
        "what a load finds is listed",
        Wrong::IndexComesSecond,
    ),
    (
        "sessions_are_ordered_by_their_creation",
        "sessions are ordered by their creation",
        Wrong::CreatedIsNoTime,
    ),
    (
        "touched_sessions_stay_listed",
        "touched sessions stay listed",
        Wrong::TouchKeepsTheIndex,
    ),
    (
        "deleted_sessions_are_not_listed",
        "deleted sessions are not listed",
        Wrong::DeleteForgetsTheUser,
    ),
    (
        "a_rename_carries_the_time_of_creation",
        "a rename carries the time of creation",
        Wrong::RenameIsNew,
    ),
    (
        "a_save_moves_a_session_to_another_user",
        "a save moves a session to another user",
        Wrong::SaveKeepsTheUser,
    ),
    (
        "users_do_not_mix",
        "users don't mix",
        Wrong::UsersWithoutCase,
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match &args[..] {
        [run, store, law] if run == "--run" => {
            run_law(Wrong::ALL[store.parse::<usize>().unwrap()], law);
            ExitCode::SUCCESS
        }
        // Arguments that cargo passes to every harness.
        [list, ..] if list == "--list" => ExitCode::SUCCESS,
        // A word of the command line selects, as in every harness.
        _ => judge_all(args.iter().find(|arg| !arg.starts_with("--"))),
    }
}

/// Maximum duration of one law on one store. The slowest takes 10 s.
const TIMEOUT: Duration = Duration::from_mins(1);

fn run_law(wrong: Wrong, law: &str) {
    std::thread::spawn(|| {
        std::thread::sleep(TIMEOUT);
        eprintln!("it does not end");
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(WrongStore::new(wrong));
        match law {
            "create_never_overwrites" => laws::create_never_overwrites(store).await,
            "expired_is_gone" => laws::expired_is_gone(store).await,
            "save_is_compare_and_swap_and_keeps_the_ttl" => {
                laws::save_is_compare_and_swap_and_keeps_the_ttl(store).await;
            }
            "save_and_touch_never_create" => laws::save_and_touch_never_create(store).await,
            "touch_never_shortens" => laws::touch_never_shortens(store).await,
            "rename_is_atomic_against_saves" => laws::rename_is_atomic_against_saves(store).await,
            "delete_wins" => laws::delete_wins(store).await,
            "concurrent_updates_lose_nothing" => {
                laws::concurrent_updates_lose_nothing(store).await;
            }
            "awkward_ids_and_data_survive" => laws::awkward_ids_and_data_survive(store).await,
            "changes_are_reported" => laws::changes_are_reported(store).await,
            "every_call_ends" => laws::every_call_ends(store).await,
            "dropped_calls_leave_nothing_half_done" => {
                laws::dropped_calls_leave_nothing_half_done(store).await;
            }
            "created_sessions_are_listed" => laws::created_sessions_are_listed(store).await,
            "stored_sessions_are_listed" => laws::stored_sessions_are_listed(store).await,
            "sessions_are_ordered_by_their_creation" => {
                laws::sessions_are_ordered_by_their_creation(store).await;
            }
            "touched_sessions_stay_listed" => laws::touched_sessions_stay_listed(store).await,
            "deleted_sessions_are_not_listed" => {
                laws::deleted_sessions_are_not_listed(store).await;
            }
            "a_rename_carries_the_time_of_creation" => {
                laws::a_rename_carries_the_time_of_creation(store).await;
            }
            "a_save_moves_a_session_to_another_user" => {
                laws::a_save_moves_a_session_to_another_user(store).await;
            }
            "users_do_not_mix" => laws::users_do_not_mix(store).await,
            other => panic!("no law is called {other}"),
        }
    });
    // A call that hangs must not keep the process.
    runtime.shutdown_background();
}

fn judge_all(filter: Option<&String>) -> ExitCode {
    let selected =
        |wrong: &Wrong| filter.is_none_or(|word| format!("{wrong:?}").contains(word.as_str()));
    let count = Wrong::ALL.iter().filter(|wrong| selected(wrong)).count();
    println!("\nrunning {count} tests");
    let mut failed = 0;
    for (nth, wrong) in Wrong::ALL.into_iter().enumerate() {
        if !selected(&wrong) {
            continue;
        }
        let problems = judge(nth, wrong);
        println!(
            "test {wrong:?} ... {}",
            if problems.is_empty() { "ok" } else { "FAILED" }
        );
        for problem in &problems {
            println!("    {problem}");
        }
        failed += usize::from(!problems.is_empty());
    }
    let passed = count - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        Wrong::ALL.len() - count
    );
    ExitCode::from(u8::from(failed > 0))
}

/// Runs all laws on a store at the same time, and says what is not as it should be.
fn judge(nth: usize, wrong: Wrong) -> Vec<String> {
    let children = LAWS.map(|(law, ..)| {
        Command::new(env::current_exe().unwrap())
            .args(["--run", &nth.to_string(), law])
            .env("RUST_BACKTRACE", "0")
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    });
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    LAWS.iter()
        .zip(outputs)
        .filter_map(|(law, output)| problem(wrong, law, &output))
        .collect()
}

fn problem(wrong: Wrong, law: &(&str, &str, Wrong), output: &Output) -> Option<String> {
    let (name, sentence, breaker) = law;
    let said = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), *breaker == wrong) {
        (true, true) => Some(format!("{name} found nothing")),
        (false, true) if !said.contains(&format!("law broken: {sentence}: ")) => {
            Some(format!("{name} does not say its sentence: {said}"))
        }
        (false, false) => Some(format!("{name} failed too: {said}")),
        _ => None,
    }
}
