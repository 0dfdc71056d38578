//! No two files of a crate import from one another, directly or through others.
//!
//! A file *imports* from another if it names an item that is defined there: in a `use`, or by a path in code that begins
//! with `crate`, `self`, `super` or a module in scope. A re-export is not a definition, so an import is followed to the
//! file that defines the item, and a `mod` or `pub use` line, by which a parent owns and publishes its children, is no
//! import. Hence a parent may re-export its children and they may use one another; but a child may not use an item
//! defined in its parent's file while that file's own code uses the child: neither of the two can be read alone. To end
//! such a cycle, move the shared item into a file of its own, or the parent's code into a child.
//!
//! Tests (`#[cfg(test)]`, `tests/`) do not count. Two kinds of import are invisible to this test: method calls, and most
//! names that a glob import brings into scope.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Item, UseTree, Visibility, visit::Visit};

/// A module's path within its crate; empty for the root.
type ModulePath = Vec<String>;

/// One module of a crate: a file, or an inline `mod` within one.
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    /// Names brought into scope by `use`, with their paths; re-exports among them.
    uses: BTreeMap<String, ModulePath>,
    /// The paths of glob imports.
    globs: Vec<ModulePath>,
    /// The paths in code and in private `use` lines.
    paths: BTreeSet<ModulePath>,
}

/// The modules of one crate.
#[derive(Default)]
struct Modules(BTreeMap<ModulePath, Module>);

impl Modules {
    /// Reads the file of a module, and the files of its children.
    fn read(&mut self, file: &Path, module: ModulePath) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // The root's children, and those of a `mod.rs`, lie beside it; those of other files in a directory of its name.
        let beside = module.is_empty() || file.file_name().is_some_and(|name| name == "mod.rs");
        let directory = if beside { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        self.add(file, &directory, module, parsed.items);
    }

    fn add(&mut self, file: &Path, directory: &Path, path: ModulePath, items: Vec<Item>) {
        let mut module = Module {
            file: file.to_owned(),
            children: BTreeSet::new(),
            uses: BTreeMap::new(),
            globs: vec![],
            paths: BTreeSet::new(),
        };
        let mut visitor = Paths(BTreeSet::new());
        for item in items {
            match item {
                item if is_test(&item) => {}
                Item::Mod(child) => {
                    let name = child.ident.to_string();
                    let (path, directory) = ([&path[..], std::slice::from_ref(&name)].concat(), directory.join(&name));
                    module.children.insert(name);
                    match child.content {
                        Some((_, items)) => self.add(file, &directory, path, items),
                        None if directory.with_extension("rs").is_file() => {
                            self.read(&directory.with_extension("rs"), path);
                        }
                        None => self.read(&directory.join("mod.rs"), path),
                    }
                }
                Item::Use(line) => {
                    let is_private = matches!(line.vis, Visibility::Inherited);
                    flatten(&line.tree, &mut vec![], &mut |name, path| {
                        if is_private {
                            module.paths.insert(path.clone());
                        }
                        match name {
                            Some(name) => drop(module.uses.insert(name, path)),
                            None => module.globs.push(path),
                        }
                    });
                }
                item => visitor.visit_item(&item),
            }
        }
        module.paths.extend(visitor.0);
        self.0.insert(path, module);
    }

    /// The module whose file defines what `path` names in the scope of `module`; none if that is not in this crate.
    fn definition(&self, module: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        let here = &self.0[module];
        match first.as_str() {
            _ if depth > 16 => None,
            "crate" => self.member(&[], rest, depth),
            "self" => self.member(module, rest, depth),
            "super" => self.member(module.split_last()?.1, rest, depth),
            name if here.children.contains(name) || here.uses.contains_key(name) => self.member(module, path, depth),
            _ => None,
        }
    }

    /// The same for a path that begins within `module`.
    fn member(&self, module: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let Some((first, rest)) = path.split_first() else { return Some(module.to_vec()) };
        let here = &self.0[module];
        if first == "super" {
            return self.member(module.split_last()?.1, rest, depth + 1);
        }
        if here.children.contains(first) {
            return self.member(&[module, std::slice::from_ref(first)].concat(), rest, depth);
        }
        if let Some(used) = here.uses.get(first) {
            return self.definition(module, &[&used[..], rest].concat(), depth + 1);
        }
        let is_foreign = |glob: &&ModulePath| self.definition(module, glob, depth + 1).is_none();
        match here.globs.iter().filter(|glob| !is_foreign(glob)).collect::<Vec<_>>()[..] {
            // Only a module of re-exports has exactly one glob and defines nothing by this name: followed.
            [glob] if here.paths.is_empty() => self.definition(module, &[&glob[..], path].concat(), depth + 1),
            _ => Some(module.to_vec()),
        }
    }

    /// The imports of every file, with one of the imported paths each.
    fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (path, module) in &self.0 {
            for used in &module.paths {
                let Some(defined) = self.definition(path, used, 0) else { continue };
                let from = &self.0[&defined].file;
                if *from != module.file {
                    let names = imports.entry(module.file.clone()).or_default();
                    names.entry(from.clone()).or_insert_with(|| used.join("::"));
                }
            }
        }
        imports
    }
}

/// By file: the files that it imports from, and what for example.
type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, String>>;

