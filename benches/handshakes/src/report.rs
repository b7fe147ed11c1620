//! The rows as CSV, and the table as Markdown.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    Failure,
    measure::{Sample, Scenario},
    process::Memory,
    stats::{interval, median},
    variant::Variant,
};

/// One measurement.
pub(crate) struct Row {
    pub(crate) round: usize,
    pub(crate) scenario: Scenario,
    pub(crate) variant: Variant,
    pub(crate) sample: Sample,
}

/// Values that are measured once for each server.
#[derive(Default)]
pub(crate) struct Single {
    pub(crate) instructions: Vec<(Variant, f64)>,
    pub(crate) memory: Vec<Sizes>,
}

/// Memory of a server for each idle socket.
pub(crate) struct Sizes {
    pub(crate) variant: Variant,
    /// With five sockets to a session.
    pub(crate) five: Memory,
    /// All sockets of one session.
    pub(crate) all: Memory,
}

pub(crate) fn write(folder: &Path, rows: &[Row], single: &Single) -> Result<String, Failure> {
    fs::write(folder.join("rows.csv"), csv(rows))?;
    let mut table = String::new();
    for scenario in Scenario::ALL {
        scenario_table(&mut table, scenario, rows)?;
    }
    instructions_table(&mut table, single)?;
    memory_table(&mut table, single)?;
    fs::write(folder.join("table.md"), &table)?;
    Ok(table)
}

fn csv(rows: &[Row]) -> String {
    let mut csv = String::from(
        "round,scenario,variant,cpu_us,user_us,handshakes_per_s,p50_us,p99_us,redis_commands\n",
    );
    for Row {
        round,
        scenario,
        variant,
        sample,
    } in rows
    {
        let Sample {
            cpu,
            user,
            per_second,
            p50,
            p99,
            commands,
        } = sample;
        let (scenario, commands) = (scenario.name(), commands.unwrap_or_default());
        let _ = writeln!(
            csv,
            "{round},{scenario},{variant},{cpu:.2},{user:.2},{per_second:.0},{p50:.0},{p99:.0},{commands:.3}"
        );
    }
    csv
}

fn scenario_table(table: &mut String, scenario: Scenario, rows: &[Row]) -> Result<(), Failure> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.scenario == scenario).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(table, "### {}\n", scenario.name())?;
    writeln!(
        table,
        "| server | CPU µs | over bare (95 %) | user space µs | handshakes/s | p50 µs | p99 µs | Redis commands |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    for variant in Variant::ALL {
        let own: Vec<&Row> = rows
            .iter()
            .copied()
            .filter(|row| row.variant == variant)
            .collect();
        if own.is_empty() {
            continue;
        }
        let of = |f: fn(&Sample) -> f64| median(own.iter().map(|row| f(&row.sample)).collect());
        let commands: Vec<f64> = own.iter().filter_map(|row| row.sample.commands).collect();
        let commands = match commands.is_empty() {
            true => "–".to_owned(),
            false => format!("{:.2}", median(commands)),
        };
        writeln!(
            table,
            "| {} | {:.1} | {} | {:.1} | {:.0} | {:.0} | {:.0} | {commands} |",
            variant.title(),
            of(|s| s.cpu),
            over_bare(&rows, &own),
            of(|s| s.user),
            of(|s| s.per_second),
            of(|s| s.p50),
            of(|s| s.p99),
        )?;
    }
    writeln!(table)?;
    Ok(())
}

/// The median of the differences to the baseline within each round, and its interval.
fn over_bare(rows: &[&Row], own: &[&Row]) -> String {
    let bare = |round| {
        let mut bare = rows.iter().filter(|row| row.variant == Variant::Bare);
        bare.find(|row| row.round == round)
            .map(|row| row.sample.cpu)
    };
    let differences: Vec<f64> = own
        .iter()
        .filter(|row| row.variant != Variant::Bare)
        .filter_map(|row| Some(row.sample.cpu - bare(row.round)?))
        .collect();
    if differences.is_empty() {
        return "–".to_owned();
    }
    let middle = median(differences.clone());
    match interval(differences) {
        Some((low, high)) => format!("{middle:+.1} ({low:+.1} … {high:+.1})"),
        None => format!("{middle:+.1}"),
    }
}

fn instructions_table(table: &mut String, single: &Single) -> Result<(), Failure> {
    if single.instructions.is_empty() {
        return Ok(());
    }
    let bare = single
        .instructions
        .iter()
        .find(|(variant, _)| *variant == Variant::Bare);
    writeln!(
        table,
        "### instructions, connect and leave\n\n| server | instructions | over bare |\n|---|---|---|"
    )?;
    for (variant, count) in &single.instructions {
        let over = bare.map_or(0.0, |(_, bare)| count - bare);
        writeln!(table, "| {} | {count:.0} | {over:+.0} |", variant.title())?;
    }
    writeln!(table)?;
    Ok(())
}

fn memory_table(table: &mut String, single: &Single) -> Result<(), Failure> {
    let sizes = &single.memory;
    let Some(first) = sizes.first() else {
        return Ok(());
    };
    // The first of all servers is the bare one, unless it was not asked for.
    let bare = sizes.iter().find(|sizes| sizes.variant == Variant::Bare);
    let bare = bare.unwrap_or(first);
    writeln!(
        table,
        "### memory for each idle socket\n\n\
         | server | five to a session: resident | allocated | all of one session: resident | allocated |\n\
         |---|---|---|---|---|"
    )?;
    for sizes in sizes {
        writeln!(
            table,
            "| {} | {} | {} |",
            sizes.variant.title(),
            columns_of(sizes.five, bare.five),
            columns_of(sizes.all, bare.all),
        )?;
    }
    writeln!(table)?;
    Ok(())
}

/// Resident and allocated bytes, each with the difference to the bare server.
fn columns_of(own: Memory, bare: Memory) -> String {
    let over = own.over(bare);
    let resident = format!("{:.0} ({:+.0})", own.resident, over.resident);
    let allocated = match own.allocated.zip(over.allocated) {
        Some((allocated, over)) => format!("{allocated:.0} ({over:+.0})"),
        None => "–".to_owned(),
    };
    format!("{resident} | {allocated}")
}
