//! `man`: man pages, one for the program and one for each command, from the same definitions as the help.

use clap::CommandFactory;

use crate::args::{Cli, Global, ManArgs};
use crate::exit::{Failure, Outcome};
use crate::output::{Object, Out};

pub fn run(args: &ManArgs, global: &Global, out: &mut Out) -> Outcome {
    let failed = |error| Failure::Io(format!("cannot write man pages into {}", args.dir.display()), error);
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut program = Cli::command();
    program.build();
    let subcommands = program.get_subcommands().filter(|command| command.get_name() != "help").cloned();
    let mut pages = vec![("recension.1".to_owned(), program.clone())];
    for command in subcommands {
        let name = format!("recension-{}", command.get_name());
        let page = command.display_name(name.clone());
        pages.push((format!("{name}.1"), page));
    }
    for (file, command) in pages {
        let path = args.dir.join(&file);
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
        std::fs::write(&path, page).map_err(failed)?;
        match global.json {
            true => out.object(Object::new().text("path", &path.to_string_lossy()))?,
            false => out.line(&path.display().to_string())?,
        }
    }
    Ok(())
}
