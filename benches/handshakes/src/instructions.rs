//! Instructions for each handshake, counted by callgrind. They repeat where times don't.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure,
    measure::{Load, warm_up},
    process::{Launch, Server},
    variant::Variant,
};

/// Number of handshakes before the counted ones.
const WARM: usize = 300;

pub(crate) fn valgrind_is_there() -> bool {
    let found = Command::new("callgrind_control").arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

/// Instructions of the server for each handshake of clients that connect, get one event and leave.
/// The profile is left in `folder`, for `callgrind_annotate`.
pub(crate) async fn count(
    variant: Variant,
    launch: &Launch,
    load: Load,
    folder: &Path,
) -> Result<f64, Failure> {
    let out = folder.join(format!("callgrind.{variant}"));
    let mut launch = launch.clone();
    launch.current_thread = true;
    launch.under = vec![
        "valgrind".into(),
        "--tool=callgrind".into(),
        "--quiet".into(),
        format!("--callgrind-out-file={}", out.display()).into(),
    ];
    let server = Server::start(variant, &launch)?;
    let warm = Load {
        handshakes: WARM,
        ..load
    };
    warm_up(&server, warm).await?;
    dump(&server)?;
    warm_up(&server, load).await?;
    dump(&server)?;
    let profile = second(&out);
    server.stop()?;
    let total = total(&profile)?;
    std::fs::rename(&profile, &out)?;
    Ok(total / load.handshakes as f64)
}

/// Writes what was counted since the last time, and begins anew.
fn dump(server: &Server) -> Result<(), Failure> {
    let pid = server.pid().to_string();
    let output = Command::new("callgrind_control")
        .args(["--dump", &pid])
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

fn second(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.2", out.display()))
}

fn total(profile: &Path) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(profile)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let line = line.or_else(|| text.lines().find_map(|line| line.strip_prefix("summary:")));
    Ok(line.ok_or("a profile without its sum")?.trim().parse()?)
}