/// Calls `each` for every name that a `use` line brings into scope; without a name for a glob.
fn flatten(tree: &UseTree, prefix: &mut ModulePath, each: &mut impl FnMut(Option<String>, ModulePath)) {
    let with = |prefix: &ModulePath, name: &syn::Ident| [&prefix[..], &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, each);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => each(prefix.last().cloned(), prefix.clone()),
        UseTree::Name(name) => each(Some(name.ident.to_string()), with(prefix, &name.ident)),
        UseTree::Rename(name) => each(Some(name.rename.to_string()), with(prefix, &name.ident)),
        UseTree::Glob(_) => each(None, prefix.clone()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, each)),
    }
}

/// Collects the paths of an item's code.
struct Paths(BTreeSet<ModulePath>);

impl Paths {
    /// The paths among the tokens of a macro's invocation.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = ModulePath::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end(&mut path);
    }

    /// A single name is local, or was brought into scope by a `use`, which counts itself.
    fn end(&mut self, path: &mut ModulePath) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.0.insert(path);
        }
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_path(&mut self, path: &'a syn::Path) {
        self.end(&mut path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'a syn::Macro) {
        self.visit_path(&invocation.path);
        self.tokens(invocation.tokens.clone());
    }

    fn visit_item_use(&mut self, line: &'a syn::ItemUse) {
        flatten(&line.tree, &mut vec![], &mut |_, path| {
            self.0.insert(path);
        });
    }

    fn visit_item(&mut self, item: &'a Item) {
        if !is_test(item) {
            syn::visit::visit_item(self, item);
        }
    }
}

/// Whether an item is compiled only in tests.
fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        matches!(&attribute.meta, syn::Meta::List(list) if list.path.is_ident("cfg")
            && list.tokens.clone().into_iter().any(|token| matches!(token, TokenTree::Ident(name) if name == "test")))
            || attribute.path().is_ident("test")
    })
}

/// The shortest way of imports from one file to another.
fn way(imports: &Imports, from: &Path, to: &Path) -> Option<Vec<PathBuf>> {
    let mut ways = VecDeque::from([vec![from.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in imports.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if next == to {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push_back([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

/// The shortest cycle through each file that is in one, each cycle once.
fn cycles(imports: &Imports) -> BTreeSet<Vec<PathBuf>> {
    let through = |file: &PathBuf| {
        let mut cycle = way(imports, file, file)?;
        let first = cycle.iter().enumerate().min_by_key(|(_, file)| *file)?.0;
        cycle.rotate_left(first);
        Some(cycle)
    };
    imports.keys().filter_map(through).collect()
}

/// The root of every crate below a directory: `lib.rs`, or `main.rs` where there is no library.
fn roots(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let is_crate = entry.join("Cargo.toml").is_file();
        let root = ["src/lib.rs", "src/main.rs"].map(|root| entry.join(root)).into_iter().find(|root| root.is_file());
        found.extend(root.filter(|_| is_crate));
    }
}

/// Each cycle of a crate as text.
fn described(root: &Path) -> Vec<String> {
    let mut modules = Modules::default();
    modules.read(root, vec![]);
    let imports = modules.imports();
    let directory = root.parent().unwrap();
    let name = |file: &Path| file.strip_prefix(directory).unwrap().display().to_string();
    let described = |cycle: &Vec<PathBuf>| {
        let steps = cycle.iter().zip(cycle.iter().cycle().skip(1));
        let step = |(file, next): (&PathBuf, &PathBuf)| format!("{} uses {}", name(file), imports[file][next]);
        let files: Vec<_> = cycle.iter().map(|file| name(file)).collect();
        format!("{}: {}", files.join(" -> "), steps.map(step).collect::<Vec<_>>().join("; "))
    };
    cycles(&imports).iter().map(described).collect()
}

#[test]
fn no_files_of_a_crate_import_from_one_another_in_a_cycle() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut crates = vec![];
    for directory in [workspace.to_owned(), workspace.join("crates"), workspace.join("services")] {
        roots(&directory, &mut crates);
    }
    assert!(crates.len() > 15, "{crates:?}");
    let mut found = String::new();
    for root in &crates {
        for cycle in described(root) {
            found += &format!("{}: {cycle}\n", root.strip_prefix(workspace).unwrap().parent().unwrap().display());
        }
    }
    assert!(found.is_empty(), "these files import from one another:\n{found}");
}

/// The cycles of a crate with these files.
fn of_crate(files: &[(&str, &str)]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = directory.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    described(&directory.path().join("lib.rs"))
}

#[test]
fn a_cycle_is_named_with_its_imports() {
    let cycles = of_crate(&[
        ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "pub struct B; fn f() { vec![crate::c::g()]; }"),
        ("c.rs", "use super::A; pub fn g() {}"),
    ]);
    assert_eq!(cycles, ["a.rs -> b.rs -> c.rs: a.rs uses crate::b::B; b.rs uses crate::c::g; c.rs uses super::A"]);
}

#[test]
fn a_child_and_its_parents_own_code_are_a_cycle_and_ownership_is_none() {
    let child = ("a/child.rs", "use super::Shared; pub struct Child;");
    let root = ("lib.rs", "mod a;");
    let uses = "mod child; pub struct Shared; fn f(_: child::Child) {}";
    assert_eq!(of_crate(&[root, ("a.rs", uses), child]).len(), 1);
    let owns = "mod child; pub use child::Child; pub struct Shared;";
    assert_eq!(of_crate(&[root, ("a.rs", owns), child]), Vec::<String>::new());
    let tests = "pub struct Shared; #[cfg(test)] mod tests { use super::Shared; }";
    assert_eq!(of_crate(&[root, ("a.rs", tests)]), Vec::<String>::new());
}
