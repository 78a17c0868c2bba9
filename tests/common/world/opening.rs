//! Closing, opening, checkpoints and crashes: what has to be there afterwards.

use recension::{ErrorKind, Expect, Store};

use super::super::op::Death;
use super::super::verify::Reads;
use super::{NAME, World};

impl World {
    pub(super) fn close(&mut self) {
        let closed = self.attempt(Store::close);
        if closed.is_none() {
            return;
        }
        self.settle_flights();
        assert!(self.store().close().is_ok(), "closing again does nothing");
        self.store = None;
        self.reopened_whole();
        let Some(store) = &self.store else { return };
        let report = store.open_report();
        assert!(report.clean && report.cuts.is_empty() && report.lost.is_empty(), "{report:?}");
    }

    pub(super) fn drop_and_reopen(&mut self) {
        self.store = None;
        if self.surroundings.is_off() {
            return;
        }
        self.settle_flights();
        self.reopened_whole();
    }

    /// Opens and finds everything that was given out.
    fn reopened_whole(&mut self) {
        if self.surroundings.is_off() {
            return;
        }
        match self.surroundings.open(NAME) {
            Ok(store) => {
                assert_eq!((store.published(), store.durable()), (self.model.last(), self.model.last()));
                (self.acknowledged, self.durable) = (self.model.last(), self.model.last());
                self.store = Some(store);
                self.learn();
            }
            Err(error) => assert!(self.surroundings.is_off(), "{error:?}"),
        }
    }

    pub(super) fn read_only(&mut self) {
        self.close();
        if self.surroundings.is_off() || self.store.is_none() {
            return;
        }
        if self.attempt(Store::close).is_none() {
            return;
        }
        self.store = None;
        let store = self.surroundings.builder(NAME).read_only().open();
        if self.surroundings.is_off() {
            return;
        }
        let store = store.expect("opens for reading only");
        self.reads_of(&store, self.model.last());
        let refused =
            store.put("x", Expect::Any, recension::Draft::new("x")).expect_err("nothing is written");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        drop(store);
        self.reopened_whole();
    }

    fn reads_of(&self, store: &Store, last: u64) {
        assert_eq!(store.published(), last);
        Reads::new(store, &self.model).all();
    }

    pub(super) fn checkpoint(&mut self) {
        self.checkpoints += 1;
        let name = format!("checkpoint{}", self.checkpoints);
        let to = self.surroundings.path(&name);
        self.unfinished = Some(name.clone());
        let Some(report) = self.attempt(|store| store.checkpoint(&to)) else { return };
        self.unfinished = None;
        assert_eq!(report.sequence, self.model.last());
        self.durable = report.sequence;
        if self.surroundings.is_off() {
            return;
        }
        self.learn();
        let Ok(copy) = self.surroundings.open(&name) else {
            assert!(self.surroundings.is_off(), "a checkpoint does not open");
            return;
        };
        self.reads_of(&copy, report.sequence);
        assert_ne!(
            copy.stats().expect("stats").incarnation,
            self.store().stats().expect("stats").incarnation
        );
        // It goes its own way.
        let put = copy.put("a", Expect::Any, recension::Draft::new("only in the checkpoint"));
        if self.surroundings.is_off() {
            return;
        }
        assert_eq!(put.expect("a checkpoint is a store").sequence, report.sequence + 1);
        let again = self.store().checkpoint(&to).expect_err("it is there already");
        assert_eq!(again.kind(), ErrorKind::Invalid);
    }

    pub(super) fn crash(&mut self, death: Death) {
        if self.surroundings.can_die() {
            self.armed = death;
            self.die();
        }
    }

    /// If the machine went off: up again, and what is there is compared with what was promised.
    pub(super) fn revive(&mut self) {
        while self.surroundings.is_off() {
            self.die();
        }
        assert!(self.store.is_some());
    }

    pub(super) fn die(&mut self) {
        if let Some(store) = &self.store {
            self.durable = self.durable.max(store.durable());
            self.acknowledged = self.acknowledged.max(store.published());
        }
        let death = self.armed;
        self.surroundings.die(death);
        // The dead process lets go of what it held, in either order.
        let store = self.store.take();
        let flights = std::mem::take(&mut self.flights);
        drop(flights);
        drop(store);
        let read_only = self.surroundings.builder(NAME).read_only().open();
        let seen = read_only.map(|store| (store.published(), store));
        let promised = if death == Death::Process { self.acknowledged } else { self.durable };
        if let Ok((published, store)) = seen {
            self.survived(published, promised);
            let model = std::mem::take(&mut self.model);
            let mut cut = model.clone();
            cut.truncate(published);
            self.model = cut;
            let store = self.store.insert(store);
            let read_only = store.clone();
            self.learn();
            Reads::new(&read_only, &self.model).all();
            drop(read_only);
            self.store = None;
        } else if let Err(error) = seen {
            // A store whose making was cut short is not there to be read.
            assert!(self.model.last() == 0 && promised == 0, "does not open for reading only: {error:?}");
        }
        let store = self.surroundings.builder(NAME).open().expect("the store opens after a crash");
        let published = store.published();
        self.survived(published, promised);
        assert_eq!(store.durable(), published);
        self.model.truncate(published);
        (self.acknowledged, self.durable) = (published, published);
        self.store = Some(store);
        self.learn();
        self.read_all();
        self.check();
        self.unfinished_checkpoint();
    }

    fn survived(&self, published: u64, promised: u64) {
        assert!(published >= promised, "{promised} was promised, only {published} is there");
        assert!(
            published <= self.model.last(),
            "{published} is there, and only {} was written",
            self.model.last()
        );
        assert!(self.model.is_boundary(published), "half of a commit survived: up to {published}");
    }

    /// A checkpoint that was cut short is no store, or a whole one.
    fn unfinished_checkpoint(&mut self) {
        let Some(name) = self.unfinished.take() else { return };
        if let Ok(copy) = self.surroundings.open(&name) {
            let mut model = self.model.clone();
            let published = copy.published();
            assert!(published <= model.last());
            model.truncate(published);
            Reads::new(&copy, &model).all();
        }
    }
}
