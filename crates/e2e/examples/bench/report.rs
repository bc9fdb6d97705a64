//! The rounds of the benchmark, and its report.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::number;

/// The options of the benchmark.
#[derive(Debug)]
pub(crate) struct Plan {
    tasks: usize,
    rounds: usize,
    slots: Vec<usize>,
}

/// The figures of all rounds.
#[derive(Debug, Default)]
struct Figures {
    rate: Vec<f64>,
    cpu: Vec<f64>,
    memory: Vec<f64>,
}

impl Plan {
    pub(crate) fn parse(options: &[&str]) -> Result<Self, String> {
        let mut plan = Self { tasks: 30_000, rounds: 5, slots: vec![1, 10, 100] };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().copied().ok_or_else(|| format!("`{option}` needs a value"));
            match *option {
                "--tasks" => plan.tasks = number(value()?)?,
                "--rounds" => plan.rounds = number(value()?)?,
                "--slots" => plan.slots = value()?.split(',').map(number).collect::<Result<_, _>>()?,
                other => {
                    return Err(format!("unknown option `{other}`, expected --tasks, --rounds or --slots"));
                }
            }
        }
        Ok(plan)
    }
}

/// Runs the benchmark, and prints its report.
pub(crate) fn run(plan: &Plan) -> Result<(), String> {
    print_line(&format!(
        "{} empty tasks, {} rounds, interleaved; median (lowest to highest)\n",
        plan.tasks, plan.rounds
    ));
    print_line(&format!(
        "{:>5}  {:<6}  {:>30}  {:>24}  {:>12}",
        "slots", "client", "tasks/s", "CPU us per task", "peak MiB"
    ));
    for slots in &plan.slots {
        let (mut bare, mut worker) = (Figures::default(), Figures::default());
        for _ in 0..plan.rounds {
            round("bare", *slots, plan.tasks, &mut bare)?;
            round("worker", *slots, plan.tasks, &mut worker)?;
        }
        print_row(*slots, "bare", &bare);
        print_row(*slots, "worker", &worker);
        print_line(&format!(
            "{slots:>5}  worker / bare: {:.2} of the tasks/s, {:.2} of the CPU per task\n",
            median(&worker.rate) / median(&bare.rate),
            median(&worker.cpu) / median(&bare.cpu),
        ));
    }
    Ok(())
}

fn round(role: &str, slots: usize, tasks: usize, figures: &mut Figures) -> Result<(), String> {
    let mut server = start(&["server"])?;
    let url = first_line(&mut server)?;
    let mut client = start(&[role, &url, &slots.to_string(), &tasks.to_string()])?;
    let line = first_line(&mut client)?;
    client.wait().map_err(|error| error.to_string())?;
    drop(server.stdin.take());
    server.wait().map_err(|error| error.to_string())?;
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [rate, cpu, memory] = numbers[..] else {
        return Err(format!("`{role}` printed `{line}`, expected three figures"));
    };
    figures.rate.push(rate);
    figures.cpu.push(cpu);
    figures.memory.push(memory);
    Ok(())
}

pub(crate) fn start(arguments: &[&str]) -> Result<Child, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())
}

fn first_line(child: &mut Child) -> Result<String, String> {
    let output = child.stdout.take().ok_or("the output of the process is not piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim().to_owned())
}

fn print_row(slots: usize, client: &str, figures: &Figures) {
    let show = |numbers: &[f64], decimals: usize| {
        let (low, high) = (lowest(numbers), highest(numbers));
        format!("{:.decimals$} ({low:.decimals$} to {high:.decimals$})", median(numbers))
    };
    let memory = format!("{:.1}", highest(&figures.memory));
    let (rate, cpu) = (show(&figures.rate, 0), show(&figures.cpu, 1));
    print_line(&format!("{slots:>5}  {client:<6}  {rate:>30}  {cpu:>24}  {memory:>12}"));
}

pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn lowest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(crate) fn highest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(0.0, f64::max)
}

#[expect(clippy::print_stdout, reason = "the report is the output of the benchmark")]
pub(crate) fn print_line(text: &str) {
    println!("{text}");
}

/// Prints an error.
#[expect(clippy::print_stderr, reason = "the error that ends the program")]
pub(crate) fn print_error(problem: &str) {
    eprintln!("error: {problem}");
}
