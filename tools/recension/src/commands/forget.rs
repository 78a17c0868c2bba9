//! `forget`, `purge`, `retention`.

use std::time::SystemTime;

use recension::{
    EntityRange, ErasureMode, Error, Forgetting, Forgot, IfMissing, Progress, Retention, Timestamp,
};

use super::progress::with_bar;
use super::{edit, write_to};
use crate::args::{ForgetArgs, Global, Part, PurgeArgs, RetentionArgs};
use crate::entity::from_arg;
use crate::exit::{Failure, Outcome};
use crate::output::{Object, Out, count};

pub fn forget(args: ForgetArgs, global: &Global, out: &mut Out) -> Outcome {
    let ForgetArgs { store, entity, rev, author, digest, fields, shared, preview, resume, word } = args;
    let mut wanted = match (entity, rev, author, digest) {
        (Some(entity), Some((first, last)), ..) => Forgetting::revisions(from_arg(&entity)?, first, last),
        (_, _, Some(author), _) => Forgetting::author(author.as_encoded_bytes()),
        (_, _, _, Some(digest)) => Forgetting::digest(digest),
        _ => {
            return Err(Failure::Usage("say what to forget: ENTITY with --rev, --author or --digest".into()));
        }
    };
    if !fields.is_empty() {
        wanted = wanted.fields(Part::mask(&fields));
    }
    wanted = wanted.sharing(shared.into()).actor(word.actor).reason(word.reason);
    if preview {
        wanted = wanted.preview();
    }
    if let Some(job) = resume {
        wanted = wanted.resume(job);
    }
    let forgot =
        write_to(&store, IfMissing::Fail, global, |store| job(|progress| store.forget(&wanted, progress)))?;
    print(&forgot, preview, global, out)
}

pub fn purge(args: PurgeArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let PurgeArgs { store, expect, word, .. } = args;
    let committed = write_to(&store, IfMissing::Fail, global, |store| {
        Ok(store.purge(&entity, expect, &word.actor, &word.reason)?)
    })?;
    edit::print(&[entity], &committed, global, out)
}

pub fn retention(args: RetentionArgs, global: &Global, out: &mut Out) -> Outcome {
    let superseded_before = match (args.before, args.older_than) {
        (Some(time), _) => time,
        (None, age) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let then = now.saturating_sub(age.unwrap_or_default());
            Timestamp(i64::try_from(then.as_micros()).unwrap_or(i64::MAX))
        }
    };
    let retention = Retention {
        range: EntityRange::prefix(args.prefix.as_encoded_bytes()),
        superseded_before,
        keep_older: args.keep,
        fields: Part::mask(&args.fields),
        mode: match args.resume {
            Some(job) => ErasureMode::Resume(job),
            None if args.preview => ErasureMode::Preview,
            None => ErasureMode::Do,
        },
        actor: args.word.actor,
        reason: args.word.reason,
    };
    let forgot = write_to(&args.store, IfMissing::Fail, global, |store| {
        job(|progress| store.retain(&retention, progress))
    })?;
    print(&forgot, args.preview, global, out)
}

/// With a bar; interrupted, it is said how to go on.
fn job(work: impl FnOnce(&mut Progress<'_>) -> recension::Result<Forgot>) -> Outcome<Forgot> {
    with_bar(work).map_err(|failure| match failure {
        Failure::Store(Error::Cancelled) => Failure::Interrupted(
            "interrupted: what was committed holds; if that is anything, erasure-report names the job, and the same command goes on with --resume JOB".into(),
        ),
        other => other,
    })
}

fn print(forgot: &Forgot, preview: bool, global: &Global, out: &mut Out) -> Outcome {
    if global.json {
        let mut object = Object::new();
        object.text("outcome", if preview { "preview" } else { "forgotten" });
        object.number("revisions", forgot.revisions).number("entities", forgot.entities);
        if forgot.commits > 0 {
            object.number("commits", forgot.commits).number("sequence", forgot.sequence);
            object.text("job", &format!("{:016x}", forgot.job));
        }
        return out.object(&object);
    }
    let revisions = count(forgot.revisions, "revision", "revisions");
    let entities = count(forgot.entities, "entity", "entities");
    out.line(&match (preview, forgot.revisions) {
        (true, _) => format!("{revisions} of {entities} would be forgotten"),
        (false, 0) => "nothing to forget".to_owned(),
        (false, _) => format!("forgotten: {revisions} of {entities} (sequence {})", forgot.sequence),
    })
}
