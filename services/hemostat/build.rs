//! Compiles the crate again when a labelled case was added or changed: `include_dir!` does not tell cargo what it reads.

fn main() {
    println!("cargo::rerun-if-changed=eval/cases");
}
