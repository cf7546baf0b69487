//! `npm run simulate`: runs many seeded histories, and shows one that breaks an invariant.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

fn main() -> std::process::ExitCode {
    simulation::command::main()
}
