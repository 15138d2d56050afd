//! How rows are printed.

/// A row: a claim with what was measured.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) value: String,
    /// Against the baseline of the same run.
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: String,
    pub(crate) met: Option<bool>,
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn print(&self) {
        let Self { what, value, ratio, goal, met, note } = self;
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let met = met.map_or("", |met| if met { "met" } else { "MISSED" });
        println!("{what:<58} {value:>10} {ratio:>8}  {goal:<16} {met:<7} {note}");
    }
}

/// Says where figures come from, and what columns mean.
pub(crate) fn head() {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown model", |(_, model)| model);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let n_cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {n_cores} cores, {model}, Linux {}, load {load}", kernel.trim());
    println!(
        "Times are CPU time of one thread that is client, router and server, unless a row says wall; layouts take turns every few"
    );
    println!(
        "milliseconds, figures are medians, ratios medians of the ratios to the baseline in the same turn.\n"
    );
    println!("{:<58} {:>10} {:>8}  {:<16} {:<7} note", "what", "value", "ratio", "goal", "");
}

/// A heading.
pub(crate) fn section(text: &str) {
    println!("\n{text}");
}
